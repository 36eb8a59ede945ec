/* The command palette: Ctrl-K, Cmd-K or / opens it; what is typed is looked up on the server. */
(function () {
  "use strict";

  const app = (window.dash_clientside = window.dash_clientside || {});
  const own = (app.lightwell = app.lightwell || {});
  let dialog, field, list, note;
  let shown = [];
  let chosen = 0;
  let asked = 0;
  let isWaiting = false;
  let openWhenFound = false;

  function element(tag, attributes, children) {
    const made = document.createElement(tag);
    Object.entries(attributes || {}).forEach(([name, value]) => made.setAttribute(name, value));
    (children || []).forEach((child) => made.append(child));
    return made;
  }

  function build() {
    field = element("input", {
      type: "text", role: "combobox", autocomplete: "off", spellcheck: "false", maxlength: "200",
      "aria-expanded": "true", "aria-controls": "palette-list", "aria-autocomplete": "list",
      "aria-label": "Feature number, token, cluster or page", placeholder: "Feature number, token, cluster or page",
    });
    list = element("ul", { id: "palette-list", role: "listbox", "aria-label": "Places" });
    note = element("p", { class: "palette-note", role: "status" });
    dialog = element("dialog", { id: "palette", class: "palette", "aria-label": "Go to" }, [field, list, note]);
    document.body.append(dialog);
    field.addEventListener("input", () => look(field.value));
    dialog.addEventListener("keydown", onKey);
    list.addEventListener("click", onClick);
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }

  /* A modal dialog keeps the focus inside, and gives it back when it closes. */
  function open() {
    if (!dialog) {
      build();
    }
    if (!dialog.open) {
      field.value = "";
      openWhenFound = false;
      draw([], "");
      dialog.showModal();
      field.focus();
      look("");
    }
  }

  function look(text) {
    const mine = ++asked;
    isWaiting = true;
    openWhenFound = false;
    const failed = { found: [], message: "The server does not answer." };
    fetch(own.base() + "/find.json?q=" + encodeURIComponent(text), { headers: { Accept: "application/json" } })
      .then((answer) => (answer.ok ? answer.json() : failed))
      .catch(() => failed)
      .then((answer) => {
        if (mine === asked) {
          isWaiting = false;
          draw(answer.found, answer.message || (answer.found.length ? "" : "Nothing found."));
          if (openWhenFound && shown.length) {
            go(shown[0]);
          }
        }
      });
  }

  function draw(found, message) {
    shown = found;
    note.textContent = message;
    list.replaceChildren(...found.map(option));
    mark(0);
  }

  function option(place, i) {
    const title = element("span", { class: "palette-title" }, [place.title]);
    const detail = element("span", { class: "palette-detail" }, [place.detail]);
    const kind = element("span", { class: "palette-kind" }, [place.kind]);
    return element("li", { id: "palette-" + i, role: "option", "aria-selected": "false" }, [title, detail, kind]);
  }

  function mark(i) {
    chosen = shown.length ? (i + shown.length) % shown.length : 0;
    Array.from(list.children).forEach((item, n) => item.setAttribute("aria-selected", String(n === chosen)));
    const item = list.children[chosen];
    if (item) {
      field.setAttribute("aria-activedescendant", item.id);
      item.scrollIntoView({ block: "nearest" });
    } else {
      field.removeAttribute("aria-activedescendant");
    }
  }

  function go(place) {
    dialog.close();
    if (place.kind === "model type") {
      window.location.assign(place.href);
    } else {
      own.navigate(place.href);
    }
  }

  function onKey(event) {
    event.stopPropagation();
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      mark(chosen + step);
    } else if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      if (isWaiting) {
        openWhenFound = true;
      } else if (shown[chosen]) {
        go(shown[chosen]);
      }
    } else if (event.key === "Tab") {
      event.preventDefault();
      field.focus();
    }
  }

  function onClick(event) {
    const item = event.target.closest("li");
    if (item) {
      go(shown[Array.from(list.children).indexOf(item)]);
    }
  }

  function isTyping(target) {
    return Boolean(target.closest && target.closest("input, textarea, select")) || target.isContentEditable;
  }

  document.addEventListener("keydown", function (event) {
    const withControl = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
    const plain = !(event.ctrlKey || event.metaKey || event.altKey);
    if ((withControl && event.key.toLowerCase() === "k") || (plain && event.key === "/" && !isTyping(event.target))) {
      event.preventDefault();
      open();
    }
  });

  document.addEventListener("click", function (event) {
    if (event.target.closest && event.target.closest("#palette-open")) {
      open();
    }
  });
})();
