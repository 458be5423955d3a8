"use strict";
/* What is shown, and in which order. Money is compared and added as whole micro-dollars. */

(() => {
  /* A typed amount in micro-dollars; null where it is none. */
  wanGallery.amountOf = (text) => {
    const found = /^\s*\$?\s*(\d{0,9})(?:[.,](\d{0,6})\d*)?\s*$/.exec(text);
    if (!found || !(found[1] || found[2])) return null;
    return Number(found[1] || 0) * 1e6 + Number((found[2] || "").padEnd(6, "0"));
  };

  const costs = {
    "": () => true,
    known: (entry) => entry.cost !== null,
    unknown: (entry) => entry.cost === null,
    shared: (entry) => entry.paid_by !== "",
  };

  function isChecked(entry, check) {
    if (check === "") return true;
    if (check === "passed") return entry.flaws.length === 0;
    return check === "failed" ? entry.flaws.length > 0 : entry.flaws.includes(check.slice("failed:".length));
  }

  function isWithin(entry, least, most) {
    if (least === null && most === null) return true;
    if (entry.cost === null) return false;
    return (least === null || entry.cost >= least) && (most === null || entry.cost <= most);
  }

  function matches(entry, asked) {
    return (asked.size === null || entry.size === asked.size)
      && (asked.length === null || entry.length_s === asked.length)
      && (asked.made === "" || entry.simulated === (asked.made === "simulated"))
      && (asked.match === "" || (entry.differences.length > 0) === (asked.match === "deviates"))
      && isChecked(entry, asked.check)
      && costs[asked.cost](entry)
      && isWithin(entry, asked.least, asked.most)
      && asked.words.every((word) => entry.folded.includes(word));
  }

  const byTable = (one, other) => one.at - other.at;
  const byCost = (sign) => (one, other) => {
    if (one.cost === null || other.cost === null) return (one.cost === null) - (other.cost === null);
    return sign * (one.cost - other.cost);
  };

  const orders = {
    table: byTable,
    newest: (one, other) => (one.stored_at < other.stored_at) - (one.stored_at > other.stored_at),
    dearest: byCost(-1),
    cheapest: byCost(1),
    longest: (one, other) => other.length_s - one.length_s,
    largest: (one, other) => other.pixels - one.pixels,
    flawed: (one, other) => other.flaws.length - one.flaws.length,
    prompt: (one, other) => (one.folded > other.folded) - (one.folded < other.folded),
  };

  wanGallery.sorts = {
    table: "as in the table",
    newest: "newest first",
    dearest: "dearest first",
    cheapest: "cheapest first",
    longest: "longest first",
    largest: "largest first",
    flawed: "failed checks first",
    prompt: "by id and prompt",
  };

  /* The entries that match, in order; those that are alike stay as in the table. */
  wanGallery.queried = (entries, asked) => {
    const found = entries.filter((entry) => matches(entry, asked));
    return asked.sort === "table" ? found : found.sort(orders[asked.sort]);
  };

  /* What some entries cost, real and simulated money apart. */
  wanGallery.costOf = (entries) => {
    const sums = { real: 0, simulated: 0, unknown: 0, has_real: false, has_simulated: false };
    for (const entry of entries) {
      const kind = entry.simulated ? "simulated" : "real";
      sums[`has_${kind}`] = true;
      sums.unknown += entry.cost === null;
      sums[kind] += entry.cost || 0;
    }
    return sums;
  };
})();
