() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  document.getAnimations().forEach((animation) => animation.finish()); // no colour halfway through a fade
  const visible = (e) => e.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });

  // Colours, composited over the nearest opaque background.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parsed = new Map();
  const parse = (css) => {
    if (!parsed.has(css)) parsed.set(css, painted(css));
    return parsed.get(css);
  };
  const painted = (css) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = "#000"; canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => top.slice(0, 3).map((c, i) => c * top[3] + under[i] * (1 - top[3])).concat(1);
  const background = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] >= 0.999) break;
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const luminance = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
    const v = c[i] / 255;
    return sum + weight * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  }, 0);
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.data.trim();
    if (!text || !element || element.closest("script, style, noscript, svg, mjx-container") || !visible(element)) continue;
    const css = getComputedStyle(element);
    const size = parseFloat(css.fontSize);
    const needed = size >= 24 || (size >= 18.66 && +css.fontWeight >= 700) ? 3 : 4.5;
    const under = background(element);
    const ratio = contrast(over(parse(css.color), under), under);
    if (ratio < needed - 0.01) faint.push(`${ratio.toFixed(2)} < ${needed}: ${text.slice(0, 40)}`);
  }

  const images = all("article img, .bd-article img").filter((e) => !e.closest(".navbar-brand"));
  const wide = all(".bd-main *").filter((e) => {
    const box = e.getBoundingClientRect();
    if (box.width === 0 || box.right <= innerWidth + 1 || !visible(e)) return false;
    for (let p = e.parentElement; p; p = p.parentElement) {
      if (getComputedStyle(p).overflowX !== "visible") return false; // scrolls inside its own box
    }
    return true;
  });
  const scrolling = all(".bd-article *").filter((e) =>
    e.scrollWidth > e.clientWidth + 2 && e.clientWidth > 0 && ["auto", "scroll"].includes(getComputedStyle(e).overflowX) && visible(e));
  return {
    unmarked: scrolling.filter((e) => !e.classList.contains("tis-goes-on")).map((e) => `${e.tagName}.${e.className}`),
    overflow: document.documentElement.scrollWidth - innerWidth,
    wide: wide.slice(0, 5).map((e) => `${e.tagName}.${e.className}`),
    theme: document.documentElement.dataset.theme,
    faint: [...new Set(faint)],
    formulas: all(".math").length,
    rendered: all(".math").filter((e) => e.querySelector("mjx-container svg path, mjx-container svg use")).length,
    mathErrors: all("mjx-merror, [data-mjx-error]").map((e) => e.textContent),
    alts: images.map((e) => e.getAttribute("alt")),
    broken: images.filter((e) => e.complete && e.naturalWidth === 0).length,
    interactive: all("figure.tis-plotly").map((e) => ({
      label: e.getAttribute("aria-label"), drawn: !!e.querySelector(".main-svg .trace, .main-svg .cartesianlayer, .gl-container"),
      width: e.querySelector(".main-svg")?.getBoundingClientRect().width ?? 0,
    })),
    failures: all(".cell_output .traceback, .output.traceback").length
      + all("#papermill-error-cell, .papermill-error").length
      + (document.body.innerText.includes("An Exception was encountered") ? 1 : 0),
    injected: all(".cell.tag_injected-parameters").map((e) => {
      const fold = e.querySelector("details");
      return { folded: !!fold && !fold.open, shown: all("pre", e).some((p) => p.checkVisibility()) };
    }),
  };
}
