/* What is asked on the page of prompts: a text to read, or two sets of texts to compare. */
(function () {
  "use strict";

  const lightwell = () => window.dash_clientside.lightwell;
  const byId = (id) => document.getElementById(id);
  let attempts = 0;

  /* Stores are no elements of the page. */
  function store(id, data) {
    window.dash_clientside.set_props(id, { data: data });
  }

  /* What an address asks for; texts that are kept in the browser come from there. */
  function promptAsked(address) {
    if (!address || !Object.keys(address).length) {
      return null;
    }
    if (!address.kept) {
      return address;
    }
    const texts = lightwell().keptTexts(address.kept);
    if (!texts || typeof texts.text !== "string") {
      return { lost: true };
    }
    lightwell().setIfThere("prompt-text", { value: texts.text });
    return texts;
  }

  function promptRead(presses, text) {
    if (!presses) {
      return;
    }
    if (lightwell().isTooLong("prompt-text", text || "")) {
      store("prompt-asked", { length: text.length, again: ++attempts });
      return;
    }
    const parameters = new URLSearchParams();
    const pins = lightwell().promptPins();
    if (pins.length) {
      parameters.set("pins", pins.join(","));
    }
    lightwell().visit("/prompt" + lightwell().readable(lightwell().writeTexts(parameters, { text: text || "" })));
  }

  function contrastAsked(address) {
    if (!address || !address.kept) {
      return address || null;
    }
    const texts = lightwell().keptTexts(address.kept);
    if (!texts || typeof texts.a !== "string" || typeof texts.b !== "string") {
      return { lost: true };
    }
    lightwell().setIfThere("contrast-a", { value: texts.a });
    lightwell().setIfThere("contrast-b", { value: texts.b });
    return Object.assign({}, address, texts);
  }

  function contrastCompare(presses, a, b, source) {
    if (!presses) {
      return;
    }
    const texts = { a: a || "", b: b || "" };
    for (const [name, text] of Object.entries(texts)) {
      if (lightwell().isTooLong("contrast-" + name, text)) {
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
    lightwell().visit("/prompt" + lightwell().readable(lightwell().writeTexts(parameters, texts)));
  }

  function checked(id) {
    const radio = byId(id) && byId(id).querySelector("input:checked");
    return radio ? radio.value : null;
  }

  const clientside = (window.dash_clientside = window.dash_clientside || {});
  clientside.lightwell = Object.assign(clientside.lightwell || {}, {
    promptAsked: promptAsked,
    promptRead: promptRead,
    contrastAsked: contrastAsked,
    contrastCompare: contrastCompare,
    remember_measure: (value) => lightwell().remember("measure", value, "texts"),
  });

  /* Ask once more, after the model's process has died. */
  document.addEventListener("click", function (event) {
    const button = event.target.closest && event.target.closest("button.again");
    const inside = (id) => button && button.closest("#" + id);
    if (inside("prompt-token")) {
      store("prompt-place", null);
    } else if (inside("prompt-results") || inside("contrast-results")) {
      window.location.reload();
    }
  });
})();
