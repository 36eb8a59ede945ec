/* The page of density weights: its sliders in the address. */
(function () {
  "use strict";

  const app = (window.dash_clientside = window.dash_clientside || {});
  const own = (app.lightwell = app.lightwell || {});
  const PATH = "/density";
  const isOpen = () => window.location.pathname === own.base() + PATH;

  Object.assign(own, {
    rememberDensity: function (exponent, cap, mix, standard) {
      if (isOpen() && standard) {
        const chosen = { exponent: exponent, cap: cap, mix: mix };
        /* Sliders add steps up: 0.30000000000000004. */
        Object.entries(chosen).forEach(([name, value]) => {
          own.remember(name, String(Number(value.toPrecision(6))), String(standard[name]));
        });
      }
    },
    chooseDensity: function (source, shown) {
      if (isOpen() && source && source !== shown) {
        own.visit(PATH + own.readable(new URLSearchParams({ source: source })));
      }
    },
    resetDensity: (_clicks, standard) => [standard.exponent, standard.cap, standard.mix],
  });
})();
