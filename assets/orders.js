/* Buttons that have things computed: they order a job, look how far it is, survive a lost network, and have
   panels filled. How they look is in job_controls.js. */
(function () {
  "use strict";

  const app = (window.dash_clientside = window.dash_clientside || {});
  const own = (app.lightwell = app.lightwell || {});
  const SOON = 400;
  const LATER = 2500;
  const BETWEEN_ORDERS = 250;
  const PATIENCE = 5000;
  const MOST_TRIES = 5;

  let answer = { asks: {}, running: 0, waiting: 0, version: "" };
  let failures = 0;
  let timer = 0;
  let polling = false;
  const pending = new Map();
  const said = new Map();
  const queue = [];
  const first = new Map();
  const filled = new Set();
  let filling = null;
  let shownVersion = "";
  let stirred = false;

  function base() {
    const config = document.getElementById("_dash-config");
    return JSON.parse(config.textContent).requests_pathname_prefix.replace(/\/$/, "");
  }

  const newNonce = () => Date.now().toString(36) + Math.random().toString(36).slice(2, 10);
  const controls = () => own.jobControls.all();
  const set = (id, props) => app.set_props && app.set_props(id, props);

  /* Orders. */

  function order(ask, extra) {
    if (pending.has(ask)) {
      return;
    }
    said.delete(ask);
    pending.set(ask, { extra: extra || { ask: ask }, tries: 0, sent: 0, before: stoppedAt(ask) });
    send(ask);
    paintAll();
    lookSoon();
  }

  /* The last job for it that did not come to its end, as far as is known. */
  function stoppedAt(ask) {
    const view = answer.asks[ask];
    return view && view.stopped ? view.stopped.id : "";
  }

  function send(ask) {
    const waiting = pending.get(ask);
    waiting.nonce = newNonce();
    waiting.sent = Date.now();
    waiting.tries += 1;
    queue.push(Object.assign({ nonce: waiting.nonce }, waiting.extra));
    if (queue.length === 1) {
      sendNext();
    }
  }

  /* One after the other: of two that were set at the same moment the app would hear only the last. */
  function sendNext() {
    if (queue.length) {
      set("compute-order", { data: queue[0] });
      window.setTimeout(function () {
        queue.shift();
        sendNext();
      }, BETWEEN_ORDERS);
    }
  }

  function askOf(nonce) {
    for (const [ask, waiting] of pending) {
      if (waiting.nonce === nonce) {
        return ask;
      }
    }
    return null;
  }

  function settle(ask, message) {
    pending.delete(ask);
    if (message) {
      said.set(ask, message);
    }
    paintAll();
    lookSoon();
  }

  function judgePending() {
    for (const [ask, waiting] of Array.from(pending)) {
      const view = answer.asks[ask];
      /* What is seen wins over an answer that has not come: a job at work, or one that has stopped since. */
      if (view && (view.job || !view.needed || stoppedAt(ask) !== waiting.before)) {
        pending.delete(ask);
      } else if (!waiting.taken && Date.now() - waiting.sent > PATIENCE) {
        if (waiting.tries >= MOST_TRIES) {
          settle(ask, "The server has not taken it. Press again.");
        } else {
          send(ask);
        }
      } else if (waiting.taken && Date.now() - waiting.sent > PATIENCE) {
        pending.delete(ask);
      }
    }
  }

  /* Looking. */

  function lookSoon() {
    window.clearTimeout(timer);
    timer = window.setTimeout(look, 80);
  }

  function look() {
    if (polling) {
      return;
    }
    polling = true;
    window.clearTimeout(timer);
    const asks = Array.from(new Set(controls().map((control) => control.dataset.ask)));
    const query = asks.map((ask) => "ask=" + encodeURIComponent(ask)).join("&");
    const limit = new AbortController();
    const bound = window.setTimeout(() => limit.abort(), 15000);
    fetch(base() + "/jobs/state" + (query ? "?" + query : ""), { cache: "no-store", signal: limit.signal })
      .then((response) => response.json())
      .then(heard, notHeard)
      .finally(function () {
        window.clearTimeout(bound);
        polling = false;
        const busy = pending.size || filling || answer.running || answer.waiting || failures;
        timer = window.setTimeout(look, busy ? SOON : LATER);
      });
  }

  function heard(found) {
    failures = 0;
    own.jobControls.connection("");
    if (found.error) {
      own.jobControls.connection(found.error);
      return;
    }
    answer = found;
    judgePending();
    own.jobControls.badge(answer);
    paintAll();
    fill();
  }

  function notHeard() {
    failures += 1;
    if (failures > 1) {
      own.jobControls.connection("The server does not answer. This page goes on by itself as soon as it does.");
    }
  }

  /* Filling panels whose artifacts have arrived. */

  function fill() {
    if (filling && Date.now() - filling.sent < PATIENCE) {
      return;
    }
    const keys = [];
    const anchors = new Set();
    for (const control of controls()) {
      const view = answer.asks[control.dataset.ask];
      if (!view) {
        continue;
      }
      const place = window.location.pathname + " " + control.dataset.ask;
      if (!first.has(place)) {
        first.set(place, view.version);
      }
      const key = place + " " + view.version;
      const isWhole = control.dataset.fills === "page";
      /* A whole page is drawn anew once, not after each step of its job. */
      const arrived = !view.needed || (view.version !== first.get(place) && !(isWhole && view.job));
      if (arrived && !filled.has(key)) {
        keys.push(key);
        const around = isWhole ? null : control.parentElement.closest("[id]");
        anchors.add(around ? around.id : "page");
      }
    }
    const live = document.querySelector("[data-live]");
    if (live && (stirred || answer.version !== shownVersion)) {
      anchors.add(live.id);
    }
    if (anchors.size) {
      filling = { nonce: newNonce(), sent: Date.now(), keys: keys, version: answer.version };
      if (anchors.has("page")) {
        return wholePage();
      }
      const at = { path: window.location.pathname, search: window.location.search };
      set("refill", { data: Object.assign({ nonce: filling.nonce, anchors: Array.from(anchors) }, at) });
    } else {
      filling = null;
    }
  }

  function wholePage() {
    filling.keys.forEach((key) => filled.add(key));
    shownVersion = filling.version;
    filling = null;
    stirred = false;
    set("url", { pathname: window.location.pathname, search: window.location.search });
  }

  const stateOf = (ask) => ({ asking: pending.has(ask), said: said.get(ask) || "" });
  const paint = (control) =>
    own.jobControls.paint(control, answer.asks[control.dataset.ask], stateOf(control.dataset.ask));
  const paintAll = () => controls().forEach(paint);

  /* What is pressed. */

  function act(data, button) {
    button.disabled = true;
    set("job-order", { data: Object.assign({ nonce: newNonce() }, data) });
    window.setTimeout(() => (button.disabled = false), PATIENCE);
    lookSoon();
  }

  document.addEventListener("click", function (event) {
    const button = event.target.closest && event.target.closest("button");
    if (!button || button.disabled) {
      return;
    }
    if (button.classList.contains("compute-go")) {
      order(button.closest("output.compute").dataset.ask);
    } else if (button.classList.contains("job-cancel")) {
      act({ action: "cancel", job: button.dataset.job }, button);
    } else if (button.classList.contains("job-retry")) {
      button.disabled = true;
      order("retry " + button.dataset.job, { retry: button.dataset.job });
    } else if (button.classList.contains("job-free") && window.confirm(button.dataset.warning)) {
      act({ action: "free", what: button.dataset.what }, button);
    }
  });

  function notice(message, bad) {
    const shown = { props: { children: message, className: "notice" + (bad ? "" : " good"), role: "alert" } };
    set("notice", { children: Object.assign({ type: "Div", namespace: "dash_html_components" }, shown) });
  }

  Object.assign(own, {
    noteProgress: function (told) {
      const ask = told && askOf(told.nonce);
      if (ask) {
        pending.get(ask).taken = true;
        lookSoon();
      }
    },
    noteAnswer: function (told) {
      if (!told) {
        return;
      }
      const ask = askOf(told.nonce);
      if (ask && ask.startsWith("retry ") && told.error) {
        notice(told.error, true);
      }
      if (ask) {
        settle(ask, told.error);
      }
      lookSoon();
    },
    noteAction: function (told) {
      if (told) {
        notice(told.error || told.said, Boolean(told.error));
        stirred = true;
        lookSoon();
      }
    },
    noteRefill: function (told) {
      if (told && filling && told.nonce === filling.nonce) {
        if (told.lost.length) {
          wholePage();
        } else {
          filling.keys.forEach((key) => filled.add(key));
          shownVersion = filling.version;
          filling = null;
          stirred = false;
        }
        window.setTimeout(paintAll, 0);
      }
    },
  });

  window.addEventListener("online", lookSoon);
  document.addEventListener("visibilitychange", lookSoon);

  /* Pages come and go without this script being told: new buttons are drawn as soon as they are there. */
  function watch() {
    const seen = new MutationObserver(function () {
      const fresh = controls().filter((control) => !own.jobControls.isDrawn(control));
      if (fresh.length) {
        fresh.forEach(paint);
        lookSoon();
      }
      if (!document.querySelector("[data-live]")) {
        shownVersion = "";
      }
    });
    seen.observe(document.body, { childList: true, subtree: true });
    look();
  }

  watch();
})();
