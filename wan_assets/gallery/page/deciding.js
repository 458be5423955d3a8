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

    /* Restores what applied before the last decision of this page, or before the reviewer's last one about `current`.
       Returns the entry, or null if there is nothing to undo, and a message. */
    undo(current) {
      const last = this.done.pop() || this.lastOf(current);
      if (!last) return { entry: null, message: "There is nothing to undo." };
      const applying = wanGallery.decisionOf(last.entry);
      if (applying && applying.reviewer !== wanGallery.reviewer) {
        const message = `${last.entry.title} is not changed: ${applying.reviewer} has decided since.`;
        return { entry: last.entry, message };
      }
      const { decision = "undecided", rating = null, labels = [], note = "" } = last.before || {};
      this.sync.record(wanGallery.newDecision(last.entry, { decision, rating, labels, note }));
      return { entry: last.entry, message: `${last.entry.title} is ${wanGallery.decisionNames[decision]} again.` };
    }

    lastOf(entry) {
      const history = wanGallery.historyOf(entry);
      const last = history.at(-1);
      const isOwn = last?.reviewer === wanGallery.reviewer && last.decision !== "undecided";
      return isOwn ? { entry, before: history.at(-2) || null } : null;
    }
  };
})();
