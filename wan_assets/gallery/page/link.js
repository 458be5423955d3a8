"use strict";
/* The address of a clip, a filter and a view: everything after the # of the page. */

(() => {
  const FILTERS = ["words", "decision", "check", "score", "extra", "source", "sort", "view"];
  const WAIT_MS = 200;
  let writing = 0;
  let next = null;

  /* The parameters that name an entry. */
  function clipOf(entry) {
    const found = { clip: entry.prompt_id };
    if (entry.take > 1) found.take = entry.take;
    if (entry.result) found.result = entry.result;
    if (entry.simulated) found.simulated = 1;
    return found;
  }

  wanGallery.linkOf = (filters, entry) => {
    const given = { ...filters, ...(entry ? clipOf(entry) : {}) };
    const parameters = Object.entries(given).filter(([, value]) => value !== "" && value !== null);
    return parameters.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  };

  wanGallery.readLink = (hash = location.hash) => {
    next = null; /* an older address would replace this one */
    const parameters = new URLSearchParams(hash.slice(1).replaceAll("+", "%2B"));
    const filters = Object.fromEntries(FILTERS.map((name) => [name, parameters.get(name) || ""]));
    return { filters, clip: Object.fromEntries(parameters) };
  };

  wanGallery.isClip = (entry, clip) => entry.prompt_id === clip.clip
    && entry.take === Number(clip.take || 1)
    && (entry.result || 0) === Number(clip.result || 0)
    && entry.simulated === Boolean(clip.simulated);

  /* Writes the address a little later: browsers refuse many changes in a short time. */
  wanGallery.writeLink = (text) => {
    next = text;
    if (!writing) writing = setTimeout(flush, WAIT_MS);
  };

  function flush() {
    clearTimeout(writing);
    writing = 0;
    if (next !== null && next !== location.hash.slice(1)) history.replaceState(null, "", `#${next}`);
    next = null;
  }
  wanGallery.flushLink = flush;
  addEventListener("pagehide", flush);
})();
