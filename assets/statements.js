/* The map of statements: points that open and tell their text, its window, its view in the address. */
(function () {
  "use strict";

  const app = (window.dash_clientside = window.dash_clientside || {});
  const own = (app.lightwell = app.lightwell || {});
  const PATH = "/embeddings";
  const MILLISECONDS_STILL = 180;
  const isOpen = () => window.location.pathname === own.base() + PATH;
  const byId = (id) => document.getElementById(id);
  const plot = () => document.querySelector("#emb-figure .js-plotly-plot");
  let hovered = null;
  let waiting = null;

  /* Where only a part of the points is drawn, the figure says which rows they are. */
  function rowOf(point) {
    const trace = plot().data[point.curveNumber];
    const rows = trace && trace.meta && trace.meta.rows;
    if (point.curveNumber !== 0) {
      return null;
    }
    if (!rows) {
      return Array.isArray(trace.x) ? null : point.pointNumber;
    }
    const bytes = Uint8Array.from(atob(rows.bdata), (c) => c.charCodeAt(0));
    return new Uint32Array(bytes.buffer)[point.pointNumber];
  }

  const pointed = (event) => (event && event.points ? event.points.map(rowOf).find(Number.isInteger) : undefined);

  function openRow(row) {
    app.set_props("emb-row", { data: row });
  }

  function place(box, bounds) {
    const frame = byId("emb-figure").getBoundingClientRect();
    const middle = (bounds.x0 + bounds.x1) / 2;
    box.style.left = Math.max(4, Math.min(middle - 150, frame.width - 304)) + "px";
    box.style.top = bounds.y1 + 10 + "px";
  }

  /* Columns without a number for what is chosen are left out. */
  function showColumns(shown) {
    const api = byId("emb-grid") && window.dash_ag_grid.getApi("emb-grid");
    if (api) {
      Object.entries(shown).forEach(([name, on]) => api.setColumnsVisible([name], on));
    }
  }

  Object.assign(own, {
    openRow: openRow,
    openStatement: function (click) {
      const row = pointed(click);
      if (row !== undefined) {
        openRow(row);
      }
    },
    hoverStatement: function (event, set) {
      const row = pointed(event);
      const box = byId("emb-hover");
      hovered = row;
      if (row === undefined || !box) {
        if (box) {
          box.hidden = true;
        }
        return;
      }
      const bounds = event.points[0].bbox;
      const query = new URLSearchParams({ model: set.model, size: set.size, row: row });
      window
        .fetch(own.base() + PATH + "/text?" + query)
        .then((answer) => answer.json())
        .then(function (found) {
          if (hovered === row && byId("emb-hover")) {
            box.textContent = found.error || row + " · " + found.text;
            place(box, bounds);
            box.hidden = false;
          }
        })
        .catch(() => undefined);
    },
    /* What of the map is looked at; the server draws a part of many points anew. */
    lookAtStatements: function () {
      const figure = plot();
      if (!figure || !figure.layout.images || !figure.layout.images.length) {
        return;
      }
      window.clearTimeout(waiting);
      waiting = window.setTimeout(function () {
        const layout = plot() && plot()._fullLayout;
        if (layout && isOpen()) {
          const size = [layout.xaxis._length, layout.yaxis._length];
          const ranges = { x: layout.xaxis.range.slice(), y: layout.yaxis.range.slice(), pixels: size };
          app.set_props("emb-window", { data: ranges });
        }
      }, MILLISECONDS_STILL);
    },
    rememberStatements: function (colour, feature, search, meaning, cluster, area, row) {
      if (!isOpen()) {
        return;
      }
      own.remember("colour", colour, "cluster");
      own.remember("feature", feature === "" || feature === null ? undefined : String(feature));
      own.remember("search", search || undefined);
      own.remember("meaning", meaning || undefined);
      own.remember("cluster", cluster || undefined);
      own.remember("area", area || undefined);
      own.remember("row", Number.isInteger(row) ? String(row) : undefined);
      showColumns({ cosine: Boolean(meaning), activation: feature !== "" && feature !== null && feature !== undefined });
      const asked = [feature, search, meaning, cluster, area].join("|");
      if (asked !== own.statementsAsked) {
        own.statementsAsked = asked;
        own.purgeGrid("emb-grid");
      }
    },
    rememberStatementSort: function (request) {
      if (request && isOpen()) {
        own.remember("sort", own.sortText(request));
      }
    },
    chooseSet: function (model, size, set) {
      if (isOpen() && set && (model !== set.model || size !== set.size)) {
        const chosen = new URLSearchParams({ model: model });
        if (model === set.model) {
          chosen.set("size", size);
        }
        const colour = new URLSearchParams(window.location.search).get("colour");
        if (colour && !colour.startsWith("column:")) {
          chosen.set("colour", colour);
        }
        own.visit(PATH + own.readable(chosen));
      }
    },
    askMeaning: function (text) {
      if (text && text.trim()) {
        app.set_props("emb-summary", { children: "Searching by meaning; the model is loaded first, if it is not yet …" });
      }
      app.set_props("emb-asked", { data: (text || "").trim() });
    },
    meaningOfAddress: (text) => text || app.no_update,
  });

  document.addEventListener("click", function (event) {
    const target = event.target.closest && event.target.closest("button, a");
    if (target && target.id === "emb-clear") {
      app.set_props("emb-search", { value: "" });
      app.set_props("emb-meaning", { value: "" });
      app.set_props("emb-asked", { data: "" });
      app.set_props("emb-area", { data: "" });
      app.set_props("emb-cluster", { value: null });
    }
    if (target && target.classList.contains("statement-link") && own.isPlainClick(event)) {
      event.preventDefault();
      openRow(Number(target.dataset.row));
    }
  });

  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});

  cells.StatementCell = function (props) {
    if (props.value === null || props.value === undefined) {
      return null;
    }
    const chosen = new URLSearchParams(window.location.search);
    chosen.set("row", props.value);
    const href = own.base() + PATH + own.readable(chosen);
    const known = { href: href, className: "statement-link", "data-row": props.value };
    return window.React.createElement("a", known, String(props.value));
  };
})();
