/* Grids that are sorted on the server, and the pages of tokens: their views in the address, their keys. */
(function () {
  "use strict";

  const app = (window.dash_clientside = window.dash_clientside || {});
  const own = (app.lightwell = app.lightwell || {});
  const missing = (value) => value === null || value === undefined;
  const isAt = (path) => window.location.pathname.startsWith(own.base() + path);

  /* As an address writes a sort; the order that a grid has by itself leaves no trace. */
  function sortText(request, standard) {
    const text = ((request && request.sortModel) || []).map((s) => s.colId + ":" + s.sort).join(",");
    return text === standard ? undefined : text || undefined;
  }

  /* A grid of the page that is open; nothing before it is drawn. */
  function gridApi(name) {
    const grids = window.dash_ag_grid;
    return document.getElementById(name) && grids && grids.getApi && grids.getApi(name);
  }

  /* Have a grid ask for its rows again; other rows are seen from the first on. */
  function readAnew(name) {
    const api = gridApi(name);
    if (api) {
      api.purgeInfiniteCache();
    }
  }

  function purge(name) {
    const api = gridApi(name);
    if (api) {
      api.ensureIndexVisible(0, "top");
      readAnew(name);
    }
  }

  /* A cell that is a link within the app. */
  function linkCell(href, className, text) {
    const open = function (event) {
      if (own.isPlainClick(event)) {
        event.preventDefault();
        own.navigate(href);
      }
    };
    return window.React.createElement("a", { href: href, onClick: open, className: className }, text);
  }

  Object.assign(own, {
    sortText: sortText,
    gridApi: gridApi,
    readAnew: readAnew,
    purgeGrid: purge,
    linkCell: linkCell,
    rememberTokens: function (request, search) {
      if (request && isAt("/tokens")) {
        own.remember("sort", sortText(request));
        own.remember("search", search || undefined);
      }
    },
    searchTokens: function () {
      purge("token-grid");
    },
    rememberEffects: function (request) {
      if (request && isAt("/token/")) {
        own.remember("sort", sortText(request, "effect:desc"));
      }
    },
    rememberTexts: function (page) {
      if (isAt("/token/") && Number.isInteger(page)) {
        own.remember("page", String(page), "1");
      }
    },
  });

  /* Enter in a row opens what its first link leads to; before other listeners, which know other grids. */
  document.addEventListener(
    "keydown",
    function (event) {
      const cell = event.target.closest && event.target.closest(".sorted-grid .ag-cell");
      if (!cell || event.key !== "Enter" || own.hasModifier(event)) {
        return;
      }
      const link = event.target.closest(".ag-row").querySelector("a");
      if (link) {
        event.preventDefault();
        event.stopImmediatePropagation();
        link.click();
      }
    },
    true
  );

  document.addEventListener("click", function (event) {
    const button = event.target.closest && event.target.closest("button.turns-page");
    const field = document.getElementById("texts-page");
    if (button && field) {
      const page = Number(field.value.replace(/\D/g, "")) + Number(button.dataset.by);
      const last = Number(document.getElementById("texts-last").textContent.replace(/\D/g, ""));
      app.set_props("texts-page", { value: Math.min(Math.max(1, page), last) });
    }
  });

  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});

  cells.TokenCell = function (props) {
    if (missing(props.value) || !props.data) {
      return null;
    }
    return linkCell(own.base() + "/token/" + props.data.token_id, "token-link", props.value);
  };
})();
