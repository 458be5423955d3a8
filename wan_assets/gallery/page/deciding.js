"use strict";
/* Makes decisions about clips, and undoes them. */

(() => {
  wanGallery.Deciding = class {
    constructor(sync) {
      this.sync = sync;
      this.done = [];
    }

    /* Records a decision about an entry; the details that the reviewer recorded before are kept. */
    decide(entry, decision) {
      this.record(entry, { decision });
    }

    /* Records a rating, labels or a note; the decision that applies stays. */
    amend(entry, changes) {
      this.record(entry, changes);
    }

    record(entry, changes) {
      this.done.push({ entry, before: wanGallery.decisionOf(entry) });
      this.sync.record(wanGallery.newDecision(entry, changes));
    }

    /* Restores what applied before the last decision of this page, or before the reviewer's last one about `current`;
       returns the entry, or null if there is nothing to undo. */
    undo(current) {
      const last = this.done.pop() || this.lastOf(current);
      if (!last) return null;
      const { decision = "undecided", rating = null, labels = [], note = "" } = last.before || {};
      this.sync.record(wanGallery.newDecision(last.entry, { decision, rating, labels, note }));
      return last.entry;
    }

    lastOf(entry) {
      const history = wanGallery.historyOf(entry);
      const last = history.at(-1);
      const isOwn = last?.reviewer === wanGallery.reviewer && last.decision !== "undecided";
      return isOwn ? { entry, before: history.at(-2) || null } : null;
    }
  };
})();
