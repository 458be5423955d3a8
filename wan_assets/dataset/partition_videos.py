"""The videos of recorded partitions: the rows in the ledger, joined with their sidecars in the store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic.alias_generators import to_snake

from wan_assets.dataset.cost_shares import costs_of
from wan_assets.dataset.video import Video
from wan_assets.ledger import Ledger, PartitionRecord, PartitionRow, Task
from wan_assets.models import usd
from wan_assets.store import StoredTask, VideoStore

_READERS = 16
"""A bucket takes about 0.1 s for each sidecar."""

_NOT_OF_THE_ROW = frozenset({"task_type", "task_uuid"})


@dataclass(frozen=True)
class PartitionVideos:
    """The videos of some partitions, in table order, and the rows whose videos are not in the store any more."""

    videos: Mapping[str, list[Video]]
    missing: Mapping[str, Sequence[str]]


class _Sought(NamedTuple):
    """A row of a partition, with its task if the ledger knows it."""

    partition: str
    row: PartitionRow
    task: Task | None


def videos_of(records: Mapping[str, PartitionRecord], *, store: VideoStore, ledger: Ledger) -> PartitionVideos:
    """Reads the videos of recorded partitions.

    Raises `StoreError` if the store cannot be read, and `LedgerError` if the ledger cannot be read.
    """
    tasks = ledger.tasks_of({row.task_uuid for record in records.values() for row in record.rows})
    sought = [_Sought(key, row, tasks.get(row.task_uuid)) for key, record in records.items() for row in record.rows]
    distinct = {(each.row.task_uuid, each.row.fingerprint): each for each in sought}  # equal requests share a task
    with ThreadPoolExecutor(_READERS) as readers:
        read = dict(zip(distinct, readers.map(lambda each: _stored(store, each), distinct.values()), strict=True))
    videos: dict[str, list[Video]] = {key: [] for key in records}
    missing: defaultdict[str, list[str]] = defaultdict(list)
    for each in sought:
        stored = read[each.row.task_uuid, each.row.fingerprint]
        if stored is None:
            missing[each.partition].append(each.row.prompt_id)
        else:
            videos[each.partition] += row_videos(each.partition, each.row, stored, store=store, task=each.task)
    return PartitionVideos(videos, missing)


def _stored(store: VideoStore, sought: _Sought) -> StoredTask | None:
    """Returns the stored task of a row; the ledger knows if its fingerprint has changed since it was recorded."""
    row, task = sought.row, sought.task
    former = task.former_fingerprint if task and task.former_fingerprint else row.fingerprint
    fingerprint = task.fingerprint if task else row.fingerprint
    return store.task(fingerprint, row.task_uuid, simulated=row.is_simulated, former=former)


def row_videos(
    partition: str, row: PartitionRow, stored: StoredTask, *, store: VideoStore, task: Task | None = None
) -> Iterator[Video]:
    """Yields the videos of one row; without its task, the costs that the results reported are used."""
    costs, _ = costs_of(task, stored)
    values = {"prompt_id": row.prompt_id, **_parameters(stored.request), **row.extra}
    for number, (video, cost) in enumerate(zip(stored.videos, costs, strict=True), 1):
        facts = dict(video.facts)
        yield Video(
            uri=video.uri,
            prompt_id=row.prompt_id,
            partition=partition,
            number=number,
            prompt=stored.prompt,
            row=values,
            width=facts.get("width"),
            height=facts.get("height"),
            duration_s=facts.get("duration_s"),
            fps=facts.get("fps"),
            has_audio=facts["audio_codec"] is not None if "audio_codec" in facts else None,
            seed=video.seed,
            cost_usd=None if cost is None else usd(cost),
            bytes=video.bytes,
            sha256=video.sha256,
            is_simulated=stored.is_simulated,
            is_nsfw=video.is_nsfw,
            differences=video.differences,
            task_uuid=stored.task_uuid,
            video_uuid=video.video_uuid,
            facts=facts,
            file=store.file_of(video),
        )


def _parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the recorded parameters of a request under the names of the table's columns."""
    return {name: value for name, value in _with_column_names(request).items() if name not in _NOT_OF_THE_ROW}


def _with_column_names(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {to_snake(name): _with_column_names(item) for name, item in value.items()}
    return [_with_column_names(item) for item in value] if isinstance(value, list) else value
