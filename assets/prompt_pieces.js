/* What the page of prompts is drawn with: elements made of a text and of what fires on it. */
(function () {
  "use strict";

  const CHIPS = 8;
  const lightwell = () => window.dash_clientside.lightwell;

  function make(kind, className, text) {
    const node = document.createElement(kind);
    node.className = className || "";
    if (text !== undefined) {
      node.textContent = text;
    }
    return node;
  }

  /* Activations of one feature on every token; zero where it is silent. */
  function actsOf(data, feature) {
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

  function topOf(data, feature, acts) {
    const known = data.maxima[feature];
    return known || acts.reduce((a, b) => Math.max(a, b), 0) || 1;
  }

  const decimal = (value) => Number(value.toPrecision(4)).toString();
  const percent = (value) => Math.round(100 * value) + " %";

  function nameOf(data, feature) {
    const name = data.names[feature];
    return "feature " + feature + (name ? ": " + name : "");
  }

  /* Lines end where the text ends them; the sign stands for the newline itself. */
  const broken = (shown) => shown.replace(/↵/g, "↵\n");

  function tokens(data) {
    let row = 0;
    return data.windows.map(function (window, number) {
      const part = document.createDocumentFragment();
      if (data.windows.length > 1) {
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
  }

  function rows(data) {
    const labels = data.windows.flatMap((window) => window.labels.slice(window.special));
    return labels.map(function (label, row) {
      const line = make("div", "prompt-row");
      const token = make("button", "token-chip plain row-token", label);
      token.dataset.row = row;
      line.append(token, chips(data, row));
      return line;
    });
  }

  function chips(data, row) {
    const order = [];
    for (let i = data.indptr[row]; i < data.indptr[row + 1]; i++) {
      order.push(i);
    }
    order.sort((a, b) => data.acts[b] - data.acts[a] || data.features[a] - data.features[b]);
    const box = make("div", "prompt-chips");
    order.slice(0, CHIPS).forEach((i) => box.append(chip(data, data.features[i], data.acts[i])));
    if (order.length > CHIPS) {
      const more = make("button", "more", "+" + (order.length - CHIPS));
      more.dataset.row = row;
      more.title = "All " + order.length + " features of this token";
      box.append(more);
    }
    return box;
  }

  function chip(data, feature, act) {
    const top = data.maxima[feature];
    const share = top ? Math.min(1, act / top) : 0;
    const link = make("a", "strength-chip");
    link.href = lightwell().base() + "/feature/" + feature;
    link.dataset.feature = feature;
    link.style.setProperty("--strength", share.toFixed(3));
    link.title = nameOf(data, feature) + " · activation " + decimal(act) + (top ? " · " + percent(act / top) + " of its maximum" : "");
    link.append(make("b", "", feature), make("span", "", decimal(act)));
    const name = data.names[feature];
    if (name) {
      link.append(make("span", "feature-name", name));
    }
    return link;
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

  /* What the colours stand for; `isKept` where the features are pinned rather than pointed at. */
  function legend(data, layers, isKept) {
    if (!layers.length) {
      return [make("span", "dim", "Point at a feature to see where it fires; pin it to keep the colour.")];
    }
    return layers.map(function (layer) {
      const entry = make("span", "legend-entry");
      const swatch = make("span", "swatch");
      swatch.style.background = "rgb(var(--pin-" + layer.colour + "))";
      const link = make("a", "feature-link", nameOf(data, layer.feature));
      link.href = lightwell().base() + "/feature/" + layer.feature;
      const n = layer.acts.reduce((count, act) => count + (act > 0), 0);
      entry.append(swatch, link, make("span", "dim", n ? "on " + n + (n === 1 ? " token" : " tokens") : "silent here"));
      if (isKept) {
        const unpin = make("button", "pin-button", "unpin");
        unpin.dataset.pin = layer.feature;
        entry.append(unpin);
      }
      return entry;
    });
  }

  const app = (window.dash_clientside = window.dash_clientside || {});
  app.lightwell = Object.assign(app.lightwell || {}, {
    promptPieces: { tokens, rows, legend, bands, actsOf, topOf, decimal },
  });
})();
