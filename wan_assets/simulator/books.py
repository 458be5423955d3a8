"""The simulator's books: every submission, accepted task and charge, in a SQLite file that outlives its process."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TABLES = """
CREATE TABLE IF NOT EXISTS submissions (task_uuid TEXT, at REAL, outcome TEXT);
CREATE TABLE IF NOT EXISTS tasks (
    task_uuid TEXT PRIMARY KEY, request TEXT, fingerprint TEXT, accepted_at REAL, plan TEXT);
CREATE TABLE IF NOT EXISTS charges (
    id INTEGER PRIMARY KEY, task_uuid TEXT, fingerprint TEXT, amount_microusd INTEGER, charged_at REAL);
CREATE TABLE IF NOT EXISTS videos (video_uuid TEXT PRIMARY KEY, task_uuid TEXT, number INTEGER);
CREATE TABLE IF NOT EXISTS media (media_uuid TEXT PRIMARY KEY, task_uuid TEXT, size INTEGER);
CREATE TABLE IF NOT EXISTS counts (name TEXT, key TEXT, n INTEGER, PRIMARY KEY (name, key));
CREATE TABLE IF NOT EXISTS deliveries (
    task_uuid TEXT, number INTEGER, kind TEXT, due REAL, tries INTEGER DEFAULT 0,
    PRIMARY KEY (task_uuid, number, kind));
CREATE TABLE IF NOT EXISTS account (spent_microusd INTEGER);
INSERT INTO account SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM account);
"""


@dataclass(frozen=True)
class Charge:
    """Money that the account was charged for one accepted task."""

    task_uuid: str
    fingerprint: str
    amount_microusd: int
    charged_at: float


@dataclass(frozen=True)
class AcceptedTask:
    """A task as it was accepted; `plan` has one entry per result, decided then."""

    task_uuid: str
    request: Mapping[str, Any]
    fingerprint: str
    accepted_at: float
    plan: tuple[Mapping[str, Any], ...]


class Books:
    """Reads and writes the books in a folder; any number of threads and processes may."""

    def __init__(self, folder: str | Path) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            Path(folder) / "simulator.db", timeout=30, isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        with self._transaction():
            for statement in _TABLES.split(";"):
                self._db.execute(statement)

    def close(self) -> None:
        self._db.close()

    def charges(self) -> list[Charge]:
        """Every charge, in order."""
        rows = self._rows("SELECT task_uuid, fingerprint, amount_microusd, charged_at FROM charges ORDER BY id")
        return [Charge(*row) for row in rows]

    def submissions(self) -> int:
        """How many submissions came in, refused ones included."""
        return int(self._rows("SELECT count(*) FROM submissions")[0][0])

    def spent_microusd(self) -> int:
        """What the account was charged in all."""
        return int(self._rows("SELECT spent_microusd FROM account")[0][0])

    def note_submission(self, task_uuid: str, at: float, outcome: str) -> None:
        with self._transaction():
            self._db.execute("INSERT INTO submissions VALUES (?, ?, ?)", (task_uuid, at, outcome))

    def accept(self, task: AcceptedTask, amount_microusd: int, limit_microusd: int, *, again: bool) -> str:
        """Accepts and charges a task in one transaction; gives `accepted`, `known` or `poor`."""
        with self._transaction():
            known = self._db.execute("SELECT 1 FROM tasks WHERE task_uuid = ?", (task.task_uuid,)).fetchone()
            if known and not again:
                return "known"
            spent = self._db.execute("SELECT spent_microusd FROM account").fetchone()[0]
            if spent + amount_microusd > limit_microusd:
                return "poor"
            row = (task.task_uuid, json.dumps(task.request), task.fingerprint, task.accepted_at, json.dumps(task.plan))
            self._db.execute("INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?, ?)", row)
            charge = (task.task_uuid, task.fingerprint, amount_microusd, task.accepted_at)
            self._db.execute("INSERT INTO charges VALUES (NULL, ?, ?, ?, ?)", charge)
            self._db.execute("UPDATE account SET spent_microusd = spent_microusd + ?", (amount_microusd,))
            for number, result in enumerate(task.plan):
                video = (result["video_uuid"], task.task_uuid, number)
                self._db.execute("INSERT OR REPLACE INTO videos VALUES (?, ?, ?)", video)
                for kind in ("webhookURL", "uploadEndpoint"):
                    if task.request.get(kind) and not result["fault"]:
                        due = (task.task_uuid, number, kind, result["finishes_at"])
                        self._db.execute("INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, 0)", due)
        return "accepted"

    def task(self, task_uuid: str) -> AcceptedTask | None:
        rows = self._rows("SELECT * FROM tasks WHERE task_uuid = ?", task_uuid)
        return _task_of(rows[0]) if rows else None

    def video(self, video_uuid: str) -> tuple[AcceptedTask, int] | None:
        """The task and the number of the result that a video is."""
        rows = self._rows("SELECT task_uuid, number FROM videos WHERE video_uuid = ?", video_uuid)
        task = self.task(rows[0][0]) if rows else None
        return (task, rows[0][1]) if task else None

    def count(self, name: str, key: str) -> int:
        """Counts one more of something, and gives the new count."""
        with self._transaction():
            upsert = "INSERT INTO counts VALUES (?, ?, 1) ON CONFLICT (name, key) DO UPDATE SET n = n + 1 RETURNING n"
            return int(self._db.execute(upsert, (name, key)).fetchone()[0])

    def add_media(self, media_uuid: str, task_uuid: str, size: int) -> None:
        with self._transaction():
            self._db.execute("INSERT INTO media VALUES (?, ?, ?)", (media_uuid, task_uuid, size))

    def media_of(self, task_uuid: str) -> str | None:
        """The upload that a mediaStorage task made."""
        rows = self._rows("SELECT media_uuid FROM media WHERE task_uuid = ?", task_uuid)
        return rows[0][0] if rows else None

    def has_media(self, media_uuid: str) -> bool:
        return bool(self._rows("SELECT 1 FROM media WHERE media_uuid = ?", media_uuid))

    def delete_media(self, media_uuid: str) -> None:
        with self._transaction():
            self._db.execute("DELETE FROM media WHERE media_uuid = ?", (media_uuid,))

    def due_deliveries(self, now: float) -> list[tuple[str, int, str, int]]:
        """Deliveries whose time has come: task, result number, kind and tries so far."""
        due = "SELECT task_uuid, number, kind, tries FROM deliveries WHERE due <= ? ORDER BY due LIMIT 100"
        return self._rows(due, now)

    def end_delivery(self, task_uuid: str, number: int, kind: str, retry_at: float | None) -> None:
        """Removes a delivery, or puts it off."""
        key = (task_uuid, number, kind)
        with self._transaction():
            if retry_at is None:
                self._db.execute("DELETE FROM deliveries WHERE task_uuid = ? AND number = ? AND kind = ?", key)
            else:
                later = (
                    "UPDATE deliveries SET due = ?, tries = tries + 1 WHERE task_uuid = ? AND number = ? AND kind = ?"
                )
                self._db.execute(later, (retry_at, *key))

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


def _task_of(row: Any) -> AcceptedTask:
    task_uuid, request, fingerprint, accepted_at, plan = row
    return AcceptedTask(task_uuid, json.loads(request), fingerprint, accepted_at, tuple(json.loads(plan)))
