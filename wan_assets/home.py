"""Dagster's own folder for the command line: where runs and events of `demo` and `materialize` are kept."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from wan_assets.errors import DagsterHomeError
from wan_assets.settings import SettingsError

_DAGSTER_YAML = """\
# Written by wan-assets; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false
"""
_LOCK = ".wan-assets.lock"
_LOCK_S = 120.0


def instance_in(folder: Path) -> dg.DagsterInstance:
    """The instance that keeps its runs in a folder, which is made ready where it is not.

    Raises `SettingsError` for a folder that cannot be used, `DagsterHomeError` for one whose databases are damaged.
    """
    settings = folder / "dagster.yaml"
    with locked(folder):
        try:
            if not settings.exists():
                settings.write_text(_DAGSTER_YAML)
        except OSError as error:
            raise _unusable(folder, error) from None
        return _opened(folder)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lets one process at a time work on a Dagster home: two that create its databases at once destroy them."""
    lock = FileLock(folder / _LOCK, timeout=_LOCK_S)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise SettingsError(
            f"cannot use {folder} as DAGSTER_HOME: another process has held {folder / _LOCK} for {_LOCK_S:.0f} s"
        ) from None
    except (OSError, NotImplementedError) as error:
        raise _unusable(folder, error) from None
    try:
        yield
    finally:
        lock.release()


def _unusable(folder: Path, error: Exception) -> SettingsError:
    return SettingsError(f"cannot use {folder} as DAGSTER_HOME: {getattr(error, 'strerror', None) or error}")


def _opened(folder: Path) -> dg.DagsterInstance:
    """Opens the instance and every database of it, which creates those that are not there."""
    try:
        instance = dg.DagsterInstance.from_config(str(folder))
        instance.get_runs_count()
        instance.get_dynamic_partitions("")
        instance.all_instigator_state()
    except Exception as error:
        raise _damaged(folder, error) from error
    return instance


def _damaged(folder: Path, error: Exception) -> DagsterHomeError:
    said = next(iter(str(error).strip().splitlines()), type(error).__name__)
    broken = [path for path in _databases_in(folder) if not _is_sound(path)]
    parts = dict.fromkeys(folder / path.relative_to(folder).parts[0] for path in broken)
    moves = " && ".join(f"mv {shlex.quote(str(part))} {shlex.quote(f'{part}.broken')}" for part in parts)
    return DagsterHomeError(folder, said, tuple(broken), moves)


def _databases_in(folder: Path) -> list[Path]:
    """The databases that all runs share."""
    return [
        *sorted(folder.glob("history/*.db")),
        *sorted(folder.glob("history/runs/index.db")),
        *sorted(folder.glob("schedules/*.db")),
    ]


def _is_sound(path: Path) -> bool:
    """Whether SQLite can read a database of Dagster's, and it has one version."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            is_whole = database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
            return is_whole and len(database.execute("SELECT version_num FROM alembic_version").fetchall()) == 1
    except sqlite3.Error:
        return False
