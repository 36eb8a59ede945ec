// Draws the features that are packed in this file; nothing is fetched from anywhere.
(() => {
  "use strict";
  const ROW = 34;
  const MARKS = { " ": "␣", "\n": "↵", "\t": "⇥" };
  const LONGEST = 120;
  const NAMED = /^[\p{C}\p{Z}␣↵⇥⟨⟩\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0f\u{e0100}-\u{e01ef}]$/u;
  const COMBINING = /^\p{M}$/u;
  const byId = (id) => document.getElementById(id);
  const unpacked = new Map();
  let about, rows, tokens, shown = [], places = new Map();

  /** What is packed in a script element of that id. */
  function unpack(id) {
    if (!unpacked.has(id)) {
      const bytes = Uint8Array.from(atob(byId(`packed-${id}`).textContent), (c) => c.charCodeAt(0));
      const gzip = new DecompressionStream("gzip"), writer = gzip.writable.getWriter();
      writer.write(bytes).catch(() => {}); // What is wrong with the bytes is told by the one who reads.
      writer.close().catch(() => {});
      unpacked.set(id, new Response(gzip.readable).json());
    }
    return unpacked.get(id);
  }

  /** A token as it must be seen: what is invisible gets a sign or its code point. */
  function visible(token, keepSpaces) {
    if (token === "") return "⟨empty⟩";
    const characters = [...token], hidden = characters.length - LONGEST;
    let shown = "", afterBase = false;
    for (const c of characters.slice(0, LONGEST)) {
      const named = NAMED.test(c) || (COMBINING.test(c) && !afterBase);
      if ((c === " " && keepSpaces) || !(c in MARKS || named)) shown += c;
      else shown += MARKS[c] || `⟨U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
      afterBase = !named && !(c in MARKS);
    }
    return hidden > 0 ? `${shown}⟨${hidden.toLocaleString("en")} more characters⟩` : shown;
  }

  /** An element with a class, and texts or elements in it. */
  function make(tag, className, ...children) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...children);
    return element;
  }

  const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en", { maximumSignificantDigits: 4 }));
  const percent = (value) => (value === null || value === undefined ? "–" : `${number(100 * value)} %`);

  function tiles(record) {
    const s = record.statistics;
    const list = make("dl", "tiles");
    const facts = [
      ["Active rows", number(s.n_nonzero)], ["of all rows", percent(s.frac_active)], ["Strongest", number(s.max)],
      ["Mean, where active", number(s.mean_active)], ["Median", number(s.median)],
      ["Quartiles", `${number(s.q25)} to ${number(s.q75)}`],
    ];
    for (const [name, value] of facts) list.append(make("div", "", make("dt", "", name), make("dd", "", value)));
    return make("section", "statistics", list);
  }

  function drawing(tag, attributes, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  function histogram(found) {
    const section = make("section", "histogram", make("h3", "", "How strongly it fires"));
    if (!found) return section.append(make("p", "dim", "It never fires, or its histogram is not computed.")), section;
    const width = 640, height = 150, left = 56, bottom = 34, most = Math.max(...found.counts, 1);
    const svg = drawing("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", preserveAspectRatio: "none" });
    svg.append(drawing("title", {}, `Histogram of ${found.counts.length} bins from ${found.low} to ${found.high}`));
    const step = (width - left) / found.counts.length;
    found.counts.forEach((count, i) => {
      const tall = ((height - bottom - 8) * count) / most;
      const bar = drawing("rect", { x: left + i * step, y: height - bottom - tall, width: Math.max(step - 1, 0.5), height: tall });
      bar.append(drawing("title", {}, `${number(count)} rows`));
      svg.append(bar);
    });
    svg.append(drawing("line", { x1: left, x2: width, y1: height - bottom, y2: height - bottom }));
    const words = [
      [left, height - 19, "start", number(found.low)], [width, height - 19, "end", number(found.high)],
      [(width + left) / 2, height - 4, "middle", "activation"], [left - 6, 16, "end", number(most)],
      [left - 6, height - bottom, "end", "0 rows"],
    ];
    for (const [x, y, anchor, text] of words) svg.append(drawing("text", { x, y, "text-anchor": anchor }, text));
    svg.setAttribute("preserveAspectRatio", "xMidYMid meet");
    section.append(svg);
    return section;
  }

  function table(title, unit, lines, first) {
    const head = make("thead", "", make("tr", "", make("th", "", title), make("th", "", unit)));
    const body = make("tbody", "");
    for (const [key, value] of lines) body.append(make("tr", "", make("td", "", first(key)), make("td", "", number(value))));
    if (!lines.length) body.append(make("tr", "", make("td", "dim", "None, or not computed."), make("td", "")));
    return make("table", "", head, body);
  }

  const chip = (place) => make("code", "", visible(tokens[place], false));
  function link(feature) {
    if (!places.has(feature)) return make("span", "", String(feature));
    const anchor = make("a", "", String(feature));
    anchor.href = `#${feature}`;
    return anchor;
  }

  function example(found, most) {
    const acts = new Map(found.acts);
    const text = make("div", "text");
    if (found.before) text.append(make("span", "dim", "… "));
    found.tokens.forEach((place, i) => {
      const act = acts.get(i) || 0;
      const token = make("span", i === found.at ? "at" : "", visible(tokens[place], true));
      if (act) token.style.background = `rgba(var(--glow), ${(0.12 + (0.7 * act) / (most || act)).toFixed(3)})`;
      token.title = act ? `activation ${number(act)}` : "silent";
      text.append(token, about.between_tokens);
    });
    if (found.after) text.append(make("span", "dim", " …"));
    return text;
  }

  function draw(record) {
    const title = make("h2", "", `Feature ${record.feature}`);
    const words = [record.label && record.label.label, record.label && record.label.category, record.cluster && `cluster: ${record.cluster}`];
    const said = make("p", "dim", words.filter(Boolean).join(" · ") || "no label");
    const notes = record.label && record.label.notes ? [make("p", "", record.label.notes)] : [];
    const effects = make("section", "effects", make("h3", "", "What it does to the next token"), make("div", "pair",
      table("Promotes", "logits", record.promotes, chip), table("Suppresses", "logits", record.suppresses, chip)));
    const texts = make("section", "examples", make("h3", "", "Where it fires most"));
    const most = record.statistics.max;
    texts.append(...record.examples.map((found) => example(found, most)));
    if (!record.examples.length) texts.append(make("p", "dim", "No examples: it never fires, or they are not computed."));
    const related = make("section", "related", make("h3", "", "Related features"), make("div", "pair",
      table("Nearest directions", "cosine", record.neighbors, link), table("Fires on the same rows", "Jaccard", record.coactivations, link)));
    byId("main").replaceChildren(title, said, ...notes, tiles(record), histogram(record.histogram), effects, texts, related);
    byId("main").scrollTop = 0;
  }

  /** The feature that the address names, or the first of the list. */
  async function open() {
    const asked = Number(location.hash.slice(1));
    const feature = location.hash.length > 1 ? asked : rows[0][0];
    const place = places.get(feature);
    if (place === undefined) {
      byId("main").replaceChildren(make("p", "", `This file holds no feature ${location.hash.slice(1)}; choose one from the list.`));
      return;
    }
    const block = await unpack(`block-${Math.floor(place / about.features_per_block)}`);
    draw(block[place % about.features_per_block]);
    document.title = `Feature ${feature} · ${about.name}`;
    mark(feature);
  }

  const here = () => (location.hash.length > 1 ? Number(location.hash.slice(1)) : rows[0][0]);

  function mark(feature) {
    const at = shown.findIndex((row) => row[0] === feature);
    const list = byId("list"), top = at * ROW;
    if (at >= 0 && (top < list.scrollTop || top + ROW > list.scrollTop + list.clientHeight)) list.scrollTop = Math.max(0, top - list.clientHeight / 2);
    drawList();
  }

  /** Only the rows in view are elements, however many there are. */
  function drawList() {
    const list = byId("list"), first = Math.max(0, Math.floor(list.scrollTop / ROW) - 3);
    const last = Math.min(shown.length, first + Math.ceil(list.clientHeight / ROW) + 8), current = here();
    byId("spacer").style.height = `${shown.length * ROW}px`;
    list.querySelectorAll(".row").forEach((row) => row.remove());
    for (let i = first; i < last; i += 1) {
      const [feature, label, frequency, , promoted] = shown[i];
      const words = label || promoted.map((place) => visible(tokens[place], false)).join("  ") || "–";
      const row = make("a", feature === current ? "row here" : "row", make("b", "", String(feature)), make("span", label ? "" : "dim", words));
      row.href = `#${feature}`;
      row.style.top = `${i * ROW}px`;
      row.title = `active on ${percent(frequency)} of the rows`;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", String(feature === current));
      list.append(row);
    }
  }

  const ORDERS = {
    number: (a, b) => a[0] - b[0], frequency: (a, b) => b[2] - a[2] || a[0] - b[0],
    rare: (a, b) => (a[2] || Infinity) - (b[2] || Infinity) || a[0] - b[0], max: (a, b) => b[3] - a[3] || a[0] - b[0],
  };

  function filter() {
    const asked = byId("search").value.trim().toLowerCase();
    const has = (row) => String(row[0]) === asked || row[1].toLowerCase().includes(asked) || row[4].some((place) => tokens[place].toLowerCase().includes(asked));
    shown = rows.filter((row) => !asked || has(row)).sort(ORDERS[byId("order").value]);
    byId("found").textContent = `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} features`;
    byId("list").scrollTop = 0;
    drawList();
  }

  function step(by) {
    const at = shown.findIndex((row) => row[0] === here());
    const next = shown[Math.min(shown.length - 1, Math.max(0, at + by))];
    if (next) location.hash = `#${next[0]}`;
  }

  function dress(scheme) {
    document.documentElement.dataset.scheme = scheme;
    byId("scheme").textContent = scheme === "dark" ? "Light" : "Dark";
  }

  async function start() {
    dress(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    byId("scheme").onclick = () => dress(document.documentElement.dataset.scheme === "dark" ? "light" : "dark");
    [about, rows, tokens] = await Promise.all([unpack("about"), unpack("rows"), unpack("tokens")]);
    places = new Map(rows.map((row, i) => [row[0], i]));
    document.body.classList.toggle("single", rows.length === 1);
    byId("about").textContent = `${about.n_shown.toLocaleString("en")} of ${about.d_sae.toLocaleString("en")} features, on ${about.n_rows.toLocaleString("en")} rows of ${about.n_examples.toLocaleString("en")} examples`;
    byId("search").oninput = filter;
    byId("order").onchange = filter;
    byId("list").onscroll = drawList;
    addEventListener("resize", drawList);
    addEventListener("hashchange", open);
    addEventListener("keydown", (event) => {
      if (event.target.matches("input, select")) return;
      if (event.key === "ArrowRight") step(1);
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "/") { event.preventDefault(); byId("search").focus(); }
    });
    filter();
    await open();
  }

  start().catch((error) => byId("main").replaceChildren(make("p", "", `The features could not be unpacked: ${error}. A newer browser may be needed.`)));
})();
