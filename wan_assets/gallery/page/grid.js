"use strict";
/* The grid: only the cards near the screen exist, and players load when scrolling stops. The cards are in lines. The
   variants of an experiment begin a new line below a heading. */

(() => {
  const { element, counted } = wanGallery;
  const GAP = 16;
  const MIN_WIDTH = 250;
  const TEXT_HEIGHT = 106;
  const HEADING_HEIGHT = 64;
  const EXTRA_LINES = 2;
  const REST_MS = 120;

  wanGallery.Grid = class {
    constructor(root, headings, onOpen) {
      this.root = root;
      this.headings = headings;
      this.onOpen = onOpen;
      this.found = [];
      this.groups = null;
      this.lines = [];
      this.cards = new Map();
      this.spare = [];
      this.current = 0;
      this.resting = 0;
      this.drawing = 0;
      this.seenAt = 0;
      addEventListener("scroll", () => this.draw(), { passive: true });
      new ResizeObserver(() => this.measure()).observe(root);
      root.addEventListener("keydown", (event) => this.onKey(event));
      root.addEventListener("focusin", (event) => this.onFocus(event));
    }

    /* Shows entries; `groups` are the same entries by experiment, or null. */
    show(found, groups) {
      const isOtherView = (groups === null) !== (this.groups === null);
      if (isOtherView) this.cards.forEach((card, position) => this.drop(position, card));
      this.found = found;
      this.groups = groups;
      this.current = Math.min(this.current, Math.max(found.length - 1, 0));
      this.measure();
      this.update(true);
    }

    measure() {
      const width = this.root.clientWidth;
      if (!width) return;
      this.columns = Math.max(1, Math.floor((width + GAP) / (MIN_WIDTH + GAP)));
      this.width = Math.floor((width - GAP * (this.columns - 1)) / this.columns);
      this.rowHeight = Math.round((this.width * 9) / 16) + TEXT_HEIGHT + GAP;
      this.root.style.height = `${this.arrange()}px`;
      this.update(true);
    }

    /* Divides the cards into lines, each with its first position, the one after its last, its place and its group;
       returns the height of all. */
    arrange() {
      this.lines = [];
      let from = 0;
      let top = 0;
      for (const group of this.groups || [this.found]) {
        const end = from + group.length;
        for (let first = from; first < end; first += this.columns) {
          const isHeaded = this.groups !== null && first === from;
          if (isHeaded) top += HEADING_HEIGHT;
          this.lines.push({ from: first, to: Math.min(first + this.columns, end), top, group: isHeaded ? group : null });
          top += this.rowHeight;
        }
        from = end;
      }
      return top;
    }

    /* The index of the last line for which `isBefore` is true, or 0; it is true for the first lines only. */
    lastLine(isBefore) {
      let low = 0;
      let high = this.lines.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (isBefore(this.lines[middle])) low = middle + 1;
        else high = middle;
      }
      return Math.max(0, low - 1);
    }

    lineOf(position) {
      return this.lastLine((line) => line.from <= position);
    }

    draw() {
      if (!this.drawing) {
        this.drawing = requestAnimationFrame(() => {
          this.drawing = 0;
          this.update(false);
        });
      }
    }

    /* The lines on the screen and `extra` lines on each side. */
    visibleLines(extra) {
      const top = this.root.getBoundingClientRect().top;
      const first = this.lastLine((line) => line.top <= -top);
      const last = this.lastLine((line) => line.top - HEADING_HEIGHT < innerHeight - top);
      return this.lines.slice(Math.max(0, first - extra), last + 1 + extra);
    }

    /* The positions (from, to) of the cards in these lines. */
    range(extra) {
      const lines = this.visibleLines(extra);
      return lines.length ? [lines[0].from, lines[lines.length - 1].to] : [0, 0];
    }

    /* Updates the cards for the current screen; `all` also places the existing cards again. */
    update(all) {
      if (!this.columns) return;
      const [from, to] = this.range(EXTRA_LINES);
      for (const [position, card] of this.cards) {
        if (position < from || position >= to || card.entry !== this.found[position]) this.drop(position, card);
      }
      for (let position = from; position < to; position += 1) {
        const card = this.cards.get(position);
        if (!card) this.place(position, this.add(position));
        else if (all) this.place(position, card);
      }
      for (const card of this.spare) card.root.remove();
      this.showHeadings();
      if (!this.isFast()) this.showPosters();
      clearTimeout(this.resting);
      this.resting = setTimeout(() => this.rest(), REST_MS);
    }

    showHeadings() {
      const headed = this.visibleLines(EXTRA_LINES).filter((line) => line.group);
      this.headings.replaceChildren(...headed.map((line) => {
        const [{ experiment, prompt }] = line.group;
        const heading = element("h2", "group");
        const number = element("span", "number", counted(line.group.length, "video"));
        heading.append(element("span", "experiment", experiment), number, element("span", "prompt-text", prompt));
        heading.style.transform = `translateY(${line.top - HEADING_HEIGHT}px)`;
        return heading;
      }));
    }

    rest() {
      this.showPosters();
      this.loadVisible();
    }

    /* Whether more than one screen was scrolled since the last call; thumbnails are not visible then. */
    isFast() {
      const moved = Math.abs(scrollY - this.seenAt);
      this.seenAt = scrollY;
      return moved > innerHeight;
    }

    showPosters() {
      for (const card of this.cards.values()) card.showPoster();
    }

    add(position) {
      const card = this.spare.pop() || new wanGallery.Card(this.onOpen);
      card.fill(this.found[position], position, this.found.length, this.groups !== null);
      card.root.tabIndex = position === this.current ? 0 : -1;
      this.cards.set(position, card);
      if (!card.root.isConnected) this.root.append(card.root);
      return card;
    }

    /* Frees a card; it stays in the page, because another entry probably uses it next. */
    drop(position, card) {
      card.clear();
      if (card.root.contains(document.activeElement)) document.activeElement.blur();
      this.cards.delete(position);
      this.spare.push(card);
    }

    place(position, card) {
      const line = this.lines[this.lineOf(position)];
      card.move((position - line.from) * (this.width + GAP), line.top, this.width);
    }

    /* One player per frame, so that no frame creates many players. */
    loadVisible() {
      const [from, to] = this.range(0);
      const next = [...this.cards].find(([position, card]) => position >= from && position < to && !card.video);
      if (!next) return;
      next[1].load();
      this.resting = setTimeout(() => requestAnimationFrame(() => this.loadVisible()), 0);
    }

    onFocus(event) {
      const root = event.target.closest(".card");
      const found = [...this.cards].find(([, card]) => card.root === root);
      if (found) this.mark(found[0]);
    }

    mark(position) {
      const before = this.cards.get(this.current);
      if (before) before.root.tabIndex = -1;
      this.current = position;
      const card = this.cards.get(position);
      if (card) card.root.tabIndex = 0;
    }

    /* Scrolls to a position and moves the focus to it. */
    focus(position) {
      if (!this.found.length) return;
      const to = Math.max(0, Math.min(position, this.found.length - 1));
      const top = this.root.getBoundingClientRect().top + this.lines[this.lineOf(to)].top;
      const bar = document.getElementById("bar").getBoundingClientRect().bottom + GAP;
      if (top < bar) scrollBy(0, top - bar);
      else if (top + this.rowHeight > innerHeight) scrollBy(0, top + this.rowHeight - innerHeight);
      this.update(false);
      this.mark(to);
      this.cards.get(to).root.focus({ preventScroll: true });
    }

    /* The position in the same column of the next line (`step` 1) or of the line before (-1). */
    beside(step) {
      const at = this.lineOf(this.current);
      const line = this.lines[at + step];
      return line ? Math.min(line.from + this.current - this.lines[at].from, line.to - 1) : this.current;
    }

    onKey(event) {
      if (event.target.tagName === "VIDEO" || event.ctrlKey || event.metaKey || event.altKey) return;
      const steps = { ArrowLeft: -1, ArrowRight: 1 };
      const lines = { ArrowUp: -1, ArrowDown: 1 };
      const isOnCard = event.target.classList.contains("card");
      if (event.key in steps) this.focus(this.current + steps[event.key]);
      else if (event.key in lines) this.focus(this.beside(lines[event.key]));
      else if (event.key === "Home") this.focus(0);
      else if (event.key === "End") this.focus(this.found.length - 1);
      else if (event.key === "Enter" && isOnCard) this.onOpen(this.found[this.current]);
      else if (event.key === " " && isOnCard) this.cards.get(this.current).toggle();
      else return;
      event.preventDefault();
    }
  };
})();
