// What a chapter asks of its reader: words to read, things to open, text dumps; and what stands on its first screen.
() => {
  const article = document.querySelector("article");
  const all = (selector) => [...article.querySelectorAll(selector)];
  const top = (element) => element && Math.round(element.getBoundingClientRect().top);
  const inside = (element, selector) => element.closest(selector);
  const prose = all("h1, h2, h3, p, li, td, th, figcaption, dd").filter((e) =>
    e.checkVisibility() && !inside(e, ".tis-quiz, .exercise, details, pre") && !e.querySelector("p, li, td, figcaption"));
  const words = prose.reduce((sum, e) => sum + (e.innerText.match(/[\p{L}\p{N}]*\p{L}[\p{L}\p{N}]*/gu) ?? []).length, 0);
  const output = (e) => e.checkVisibility() && e.innerText.trim() && !e.querySelector("code");
  const finding = article.querySelector(".cell.tag_finding .cell_output p, .cell.tag_finding .cell_output li");
  return {
    words,
    folds: all("details, .admonition.dropdown, .tis-quiz").filter((e) => !e.parentElement.closest("details, .tis-quiz")).length,
    dumps: all(".cell_output .output:is(.text_plain, .stream, .stderr) pre").filter(output).length,
    minutes: +(article.innerText.match(/To read: (\d+) minutes/) ?? [0, 0])[1],
    boxed: !!article.querySelector(".cell.tag_finding .cell_output blockquote"),
    question: top(article.querySelector("h1 ~ p, section > p")),
    finding: top(finding),
    figure: top(all("figure.tis-figure, figure.tis-plotly, .pg").find((e) => e.checkVisibility())),
  };
}
