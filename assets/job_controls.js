/* What is shown of jobs: at a button its cost, how far its job is, how the last one ended; and in the header. */
(function () {
  "use strict";

  const app = (window.dash_clientside = window.dash_clientside || {});
  const own = (app.lightwell = app.lightwell || {});
  /* A second click of a double click must not hit what takes the first button's place. */
  const DEAF = 1000;

  function element(tag, className, text) {
    const made = document.createElement(tag);
    made.className = className;
    if (text) {
      made.textContent = text;
    }
    if (tag === "button") {
      made.type = "button";
    }
    return made;
  }

  const AGAIN = { interrupted: "Resume", failed: "Retry" };

  const DRAWN = {
    idle: function (control, parts) {
      parts.stopped = control.appendChild(element("span", "compute-stopped"));
      const line = control.appendChild(element("span", "compute-line"));
      parts.go = line.appendChild(element("button", "compute-go"));
      parts.cost = line.appendChild(element("span", "compute-cost"));
      parts.said = control.appendChild(element("span", "compute-said"));
      parts.said.setAttribute("role", "alert");
    },
    active: function (control, parts) {
      const line = control.appendChild(element("span", "compute-line"));
      parts.at = line.appendChild(element("span", "compute-at"));
      parts.cancel = line.appendChild(element("button", "job-cancel", "Cancel"));
      parts.cancel.disabled = true;
      window.setTimeout(() => (parts.cancel.disabled = parts.cancelling === true), DEAF);
      parts.bar = control.appendChild(element("progress", "compute-bar"));
      parts.progress = control.appendChild(element("span", "compute-progress"));
    },
  };

  const REDRAWN = {
    idle: function (control, parts, view, order) {
      const stopped = view && view.stopped;
      const again = (stopped && AGAIN[stopped.state]) || control.dataset.label;
      const blocked = (view && view.blocked) || "";
      put(parts.stopped, blocked || (stopped ? stopped.words : ""));
      parts.stopped.classList.toggle("bad", Boolean(blocked) || (Boolean(stopped) && stopped.state === "failed"));
      put(parts.go, order.asking ? "Asking…" : again);
      parts.go.disabled = order.asking;
      put(parts.cost, view ? view.cost : "");
      put(parts.said, blocked ? "" : order.said);
    },
    active: function (control, parts, view) {
      const job = view.job;
      parts.cancel.dataset.job = job.id;
      parts.cancelling = job.cancelling;
      if (job.cancelling) {
        parts.cancel.disabled = true;
      }
      put(parts.cancel, job.cancelling ? "Cancelling…" : "Cancel");
      const many = job.n_steps > 1 ? "all " + job.n_steps + " steps of it" : "it";
      parts.cancel.title = job.title + ": ends " + many + ", for everyone who waits; what is finished is kept";
      put(parts.at, job.at);
      put(parts.progress, job.progress);
      if (job.share === null) {
        parts.bar.removeAttribute("value");
      } else {
        parts.bar.value = job.share;
      }
      parts.bar.setAttribute("aria-label", "Progress of " + job.title);
    },
  };

  function put(place, text) {
    if (place.textContent !== text) {
      place.textContent = text;
    }
  }

  const drawn = new WeakMap();

  /* `view` is what the server says of it; `order` whether the browser waits for an answer, and the last one. */
  function paint(control, view, order) {
    const mode = view && view.job ? "active" : "idle";
    let known = drawn.get(control);
    if (!known || known.mode !== mode || known.ask !== control.dataset.ask) {
      const hadFocus = control.contains(document.activeElement);
      control.replaceChildren();
      known = { mode: mode, ask: control.dataset.ask, parts: {} };
      DRAWN[mode](control, known.parts);
      drawn.set(control, known);
      if (hadFocus) {
        control.tabIndex = -1;
        control.focus();
      }
    }
    REDRAWN[mode](control, known.parts, view, order);
  }

  /* In the header: whether the server answers, and how many jobs run or wait. */
  function connection(message) {
    const place = document.getElementById("connection");
    if (place && place.textContent !== message) {
      place.textContent = message;
      place.hidden = !message;
    }
  }

  function badge(jobs) {
    const place = document.getElementById("jobs-count");
    if (place) {
      const words = { running: jobs.running, waiting: jobs.waiting };
      const parts = Object.entries(words).filter(([, n]) => n).map(([name, n]) => n + " " + name);
      place.textContent = parts.join(", ");
      place.parentElement.classList.toggle("busy", parts.length > 0);
    }
  }

  own.jobControls = {
    connection: connection,
    badge: badge,
    all: () => Array.from(document.querySelectorAll("output.compute")),
    isDrawn: (control) => drawn.has(control),
    paint: paint,
  };
})();
