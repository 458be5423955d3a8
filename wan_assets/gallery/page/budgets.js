"use strict";
/* Burn-down charts of budgets. The numbers are computed when the gallery is written; this script only draws them. */

(() => {
  const { element } = wanGallery;
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 600;
  const HEIGHT = 160;
  const EDGE = 2;
  const LEGEND = { left: "left", even: "even use", projection: "at the recent rate" };

  wanGallery.budgetChartsOf = (summary) => summary.budgets.map(chart);

  function chart(budget) {
    const figure = element("figure", `chart budget ${budget.kind}`);
    const kind = budget.kind === "real" ? "" : ", simulated";
    const caption = element("figcaption", "", `Budget of ${budget.name}${kind}`);
    caption.append(element("span", "scale", `${budget.left_text} of ${budget.limit_text} left`));
    const ends = element("p", "ends");
    ends.append(element("span", "", budget.begin_text), element("span", "", budget.end_text));
    const outlook = element("p", "outlook", outlookOf(budget));
    figure.append(caption, drawing(budget), ends, legend(budget), outlook, table(budget));
    return figure;
  }

  function outlookOf(budget) {
    if (budget.is_exhausted) return "Exhausted: nothing is submitted until the period ends or the budget is raised.";
    const rate = `At ${budget.per_day_text} per day:`;
    const total = `${budget.expected_text} expected by the end of the period`;
    if (!budget.exhausted_text) return `${rate} ${total}.`;
    return `${rate} exhausted ${budget.exhausted_text}; ${total} without the limit.`;
  }

  function drawing(budget) {
    const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    const left = `${budget.left_text} of ${budget.limit_text} left`;
    svg.setAttribute("aria-label", `${budget.name}: ${left}. ${outlookOf(budget)} The table below has the numbers.`);
    const x = (at) => ((at - budget.begin) / (budget.end - budget.begin)) * WIDTH;
    const y = (amount) => {
      const share = budget.limit > 0 ? Math.min(Math.max(amount / budget.limit, 0), 1) : 0;
      return EDGE + (1 - share) * (HEIGHT - 2 * EDGE);
    };
    const path = (points) => points.map(([at, amount]) => `${x(at).toFixed(1)},${y(amount).toFixed(1)}`).join(" ");
    const now = budget.points.at(-1);
    const area = `${path(budget.points)} ${x(now[0]).toFixed(1)},${y(0)} 0,${y(0)}`;
    svg.append(
      make("polygon", { class: "area", points: area }),
      make("polyline", { class: "even", points: path([[budget.begin, budget.limit], [budget.end, 0]]) }),
      make("polyline", { class: "projection", points: path(budget.projection) }),
      make("polyline", { class: "left", points: path(budget.points) }),
    );
    budget.points.forEach(([at, , name, text], index) => {
      const from = index ? x(budget.points[index - 1][0]) : 0;
      if (index) svg.append(hover(from, x(at) - from, `${name}: ${text} left`));
    });
    return svg;
  }

  function make(tag, attributes) {
    const made = document.createElementNS(SVG, tag);
    Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
    return made;
  }

  function hover(x, width, text) {
    const made = make("rect", { class: "hover", x: x.toFixed(1), y: 0, width: width.toFixed(1), height: HEIGHT });
    const title = document.createElementNS(SVG, "title");
    title.textContent = text;
    made.append(title);
    return made;
  }

  function legend(budget) {
    const list = element("ul", "legend");
    for (const [name, text] of Object.entries(LEGEND)) {
      if (name === "projection" && !budget.projection.length) continue;
      list.append(element("li", name, text));
    }
    return list;
  }

  function table(budget) {
    const details = element("details", "numbers");
    const body = element("table");
    const head = body.createTHead().insertRow();
    for (const name of ["time", "left", "even use"]) {
      const cell = element("th", "", name);
      cell.scope = "col";
      head.append(cell);
    }
    const rows = body.createTBody();
    for (const [, amount, name, text, even] of budget.points) {
      const row = rows.insertRow();
      row.append(element("td", "", name), element("td", amount < 0 ? "negative" : "", text), element("td", "", even));
    }
    details.append(element("summary", "", "As numbers"), body);
    return details;
  }
})();
