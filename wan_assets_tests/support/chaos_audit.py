"""Four books held against each other: the simulator's, the ledger, the store, and Dagster's events."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import dagster as dg

from wan_assets.cli.dagster_home import instance_in
from wan_assets.ledger import Ledger, Task
from wan_assets.models.pricing import usd
from wan_assets.prompts import PromptTable
from wan_assets.settings import sqlite_url
from wan_assets.simulator import Journal
from wan_assets.simulator.journal import AcceptedTask
from wan_assets.store import StoredTask, VideoStore

PROMISES = ("paid twice", "lost", "partial file", "books", "unfinished", "events")
"""What each sentence of `violations` begins with."""

_EVENTS_AT_ONCE = 1000


@dataclass(frozen=True)
class Evidence:
    """All four books of a folder, read when everything has ended."""

    prompts: PromptTable
    charges: Mapping[str, list[int]]
    fingerprints: Mapping[str, str]
    accepted: Mapping[str, AcceptedTask]
    tasks: Mapping[str, Task]
    stored: Mapping[str, StoredTask]
    events: Mapping[str, list[Mapping[str, Any]]]
    folder: Path

    @property
    def paid(self) -> dict[str, int]:
        """What each task was charged, in µ$, where it was charged at all."""
        return {task_uuid: sum(amounts) for task_uuid, amounts in self.charges.items() if sum(amounts)}

    def is_deliverable(self, task_uuid: str) -> bool:
        """Whether the API ever gives a file for a task."""
        plan = self.accepted[task_uuid].plan
        return any(not result["fault"] for result in plan) and all(result["has_url"] for result in plan)

    def undelivered(self) -> list[str]:
        """Tasks that were charged and that the API never gives a file for."""
        return [task_uuid for task_uuid in self.paid if not self.is_deliverable(task_uuid)]


def evidence_in(folder: Path) -> Evidence:
    """Reads all books of a folder."""
    journal, store = Journal(folder / "simulator"), VideoStore(folder / "store")
    charges: dict[str, list[int]] = defaultdict(list)
    fingerprints = {}
    for charge in journal.charges():
        charges[charge.task_uuid].append(charge.amount_microusd)
        fingerprints[charge.task_uuid] = charge.fingerprint
    tasks = {task.task_uuid: task for task in Ledger(sqlite_url(folder / "ledger.db")).tasks_where()}
    found = {uuid: store.task(task.fingerprint, uuid, simulated=True) for uuid, task in tasks.items()}
    return Evidence(
        prompts=PromptTable.load(folder / "prompts.jsonl"),
        charges=charges,
        fingerprints=fingerprints,
        accepted=journal.tasks(charges),
        tasks=tasks,
        stored={uuid: stored for uuid, stored in found.items() if stored},
        events=_events_in(folder),
        folder=folder,
    )


def _events_in(folder: Path) -> dict[str, list[Mapping[str, Any]]]:
    """The metadata of all that Dagster recorded of each partition, oldest first."""
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    with instance_in(folder / "dagster") as instance:
        cursor = None
        while True:
            page = instance.fetch_materializations(
                dg.AssetKey("videos"), limit=_EVENTS_AT_ONCE, cursor=cursor, ascending=True
            )
            for record in page.records:
                event = record.asset_materialization
                if event and event.partition:
                    found[event.partition].append({name: value.value for name, value in event.metadata.items()})
            cursor = page.cursor
            if not page.has_more:
                return found


def violations(evidence: Evidence) -> Iterator[str]:
    """Every broken promise, as a sentence."""
    yield from _paid_twice(evidence)
    yield from _lost(evidence)
    yield from _partial_files(evidence)
    yield from _unequal_books(evidence)
    yield from _unfinished_rows(evidence)
    yield from _wrong_events(evidence)


def _paid_twice(evidence: Evidence) -> Iterator[str]:
    for task_uuid, amounts in evidence.charges.items():
        if len(amounts) > 1:
            yield f"paid twice: task {task_uuid} was charged {len(amounts)} times"
    for fingerprint, times in Counter(evidence.fingerprints[task_uuid] for task_uuid in evidence.paid).items():
        if times > 1:
            yield f"paid twice: request {fingerprint} was paid for {times} times"


def _lost(evidence: Evidence) -> Iterator[str]:
    store = VideoStore(evidence.folder / "store")
    for task_uuid in filter(evidence.is_deliverable, evidence.paid):
        stored = evidence.stored.get(task_uuid)
        wanted = sum(not result["fault"] for result in evidence.accepted[task_uuid].plan)
        if stored is None or len(stored.videos) != wanted:
            yield f"lost: task {task_uuid} was paid for, and {wanted} videos are not in the store"
        elif not all(map(store.verifies, stored.videos)):
            yield f"lost: a video of task {task_uuid} is not what was stored"


def _partial_files(evidence: Evidence) -> Iterator[str]:
    videos = {Path(video.uri) for stored in evidence.stored.values() for video in stored.videos}
    named = videos | {video.with_suffix(".webp") for video in videos}
    for path in (evidence.folder / "store").rglob("*"):
        if path.is_file() and path.suffix != ".json" and path not in named:
            yield f"partial file: {path.relative_to(evidence.folder)} is named by no sidecar"


def _unequal_books(evidence: Evidence) -> Iterator[str]:
    """What the ledger has spent and reserved is what was charged, save the shares of results that failed."""
    for task_uuid in evidence.charges.keys() - evidence.tasks.keys():
        yield f"books: task {task_uuid} is not in the ledger"
    for task_uuid, task in evidence.tasks.items():
        charged = sum(evidence.charges.get(task_uuid, ()))
        committed = task.committed_microusd - _kept_for_failures(evidence, task)
        if charged != committed:
            yield f"books: task {task_uuid} ({task.state}) was charged {charged} and has {committed} µ$ in the ledger"


def _kept_for_failures(evidence: Evidence, task: Task) -> int:
    """The reserved share of results that failed, whose cost the API does not tell."""
    accepted = evidence.accepted.get(task.task_uuid)
    failed = sum(result["fault"] not in ("", "lost_task") for result in accepted.plan) if accepted else 0
    results = len(accepted.plan) if accepted else 1
    unknown = task.reserved_microusd
    return min(unknown, failed * (task.cost_microusd + unknown) // results)


def _unfinished_rows(evidence: Evidence) -> Iterator[str]:
    swallowed = {evidence.fingerprints[task_uuid] for task_uuid in evidence.undelivered()}
    have = {stored.fingerprint for stored in evidence.stored.values()}
    for row in evidence.prompts.rows:
        if row.fingerprint not in have | swallowed:
            yield f"unfinished: {row.prompt_id} has no video, and no task that the API swallowed"


def _wrong_events(evidence: Evidence) -> Iterator[str]:
    digests = {uuid: stored.videos[0].sha256 for uuid, stored in evidence.stored.items()}
    by_print = {stored.fingerprint: uuid for uuid, stored in evidence.stored.items()}
    for row in evidence.prompts.rows:
        task_uuid, events = by_print.get(row.fingerprint), evidence.events.get(row.prompt_id, [])
        if bool(task_uuid) != bool(events):
            yield f"events: {row.prompt_id} is {'green' if events else 'not green'}, its task is {task_uuid}"
        elif task_uuid and events[-1]["wan_assets/sha256"] != digests[task_uuid]:
            yield f"events: {row.prompt_id} does not show the stored video"
    yield from _costs_not_told_once(evidence)


def _costs_not_told_once(evidence: Evidence) -> Iterator[str]:
    """Sums over Dagster's events are sums over the ledger."""
    reported: dict[str, list[Any]] = defaultdict(list)
    for event in chain.from_iterable(evidence.events.values()):
        if event["wan_assets/charged_usd"] != 0:
            reported[event["wan_assets/task_uuid"]].append(event["wan_assets/charged_usd"])
    for task_uuid, stored in evidence.stored.items():
        cost = stored.cost_microusd
        if reported[task_uuid] != ["unknown" if cost is None else float(usd(cost))]:
            yield f"events: the cost of task {task_uuid} is {cost} µ$, and was told as {reported[task_uuid]}"


def summary(evidence: Evidence) -> str:
    """What the books came to, in a line."""
    swallowed, paid = evidence.undelivered(), evidence.paid
    reported = {
        "requests": len(evidence.prompts.rows),
        "paid": len(paid),
        "stored": len(evidence.stored),
        "swallowed by the API": len(swallowed),
        "charged": f"${usd(sum(paid.values())):.4f}",
        "known to the ledger": f"${usd(sum(task.cost_microusd for task in evidence.tasks.values())):.4f}",
        "reserved": f"${usd(sum(task.reserved_microusd for task in evidence.tasks.values())):.4f}",
    }
    return json.dumps(reported, ensure_ascii=False)
