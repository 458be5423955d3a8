"use strict";
/* The audit card: one large video, its prompt, its checks, its request and its origin. */

(() => {
  const { element, dollars } = wanGallery;
  const KEYS = { a: "approved", r: "rejected", t: "retake" };
  const BUTTONS = { approved: "Approve", rejected: "Reject", retake: "Retake", undecided: "Undecided" };

  wanGallery.Audit = class {
    constructor(dialog, grid, deciding, status) {
      this.dialog = dialog;
      this.grid = grid;
      this.deciding = deciding;
      this.status = status;
      this.entry = null;
      this.position = 0;
      dialog.addEventListener("close", () => this.onClose());
      dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
      dialog.addEventListener("keydown", (event) => this.onKey(event));
    }

    async open(entry) {
      wanGallery.pauseAll();
      this.entry = entry;
      this.position = this.grid.found.indexOf(entry);
      const found = await wanGallery.auditOf(entry).catch(() => null);
      this.dialog.replaceChildren(this.head(entry), this.body(entry, found));
      if (!this.dialog.open) this.dialog.showModal();
      this.dialog.scrollTop = 0;
    }

    step(by) {
      const entry = this.grid.found[this.position + by];
      if (entry) this.open(entry);
    }

    onKey(event) {
      if (event.target.tagName === "VIDEO") return;
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
      if (event.key in KEYS) this.decide(KEYS[event.key]);
      else if (event.key === "u") this.undo();
      else if (event.key === "ArrowLeft") this.step(-1);
      else if (event.key === "ArrowRight") this.step(1);
      else return;
      event.preventDefault();
    }

    decide(value) {
      if (!this.isReady()) return;
      this.deciding.decide(this.entry, value);
      this.update();
    }

    undo() {
      if (!this.isReady()) return;
      const { entry } = this.deciding.undo(this.entry);
      if (entry && entry !== this.entry) this.open(entry);
      this.update();
    }

    /* Without a server the reviewer's name may be missing: its input is behind this card. */
    isReady() {
      if (this.status.sync.isReady) return true;
      this.dialog.addEventListener("close", () => this.status.isReady(), { once: true });
      this.dialog.close();
      return false;
    }

    /* Shows the decisions about the entry again. */
    update() {
      if (!this.dialog.open || !this.decisions) return;
      const decisions = this.decisionsOf(this.entry);
      this.decisions.replaceWith(decisions);
      this.decisions = decisions;
    }

    decisionsOf(entry) {
      const section = wanGallery.historyList(entry);
      const buttons = element("p", "deciding");
      for (const [value, text] of Object.entries(BUTTONS)) {
        const made = wanGallery.button(text, () => this.decide(value));
        made.setAttribute("aria-pressed", wanGallery.valueOf(entry) === value);
        buttons.append(made);
      }
      const link = element("a", "", "Open in the review page");
      link.href = `review.html#${wanGallery.linkOf({}, entry)}`;
      buttons.append(link);
      section.querySelector("h3").after(buttons);
      return section;
    }

    onClose() {
      this.dialog.replaceChildren();
      this.grid.focus(this.position);
    }

    head(entry) {
      const head = element("header", "audit-head");
      const title = element("h2", "", entry.title);
      title.id = "audit-title";
      const place = element("span", "place", `${this.position + 1} of ${wanGallery.count(this.grid.found.length)}`);
      const previous = button("‹", "Previous video", () => this.step(-1));
      previous.disabled = this.position <= 0;
      const next = button("›", "Next video", () => this.step(1));
      next.disabled = this.position + 1 >= this.grid.found.length;
      head.append(title, place, previous, next, button("×", "Close", () => this.dialog.close()));
      return head;
    }

    body(entry, found) {
      const body = element("div", "audit-body");
      const details = element("div", "details");
      body.append(this.player(entry), details);
      this.decisions = this.decisionsOf(entry);
      details.append(this.overview(entry), this.decisions);
      if (found) details.append(wanGallery.checksOf(found[1]), ...wanGallery.groupsOf(found[0]));
      else details.append(element("p", "note", "The data of this gallery was replaced: reload the page."));
      return body;
    }

    player(entry) {
      const video = element("video", "large");
      video.controls = true;
      video.playsInline = true;
      video.preload = "auto";
      video.src = `videos/${entry.file}`;
      return video;
    }

    overview(entry) {
      const overview = element("section", "overview");
      const link = element("a", "", "Open the file");
      link.href = `videos/${entry.file}`;
      link.target = "_blank";
      link.rel = "noopener";
      const money = entry.simulated ? " in simulated dollars: nothing was paid" : "";
      const cost = entry.paid_by
        ? `This video is shared with row ${entry.paid_by}, which has its cost.`
        : `Cost ${dollars(entry.cost)}${money}`;
      overview.append(element("p", "whole-prompt", entry.prompt), element("p", "cost", cost), link);
      if (entry.differences.length) {
        overview.append(element("p", "deviations", `Deviates from the request: ${entry.differences.join("; ")}`));
      }
      return overview;
    }
  };

  function button(text, label, onClick) {
    const made = element("button", "", text);
    made.type = "button";
    made.title = label;
    made.setAttribute("aria-label", label);
    made.onclick = onClick;
    return made;
  }
})();
