/* The feature table in the browser: its view in the address, its columns, chosen rows, keys and cells. */
(function () {
  "use strict";

  const app = (window.dash_clientside = window.dash_clientside || {});
  const own = (app.lightwell = app.lightwell || {});
  const PATH = "/features";
  const MOST_COMPARED = 10;
  /* Parameters of the address that are no filter of the grid: they stay when the view changes. */
  const KEPT = ["columns", "set"];

  const isOpen = () => window.location.pathname === own.base() + PATH;

  function viewParameters(request, search) {
    const parameters = new URLSearchParams();
    const sorts = request.sortModel || [];
    if (sorts.length) {
      parameters.set("sort", sorts.map((s) => s.colId + ":" + s.sort).join(","));
    }
    for (const [column, model] of Object.entries(request.filterModel || {})) {
      const values = [model.filter, model.filterTo].filter((v) => v !== undefined && v !== null);
      parameters.set(column, [model.type].concat(values).join(":"));
    }
    if (search) {
      parameters.set("search", search);
    }
    const before = new URLSearchParams(window.location.search);
    KEPT.filter((name) => before.has(name)).forEach((name) => parameters.set(name, before.get(name)));
    return parameters;
  }

  const stateOf = (className, on) => className + (on ? "" : " off");

  Object.assign(own, {
    viewParameters: viewParameters,
    rememberView: function (request, search) {
      if (request && isOpen()) {
        const parameters = own.readable(viewParameters(request, search));
        window.history.replaceState(window.history.state, "", own.base() + PATH + parameters);
      }
    },
    searchGrid: function () {
      own.purgeGrid("grid");
    },
    showColumns: function (chosen, standard) {
      const api = own.gridApi("grid");
      if (!api || !chosen || !isOpen()) {
        return;
      }
      const known = api.getColumnDefs().map((definition) => definition.colId);
      const shown = known.filter((name) => name === "feature" || chosen.includes(name));
      api.setColumnsVisible(known.filter((name) => !shown.includes(name)), false);
      api.setColumnsVisible(shown, true);
      own.remember("columns", shown.join(","), known.filter((name) => standard.includes(name)).join(","));
    },
    usualColumns: (_clicks, standard) => standard.filter((name) => name !== "feature"),
    countChosen: function (rows) {
      const chosen = (rows || []).map((row) => row.feature).sort((a, b) => a - b);
      const usable = chosen.length >= 2 && chosen.length <= MOST_COMPARED;
      const words = chosen.length > MOST_COMPARED ? chosen.length + ", at most " + MOST_COMPARED : chosen.length;
      const href = own.base() + "/compare" + (chosen.length ? "?features=" + chosen.join(",") : "");
      return [chosen.length ? "Compare (" + words + ")" : "Compare", href, stateOf("bar-button", usable)];
    },
    nameView: function (_clicks, _submits, name) {
      return { name: name, search: window.location.search, at: Date.now() };
    },
  });

  /* An export is of the view that is open now. */
  document.addEventListener(
    "click",
    function (event) {
      const link = event.target.closest && event.target.closest("a.exports");
      if (link) {
        link.href = link.href.split("?")[0] + window.location.search;
      }
    },
    true
  );

  /* Enter opens the row's feature; c opens the chosen ones side by side. */
  document.addEventListener("keydown", function (event) {
    const cell = event.target.closest && event.target.closest(".feature-grid .ag-cell");
    if (!cell || own.hasModifier(event)) {
      return;
    }
    if (event.key === "Enter") {
      const index = cell.closest(".ag-row").getAttribute("row-index");
      const link = document.querySelector(".feature-grid .ag-row[row-index='" + index + "'] [col-id='feature'] a");
      if (link) {
        link.click();
      }
    } else if (event.key === "c") {
      const link = document.getElementById("compare-chosen");
      if (link && !link.classList.contains("off")) {
        link.click();
      }
    }
  });

  /* How cells are drawn: text only, never markup. */
  const functions = (window.dashAgGridFunctions = window.dashAgGridFunctions || {});
  const missing = (value) => value === null || value === undefined;

  functions.lightwellCount = (value) => (missing(value) ? "" : Math.round(value).toLocaleString("en-US"));
  functions.lightwellDecimal = function (value) {
    if (missing(value) || !Number.isFinite(value)) {
      return "";
    }
    if (value === 0) {
      return "0";
    }
    const size = Math.floor(Math.log10(Math.abs(Number(value.toPrecision(3)))));
    if (size >= 6 || size < -5) {
      return value.toExponential(2);
    }
    return value.toFixed(Math.max(0, 2 - size));
  };
  /* A share of 1 in percent; near 100 % with as many digits as tell it from 100 %. */
  functions.lightwellShare = function (value) {
    if (missing(value) || !Number.isFinite(value)) {
      return "";
    }
    const rest = functions.lightwellDecimal(100 * (1 - value));
    const digits = (rest.split(".")[1] || "").length;
    const near = value > 0.99 && value < 1 && !rest.includes("e");
    return (near ? (100 * value).toFixed(digits) : functions.lightwellDecimal(100 * value)) + " %";
  };
  functions.lightwellReadShare = function (text) {
    const number = Number(String(missing(text) ? "" : text).replace(/[%,\s]/g, ""));
    return missing(text) || String(text).trim() === "" || !Number.isFinite(number) ? null : exactly(number / 100);
  };
  functions.lightwellWriteShare = (value) => (missing(value) ? null : String(exactly(100 * value)) + " %");
  /* Without the dust that a division by 100 leaves in the last digit. */
  const exactly = (number) => Number(number.toPrecision(15));

  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});

  cells.FeatureCell = function (props) {
    if (missing(props.value)) {
      return null;
    }
    return own.linkCell(own.base() + "/feature/" + props.value, "feature-link", String(props.value));
  };

  cells.TokensCell = function (props) {
    if (missing(props.value)) {
      return null;
    }
    const chips = props.value
      .split("  ")
      .map((token, i) => window.React.createElement("span", { key: i, className: "token-chip plain" }, token));
    return window.React.createElement("span", { className: "cell-tokens", title: props.value }, chips);
  };

  cells.TextCell = function (props) {
    return missing(props.value)
      ? null
      : window.React.createElement("span", { className: "cell-text", title: props.value }, props.value);
  };
})();
