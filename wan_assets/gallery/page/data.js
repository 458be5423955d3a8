"use strict";
/* The gallery's data. A page that is opened from a disk can load only scripts: each passes its content to `take`. The
   content is not trusted: it is shown as text and never as markup. */

const wanGallery = { summary: null, entries: [] };

(() => {
  const taken = new Map();

  wanGallery.take = (kind, number, content) => {
    if (kind === "summary") wanGallery.summary = content;
    else taken.set(`${kind}-${number}`, content);
  };

  function load(kind, number) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `${wanGallery.summary.folder}/${kind}-${number}.js`;
      script.onload = () => {
        script.remove();
        const name = `${kind}-${number}`;
        const content = taken.get(name);
        taken.delete(name);
        if (content) resolve(content);
        else reject(new Error(`${name} cannot be read`));
      };
      script.onerror = () => {
        script.remove();
        reject(new Error(`${kind}-${number} is missing`));
      };
      document.head.append(script);
    });
  }

  function entryOf(values, at) {
    const entry = { at };
    wanGallery.summary.fields.forEach((name, index) => { entry[name] = values[index]; });
    entry.folded = `${entry.prompt_id}\n${entry.prompt}`.toLowerCase();
    const parts = [entry.take > 1 ? `take ${entry.take}` : "", entry.result || ""];
    entry.title = [entry.prompt_id, ...parts.filter(Boolean)].join(" · ");
    wanGallery.addDecisions(entry);
    return entry;
  }

  /* Reads all entries and calls `onPage` after each page. */
  wanGallery.readEntries = async (onPage) => {
    for (let page = 0; page < wanGallery.summary.pages; page += 1) {
      for (const values of await load("index", page)) {
        wanGallery.entries.push(entryOf(values, wanGallery.entries.length));
      }
      onPage();
    }
  };

  let audited = { page: -1, records: [] };

  /* The audit record of an entry: the values of the summary's columns, and the check results. */
  wanGallery.auditOf = async (entry) => {
    const length = wanGallery.summary.audit_page;
    const page = Math.floor(entry.at / length);
    if (audited.page !== page) audited = { page, records: await load("audit", page) };
    return audited.records[entry.at % length];
  };

  /* An element with a class and a text; the text is never markup. */
  wanGallery.element = (tag, name = "", text = "") => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text) element.textContent = text;
    return element;
  };

  /* Whole micro-dollars as exact dollars: four digits, or six if the last two are not zero. */
  wanGallery.dollars = (amount) => {
    if (amount === null) return "unknown";
    const whole = Math.floor(Math.abs(amount) / 1e6).toLocaleString("en-US");
    const digits = String(Math.abs(amount) % 1e6).padStart(6, "0");
    return `${amount < 0 ? "-" : ""}$${whole}.${digits.endsWith("00") ? digits.slice(0, 4) : digits}`;
  };

  wanGallery.count = (number) => number.toLocaleString("en-US");

  wanGallery.counted = (number, noun) => `${wanGallery.count(number)} ${noun}${number === 1 ? "" : "s"}`;
})();
