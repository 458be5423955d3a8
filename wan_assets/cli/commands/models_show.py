"""`wan-assets models show`: shows everything that a description says about one model."""

from __future__ import annotations

from collections.abc import Iterator

import click

from wan_assets.cli.display import printable, show_json, show_table
from wan_assets.cli.model_json import model_json
from wan_assets.cli.options import json_option
from wan_assets.models import (
    MODELS_VARIABLE,
    Catalog,
    ModelDescription,
    Price,
    catalog,
    closest_name,
    default_text,
    latency_text,
    limits_text,
    price_notes_of,
    prices_of,
    rule_text,
    status_text,
)


@click.command()
@click.argument("model")
@json_option
def show(*, model: str, as_json: bool) -> None:
    """Show parameters, sizes, rules and prices of MODEL, an id or a short name such as wan2.6.

    Exit status: 0 the model is known, 2 it is not.
    """
    known = catalog()
    found = known.models[_id_of(model, known)]
    if as_json:
        show_json(model_json(found, known))
        return
    for name, text in _head(found, known):
        click.echo(f"{name:<14}{printable(text)}")
    click.echo()
    _show_parameters(found)
    _show_sizes(found)
    _show_rules(found)
    _show_price(found.price)
    for note in found.notes:
        click.echo(f"note: {printable(note)}")


def _id_of(name: str, known: Catalog) -> str:
    if found := known.id_of(name):
        return found
    names = [each.short_name for each in known.models.values()]
    near = closest_name(name.strip(), known.ids)
    meant = f"did you mean {near}? " if near else ""
    raise click.UsageError(
        f"no model is named {printable(name)}; {meant}Known: {', '.join(names)}. {MODELS_VARIABLE} names a folder of "
        "further descriptions."
    )


def _head(model: ModelDescription, known: Catalog) -> Iterator[tuple[str, str]]:
    file = known.files.get(model.id)
    yield "model", f"{model.name}, {model.id}"
    yield "names", ", ".join(model.short_names) or "none: use the id"
    yield "status", status_text(model)
    if model.successor:
        yield "successor", model.successor
    yield "summary", model.summary
    yield "made from", ", ".join(model.makes_videos_from) or "not stated"
    if model.latency:
        yield "latency", f"{latency_text(model.latency)}; source: {model.latency.source}"
    yield "page", model.page or "none"
    yield "described in", "this package" if file is None else str(file)


def _show_parameters(model: ModelDescription) -> None:
    rows = [
        (path, limits_text(limits), default_text(limits), limits.source) for path, limits in model.parameters.items()
    ]
    columns = ("parameter", "limits", "default", "source")
    show_table("Parameters", columns, rows, flexible=("limits",), folded=("limits",))


def _show_sizes(model: ModelDescription) -> None:
    rows = [
        (resolution, ", ".join(f"{width}x{height}" for width, height in sizes))
        for resolution, sizes in model.sizes.items()
    ]
    if rows:
        title = f"Sizes (source: {model.sizes_source})"
        show_table(title, ("resolution", "sizes"), rows, flexible=("sizes",), folded=("sizes",))


def _show_rules(model: ModelDescription) -> None:
    rows = [(model.wire_path(rule.at), *rule_text(rule), rule.source) for rule in model.rules]
    columns = ("parameter", "rule", "what to do", "source")
    if rows:
        show_table("Rules", columns, rows, flexible=columns[:3], folded=columns[:3])


def _show_price(price: Price | None) -> None:
    if price is None:
        click.echo("no price: requests for this model are refused; add [price] with usd_per_s to its description")
        return
    has_silent = any(silent for _, _, silent in prices_of(price))
    columns = ("resolution", "$ per second", *(["without sound"] if has_silent else []))
    rows = [row[: len(columns)] for row in prices_of(price)]
    show_table(f"Prices (source: {price.source})", columns, rows, right=columns[1:])
    for note in price_notes_of(price):
        click.echo(printable(note))
