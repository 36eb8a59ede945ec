/* Texts that people write: in the address, or, where they are too long for one, kept in this browser. */
(function () {
  "use strict";

  const LONGEST_IN_ADDRESS = 3000;
  const MOST_KEPT = 30;
  const PREFIX = "lightwell-text-";
  /* Fields in which Ctrl-Enter presses a button. */
  const BUTTONS = {
    "prompt-text": "prompt-read",
    "contrast-a": "contrast-compare",
    "contrast-b": "contrast-compare",
    "effect-text": "effect-run",
  };

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
    const field = document.getElementById(id);
    return text.length > Number((field && field.dataset.longest) || Infinity);
  }

  const app = (window.dash_clientside = window.dash_clientside || {});
  app.lightwell = Object.assign(app.lightwell || {}, {
    keepTexts: keep,
    keptTexts: kept,
    writeTexts: write,
    isTooLong: isTooLong,
  });

  document.addEventListener("keydown", function (event) {
    const button = document.getElementById(BUTTONS[event.target.id] || "");
    if (button && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      /* The value reaches the app with the field's last change, before the click does. */
      window.setTimeout(() => button.click(), 0);
    }
  });
})();
