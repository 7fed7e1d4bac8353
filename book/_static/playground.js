// The selection playground. It replays: every order, W1 and similarity was computed by tis_utils in the notebook and
// stands in the page as JSON; nothing is selected or measured here. Texts of the data only ever become text nodes.
(() => {
  "use strict";
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const VIEWS = { pool: "Whole pool", near: "Around the queries", seen: "As the queries see it" };

  // --- small tools ---------------------------------------------------------------------------------

  function put(element, properties, children) {
    for (const [key, value] of Object.entries(properties)) {
      if (key in element && key !== "list" && typeof value !== "string") element[key] = value;
      else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }
  const make = (tag, properties = {}, ...children) => put(document.createElement(tag), properties, children);
  const draw = (tag, properties = {}, ...children) =>
    put(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children.map(String));
  const group = (properties, ...children) => {
    const g = draw("g", properties);
    g.append(...children);
    return g;
  };

  const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";
  const unpack = (text) => Array.from({ length: text.length / 2 }, (_, i) => // two digits -> a number between 0 and 1
    (64 * DIGITS.indexOf(text[2 * i]) + DIGITS.indexOf(text[2 * i + 1])) / 4095);
  const count = (n) => n.toLocaleString("en-US");
  const digits = (x, n = 3) => x.toFixed(n).replace("-", "−");
  const percent = (x) => `${Math.round(100 * x)} %`;
  const sum = (values) => values.reduce((a, b) => a + b, 0);

  function ticks(low, high, target = 4) { // round numbers inside an interval
    const raw = (high - low) / target || 1;
    const base = 10 ** Math.floor(Math.log10(raw));
    const factor = [1, 2, 2.5, 5, 10].find((f) => f * base >= raw * 0.999), step = factor * base;
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(i * step);
    return { at: found, places: Math.max(0, (factor === 2.5) - Math.floor(Math.log10(step) + 1e-9)) };
  }

  // Marks of the kinds: colour and shape, so that neither alone carries the meaning.
  const SHAPES = [
    (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
    (r) => `M0 ${-1.2 * r}L${1.1 * r} ${0.8 * r}H${-1.1 * r}z`,
    (r) => `M${-0.9 * r} ${-0.9 * r}H${0.9 * r}V${0.9 * r}H${-0.9 * r}z`,
    (r) => `M0 ${-1.25 * r}L${1.1 * r} 0L0 ${1.25 * r}L${-1.1 * r} 0z`,
    (r) => `M0 ${1.2 * r}L${1.1 * r} ${-0.8 * r}H${-1.1 * r}z`,
    (r) => `M${-0.4 * r} ${-1.2 * r}h${0.8 * r}v${0.8 * r}h${0.8 * r}v${0.8 * r}h${-0.8 * r}v${0.8 * r}h${-0.8 * r}v${-0.8 * r}h${-0.8 * r}v${-0.8 * r}h${0.8 * r}z`,
  ];
  const GREY_SHAPE = (r) => `M${-0.55 * r} ${-r}H${0.55 * r}L${r} 0L${0.55 * r} ${r}H${-0.55 * r}L${-r} 0z`;
  const STAR = Array.from({ length: 10 }, (_, i) => {
    const [angle, r] = [(i * Math.PI) / 5 - Math.PI / 2, i % 2 ? 3.6 : 8.6];
    return `${i ? "L" : "M"}${(r * Math.cos(angle)).toFixed(2)} ${(r * Math.sin(angle)).toFixed(2)}`;
  }).join("") + "z";

  // --- the data of one page ------------------------------------------------------------------------

  class Data {
    constructor(payload) {
      this.methods = Object.fromEntries(payload.methods.map((m) => [m.id, m]));
      this.scenes = payload.scenes;
      this.tours = payload.tours;
      this.unpacked = new Map();
    }
    scene(state) { return this.scenes.find((s) => s.id === state.scene); }
    task(state) { return this.scene(state).tasks.find((t) => t.id === state.task); }
    space(state) { return this.scene(state).spaces.find((s) => s.id === state.space); }
    cell(state) { return this.scene(state).cells[`${state.space}/${state.task}`]; }
    method(state) { return this.cell(state).methods[state.method]; }
    numbers(text) {
      if (!this.unpacked.has(text)) this.unpacked.set(text, unpack(text));
      return this.unpacked.get(text);
    }
    name(id) {
      const { label, remark } = this.methods[id];
      return remark ? `${label} (${remark.replace("alpha", "α")})` : label;
    }

    // Nearest valid setting to what was asked for.
    settle(wish) {
      const scene = this.scenes.find((s) => s.id === wish.scene) ?? this.scenes[0];
      const of = (list, id) => (list.includes(id) ? id : list[0]);
      const space = of(scene.spaces.map((s) => s.id), wish.space);
      const task = of(scene.tasks.map((t) => t.id), wish.task);
      const method = of(scene.methods.filter((m) => m === wish.method).concat("round_robin", scene.methods), wish.method);
      const budgets = scene.budgets;
      const asked = Number.isFinite(wish.budget) ? wish.budget : budgets[budgets.length >> 1];
      const budget = budgets.reduce((a, b) => (Math.abs(b - asked) < Math.abs(a - asked) ? b : a));
      const known = scene.methods.includes(method) ? method : scene.methods[0];
      return { scene: scene.id, space, task, method: known, budget, view: of(Object.keys(VIEWS), wish.view) };
    }

    // What the page says about one setting; counts over the first `budget` entries of the stored lists.
    facts(state) {
      const scene = this.scene(state), cell = this.cell(state), method = this.method(state);
      const at = scene.budgets.indexOf(state.budget), kinds = this.task(state).kind;
      const picks = method.order.slice(0, state.budget);
      const share = cell.pool_best.map(() => 0);
      method.nearest.slice(0, state.budget).forEach((query) => { share[query] += 1 / state.budget; });
      const best = method.records.map((record) => { // triples: place in the order, similarity, rank in the pool
        let i = 0;
        while (i + 3 < record.length && record[i + 3] <= state.budget) i += 3;
        return { similarity: record[i + 1], rank: record[i + 2] };
      });
      const composition = scene.kinds.map((_, k) => picks.filter((j) => Number(kinds[j]) === k).length);
      const { mean, low, high } = cell.random;
      return { picks, share, best, composition, w1: method.w1[at], random: { mean: mean[at], low: low[at], high: high[at] } };
    }
  }

  // --- one playground ------------------------------------------------------------------------------

  let serial = 0;

  class Playground {
    constructor(root) {
      this.root = root;
      this.id = `pg${serial++}`;
      this.data = new Data(JSON.parse(root.querySelector('script[type="application/json"]').textContent));
      this.state = this.data.settle(this.fromHash() ?? this.data.tours[0] ?? {});
      this.chosen = null; // a candidate under the pointer or the stepper
      this.query = -1; // a highlighted query
      this.build();
      root.querySelector(".tis-playground-still").hidden = true;
      this.lines.checked = this.data.space(this.state).share === null;
      this.show();
      if (this.fromHash()) root.scrollIntoView();
      addEventListener("hashchange", () => this.fromHash() && this.go(this.fromHash(), false));
      new ResizeObserver(() => this.fit()).observe(this.map);
    }

    // Settings in the address: #play=scene/space/task/method/budget/view
    fromHash() {
      if (!location.hash.startsWith("#play=")) return null;
      try {
        const [scene, space, task, method, budget, view] = location.hash.slice(6).split("/").map(decodeURIComponent);
        return { scene, space, task, method, budget: Number.parseInt(budget, 10), view };
      } catch { return null; }
    }
    toHash() {
      const { scene, space, task, method, budget, view } = this.state;
      return "#play=" + [scene, space, task, method, budget, view].map(encodeURIComponent).join("/");
    }

    // --- controls ---

    build() {
      const select = (name, label) => {
        this[name] = make("select", { id: `${this.id}-${name}` });
        this[name].addEventListener("change", () => this.go({ [name]: this[name].value }));
        return make("div", { class: "pg-field" }, make("label", { for: `${this.id}-${name}` }, label), this[name]);
      };
      this.methodSet = make("fieldset", { class: "pg-chips" });
      this.slider = make("input", { type: "range", min: "0", id: `${this.id}-budget`, class: "pg-slider" });
      this.slider.addEventListener("input", () => { this.stop(); this.go({ budget: this.budgets[this.slider.value] }); });
      this.budgetText = make("output", { for: `${this.id}-budget` });
      this.playButton = make("button", { type: "button", class: "pg-play" });
      this.playButton.addEventListener("click", () => (this.timer ? this.stop() : this.play()));
      this.summary = make("p", { class: "pg-summary", "aria-live": "polite", "aria-atomic": "true" });
      this.about = make("p", { class: "pg-note pg-about" });
      this.ask = make("p", { class: "pg-ask", hidden: true });
      const tours = make("div", { class: "pg-tours", role: "group", "aria-label": "Places to start" });
      tours.append(...(this.data.tours.length ? ["Start here: "] : []), ...this.data.tours.map((tour) => this.tour(tour)));
      this.root.append(make("section", { class: "pg", "aria-label": "Selection playground" },
        tours, this.ask,
        make("div", { class: "pg-fields" }, select("scene", "Pool"), select("task", "Query set"), select("space", "Representation")),
        this.about,
        this.methodSet,
        make("div", { class: "pg-budget" },
          make("label", { for: `${this.id}-budget` }, "Budget"), this.budgetText, this.slider, this.playButton),
        this.summary,
        make("div", { class: "pg-panels" }, this.mapPanel(), make("div", { class: "pg-side" }, this.w1Panel(), this.coverPanel())),
        this.tablePanel(), this.sharePanel()));
    }

    tour(tour) {
      const button = make("button", { type: "button" }, tour.label);
      button.addEventListener("click", () => {
        this.go({ view: "pool", ...tour });
        this.ask.replaceChildren(tour.ask);
        this.ask.hidden = false;
      });
      return button;
    }

    chips(set, name, legend, options, value, pick) { // a row of radio buttons
      set.replaceChildren(make("legend", {}, legend), ...options.map(([id, text, colour]) => {
        const input = make("input", { type: "radio", name: `${this.id}-${name}`, value: id, checked: id === value });
        input.addEventListener("change", () => pick(id));
        const chip = make("label", { class: "pg-chip" }, input, make("span", {}, text));
        if (colour) chip.style.setProperty("--m", colour);
        if (this.data.methods[id]?.remark) chip.classList.add("pg-variant");
        return chip;
      }));
    }

    // --- panels ---

    mapPanel() {
      this.map = draw("svg", { class: "pg-svg", role: "img", "aria-labelledby": `${this.id}-maptext` });
      this.map.addEventListener("pointermove", (event) => this.point(event));
      this.map.addEventListener("pointerdown", (event) => this.point(event));
      this.mapText = make("p", { id: `${this.id}-maptext`, class: "pg-note" });
      this.viewSet = make("fieldset", { class: "pg-views" });
      this.legend = make("ul", { class: "pg-legend", "aria-label": "Kinds of candidates" });
      this.lines = make("input", { type: "checkbox", checked: true });
      this.lines.addEventListener("change", () => this.drawMap());
      this.back = make("button", { type: "button", "aria-label": "Previous pick" }, "‹");
      this.next = make("button", { type: "button", "aria-label": "Next pick" }, "›");
      this.back.addEventListener("click", () => this.step(-1));
      this.next.addEventListener("click", () => this.step(1));
      this.cardTitle = make("strong");
      this.cardFacts = make("span", { class: "pg-muted" });
      this.cardText = make("p", { class: "pg-text" });
      const steps = make("div", { class: "pg-card-head" }, this.back, this.next, this.cardTitle, this.cardFacts);
      return make("figure", { class: "pg-panel pg-map" },
        make("div", { class: "pg-head" }, make("h3", {}, "The picks on a map"), this.viewSet), this.legend, this.map,
        make("div", { class: "pg-card" }, steps, make("div", { "aria-live": "polite" }, this.cardText)),
        make("label", { class: "pg-check" }, this.lines, " Join every pick to its nearest query"), this.mapText);
    }

    w1Panel() {
      this.w1 = draw("svg", { class: "pg-svg", role: "img", "aria-labelledby": `${this.id}-w1text` });
      this.w1.addEventListener("pointerdown", (event) => {
        const x = event.clientX - this.w1.getBoundingClientRect().left;
        this.stop();
        this.go({ budget: this.budgets.reduce((a, b) => (Math.abs(this.w1X(b) - x) < Math.abs(this.w1X(a) - x) ? b : a)) });
      });
      this.w1Numbers = make("p", { class: "pg-numbers" });
      this.w1Text = make("p", { id: `${this.id}-w1text`, class: "pg-note" });
      return make("figure", { class: "pg-panel" }, make("h3", {}, "Distance to the queries, W₁(S, Q)"),
        this.w1Numbers, this.w1, this.w1Text);
    }

    coverPanel() {
      this.cover = draw("svg", { class: "pg-svg", role: "img", "aria-labelledby": `${this.id}-covertext` });
      this.queryList = make("select", { id: `${this.id}-query` });
      this.queryList.addEventListener("change", () => this.highlight(Number(this.queryList.value)));
      this.queryText = make("p", { class: "pg-text", "aria-live": "polite" });
      this.coverText = make("p", { id: `${this.id}-covertext`, class: "pg-note" });
      return make("figure", { class: "pg-panel" }, make("h3", {}, "Coverage of the queries"), this.cover,
        make("div", { class: "pg-field pg-row" }, make("label", { for: `${this.id}-query` }, "Highlight"), this.queryList),
        this.queryText, this.coverText);
    }

    tablePanel() {
      this.rows = make("tbody");
      const heads = ["Query", "Share of the picks", "Its best pick is nearest no.", "Similarity of that pick", "Best in the pool"].map((h) => make("th", { scope: "col" }, h));
      return make("details", { class: "pg-table" }, make("summary", {}, "Coverage as a table"), make("div", { class: "pg-scroll" },
        make("table", {}, make("thead", {}, make("tr", {}, ...heads)), this.rows)));
    }

    sharePanel() {
      const button = make("button", { type: "button" }, "Copy a link to this setting");
      const told = make("span", { role: "status", class: "pg-muted" });
      button.addEventListener("click", async () => {
        history.replaceState(null, "", this.toHash());
        try {
          await navigator.clipboard.writeText(location.href);
          told.replaceChildren(" Copied.");
        } catch { told.replaceChildren(" The link is in the address bar."); }
      });
      return make("div", { class: "pg-share" }, button, told);
    }

    // --- changing the setting ---

    go(change, remember = true) {
      const before = this.state;
      const wish = { ...before, ...change };
      this.state = this.data.settle(wish);
      const moved = ["scene", "space", "task"].some((key) => before[key] !== this.state[key]);
      if (moved) [this.chosen, this.query] = [null, -1];
      if (before.scene !== this.state.scene) this.lines.checked = this.data.space(this.state).share === null;
      if (moved || before.method !== this.state.method) this.ask.hidden = true;
      this.show();
      if (remember) history.replaceState(null, "", this.toHash());
    }

    play() {
      if (this.state.budget === this.budgets.at(-1)) this.go({ budget: this.budgets[0] });
      this.summary.setAttribute("aria-live", "off"); // not fifty announcements
      this.timer = setInterval(() => {
        const at = this.budgets.indexOf(this.state.budget) + 1;
        if (at >= this.budgets.length) this.stop();
        else this.go({ budget: this.budgets[at] });
      }, calm.matches ? 900 : 140);
      this.showPlay();
    }

    stop() {
      if (!this.timer) return;
      clearInterval(this.timer);
      this.timer = null;
      this.summary.setAttribute("aria-live", "polite");
      this.showPlay();
      this.summary.replaceChildren(this.sentence());
    }

    step(by) {
      const { picks } = this.facts;
      const at = picks.indexOf(this.chosen);
      this.choose(picks[at < 0 ? (by > 0 ? 0 : picks.length - 1) : (at + by + picks.length) % picks.length]);
    }

    choose(candidate) {
      if (candidate === this.chosen) return;
      this.chosen = candidate;
      this.drawRing();
      this.showCard();
    }

    highlight(query) {
      this.query = query;
      this.queryList.value = String(query);
      this.queryText.replaceChildren(query < 0 ? "" : this.data.task(this.state).queries[query]);
      this.drawMap();
      this.drawCover();
    }

    point(event) { // the candidate nearest to the pointer; picks win over the others
      const box = this.map.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      const picked = new Set(this.facts.picks);
      let found = null, least = 18 ** 2;
      this.at.forEach(([px, py], j) => {
        const gap = (px - x) ** 2 + (py - y) ** 2 + (picked.has(j) ? 0 : 36);
        if (gap < least) [found, least] = [j, gap];
      });
      if (found !== null) this.choose(found);
    }

    // --- showing the setting ---

    get budgets() { return this.data.scene(this.state).budgets; }

    show() {
      const { data, state } = this, scene = data.scene(state);
      this.facts = data.facts(state);
      this.fill(this.scene, data.scenes.map((s) => [s.id, s.title]), state.scene);
      this.fill(this.task, scene.tasks.map((t) => [t.id, `${t.label} (${t.queries.length})`]), state.task);
      this.fill(this.space, scene.spaces.map((s) => [s.id, s.label]), state.space);
      this.space.parentElement.hidden = scene.spaces.length < 2;
      const key = `${state.scene}|${state.method}`;
      if (this.chipKey !== key) {
        const had = this.methodSet.contains(document.activeElement);
        this.chips(this.methodSet, "method", "Selector", scene.methods.map((m) => [m, data.name(m), data.methods[m].colour]),
          state.method, (method) => this.go({ method }));
        if (had) this.methodSet.querySelector("input:checked").focus();
        this.chipKey = key;
      }
      const views = Object.entries(VIEWS).filter(([view]) => view !== "near" || data.space(state).share !== null);
      if (this.viewKey !== `${state.scene}|${state.view}`) {
        const had = this.viewSet.contains(document.activeElement);
        this.chips(this.viewSet, "view", "View", views, state.view, (view) => this.go({ view }));
        if (had) this.viewSet.querySelector("input:checked")?.focus();
        this.viewKey = `${state.scene}|${state.view}`;
      }
      this.root.style.setProperty("--m", data.methods[state.method].colour);
      this.about.replaceChildren(scene.about);
      this.slider.max = this.budgets.length - 1;
      this.slider.value = this.budgets.indexOf(state.budget);
      this.slider.setAttribute("aria-valuetext", `${state.budget} of ${scene.texts.length}`);
      this.slider.style.setProperty("--done", `${(100 * this.slider.value) / Math.max(1, this.slider.max)}%`);
      this.budgetText.replaceChildren(make("b", {}, count(state.budget)), ` of ${count(scene.texts.length)}`);
      this.showPlay();
      this.summary.replaceChildren(this.sentence());
      this.fillQueries();
      this.layout();
      this.drawMap();
      this.drawW1();
      this.drawCover();
      this.showTexts();
      this.showTable();
      this.showCard();
    }

    fill(list, options, value) {
      const key = JSON.stringify(options);
      if (list.key !== key) list.replaceChildren(...options.map(([id, text]) => make("option", { value: id }, text)));
      list.key = key;
      list.value = value;
    }

    fillQueries() {
      const { queries } = this.data.task(this.state);
      this.fill(this.queryList, [[-1, "no query"], ...queries.map((_, i) => [i, `query ${i + 1}`])], String(this.query));
      this.queryText.replaceChildren(this.query < 0 ? "" : queries[this.query]);
    }

    showPlay() {
      const words = this.timer ? "Pause" : "Play";
      this.playButton.replaceChildren(make("span", { "aria-hidden": "true" }, this.timer ? "❚❚ " : "▶ "), words);
    }

    sentence() {
      const { data, state, facts } = this, scene = data.scene(state), space = data.space(state);
      const covered = facts.share.filter((s) => s > 0).length, all = facts.share.length;
      const high = Math.max(...facts.share);
      const where = scene.spaces.length > 1 ? `, ${space.label}` : "";
      const note = data.method(state).note;
      const nearest = facts.best.filter((best) => best.rank === 1).length;
      return `${data.name(state.method)} picks ${count(state.budget)} of ${count(scene.texts.length)} candidates `
        + `(${scene.title}${where}, ${data.task(state).label}). W₁ to the queries: ${digits(facts.w1)}; Random: `
        + `${digits(facts.random.mean)}. ${nearest} of ${all} queries got their nearest candidate. Counting each pick `
        + `for its nearest query, ${covered} of ${all} have picks, and the largest share is ${percent(high)}.${note ? ` Note: ${note}` : ""}`;
    }

    showTexts() {
      const { data, state, facts } = this, scene = data.scene(state), space = data.space(state), cell = data.cell(state);
      const seeds = scene.seeds.length;
      const dot = (name) => make("i", { class: `pg-dot pg-${name}`, "aria-hidden": "true" });
      this.w1Numbers.replaceChildren(
        make("span", {}, dot("mine"), `${data.name(state.method)} `, make("b", { class: "pg-big" }, digits(facts.w1))),
        make("span", {}, dot("random"), "Random ", make("b", {}, digits(facts.random.mean)),
          make("small", {}, ` (${seeds} seeds: ${digits(facts.random.low)} to ${digits(facts.random.high)})`)));
      this.w1Text.replaceChildren("Smaller is nearer. By budget, logarithmic; bold: the selector you chose; dotted: Random with its "
        + `range over ${seeds} seeds; thin: the others. The axis does not start at 0. Computed in all ${count(space.dimensions)} dimensions.`);
      this.coverText.replaceChildren("Above: of all candidates, ordered by similarity to the query, the first one that was picked "
        + "(1: the query got its nearest). Below: share of the picks that are nearest to this query; dashed: equal shares.");
      const kept = `correlation of distances on the map with true ones, all query–candidate pairs: ${digits(cell.faithful, 2)}`;
      this.mapText.replaceChildren({
        pool: space.share === null ? `These points were placed by hand, so this map is nearly true. Rank ${kept}. Stars: queries.`
          : `A map distorts: these two directions hold ${percent(space.share)} of the pool's variance. Rank ${kept}. Stars: queries.`,
        near: `The same map, enlarged. Rank ${kept}. Stars: queries.`,
        seen: "Nothing is projected here. Across: similarity to the query it is nearest to. Upwards: mean similarity to all queries.",
      }[state.view]);
      this.legend.replaceChildren(...scene.kinds.map((kind, k) => this.legendItem(kind, k, facts.composition[k])));
    }

    legendItem(kind, k, n) {
      const mark = draw("svg", { viewBox: "-7 -7 14 14", width: "14", height: "14", "aria-hidden": "true" });
      mark.append(draw("path", { d: this.shape(k)(5), class: "pg-pick", style: `--k:${kind.colour}` }));
      return make("li", {}, mark, ` ${kind.label} `, make("b", {}, count(n)),
        make("span", { class: "pg-muted" }, ` ${percent(n / this.state.budget)}`));
    }

    showTable() {
      const { facts, data, state } = this, best = data.cell(state).pool_best;
      this.rows.replaceChildren(...facts.share.map((share, i) => make("tr", {}, ...[
        `query ${i + 1}`, `${(100 * share).toFixed(1)} %`, count(facts.best[i].rank), digits(facts.best[i].similarity), digits(best[i]),
      ].map((text, c) => make(c ? "td" : "th", c ? {} : { scope: "row" }, text)))));
    }

    showCard() {
      const { data, state, facts, chosen } = this, scene = data.scene(state);
      if (chosen === null) {
        this.cardTitle.replaceChildren("No candidate chosen");
        this.cardFacts.replaceChildren("");
        this.cardText.replaceChildren("Point at a dot, tap it, or step through the picks in order with the two buttons.");
        return;
      }
      const rank = facts.picks.indexOf(chosen) + 1;
      const kind = scene.kinds[Number(data.task(state).kind[chosen])].label;
      this.cardTitle.replaceChildren(rank ? `Pick ${rank} of ${state.budget}` : "Not picked");
      this.cardFacts.replaceChildren([...new Set([kind, scene.sources[scene.source[chosen]]])].join(" · ")
        + (rank ? ` · nearest to query ${data.method(state).nearest[rank - 1] + 1}` : ""));
      this.cardText.replaceChildren(scene.texts[chosen]);
    }

    // --- drawing ---

    shape(k) { return this.data.scene(this.state).kinds[k].plain ? GREY_SHAPE : SHAPES[k % SHAPES.length]; }

    fit() { // widths changed: draw again at the new size
      if (this.width === this.map.clientWidth) return;
      this.layout();
      this.drawMap();
      this.drawW1();
      this.drawCover();
    }

    layout() { // pixel positions of all candidates and queries
      const { data, state } = this, space = data.space(state), cell = data.cell(state);
      const width = Math.max(240, this.map.clientWidth || 600), height = Math.round(Math.min(width, 520));
      this.width = this.map.clientWidth;
      this.map.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.map.style.height = `${height}px`;
      this.size = [width, height];
      const columns = state.view === "seen" ? cell.seen.map((axis) => data.numbers(axis.at)) : space.map.map((t) => data.numbers(t));
      const stars = state.view === "seen" ? [[], []] : space.queries[state.task].map((t) => data.numbers(t));
      const [[x0, x1], [y0, y1]] = this.window(columns, stars);
      const [left, bottom] = state.view === "seen" ? [44, 34] : [10, 10];
      const across = (x) => left + ((x - x0) / (x1 - x0)) * (width - left - 10);
      const up = (y) => height - bottom - ((y - y0) / (y1 - y0)) * (height - bottom - 10);
      this.at = columns[0].map((x, j) => [across(x), up(columns[1][j])]);
      this.starAt = stars[0].map((x, i) => [across(x), up(stars[1][i])]);
      this.axes = { across, up };
    }

    window(columns, stars) { // the part of the unit square that is shown
      if (this.state.view === "seen") return [[-0.02, 1.02], [-0.02, 1.02]];
      const { methods } = this.data.cell(this.state);
      if (this.state.view === "near") {
        const picks = (methods.round_robin ?? methods[this.state.method]).order;
        const ends = [0, 1].map((a) => {
          const values = [...picks.map((j) => columns[a][j]), ...stars[a]];
          return [Math.min(...values), Math.max(...values)];
        });
        return this.square(ends, 1.12);
      }
      const all = [0, 1].map((a) => {
        const values = [...columns[a], ...stars[a]];
        return [Math.min(...values), Math.max(...values)];
      });
      return this.square(all, 1.0);
    }

    square([[a, b], [c, d]], margin) { // one scale on both axes, whatever the shape of the drawing
      const [width, height] = this.size;
      const unit = (margin * Math.max((b - a) / width, (d - c) / height, 1e-6)) / 2;
      const [x, y] = [(a + b) / 2, (c + d) / 2];
      return [[x - unit * width, x + unit * width], [y - unit * height, y + unit * height]];
    }

    drawMap() {
      const { data, state, facts } = this, scene = data.scene(state), task = data.task(state), method = data.method(state);
      const [width, height] = this.size;
      const inside = ([x, y]) => x >= 0 && x <= width && y >= 0 && y <= height;
      const picked = new Set(facts.picks);
      const dots = scene.kinds.map(() => []);
      this.at.forEach((p, j) => {
        if (!picked.has(j) && inside(p)) dots[Number(task.kind[j])].push(`M${p[0].toFixed(1)} ${p[1].toFixed(1)}h0`);
      });
      const pool = group({ class: "pg-pool" }, ...dots.map((d, k) =>
        draw("path", { d: d.join("") || "M-9 -9h0", style: `--k:${scene.kinds[k].colour}`, class: scene.kinds[k].plain ? "pg-grey" : "" })));
      const dim = (query) => (this.query >= 0 && query !== this.query ? " pg-dim" : "");
      const lines = group({ class: "pg-lines" }), marks = group({ class: "pg-picks" });
      const fresh = this.drawn?.method === method && this.drawn.view === state.view ? this.drawn.budget : state.budget;
      for (let rank = facts.picks.length - 1; rank >= 0; rank--) { // the first pick lies on top
        const j = facts.picks[rank], k = Number(task.kind[j]), query = method.nearest[rank], [x, y] = this.at[j];
        if (this.starAt.length && (this.lines.checked || query === this.query)) {
          const [sx, sy] = this.starAt[query];
          lines.append(draw("path", { d: `M${x.toFixed(1)} ${y.toFixed(1)}L${sx.toFixed(1)} ${sy.toFixed(1)}`, class: dim(query).trim() }));
        }
        const place = group({ transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, "data-pick": String(j) });
        place.append(draw("path", { d: this.shape(k)(5), style: `--k:${scene.kinds[k].colour}`, class: `pg-pick${rank >= fresh ? " pg-new" : ""}${dim(query)}` }));
        marks.append(place);
      }
      this.drawn = { method, view: state.view, budget: state.budget };
      const stars = group({ class: "pg-stars" }, ...this.starAt.map(([x, y], i) => {
        const star = draw("path", { d: STAR, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, class: dim(i).trim() });
        return star;
      }));
      this.lines.disabled = !this.starAt.length; // no stars, no lines
      this.ring = draw("circle", { r: "10", class: "pg-ring" });
      const axes = state.view === "seen" ? this.seenAxes() : group({});
      this.map.replaceChildren(axes, pool, lines, marks, stars, this.ring);
      this.drawRing();
    }

    drawRing() {
      const at = this.chosen === null ? null : this.at[this.chosen];
      put(this.ring, at ? { cx: at[0].toFixed(1), cy: at[1].toFixed(1), visibility: "visible" } : { visibility: "hidden" }, []);
    }

    seenAxes() {
      const { seen } = this.data.cell(this.state), [width, height] = this.size, parts = [];
      seen.forEach(({ low, high }, a) => {
        const { at, places } = ticks(low, high, 5);
        for (const value of at) {
          const unit = (value - low) / (high - low);
          if (a) parts.push(draw("path", { d: `M44 ${this.axes.up(unit)}H${width - 10}` }), draw("text", { x: "38", y: String(this.axes.up(unit) + 4), "text-anchor": "end" }, digits(value, places)));
          else parts.push(draw("text", { x: String(this.axes.across(unit)), y: String(height - 16), "text-anchor": "middle" }, digits(value, places)));
        }
      });
      parts.push(draw("text", { x: String(width - 10), y: String(height - 2), "text-anchor": "end" }, "similarity to its nearest query →"));
      parts.push(draw("text", { x: "46", y: "12" }, "↑ mean similarity"));
      return group({ class: "pg-axes" }, ...parts);
    }

    drawW1() {
      const { data, state, facts } = this, cell = data.cell(state), budgets = this.budgets;
      const width = Math.max(200, this.w1.clientWidth || 300), height = 190, [left, right, top, bottom] = [44, 10, 8, 22];
      this.w1.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.w1.style.height = `${height}px`;
      const others = Object.entries(cell.methods).filter(([m]) => m !== state.method && m !== "random");
      const all = [...others.flatMap(([, m]) => m.w1), ...data.method(state).w1, ...cell.random.low, ...cell.random.high];
      const [low, high] = [Math.min(...all), Math.max(...all)], pad = 0.04 * (high - low || 1);
      const last = Math.log(budgets.at(-1)) || 1;
      this.w1X = (b) => left + (Math.log(b) / last) * (width - left - right);
      const y = (v) => top + ((high + pad - v) / (high - low + 2 * pad)) * (height - top - bottom);
      const path = (values) => values.map((v, i) => `${i ? "L" : "M"}${this.w1X(budgets[i]).toFixed(1)} ${y(v).toFixed(1)}`).join("");
      const axes = group({ class: "pg-axes" }), { at, places } = ticks(low, high, 4);
      for (const v of at) axes.append(draw("path", { d: `M${left} ${y(v).toFixed(1)}H${width - right}` }), draw("text", { x: String(left - 5), y: String(y(v) + 4), "text-anchor": "end" }, digits(v, places)));
      for (const b of [1, 3, 10, 30, 100, 300, 1000].filter((b) => b <= budgets.at(-1))) axes.append(draw("text", { x: String(this.w1X(b)), y: String(height - 5), "text-anchor": "middle" }, count(b)));
      const back = cell.random.high.map((v, i) => `L${this.w1X(budgets[i]).toFixed(1)} ${y(v).toFixed(1)}`).reverse().join("");
      const band = draw("path", { d: `${path(cell.random.low)}${back}z`, class: "pg-band" });
      const thin = others.map(([m, { w1 }]) => {
        const { colour, remark } = data.methods[m];
        const curve = draw("path", { d: path(w1), class: `pg-line pg-thin${remark ? " pg-variant" : ""}`, style: `--k:${colour}` });
        curve.append(draw("title", {}, data.name(m)));
        return curve;
      });
      const [x, mine, random] = [this.w1X(state.budget), y(facts.w1), y(facts.random.mean)].map((v) => v.toFixed(1));
      this.w1.replaceChildren(axes, band, ...thin,
        draw("path", { d: `M${x} ${top}V${height - bottom}`, class: "pg-cursor" }),
        draw("path", { d: path(cell.random.mean), class: "pg-line pg-random-line" }),
        draw("path", { d: path(data.method(state).w1), class: "pg-line pg-mine-line" }),
        draw("circle", { cx: x, cy: random, r: "4", class: "pg-random-dot" }), draw("circle", { cx: x, cy: mine, r: "5", class: "pg-mine-dot" }));
    }

    drawCover() {
      const { data, state, facts } = this, m = facts.share.length, size = data.scene(state).texts.length;
      const width = Math.max(200, this.cover.clientWidth || 300), [left, right, upper, middle, lower] = [44, 10, 92, 114, 202];
      this.cover.setAttribute("viewBox", `0 0 ${width} ${lower + 16}`);
      this.cover.style.height = `${lower + 16}px`;
      const slot = (width - left - right) / m, bar = Math.min(0.7 * slot, 26), x = (i) => left + (i + 0.5) * slot;
      const y = (rank) => 12 + (Math.log(rank) / Math.log(size)) * (upper - 14); // 1 on top, logarithmic
      const most = Math.max(...facts.share, 1 / m), h = (v) => lower - (v / most) * (lower - middle);
      const axes = group({ class: "pg-axes" });
      const line = (at, text) => axes.append(draw("path", { d: `M${left} ${at.toFixed(1)}H${width - right}` }), draw("text", { x: String(left - 5), y: String(at + 4), "text-anchor": "end" }, text));
      [1, 10, 100, 1000, 10000].filter((rank) => rank <= size).forEach((rank) => line(y(rank), count(rank)));
      ticks(0, most, 3).at.forEach((v) => line(h(v), percent(v)));
      const queries = facts.best.map(({ rank }, i) => {
        const column = group({ class: `pg-query${this.query >= 0 && i !== this.query ? " pg-dim" : ""}` },
          draw("rect", { x: String(x(i) - slot / 2), y: "0", width: String(slot), height: String(lower), class: "pg-hit" }),
          draw("path", { d: `M${x(i)} ${y(1).toFixed(1)}V${y(rank).toFixed(1)}`, class: "pg-gap" }),
          draw("circle", { cx: String(x(i)), cy: y(rank).toFixed(1), r: String(Math.min(4.5, slot / 2.6)), class: "pg-mine-dot" }),
          draw("rect", { x: String(x(i) - bar / 2), y: h(facts.share[i]).toFixed(1), width: String(bar), height: (lower - h(facts.share[i])).toFixed(1), class: "pg-bar" }));
        column.addEventListener("click", () => this.highlight(this.query === i ? -1 : i));
        return column;
      });
      const name = (i) => draw("text", { x: String(x(i)), y: String(lower + 13), "text-anchor": "middle", class: "pg-tick" }, String(i + 1));
      const names = group({ class: "pg-axes" }, ...facts.share.map((_, i) => i).filter((i) => slot > 15 || i % 2 === 0).map(name));
      this.cover.replaceChildren(axes, ...queries, draw("path", { d: `M${left} ${h(1 / m).toFixed(1)}H${width - right}`, class: "pg-equal" }), names);
    }
  }

  const start = () => document.querySelectorAll(".tis-playground").forEach((root) => new Playground(root));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
