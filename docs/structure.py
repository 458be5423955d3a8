"""Counts the structure of a checkout of this repository, for the table in architecture.md.

python docs/structure.py [FOLDER]
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from statistics import median

NAME = "wan_assets"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def counts_of(root: Path) -> Iterator[str]:
    """One line for each count."""
    package = root / NAME
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py"))}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    modules = {path.stem for path in package.glob("*.py")}
    packages = {path.parent.name for path in package.glob("*/__init__.py")}
    edges = {
        (unit, target)
        for path, tree in trees.items()
        for target in _targets_of(tree)
        if (unit := path.relative_to(package).parts[0].removesuffix(".py")) not in (target, "__init__", "__main__")
        and target in modules | packages
    }
    lines = [len(text.splitlines()) for text in texts.values()]
    lengths = [
        (node.end_lineno or 0) - node.lineno + 1
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, FUNCTIONS)
    ]
    yield f"root modules {len(modules)}, packages {len(packages)}, layers {len(_layers(root))}, edges {len(edges)}"
    yield f"files {len(lines)}, lines {sum(lines)}: median {median(lines)}, longest {max(lines)}"
    yield f"functions {len(lengths)}: median {median(lengths)}, longest {max(lengths)}"


def _targets_of(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == NAME:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{NAME}."):
            yield str(node.module).split(".")[1]


def _layers(root: Path) -> list[str]:
    contracts = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    return next(contract["layers"] for contract in contracts["contracts"] if contract["type"] == "layers")


if __name__ == "__main__":
    checkout = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]
    sys.stdout.writelines(f"{line}\n" for line in counts_of(checkout))
