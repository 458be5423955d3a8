"""`wan-assets models import`: drafts the description of a model from a published OpenAPI file."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import click

from wan_assets.cli.display import counted, printable, show_json
from wan_assets.cli.options import json_option
from wan_assets.errors import ModelDescriptionError
from wan_assets.models import MAX_BYTES, Draft, catalog, draft_of


@click.command(name="import")
@click.argument("schema", type=click.File("rb"))
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="The file to write; standard output by default."
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@json_option
def import_(*, schema: IO[bytes], output: Path | None, force: bool, as_json: bool) -> None:
    """Draft the description of a model from SCHEMA, an OpenAPI file of Runware such as schema.json.

    What the schema does not say, or this package does not understand, is listed on standard error and in comments of
    the draft. A draft has no price: requests for the model are refused until you add the table [price].

    Exit status: 0 the draft is written, 2 SCHEMA is not the schema of a model, or the file exists.
    """
    catalog()  # errors in other descriptions are not those of the schema
    try:
        draft = draft_of(_text_in(schema))
    except ModelDescriptionError as error:
        raise click.UsageError(f"{printable(schema.name)}: {error}") from None
    if output:
        _write(output, draft.toml, replaces=force)
    if as_json:
        show_json(_as_json(draft, output))
        return
    if not output:
        click.echo(draft.toml, nl=False)
    for note in (*draft.notes, *draft.missing):
        click.echo(f"  {printable(str(note))}", err=True)
    counts = (
        f"{counted(len(draft.missing), 'field')} to add, {counted(len(draft.notes), 'part')} not taken from the schema"
    )
    where = f" in {printable(str(output))}" if output else ""
    click.echo(f"drafted {draft.id}{where}: {counts}", err=True)


def _text_in(schema: IO[bytes]) -> str:
    content = schema.read(MAX_BYTES + 1)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ModelDescriptionError("the schema is not UTF-8") from None


def _write(path: Path, text: str, *, replaces: bool) -> None:
    try:
        with path.open("w" if replaces else "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise click.UsageError(f"{printable(str(path))} exists; --force replaces it") from None
    except OSError as error:
        raise click.UsageError(f"{printable(str(path))} cannot be written: {error.strerror}") from None


def _as_json(draft: Draft, output: Path | None) -> dict[str, object]:
    return {
        "id": draft.id,
        "output": None if output is None else str(output),
        "toml": draft.toml,
        "missing": [{"where": note.where, "message": note.message} for note in draft.missing],
        "notes": [{"where": note.where, "message": note.message} for note in draft.notes],
    }
