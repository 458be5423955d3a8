"use strict";
/* The filters that the gallery and the review page share. */

(() => {
  const { element, count } = wanGallery;

  wanGallery.options = (select, choices) => {
    select.replaceChildren(...choices.map(([value, text]) => {
      const option = element("option", "", text);
      option.value = value;
      return option;
    }));
  };

  /* One group of choices for each extra column of the table; the choice is hidden if there are none. */
  wanGallery.fillExtra = (select, columns) => {
    select.hidden = columns.length === 0;
    wanGallery.options(select, [["*", "extra columns: all"]]);
    select.append(...columns.map(([name, values]) => {
      const group = element("optgroup");
      group.label = name;
      group.append(...values.map(([value, number]) => {
        const option = element("option", "", `${name}: ${value} (${count(number)})`);
        option.value = JSON.stringify([name, value]);
        return option;
      }));
      return group;
    }));
  };

  wanGallery.fillDecisions = (select) => wanGallery.options(select, [
    ["", "all decisions"],
    ["undecided", "undecided"],
    ["open", "undecided by me"],
    ["decided", "decided"],
    ["approved", "approved"],
    ["rejected", "rejected"],
    ["retake", "retake"],
    ["conflicting", "conflicting"],
  ]);

  /* The choice is hidden if no check has a score. */
  wanGallery.fillScores = (select, scores) => {
    const number = (value) => Number(value.toPrecision(3));
    select.hidden = scores.length === 0;
    wanGallery.options(select, [
      ["", "all scores"],
      ["low", "low scores"],
      ...scores.map(([name, [low, high]]) => [`low:${name}`, `low ${name} (${number(low)} to ${number(high)})`]),
    ]);
  };

  /* The choices of checks with their counts. */
  wanGallery.fillChecks = (select, summary) => {
    const withCount = (text, number) => `${text} (${count(number)})`;
    wanGallery.options(select, [
      ["", "all checks"],
      ["passed", withCount("passed", summary.videos - summary.failed)],
      ["failed", withCount("any failed", summary.failed)],
      ...summary.failed_checks.map(([name, number]) => [`failed:${name}`, withCount(`failed ${name}`, number)]),
    ]);
  };
})();
