// Runs before the first paint, so that the page does not flash in the wrong colours.
(function () {
  "use strict";
  var asked = new URLSearchParams(location.search);
  var kept = null;
  try { kept = localStorage.getItem("csf-theme"); } catch (e) { kept = null; }
  var theme = asked.get("theme") || kept;
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  if (asked.get("wall") === "1") document.documentElement.classList.add("wall");
})();
