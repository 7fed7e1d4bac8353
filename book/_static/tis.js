// Interactive figures (one copy of plotly.js, loaded only where needed), search from disk, keyboard, print.
(() => {
  const vendor = new URL("vendor/", document.currentScript.src);

  // Summaries of search results are fetched, which browsers forbid between files on disk.
  if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

  function draw(figure) {
    const { data, layout } = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
    const canvas = document.createElement("div");
    canvas.className = "tis-plotly-canvas";
    figure.append(canvas);
    return window.Plotly.newPlot(canvas, data, layout, { responsive: true, displaylogo: false });
  }

  function drawAll() {
    const figures = [...document.querySelectorAll("figure.tis-plotly")];
    if (!figures.length) return;
    const script = document.createElement("script");
    script.src = new URL("plotly.min.js", vendor).href;
    script.onload = () => figures.forEach(draw);
    document.head.append(script);
  }

  // What scrolls sideways must be reachable by keyboard.
  function focusable() {
    for (const box of document.querySelectorAll("div.highlight pre, .cell_output .output, .pst-scrollable-table-container, figure.tis-figure")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    }
  }

  // Nothing stays folded on paper.
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details:not([open])").forEach((box) => { box.open = true; });
  });
  document.addEventListener("DOMContentLoaded", drawAll);
  window.addEventListener("load", focusable);
})();
