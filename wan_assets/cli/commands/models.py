"""`wan-assets models`: lists the models that requests can use."""

from __future__ import annotations

import click

from wan_assets.cli.display import counted, show_json, show_table
from wan_assets.cli.lazy import LazyCommand, LazyGroup
from wan_assets.cli.model_json import model_json
from wan_assets.cli.options import json_option
from wan_assets.models import MODELS_VARIABLE, ModelDescription, catalog, duration_text, prices_of, status_text

_COMMANDS = {
    "show": LazyCommand("models_show", "show", "Show a model's parameters, sizes, rules and prices."),
    "import": LazyCommand("models_import", "import_", "Draft a description from a published OpenAPI file."),
}
_COLUMNS = ("model", "id", "status", "from", "sizes", "seconds", "$ per second")
_FOLDED = ("status", "from", "sizes", "$ per second")


@click.group(cls=LazyGroup, lazy_commands=_COMMANDS, invoke_without_command=True)
@json_option
@click.pass_context
def models(context: click.Context, *, as_json: bool) -> None:
    """List the models: inputs, sizes, durations and prices per second of video.

    Tables select a model in the column `model`, by its id or a short name. The folder in WAN_ASSETS_MODELS adds models.
    """
    if context.invoked_subcommand:
        return
    known = catalog()
    if as_json:
        show_json({"models": [model_json(model, known) for model in known.models.values()]})
        return
    rows = [_row(model) for model in known.models.values()]
    show_table(counted(len(rows), "model"), _COLUMNS, rows, flexible=_FOLDED, folded=_FOLDED)
    click.echo(
        f"wan-assets models show {rows[-1][0]} lists parameters, limits and rules; {MODELS_VARIABLE} adds models"
    )


def _row(model: ModelDescription) -> tuple[str, ...]:
    return (
        model.short_name,
        model.id,
        status_text(model),
        ", ".join(model.makes_videos_from),
        ", ".join(model.sizes) or "any",
        duration_text(model),
        _prices(model),
    )


def _prices(model: ModelDescription) -> str:
    """Returns the price of each resolution; that of silent videos is added where it differs."""
    if model.price is None:
        return "no price: add [price]"
    prices = prices_of(model.price)
    return ", ".join(f"{name} {price}{f' (silent {silent})' if silent else ''}" for name, price, silent in prices)
