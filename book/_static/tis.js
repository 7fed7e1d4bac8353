// Interactive figures (one copy of plotly.js, loaded only where needed), keyboard, paper.
(() => {
  const vendor = new URL("vendor/", document.currentScript.src);

  function draw(figure) {
    const { data, layout } = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
    const canvas = document.createElement("div");
    canvas.className = "tis-plotly-canvas";
    figure.append(canvas);
    return window.Plotly.newPlot(canvas, data, layout, { responsive: true, displaylogo: false, typesetMath: false });
  }

  function drawAll() {
    const figures = [...document.querySelectorAll("figure.tis-plotly")];
    if (!figures.length) return;
    const script = document.createElement("script");
    script.src = new URL("plotly.min.js", vendor).href;
    script.onload = () => figures.forEach(draw);
    document.head.append(script);
  }

  // What scrolls sideways must be reachable by keyboard, and show at which ends it goes on.
  const boxes = "div.highlight pre, .cell_output .output, .pst-scrollable-table-container, figure.tis-figure, mjx-container, .tis-needs";
  function goesOn({ currentTarget: box }) {
    box.classList.toggle("tis-before", box.scrollLeft > 1);
    box.classList.toggle("tis-after", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  }
  const isNumber = (text) => !/\p{L}/u.test(text.replace(/\de(?=[-+−]?\d)/g, "")) && text.length < 28;

  // A number, an interval and a short name are one word; sentences need room.
  function cells() {
    for (const cell of document.querySelectorAll(".cell_output table tbody :is(td, th)")) {
      const text = cell.textContent.trim();
      cell.classList.toggle("tis-word", isNumber(text) || text.length < 13);
      cell.classList.toggle("tis-sentence", text.length > 44);
    }
  }

  // Columns of numbers to the right, of words to the left, and so is what stands above them.
  function columns() {
    for (const table of document.querySelectorAll(".cell_output table.dataframe")) {
      const rows = [...table.tBodies].flatMap((body) => [...body.rows]).map((row) => [...row.querySelectorAll("td")]);
      const heads = [...(table.tHead?.rows ?? [])].map((row) => [...row.cells]);
      for (let k = 1; k <= (rows[0]?.length ?? 0); k++) { // from the end: names of rows may span several
        const column = rows.map((row) => row.at(-k)).filter(Boolean);
        const numbers = column.every((cell) => isNumber(cell.textContent.trim()));
        const above = heads.filter((row) => row.every((cell) => cell.colSpan === 1)).map((row) => row.at(-k));
        for (const cell of [...column, ...above]) cell?.classList.add(numbers ? "tis-right" : "tis-left");
      }
    }
  }

  function focusable() {
    for (const box of document.querySelectorAll(boxes)) {
      const over = getComputedStyle(box).overflowX === "visible" ? 0 : box.scrollWidth - box.clientWidth;
      box.classList.toggle("tis-goes-on", over > 1); // one pixel is rounding, but it scrolls
      if (over < 1) continue;
      box.tabIndex = 0;
      box.addEventListener("scroll", goesOn, { passive: true }); // the same listener again changes nothing
      goesOn({ currentTarget: box });
    }
  }

  // A list of works is a list of list items, also for a screen reader.
  function listItems() {
    document.querySelectorAll('.citation-list[role="list"] > .citation').forEach((work) => { work.setAttribute("role", "listitem"); });
  }

  // Formulas are drawn a few at a time: on a page with hundreds the reader can scroll and click meanwhile.
  // This runs before MathJax itself, which waits for the document.
  if (window.MathJax) {
    const breath = () => new Promise((done) => { setTimeout(done); });
    const pageReady = async () => {
      const formulas = [...document.querySelectorAll(".math, .tex2jax_process, .mathjax_process, .output_area")];
      while (formulas.length) {
        await window.MathJax.typesetPromise(formulas.splice(0, 64));
        await breath();
      }
    };
    window.MathJax.startup = { ...window.MathJax.startup, pageReady };
  }

  // Paper is white, whatever the screen is.
  const page = document.documentElement;
  let theme;
  window.addEventListener("beforeprint", () => { theme = page.dataset.theme; page.dataset.theme = "light"; });
  window.addEventListener("afterprint", () => { page.dataset.theme = theme; });

  document.addEventListener("DOMContentLoaded", listItems);
  document.addEventListener("DOMContentLoaded", () => { cells(); columns(); });
  window.addEventListener("load", async () => {
    (window.requestIdleCallback ?? setTimeout)(drawAll); // plotly.js is large: the page must answer first
    await window.MathJax?.startup?.promise; // formulas have no width before
    focusable();
  });
  // Windows are turned, folds opened, sidebars closed: each changes the size of the article, after its layout.
  document.addEventListener("DOMContentLoaded", () => {
    const article = document.querySelector(".bd-article");
    if (article) new ResizeObserver(focusable).observe(article);
  });
})();
