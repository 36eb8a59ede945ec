/* What happens in the browser alone: keys, titles, and views kept in the address. */
(function () {
  "use strict";

  /* What the addresses of this model type's pages begin with, such as "/ultra". */
  function base() {
    const config = document.getElementById("_dash-config");
    return JSON.parse(config.textContent).requests_pathname_prefix.replace(/\/$/, "");
  }

  /* To a page of this model type, by its path such as "/feature/7". */
  function visit(path) {
    navigate(base() + path);
  }

  function navigate(href) {
    window.history.pushState({}, "", href);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    window.scrollTo(0, 0);
  }

  /* Keep a choice in the address without loading the page anew; the default leaves no trace. */
  function remember(name, value, standard) {
    const url = new URL(window.location.href);
    if (value === undefined || value === null || value === standard) {
      url.searchParams.delete(name);
    } else {
      url.searchParams.set(name, value);
    }
    window.history.replaceState(window.history.state, "", url.pathname + readable(url.searchParams));
  }

  function readable(parameters) {
    const text = parameters.toString().replace(/%3A/g, ":").replace(/%2C/g, ",").replace(/\+/g, "%20");
    return text ? "?" + text : "";
  }

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
    return parameters;
  }

  const rememberOne = (name, standard) => (value) => {
    remember(name, value, standard);
  };

  /* Other scripts join the same object, some before this one; functions are looked up when they are called. */
  const app = (window.dash_clientside = window.dash_clientside || {});
  app.lightwell = Object.assign(app.lightwell || {}, {
    base: base,
    visit: visit,
    navigate: navigate,
    remember: remember,
    readable: readable,
    isTyping: isTyping,
    setTitle: function (title) {
      document.title = title || "Lightwell";
    },
    remember_rows: rememberOne("rows", "nonzero"),
    remember_scale: rememberOne("scale", "linear"),
    remember_band: rememberOne("band", "top"),
    rememberView: function (request, search) {
      if (request && window.location.pathname === base() + "/features") {
        const parameters = readable(viewParameters(request, search));
        window.history.replaceState(window.history.state, "", base() + "/features" + parameters);
      }
    },
    searchGrid: function () {
      const api = window.dash_ag_grid && window.dash_ag_grid.getApi("grid");
      if (api) {
        api.ensureIndexVisible(0, "top");
        api.purgeInfiniteCache();
      }
    },
  });

  /* Previous and next keep what was chosen on the page: band, scale, extent; a range of activations is one
     feature's own. */
  document.addEventListener(
    "click",
    function (event) {
      const link = event.target.closest && event.target.closest("a.keeps-view");
      const plain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button);
      if (link && plain && window.location.search) {
        const kept = new URLSearchParams(window.location.search);
        kept.delete("range");
        event.preventDefault();
        event.stopPropagation();
        navigate(link.pathname + readable(kept));
      }
    },
    true
  );

  /* Another model type opens at the page that is open; a feature's number means nothing there. */
  document.addEventListener(
    "click",
    function (event) {
      const link = event.target.closest && event.target.closest("a.keeps-place");
      if (link) {
        const path = window.location.pathname.slice(base().length);
        const kept = path.startsWith("/feature/") ? "/" : path + window.location.search;
        link.href = link.dataset.base + kept;
      }
    },
    true
  );

  function isTyping(target) {
    const inField = target.closest && target.closest("input, textarea, select, [role='radiogroup'], .feature-grid");
    return Boolean(inField) || target.isContentEditable;
  }

  function openFeature(field) {
    const number = field.value.trim().replace(/[,\s]/g, "");
    if (number) {
      visit("/feature/" + encodeURIComponent(number));
      field.blur();
    }
  }

  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) {
      return;
    }
    if (event.key === "Enter" && event.target.id === "jump") {
      openFeature(event.target);
      return;
    }
    if (event.key === "Enter" && event.target.classList.contains("ag-cell")) {
      const row = event.target.closest(".ag-row");
      const grid = event.target.closest(".ag-root");
      const link = grid && row && grid.querySelector(".ag-row[row-index='" + row.getAttribute("row-index") + "'] a");
      if (link) {
        link.click();
      }
      return;
    }
    if (isTyping(event.target)) {
      return;
    }
    const name = { ArrowLeft: "previous", ArrowRight: "next", r: "random" }[event.key];
    const link = name && document.getElementById(name);
    if (link) {
      event.preventDefault();
      link.click();
    } else if (event.key === "/") {
      event.preventDefault();
      document.getElementById("jump").focus();
    }
  });

  /* How the feature grid draws its cells: text only, never markup. */
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

  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});

  cells.FeatureCell = function (props) {
    if (missing(props.value)) {
      return null;
    }
    const href = base() + "/feature/" + props.value;
    const open = function (event) {
      if (!(event.ctrlKey || event.metaKey || event.shiftKey || event.button)) {
        event.preventDefault();
        navigate(href);
      }
    };
    return window.React.createElement("a", { href: href, onClick: open, className: "feature-link" }, String(props.value));
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
