"""The tables of the journal, and the function that opens its file."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

_BUSY_S = 30.0
_TABLES = """
CREATE TABLE IF NOT EXISTS submissions (task_uuid TEXT, at REAL, outcome TEXT);
CREATE TABLE IF NOT EXISTS tasks (
    task_uuid TEXT PRIMARY KEY, request TEXT, fingerprint TEXT, accepted_at REAL, plan TEXT);
CREATE TABLE IF NOT EXISTS charges (
    id INTEGER PRIMARY KEY, task_uuid TEXT, fingerprint TEXT, amount_microusd INTEGER, charged_at REAL);
CREATE TABLE IF NOT EXISTS videos (video_uuid TEXT PRIMARY KEY, task_uuid TEXT, number INTEGER);
CREATE TABLE IF NOT EXISTS uploads (
    media_uuid TEXT PRIMARY KEY, task_uuid TEXT, reference TEXT, is_deleted INTEGER DEFAULT 0);
CREATE INDEX IF NOT EXISTS uploads_by_task ON uploads (task_uuid);
CREATE TABLE IF NOT EXISTS counts (name TEXT, key TEXT, n INTEGER, PRIMARY KEY (name, key));
CREATE TABLE IF NOT EXISTS deliveries (
    task_uuid TEXT, number INTEGER, kind TEXT, due REAL, tries INTEGER DEFAULT 0,
    PRIMARY KEY (task_uuid, number, kind));
CREATE INDEX IF NOT EXISTS deliveries_by_due ON deliveries (due);
CREATE TABLE IF NOT EXISTS account (spent_microusd INTEGER);
INSERT INTO account SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM account);
"""


def opened(folder: Path) -> sqlite3.Connection:
    """Opens the journal of a folder and creates missing tables; raises `OSError` or `sqlite3.Error`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "simulator.db"
    db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        _set_up(db)
    except BaseException:
        db.close()
        raise
    return db


def _set_up(db: sqlite3.Connection) -> None:
    # Without synchronization, data is lost only if the machine loses power, not if a process is killed.
    db.execute("PRAGMA synchronous=OFF")
    _use_wal(db)
    db.execute("BEGIN IMMEDIATE")
    for statement in _TABLES.split(";"):
        db.execute(statement)
    db.execute("COMMIT")


def _use_wal(db: sqlite3.Connection) -> None:
    """Switches to WAL mode with retries, because SQLite does not wait for the lock of this change."""
    until = time.monotonic() + _BUSY_S
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
