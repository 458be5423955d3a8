"""Draws the diagrams of the documentation: layers of packages, their imports, the lineage, the states of a task.

    python docs/drawings.py

The layers are read from pyproject.toml, and the imports from the code. The output depends only on these, so that a test
can compare it with the files in the repository.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from textwrap import wrap

HERE = Path(__file__).parent
ROOT = HERE.parent
PACKAGE = ROOT / "wan_assets"
BANDS = ("#e8eef7", "#f4f1e6")
BOX, LINE, INK, PALE = "#ffffff", "#5b6b82", "#1b2430", "#66707d"
ROW_HEIGHT, BOX_WIDTH, BOX_HEIGHT, GAP, MARGIN = 66, 225, 50, 10, 14
NUMBER_WIDTH = 20
PIXELS_PER_LETTER = 6.1
CELL, LABEL_WIDTH = 18, 104
NOT_SHOWN = {"dagster", "lazy_loader", "pydantic", "pydantic_core"}
"""Many packages import these. The colour of a band shows that its layer imports Dagster."""


def layers() -> list[list[str]]:
    """The layers that import-linter enforces, from the top down, each with its packages and modules."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    found = next(contract["layers"] for contract in contracts["contracts"] if contract["type"] == "layers")
    return [[name.strip().removeprefix("wan_assets.") for name in re.split(r"[|:]", layer)] for layer in found]


def imported() -> dict[str, set[str]]:
    """The imports of each package and root module: `.name` inside wan_assets, else the name of a third-party package.

    `__init__` and `__main__` of the root are left out: they import only what they make public or run.
    """
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if module not in ("__init__", "__main__"):
            names = found.setdefault(module, set())
            names |= {name for name in _imports_of(path) if name not in (f".{module}", ".")}
    return found


def _imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (_short(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "wan_assets":
            yield from (f".{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield _short(node.module)


def _short(name: str) -> str:
    parts = name.split(".")
    return f".{parts[1]}" if parts[0] == "wan_assets" and len(parts) > 1 else parts[0]


def layers_svg() -> str:
    """A band for each layer, and a box for each package with the third-party packages that it imports."""
    needed, bands = imported(), layers()
    missing = needed.keys() - {name for band in bands for name in band}
    if missing:
        raise SystemExit(f"in no layer of pyproject.toml: {', '.join(sorted(missing))}")
    width = MARGIN * 2 + NUMBER_WIDTH + max(len(band) for band in bands) * (BOX_WIDTH + GAP) + GAP
    parts: list[str] = []
    for number, band in enumerate(bands):
        top = MARGIN + number * ROW_HEIGHT
        parts.append(_rect(MARGIN, top, width - 2 * MARGIN, ROW_HEIGHT - 4, BANDS[_imports_dagster(band, needed)]))
        parts.append(_text(MARGIN + GAP, top + ROW_HEIGHT / 2 + 3, str(number + 1), PALE))
        for column, name in enumerate(band):
            left = MARGIN + NUMBER_WIDTH + GAP + column * (BOX_WIDTH + GAP)
            parts += _box(left, top + 7, name, _third_party(needed[name]))
    foot = MARGIN + len(bands) * ROW_HEIGHT + 14
    note = "Imports point down only. Small print: imported third-party packages. Yellow: layers that import Dagster."
    parts.append(_text(MARGIN, foot, note))
    return _svg(width, foot + 14, parts, "The layers of wan-assets")


def _imports_dagster(band: Iterable[str], needed: dict[str, set[str]]) -> bool:
    return any("dagster" in needed[name] for name in band)


def _third_party(needs: set[str]) -> str:
    others = (need for need in needs if not need.startswith(".") and need not in sys.stdlib_module_names)
    return ", ".join(sorted(set(others) - NOT_SHOWN))


def imports_svg() -> str:
    """A square for each import of one package by another. A square below the diagonal would be an upward import."""
    needed = imported()
    names = [name for band in layers() for name in band]
    side = CELL * len(names)
    left, top = MARGIN + LABEL_WIDTH, MARGIN + LABEL_WIDTH
    parts: list[str] = []
    for number, name in enumerate(names):
        middle = number * CELL + CELL / 2 + 4
        parts.append(_text(left - 6, top + middle, name, anchor="end"))
        turned = f'transform="rotate(-90 {left + middle:g} {top - 6})"'
        parts.append(_text(left + middle, top - 6, name, extra=turned))
    start = 0
    for number, band in enumerate(layers()):
        parts.append(_rect(left, top + start * CELL, side, len(band) * CELL, BANDS[number % 2]))
        start += len(band)
    parts.append(f'<line x1="{left}" y1="{top}" x2="{left + side}" y2="{top + side}" stroke="{LINE}"/>')
    for row, name in enumerate(names):
        for column, other in enumerate(names):
            if f".{other}" in needed[name]:
                parts.append(_rect(left + column * CELL + 3, top + row * CELL + 3, CELL - 6, CELL - 6, LINE))
    notes = ("A square: the package of the row imports that of the column.", "All are above the diagonal.")
    for number, note in enumerate(notes):
        parts.append(_text(MARGIN, top + side + 22 + 16 * number, note))
    return _svg(left + side + MARGIN, top + side + 50, parts, "Imports between the packages of wan-assets")


def chain_svg(title: str, stations: list[tuple[str, str]]) -> str:
    """Boxes from left to right, each with a name and a short description."""
    box, arrow = 196, 34
    parts: list[str] = []
    for number, (name, about) in enumerate(stations):
        left = MARGIN + number * (box + arrow)
        parts += _box(left, MARGIN, name, about, box)
        if number:
            tip, middle = left - 3, MARGIN + BOX_HEIGHT / 2
            parts.append(f'<path d="M{left - arrow + 3} {middle:g} H{tip - 6}" stroke="{LINE}" stroke-width="2"/>')
            parts.append(f'<path d="M{tip} {middle:g} l-9 -5 v10 z" fill="{LINE}"/>')
    return _svg(2 * MARGIN + len(stations) * (box + arrow) - arrow, 2 * MARGIN + BOX_HEIGHT, parts, title)


def _box(left: float, top: float, name: str, about: str, width: int = BOX_WIDTH) -> list[str]:
    middle = left + width / 2
    lines = list(enumerate(wrap(about, int(width / PIXELS_PER_LETTER), max_lines=2, placeholder=" …"), 1))
    first = top + (30, 22, 16)[len(lines)]
    small = [_text(middle, first + 2 + 13 * row, line, PALE, size=11, anchor="middle") for row, line in lines]
    frame = _rect(left, top, width, BOX_HEIGHT, BOX, f'stroke="{LINE}" rx="5"')
    return [frame, _text(middle, first, name, size=14, anchor="middle"), *small]


def _rect(left: float, top: float, width: float, height: float, fill: str, extra: str = "") -> str:
    return f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" fill="{fill}" {extra}/>'


def _text(
    x: float, y: float, text: str, ink: str = INK, *, size: int = 12, anchor: str = "start", extra: str = ""
) -> str:
    how = f'x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" fill="{ink}" {extra}'
    return f"<text {how}>{escape(text)}</text>"


def _svg(width: float, height: float, parts: list[str], title: str) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
    head += f'viewBox="0 0 {width:g} {height:g}" font-family="Helvetica, Arial, DejaVu Sans, sans-serif">'
    body = [f"<title>{escape(title)}</title>", _rect(0, 0, width, height, "#fbfcfe"), *parts]
    return "\n".join([head, *(part.replace(" />", "/>").replace(" >", ">") for part in body), "</svg>", ""])


def drawings() -> dict[str, str]:
    """Every diagram, by the name of its file."""
    lineage = [
        ("videos_prompts", "the table"),
        ("videos_requests", "the requests of each partition"),
        ("videos", "verified files"),
    ]
    task = [
        ("reserved", "in the ledger, not submitted"),
        ("submitted", "the API has it"),
        ("delivered", "its cost is recorded"),
        ("stored", "its files are in the store"),
    ]
    return {
        "layers.svg": layers_svg(),
        "imports.svg": imports_svg(),
        "lineage.svg": chain_svg("From the table to the videos", lineage),
        "states.svg": chain_svg("The states of a task that succeeds", task),
    }


def main() -> None:
    """Writes every diagram that has changed."""
    for name, drawn in drawings().items():
        path = HERE / name
        if not path.is_file() or path.read_text(encoding="utf-8") != drawn:
            path.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
