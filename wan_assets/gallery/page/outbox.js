"use strict";
/* The decisions that are not recorded in the ledger yet. Each is one item of the browser's storage, so that several tabs
   do not overwrite each other. */

(() => {
  const PREFIX = "wan-assets decision";

  wanGallery.Outbox = class {
    constructor(scope) {
      this.prefix = `${PREFIX} ${scope} `;
      this.memory = new Map();
      this.order = 0;
    }

    /* The decisions to send, oldest first. */
    items() {
      return this.all().filter((item) => !item.refused);
    }

    /* The decisions that the server refused. */
    refused() {
      return this.all().filter((item) => item.refused);
    }

    all() {
      const found = new Map(this.memory);
      try {
        for (let index = 0; index < localStorage.length; index += 1) {
          const name = localStorage.key(index);
          const item = name.startsWith(this.prefix) ? decisionIn(localStorage.getItem(name)) : null;
          if (item) found.set(item.key, item);
        }
      } catch {
        /* the browser stores nothing */
      }
      return [...found.values()].sort((one, other) => one.order - other.order);
    }

    /* Keeps a decision; returns false if it will be lost when the page is closed. */
    add(decision) {
      this.order = Math.max(this.order + 1, Date.now() * 1000);
      return this.put({ ...decision, order: this.order });
    }

    /* Marks a decision as refused for a reason; without a reason it is sent again. */
    refuse(item, reason) {
      this.put({ ...item, refused: reason });
    }

    put(item) {
      try {
        localStorage.setItem(this.prefix + item.key, JSON.stringify(item));
        return true;
      } catch {
        this.memory.set(item.key, item);
        return false;
      }
    }

    remove(key) {
      this.memory.delete(key);
      try {
        localStorage.removeItem(this.prefix + key);
      } catch {
        /* the browser stores nothing */
      }
    }
  };

  function decisionIn(text) {
    try {
      const found = JSON.parse(text);
      return found && typeof found.key === "string" && typeof found.decision === "string" ? found : null;
    } catch {
      return null;
    }
  }

  /* The file that `wan-assets review TABLE --import` reads. */
  wanGallery.decisionsFile = (decisions) => {
    const names = [
      "fingerprint", "sha256", "result", "decision", "rating", "labels", "note", "reviewer", "key", "decided_at",
    ];
    const listed = decisions.map((each) => Object.fromEntries(names.map((name) => [name, each[name]])));
    return JSON.stringify({ format: "wan-assets decisions 1", decisions: listed }, null, 1);
  };
})();
