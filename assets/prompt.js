/* The page of prompts: draws a text with what fires on it; keeps texts and choices in the address. */
(function () {
  "use strict";

  const LONGEST_IN_ADDRESS = 3000;
  const MOST_KEPT = 30;
  const CHIPS = 8;
  const COLOURS = 8;
  const MOST_PINS = 20;
  const PREFIX = "lightwell-text-";

  const lightwell = () => window.dash_clientside.lightwell;
  const byId = (id) => document.getElementById(id);
  const state = { data: null, pins: [], place: null, preview: null };
  let attempts = 0;

  function set(id, properties) {
    if (byId(id)) {
      window.dash_clientside.set_props(id, properties);
    }
  }

  /* Stores are no elements of the page. */
  function store(id, data) {
    window.dash_clientside.set_props(id, { data: data });
  }

  function make(kind, className, text) {
    const node = document.createElement(kind);
    node.className = className || "";
    if (text !== undefined) {
      node.textContent = text;
    }
    return node;
  }

  /* Texts that are too long for an address are kept in the browser, by a digest of their content. */
  function digest(text) {
    let a = 0xdeadbeef;
    let b = 0x41c6ce57;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      a = Math.imul(a ^ code, 2654435761);
      b = Math.imul(b ^ code, 1597334677);
    }
    return (a >>> 0).toString(36) + (b >>> 0).toString(36) + text.length.toString(36);
  }

  function keep(values) {
    const text = JSON.stringify(values);
    const name = digest(text);
    try {
      const old = Object.keys(window.localStorage).filter((key) => key.startsWith(PREFIX));
      const times = old.map((key) => [JSON.parse(window.localStorage.getItem(key)).time, key]).sort();
      times.slice(0, Math.max(0, times.length - MOST_KEPT + 1)).forEach((pair) => window.localStorage.removeItem(pair[1]));
      window.localStorage.setItem(PREFIX + name, JSON.stringify({ time: Date.now(), values: values }));
    } catch {
      return null;
    }
    return name;
  }

  function kept(name) {
    try {
      return JSON.parse(window.localStorage.getItem(PREFIX + name)).values;
    } catch {
      return null;
    }
  }

  /* Put texts into parameters: as they are where that fits, else by the name under which they are kept. */
  function write(parameters, texts) {
    for (const [name, text] of Object.entries(texts)) {
      parameters.set(name, text);
    }
    if (parameters.toString().length <= LONGEST_IN_ADDRESS) {
      return parameters;
    }
    Object.keys(texts).forEach((name) => parameters.delete(name));
    parameters.set("kept", keep(texts) || "refused");
    return parameters;
  }

  function isTooLong(id, text) {
    const field = byId(id);
    return text.length > Number((field && field.dataset.longest) || Infinity);
  }

  /* What an address asks for; texts that are kept in the browser come from there. */
  function promptAsked(address) {
    if (!address || !Object.keys(address).length) {
      return null;
    }
    if (!address.kept) {
      return address;
    }
    const texts = kept(address.kept);
    if (!texts || typeof texts.text !== "string") {
      return { lost: true };
    }
    set("prompt-text", { value: texts.text });
    return texts;
  }

  function promptRead(presses, text) {
    if (!presses) {
      return;
    }
    if (isTooLong("prompt-text", text || "")) {
      store("prompt-asked", { length: text.length, again: ++attempts });
      return;
    }
    const parameters = new URLSearchParams();
    if (state.pins.length) {
      parameters.set("pins", state.pins.join(","));
    }
    lightwell().visit("/prompt" + lightwell().readable(write(parameters, { text: text || "" })));
  }

  function contrastAsked(address) {
    if (!address || !address.kept) {
      return address || null;
    }
    const texts = kept(address.kept);
    if (!texts || typeof texts.a !== "string" || typeof texts.b !== "string") {
      return { lost: true };
    }
    set("contrast-a", { value: texts.a });
    set("contrast-b", { value: texts.b });
    return Object.assign({}, address, texts);
  }

  function contrastCompare(presses, a, b, source) {
    if (!presses) {
      return;
    }
    const texts = { a: a || "", b: b || "" };
    for (const [name, text] of Object.entries(texts)) {
      if (isTooLong("contrast-" + name, text)) {
        store("contrast-asked", { length: text.length, again: ++attempts });
        return;
      }
    }
    const parameters = new URLSearchParams({ mode: "contrast" });
    const chosen = { source: [source, "written"], split: [checked("contrast-split"), "lines"], measure: [checked("contrast-measure"), "texts"] };
    for (const [name, [value, standard]] of Object.entries(chosen)) {
      if (value && value !== standard) {
        parameters.set(name, value);
      }
    }
    lightwell().visit("/prompt" + lightwell().readable(write(parameters, texts)));
  }

  function checked(id) {
    const radio = byId(id) && byId(id).querySelector("input:checked");
    return radio ? radio.value : null;
  }

  /* Activations of one feature on every token; zero where it is silent. */
  function actsOf(feature) {
    const data = state.data;
    const acts = new Float32Array(data.indptr.length - 1);
    for (let row = 0; row < acts.length; row++) {
      for (let i = data.indptr[row]; i < data.indptr[row + 1]; i++) {
        if (data.features[i] === feature) {
          acts[row] = data.acts[i];
        }
      }
    }
    return acts;
  }

  function topOf(feature, acts) {
    const known = state.data.maxima[feature];
    return known || acts.reduce((a, b) => Math.max(a, b), 0) || 1;
  }

  const decimal = (value) => Number(value.toPrecision(4)).toString();
  const percent = (value) => Math.round(100 * value) + " %";

  function nameOf(feature) {
    const name = state.data.names[feature];
    return "feature " + feature + (name ? ": " + name : "");
  }

  function drawPrompt(data, pins, place) {
    const isNew = data !== state.data;
    Object.assign(state, { data: data, pins: pins || [], place: place });
    rememberPins();
    markPins();
    if (!data || !byId("prompt-tokens")) {
      return;
    }
    if (isNew || !byId("prompt-tokens").firstChild) {
      drawTokens();
      drawRows();
    }
    paint();
    markPlace();
  }

  /* Lines end where the text ends them; the sign stands for the newline itself. */
  const broken = (shown) => shown.replace(/↵/g, "↵\n");

  function drawTokens() {
    const box = byId("prompt-tokens");
    let row = 0;
    const parts = state.data.windows.map(function (window, number) {
      const part = document.createDocumentFragment();
      if (state.data.windows.length > 1) {
        part.append(make("span", "part", "part " + (number + 1)));
      }
      window.shown.forEach(function (shown, position) {
        const isRow = position >= window.special;
        const token = make("bdi", isRow ? "token" : "special", broken(shown));
        token.title = window.titles[position] + " · position " + position + (isRow ? "" : " · special: no activations");
        if (isRow) {
          token.dataset.row = row++;
          token.dataset.about = token.title;
          token.setAttribute("role", "button");
          token.tabIndex = -1;
        }
        part.append(token);
      });
      return part;
    });
    box.replaceChildren(...parts);
  }

  function drawRows() {
    const data = state.data;
    const labels = data.windows.flatMap((window) => window.labels.slice(window.special));
    const lines = labels.map(function (label, row) {
      const line = make("div", "prompt-row");
      const token = make("button", "token-chip plain row-token", label);
      token.dataset.row = row;
      line.append(token, chips(row));
      return line;
    });
    byId("prompt-rows").replaceChildren(...lines);
  }

  function chips(row) {
    const data = state.data;
    const order = [];
    for (let i = data.indptr[row]; i < data.indptr[row + 1]; i++) {
      order.push(i);
    }
    order.sort((a, b) => data.acts[b] - data.acts[a] || data.features[a] - data.features[b]);
    const box = make("div", "prompt-chips");
    order.slice(0, CHIPS).forEach((i) => box.append(chip(data.features[i], data.acts[i])));
    if (order.length > CHIPS) {
      const more = make("button", "more", "+" + (order.length - CHIPS));
      more.dataset.row = row;
      more.title = "All " + order.length + " features of this token";
      box.append(more);
    }
    return box;
  }

  function chip(feature, act) {
    const top = state.data.maxima[feature];
    const share = top ? Math.min(1, act / top) : 0;
    const link = make("a", "strength-chip");
    link.href = lightwell().base() + "/feature/" + feature;
    link.dataset.feature = feature;
    link.style.setProperty("--strength", share.toFixed(3));
    link.title = nameOf(feature) + " · activation " + decimal(act) + (top ? " · " + percent(act / top) + " of its maximum" : "");
    link.append(make("b", "", feature), make("span", "", decimal(act)));
    const name = state.data.names[feature];
    if (name) {
      link.append(make("span", "feature-name", name));
    }
    return link;
  }

  /* Colour the text by what is pinned, and by the feature that is pointed at. */
  function paint() {
    const shown = state.preview === null ? state.pins : [state.preview];
    const layers = shown.map(function (feature) {
      const acts = actsOf(feature);
      const pin = state.pins.indexOf(feature);
      return { feature: feature, acts: acts, top: topOf(feature, acts), colour: pin < 0 ? "preview" : pin % COLOURS };
    });
    document.querySelectorAll("#prompt-tokens .token").forEach(function (token) {
      const row = Number(token.dataset.row);
      const firing = layers.filter((layer) => layer.acts[row] > 0);
      token.style.background = bands(firing, row);
      const about = firing.map((layer) => layer.feature + ": " + decimal(layer.acts[row]));
      token.title = [token.dataset.about].concat(about).join(" · ");
    });
    drawLegend(layers);
  }

  function bands(firing, row) {
    if (!firing.length) {
      return "";
    }
    const stops = firing.map(function (layer, i) {
      const depth = 0.12 + 0.48 * Math.min(1, layer.acts[row] / layer.top);
      const colour = "rgba(var(--pin-" + layer.colour + "), " + depth.toFixed(3) + ")";
      return colour + " " + (100 * i) / firing.length + "% " + (100 * (i + 1)) / firing.length + "%";
    });
    return "linear-gradient(" + stops.join(", ") + ")";
  }

  function drawLegend(layers) {
    const legend = byId("prompt-legend");
    if (!layers.length) {
      legend.replaceChildren(make("span", "dim", "Point at a feature to see where it fires; pin it to keep the colour."));
      return;
    }
    const entries = layers.map(function (layer) {
      const entry = make("span", "legend-entry");
      const swatch = make("span", "swatch");
      swatch.style.background = "rgb(var(--pin-" + layer.colour + "))";
      const link = make("a", "feature-link", nameOf(layer.feature));
      link.href = lightwell().base() + "/feature/" + layer.feature;
      const n = layer.acts.reduce((count, act) => count + (act > 0), 0);
      entry.append(swatch, link, make("span", "dim", n ? "on " + n + (n === 1 ? " token" : " tokens") : "silent here"));
      if (state.preview === null) {
        const unpin = make("button", "pin-button", "unpin");
        unpin.dataset.pin = layer.feature;
        entry.append(unpin);
      }
      return entry;
    });
    legend.replaceChildren(...entries);
  }

  function markPlace() {
    const n = state.data.indptr.length - 1;
    const chosen = state.place === null || state.place === undefined ? n - 1 : state.place;
    document.querySelectorAll("#prompt-tokens .token, #prompt-rows .prompt-row").forEach(function (node) {
      const own = node.dataset.row === undefined ? node.firstChild.dataset.row : node.dataset.row;
      const isHere = Number(own) === chosen;
      node.classList.toggle("here", isHere);
      if (isHere) {
        reveal(node);
      }
      if (node.dataset.row !== undefined) {
        node.tabIndex = isHere ? 0 : -1;
        node.setAttribute("aria-pressed", String(isHere));
      }
    });
  }

  /* Within its own box; the page stays where it is. */
  function reveal(node) {
    const box = node.parentNode.getBoundingClientRect();
    const own = node.getBoundingClientRect();
    if (own.top < box.top || own.bottom > box.bottom) {
      node.parentNode.scrollTop += own.top - box.top - box.height / 3;
    }
  }

  function markPins() {
    document.querySelectorAll("button.pin-button[data-pin]").forEach(function (button) {
      const isPinned = state.pins.includes(Number(button.dataset.pin));
      const text = isPinned ? "unpin" : "pin";
      if (button.textContent !== text) {
        button.textContent = text;
      }
      button.classList.toggle("on", isPinned);
      button.disabled = !isPinned && state.pins.length >= MOST_PINS;
    });
  }

  function rememberPins() {
    if (byId("prompt-pins-field")) {
      lightwell().remember("feature", undefined);
      lightwell().remember("pins", state.pins.length ? state.pins.join(",") : undefined);
    }
  }

  function togglePin(feature) {
    const isPinned = state.pins.includes(feature);
    const pins = isPinned ? state.pins.filter((pin) => pin !== feature) : state.pins.concat([feature]);
    set("prompt-pins-field", { value: pins.join(", ") });
  }

  function choosePlace(row) {
    lightwell().remember("token", String(row));
    store("prompt-place", row);
  }

  function chooseNext(token) {
    const chosen = token === null || token === undefined || token === "" ? undefined : String(token);
    lightwell().remember("next", chosen);
    store("prompt-next", chosen === undefined ? null : Number(chosen));
  }

  const clientside = (window.dash_clientside = window.dash_clientside || {});
  clientside.lightwell = Object.assign(clientside.lightwell || {}, {
    promptAsked: promptAsked,
    promptRead: promptRead,
    promptNext: (token) => (token ? chooseNext(token) : undefined),
    drawPrompt: drawPrompt,
    contrastAsked: contrastAsked,
    contrastCompare: contrastCompare,
    remember_measure: (value) => lightwell().remember("measure", value, "texts"),
    /* For other pages on which a text is written. */
    keepTexts: keep,
    keptTexts: kept,
    isTooLong: isTooLong,
  });

  document.addEventListener("click", function (event) {
    const target = event.target.closest && event.target.closest("[data-pin], [data-next], [data-row], button.again");
    if (!target) {
      return;
    }
    if (target.dataset.pin !== undefined) {
      togglePin(Number(target.dataset.pin));
    } else if (target.classList.contains("next-token")) {
      chooseNext(target.dataset.next);
    } else if (target.dataset.row !== undefined && byId("prompt-tokens")) {
      choosePlace(Number(target.dataset.row));
    } else if (target.classList.contains("again")) {
      again(target);
    }
  });

  /* Ask once more, after the model's process has died. */
  function again(button) {
    const inside = (id) => button.closest("#" + id);
    if (inside("prompt-token")) {
      store("prompt-place", null);
    } else if (inside("prompt-results") || inside("contrast-results")) {
      window.location.reload();
    }
  }

  /* A feature's link within the app loads no page anew; the ones drawn here are plain links. */
  document.addEventListener("click", function (event) {
    const link = event.target.closest && event.target.closest("a.strength-chip, .legend-entry a");
    const plain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button);
    if (link && plain) {
      event.preventDefault();
      lightwell().visit(link.pathname.slice(lightwell().base().length));
    }
  });

  for (const [begin, end] of [
    ["mouseover", "mouseout"],
    ["focusin", "focusout"],
  ]) {
    const featureOf = function (event) {
      const node = event.target.closest && event.target.closest("#prompt-results [data-feature]");
      return node && state.data ? Number(node.dataset.feature) : null;
    };
    document.addEventListener(begin, function (event) {
      const feature = featureOf(event);
      if (feature !== null && feature !== state.preview) {
        state.preview = feature;
        paint();
      }
    });
    document.addEventListener(end, function (event) {
      if (featureOf(event) !== null) {
        state.preview = null;
        paint();
      }
    });
  }

  /* Pin buttons that come with a panel are told which of them are on. */
  new MutationObserver(function () {
    if (byId("prompt-results")) {
      markPins();
    }
  }).observe(document.documentElement, { childList: true, subtree: true });

  document.addEventListener("keydown", function (event) {
    const isField = event.target.tagName === "TEXTAREA";
    if (isField && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const names = { "prompt-text": "prompt-read", "contrast-a": "contrast-compare", "contrast-b": "contrast-compare" };
      const button = byId(names[event.target.id] || "");
      if (button) {
        event.preventDefault();
        /* The value reaches the app with the field's last change, before the click does. */
        window.setTimeout(() => button.click(), 0);
      }
    }
  });

  document.addEventListener(
    "keydown",
    function (event) {
      const token = event.target.closest && event.target.closest("#prompt-tokens .token");
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!token || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) {
        return;
      }
      const row = Number(token.dataset.row) + (step || 0);
      const other = document.querySelector("#prompt-tokens .token[data-row='" + row + "']");
      if (other && (step || event.key === "Enter" || event.key === " ")) {
        event.preventDefault();
        event.stopPropagation();
        choosePlace(row);
        other.focus();
      }
    },
    true
  );
})();
