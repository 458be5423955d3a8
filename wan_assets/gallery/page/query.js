"use strict";
/* Filters and orders of the entries. Money is compared and added as whole micro-dollars. */

(() => {
  /* A typed amount in micro-dollars; null if it is not an amount. */
  wanGallery.amountOf = (text) => {
    const found = /^\s*\$?\s*(\d{0,9})(?:[.,](\d{0,6})\d*)?\s*$/.exec(text);
    if (!found || !(found[1] || found[2])) return null;
    return Number(found[1] || 0) * 1e6 + Number((found[2] || "").padEnd(6, "0"));
  };

  const decisions = {
    "": () => true,
    open: (entry) => wanGallery.isOpenFor(entry, wanGallery.reviewer),
    decided: (entry) => wanGallery.valueOf(entry) !== "undecided",
    conflicting: (entry) => wanGallery.isConflicting(entry),
  };

  const isDecided = (entry, decision) =>
    (decision in decisions ? decisions[decision](entry) : wanGallery.valueOf(entry) === decision);

  /* The score below which a fifth of the videos are, for each check with a score. */
  let limits = { entries: -1, byCheck: new Map() };
  function limitOf(check) {
    if (limits.entries !== wanGallery.entries.length) {
      const scores = new Map();
      for (const { scores: own } of wanGallery.entries) {
        for (const [name, score] of own) {
          if (!scores.has(name)) scores.set(name, []);
          scores.get(name).push(score);
        }
      }
      const lowest = (values) => values.sort((one, other) => one - other)[Math.floor(values.length / 5)];
      limits = {
        entries: wanGallery.entries.length,
        byCheck: new Map([...scores].map(([name, values]) => [name, lowest(values)])),
      };
    }
    return limits.byCheck.get(check);
  }

  const isLow = (entry, choice) => choice === "" || entry.scores.some(([name, score]) =>
    (choice === "low" || choice === `low:${name}`) && score <= limitOf(name));

  const costs = {
    "": () => true,
    known: (entry) => entry.cost !== null,
    unknown: (entry) => entry.cost === null,
    shared: (entry) => entry.paid_by !== "",
  };

  function isChecked(entry, check) {
    if (check === "") return true;
    if (check === "passed") return entry.failed_checks.length === 0;
    return check === "failed" ? entry.failed_checks.length > 0 : entry.failed_checks.includes(check.slice("failed:".length));
  }

  function isWithin(entry, min, max) {
    if (min === null && max === null) return true;
    if (entry.cost === null) return false;
    return (min === null || entry.cost >= min) && (max === null || entry.cost <= max);
  }

  function matches(entry, query) {
    return (query.size === null || entry.size === query.size)
      && (query.length === null || entry.length_s === query.length)
      && (query.source === "" || entry.simulated === (query.source === "simulated"))
      && (query.match === "" || (entry.differences.length > 0) === (query.match === "deviates"))
      && (query.extra === null || entry.extra[query.extra[0]] === query.extra[1])
      && isChecked(entry, query.check)
      && isDecided(entry, query.decision)
      && isLow(entry, query.score)
      && costs[query.cost](entry)
      && isWithin(entry, query.min, query.max)
      && query.words.every((word) => entry.folded.includes(word));
  }

  const byTable = (one, other) => one.at - other.at;
  const byCost = (sign) => (one, other) => {
    if (one.cost === null || other.cost === null) return (one.cost === null) - (other.cost === null);
    return sign * (one.cost - other.cost);
  };

  const lowestOf = (entry) => Math.min(Number.MAX_VALUE, ...entry.scores.map(([, score]) => score));

  const orders = {
    table: byTable,
    newest: (one, other) => (one.stored_at < other.stored_at) - (one.stored_at > other.stored_at),
    most_expensive: byCost(-1),
    cheapest: byCost(1),
    longest: (one, other) => other.length_s - one.length_s,
    largest: (one, other) => other.pixels - one.pixels,
    failed_checks: (one, other) => other.failed_checks.length - one.failed_checks.length,
    lowest_score: (one, other) => lowestOf(one) - lowestOf(other) || byTable(one, other),
    prompt: (one, other) => (one.folded > other.folded) - (one.folded < other.folded),
  };

  wanGallery.sorts = {
    table: "table order",
    newest: "newest first",
    most_expensive: "most expensive first",
    cheapest: "cheapest first",
    longest: "longest first",
    largest: "largest first",
    failed_checks: "failed checks first",
    lowest_score: "lowest score first",
    prompt: "by id and prompt",
  };

  /* The entries that match, in order; equal entries stay in the order of the table. */
  wanGallery.queried = (entries, query) => {
    const found = entries.filter((entry) => matches(entry, query));
    return query.sort === "table" ? found : found.sort(orders[query.sort]);
  };

  /* The entries of experiments, grouped: the groups are in the order of their first entries. */
  wanGallery.grouped = (found) => {
    const groups = new Map();
    for (const entry of found) {
      if (!entry.experiment) continue;
      if (!groups.has(entry.experiment)) groups.set(entry.experiment, []);
      groups.get(entry.experiment).push(entry);
    }
    return [...groups.values()];
  };

  /* The cost of some entries, real and simulated money separately. */
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
