"use strict";
/* Totals, and what was spent over time: the sums are made when the gallery is written, and only drawn here. */

(() => {
  const { element, count } = wanGallery;
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 600;
  const HEIGHT = 120;
  const LEAST_SLOTS = 14;
  const NAMES = { real: "real money", simulated: "simulated: nothing was paid" };

  function tile(name, value, note = "") {
    const made = element("div", "tile");
    made.append(element("span", "name", name), element("strong", "", value), element("span", "note", note));
    return made;
  }

  const some = (number, thing) => `${count(number)} ${thing}${number === 1 ? "" : "s"}`;

  function megabytes(bytes) {
    const units = ["B", "kB", "MB", "GB", "TB"];
    const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1);
    return `${(bytes / 1000 ** power).toPrecision(3)} ${units[power]}`;
  }

  function duration(seconds) {
    if (seconds < 120) return `${seconds} s`;
    return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
  }

  wanGallery.aboutOf = (told) =>
    [some(told.videos, "video"), duration(told.length_s), megabytes(told.bytes), `written ${told.written_at}`].join(" · ");

  wanGallery.tilesOf = (told) => {
    const tiles = [
      tile("rows", count(told.rows), told.problems ? `${count(told.problems)} have problems and are left out` : ""),
      tile("rows without a video", count(told.missing)),
      tile("fail a check", count(told.flawed)),
    ];
    for (const money of told.money.filter((each) => each.videos)) {
      const notes = [money.kind === "real" ? "" : "nothing was paid"];
      if (money.reserved) notes.push(`${money.reserved} still reserved`);
      if (money.unknown) notes.push(`${count(money.unknown)} of unknown cost`);
      const name = money.kind === "real" ? "these videos cost" : "simulated cost";
      tiles.push(tile(name, money.cost, notes.filter(Boolean).join(", ")));
    }
    for (const [kind, sums] of Object.entries(told.ledger)) {
      const name = kind === "real" ? "whole ledger" : "whole ledger, simulated";
      tiles.push(tile(name, sums.cost, `${some(sums.tasks, "task")}, ${sums.reserved} reserved`));
    }
    return tiles;
  };

  wanGallery.chartsOf = (told) => Object.entries(told.ledger)
    .filter(([, sums]) => sums.spending.length)
    .map(([kind, sums]) => chart(kind, sums.spending));

  function chart(kind, spending) {
    const figure = element("figure", `chart ${kind}`);
    const by = spending[0][0].length > 7 ? "day" : "month";
    const caption = element("figcaption", "", `Spent by ${by}, ${NAMES[kind]}`);
    const most = spending.reduce((best, each) => (each[1] > best[1] ? each : best));
    const scale = element("span", "scale", `most: ${most[2]} (${most[0]})`);
    caption.append(scale);
    const ends = element("p", "ends");
    const first = spending.length > 1 ? spending[0][0] : "";
    ends.append(element("span", "", first), element("span", "", spending.at(-1)[0]));
    figure.append(caption, bars(spending, most[1]), ends, table(spending, by));
    return figure;
  }

  function bars(spending, most) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", "A bar for each; the table below has the numbers");
    const slots = Math.max(spending.length, LEAST_SLOTS);
    const slot = WIDTH / slots;
    spending.forEach(([name, amount, text], index) => {
      const height = most > 0 ? Math.max((Math.max(amount, 0) / most) * (HEIGHT - 4), amount > 0 ? 2 : 0) : 0;
      const x = (slots - spending.length + index) * slot;
      svg.append(rect("amount", x + slot * 0.1, HEIGHT - height, slot * 0.8, height));
      svg.append(hover(x, slot, `${name}: ${text}`));
    });
    return svg;
  }

  function rect(name, x, y, width, height) {
    const made = document.createElementNS(SVG, "rect");
    made.setAttribute("class", name);
    Object.entries({ x, y, width, height }).forEach(([key, value]) => made.setAttribute(key, value.toFixed(2)));
    return made;
  }

  function hover(x, width, text) {
    const made = rect("hover", x, 0, width, HEIGHT);
    const title = document.createElementNS(SVG, "title");
    title.textContent = text;
    made.append(title);
    return made;
  }

  function table(spending, by) {
    const details = element("details", "numbers");
    const body = element("table");
    for (const [name, amount, text] of spending.filter((each) => each[1])) {
      const row = body.insertRow();
      row.append(element("td", "", name), element("td", amount < 0 ? "negative" : "", text));
    }
    details.append(element("summary", "", `As numbers by ${by}`), body);
    return details;
  }
})();
