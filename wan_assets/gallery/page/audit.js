"use strict";
/* The audit card: one video large, its prompt, its checks, and all that is known of where it comes from. */

(() => {
  const { element, dollars } = wanGallery;
  const GROUPS = ["Requested", "Money", "Origin", "File"];
  const SIGNS = { passed: "✓", failed: "✗", "not measured": "–" };

  wanGallery.Audit = class {
    constructor(dialog, grid) {
      this.dialog = dialog;
      this.grid = grid;
      this.position = 0;
      dialog.addEventListener("close", () => this.onClose());
      dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
      dialog.addEventListener("keydown", (event) => this.onKey(event));
    }

    async open(entry) {
      wanGallery.pauseAll();
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
      if (event.key === "ArrowLeft") this.step(-1);
      else if (event.key === "ArrowRight") this.step(1);
      else return;
      event.preventDefault();
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
      const before = button("‹", "The video before", () => this.step(-1));
      before.disabled = this.position <= 0;
      const after = button("›", "The video after", () => this.step(1));
      after.disabled = this.position + 1 >= this.grid.found.length;
      head.append(title, place, before, after, button("×", "Close", () => this.dialog.close()));
      return head;
    }

    body(entry, found) {
      const body = element("div", "audit-body");
      const facts = element("div", "facts-known");
      body.append(this.player(entry), facts);
      facts.append(this.account(entry));
      if (found) facts.append(this.verdicts(found[1]), ...groupsOf(found[0]));
      else facts.append(element("p", "note", "The data of this gallery was written anew: load the page again."));
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

    account(entry) {
      const account = element("section", "account");
      const link = element("a", "", "Open the file");
      link.href = `videos/${entry.file}`;
      link.target = "_blank";
      link.rel = "noopener";
      const money = entry.simulated ? " in simulated dollars: nothing was paid" : "";
      const cost = entry.paid_by
        ? `The same video as that of ${entry.paid_by}, which has its cost.`
        : `Cost ${dollars(entry.cost)}${money}`;
      account.append(element("p", "whole-prompt", entry.prompt), element("p", "cost", cost), link);
      if (entry.differences.length) {
        account.append(element("p", "deviations", `Deviates from the request: ${entry.differences.join("; ")}`));
      }
      return account;
    }

    verdicts(said) {
      const section = element("section", "verdicts");
      const list = element("ul");
      for (const [name, result, why] of said) {
        const line = element("li", result.replace(" ", "-"));
        const parts = { sign: SIGNS[result], name, result, why: result === "failed" ? why : "" };
        line.append(...Object.entries(parts).map(([part, text]) => element("span", part, text)));
        list.append(line);
      }
      section.append(element("h3", "", "Checks"), list);
      return section;
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

  function groupsOf(values) {
    const lists = new Map(GROUPS.map((group) => [group, element("dl")]));
    wanGallery.summary.columns.forEach(([name, group, meaning], index) => {
      const term = element("dt", "", name);
      term.title = meaning;
      lists.get(group).append(term, element("dd", values[index] ? "" : "none", values[index] || "–"));
    });
    return [...lists].map(([group, list]) => {
      const section = element("section", "group");
      section.append(element("h3", "", group), list);
      return section;
    });
  }
})();
