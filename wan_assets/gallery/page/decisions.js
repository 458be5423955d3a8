"use strict";
/* The decisions about each video: those of the ledger by number, then those that are only in this browser. */

(() => {
  const known = new Map();
  const own = new Map();
  const OPEN = "undecided";

  /* Identifies a video; rows that share a video share its decisions. */
  const videoOf = (from) => `${from.fingerprint} ${from.sha256} ${from.result || 1}`;

  wanGallery.reviewer = "";
  wanGallery.decisionNames = {
    approved: "approved", rejected: "rejected", retake: "retake", undecided: "undecided",
  };

  /* Reads the decisions that an entry was written with. */
  wanGallery.addDecisions = (entry) => {
    entry.video = videoOf(entry);
    for (const decision of entry.decisions) insert(entry.video, decision);
    delete entry.decisions;
    if (!known.has(entry.video)) known.set(entry.video, []);
  };

  function insert(video, decision) {
    if (!known.has(video)) known.set(video, []);
    const list = known.get(video);
    if (list.some((each) => each.number === decision.number)) return false;
    list.push(decision);
    if (list.length > 1 && list.at(-2).number > decision.number) list.sort((one, other) => one.number - other.number);
    return true;
  }

  /* Takes recorded decisions; returns the videos that have new ones. Those about videos that are not loaded yet wait. */
  wanGallery.takeDecisions = (decisions) => {
    const changed = new Set();
    for (const decision of decisions) if (insert(videoOf(decision), decision)) changed.add(videoOf(decision));
    return changed;
  };

  /* Replaces the decisions that are only in this browser. */
  wanGallery.setUnsent = (decisions) => {
    own.clear();
    for (const decision of decisions) {
      const video = videoOf(decision);
      if (!own.has(video)) own.set(video, []);
      own.get(video).push(decision);
    }
  };

  wanGallery.isKnown = (decision) => known.has(videoOf(decision));

  wanGallery.recordedAbout = (decision) => known.get(videoOf(decision)) || [];

  wanGallery.historyOf = (entry) => [...known.get(entry.video), ...(own.get(entry.video) || [])];

  /* The decision that applies, or null. */
  wanGallery.decisionOf = (entry) => own.get(entry.video)?.at(-1) || known.get(entry.video).at(-1) || null;

  wanGallery.valueOf = (entry) => wanGallery.decisionOf(entry)?.decision || OPEN;

  /* The latest decision of a reviewer about an entry, or null. */
  wanGallery.decisionBy = (entry, reviewer) =>
    wanGallery.historyOf(entry).findLast((each) => each.reviewer === reviewer) || null;

  wanGallery.isOpenFor = (entry, reviewer) => (wanGallery.decisionBy(entry, reviewer)?.decision || OPEN) === OPEN;

  /* Whether the latest decisions of two reviewers differ. */
  wanGallery.isConflicting = (entry) => {
    const latest = new Map(wanGallery.historyOf(entry).map((each) => [each.reviewer, each.decision]));
    return new Set([...latest.values()].filter((value) => value !== OPEN)).size > 1;
  };

  /* The number of entries by decision. */
  wanGallery.progressOf = (entries) => {
    const counts = { approved: 0, rejected: 0, retake: 0, undecided: 0 };
    for (const entry of entries) counts[wanGallery.valueOf(entry)] += 1;
    return counts;
  };

  /* A new decision about an entry. What the reviewer recorded before about rating, labels and note is kept. */
  wanGallery.newDecision = (entry, changes) => {
    const before = wanGallery.decisionBy(entry, wanGallery.reviewer);
    return {
      fingerprint: entry.fingerprint,
      sha256: entry.sha256,
      result: entry.result || 1,
      decision: wanGallery.valueOf(entry),
      rating: before?.rating ?? null,
      labels: before?.labels || [],
      note: before?.note || "",
      reviewer: wanGallery.reviewer,
      key: uuid(),
      decided_at: new Date().toISOString(),
      ...changes,
    };
  };

  /* The labels in use, most frequent first. */
  wanGallery.labelsOf = (entries) => {
    const counts = new Map();
    for (const entry of entries) {
      for (const label of wanGallery.decisionOf(entry)?.labels || []) counts.set(label, (counts.get(label) || 0) + 1);
    }
    return [...counts].sort((one, other) => other[1] - one[1]).map(([label]) => label);
  };

  /* `crypto.randomUUID` does not exist on pages of other hosts without TLS. */
  function uuid() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const text = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return text.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
  }
})();
