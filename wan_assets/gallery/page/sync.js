"use strict";
/* Records decisions. A served page sends them to the server, repeats what failed with the same key, and asks for the
   decisions of others. A page without a server keeps them for a download. */

(() => {
  const POLL_MS = 2000;
  const HIDDEN_POLL_MS = 15000;
  const RETRY_MS = [300, 1000, 2000, 4000];
  const OVERLAP = 50; /* numbers may appear in another order than they were assigned in */
  const OFFLINE = "offline";
  const NAME = "wan-assets reviewer";

  wanGallery.Sync = class {
    /* Calls `onChange` after each change of a decision or of the state. */
    constructor(onChange) {
      this.onChange = onChange;
      this.isServed = Boolean(wanGallery.summary.served);
      this.state = this.isServed ? "connecting" : "local";
      this.message = "";
      this.newVideos = 0;
      this.last = wanGallery.summary.last_decision;
      this.failures = 0;
      this.isSending = false;
      this.isKept = true;
      this.outbox = null;
    }

    /* Whether decisions can be made: the reviewer is known. */
    get isReady() {
      return Boolean(this.outbox && wanGallery.reviewer);
    }

    /* The decisions that are not recorded yet, of the videos of this page. */
    unsent() {
      return this.outbox ? this.outbox.items().filter(wanGallery.isKnown) : [];
    }

    async start() {
      if (!this.isServed) {
        this.outbox = new wanGallery.Outbox(OFFLINE);
        this.setReviewer(stored(NAME) || "");
        return;
      }
      addEventListener("online", () => this.send());
      addEventListener("storage", () => this.refresh());
      document.addEventListener("visibilitychange", () => { if (!document.hidden) this.poll(); });
      await this.connect();
    }

    async connect() {
      clearTimeout(this.reconnecting);
      const session = await this.request("/api/session");
      if (session) {
        this.session = session;
        wanGallery.reviewer = session.reviewer;
        this.outbox = new wanGallery.Outbox(`${session.scope} ${session.reviewer}`);
        this.state = "saved";
        this.refresh();
        this.send();
        await this.poll();
      } else if (this.state !== "denied") {
        this.later(() => this.connect());
      }
    }

    /* The name of the reviewer of a page without a server. */
    setReviewer(name) {
      wanGallery.reviewer = name.trim().slice(0, 120);
      stored(NAME, wanGallery.reviewer);
      this.refresh();
    }

    refresh() {
      wanGallery.setUnsent(this.isServed ? this.outbox?.items() || [] : this.unsent());
      this.onChange();
    }

    /* All entries are read: removes decisions that the ledger had from an import when this page was written. */
    onLoaded() {
      const isSame = (one, other) => one.source === "import" && one.decided_at > other.decided_at
        && ["reviewer", "decision", "rating", "note"].every((name) => one[name] === other[name]);
      for (const decision of this.isServed ? [] : this.unsent()) {
        const recorded = wanGallery.recordedAbout(decision);
        if (recorded.some((each) => isSame(each, decision))) this.outbox.remove(decision.key);
      }
      this.refresh();
    }

    /* Records a decision: first in this browser, then in the ledger. */
    record(decision) {
      performance.mark("decided");
      this.isKept = this.outbox.add(decision) && this.isKept;
      if (this.isServed) this.send();
      this.refresh();
    }

    forget(key) {
      this.outbox.remove(key);
      this.refresh();
    }

    /* Sends the decisions in their order. One is sent at a time, so that the last one applies. */
    async send() {
      if (this.isSending || !this.session) return;
      this.isSending = true;
      try {
        for (let next = this.outbox.items()[0]; next; next = this.outbox.items()[0]) {
          this.state = this.failures ? this.state : "sending";
          const answer = await this.request("/api/decisions", { decisions: [next] });
          if (!answer) {
            if (this.session) this.later(() => this.send());
            break;
          }
          if (answer.decisions) {
            wanGallery.takeDecisions(answer.decisions);
            this.outbox.remove(next.key);
          } else {
            this.outbox.refuse(next, answer.refused);
          }
          if (performance.getEntriesByName("decided").length) performance.measure("decision-recorded", "decided");
        }
      } finally {
        this.isSending = false;
      }
      if (!this.failures && this.state === "sending") this.state = "saved";
      this.refresh();
    }

    async poll() {
      clearTimeout(this.polling);
      if (this.session) {
        let answer = null;
        do {
          const after = Math.max(0, this.last - OVERLAP);
          answer = await this.request(`/api/decisions?videos&after=${after}`);
          if (answer?.decisions) this.receive(answer);
        } while (answer?.more);
      }
      clearTimeout(this.polling);
      this.polling = setTimeout(() => this.poll(), document.hidden ? HIDDEN_POLL_MS : POLL_MS);
    }

    receive(answer) {
      const hasNew = wanGallery.takeDecisions(answer.decisions).size > 0 || answer.new_videos !== this.newVideos;
      this.newVideos = answer.new_videos;
      for (const { number } of answer.decisions) this.last = Math.max(this.last, number);
      if (hasNew) this.refresh();
    }

    /* Writes the pages again with the newest videos. */
    async writePages() {
      const answer = await this.request("/api/pages", {});
      if (!answer || answer.refused) this.message = answer?.refused || this.reason;
      return Boolean(answer) && !answer.refused;
    }

    later(act) {
      clearTimeout(this.retrying);
      this.retrying = setTimeout(act, RETRY_MS[Math.min(this.failures, RETRY_MS.length) - 1] || RETRY_MS[0]);
    }

    /* The answer as JSON; null if the request must be repeated; an object with the reason if it was refused for good. */
    async request(path, body) {
      let answer;
      try {
        answer = await fetch(path, body && {
          method: "POST",
          keepalive: true,
          headers: { "Content-Type": "application/json", "X-CSRF-Token": this.session.csrf },
          body: JSON.stringify(body),
        });
        if (answer.ok) return this.succeed(await answer.json());
      } catch {
        return this.fail("offline", "The server does not answer.");
      }
      const message = (await answer.text().catch(() => "")) || `The server answered ${answer.status}.`;
      if (answer.status === 403) return this.deny();
      if (!body || answer.status >= 500 || answer.status === 408) return this.fail("offline", message);
      return this.succeed({ refused: message });
    }

    /* The session is not valid any more, or another reviewer has opened a link in this browser. */
    deny() {
      this.session = null;
      this.fail("denied", "Open the link that the command printed for you again.");
      clearTimeout(this.reconnecting);
      this.reconnecting = setTimeout(() => this.connect(), RETRY_MS.at(-1));
      return null;
    }

    /* Sends the refused decisions again, or forgets them. */
    settle(isAgain) {
      for (const item of this.outbox.refused()) {
        if (isAgain) this.outbox.refuse(item, "");
        else this.outbox.remove(item.key);
      }
      this.message = "";
      this.send();
      this.refresh();
    }

    succeed(answer) {
      const wasFailing = this.failures > 0;
      this.failures = 0;
      if (wasFailing || this.state === "connecting") {
        this.state = "saved";
        this.onChange();
        if (wasFailing && this.session) this.send();
      }
      return answer;
    }

    fail(state, message) {
      this.failures += 1;
      this.state = state;
      this.reason = message;
      this.onChange();
      return null;
    }
  };

  /* A value in the browser's storage, if the browser stores any. */
  function stored(name, value) {
    try {
      if (value === undefined) return localStorage.getItem(name);
      localStorage.setItem(name, value);
    } catch {
      /* the value is valid until the page is closed */
    }
    return null;
  }
  wanGallery.stored = stored;
})();
