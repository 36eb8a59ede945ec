/* The section in which a feature is ablated or steered: what is run goes into the address. */
(function () {
  "use strict";

  const lightwell = () => window.dash_clientside.lightwell;
  const LONGEST_IN_ADDRESS = 2000;
  const USUAL_WRITING = "30:0:0";
  let asked = null;
  let runs = 0;

  function ask(wanted) {
    asked = wanted;
    window.dash_clientside.set_props("effect-asked", { data: Object.assign({ again: ++runs }, wanted) });
  }

  const clientside = (window.dash_clientside = window.dash_clientside || {});
  clientside.lightwell = Object.assign(clientside.lightwell || {}, {
    effectAsked: function (address) {
      asked = address || null;
      if (!address || !address.kept) {
        return asked;
      }
      const texts = lightwell().keptTexts(address.kept);
      if (!texts || typeof texts.text !== "string") {
        return { lost: true };
      }
      window.dash_clientside.set_props("effect-text", { value: texts.text });
      asked = Object.assign({}, address, texts);
      return asked;
    },
    effectRun: function (presses, mode, value, on, text, places, also, set, length, temperature, seed) {
      if (!presses) {
        return;
      }
      if (lightwell().isTooLong("effect-text", text || "")) {
        ask({ length: text.length });
        return;
      }
      const draw = [length, temperature, seed].map((part) => String(part || "0").trim()).join(":");
      const wanted = {
        effect: mode === "zero" ? "zero" : mode + ":" + String(value || "").trim(),
        on: text ? undefined : on || undefined,
        also: also || undefined,
        set: set || undefined,
        places: places === "every" ? undefined : places,
        draw: draw === USUAL_WRITING ? undefined : draw,
      };
      for (const [name, chosen] of Object.entries(wanted)) {
        lightwell().remember(name, chosen, name === "on" ? usualExample() : undefined);
      }
      rememberText(text || "");
      lightwell().remember("at", undefined);
      ask(Object.assign(wanted, text ? { text: text } : {}));
    },
  });

  const usualExample = () => document.getElementById("effect-results").dataset.usual;

  function rememberText(text) {
    const fits = encodeURIComponent(text).length <= LONGEST_IN_ADDRESS;
    lightwell().remember("text", text && fits ? text : undefined);
    lightwell().remember("kept", fits ? undefined : lightwell().keepTexts({ text: text }) || "refused");
  }

  function choose(token) {
    lightwell().remember("at", token.dataset.at);
    ask(Object.assign({}, asked, { at: Number(token.dataset.at) }));
  }

  const tokenOf = (event) => event.target.closest && event.target.closest("#effect-results [data-at]");

  document.addEventListener("click", function (event) {
    const token = tokenOf(event);
    if (token && asked) {
      choose(token);
    } else if (event.target.closest && event.target.closest("#effect-results button.again") && asked) {
      ask(asked);
    }
  });

  /* Within the text the arrow keys go from token to token, rather than from feature to feature. */
  document.addEventListener(
    "keydown",
    function (event) {
      const token = tokenOf(event);
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!token || lightwell().hasModifier(event)) {
        return;
      }
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        choose(token);
      } else if (step) {
        event.preventDefault();
        event.stopPropagation();
        const tokens = Array.from(document.querySelectorAll("#effect-results [data-at]"));
        const other = tokens[tokens.indexOf(token) + step];
        if (other) {
          other.focus();
        }
      }
    },
    true
  );
})();
