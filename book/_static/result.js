// The picture on the home page: buttons for the budget and for the examples on which the loss is measured.
(() => {
  function choice(name, title, options) {
    const group = document.createElement("fieldset");
    group.innerHTML = `<legend>${title}</legend>` + Object.entries(options).map(([value, label], i) =>
      `<label><input type="radio" name="${name}" value="${value}"${i ? "" : " checked"}>${label}</label>`).join("");
    return group;
  }

  function start(figure) {
    const facts = JSON.parse(figure.querySelector("script").textContent);
    const [low, high] = facts.range;
    const place = (value) => `${(100 * (value - low)) / (high - low)}%`;
    const form = document.createElement("form");
    form.append(
      choice("budget", "Number of examples:", Object.fromEntries(facts.budgets.map((budget) => [budget, budget]))),
      choice("metric", "Loss on:", facts.metrics),
    );
    form.addEventListener("change", () => {
      const { values, labels, text } = facts.states[form.elements.metric.value][form.elements.budget.value];
      figure.querySelectorAll(".tis-result-rows .tis-result-row").forEach((row, k) => {
        const [mean, least, most] = values[k];
        const [line, dot] = row.querySelectorAll("i, b");
        Object.assign(line.style, { left: place(least), width: `${(100 * (most - least)) / (high - low)}%` });
        dot.style.left = place(mean);
        row.lastElementChild.textContent = labels[k];
      });
      figure.querySelector("figcaption span").textContent = text;
      figure.querySelector('[role="img"]').setAttribute("aria-label", `Dot plot with intervals, one row per method. ${text}`);
    });
    figure.querySelector(".tis-result-title").after(form);
  }

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("figure.tis-result").forEach(start));
})();
