"use strict";
/* The grid: only the cards near the screen exist, and players load when scrolling stops. */

(() => {
  const GAP = 16;
  const MIN_WIDTH = 250;
  const TEXT_HEIGHT = 106;
  const EXTRA_ROWS = 2;
  const REST_MS = 120;

  wanGallery.Grid = class {
    constructor(root, onOpen) {
      this.root = root;
      this.onOpen = onOpen;
      this.found = [];
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

    show(found) {
      this.found = found;
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
      this.root.style.height = `${Math.ceil(this.found.length / this.columns) * this.rowHeight}px`;
      this.update(true);
    }

    draw() {
      if (!this.drawing) {
        this.drawing = requestAnimationFrame(() => {
          this.drawing = 0;
          this.update(false);
        });
      }
    }

    /* The positions (from, to) of the rows on the screen and of `extra` rows on each side. */
    range(extra) {
      const top = this.root.getBoundingClientRect().top;
      const first = Math.max(0, Math.floor(-top / this.rowHeight) - extra);
      const last = Math.ceil((innerHeight - top) / this.rowHeight) + extra;
      return [first * this.columns, Math.min(last * this.columns, this.found.length)];
    }

    /* Updates the cards for the current screen; `all` also places the existing cards again. */
    update(all) {
      if (!this.columns) return;
      const [from, to] = this.range(EXTRA_ROWS);
      for (const [position, card] of this.cards) {
        if (position < from || position >= to || card.entry !== this.found[position]) this.drop(position, card);
      }
      for (let position = from; position < to; position += 1) {
        const card = this.cards.get(position);
        if (!card) this.place(position, this.add(position));
        else if (all) this.place(position, card);
      }
      for (const card of this.spare) card.root.remove();
      if (!this.isFast()) this.showPosters();
      clearTimeout(this.resting);
      this.resting = setTimeout(() => this.rest(), REST_MS);
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
      card.fill(this.found[position], position, this.found.length);
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
      const column = position % this.columns;
      const row = Math.floor(position / this.columns);
      card.move(column * (this.width + GAP), row * this.rowHeight, this.width);
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
      const top = this.root.getBoundingClientRect().top + Math.floor(to / this.columns) * this.rowHeight;
      const bar = document.getElementById("bar").getBoundingClientRect().bottom + GAP;
      if (top < bar) scrollBy(0, top - bar);
      else if (top + this.rowHeight > innerHeight) scrollBy(0, top + this.rowHeight - innerHeight);
      this.update(false);
      this.mark(to);
      this.cards.get(to).root.focus({ preventScroll: true });
    }

    onKey(event) {
      if (event.target.tagName === "VIDEO" || event.ctrlKey || event.metaKey || event.altKey) return;
      const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns };
      const isOnCard = event.target.classList.contains("card");
      if (event.key in steps) this.focus(this.current + steps[event.key]);
      else if (event.key === "Home") this.focus(0);
      else if (event.key === "End") this.focus(this.found.length - 1);
      else if (event.key === "Enter" && isOnCard) this.onOpen(this.found[this.current]);
      else if (event.key === " " && isOnCard) this.cards.get(this.current).toggle();
      else return;
      event.preventDefault();
    }
  };
})();
