"""Configures the documentation site, which is built offline from these pages and the docstrings of the package."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from runpy import run_path

import dagster as dg
from sphinx.application import Sphinx

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]

project = "wan-assets"
version = release = run_path(str(ROOT / "wan_assets" / "__init__.py"))["__version__"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"wan-assets {version}"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
myst_heading_anchors = 3
pygments_style = "friendly"
pygments_dark_style = "native"

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
default_role = "literal"
python_maximum_signature_line_length = 88
nitpick_ignore_regex = [(r"py:.*", r"(?!wan_assets\.(errors\.)?\w+$).*")]  # other packages, and private names

ELSEWHERE = {
    "../README.md": "index.md",
    "../CHANGELOG.md": "changelog.md",
    "../CONTRIBUTING.md": "contributing.md",
    "../SECURITY.md": "security.md",
    "../benchmarks/RESULTS.md": "results.md",
    "../examples": "examples.md",
}
"""Links to files outside this folder, as the repository's host follows them, and the pages that include those files."""


def redirect(_: Sphinx, __: str, source: list[str]) -> None:
    """Replaces links to files outside this folder by links to pages of the site."""
    for outside, page in ELSEWHERE.items():
        source[0] = source[0].replace(f"]({outside})", f"]({page})").replace(f"]({outside}#", f"]({page}#")


def without_fields(_: Sphinx, __: str, ___: str, documented: object, ____: object, lines: list[str]) -> None:
    """Removes the arguments of resources and components, whose fields the page lists in a table."""
    if isinstance(documented, type) and issubclass(documented, dg.ConfigurableResource | dg.Component):
        text = "\n".join(lines)
        lines[:] = re.sub(r"^Args:\n(?: .*\n|\n(?= ))*", "", text, flags=re.MULTILINE).split("\n")


def setup(app: Sphinx) -> None:
    """Connects the functions of this file to Sphinx."""
    app.connect("source-read", redirect)
    app.connect("autodoc-process-docstring", without_fields, priority=400)  # before napoleon, which has 500
