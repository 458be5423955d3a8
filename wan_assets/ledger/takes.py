"""Records the takes of rows, and determines which of them is the row's video.

The first take of a row is its own request; each further take is the same request with another seed. A further take is
generated after the decision `retake` about the newest one. All takes are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from more_itertools import chunked

from wan_assets.errors import DecisionError, UnwantedTakeError
from wan_assets.ledger import decisions, partition_records
from wan_assets.ledger.claims import is_current
from wan_assets.ledger.decisions import Decision, DecisionValue, VideoKey
from wan_assets.ledger.partition_records import PartitionRow
from wan_assets.ledger.records import Task, TaskState, task_of
from wan_assets.ledger.schema import insert_into, takes, tasks

_AT_API = (TaskState.SUBMITTED, TaskState.DELIVERED)
_PER_STATEMENT = 300


@dataclass(frozen=True)
class Take:
    """One take of a row: its number from 1, its request, its current task, and the decisions about its videos."""

    number: int
    fingerprint: str
    task: Task | None = None
    decisions: tuple[Decision, ...] = ()

    @property
    def is_stored(self) -> bool:
        """Whether its videos are in the store."""
        return self.task is not None and self.task.state is TaskState.STORED

    @property
    def is_submitted(self) -> bool:
        """Whether the API has its task, which may still bring a video."""
        return self.task is not None and self.task.state in _AT_API

    @property
    def value(self) -> DecisionValue:
        """The decision about the take: `approved` if any of its videos is, else `retake` if any is, `rejected` if all
        are, and `undecided` otherwise.
        """
        values = {decision.value for decision in self.decisions}
        for value in (DecisionValue.APPROVED, DecisionValue.RETAKE):
            if value in values:
                return value
        videos = len(self.task.results) if self.task else 0
        is_rejected = values == {DecisionValue.REJECTED} and len(self.decisions) >= videos
        return DecisionValue.REJECTED if is_rejected else DecisionValue.UNDECIDED

    @property
    def decided(self) -> int:
        """The number of its latest decision; 0 without any."""
        return max((decision.number for decision in self.decisions), default=0)


@dataclass(frozen=True)
class Takes:
    """The takes of one row, in order. The row has at least its first take."""

    takes: tuple[Take, ...]

    @property
    def chosen(self) -> Take:
        """The take that is the row's video.

        The approved take with the latest decision; else the newest one that nobody has rejected or sent back; else the
        newest one.
        """
        approved = [take for take in self._stored if take.value is DecisionValue.APPROVED]
        if approved:
            return max(approved, key=lambda take: take.decided)
        possible = [take for take in self._stored if take.value is DecisionValue.UNDECIDED]
        return (possible or self._stored or self.takes[:1])[-1]

    def next_number(self, max_takes: int, *, retakes_rejected: bool = False) -> int:
        """Returns the number of the take that a run brings: the chosen one, or one that is to be generated.

        A new take is generated if the newest one was sent back and no take is approved, up to `max_takes`. A take that
        was submitted is completed first; one that was only reserved is submitted only if it is still wanted.
        """
        newest = self.takes[-1]
        if newest.number > 1 and newest.is_submitted:
            return newest.number
        if not self.wants_another(retakes_rejected=retakes_rejected):
            return self.chosen.number
        following = max(take.number for take in self._stored) + 1
        return following if following <= max_takes else self.chosen.number

    def wants_another(self, *, retakes_rejected: bool) -> bool:
        """Whether the newest video was sent back, or rejected if that counts too, and no take is approved."""
        asked = {DecisionValue.RETAKE, *([DecisionValue.REJECTED] if retakes_rejected else [])}
        is_approved = any(take.value is DecisionValue.APPROVED for take in self._stored)
        return bool(self._stored) and not is_approved and self._stored[-1].value in asked

    @property
    def _stored(self) -> list[Take]:
        """The takes with videos, by the time of their tasks: a regeneration of the first take is newer than others."""
        stored = [take for take in self.takes if take.is_stored and take.task]
        return sorted(stored, key=lambda take: (take.task.created_at if take.task else "", take.number))


def record(connection: sa.Connection, row_fingerprint: str, take: int, fingerprint: str, *, simulated: bool) -> None:
    """Records that a request is a further take of a row."""
    values = {"row_fingerprint": row_fingerprint, "is_simulated": simulated, "take": take, "fingerprint": fingerprint}
    new = insert_into(connection.dialect.name, takes).values(values)
    connection.execute(new.on_conflict_do_nothing(index_elements=list(takes.primary_key)))


def refuse_unwanted(connection: sa.Connection, fingerprint: str, *, simulated: bool) -> None:
    """Raises `UnwantedTakeError` for a further take that no decision asks for any more."""
    here = (takes.c.fingerprint == fingerprint, takes.c.is_simulated == simulated)
    unwanted: UnwantedTakeError | None = None
    for found in connection.execute(takes.select().where(*here)).mappings().all():
        row = found["row_fingerprint"]
        known = of_rows(connection, [row], simulated=simulated).get(row)
        if known is None or known.wants_another(retakes_rejected=True):
            return
        unwanted = UnwantedTakeError(found["take"])
    if unwanted:
        raise unwanted


def of_rows(connection: sa.Connection, fingerprints: Collection[str], *, simulated: bool) -> dict[str, Takes]:
    """Returns the takes of rows by the fingerprint of their request; only of rows with a decision or a further take."""
    found: dict[str, Takes] = {}
    for some in chunked(dict.fromkeys(fingerprints), _PER_STATEMENT):
        found |= _of_some(connection, some, simulated=simulated)
    return found


def of_recorded(connection: sa.Connection, rows: Sequence[PartitionRow]) -> list[Takes]:
    """Returns the takes of each recorded row, also of rows that have only one and no decision."""
    own = row_fingerprints(connection, [row.fingerprint for row in rows])
    prints = [own.get(row.fingerprint, row.fingerprint) for row in rows]
    known: dict[tuple[str, bool], Takes] = {}
    for simulated in (False, True):
        some = [print_ for print_, row in zip(prints, rows, strict=True) if row.is_simulated == simulated]
        found = of_rows(connection, some, simulated=simulated)
        rest = [print_ for print_ in some if print_ not in found]
        tasks_ = _tasks(connection, rest, simulated=simulated)
        alone = {print_: Takes((Take(1, print_, tasks_.get(print_)),)) for print_ in rest}
        known |= {(print_, simulated): each for print_, each in (found | alone).items()}
    return [known[print_, row.is_simulated] for print_, row in zip(prints, rows, strict=True)]


def partitions_of(connection: sa.Connection, asset: str, fingerprints: Collection[str]) -> dict[str, list[str]]:
    """Returns the partitions of an asset that have a task of some requests, or a row with any take of them, by
    fingerprint.

    Rows with the same request share its task, which belongs to the partition of the first of them.
    """
    found: dict[str, set[str]] = {}
    for some in chunked(dict.fromkeys(fingerprints), _PER_STATEMENT):
        here = (tasks.c.asset == asset, tasks.c.fingerprint.in_(some))
        for row in connection.execute(sa.select(tasks.c.fingerprint, tasks.c.partition).where(*here).distinct()):
            found.setdefault(row.fingerprint, set()).add(row.partition)
    first = row_fingerprints(connection, fingerprints)
    of_row: dict[str, set[str]] = {}
    for print_ in fingerprints:
        of_row.setdefault(first.get(print_, print_), set()).add(print_)
    further = _further_takes(connection, of_row)
    for partition, recorded in partition_records.fingerprints(connection, asset):
        for each in recorded:
            for print_ in of_row.get(further.get(each, each), ()):
                found.setdefault(print_, set()).add(partition)
    return {print_: sorted(partitions) for print_, partitions in found.items()}


def _further_takes(connection: sa.Connection, rows: Collection[str]) -> dict[str, str]:
    """Returns the fingerprint of the row's request for each further take of some rows."""
    return _rows_of_takes(connection, takes.c.row_fingerprint, rows)


def partitions_with_approvals(connection: sa.Connection, asset: str) -> list[str]:
    """Returns the partitions of an asset that have a row about one of whose takes an approval was ever recorded."""
    prints = _of_approved_rows(connection)
    known = partition_records.fingerprints(connection, asset) if prints else ()
    return sorted(partition for partition, recorded in known if not prints.isdisjoint(recorded))


def _of_approved_rows(connection: sa.Connection) -> set[str]:
    """Returns the fingerprints of all takes of such rows."""
    prints = decisions.ever_approved(connection)
    rows = prints | set(row_fingerprints(connection, prints).values())
    return rows | _further_takes(connection, rows).keys()


def row_fingerprints(connection: sa.Connection, fingerprints: Collection[str]) -> dict[str, str]:
    """Returns the fingerprint of the row's request for each request that is a further take."""
    return _rows_of_takes(connection, takes.c.fingerprint, fingerprints)


def _rows_of_takes(connection: sa.Connection, column: sa.Column[str], values: Collection[str]) -> dict[str, str]:
    """Returns the fingerprint of the row's request for each further take with one of some values in a column."""
    found: dict[str, str] = {}
    for some in chunked(dict.fromkeys(values), _PER_STATEMENT):
        query = sa.select(takes.c.fingerprint, takes.c.row_fingerprint).where(column.in_(some))
        found |= {row.fingerprint: row.row_fingerprint for row in connection.execute(query)}
    return found


def refuse_unknown(connection: sa.Connection, videos: Collection[VideoKey]) -> None:
    """Raises `DecisionError` for a video that is not a result of a current task of its request."""
    for video in unknown(connection, videos):
        raise DecisionError(f"the ledger has no video {video.sha256[:12]}… of the request {video.fingerprint[:12]}…")


def unknown(connection: sa.Connection, videos: Collection[VideoKey]) -> list[VideoKey]:
    """Returns the videos that are not a result of a current task of their request."""
    prints = list({video.fingerprint for video in videos})
    known = [_tasks(connection, prints, simulated=simulated) for simulated in (False, True)]
    current = {
        video for found in known for task in found.values() if task.state is TaskState.STORED for video in task.videos
    }
    return [video for video in videos if video not in current]


def _of_some(connection: sa.Connection, rows: Sequence[str], *, simulated: bool) -> dict[str, Takes]:
    numbered = {row: {1: row} for row in rows}
    further = takes.select().where(takes.c.row_fingerprint.in_(rows), takes.c.is_simulated == simulated)
    for take in connection.execute(further).mappings():
        numbered[take["row_fingerprint"]][take["take"]] = take["fingerprint"]
    prints = [fingerprint for row in numbered.values() for fingerprint in row.values()]
    decided = decisions.applying(connection, prints)
    used = {row: each for row, each in numbered.items() if len(each) > 1 or any(p in decided for p in each.values())}
    if not used:
        return {}
    prints = [fingerprint for row in used.values() for fingerprint in row.values()]
    known = _tasks(connection, prints, simulated=simulated)
    return {
        row: Takes(
            tuple(
                _take(number, fingerprint, known.get(fingerprint), decided.get(fingerprint, {}))
                for number, fingerprint in sorted(each.items())
            )
        )
        for row, each in used.items()
    }


def _take(number: int, fingerprint: str, task: Task | None, decided: dict[VideoKey, Decision]) -> Take:
    """Returns a take with the decisions about the files that its task has now."""
    videos = task.videos if task else ()
    return Take(number, fingerprint, task, tuple(decided[video] for video in videos if video in decided))


def _tasks(connection: sa.Connection, fingerprints: Sequence[str], *, simulated: bool) -> dict[str, Task]:
    """Returns the newest stored task of each request or, if none is stored, its newest task that may bring a video.

    While a request is bought again, its stored videos are the ones that people decide about.
    """
    found: dict[str, Task] = {}
    for some in chunked(fingerprints, _PER_STATEMENT):
        here = (tasks.c.fingerprint.in_(some), tasks.c.is_simulated == simulated, *is_current(""))
        rows = [task_of(row) for row in connection.execute(tasks.select().where(*here)).mappings()]
        ordered = sorted(rows, key=lambda task: (task.state is TaskState.STORED, not task.is_lost, task.attempt))
        found |= {task.fingerprint: task for task in ordered}
    return found
