"""What each check finds in a whole dataset."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from wan_assets.dataset import COST_TOLERANCE, VIDEO_CHECKS, Dataset, Subject, verdicts_of
from wan_assets.ledger import TaskState
from wan_assets.prompts import Problem


@dataclass(frozen=True)
class Offender:
    """A partition, and what is wrong with it."""

    partition: str
    said: str


@dataclass(frozen=True)
class Judgement:
    """What one check found; `unmeasured` counts what it could say nothing about."""

    offenders: tuple[Offender, ...] = ()
    checked: int = 0
    unmeasured: int = 0

    @property
    def passed(self) -> bool:
        return not self.offenders


@dataclass(frozen=True)
class Rigour:
    """How closely to look: all files byte for byte or `sample` of them, drawn by `salt`; how far costs may stray."""

    verify_all: bool = False
    sample: int = 100
    salt: str = ""
    cost_tolerance: float = COST_TOLERANCE


def judged(dataset: Dataset, names: Collection[str], rigour: Rigour | None = None) -> Iterator[tuple[str, Judgement]]:
    """Yields what each of some checks finds, in the order of `DATASET_CHECKS`."""
    rigour = rigour or Rigour()
    by_video = _video_judgements(dataset, rigour.cost_tolerance) if set(names) & set(VIDEO_CHECKS) else {}
    for name in DATASET_CHECKS:
        if name not in names:
            continue
        if name == "files_verify":
            yield name, _broken_files(dataset, rigour)
        else:
            yield name, by_video[name] if name in VIDEO_CHECKS else _FINDERS[name](dataset)


def _video_judgements(dataset: Dataset, cost_tolerance: float) -> dict[str, Judgement]:
    offenders: dict[str, list[Offender]] = {name: [] for name in VIDEO_CHECKS}
    unmeasured = dict.fromkeys(VIDEO_CHECKS, 0)
    checked = 0
    for subject in dataset.subjects:
        if subject.stored is None:
            continue
        checked += 1
        cost = subject.task.known_cost_microusd if subject.task else None
        for verdict in verdicts_of(
            subject.row.request, subject.stored, cost_microusd=cost, cost_tolerance=cost_tolerance
        ):
            unmeasured[verdict.name] += not verdict.is_measured
            if not verdict.passed:
                offenders[verdict.name].append(Offender(subject.row.prompt_id, verdict.said))
    return {name: Judgement(tuple(offenders[name]), checked - unmeasured[name], unmeasured[name]) for name in offenders}


def _broken_files(dataset: Dataset, rigour: Rigour) -> Judgement:
    """Every file's presence and size, and the bytes of some."""
    booked = [subject for subject in dataset.subjects if subject.stored or _is_booked_stored(subject)]
    missing = [Offender(subject.row.prompt_id, _gone(subject)) for subject in booked if subject.stored is None]
    there = sorted((subject for subject in booked if subject.stored), key=lambda subject: _draw(subject, rigour.salt))
    drawn = there if rigour.verify_all else there[: rigour.sample]
    changed = [
        Offender(subject.row.prompt_id, f"{video.uri} does not hold the bytes that were stored")
        for subject in drawn
        for video in (subject.stored.videos if subject.stored else ())
        if not dataset.store.verifies(video)
    ]
    return Judgement((*missing, *changed), checked=len(booked))


def _is_booked_stored(subject: Subject) -> bool:
    return subject.task is not None and subject.task.state is TaskState.STORED


def _gone(subject: Subject) -> str:
    task_uuid = subject.task.task_uuid if subject.task else ""
    return f"the files of task {task_uuid} are missing or of another size"


def _draw(subject: Subject, salt: str) -> str:
    return hashlib.sha256(f"{salt}\n{subject.fingerprint}".encode()).hexdigest()


def _open_tasks(dataset: Dataset) -> Judgement:
    asked = {subject.fingerprint: subject.row.prompt_id for subject in dataset.subjects}
    offenders = tuple(
        Offender(asked.get(task.fingerprint, task.origin.partition), f"task {task.task_uuid} is {task.state}")
        for task in dataset.ledger.open_tasks()
        if task.is_simulated == dataset.is_simulated
        and (task.fingerprint in asked or task.origin.asset == dataset.name)
    )
    return Judgement(offenders, checked=len(dataset.subjects))


def _rows_without(dataset: Dataset) -> Judgement:
    invalid = [_invalid(problem) for problem in dataset.table.problems]
    missing = [
        Offender(subject.row.prompt_id, _why_missing(subject)) for subject in dataset.subjects if not subject.stored
    ]
    return Judgement((*invalid, *missing), checked=dataset.table.row_count)


def _invalid(problem: Problem) -> Offender:
    if problem.row is None:
        return Offender("header", f"the table is not valid: {problem}")
    return Offender(problem.prompt_id or f"row {problem.row}", f"the row is not valid: {problem}")


def _why_missing(subject: Subject) -> str:
    if subject.task is None:
        return "no video: it was never sent, or failed, or was refused"
    if subject.task.state is TaskState.STORED:
        return _gone(subject)
    return f"no video yet: task {subject.task.task_uuid} is {subject.task.state}"


def _orphans(dataset: Dataset) -> Judgement:
    asked = {subject.fingerprint for subject in dataset.subjects}
    kept = dataset.ledger.stored_tasks(dataset.name, simulated=dataset.is_simulated)
    offenders = tuple(
        Offender(task.origin.partition, f"no row asks for the video of task {task.task_uuid}")
        for task in kept
        if task.fingerprint not in asked
    )
    return Judgement(offenders, checked=len(kept))


def _twins(dataset: Dataset) -> Judgement:
    """Rows whose files are the same byte for byte though they ask for different videos."""
    owners: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for subject in dataset.subjects:
        for video in subject.stored.videos if subject.stored else ():
            owners[video.sha256].setdefault(subject.fingerprint, subject.row.prompt_id)
    offenders = tuple(
        Offender(partition, f"has the same picture as {next(iter(same.values()))}, though it asks for another")
        for same in owners.values()
        for partition in list(same.values())[1:]
    )
    return Judgement(offenders, checked=sum(subject.stored is not None for subject in dataset.subjects))


_FINDERS: Mapping[str, Callable[[Dataset], Judgement]] = {
    "no_task_open": _open_tasks,
    "every_row_has_its_video": _rows_without,
    "no_orphan_video": _orphans,
    "no_twin_pictures": _twins,
}

DATASET_CHECKS = (
    "files_verify",
    *VIDEO_CHECKS,
    "no_task_open",
    "every_row_has_its_video",
    "no_orphan_video",
    "no_twin_pictures",
)
