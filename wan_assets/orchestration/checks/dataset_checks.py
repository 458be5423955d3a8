"""The results of each check over a whole dataset."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from wan_assets.dataset import COST_TOLERANCE, VIDEO_CHECKS, Dataset, DatasetRow, quality_results_of
from wan_assets.ledger import TaskState
from wan_assets.prompts import Problem


@dataclass(frozen=True)
class FailedRow:
    """A partition that failed a check, and the reason."""

    partition: str
    reason: str


@dataclass(frozen=True)
class CheckResult:
    """The result of one check; `unmeasured` is the number of rows that could not be evaluated."""

    failed_rows: tuple[FailedRow, ...] = ()
    checked: int = 0
    unmeasured: int = 0

    @property
    def passed(self) -> bool:
        return not self.failed_rows


@dataclass(frozen=True)
class CheckOptions:
    """Options of the checks.

    The bytes of all files, or of `sample` files selected by `salt`, are compared. `cost_tolerance` is a share of the
    price.
    """

    verify_all: bool = False
    sample: int = 100
    salt: str = ""
    cost_tolerance: float = COST_TOLERANCE


def check_results(
    dataset: Dataset, names: Collection[str], check_options: CheckOptions | None = None
) -> Iterator[tuple[str, CheckResult]]:
    """Yields the result of each check in `names`, in the order of `DATASET_CHECKS`."""
    check_options = check_options or CheckOptions()
    by_video = _video_results(dataset, check_options.cost_tolerance) if set(names) & set(VIDEO_CHECKS) else {}
    for name in DATASET_CHECKS:
        if name not in names:
            continue
        if name == "file_integrity":
            yield name, _broken_files(dataset, check_options)
        else:
            yield name, by_video[name] if name in VIDEO_CHECKS else _FINDERS[name](dataset)


def _video_results(dataset: Dataset, cost_tolerance: float) -> dict[str, CheckResult]:
    failed_rows: dict[str, list[FailedRow]] = {name: [] for name in VIDEO_CHECKS}
    unmeasured = dict.fromkeys(VIDEO_CHECKS, 0)
    checked = 0
    for dataset_row in dataset.dataset_rows:
        if dataset_row.stored is None:
            continue
        checked += 1
        cost = dataset_row.task.known_cost_microusd if dataset_row.task else None
        for quality_result in quality_results_of(
            dataset_row.row.request, dataset_row.stored, cost_microusd=cost, cost_tolerance=cost_tolerance
        ):
            unmeasured[quality_result.name] += not quality_result.is_measured
            if not quality_result.passed:
                failed_rows[quality_result.name].append(FailedRow(dataset_row.row.prompt_id, quality_result.message))
    return {
        name: CheckResult(tuple(failed_rows[name]), checked - unmeasured[name], unmeasured[name])
        for name in failed_rows
    }


def _broken_files(dataset: Dataset, check_options: CheckOptions) -> CheckResult:
    """Checks existence and size of every file, and the bytes of some."""
    recorded = [
        dataset_row for dataset_row in dataset.dataset_rows if dataset_row.stored or _is_recorded_as_stored(dataset_row)
    ]
    missing = [
        FailedRow(dataset_row.row.prompt_id, _missing_files(dataset_row))
        for dataset_row in recorded
        if dataset_row.stored is None
    ]
    existing = sorted(
        (dataset_row for dataset_row in recorded if dataset_row.stored),
        key=lambda dataset_row: _sample_key(dataset_row, check_options.salt),
    )
    sampled = existing if check_options.verify_all else existing[: check_options.sample]
    changed = [
        FailedRow(dataset_row.row.prompt_id, f"{video.uri} does not contain the stored bytes")
        for dataset_row in sampled
        for video in (dataset_row.stored.videos if dataset_row.stored else ())
        if not dataset.store.verifies(video)
    ]
    return CheckResult((*missing, *changed), checked=len(recorded))


def _is_recorded_as_stored(dataset_row: DatasetRow) -> bool:
    return dataset_row.task is not None and dataset_row.task.state is TaskState.STORED


def _missing_files(dataset_row: DatasetRow) -> str:
    task_uuid = dataset_row.task.task_uuid if dataset_row.task else ""
    return f"the files of task {task_uuid} are missing or have another size"


def _sample_key(dataset_row: DatasetRow, salt: str) -> str:
    return hashlib.sha256(f"{salt}\n{dataset_row.fingerprint}".encode()).hexdigest()


def _open_tasks(dataset: Dataset) -> CheckResult:
    requested = {dataset_row.fingerprint: dataset_row.row.prompt_id for dataset_row in dataset.dataset_rows}
    failed_rows = tuple(
        FailedRow(requested.get(task.fingerprint, task.origin.partition), f"task {task.task_uuid} is {task.state}")
        for task in dataset.ledger.open_tasks()
        if task.is_simulated == dataset.is_simulated
        and (task.fingerprint in requested or task.origin.asset == dataset.name)
    )
    return CheckResult(failed_rows, checked=len(dataset.dataset_rows))


def _rows_without(dataset: Dataset) -> CheckResult:
    invalid = [_invalid(problem) for problem in dataset.table.problems]
    missing = [
        FailedRow(dataset_row.row.prompt_id, _why_missing(dataset_row))
        for dataset_row in dataset.dataset_rows
        if not dataset_row.stored
    ]
    return CheckResult((*invalid, *missing), checked=dataset.table.row_count)


def _invalid(problem: Problem) -> FailedRow:
    if problem.row is None:
        return FailedRow("header", f"the table is not valid: {problem}")
    return FailedRow(problem.prompt_id or f"row {problem.row}", f"the row is not valid: {problem}")


def _why_missing(dataset_row: DatasetRow) -> str:
    if dataset_row.task is None:
        return "no video: the row was not submitted, failed or was refused"
    if dataset_row.task.state is TaskState.STORED:
        return _missing_files(dataset_row)
    return f"no video yet: task {dataset_row.task.task_uuid} is {dataset_row.task.state}"


def _orphans(dataset: Dataset) -> CheckResult:
    requested = {row.fingerprint for row in dataset.table.rows}
    takes = dataset.ledger.takes(requested, simulated=dataset.is_simulated)
    requested |= {take.fingerprint for each in takes.values() for take in each.takes}
    stored_tasks_of_asset = dataset.ledger.stored_tasks(dataset.name, simulated=dataset.is_simulated)
    failed_rows = tuple(
        FailedRow(task.origin.partition, f"no row requests the video of task {task.task_uuid}")
        for task in stored_tasks_of_asset
        if task.fingerprint not in requested
    )
    return CheckResult(failed_rows, checked=len(stored_tasks_of_asset))


def _duplicate_files(dataset: Dataset) -> CheckResult:
    """Finds rows with different requests and byte-identical files."""
    owners: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for dataset_row in dataset.dataset_rows:
        for video in dataset_row.stored.videos if dataset_row.stored else ():
            owners[video.sha256].setdefault(dataset_row.fingerprint, dataset_row.row.prompt_id)
    failed_rows = tuple(
        FailedRow(partition, f"has the same file as {next(iter(same.values()))}, but requests another video")
        for same in owners.values()
        for partition in list(same.values())[1:]
    )
    return CheckResult(failed_rows, checked=sum(dataset_row.stored is not None for dataset_row in dataset.dataset_rows))


_FINDERS: Mapping[str, Callable[[Dataset], CheckResult]] = {
    "no_task_open": _open_tasks,
    "every_row_has_its_video": _rows_without,
    "no_orphan_video": _orphans,
    "no_duplicate_files": _duplicate_files,
}

DATASET_CHECKS = (
    "file_integrity",
    *VIDEO_CHECKS,
    "no_task_open",
    "every_row_has_its_video",
    "no_orphan_video",
    "no_duplicate_files",
)
