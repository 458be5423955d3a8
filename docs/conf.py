"""How the documentation site is built: offline, from these pages and the docstrings of the package beside them."""

from __future__ import annotations

import sys
from pathlib import Path
from runpy import run_path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]

project = "wan-assets"
version = release = run_path(str(ROOT / "wan_assets" / "version.py"))["__version__"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "generated"]
html_theme = "furo"
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
nitpick_ignore_regex = [(r"py:.*", r"(?!wan_assets\.(errors\.)?\w+$).*")]  # other packages, and our own inside

ELSEWHERE = {
    "../README.md": "index.md",
    "../CHANGELOG.md": "changelog.md",
    "../CONTRIBUTING.md": "contributing.md",
    "../SECURITY.md": "security.md",
    "../benchmarks/RESULTS.md": "results.md",
    "../examples": "examples.md",
}
"""Links that the hosting site follows to files outside this folder, and the pages that include those files."""


def redirect(_: Sphinx, __: str, source: list[str]) -> None:
    """Makes the links of a page those of the site."""
    for outside, page in ELSEWHERE.items():
        source[0] = source[0].replace(f"]({outside})", f"]({page})").replace(f"]({outside}#", f"]({page}#")


def setup(app: Sphinx) -> None:
    """Registers what this file defines."""
    app.connect("source-read", redirect)
