"""The journal: records of all submissions, accepted tasks and charges in a SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from wan_assets.simulator.faults import SimulatorError
from wan_assets.simulator.journal_tables import opened


@dataclass(frozen=True)
class Charge:
    """One charge for an accepted task; two charges for one task mean that it was paid twice.

    `fingerprint` is the result of `VideoRequest.fingerprint()`, with uploads identified by content as in a ledger.
    """

    task_uuid: str
    fingerprint: str
    amount_microusd: int
    charged_at: float
    number_results: int


@dataclass(frozen=True)
class AcceptedTask:
    """An accepted task; `plan` has one entry per result and is decided at acceptance."""

    task_uuid: str
    request: Mapping[str, Any]
    fingerprint: str
    accepted_at: float
    plan: tuple[Mapping[str, Any], ...]

    @property
    def finishes_at(self) -> float:
        """The time at which the last result finishes, in seconds since 1970."""
        return max(float(result["finishes_at"]) for result in self.plan)


class Usage(NamedTuple):
    """The charges of one UTC day."""

    day: str
    tasks: int
    results: int
    spent_microusd: int


class Journal:
    """Reads and writes the journal in a folder; several threads and processes may use it at the same time.

    Raises `SimulatorError` if the folder cannot be used.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            self._db = opened(Path(folder))
            self._reader = opened(Path(folder))
        except (OSError, sqlite3.Error) as error:
            raise SimulatorError(f"cannot open the journal in {folder}: {error}") from None
        self._lock = threading.RLock()
        self._reader_lock = threading.Lock()
        self._writer = 0
        self._depth = 0

    def close(self) -> None:
        with self._lock, self._reader_lock:
            self._db.close()
            self._reader.close()

    def charges(self) -> list[Charge]:
        """Returns all charges in order."""
        rows = self.rows(
            "SELECT c.task_uuid, c.fingerprint, c.amount_microusd, c.charged_at, "
            "coalesce(json_extract(t.request, '$.numberResults'), 1) "
            "FROM charges c JOIN tasks t ON t.task_uuid = c.task_uuid ORDER BY c.id"
        )
        return [Charge(*row) for row in rows]

    def charges_by_fingerprint(self) -> Counter[str]:
        """Returns how many times each fingerprint was charged."""
        return Counter(row[0] for row in self.rows("SELECT fingerprint FROM charges"))

    def submissions(self) -> int:
        """Returns the number of task submissions, including refused ones."""
        return int(self.rows("SELECT count(*) FROM submissions")[0][0])

    def outcomes(self) -> Counter[str]:
        """Counts the submissions by outcome.

        The outcomes are `accepted`, `refused` (invalid), `known` (duplicate UUID), `poor` (insufficient balance),
        `again` (a copy that was charged), and `fault` (an injected fault).
        """
        return Counter(dict(self.rows("SELECT outcome, count(*) FROM submissions GROUP BY outcome")))

    def spent_microusd(self) -> int:
        """Returns the sum of all charges in µ$."""
        return int(self.rows("SELECT spent_microusd FROM account")[0][0])

    def usage(self, first: str, last: str, models: Collection[str] = ()) -> list[Usage]:
        """Returns the charges by UTC day, from one ISO date to another, inclusive; of some models, or of all."""
        query = (
            "SELECT date(c.charged_at, 'unixepoch') AS day, count(*), "
            "sum(coalesce(json_extract(t.request, '$.numberResults'), 1)), sum(c.amount_microusd) "
            "FROM charges c JOIN tasks t ON t.task_uuid = c.task_uuid "
            "WHERE ?1 = '[]' OR json_extract(t.request, '$.model') IN (SELECT value FROM json_each(?1)) "
            "GROUP BY day HAVING day BETWEEN ?2 AND ?3 ORDER BY day"
        )
        return [Usage(*row) for row in self.rows(query, json.dumps([*models]), first, last)]

    def note_submission(self, task_uuid: str, at: float, outcome: str) -> None:
        with self.transaction():
            self._db.execute("INSERT INTO submissions VALUES (?, ?, ?)", (task_uuid, at, outcome))

    def accept(self, task: AcceptedTask, amount_microusd: int, limit_microusd: int, *, again: bool) -> str:
        """Accepts and charges a task in one transaction; returns `accepted`, `known` or `poor`."""
        with self.transaction():
            known = self._db.execute("SELECT 1 FROM tasks WHERE task_uuid = ?", (task.task_uuid,)).fetchone()
            if known and not again:
                return "known"
            if not self.charge(task, amount_microusd, limit_microusd):
                return "poor"
            request, plan = json.dumps(task.request), json.dumps(task.plan)
            row = (task.task_uuid, request, task.fingerprint, task.accepted_at, plan)
            self._db.execute("INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?, ?)", row)
            for number, result in enumerate(task.plan):
                self._plan_result(task, number, result)
        return "accepted"

    def charge(self, task: AcceptedTask, amount_microusd: int, limit_microusd: int) -> bool:
        """Records one charge; returns False if it would exceed the limit."""
        with self.transaction():
            if self.spent_microusd() + amount_microusd > limit_microusd:
                return False
            row = (task.task_uuid, task.fingerprint, amount_microusd, task.accepted_at)
            self._db.execute("INSERT INTO charges VALUES (NULL, ?, ?, ?, ?)", row)
            self._db.execute("UPDATE account SET spent_microusd = spent_microusd + ?", (amount_microusd,))
        return True

    def _plan_result(self, task: AcceptedTask, number: int, result: Mapping[str, Any]) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO videos VALUES (?, ?, ?)", (result["video_uuid"], task.task_uuid, number)
        )
        if task.request.get("webhookURL") and result["fault"] != "lost_task":
            self._plan_delivery(task, number, "webhookURL", result["finishes_at"])
        if task.request.get("uploadEndpoint") and not result["fault"]:
            self._plan_delivery(task, number, "uploadEndpoint", result["finishes_at"])

    def _plan_delivery(self, task: AcceptedTask, number: int, kind: str, due: float) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, 0)", (task.task_uuid, number, kind, due)
        )

    def tasks(self, task_uuids: Iterable[str]) -> dict[str, AcceptedTask]:
        """Returns the accepted tasks among the given UUIDs."""
        wanted = json.dumps(list(task_uuids))
        rows = self.rows(
            "SELECT task_uuid, request, fingerprint, accepted_at, plan FROM tasks "
            "WHERE task_uuid IN (SELECT value FROM json_each(?))",
            wanted,
        )
        return {row[0]: _task_of(row) for row in rows}

    def task(self, task_uuid: str) -> AcceptedTask | None:
        return self.tasks((task_uuid,)).get(task_uuid)

    def video(self, video_uuid: str) -> tuple[AcceptedTask, int] | None:
        """Returns the task and the result number of a video, or None."""
        rows = self.rows("SELECT task_uuid, number FROM videos WHERE video_uuid = ?", video_uuid)
        task = self.task(rows[0][0]) if rows else None
        return (task, rows[0][1]) if task else None

    def count(self, name: str, key: str) -> int:
        """Increments a counter and returns its new value."""
        with self.transaction():
            more = "INSERT INTO counts VALUES (?, ?, 1) ON CONFLICT (name, key) DO UPDATE SET n = n + 1"
            return int(self._db.execute(f"{more} RETURNING n", (name, key)).fetchone()[0])

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Executes a query; inside a transaction it sees the changes, otherwise it does not wait for writers."""
        if self._writer == threading.get_ident():
            return self._db.execute(query, values).fetchall()
        with self._reader_lock:
            return self._reader.execute(query, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Opens a transaction; if transactions are nested, the outermost one commits or rolls back."""
        with self._lock:
            is_outermost = self._depth == 0
            if is_outermost:
                self._db.execute("BEGIN IMMEDIATE")
                self._writer = threading.get_ident()
            self._depth += 1
            try:
                yield self._db
            except BaseException:
                if is_outermost:
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1
                self._writer = self._writer if self._depth else 0
            if is_outermost:
                self._db.execute("COMMIT")


def _task_of(row: Any) -> AcceptedTask:
    task_uuid, request, fingerprint, accepted_at, plan = row
    return AcceptedTask(task_uuid, json.loads(request), fingerprint, accepted_at, tuple(json.loads(plan)))
