"use strict";
/* Totals and spending over time. The sums are computed when the gallery is written; this script only draws them. */

(() => {
  const { element, count, counted } = wanGallery;
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 600;
  const HEIGHT = 120;
  const MIN_SLOTS = 14;
  const NAMES = { real: "real money", simulated: "simulated: nothing was paid" };

  function tile(name, value, note = "") {
    const made = element("div", "tile");
    made.append(element("span", "name", name), element("strong", "", value), element("span", "note", note));
    return made;
  }

  function megabytes(bytes) {
    const units = ["B", "kB", "MB", "GB", "TB"];
    const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1);
    return `${(bytes / 1000 ** power).toPrecision(3)} ${units[power]}`;
  }

  function duration(seconds) {
    if (seconds < 120) return `${seconds} s`;
    return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
  }

  wanGallery.aboutOf = (summary) => [
    counted(summary.videos, "video"),
    duration(summary.length_s),
    megabytes(summary.bytes),
    `written ${summary.written_at}`,
  ].join(" · ");

  wanGallery.tilesOf = (summary) => {
    const problems = summary.problems ? `${counted(summary.problems, "row")} with problems left out` : "";
    const tiles = [
      tile("rows", count(summary.rows), problems),
      tile("rows without a video", count(summary.missing)),
      tile("videos with failed checks", count(summary.failed)),
    ];
    for (const money of summary.money.filter((each) => each.videos)) {
      const notes = [money.kind === "real" ? "" : "nothing was paid"];
      if (money.reserved) notes.push(`${money.reserved} still reserved`);
      if (money.unknown) notes.push(`${count(money.unknown)} of unknown cost`);
      const name = money.kind === "real" ? "cost of these videos" : "simulated cost";
      tiles.push(tile(name, money.cost, notes.filter(Boolean).join(", ")));
    }
    for (const [kind, sums] of Object.entries(summary.ledger)) {
      const name = kind === "real" ? "ledger total" : "ledger total, simulated";
      tiles.push(tile(name, sums.cost, `${counted(sums.tasks, "task")}, ${sums.reserved} reserved`));
    }
    return tiles;
  };

  wanGallery.chartsOf = (summary) => Object.entries(summary.ledger)
    .filter(([, sums]) => sums.spending.length)
    .map(([kind, sums]) => chart(kind, sums.spending));

  function chart(kind, spending) {
    const figure = element("figure", `chart ${kind}`);
    const by = spending[0][0].length > 7 ? "day" : "month";
    const caption = element("figcaption", "", `Spent by ${by}, ${NAMES[kind]}`);
    const max = spending.reduce((best, each) => (each[1] > best[1] ? each : best));
    const scale = element("span", "scale", `maximum: ${max[2]} (${max[0]})`);
    caption.append(scale);
    const ends = element("p", "ends");
    const first = spending.length > 1 ? spending[0][0] : "";
    ends.append(element("span", "", first), element("span", "", spending.at(-1)[0]));
    figure.append(caption, bars(spending, by, max[1]), ends, table(spending, by));
    return figure;
  }

  function bars(spending, by, max) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `One bar per ${by}; the table below has the numbers`);
    const slots = Math.max(spending.length, MIN_SLOTS);
    const slot = WIDTH / slots;
    spending.forEach(([name, amount, text], index) => {
      const height = max > 0 ? Math.max((Math.max(amount, 0) / max) * (HEIGHT - 4), amount > 0 ? 2 : 0) : 0;
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
