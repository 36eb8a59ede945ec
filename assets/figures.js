/* A browser keeps sixteen drawings in WebGL at most, and gives up the oldest for one more. A figure that has left
   the page gives its own back at once, rather than when memory is next cleared. */
(function () {
  "use strict";

  function giveBack(canvas) {
    const context = canvas.isConnected ? null : canvas.getContext("webgl2") || canvas.getContext("webgl");
    const loser = context && context.getExtension("WEBGL_lose_context");
    if (loser) {
      loser.loseContext();
    }
  }

  function leave(node) {
    if (node.matches && node.matches(".gl-canvas")) {
      giveBack(node);
    } else if (node.querySelectorAll) {
      node.querySelectorAll(".gl-canvas").forEach(giveBack);
    }
  }

  const observer = new MutationObserver((changes) => changes.forEach((change) => change.removedNodes.forEach(leave)));
  observer.observe(document.documentElement, { childList: true, subtree: true });
})();
