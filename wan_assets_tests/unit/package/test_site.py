"""The documentation site as a whole: complete, without dead links, its pictures as the code is."""

from __future__ import annotations

import ast
import importlib
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import wan_assets
from wan_assets import errors
from wan_assets.cli import cli
from wan_assets.models import Latency, ModelDescription, ParameterLimits, Price, Rule
from wan_assets.models.predicates import PLACEHOLDERS, PREDICATES

ROOT = Path(wan_assets.__file__).parents[1]
DOCS = ROOT / "docs"
IS_HERE = DOCS.is_dir()
PAGES = [*sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("*.md")), ROOT / "benchmarks" / "RESULTS.md"] if IS_HERE else []
SOURCES = sorted(Path(wan_assets.__file__).parent.rglob("*.py"))

pytestmark = pytest.mark.skipif(not IS_HERE, reason="the documentation is beside the package in the repository only")


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def prose_of(text: str) -> str:
    """A page without its blocks of code, in which brackets are not links; directives remain."""
    blocks = re.compile(r"^```.*?^```$|^    .*?$", re.MULTILINE | re.DOTALL)
    return blocks.sub(lambda found: found[0] if found[0].startswith("```{") else "", text)


def anchors_of(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose_of(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def links() -> Iterator[tuple[Path, str]]:
    for path in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(path.read_text(encoding="utf-8"))):
            if not re.match(r"https?://|mailto:", target):
                yield path, target


def commands_of(group: click.Group, words: str) -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        yield f"{words} {name}"
        if isinstance(command, click.Group):
            yield from commands_of(command, f"{words} {name}")


def classes_of_errors() -> Iterator[str]:
    """Every class of the package that derives from `WanAssetsError`, wherever it is."""
    known = {"WanAssetsError"}
    classes = [
        node for path in SOURCES for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)
    ]
    while new := {node.name for node in classes if {ast.unparse(base) for base in node.bases} & known} - known:
        known |= new
    return iter(sorted(known))


def codes_of_ours() -> set[str]:
    """The codes that the package gives where the API has none."""
    found = re.findall(r"(?:ApiFault|_unavailable)\(\s*\"(\w+)\"", "".join(path.read_text() for path in SOURCES))
    return {*found} - {""}


def test_every_public_name_is_in_the_reference() -> None:
    reference = page("reference")

    assert not [name for name in wan_assets.__all__ if not re.search(rf":: (wan_assets\.)?{name}\b", reference)]


@pytest.mark.slow
def test_every_error_has_a_section_that_says_what_was_paid_and_what_to_do() -> None:
    text = page("troubleshooting")
    sections = dict(re.findall(r"^### (.*?)\n(.*?)(?=^#)", text, re.MULTILINE | re.DOTALL))
    named = {name: said for heading, said in sections.items() for name in re.findall(r"`(\w+)`", heading)}

    assert set(named) == set(classes_of_errors())
    roots = {"RunwareError", "WanAssetsError"}
    assert not [name for name, said in named.items() if name not in roots and "**Do:**" not in said]
    spent = {name for name in named if name in vars(errors)} - roots - {"StoreAddressError"}
    assert not [name for name in spent if "**Paid:**" not in named[name]]


def test_every_code_that_the_product_gives_is_explained() -> None:
    assert len(codes_of_ours()) > 8
    assert not [code for code in codes_of_ours() if f"`{code}`" not in page("troubleshooting")]


def test_every_command_is_shown_with_its_help(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sphinx", reason="sphinx is of the group docs")
    monkeypatch.syspath_prepend(str(DOCS))
    written = "\n".join(importlib.import_module("generated").commands(cli))

    assert "wan_assets.cli.cli" in page("commands")
    assert not [words for words in commands_of(cli, "wan-assets") if f"## `{words}`" not in written]


def test_every_variable_of_the_environment_is_in_the_configuration() -> None:
    read = set(re.findall(r"\"(WAN_ASSETS_\w+|RUNWARE_\w+)\"", "".join(path.read_text() for path in SOURCES)))

    assert len(read) >= 8
    assert not [name for name in read if f"`{name}`" not in page("configuration")]


@pytest.mark.parametrize(("path", "target"), [pytest.param(*link, id=f"{link[0].stem} {link[1]}") for link in links()])
def test_a_link_leads_somewhere(path: Path, target: str) -> None:
    file, _, anchor = target.partition("#")
    found = (path.parent / file).resolve() if file else path

    assert found.exists()
    assert found.is_relative_to(ROOT)
    if anchor:
        assert anchor in anchors_of(found.read_text(encoding="utf-8"))


def test_every_page_is_in_the_index() -> None:
    reported = re.findall(r"^[\w-]+$", page("index"), re.MULTILINE)

    assert sorted([*reported, "index"]) == sorted(path.stem for path in DOCS.glob("*.md"))


def test_the_pictures_are_drawn_from_the_code_as_it_is() -> None:
    drawn = runpy.run_path(str(DOCS / "drawings.py"))["drawings"]()

    assert set(drawn) == {"layers.svg", "imports.svg", "lineage.svg", "states.svg"}
    outdated = [name for name, picture in drawn.items() if (DOCS / name).read_text(encoding="utf-8") != picture]
    assert not outdated, "make format draws them anew"


def test_the_page_of_models_is_written_from_their_descriptions() -> None:
    written = runpy.run_path(str(DOCS / "models_reference.py"))["page"]()

    assert page("models-reference") == written, "make format writes it anew"


def test_the_page_of_models_explains_every_field_and_predicate_of_a_description() -> None:
    text = page("models")
    kinds = (ModelDescription, ParameterLimits, Rule, Price, Latency)
    names = [name for kind in kinds for name in kind.model_fields]

    assert not [name for name in names if not re.search(rf"`\[*{name}\]*`", text)]
    assert not [name for name in PREDICATES if f"| `{name}` |" not in text]
    assert not [hole for holes in PLACEHOLDERS.values() for hole in holes if f"`{{{hole}}}`" not in text]


@pytest.mark.slow
def test_an_import_that_points_up_would_be_seen_in_the_picture() -> None:
    drawing = runpy.run_path(str(DOCS / "drawings.py"))
    order = [name for layer in drawing["layers"]() for name in layer]
    imports = drawing["imported"]()

    assert set(imports) == set(order)
    for name, found in imports.items():
        above = order[: order.index(name) + 1]
        assert not [other for other in above if f".{other}" in found], name
