"use strict";
/* What is known about one video: its checks, its manifest, and the decisions about it. */

(() => {
  const { element } = wanGallery;
  const GROUPS = ["Requested", "Money", "Origin", "File"];
  const SIGNS = { passed: "✓", failed: "✗", "not measured": "–" };
  const STARS = 5;

  wanGallery.checksOf = (results) => {
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
  };

  wanGallery.groupsOf = (values) => {
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
  };

  wanGallery.starsOf = (rating) => (rating ? "★".repeat(rating) + "☆".repeat(STARS - rating) : "");

  /* A short mark of the decision about an entry. */
  wanGallery.fillMark = (mark, entry) => {
    const value = wanGallery.valueOf(entry);
    const isConflicting = wanGallery.isConflicting(entry);
    mark.dataset.value = isConflicting ? "conflicting" : value;
    mark.hidden = value === "undecided" && !isConflicting;
    mark.textContent = wanGallery.decisionNames[value] + (isConflicting ? ", conflicting" : "");
  };

  /* All decisions about an entry, newest first. */
  wanGallery.historyList = (entry) => {
    const section = element("section", "history");
    const list = element("ol");
    for (const decision of wanGallery.historyOf(entry).reverse()) list.append(lineOf(decision));
    section.append(element("h3", "", "Decisions"), list);
    if (!list.children.length) list.replaceWith(element("p", "none", "Nobody has decided."));
    return section;
  };

  function lineOf(decision) {
    const line = element("li");
    const value = element("span", "mark", wanGallery.decisionNames[decision.decision]);
    value.dataset.value = decision.decision;
    const by = element("span", "by", decision.reviewer);
    const when = element("time", "", new Date(decision.decided_at).toLocaleString());
    when.dateTime = decision.decided_at;
    line.append(value, by, when);
    const rated = wanGallery.starsOf(decision.rating);
    const origin = decision.rule ? `rule ${decision.rule}` : decision.source;
    const sent = decision.number ? `by ${origin}` : "not recorded yet";
    line.append(element("span", "origin", decision.source === "page" ? "" : sent));
    if (rated) line.append(element("span", "stars", rated));
    for (const label of decision.labels) line.append(element("span", "label", label));
    if (decision.note) line.append(element("p", "note-text", decision.note));
    return line;
  }
})();
