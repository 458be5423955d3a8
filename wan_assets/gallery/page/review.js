"use strict";
/* The review page: one clip at a time, or several side by side. */

(() => {
  const { count, counted } = wanGallery;
  const at = (id) => document.getElementById(id);
  const NEXT = 3;
  const FILTERS = ["words", "decision", "check", "score", "extra", "source", "sort"];

  wanGallery.Review = class {
    constructor() {
      this.found = [];
      this.position = 0;
      this.entry = null;
      this.view = "";
      this.wanted = null;
      this.pinned = null;
      this.hasMoved = false;
      this.drawing = 0;
      this.sync = new wanGallery.Sync(() => this.draw());
      this.status = new wanGallery.Status(at("status"), this.sync);
      this.deciding = new wanGallery.Deciding(this.sync);
      this.stage = new wanGallery.Stage(at("stage"));
      this.compare = new wanGallery.Compare(at("compare"), (entry) => this.open(entry));
      this.panel = new wanGallery.Panel(at("panel"));
    }

    filters() {
      const values = Object.fromEntries(FILTERS.map((name) => [name, at(name).value === "*" ? "" : at(name).value]));
      if (values.sort === "table") values.sort = "";
      return { ...values, view: this.view };
    }

    query() {
      const value = (name) => (at(name).value === "*" ? "" : at(name).value);
      return {
        words: value("words").toLowerCase().split(/\s+/).filter(Boolean),
        decision: value("decision"),
        check: value("check"),
        score: value("score"),
        extra: value("extra") ? JSON.parse(value("extra")) : null,
        source: value("source"),
        sort: value("sort") || "table",
        size: null, length: null, match: "", cost: "", min: null, max: null,
      };
    }

    /* Reads filters, view and clip from the address. */
    readLink(hash) {
      const { filters, clip } = wanGallery.readLink(hash);
      for (const name of FILTERS) {
        at(name).value = filters[name] || (name === "extra" ? "*" : name === "sort" ? "table" : "");
        if (at(name).tagName === "SELECT" && at(name).selectedIndex < 0) at(name).selectedIndex = 0;
      }
      this.view = ["takes", "variants"].includes(filters.view) ? filters.view : "";
      this.wanted = clip.clip === undefined ? null : clip;
      this.isLinked = this.wanted !== null;
      at("bar").hidden = !FILTERS.some((name) => filters[name]);
      this.search();
    }

    /* Finds the clips of the filter. They stay the same until the filter changes, so that decided ones do not vanish. */
    search() {
      this.found = wanGallery.queried(wanGallery.entries, this.query());
      if (this.wanted) {
        this.pinned = wanGallery.entries.find((entry) => wanGallery.isClip(entry, this.wanted)) || null;
        if (this.pinned) this.entry = this.pinned;
        else if (!this.isLoaded) return;
        else this.say(`There is no video ${this.wanted.clip} any more.`);
        this.wanted = null;
      }
      const isKept = this.entry && (this.entry === this.pinned || this.found.includes(this.entry));
      if (!isKept) this.entry = this.found[Math.max(0, this.nextOpen(-1))] || null;
      this.place();
      this.draw();
    }

    /* All clips are read, and the decisions that were made since the page was written are known. */
    onLoaded() {
      this.isLoaded = true;
      if (!this.hasMoved && !this.isLinked) this.entry = null;
      this.search();
    }

    /* The page is loaded again: it starts with the next undecided video, unless the reviewer still looks at one. */
    leave() {
      if (!this.entry || this.isOpen(this.entry)) return;
      wanGallery.writeLink(wanGallery.linkOf(this.filters(), null));
      wanGallery.flushLink();
    }

    /* The filter was changed by hand. */
    restart() {
      this.hasMoved = true;
      this.pinned = null;
      this.search();
    }

    place() {
      const position = this.found.indexOf(this.entry);
      if (position >= 0) this.position = position;
      this.isFound = position >= 0;
    }

    isOpen(entry) {
      return at("decision").value === "open"
        ? wanGallery.isOpenFor(entry, wanGallery.reviewer)
        : wanGallery.valueOf(entry) === "undecided";
    }

    /* The position of the next clip to decide after a position, from the start again at the end; -1 if there is none. */
    nextOpen(after) {
      for (let step = 1; step <= this.found.length; step += 1) {
        const position = (after + step) % this.found.length;
        if (this.isOpen(this.found[position])) return position;
      }
      return -1;
    }

    /* The clips that are probably shown next. */
    upcoming() {
      const next = [];
      for (let after = this.position; next.length < NEXT;) {
        const position = this.nextOpen(after);
        if (position < 0 || next.includes(this.found[position]) || this.found[position] === this.entry) break;
        next.push(this.found[position]);
        after = position;
      }
      for (let step = 1; next.length < NEXT && this.found[this.position + step]; step += 1) {
        const entry = this.found[this.position + step];
        if (!next.includes(entry)) next.push(entry);
      }
      return next;
    }

    group() {
      return this.entry && this.view ? wanGallery.groupOf(this.entry, this.view) : [];
    }

    open(entry) {
      this.hasMoved = true;
      this.entry = entry;
      this.place();
      this.draw();
    }

    /* Moves by clips; in the side-by-side view by groups. */
    step(by) {
      const group = this.group();
      let position = this.position + (this.isFound || by < 0 ? by : 0);
      while (group.includes(this.found[position])) position += by;
      if (this.found[position]) this.open(this.found[position]);
      else this.say(by > 0 ? "This is the last video of the filter." : "This is the first video of the filter.");
    }

    /* Moves within the side-by-side view. */
    stepAside(by) {
      const group = this.group();
      const next = group[group.indexOf(this.entry) + by];
      if (next) this.open(next);
    }

    goTo(position) {
      if (this.found[position]) this.open(this.found[position]);
    }

    next() {
      const beside = this.group().find((entry) => entry !== this.entry && this.isOpen(entry));
      const position = this.nextOpen(this.position);
      if (beside) this.open(beside);
      else if (position >= 0 && this.found[position] !== this.entry) this.open(this.found[position]);
      else this.say(this.found.length < wanGallery.entries.length ? "All videos of this filter are decided." : "All videos are decided.");
    }

    decide(value) {
      if (!this.entry || !this.status.isReady()) return;
      this.say(`${this.entry.title}: ${wanGallery.decisionNames[value]}`);
      this.deciding.decide(this.entry, value);
      this.next();
    }

    amend(changes, text) {
      if (!this.entry || !this.status.isReady()) return;
      this.deciding.amend(this.entry, changes);
      this.say(`${this.entry.title}: ${text}`);
    }

    undo() {
      if (!this.entry || !this.status.isReady()) return;
      const { entry, message } = this.deciding.undo(this.entry);
      if (entry) this.open(entry);
      this.say(message);
    }

    /* Changes between one clip, the takes of its row, and the variants of its prompt. */
    changeView() {
      const hasOthers = (view) => this.entry && wanGallery.groupOf(this.entry, view).length > 1;
      const views = ["", ...["takes", "variants"].filter(hasOthers)];
      if (views.length === 1 && !this.view) this.say("This video has no other takes and no variants.");
      this.view = views[(views.indexOf(this.view) + 1) % views.length];
      this.draw();
    }

    get player() {
      return this.view ? this.compare : this.stage;
    }

    say(text) {
      at("said").textContent = text;
      at("said").classList.remove("new");
      requestAnimationFrame(() => at("said").classList.add("new"));
    }

    draw() {
      if (!this.drawing) this.drawing = requestAnimationFrame(() => this.update());
    }

    update() {
      this.drawing = 0;
      this.status.update();
      this.showProgress();
      const { entry } = this;
      at("nothing").hidden = entry !== null || !this.isLoaded;
      at("review").hidden = entry === null;
      if (!entry) return;
      if (this.view) {
        this.stage.clear();
        this.compare.show(this.group(), entry);
      } else {
        this.compare.clear();
        this.stage.show(entry, this.upcoming());
      }
      at("stage").hidden = Boolean(this.view);
      at("compare").hidden = !this.view;
      this.panel.show(entry);
      this.showActions(entry);
      wanGallery.writeLink(wanGallery.linkOf(this.filters(), entry));
      if (!performance.getEntriesByName("first-clip").length) performance.mark("first-clip");
    }

    showActions(entry) {
      const decision = wanGallery.decisionOf(entry);
      for (const button of document.querySelectorAll("[data-decide]")) {
        button.setAttribute("aria-pressed", wanGallery.valueOf(entry) === button.dataset.decide);
      }
      for (const star of document.querySelectorAll("[data-rate]")) {
        star.classList.toggle("on", Number(star.dataset.rate) <= (decision?.rating || 0));
      }
      wanGallery.fillMark(at("mark"), entry);
      at("where").textContent = this.isFound
        ? `${count(this.position + 1)} of ${count(this.found.length)}`
        : `not in the filter (${counted(this.found.length, "video")})`;
      at("views").textContent = { "": "View: one video", takes: "View: takes", variants: "View: variants" }[this.view];
      at("sound").setAttribute("aria-pressed", !this.player.isMuted);
      at("note-button").classList.toggle("on", Boolean(decision?.note));
      at("labels-button").classList.toggle("on", Boolean(decision?.labels.length));
    }

    showProgress() {
      const { entries, summary } = wanGallery;
      const counts = wanGallery.progressOf(entries);
      const decided = entries.length - counts.undecided;
      const parts = Object.entries(counts).map(([value, number]) => `${count(number)} ${wanGallery.decisionNames[value]}`);
      at("progress").textContent = `${count(decided)} of ${counted(summary.videos, "video")} decided: ${parts.join(", ")}`;
      for (const part of at("meter").children) {
        part.style.flexGrow = counts[part.dataset.value];
      }
      at("found").textContent = counted(this.found.length, "video");
    }
  };
})();
