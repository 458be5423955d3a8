"use strict";
/* One card of the grid. Cards are reused for other entries while the page scrolls. */

(() => {
  const { element, dollars } = wanGallery;
  let playing = null;

  function costOf(entry) {
    if (entry.paid_by) return `shared with ${entry.paid_by}`;
    return entry.cost === null ? "cost unknown" : dollars(entry.cost);
  }

  wanGallery.Card = class {
    constructor(onOpen) {
      this.entry = null;
      this.video = null;
      this.root = element("article", "card");
      this.root.setAttribute("role", "listitem");
      this.root.tabIndex = -1;
      this.media = element("div", "media");
      this.poster = element("img", "poster");
      this.poster.alt = "";
      this.poster.decoding = "async";
      this.poster.onerror = () => { this.poster.hidden = true; };
      this.simulated = element("span", "badge simulated", "SIMULATED");
      this.deviates = element("span", "badge deviates", "DEVIATES");
      this.mark = element("span", "badge mark");
      this.length = element("span", "badge length");
      this.play = element("button", "play");
      this.play.type = "button";
      this.play.tabIndex = -1;
      this.play.onclick = () => this.toggle();
      this.note = element("p", "note");
      this.media.append(this.poster, this.play, this.simulated, this.deviates, this.mark, this.length, this.note);
      this.prompt = element("button", "prompt");
      this.prompt.type = "button";
      this.prompt.tabIndex = -1;
      this.prompt.onclick = () => onOpen(this.entry);
      this.id = element("span", "id");
      this.cost = element("span", "cost");
      this.properties = element("span", "properties");
      this.failed = element("span", "failed");
      const head = element("p", "line");
      head.append(this.id, this.cost);
      const foot = element("p", "line");
      foot.append(this.properties, this.failed);
      const text = element("div", "text");
      text.append(head, this.prompt, foot);
      this.root.append(this.media, text);
    }

    /* Shows the text of an entry; `showPoster` and `load` show its thumbnail and its video. */
    fill(entry, position, count, isCompared) {
      this.clear();
      this.entry = entry;
      this.root.dataset.at = entry.at;
      this.root.setAttribute("aria-posinset", position + 1);
      this.root.setAttribute("aria-setsize", count);
      this.root.setAttribute("aria-label", `${entry.title}: ${entry.prompt}`);
      this.simulated.hidden = !entry.simulated;
      this.deviates.hidden = !entry.differences.length;
      this.deviates.title = entry.differences.join("; ");
      this.length.textContent = entry.length_s ? `${entry.length_s} s` : "";
      this.play.setAttribute("aria-label", `Play ${entry.title}`);
      const isVariant = isCompared && Boolean(entry.variant);
      this.id.textContent = isVariant ? entry.title.replace(entry.prompt_id, entry.experiment) : entry.title;
      this.id.title = entry.title;
      this.prompt.textContent = isVariant ? entry.variant.replaceAll("~", " · ") : entry.prompt;
      this.prompt.title = entry.prompt;
      this.cost.textContent = costOf(entry);
      this.properties.textContent = [entry.size.replace("x", "×"), entry.format].filter(Boolean).join(" · ");
      const failed = entry.failed_checks.length;
      this.failed.textContent = failed ? `${failed} failed` : "";
      this.failed.title = entry.failed_checks.join(", ");
      this.showDecision();
    }

    showDecision() {
      wanGallery.fillMark(this.mark, this.entry);
    }

    showPoster() {
      if (this.poster.hasAttribute("src")) return;
      this.poster.hidden = false;
      this.poster.src = `posters/${this.entry.poster}`;
    }

    move(x, y, width) {
      this.root.style.transform = `translate(${x}px, ${y}px)`;
      this.root.style.width = `${width}px`;
    }

    /* Creates the player and loads the video, which shows its first frame. */
    load() {
      if (this.video) return;
      const video = element("video");
      video.preload = "metadata";
      video.playsInline = true;
      video.tabIndex = -1;
      video.onloadeddata = () => this.root.classList.add("loaded");
      video.onplay = () => this.onPlay();
      video.onerror = () => this.onError();
      video.src = `videos/${this.entry.file}`;
      this.video = video;
      this.poster.after(video);
    }

    toggle() {
      this.load();
      if (this.video.paused) this.video.play().catch(() => {});
      else this.video.pause();
    }

    onPlay() {
      if (playing && playing !== this.video) playing.pause();
      playing = this.video;
      this.video.controls = true;
      this.root.classList.add("played");
    }

    onError() {
      this.root.classList.add("broken");
      this.note.textContent = "This browser cannot play the file.";
    }

    get isPlaying() {
      return Boolean(this.video && !this.video.paused && !this.video.ended);
    }

    clear() {
      this.poster.hidden = true;
      this.poster.removeAttribute("src");
      this.root.classList.remove("loaded", "played", "broken");
      this.note.textContent = "";
      if (!this.video) return;
      const video = this.video;
      this.video = null;
      video.onloadeddata = video.onplay = video.onerror = null;
      if (playing === video) playing = null;
      video.pause();
      video.removeAttribute("src");
      video.load();
      video.remove();
    }
  };

  /* Pauses the video that plays in the grid. */
  wanGallery.pauseAll = () => { if (playing) playing.pause(); };
})();
