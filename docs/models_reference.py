"""Writes models-reference.md from the descriptions of the models in this package.

    python docs/models_reference.py

The output depends only on the descriptions, so that a test can compare it with the page in the repository.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from wan_assets.models import (
    MODELS_VARIABLE,
    ModelDescription,
    catalog,
    default_text,
    duration_text,
    latency_text,
    limits_text,
    price_notes_of,
    prices_of,
    rule_text,
    status_text,
)

PAGE = Path(__file__).parent / "models-reference.md"
HEAD = """\
# Models

This page lists the limits, rules and prices of each model. It is written from the descriptions that the package
validates and prices requests with; `wan-assets models show NAME` prints the same. [Choose a model](models.md) describes
how to select one, and how to add one.

The source of each fact is in brackets:

- *documented*: the model's page
- *schema*: the model's published schema
- *observed*: charges or answers of the API
- *third_party*: unconfirmed code of others
- *assumed*: an assumption of this package
- *unknown*: no limit is known
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, "\n".join(_overview()), *("\n".join(_section(model)) for model in catalog().models.values())]
    return "\n".join(parts) + "\n"


def _overview() -> Iterator[str]:
    yield from ("| model | seconds | $ per second |", "|---|---|---|")
    for model in catalog().models.values():
        prices = [price for _, price, _ in prices_of(model.price)] if model.price else ["not known"]
        yield f"| `{model.short_name}` | {duration_text(model)} | {' · '.join(prices)} |"
    yield ""


def _section(model: ModelDescription) -> Iterator[str]:
    yield from (f"## {model.name}", "", f"`{model.id}`, {status_text(model)}", "")
    yield from (model.summary, "")
    if model.page:
        yield f"- page: <{model.page}>"
    yield f"- names: {', '.join(f'`{name}`' for name in model.short_names)}"
    yield f"- makes videos from: {', '.join(model.makes_videos_from)}"
    if model.successor:
        yield f"- successor: `{model.successor}`"
    if model.latency:
        yield f"- typical time of a task: {latency_text(model.latency)} ({model.latency.source})"
    yield from ("", "**Parameters**", "", *_parameters(model))
    yield from ("", f"**Sizes** ({model.sizes_source})", "", *_sizes(model))
    yield from ("", "**Rules**", "", *_rules(model))
    yield from ("", f"**Prices** ({model.price.source if model.price else 'unknown'})", "", *_prices(model))
    if model.notes:
        yield from ("", "**Notes**", "", *(f"- {note}" for note in model.notes))
    yield ""


def _parameters(model: ModelDescription) -> Iterator[str]:
    for path, limits in model.parameters.items():
        default = default_text(limits)
        yield f"- `{path}`: {limits_text(limits)}{f'; default {default}' if default else ''} ({limits.source})"


def _sizes(model: ModelDescription) -> Iterator[str]:
    for resolution, sizes in model.sizes.items():
        yield f"- {resolution}: {', '.join(f'{width}x{height}' for width, height in sizes)}"


def _rules(model: ModelDescription) -> Iterator[str]:
    for rule in model.rules:
        sentence, fix = rule_text(rule)
        yield f"- `{model.wire_path(rule.at)}`: {sentence}. Fix: {fix}. ({rule.source})"


def _prices(model: ModelDescription) -> Iterator[str]:
    if model.price is None:
        return
    for resolution, price, silent in prices_of(model.price):
        per_s = " per second" if price.startswith("$") else ""
        yield f"- {resolution}: {price}{per_s}{f', {silent} without sound' if silent else ''}"
    yield from (f"- {note}" for note in price_notes_of(model.price))


def main() -> None:
    """Writes the page if it has changed."""
    os.environ.pop(MODELS_VARIABLE, None)
    written = page()
    if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != written:
        PAGE.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
