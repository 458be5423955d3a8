"""Dagster's own folder for the command line: where runs and events of `demo` and `materialize` are kept."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from wan_assets.settings import SettingsError

_DAGSTER_YAML = """\
# Written by wan-assets; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false
"""


def instance_in(folder: Path) -> dg.DagsterInstance:
    """The instance that keeps its runs in a folder, which is made ready where it is not; raises `SettingsError`."""
    settings = folder / "dagster.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not settings.exists():
            settings.write_text(_DAGSTER_YAML)
    except OSError as error:
        raise SettingsError(f"cannot use {folder} as DAGSTER_HOME: {error.strerror}") from None
    return dg.DagsterInstance.from_config(str(folder))
