/* The map of features: points that open, areas drawn or typed, and its view in the address. */
(function () {
  "use strict";

  const app = (window.dash_clientside = window.dash_clientside || {});
  const own = (app.lightwell = app.lightwell || {});
  const MOST_CORNERS = 60;
  const byId = (id) => document.getElementById(id);
  const isOpen = () => window.location.pathname === own.base() + "/map";
  const spelled = (value) => String(Number(value.toPrecision(5)));

  function areaText(xs, ys) {
    const step = Math.max(1, xs.length / MOST_CORNERS);
    const corners = [];
    for (let at = 0; Math.floor(at) < xs.length; at += step) {
      const i = Math.floor(at);
      corners.push(spelled(xs[i]) + ":" + spelled(ys[i]));
    }
    const kept = corners.filter((corner, i) => corner !== corners[i - 1]);
    return kept.length < 3 ? undefined : kept.join(",");
  }

  const boxText = (x, y) => areaText([x[0], x[1], x[1], x[0]], [y[0], y[0], y[1], y[1]]);
  const set = (name, value) => app.set_props(name, name === "map-area" ? { data: value } : { value: value });

  Object.assign(own, {
    openPoint: function (click) {
      const point = click && click.points.find((one) => Number.isInteger(one.customdata));
      if (point) {
        own.visit("/feature/" + point.customdata);
      }
    },
    /* Nothing chosen by Plotly is no wish to choose nothing: it also says so when it draws anew. */
    areaOfLasso: function (selected) {
      const lasso = selected && selected.lassoPoints;
      const range = selected && selected.range;
      const text = lasso ? areaText(lasso.x, lasso.y) : range ? boxText(range.x, range.y) : undefined;
      return text || app.no_update;
    },
    rememberMap: function (colour, feature, search, cluster, members, area) {
      if (isOpen()) {
        own.remember("colour", colour, "cluster");
        own.remember("feature", feature === "" || feature === null ? undefined : String(feature));
        own.remember("search", search || undefined);
        own.remember("cluster", cluster || undefined);
        own.remember("set", members || undefined);
        own.remember("area", area || undefined);
        own.purgeGrid("map-grid");
      }
    },
    rememberMapSort: function (request) {
      if (request && isOpen()) {
        own.remember("sort", own.sortText(request));
      }
    },
  });

  document.addEventListener("click", function (event) {
    const button = event.target.closest && event.target.closest("button");
    if (button && button.id === "map-clear") {
      ["map-search", "map-area"].forEach((name) => set(name, ""));
      ["map-cluster", "map-set"].forEach((name) => set(name, null));
    } else if (button && button.id === "area-choose") {
      const typed = [0, 1, 2, 3].map((i) => byId("area-" + i).value);
      if (typed.every((text) => text.trim() && Number.isFinite(Number(text)))) {
        const [left, right, low, high] = typed.map(Number);
        app.set_props(button.closest("details").dataset.store, { data: boxText([left, right], [low, high]) });
      } else {
        byId("area-" + typed.findIndex((text) => !text.trim())).focus();
      }
    }
  });
})();
