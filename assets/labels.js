/* Labels in the browser: fields that keep what one is typing, buttons of the history, files, the next feature. */
(function () {
  "use strict";

  const app = (window.dash_clientside = window.dash_clientside || {});
  const own = (app.lightwell = app.lightwell || {});
  const FIELDS = ["label", "category", "confidence", "notes"];

  const plain = (value) => (value === undefined || value === null ? "" : value);
  const same = (a, b) => plain(a) === plain(b);
  const spelled = (value) => String(plain(value)).replace(/\r\n?/g, "\n");

  function typeOf(element) {
    try {
      return JSON.parse(element.id).type;
    } catch {
      return "";
    }
  }

  /* The field that somebody is typing in, with text that is not saved yet. */
  function fieldInWork(begun) {
    const element = document.activeElement;
    const name = element && typeOf(element).replace(/^label-/, "");
    if (!FIELDS.includes(name)) {
      return null;
    }
    const text = name === "confidence" ? element.value.replace(/[^0-9]/g, "") : spelled(element.value);
    return text === spelled(begun[name]) ? null : name;
  }

  function isNews() {
    const cause = app.callback_context && app.callback_context.triggered[0];
    return Boolean(cause && cause.prop_id.includes("label-news"));
  }

  Object.assign(own, {
    /* Show what is said now. A field with text of one's own that somebody else has changed too keeps that text,
       and what it began from: saving it then shows both. */
    showLabel: function (said, news, label, category, confidence, notes, begun) {
      const shown = { label, category, confidence, notes };
      const still = app.no_update;
      const found = isNews() ? news : said;
      if (!found || (isNews() && found.number < begun.number)) {
        return [still, still, still, still, still];
      }
      const inWork = fieldInWork(begun);
      const isOwn = (name) => name === inWork || (isNews() && !same(shown[name], begun[name]));
      const clashes = (name) => !same(found[name], begun[name]) && !same(found[name], shown[name]);
      if (FIELDS.some((name) => isOwn(name) && clashes(name))) {
        return [still, still, still, still, still];
      }
      const next = FIELDS.map((name) =>
        isOwn(name) || same(shown[name], found[name]) ? still : plain(found[name])
      );
      return [...next, found];
    },
    newSet: (_clicks, name, features) => ({ act: "new", name: name, features: features, at: Date.now() }),
    rememberQueue: (queue) => own.remember("queue", queue, "frequency"),
    /* The view of the list goes into the address; the newest first is the usual one. */
    rememberLabels: function (request, search) {
      if (!request || window.location.pathname !== own.base() + "/labels") {
        return;
      }
      const parameters = own.viewParameters(request, search);
      if (parameters.get("sort") === "edited:desc") {
        parameters.delete("sort");
      }
      const queue = new URLSearchParams(window.location.search).get("queue");
      if (queue) {
        parameters.set("queue", queue);
      }
      window.history.replaceState(window.history.state, "", own.base() + "/labels" + own.readable(parameters));
    },
    refreshLabels: function () {
      own.readAnew("labels-grid");
    },
    askForSet: function (_view, _chosen, name, rows) {
      const byRows = app.callback_context.triggered[0].prop_id.startsWith("set-from-chosen");
      const features = byRows ? (rows || []).map((row) => row.feature) : null;
      return { name: name, search: window.location.search, features: features, at: Date.now() };
    },
  });

  /* Buttons of the editor: what they ask for goes to the editor of their feature. */
  document.addEventListener("click", function (event) {
    const button = event.target.closest && event.target.closest("button.label-act");
    const editor = button && button.closest(".label-editor");
    const store = editor && editor.querySelector("[id*='label-about']");
    if (!store) {
      return;
    }
    const asked = { act: button.dataset.act, uid: button.dataset.uid, at: Date.now() };
    const clash = button.closest(".label-clash");
    if (clash) {
      FIELDS.forEach((name) => (asked[name] = clash.dataset[name]));
      asked.confidence = asked.confidence === undefined ? null : Number(asked.confidence);
    }
    const feature = JSON.parse(store.id).feature;
    app.set_props({ feature: feature, type: "label-act" }, { data: asked });
  });

  /* Buttons of the list of sets. */
  document.addEventListener("click", function (event) {
    const button = event.target.closest && event.target.closest("button.set-act");
    if (button) {
      app.set_props("set-act", { data: { act: button.dataset.act, of: button.dataset.of, at: Date.now() } });
    }
  });

  /* A file of labels goes to the server as it is; what waits there is known by a token. */
  async function sendFile(file) {
    const author = document.getElementById("label-author");
    const headers = { "X-File-Name": encodeURIComponent(file.name), "X-Author": encodeURIComponent(author ? author.value : "") };
    let answer;
    try {
      const sent = await fetch(own.base() + "/labels/import", { method: "POST", headers: headers, body: file });
      answer = sent.ok ? await sent.json() : { problem: (await sent.text()).replace(/^lightwell: /, "") };
    } catch {
      answer = { problem: "The file could not be sent; the server does not answer." };
    }
    if (answer.token) {
      app.set_props("import-file", { data: answer.token });
    } else {
      app.set_props("import-review", { children: answer.problem });
    }
  }

  document.addEventListener("click", function (event) {
    if (!(event.target.closest && event.target.closest("#import-choose"))) {
      return;
    }
    const field = document.createElement("input");
    field.type = "file";
    field.accept = ".json,.csv,application/json,text/csv";
    field.addEventListener("change", () => field.files.length && sendFile(field.files[0]));
    field.click();
  });

  /* n goes to the next feature without a label; Ctrl-Enter leaves the notes, which saves them. */
  document.addEventListener("keydown", function (event) {
    const target = event.target;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && target.closest && target.closest(".label-notes")) {
      target.blur();
      return;
    }
    const isTyping = target.closest && target.closest("input, textarea, select, .feature-grid, dialog");
    const link = document.getElementById("next-unlabelled");
    if (event.key === "n" && link && !isTyping && !own.hasModifier(event)) {
      event.preventDefault();
      link.click();
    }
  });
})();
