"""The Dagster home of the command line, which stores the runs and events of `demo` and `materialize`."""

from __future__ import annotations

import shlex
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from wan_assets.durations import duration_text
from wan_assets.errors import DagsterHomeError
from wan_assets.settings import SettingsError, is_misread_in_url

_DAGSTER_YAML = """\
# Written by wan-assets; you may change it.
telemetry:
  enabled: false
nux:
  enabled: false
"""
_LOCK = ".wan-assets.lock"
_LOCK_S = 120.0


@contextmanager
def instance_in(folder: Path) -> Iterator[dg.DagsterInstance]:
    """Opens the Dagster instance in a folder, and prepares the folder if necessary.

    Raises `SettingsError` for an unusable folder, and `DagsterHomeError` for one with damaged databases.
    """
    _check_folder(folder)
    with _path_for_dagster(folder) as home, _prepared(folder, home) as instance:
        yield instance


def _check_folder(folder: Path) -> None:
    if not folder.is_absolute():
        raise SettingsError(f"DAGSTER_HOME is {folder}, which is not an absolute path, as Dagster requires")
    if not folder.exists() and not folder.parent.exists() and not folder.parent.parent.exists():
        raise SettingsError(f"DAGSTER_HOME is {folder}, and {folder.parent} does not exist: check its spelling")
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"DAGSTER_HOME is {folder}, which is a file: give a folder")


def _prepared(folder: Path, home: Path) -> dg.DagsterInstance:
    """Opens the instance in `folder`, which Dagster addresses as `home`."""
    settings = folder / "dagster.yaml"
    with locked(folder):
        try:
            if not settings.exists():
                settings.write_text(_DAGSTER_YAML)
        except OSError as error:
            raise _unusable(folder, error) from None
        return _opened(folder, home)


@contextmanager
def _path_for_dagster(folder: Path) -> Iterator[Path]:
    """Yields a path of the folder that Dagster can insert into a URL: after a `?` Dagster would use other files."""
    if not is_misread_in_url(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="wan-assets-") as temporary:
        (link := Path(temporary) / "dagster_home").symlink_to(folder, target_is_directory=True)
        yield link


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Locks a Dagster home: two processes that create its databases at the same time damage them."""
    lock = FileLock(folder / _LOCK, timeout=_LOCK_S)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise SettingsError(
            f"cannot use {folder} as DAGSTER_HOME: another process has held {folder / _LOCK} for "
            f"{duration_text(_LOCK_S)}"
        ) from None
    except (OSError, NotImplementedError) as error:
        raise _unusable(folder, error) from None
    try:
        yield
    finally:
        lock.release()


def _unusable(folder: Path, error: Exception) -> SettingsError:
    return SettingsError(f"cannot use {folder} as DAGSTER_HOME: {getattr(error, 'strerror', None) or error}")


def _opened(folder: Path, home: Path) -> dg.DagsterInstance:
    """Opens the instance and each of its databases, which creates missing ones."""
    try:
        instance = dg.DagsterInstance.from_config(str(home))
        instance.get_runs_count()
        instance.get_dynamic_partitions("")
        instance.all_instigator_state()
    except Exception as error:
        raise _damaged(folder, error) from error
    return instance


def _damaged(folder: Path, error: Exception) -> DagsterHomeError:
    message = next(iter(str(error).strip().splitlines()), type(error).__name__)
    broken = [path for path in _databases_in(folder) if not _is_intact(path)]
    parts = dict.fromkeys(folder / path.relative_to(folder).parts[0] for path in broken)
    moves = " && ".join(f"mv {shlex.quote(str(part))} {shlex.quote(f'{part}.broken')}" for part in parts)
    return DagsterHomeError(folder, message, tuple(broken), moves)


def _databases_in(folder: Path) -> list[Path]:
    """Returns the databases that all runs share."""
    return [
        *sorted(folder.glob("history/*.db")),
        *sorted(folder.glob("history/runs/index.db")),
        *sorted(folder.glob("schedules/*.db")),
    ]


def _is_intact(path: Path) -> bool:
    """Whether SQLite can read a database of Dagster's and it has exactly one version."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            is_whole = database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
            return is_whole and len(database.execute("SELECT version_num FROM alembic_version").fetchall()) == 1
    except sqlite3.Error:
        return False
