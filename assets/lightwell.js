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

  const rememberOne = (name, standard) => (value) => {
    remember(name, value, standard);
  };

  const hasModifier = (event) => event.ctrlKey || event.metaKey || event.altKey || event.shiftKey;
  /* Not one that asks the browser for another tab or window. */
  const isPlainClick = (event) => !hasModifier(event) && !event.button;

  function setIfThere(id, properties) {
    if (document.getElementById(id)) {
      window.dash_clientside.set_props(id, properties);
    }
  }

  /* Other scripts join the same object, some before this one; functions are looked up when they are called. */
  const app = (window.dash_clientside = window.dash_clientside || {});
  app.lightwell = Object.assign(app.lightwell || {}, {
    base: base,
    visit: visit,
    navigate: navigate,
    remember: remember,
    readable: readable,
    isTyping: isTyping,
    hasModifier: hasModifier,
    isPlainClick: isPlainClick,
    setIfThere: setIfThere,
    setTitle: function (title) {
      document.title = title || "Lightwell";
    },
    remember_rows: rememberOne("rows", "nonzero"),
    remember_scale: rememberOne("scale", "linear"),
    remember_band: rememberOne("band", "top"),
  });

  /* Previous and next keep what was chosen on the page: band, scale, extent; ranges of activations are one
     feature's own. */
  document.addEventListener(
    "click",
    function (event) {
      const link = event.target.closest && event.target.closest("a.keeps-view");
      if (link && isPlainClick(event) && window.location.search) {
        const kept = new URLSearchParams(window.location.search);
        kept.delete("range");
        kept.delete("over");
        event.preventDefault();
        event.stopPropagation();
        navigate(link.pathname + readable(kept));
      }
    },
    true
  );

  /* Numbers of features and clusters, named sets and areas of a map mean nothing in another model type. */
  const OF_ONE_TYPE = ["feature", "pins", "cluster", "area", "neighbor", "coactive", "set"];

  function placeElsewhere(path, search) {
    if (path.startsWith("/feature/") || path.startsWith("/compare")) {
      return "/";
    }
    const parameters = new URLSearchParams(search);
    OF_ONE_TYPE.forEach((name) => parameters.delete(name));
    return path + readable(parameters);
  }

  /* Another model type opens at the page that is open, where that makes sense. */
  document.addEventListener(
    "click",
    function (event) {
      const link = event.target.closest && event.target.closest("a.keeps-place");
      if (link) {
        const path = window.location.pathname.slice(base().length);
        link.href = link.dataset.base + placeElsewhere(path, window.location.search);
      }
    },
    true
  );

  function isTyping(target) {
    const inField = target.closest && target.closest("input, textarea, select, [role='radiogroup'], .feature-grid");
    return Boolean(inField) || target.isContentEditable;
  }

  document.addEventListener("keydown", function (event) {
    if (hasModifier(event) || isTyping(event.target)) {
      return;
    }
    const name = { ArrowLeft: "previous", ArrowRight: "next", r: "random" }[event.key];
    const link = name && document.getElementById(name);
    if (link) {
      event.preventDefault();
      link.click();
    }
  });
})();
