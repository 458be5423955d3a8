"use strict";
/* Connects the review page with its keys, buttons and dialogs. */

(() => {
  const { element, options, button } = wanGallery;
  const at = (id) => document.getElementById(id);
  const TYPING_MS = 120;
  const DECISIONS = { a: "approved", r: "rejected", t: "retake" };
  let review = null;
  let typing = 0;

  const actions = {
    u: () => review.undo(),
    l: () => openLabels(),
    n: () => openNote(),
    0: () => review.amend({ rating: null }, "no rating"),
    ...Object.fromEntries(Object.entries(DECISIONS).map(([key, value]) => [key, () => review.decide(value)])),
    ...Object.fromEntries([1, 2, 3, 4, 5].map((rating) => [rating, () => rate(rating)])),
  };
  const moves = {
    j: () => review.step(1),
    k: () => review.step(-1),
    ArrowDown: () => review.step(1),
    ArrowUp: () => review.step(-1),
    ArrowRight: () => (review.view ? review.stepAside(1) : review.step(1)),
    ArrowLeft: () => (review.view ? review.stepAside(-1) : review.step(-1)),
    Home: () => review.goTo(0),
    End: () => review.goTo(review.found.length - 1),
  };
  const others = {
    " ": () => review.player.toggle(),
    m: () => sound(),
    f: () => toggleFilters(),
    "/": () => toggleFilters(true),
    s: () => review.changeView(),
    "?": () => at("keys").showModal(),
  };

  function rate(rating) {
    review.amend({ rating }, wanGallery.starsOf(rating));
  }

  function sound() {
    review.player.toggleSound();
    review.draw();
  }

  function toggleFilters(isOpen = at("bar").hidden) {
    at("bar").hidden = !isOpen;
    at("filters-button").setAttribute("aria-expanded", isOpen);
    if (isOpen) at("words").focus();
  }

  /* The letter on the key, also if the keyboard has no Latin letters. */
  function keyOf(event) {
    const letter = /^Key([A-Z])$/.exec(event.code);
    return /^[^\x00-\x7f]$/.test(event.key) && letter ? letter[1].toLowerCase() : event.key;
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const isTyping = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
    if (event.key === "Escape") {
      event.target.blur();
      if (isTyping) return;
      toggleFilters(false);
    }
    const key = keyOf(event);
    const act = actions[key] || moves[key] || others[key];
    if (isTyping || !act || (event.target.tagName === "BUTTON" && key === " ")) return;
    event.preventDefault();
    if (!event.repeat || moves[key]) act();
  }

  function openNote() {
    if (!review.entry || !review.status.isReady()) return;
    const before = wanGallery.decisionBy(review.entry, wanGallery.reviewer);
    at("note").maxLength = wanGallery.summary.max_note;
    at("note").value = before?.note || "";
    at("note-dialog").showModal();
    at("note").select();
  }

  function openLabels() {
    if (!review.entry || !review.status.isReady()) return;
    const before = wanGallery.decisionBy(review.entry, wanGallery.reviewer)?.labels || [];
    const input = at("labels");
    input.value = before.join(", ");
    const known = wanGallery.labelsOf(wanGallery.entries).slice(0, 20);
    at("known-labels").replaceChildren(...known.map((label) => button(label, () => {
      const given = labelsIn(input.value);
      input.value = (given.includes(label) ? given.filter((each) => each !== label) : [...given, label]).join(", ");
      input.focus();
    })));
    at("labels-dialog").showModal();
    input.select();
  }

  const labelsIn = (text) => [...new Set(text.split(",").map((label) => label.trim()).filter(Boolean))];

  function saveLabels() {
    const labels = labelsIn(at("labels").value).slice(0, 20).map((label) => label.slice(0, 60));
    review.amend({ labels }, labels.join(", ") || "no labels");
  }

  function saveNote() {
    const note = at("note").value.trim();
    review.amend({ note }, note ? "note kept" : "no note");
  }

  /* A dialog with a form: Enter keeps its content, Escape does not. */
  function listenTo(dialog, save) {
    at(dialog).addEventListener("submit", (event) => {
      if (event.submitter?.value !== "cancel") save();
    });
    at(dialog).addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.target.tagName === "BUTTON") return;
      event.preventDefault();
      save();
      at(dialog).close();
    });
  }

  /* A button or a choice that was used by mouse or touch gives the keys back to the page. */
  function releaseFocus() {
    let isPointer = false;
    addEventListener("pointerdown", () => { isPointer = true; }, true);
    addEventListener("keydown", () => { isPointer = false; }, true);
    addEventListener("click", (event) => { if (event.detail && event.target.tagName === "BUTTON") event.target.blur(); });
    addEventListener("change", (event) => { if (isPointer && event.target.tagName === "SELECT") event.target.blur(); });
  }

  function listen() {
    addEventListener("keydown", onKey);
    releaseFocus();
    addEventListener("hashchange", (event) => review.readLink(new URL(event.newURL).hash));
    at("bar").addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => review.restart(), TYPING_MS);
    });
    at("bar").addEventListener("reset", () => setTimeout(() => review.restart(), 0));
    at("bar").addEventListener("submit", (event) => {
      event.preventDefault();
      document.activeElement.blur();
    });
    for (const each of document.querySelectorAll("[data-key]")) {
      each.addEventListener("click", () => (actions[each.dataset.key] || moves[each.dataset.key] || others[each.dataset.key])());
    }
    at("link").onclick = copyLink;
    at("clear-too").onclick = () => at("bar").reset();
    listenTo("note-dialog", saveNote);
    listenTo("labels-dialog", saveLabels);
  }

  async function copyLink() {
    wanGallery.flushLink();
    const done = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
    review.say(done ? "The link is copied." : "Copy the address of this page: it is the link.");
  }

  function fillChoices(summary) {
    wanGallery.fillChecks(at("check"), summary);
    wanGallery.fillDecisions(at("decision"));
    wanGallery.fillScores(at("score"), summary.scores);
    wanGallery.fillExtra(at("extra"), summary.extra);
    options(at("source"), [["", "source: all"], ["real", "real"], ["simulated", "simulated"]]);
    at("source").hidden = summary.money.some((money) => !money.videos);
    options(at("sort"), Object.entries(wanGallery.sorts));
    for (const value of ["approved", "rejected", "retake", "undecided"]) {
      const part = element("span");
      part.dataset.value = value;
      at("meter").append(part);
    }
  }

  async function start() {
    wanGallery.startTheme(at("theme"));
    const { summary } = wanGallery;
    if (!summary) {
      at("progress").textContent = "These pages are incomplete: write them again.";
      return;
    }
    document.title = `Review of ${summary.title}`;
    if (!summary.videos) at("nothing").textContent = "This table has no videos yet.";
    at("title").textContent = summary.title;
    fillChoices(summary);
    review = new wanGallery.Review();
    wanGallery.review = review;
    listen();
    review.readLink();
    const connected = review.sync.start();
    try {
      await wanGallery.readEntries(() => review.search());
    } catch {
      review.say("The data of this page is missing or was replaced: reload the page.");
    }
    performance.mark("all-entries");
    review.sync.onLoaded();
    if (!summary.served) await connected;
    else await Promise.race([connected, new Promise((done) => setTimeout(done, 1500))]);
    review.onLoaded();
    document.documentElement.dataset.ready = "yes";
  }

  start();
})();
