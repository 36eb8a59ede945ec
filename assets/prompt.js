/* The page of prompts: draws a text with what fires on it; pins and the chosen token are kept in the address. */
(function () {
  "use strict";

  const COLOURS = 8;
  const MOST_PINS = 20;
  const lightwell = () => window.dash_clientside.lightwell;
  const pieces = () => lightwell().promptPieces;
  const byId = (id) => document.getElementById(id);
  const state = { data: null, pins: [], place: null, preview: null };

  /* Stores are no elements of the page. */
  function store(id, data) {
    window.dash_clientside.set_props(id, { data: data });
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
      byId("prompt-tokens").replaceChildren(...pieces().tokens(data));
      byId("prompt-rows").replaceChildren(...pieces().rows(data));
    }
    paint();
    markPlace();
  }

  /* Colour the text by what is pinned, and by the feature that is pointed at. */
  function paint() {
    const shown = state.preview === null ? state.pins : [state.preview];
    const layers = shown.map(function (feature) {
      const acts = pieces().actsOf(state.data, feature);
      const pin = state.pins.indexOf(feature);
      return { feature: feature, acts: acts, top: pieces().topOf(state.data, feature, acts), colour: pin < 0 ? "preview" : pin % COLOURS };
    });
    document.querySelectorAll("#prompt-tokens .token").forEach(function (token) {
      const row = Number(token.dataset.row);
      const firing = layers.filter((layer) => layer.acts[row] > 0);
      token.style.background = pieces().bands(firing, row);
      const about = firing.map((layer) => layer.feature + ": " + pieces().decimal(layer.acts[row]));
      token.title = [token.dataset.about].concat(about).join(" · ");
    });
    byId("prompt-legend").replaceChildren(...pieces().legend(state.data, layers, state.preview === null));
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
    lightwell().setIfThere("prompt-pins-field", { value: pins.join(", ") });
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
    promptNext: (token) => (token ? chooseNext(token) : undefined),
    drawPrompt: drawPrompt,
    promptPins: () => state.pins,
  });

  document.addEventListener("click", function (event) {
    const target = event.target.closest && event.target.closest("[data-pin], [data-next], [data-row]");
    if (!target) {
      return;
    }
    if (target.dataset.pin !== undefined) {
      togglePin(Number(target.dataset.pin));
    } else if (target.classList.contains("next-token")) {
      chooseNext(target.dataset.next);
    } else if (target.dataset.row !== undefined && byId("prompt-tokens")) {
      choosePlace(Number(target.dataset.row));
    }
  });

  /* A feature's link within the app loads no page anew; the ones drawn here are plain links. */
  document.addEventListener("click", function (event) {
    const link = event.target.closest && event.target.closest("a.strength-chip, .legend-entry a");
    if (link && lightwell().isPlainClick(event)) {
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

  document.addEventListener(
    "keydown",
    function (event) {
      const token = event.target.closest && event.target.closest("#prompt-tokens .token");
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!token || lightwell().hasModifier(event)) {
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
