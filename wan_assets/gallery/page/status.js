"use strict";
/* Shows whether decisions are recorded. Without a server: the reviewer's name, and the download of the decisions. */

(() => {
  const { element, counted } = wanGallery;

  wanGallery.Status = class {
    constructor(root, sync) {
      this.root = root;
      this.sync = sync;
      root.classList.add("status");
      root.append(...(sync.isServed ? this.served() : this.local()));
    }

    served() {
      this.text = element("span", "state");
      this.text.setAttribute("role", "status");
      this.message = element("span", "message");
      this.again = button("Try again", () => this.sync.settle(true));
      this.dismiss = button("Dismiss", () => this.sync.settle(false));
      this.fresh = button("", async () => {
        this.fresh.disabled = true;
        this.fresh.textContent = "Loading…";
        if (await this.sync.writePages()) {
          wanGallery.review?.leave();
          location.reload();
        }
        this.fresh.disabled = false;
        this.update();
      });
      this.fresh.className = "fresh";
      return [this.text, this.fresh, this.message, this.again, this.dismiss];
    }

    local() {
      this.name = element("input", "reviewer");
      this.name.placeholder = "Your name";
      this.name.setAttribute("aria-label", "Your name, for your decisions");
      this.name.maxLength = 120;
      this.name.onchange = () => this.sync.setReviewer(this.name.value);
      this.name.onkeydown = (event) => { if (event.key === "Enter" && !event.isComposing) this.name.blur(); };
      this.text = element("span", "state");
      this.text.setAttribute("role", "status");
      this.download = button("Download decisions.json", () => download(this.sync.unsent()));
      this.download.title = "Import it with: wan-assets review TABLE --import decisions.json";
      this.forget = button("Forget them", () => {
        const unsent = this.sync.unsent();
        if (!confirm(`Forget ${counted(unsent.length, "decision")} in this browser?`)) return;
        for (const { key } of unsent) this.sync.forget(key);
      });
      return [this.name, this.text, this.download, this.forget];
    }

    update() {
      if (this.sync.isServed) this.updateServed();
      else this.updateLocal();
    }

    updateServed() {
      const { sync } = this;
      const unsent = sync.unsent().length;
      const kept = unsent ? ` ${counted(unsent, "decision")} kept in this browser.` : "";
      const texts = {
        connecting: "Connecting…",
        saved: `All decisions are recorded. Reviewer: ${wanGallery.reviewer}.`,
        sending: "Recording…",
        offline: `${sync.reason}${kept} Trying again.`,
        denied: `${sync.reason}${kept}`,
      };
      const lost = sync.isKept ? "" : " This browser stores nothing: keep this page open until all is recorded.";
      this.root.dataset.state = sync.state;
      setText(this.text, texts[sync.state] + (unsent ? lost : ""));
      setText(this.fresh, `${counted(sync.newVideos, "new video")}: reload`);
      this.fresh.hidden = !sync.newVideos;
      const refused = sync.outbox?.refused() || [];
      const count = refused.length && `${counted(refused.length, "decision")} refused. ${refused.at(-1).refused}`;
      setText(this.message, count || sync.message);
      this.again.hidden = !refused.length;
      this.dismiss.hidden = !count && !sync.message;
    }

    updateLocal() {
      const unsent = this.sync.unsent().length;
      if (document.activeElement !== this.name) this.name.value = wanGallery.reviewer;
      if (wanGallery.reviewer) this.name.removeAttribute("aria-invalid");
      this.root.dataset.state = unsent ? "kept" : "local";
      const missing = this.name.hasAttribute("aria-invalid") ? "Enter your name first." : "";
      setText(this.text, missing || (unsent ? `${counted(unsent, "decision")} in this browser only` : ""));
      this.download.hidden = this.forget.hidden = !unsent;
    }

    /* Asks for the reviewer's name if it is missing; returns whether a decision can be made. */
    isReady() {
      if (this.sync.isReady) return true;
      if (this.sync.isServed) return false;
      this.name.focus();
      this.name.setAttribute("aria-invalid", "true");
      this.update();
      return false;
    }
  };

  function setText(target, text) {
    if (target.textContent !== text) target.textContent = text;
  }

  function button(text, onClick) {
    const made = element("button", "", text);
    made.type = "button";
    made.onclick = onClick;
    return made;
  }
  wanGallery.button = button;

  function download(decisions) {
    const link = element("a");
    const url = URL.createObjectURL(new Blob([wanGallery.decisionsFile(decisions)], { type: "application/json" }));
    link.href = url;
    link.download = "decisions.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }
})();
