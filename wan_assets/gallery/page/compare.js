"use strict";
/* The takes of one row, or the variants of one prompt, side by side. They play together. */

(() => {
  const { element } = wanGallery;
  const DRIFT_S = 0.12;
  const AT_MOST = 24;

  const keys = {
    takes: (entry) => JSON.stringify([entry.prompt_id, entry.simulated]),
    variants: (entry) => (entry.experiment ? JSON.stringify([entry.experiment, entry.simulated]) : ""),
  };

  /* The entries to compare with an entry, in the order of the table; itself alone if there are no others. */
  wanGallery.groupOf = (entry, view) => {
    const key = keys[view](entry);
    return key ? wanGallery.entries.filter((each) => keys[view](each) === key).slice(0, AT_MOST) : [entry];
  };

  wanGallery.Compare = class {
    constructor(root, onSelect) {
      this.root = root;
      this.onSelect = onSelect;
      this.group = [];
      this.tiles = new Map();
      this.isMuted = true;
    }

    show(group, selected) {
      if (group.length !== this.group.length || group.some((entry, index) => entry !== this.group[index])) {
        this.clear();
        this.group = group;
        for (const entry of group) this.add(entry);
        this.root.dataset.count = Math.min(group.length, 9);
        this.start();
      }
      this.select(selected);
    }

    add(entry) {
      const root = element("figure", "tile");
      const video = element("video");
      const caption = element("figcaption");
      const mark = element("span", "mark");
      const name = element("button", "name", entry.variant ? entry.variant.replaceAll("~", " · ") : entry.title);
      name.type = "button";
      name.title = entry.title;
      video.muted = true;
      video.playsInline = true;
      video.preload = "auto";
      video.poster = `posters/${entry.poster}`;
      video.src = `videos/${entry.file}`;
      video.onended = () => this.onEnded();
      video.ontimeupdate = () => this.align(entry);
      caption.append(name, mark);
      root.append(video, caption);
      root.onclick = () => this.onSelect(entry);
      this.tiles.set(entry, { root, video, mark, name });
      this.root.append(root);
    }

    select(selected) {
      this.selected = selected;
      for (const [entry, tile] of this.tiles) {
        tile.root.classList.toggle("selected", entry === selected);
        tile.name.setAttribute("aria-pressed", entry === selected);
        tile.video.muted = this.isMuted || entry !== selected;
        wanGallery.fillMark(tile.mark, entry);
      }
      this.tiles.get(selected)?.root.scrollIntoView({ block: "nearest" });
    }

    get videos() {
      return [...this.tiles.values()].map((tile) => tile.video);
    }

    /* All begin together when all have loaded, or after a moment if one cannot. */
    async start() {
      const { videos, group } = this;
      const loaded = (video) => new Promise((resolve) => {
        if (video.readyState >= 3) resolve();
        video.oncanplay = video.onerror = resolve;
        setTimeout(resolve, 2000);
      });
      await Promise.all(videos.map(loaded));
      if (group !== this.group) return;
      for (const video of videos) this.from(video, 0);
      performance.mark("compared");
    }

    from(video, time) {
      video.currentTime = time;
      video.play().catch(() => {});
    }

    /* The longest clip ends last: then all begin again. */
    onEnded() {
      if (this.videos.every((video) => video.ended || video.error)) for (const video of this.videos) this.from(video, 0);
    }

    /* Corrects a clip that is ahead of or behind the first clip that plays. */
    align(entry) {
      const leader = this.videos.find((video) => !video.ended && !video.paused);
      const video = this.tiles.get(entry)?.video;
      if (!leader || !video || video === leader || video.paused || video.ended || video.seeking) return;
      if (Math.abs(video.currentTime - leader.currentTime) > DRIFT_S && leader.currentTime < video.duration) {
        video.currentTime = leader.currentTime;
      }
    }

    toggle() {
      const isPlaying = this.videos.some((video) => !video.paused && !video.ended);
      for (const video of this.videos) {
        if (isPlaying) video.pause();
        else video.play().catch(() => {});
      }
    }

    toggleSound() {
      this.isMuted = !this.isMuted;
      this.select(this.selected);
    }

    clear() {
      for (const { root, video } of this.tiles.values()) {
        video.onended = video.ontimeupdate = video.onerror = video.oncanplay = null;
        video.pause();
        video.removeAttribute("src");
        video.load();
        root.remove();
      }
      this.tiles.clear();
      this.group = [];
    }
  };
})();
