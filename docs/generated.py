"""Parts of the reference that are written from the code: fields of resources, and commands."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import click
from docutils import nodes
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class _Written(SphinxDirective):
    """A directive whose content is Markdown that `markdown` gives."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module, _, name = self.arguments[0].rpartition(".")
        written = self.markdown(getattr(import_module(module), name))
        return self.parse_text_to_nodes("\n".join(written), allow_section_headings=True)

    def markdown(self, of: Any) -> Iterator[str]:
        raise NotImplementedError


class Fields(_Written):
    """A table of the fields of a pydantic class."""

    def markdown(self, of: Any) -> Iterator[str]:
        yield from ("| field | type | default | meaning |", "|---|---|---|---|")
        for name, field in of.model_fields.items():
            kind = inspect.formatannotation(field.annotation).replace("typing.", "").replace("|", "or")
            yield f"| `{name}` | {kind} | {_default(field)} | {field.description or ''} |"


def _default(field: FieldInfo) -> str:
    if field.default_factory:
        return "empty"
    return "required" if field.default is PydanticUndefined else f"`{field.default!r}`"


class Commands(_Written):
    """All commands below a click group, each with its help."""

    def markdown(self, of: click.Group) -> Iterator[str]:
        yield from commands(of)


def commands(group: click.Group, context: click.Context | None = None) -> Iterator[str]:
    """A section for each command below a group, as Markdown."""
    above = context or click.Context(group, info_name="wan-assets")
    for name in group.list_commands(above):
        command = group.get_command(above, name)
        if command is None:
            continue
        own = click.Context(command, info_name=name, parent=above, max_content_width=96)
        yield from (f"## `{own.command_path}`", "", "```text", command.get_help(own).strip(), "```", "")
        if isinstance(command, click.Group):
            yield from commands(command, own)


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the directives."""
    app.add_directive("fields", Fields)
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
