// Runs before the page is painted, so that it never flashes in the wrong theme.
(() => {
  "use strict";
  const themes = ["auto", "light", "dark"];
  const stored = () => {
    try { return localStorage.getItem("theme"); } catch { return null; }
  };
  let theme = themes.includes(stored()) ? stored() : "auto";
  const apply = () => { document.documentElement.dataset.theme = theme; };
  apply();
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const tell = () => { button.textContent = "Theme: " + theme; };
    tell();
    button.addEventListener("click", () => {
      theme = themes[(themes.indexOf(theme) + 1) % themes.length];
      try { localStorage.setItem("theme", theme); } catch { /* then it lasts as long as the page */ }
      apply();
      tell();
    });
  });
})();
