"use strict";
/* Connects the parts of the page: controls, grid, audit card, theme and keys. */

(() => {
  const { count, counted, dollars, options } = wanGallery;
  const at = (id) => document.getElementById(id);
  const TYPING_MS = 80;
  let typing = 0;

  function fillChoices(summary) {
    const withCount = (text, number) => `${text} (${count(number)})`;
    const sizeText = (size) => size.replace("x", "×") || "size unknown";
    const lengthText = (length) => (length ? `${length} s` : "length unknown");
    const counts = (pairs, textOf) => pairs.map(([value, number]) => [value, withCount(textOf(value), number)]);
    options(at("size"), [["*", "all sizes"], ...counts(summary.sizes, sizeText)]);
    options(at("length"), [["*", "all lengths"], ...counts(summary.lengths, lengthText)]);
    wanGallery.fillChecks(at("check"), summary);
    options(at("match"), [
      ["", "match: all"],
      ["matches", withCount("matches the request", summary.videos - summary.deviating)],
      ["deviates", withCount("deviates from the request", summary.deviating)],
    ]);
    const videosBySource = Object.fromEntries(summary.money.map((money) => [money.kind, money.videos]));
    options(at("source"), [
      ["", "source: all"],
      ...["real", "simulated"].map((kind) => [kind, withCount(kind, videosBySource[kind])]),
    ]);
    options(at("cost"), [
      ["", "any cost"],
      ["known", "cost known"],
      ["unknown", "cost unknown"],
      ["shared", "shared with another row"],
    ]);
    wanGallery.fillExtra(at("extra"), summary.extra);
    wanGallery.fillDecisions(at("decision"));
    wanGallery.fillScores(at("score"), summary.scores);
    options(at("sort"), Object.entries(wanGallery.sorts));
    at("view").hidden = summary.experiments === 0;
    options(at("view"), [["", "view: all videos"], ["compare", `compare variants (${count(summary.experiments)})`]]);
  }

  function currentQuery() {
    const choice = (id) => (at(id).value === "*" ? null : at(id).value);
    const length = choice("length");
    return {
      words: at("words").value.toLowerCase().split(/\s+/).filter(Boolean),
      size: choice("size"),
      length: length === null ? null : Number(length),
      check: at("check").value,
      match: at("match").value,
      source: at("source").value,
      extra: choice("extra") === null ? null : JSON.parse(choice("extra")),
      decision: at("decision").value,
      score: at("score").value,
      cost: at("cost").value,
      min: wanGallery.amountOf(at("min-cost").value),
      max: wanGallery.amountOf(at("max-cost").value),
      sort: at("sort").value,
    };
  }

  function foundText(found) {
    const sums = wanGallery.costOf(found);
    const parts = [`${count(found.length)} of ${counted(wanGallery.summary.videos, "video")}`];
    if (sums.has_real) parts.push(dollars(sums.real));
    if (sums.has_simulated) parts.push(`simulated ${dollars(sums.simulated)}`);
    if (sums.unknown) parts.push(`${count(sums.unknown)} of unknown cost`);
    return parts.join(" · ");
  }

  function refresh(grid) {
    const matching = wanGallery.queried(wanGallery.entries, currentQuery());
    const groups = at("view").value === "compare" ? wanGallery.grouped(matching) : null;
    const found = groups ? groups.flat() : matching;
    at("found").textContent = foundText(found);
    at("nothing").hidden = found.length > 0 || wanGallery.entries.length < wanGallery.summary.videos;
    for (const id of ["min-cost", "max-cost"]) {
      at(id).setAttribute("aria-invalid", at(id).value !== "" && wanGallery.amountOf(at(id).value) === null);
    }
    grid.show(found, groups);
  }

  function listen(grid) {
    const restart = () => {
      const top = at("bar").offsetTop;
      if (scrollY > top) scrollTo(0, top);
      grid.current = 0;
      refresh(grid);
    };
    const soon = () => {
      clearTimeout(typing);
      typing = setTimeout(restart, TYPING_MS);
    };
    at("bar").addEventListener("input", soon);
    at("bar").addEventListener("reset", () => setTimeout(restart, 0));
    at("bar").addEventListener("submit", (event) => {
      event.preventDefault();
      grid.focus(0);
    });
    at("clear-too").onclick = () => at("bar").reset();
    at("filters-button").onclick = () => {
      const isOpen = at("filters").classList.toggle("open");
      at("filters-button").setAttribute("aria-expanded", isOpen);
    };
    at("keys-button").onclick = () => at("keys").showModal();
    addEventListener("keydown", (event) => onKey(event, grid));
  }

  function onKey(event, grid) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const isTyping = ["INPUT", "SELECT", "VIDEO"].includes(event.target.tagName);
    if (event.key === "Escape" && event.target === at("words")) {
      at("bar").reset();
    } else if (event.key === "ArrowDown" && (event.target === at("words") || event.target === document.body)) {
      event.preventDefault();
      grid.focus(grid.current);
    } else if (event.key === "/" && !isTyping) {
      event.preventDefault();
      at("words").focus();
    } else if (event.key === "?" && !isTyping) {
      at("keys").showModal();
    }
  }

  async function start() {
    wanGallery.startTheme(at("theme"));
    const summary = wanGallery.summary;
    if (!summary) {
      at("about").textContent = "This gallery is incomplete: write it again.";
      return;
    }
    document.title = `${summary.title}: ${counted(summary.videos, "video")}`;
    at("title").textContent = summary.title;
    at("about").textContent = wanGallery.aboutOf(summary);
    at("tiles").append(...wanGallery.tilesOf(summary));
    at("charts").append(...wanGallery.chartsOf(summary));
    at("budgets").append(...wanGallery.budgetChartsOf(summary));
    at("totals").open = matchMedia("(min-width: 45rem)").matches;
    fillChoices(summary);
    let audit = null;
    const grid = new wanGallery.Grid(at("grid"), at("groups"), (entry) => audit.open(entry));
    const sync = new wanGallery.Sync(() => showDecisions());
    const status = new wanGallery.Status(at("status"), sync);
    audit = new wanGallery.Audit(at("audit"), grid, new wanGallery.Deciding(sync), status);
    const showDecisions = () => {
      status.update();
      audit.update();
      for (const card of grid.cards.values()) card.showDecision();
    };
    sync.start();
    listen(grid);
    try {
      await wanGallery.readEntries(() => {
        refresh(grid);
        if (!performance.getEntriesByName("first-cards").length) performance.mark("first-cards");
      });
    } catch {
      at("about").textContent = "The data of this gallery is missing or was replaced: reload the page.";
    }
    sync.onLoaded();
    if (!summary.videos) refresh(grid);
    performance.mark("all-entries");
    document.documentElement.dataset.ready = "yes";
  }

  start();
})();
