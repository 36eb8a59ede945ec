/* The page of one feature: what is chosen on it, and what a token says. */
(function () {
  "use strict";

  const lightwell = () => window.dash_clientside.lightwell;
  const byId = (id) => document.getElementById(id);
  let lens = {};

  const rememberOne = (name, standard) => (value) => {
    lightwell().remember(name, value || undefined, standard);
  };

  const set = (id, properties) => lightwell().setIfThere(id, properties);

  function chooseRange(text) {
    lightwell().remember("range", text || undefined);
    window.dash_clientside.set_props("range", { data: text || "" });
    showWhatCounts();
  }

  /* The bands are pale where a range or one example stands in their place. */
  function showWhatCounts() {
    const parameters = new URLSearchParams(window.location.search);
    const overruled = parameters.has("range") || namesExample(parameters.get("where"));
    byId("band").classList.toggle("overruled", overruled);
  }

  function namesExample(where) {
    return Boolean(where) && where.startsWith("example:");
  }

  const clientside = (window.dash_clientside = window.dash_clientside || {});
  clientside.lightwell = Object.assign(clientside.lightwell || {}, {
    remember_where: function (value) {
      lightwell().remember("where", value || undefined);
      showWhatCounts();
    },
    remember_overlay: rememberOne("overlay"),
    remember_bold: rememberOne("bold", "none"),
    remember_with: rememberOne("with"),
    remember_token: rememberOne("token"),
    remember_bins: rememberOne("bins"),
    remember_over: rememberOne("over"),
    remember_together: rememberOne("together", "listed"),
    chooseRange: chooseRange,
    clickBar: function (click) {
      const bar = click && click.points.find((point) => Array.isArray(point.customdata));
      if (bar) {
        set("range-field", { value: bar.customdata[2] });
        byId("examples").scrollIntoView({ block: "nearest" });
      }
    },
    clickDot: function (click) {
      if (click && click.points.length) {
        const [example, , other] = click.points[0].customdata;
        set("where", { value: "example:" + example });
        set("overlay", { value: String(other) });
        byId("examples").scrollIntoView({ block: "nearest" });
      }
    },
    chooseExtent: function (extent) {
      byId("example-list").className = extent;
      lightwell().remember("extent", extent, "window");
    },
    keepLens: function (effects) {
      lens = effects || {};
    },
    arrive: function () {
      const section = window.location.hash.length > 1 && byId(window.location.hash.slice(1));
      if (section) {
        section.scrollIntoView();
      }
      return window.location.hash;
    },
  });

  /* Buttons: more context, a condition from a table, the second feature of the scatter, copies. */
  document.addEventListener("click", function (event) {
    const button = event.target.closest && event.target.closest("button");
    if (!button) {
      return;
    }
    if (button.classList.contains("cut")) {
      button.closest(".example").classList.toggle("wide");
    } else if (button.classList.contains("sets-where")) {
      set("where", { value: button.dataset.where });
      byId("examples").scrollIntoView();
    } else if (button.classList.contains("sets-with")) {
      set("with", { value: button.dataset.with });
      byId("scatter").scrollIntoView({ block: "nearest" });
    } else if (button.classList.contains("copies-text")) {
      const source = byId(button.dataset.from);
      copy(button, source ? source.textContent : window.location.href);
    }
  });

  /* A band chosen by hand takes the place of a range, and of one example. */
  document.addEventListener("change", function (event) {
    if (event.target.closest && event.target.closest("#band")) {
      set("range-field", { value: "" });
      if (namesExample(byId("where").value)) {
        set("where", { value: "" });
      }
    }
  });

  function copy(button, text) {
    const words = button.textContent;
    const say = function (answer) {
      button.textContent = answer;
      window.setTimeout(() => (button.textContent = words), 1500);
    };
    /* Browsers have no clipboard on an address that is neither local nor encrypted. */
    const written = navigator.clipboard ? navigator.clipboard.writeText(text) : Promise.reject();
    written.then(
      () => say("Copied"),
      () => window.prompt("Copy it from here:", text)
    );
  }

  /* What a token says, while it is hovered or has the focus. */
  let readout = null;

  function tell(token) {
    if (!readout) {
      readout = document.createElement("div");
      readout.id = "token-readout";
      readout.setAttribute("role", "status");
      document.body.appendChild(readout);
    }
    /* The plain tooltip would stand beside this one. */
    if (token.title) {
      token.dataset.about = token.title;
      token.removeAttribute("title");
    }
    readout.textContent = token.dataset.about + lensChange(token);
    readout.style.display = "block";
    const at = token.getClientRects()[0];
    const width = readout.offsetWidth;
    readout.style.left = Math.max(8, Math.min(at.left, window.innerWidth - width - 8)) + "px";
    const below = at.bottom + 6;
    const fits = below + readout.offsetHeight < window.innerHeight;
    readout.style.top = (fits ? below : at.top - readout.offsetHeight - 6) + "px";
  }

  function lensChange(token) {
    const next = lens[token.dataset.next];
    if (!next) {
      return "";
    }
    const change = Number(token.dataset.act) * next[1];
    const digits = (value) => (value > 0 ? "+" : "") + Number(value.toPrecision(3));
    return " · next token " + next[0] + ": " + digits(change) + " logits (" + digits(next[1]) + " per unit)";
  }

  function hush() {
    if (readout) {
      readout.style.display = "none";
    }
  }

  const tokenOf = (event) => event.target.closest && event.target.closest(".example [data-act]");

  for (const [begin, end] of [
    ["mouseover", "mouseout"],
    ["focusin", "focusout"],
  ]) {
    document.addEventListener(begin, function (event) {
      const token = tokenOf(event);
      if (token) {
        tell(token);
      }
    });
    document.addEventListener(end, function (event) {
      if (tokenOf(event)) {
        hush();
      }
    });
  }
  document.addEventListener("scroll", hush, { passive: true, capture: true });

  /* Within an example the arrow keys go from token to token, rather than from feature to feature. */
  document.addEventListener(
    "keydown",
    function (event) {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const token = step && tokenOf(event);
      if (!token || lightwell().hasModifier(event)) {
        return;
      }
      const tokens = Array.from(token.closest(".example").querySelectorAll("[data-act]"));
      const shown = tokens.filter((other) => other.getClientRects().length);
      const other = shown[shown.indexOf(token) + step];
      event.preventDefault();
      event.stopPropagation();
      if (other) {
        other.focus();
      }
    },
    true
  );
})();
