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

  function purge(name) {
    const grids = window.dash_ag_grid;
    const api = document.getElementById(name) && grids && grids.getApi && grids.getApi(name);
    if (api) {
      api.ensureIndexVisible(0, "top");
      api.purgeInfiniteCache();
    }
  }

  Object.assign(own, {
    sortText: sortText,
    purgeGrid: purge,
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
      if (!cell || event.key !== "Enter" || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) {
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
    const href = own.base() + "/token/" + props.data.token_id;
    const open = function (event) {
      if (!(event.ctrlKey || event.metaKey || event.shiftKey || event.button)) {
        event.preventDefault();
        own.navigate(href);
      }
    };
    return window.React.createElement("a", { href: href, onClick: open, className: "token-link" }, props.value);
  };
})();
