"use strict";
/* The clip in full size. The players of the next clips exist already and have loaded their first frames. */

(() => {
  const { element } = wanGallery;
  const KEPT_BEFORE = 1;

  wanGallery.Stage = class {
    constructor(root) {
      this.root = root;
      this.players = new Map();
      this.recent = [];
      this.entry = null;
      this.isMuted = true;
      this.isPaused = false;
    }

    /* Plays an entry, and loads the players of the next ones. */
    show(entry, upcoming) {
      if (entry !== this.entry) {
        performance.mark("clip-requested");
        this.recent = [this.entry, ...this.recent].filter(Boolean).slice(0, KEPT_BEFORE);
        this.entry = entry;
        this.isPaused = false;
      }
      const wanted = new Set([entry, ...upcoming, ...this.recent]);
      for (const [other, player] of this.players) if (!wanted.has(other)) this.remove(other, player);
      for (const each of wanted) if (!this.players.has(each)) this.add(each);
      for (const [other, player] of this.players) player.root.classList.toggle("active", other === entry);
      for (const [other, player] of this.players) if (other !== entry) player.video.pause();
      this.play();
    }

    add(entry) {
      const root = element("div", "player");
      const video = element("video");
      const note = element("p", "note");
      video.muted = true;
      video.loop = true;
      video.playsInline = true;
      video.preload = "auto";
      video.tabIndex = -1;
      video.poster = `posters/${entry.poster}`;
      video.src = `videos/${entry.file}`;
      video.onplaying = () => this.onPlaying(entry);
      video.onerror = () => { note.textContent = "This browser cannot play the file, or the file cannot be loaded."; };
      video.onclick = () => this.toggle();
      root.append(video, note);
      this.players.set(entry, { root, video });
      this.root.prepend(root);
    }

    remove(entry, { root, video }) {
      this.players.delete(entry);
      video.onplaying = video.onerror = null;
      video.pause();
      video.removeAttribute("src");
      video.load();
      root.remove();
    }

    get video() {
      return this.players.get(this.entry)?.video;
    }

    play() {
      const { video } = this;
      if (!video || this.isPaused) return;
      video.muted = this.isMuted;
      video.play().catch((error) => {
        if (error.name !== "NotAllowedError" || video.muted) return;
        video.muted = true; /* browsers play sound only after a click or a key */
        video.play().catch(() => {});
      });
    }

    onPlaying(entry) {
      if (entry !== this.entry || !performance.getEntriesByName("clip-requested").length) return;
      performance.measure("clip-playing", "clip-requested");
      performance.clearMarks("clip-requested");
    }

    toggle() {
      const { video } = this;
      if (!video) return;
      this.isPaused = !video.paused;
      if (this.isPaused) video.pause();
      else this.play();
    }

    toggleSound() {
      this.isMuted = !this.isMuted;
      if (this.video) this.video.muted = this.isMuted;
    }

    /* Frees all players, while another view is shown. */
    clear() {
      for (const [entry, player] of [...this.players]) this.remove(entry, player);
      this.recent = [];
      this.entry = null;
    }
  };
})();
