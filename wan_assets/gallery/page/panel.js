"use strict";
/* What is known about the clip beside it: its prompt, the decisions about it, its checks and its manifest. */

(() => {
  const { element, dollars } = wanGallery;
  const REST_MS = 150;

  wanGallery.Panel = class {
    constructor(root) {
      this.root = root;
      this.about = element("section", "about");
      this.history = element("section");
      this.facts = element("section", "facts");
      this.resting = 0;
      root.append(this.about, this.history, this.facts);
    }

    show(entry) {
      if (entry !== this.entry) {
        this.entry = entry;
        this.showAbout(entry);
        this.facts.replaceChildren();
        clearTimeout(this.resting);
        this.resting = setTimeout(() => this.showFacts(entry), REST_MS);
        this.root.scrollTop = 0;
      }
      const history = wanGallery.historyList(entry);
      this.history.replaceWith(history);
      this.history = history;
    }

    showAbout(entry) {
      const badges = element("p", "badges");
      if (entry.simulated) badges.append(element("span", "badge simulated", "SIMULATED"));
      if (!entry.chosen) badges.append(element("span", "badge other", "NOT THE ROW'S VIDEO"));
      if (entry.differences.length) badges.append(element("span", "badge deviates", "DEVIATES"));
      const money = `${entry.simulated ? "simulated " : ""}${dollars(entry.cost)}`;
      const cost = entry.paid_by ? `shared with ${entry.paid_by}` : money;
      const size = entry.size.replace("x", "×");
      const properties = [size, entry.length_s ? `${entry.length_s} s` : "", cost].filter(Boolean).join(" · ");
      this.about.replaceChildren(
        element("h2", "", entry.title),
        badges,
        element("p", "whole-prompt", entry.prompt),
        element("p", "properties", properties),
      );
      if (entry.variant) this.about.append(element("p", "properties", entry.variant.replaceAll("~", " · ")));
      if (entry.differences.length) {
        this.about.append(element("p", "deviations", `Deviates from the request: ${entry.differences.join("; ")}`));
      }
      if (entry.failed_checks.length) {
        this.about.append(element("p", "deviations", `Failed checks: ${entry.failed_checks.join(", ")}`));
      }
      for (const [name, score] of entry.scores) {
        this.about.append(element("p", "properties", `Score of ${name}: ${Number(score.toPrecision(4))}`));
      }
    }

    async showFacts(entry) {
      const found = await wanGallery.auditOf(entry).catch(() => null);
      if (entry !== this.entry) return;
      if (!found) {
        this.facts.replaceChildren(element("p", "note-text", "The data of this page was replaced: reload the page."));
        return;
      }
      const details = element("details");
      details.append(element("summary", "", "Request, money, origin and file"), ...wanGallery.groupsOf(found[0]));
      details.open = this.isOpen;
      details.ontoggle = () => { this.isOpen = details.open; };
      this.facts.replaceChildren(wanGallery.checksOf(found[1]), details);
    }
  };
})();
