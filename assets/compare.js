/* The page that compares features: its choices in the address, one more feature. */
(function () {
  "use strict";

  const lightwell = () => window.dash_clientside.lightwell;
  const compared = () => (new URLSearchParams(window.location.search).get("features") || "").split(",");

  const clientside = (window.dash_clientside = window.dash_clientside || {});
  clientside.lightwell = Object.assign(clientside.lightwell || {}, {
    rememberMeasure: (value) => lightwell().remember("measure", value, "jaccard"),
    rememberLayers: function (colour, under) {
      lightwell().remember("colour", colour, compared()[0]);
      lightwell().remember("under", under, compared()[1]);
    },
    addToCompared: function (value, chosen) {
      const number = String(value || "").trim().replace(/[\s,]/g, "");
      if (number) {
        const all = (chosen || []).map(String).concat(number);
        const search = lightwell().readable(new URLSearchParams({ features: all.join(",") }));
        lightwell().visit("/compare" + search);
      }
    },
  });
})();
