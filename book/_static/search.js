// Search: sections and excerpts, ranked in the page itself, so that it works from disk.
(() => {
  const here = document.currentScript.src;
    // How many pages, and sections of each: on the page of results, and below the field while one types.
  const RESULTS = { most: Infinity, each: 4 };
  const SUGGESTIONS = { most: 4, each: 2 };
  const LENGTH = 220; // characters of an excerpt
  // Chapters explain; the glossary defines; the list of functions and of works only names.
  const WEIGHTS = [[/^chapters\//, 2], [/^(api|bibliography|paper_map|status)/, 0.5]];

  const COMMON = new Set("a an and are as at be by can do does for from how i if in is it many much my of on or our should that the this to we what when where which who why will with you your".split(" "));

  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const split = (text) => plain(text).match(/[\p{L}\p{N}]+/gu) ?? [];
  // Endings that do not change what a word is about: overfitting, overfits and overfitted are looked for as "overfit".
  function stem(word) {
    if (word.length < 4) return word;
    if (/ies$/.test(word)) return word.replace(/ies$/, "y");
    const short = word.replace(/(?:ings?|ed|es|(?<![su])s|e)$/, "");
    if (short.length < 3) return word;
    return /(?:ings?|ed)$/.test(word) ? short.replace(/([bdgmnprt])\1$/, "$1").replace(/(?<=...)e$/, "") : short;
  }

  // --- the index: loaded once, when somebody starts to search ------------------------------------------
  let loading;
  function load() {
    loading ??= new Promise((done, fail) => {
      window.tisSearch = (pages) => done(index(pages));
      const script = document.createElement("script");
      script.src = new URL("search_entries.js", here).href;
      script.onerror = fail;
      document.head.append(script);
    });
    return loading;
  }

  function index(pages) {
    const entries = pages.flatMap(([address, page, parts]) => parts.map(([anchor, title, text]) => {
      const words = split(text).map(stem);
      const counts = new Map();
      for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
      const names = split(title).map(stem);
      const weight = WEIGHTS.find(([pattern]) => pattern.test(address))?.[1] ?? 1;
      return { address, page, anchor, title, text, counts, weight, length: words.length, names, about: split(page).map(stem),
        run: ` ${words.join(" ")} `, name: ` ${names.join(" ")} ` };
    }));
    const mean = entries.reduce((sum, entry) => sum + entry.length, 0) / entries.length;
    return { entries, mean };
  }

  // --- ranking ----------------------------------------------------------------------------------------
  // A word counts fully, the beginning of a word half: readers see results before they have typed the end.
  const like = (word, query) => (word === query ? 1 : query.length > 2 && word.startsWith(query) ? 0.5 : 0);
  const best = (words, query) => words.reduce((most, word) => Math.max(most, like(word, query)), 0);

  function hits(entry, query, mean) {
    let count = 0;
    for (const [word, times] of entry.counts) count += times * like(word, query);
    const often = count / (count + 0.5 + (1.5 * entry.length) / mean);
    return { text: often, title: best(entry.names, query), page: best(entry.about, query) };
  }

  function rank({ entries, mean }, text) {
    const words = split(text);
    const telling = words.filter((word) => !COMMON.has(word));
    const query = [...new Set((telling.length ? telling : words).map(stem))];
    if (!query.length) return { results: [], all: true, query };
    const found = entries.map((entry) => query.map((word) => hits(entry, word, mean)));
    const rarity = query.map((_, q) => {
      const having = found.filter((row) => row[q].text || row[q].title).length;
      return Math.log(1 + (entries.length - having + 0.5) / (having + 0.5));
    });
    const phrase = ` ${query.join(" ")} `;
    const scored = entries.map((entry, e) => {
      const hit = found[e];
      const here = hit.map(({ text, title }) => text > 0 || title > 0);
      // A title counts the more, the less else it names.
      const naming = 1 + entry.names.filter((name) => query.some((word) => like(name, word))).length / (entry.names.length || 1);
      const sum = hit.reduce((total, { text, title, page }, q) => total + rarity[q] * (text + naming * title + 0.4 * page), 0);
      const together = query.length > 1 && (entry.run.includes(phrase) || entry.name.includes(phrase));
      const exact = entry.name === phrase;
      const some = here.some(Boolean);
      const all = some && hit.every(({ page }, q) => here[q] || page > 0);
      return { entry, exact, some, all, score: entry.weight * sum * (together ? 2 : 1) * (exact ? 1.5 : 1) };
    });
    const all = scored.filter((result) => result.all);
    const chosen = all.length ? all : scored.filter((result) => result.some);
    return { results: chosen.sort((a, b) => b.score - a.score), all: all.length > 0, query };
  }

  // The best sections of each page, pages in the order of their best; what the glossary says of the very words comes second
  // at the latest.
  function byPage(results, most) {
    const pages = new Map();
    for (const { entry } of results) {
      if (!pages.has(entry.address)) pages.set(entry.address, []);
      pages.get(entry.address).push(entry);
    }
    const order = [...pages.values()];
    const defined = results.find(({ entry, exact }) => exact && entry.address.startsWith("glossary"));
    const place = defined ? order.findIndex(([first]) => first.address === defined.entry.address) : 0;
    if (place > 1) order.splice(1, 0, ...order.splice(place, 1));
    const own = (entry) => (entry.title === entry.page ? 0 : 1); // a page's beginning stands before its sections
    return order.map((entries) => entries.slice(0, most).sort((one, other) => own(one) - own(other)));
  }

  // --- what one sees ----------------------------------------------------------------------------------
  function element(name, content = "", className = "") {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.append(...[content].flat());
    return made;
  }

  // The part of a text where most of the words stand, with the words marked.
  function excerpt(text, query) {
    const spots = [...text.matchAll(/[\p{L}\p{N}]+/gu)]
      .map((match) => ({ at: match.index, word: match[0], hit: split(match[0]).map(stem).findIndex((w) => query.some((q) => like(w, q))) >= 0 }))
      .filter((spot) => spot.hit);
    const count = (start) => spots.filter(({ at }) => at >= start && at < start + LENGTH - 40).length;
    const centre = spots.reduce((top, { at }) => (count(at) > count(top) ? at : top), spots[0]?.at ?? 0);
    let from = Math.max(0, Math.min(centre - 60, text.length - LENGTH));
    if (from) from = text.indexOf(" ", from) + 1;
    const end = text.length - from <= LENGTH ? text.length : text.lastIndexOf(" ", from + LENGTH);
    const parts = [from ? "… " : ""];
    let last = from;
    for (const { at, word } of spots) {
      if (at < from || at + word.length > end) continue;
      parts.push(text.slice(last, at), element("mark", word));
      last = at + word.length;
    }
    return [...parts, text.slice(last, end), end < text.length ? " …" : ""];
  }

  function link(text, address) {
    const made = element("a", text);
    made.href = new URL(`../${address}`, here).href;
    return made;
  }

  // A page's own beginning stands below the link to the page.
  function item(entry, query) {
    const name = entry.title === entry.page ? [] : [link(entry.title || "Entry", `${entry.address}#${entry.anchor}`)];
    return element("li", [...name, element("p", excerpt(entry.text, query), "tis-excerpt")]);
  }

  function message({ results, all }, text) {
    if (!text.trim()) return "";
    if (!results.length) return `Nothing in this book has “${text}”. Try a shorter or another word; the glossary lists the book's own.`;
    const pages = new Set(results.map(({ entry }) => entry.address)).size;
    const where = `${results.length} section${results.length > 1 ? "s" : ""} on ${pages} page${pages > 1 ? "s" : ""}`;
    return all ? where : `No section has all of these words; ${where} with some of them`;
  }

  function show(box, found, text, { most, each }) {
    const pages = byPage(found.results, each).slice(0, most);
    const list = element("ol", [], "tis-found");
    for (const entries of pages) {
      const items = entries.map((entry) => item(entry, found.query));
      list.append(element("li", [element("p", link(entries[0].page, entries[0].address), "tis-found-page"), element("ul", items)]));
    }
    const status = element("p", message(found, text), "tis-found-status");
    status.setAttribute("role", "status");
    box.replaceChildren(status, ...(pages.length ? [list] : []));
  }

  async function answer(field, box, limits) {
    const text = field.value;
    try {
      const book = await load();
      if (field.value === text) show(box, rank(book, text), text, limits);
    } catch {
      box.replaceChildren(element("p", "The search index of this book (_static/search_entries.js) cannot be read. Build the book again."));
    }
  }

  function connect(form) {
    const field = form.querySelector('input[name="q"]');
    if (!field) return;
    const own = document.getElementById("search-results");
    const onPage = own && !form.closest("dialog");
    const box = onPage ? own : element("div", [], "tis-suggestions");
    const limits = onPage ? RESULTS : SUGGESTIONS;
    if (!onPage) form.after(box);
    field.addEventListener("input", () => answer(field, box, limits));
    if (!onPage) return;
    field.value = new URLSearchParams(location.search).get("q") ?? "";
    if (field.value) answer(field, box, limits);
  }

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("form.bd-search").forEach(connect));
})();
