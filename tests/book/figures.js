// Words of the pictures as drawn on this page: too small, cut by the edge of the picture, or over each other.
() => {
  const holder = document.createElement("div");
  holder.style.cssText = "position: absolute; left: 0; top: 0; width: 3000px";
  document.body.append(holder);
  const findings = [], opened = [];
  for (const image of document.querySelectorAll("figure.tis-figure img")) {
    const fold = image.closest("details:not([open])");
    if (fold) { fold.open = true; opened.push(fold); }
    const { width } = image.getBoundingClientRect();
    const source = image.currentSrc || image.src;
    if (!width || !source.startsWith("data:image/svg+xml;base64,")) continue;
    const bytes = Uint8Array.from(atob(source.split(",")[1]), (c) => c.charCodeAt(0));
    const svg = document.importNode(new DOMParser().parseFromString(new TextDecoder().decode(bytes), "image/svg+xml").documentElement, true);
    holder.replaceChildren(svg);
    const { width: natural, height } = svg.viewBox.baseVal;
    svg.setAttribute("width", width);
    svg.setAttribute("height", (height * width) / natural);
    const card = svg.getBoundingClientRect();
    const words = [...svg.querySelectorAll("text")].filter((t) => t.textContent.trim()).map((t) => ({
      text: t.textContent.trim().replace(/\s+/g, " ").slice(0, 40),
      size: (parseFloat(getComputedStyle(t).fontSize) * width) / natural,
      box: t.getBoundingClientRect(),
      plain: !t.querySelector("tspan") && Math.abs(t.getCTM().b) < 0.01, // no formula, not turned: its box is its own
    }));
    const note = (kind, text) => findings.push(`${image.alt.slice(0, 50)}: ${kind}: ${text}`);
    for (const { text, size } of words.filter((w) => w.size < 11)) note("small", `${text} (${size.toFixed(1)} px)`);
    const plain = words.filter((w) => w.plain);
    for (const { text, box } of plain) {
      if (box.left < card.left - 2 || box.right > card.right + 2) note("cut", text);
    }
    plain.forEach((a, i) => plain.slice(0, i).forEach((b) => {
      const across = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
      const down = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
      if (across > 2 && down > 0.4 * Math.min(a.box.height, b.box.height)) note("over each other", `${a.text}, ${b.text}`);
    }));
  }
  holder.remove();
  opened.forEach((fold) => { fold.open = false; });
  return findings;
}
