/* A component that draws elements which no callback speaks of. Each Dash component looks at every change of
   the whole page's state; one that draws a thousand cells looks once. */
(function () {
  "use strict";

  function follow(event) {
    const lightwell = window.dash_clientside.lightwell;
    if (lightwell.isPlainClick(event) && !event.defaultPrevented) {
      event.preventDefault();
      lightwell.navigate(event.currentTarget.getAttribute("href"));
    }
  }

  /* A text, a number, a list of nodes, an element of dash.html, a Link, or Still again. */
  function drawn(node) {
    if (node === null || node === undefined || typeof node !== "object") {
      return node;
    }
    if (Array.isArray(node)) {
      return inOrder(node);
    }
    if (node.type === "Still") {
      return inOrder(node.props.drawing);
    }
    const { children, ...properties } = node.props;
    const isLink = node.type === "Link";
    const tag = isLink ? "a" : node.type.toLowerCase();
    return React.createElement(tag, isLink ? { ...properties, onClick: follow } : properties, ...listed(children));
  }

  function listed(children) {
    return Array.isArray(children) ? children.map(drawn) : children === undefined ? [] : [drawn(children)];
  }

  function inOrder(nodes) {
    return React.createElement(React.Fragment, null, ...nodes.map(drawn));
  }

  window.lightwell_components = {
    Still: function (props) {
      return inOrder(props.drawing);
    },
  };
})();
