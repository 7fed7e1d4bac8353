// Quizzes. The page holds a question, a numbered list of options and a dropdown with one explanation per option;
// here they become radio buttons with feedback. Without this script the list and the dropdown stay as they are.
(() => {
  let solved = 0, first = 0, total = 0, score;

  function make(tag, attributes, ...children) {
    const element = Object.assign(document.createElement(tag), attributes);
    element.append(...children);
    return element;
  }

  function read(box) {
    const items = (list) => [...(list?.children ?? [])];
    const options = items(box.querySelector(":scope > ol"));
    const reasons = items(box.querySelector(":scope > details ol")).map((item) => make("div", {}, ...item.childNodes));
    const right = reasons.findIndex((reason) => reason.querySelector("strong")?.textContent === "Right.");
    if (options.length < 2 || options.length !== reasons.length || right < 0) return null;
    reasons[right].querySelector("strong").remove(); // the verdict says it
    return { title: box.querySelector(".admonition-title"), options, reasons, right };
  }

  function optionRow(item, name, value) {
    const radio = make("input", { type: "radio", name, value });
    return make("label", {}, radio, make("span", {}, ...item.childNodes));
  }

  function tell(status, kind, verdict, reason) {
    status.dataset.kind = kind;
    status.replaceChildren(make("strong", { textContent: verdict }), ...(reason ? [reason] : []));
  }

  function count(quiz) {
    if (quiz.solved) return;
    quiz.solved = true;
    solved += 1;
    first += quiz.tries === 1;
  }

  function check(quiz, form, status) {
    const chosen = form.querySelector("input:checked");
    if (!chosen) return tell(status, "none", "Choose an option first.");
    const at = Number(chosen.value), correct = at === quiz.right;
    quiz.tries = (quiz.tries ?? 0) + 1;
    if (correct) count(quiz);
    chosen.parentElement.dataset.kind = correct ? "right" : "wrong";
    tell(status, correct ? "right" : "wrong", correct ? "Right." : "Not this one.", quiz.reasons[at]);
    score.textContent = `Right so far: ${solved} of ${total}, ${first} at the first try.`;
  }

  function build(box, index) {
    const quiz = read(box);
    if (!quiz) return null;
    const rows = quiz.options.map((item, i) => optionRow(item, `quiz-${index}`, i));
    const legend = make("legend", {}, ...quiz.title.childNodes);
    const status = make("div", { className: "tis-quiz-status" });
    status.setAttribute("role", "status"); // read aloud when it changes
    const button = make("button", { type: "submit", textContent: "Check" });
    const form = make("form", {}, make("fieldset", {}, legend, ...rows), button, status);
    form.addEventListener("submit", (event) => { event.preventDefault(); check(quiz, form, status); });
    form.addEventListener("change", () => {
      rows.forEach((row) => delete row.dataset.kind);
      delete status.dataset.kind;
      status.replaceChildren();
    });
    box.replaceChildren(form);
    return box;
  }

  document.addEventListener("DOMContentLoaded", () => {
    const built = [...document.querySelectorAll(".tis-quiz")].map(build).filter(Boolean);
    total = built.length;
    score = make("p", { className: "tis-quiz-score" });
    built.at(-1)?.after(score);
  });
})();
