"""The structure of the package: its root, what each package makes public, and what imports what."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import wan_assets

ROOT = Path(wan_assets.__file__).parent
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
LAZY = ("client", "engine", "prompts", "store", "video")
"""Packages that import some of their public names on first use."""


def imports_of(path: Path) -> Iterator[ast.ImportFrom]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "wan_assets":
            yield node


def owner_of(path: Path) -> str:
    """The package that a module belongs to; its own name for a module at the root."""
    return path.relative_to(ROOT).parts[0]


MODULES = sorted(ROOT.rglob("*.py"))


def test_the_root_has_few_modules_and_packages() -> None:
    assert len(list(ROOT.glob("*.py"))) <= 7
    assert len(PACKAGES) <= 14


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_from_other_packages_only_what_they_make_public(path: Path) -> None:
    private = []
    for node in imports_of(path):
        parts = (node.module or "").split(".")[1:]
        if not parts or parts[0] not in PACKAGES or parts[0] == owner_of(path):
            continue
        public = import_module(f"wan_assets.{parts[0]}").__all__
        private += [f"{node.module}.{alias.name}" for alias in node.names if len(parts) > 1 or alias.name not in public]

    assert private == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_what_it_is_and_what_is_public_and_nothing_else(package: str) -> None:
    tree = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
    _, *statements = tree.body
    public = import_module(f"wan_assets.{package}").__all__

    assert ast.get_docstring(tree)
    if package in LAZY:
        assert [type(node).__name__ for node in statements if not isinstance(node, ast.Import | ast.ImportFrom)] == [
            "If",  # of TYPE_CHECKING: the names that are imported on first use
            *["Assign"] * 3,  # __all__, the modules of these names, and __getattr__
        ]
        statements = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        statements = [node for node in statements if (node.module or "").startswith("wan_assets.")]
    else:
        assert isinstance(statements.pop(), ast.Assign)
        assert all(isinstance(node, ast.ImportFrom) for node in statements)
    assert {alias.name for node in statements for alias in node.names} == set(public)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_of_a_package_exists(package: str) -> None:
    module = import_module(f"wan_assets.{package}")

    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("package", ["", *(f".{name}" for name in LAZY)])
def test_names_of_first_use_are_those_that_type_checkers_see(package: str) -> None:
    module = import_module(f"wan_assets{package}")
    tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in checked.body for alias in node.names}

    lazy = {name: f"wan_assets{package}.{home}" for home, names in module._LAZY_NAMES.items() for name in names}
    assert lazy == seen
