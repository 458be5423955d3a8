"use strict";
/* The audit card: one large video, its prompt, its checks, its request and its origin. */

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
      details.append(this.overview(entry));
      if (found) details.append(this.checks(found[1]), ...groupsOf(found[0]));
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

    checks(results) {
      const section = element("section", "checks");
      const list = element("ul");
      for (const [name, result, message] of results) {
        const line = element("li", result.replace(" ", "-"));
        const parts = { sign: SIGNS[result], name, result, message: result === "not measured" ? "" : message };
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
