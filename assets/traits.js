/* The page of traits: what was written with a vector, in the address. */
(function () {
  "use strict";

  const app = (window.dash_clientside = window.dash_clientside || {});
  const own = (app.lightwell = app.lightwell || {});
  const USUAL = { text: "", strength: "1", length: "40", temperature: "0", seed: "0" };

  Object.assign(own, {
    rememberSteering: function (clicks, ...values) {
      if (clicks) {
        Object.entries(USUAL).forEach(([name, usual], i) => {
          own.remember(name, String(values[i] || usual), usual);
        });
      }
    },
  });
})();
