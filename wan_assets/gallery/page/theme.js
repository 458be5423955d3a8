"use strict";
/* The theme is light or dark, as the system sets it or as selected. It is stored if the browser allows it. */

(() => {
  const THEMES = ["auto", "light", "dark"];
  const NAME = "wan-gallery-theme";

  wanGallery.startTheme = (button) => {
    const set = (theme) => {
      document.documentElement.dataset.theme = theme;
      button.textContent = `Theme: ${theme}`;
    };
    const kept = wanGallery.stored(NAME);
    set(THEMES.includes(kept) ? kept : "auto");
    button.onclick = () => {
      const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
      set(next);
      wanGallery.stored(NAME, next);
    };
  };
})();
