/* The overview: a bar of the figure opens the table of its features. */
(function () {
  "use strict";

  const clientside = (window.dash_clientside = window.dash_clientside || {});
  clientside.lightwell = Object.assign(clientside.lightwell || {}, {
    openBand: function (click) {
      const point = click && click.points[0];
      if (point && point.customdata) {
        window.dash_clientside.lightwell.visit(point.customdata[1]);
      }
    },
  });
})();
