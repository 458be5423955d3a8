"""Dagster's own folder for the command line: where runs and events of `demo` and `materialize` are kept."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from wan_assets.paths import is_misread_in_url
from wan_assets.settings import SettingsError

_DAGSTER_YAML = """\
# Written by wan-assets; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false
"""


@contextmanager
def instance_in(folder: Path) -> Iterator[dg.DagsterInstance]:
    """The instance that keeps its runs in a folder, which is made ready where it is not; raises `SettingsError`."""
    _make_ready(folder)
    with _named_for_dagster(folder) as home, dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def _make_ready(folder: Path) -> None:
    if not folder.is_absolute():
        raise SettingsError(f"DAGSTER_HOME is {folder}, which is no absolute path: Dagster takes no other")
    if not folder.exists() and not folder.parent.exists() and not folder.parent.parent.exists():
        raise SettingsError(f"DAGSTER_HOME is {folder}, and {folder.parent} does not exist: check its spelling")
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"DAGSTER_HOME is {folder}, which is a file: name a folder")
    settings = folder / "dagster.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not settings.exists():
            settings.write_text(_DAGSTER_YAML)
    except OSError as error:
        raise SettingsError(f"cannot use {folder} as DAGSTER_HOME: {error.strerror}") from None


@contextmanager
def _named_for_dagster(folder: Path) -> Iterator[Path]:
    """A folder under a name that Dagster can put into a URL: with a `?` in it, its databases would be elsewhere."""
    if not is_misread_in_url(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="wan-assets-") as aside:
        (link := Path(aside) / "dagster_home").symlink_to(folder, target_is_directory=True)
        yield link
