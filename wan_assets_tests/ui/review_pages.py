"""Drafts to review: simulated videos of some rows, and a table file of them for the command."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from engine_support import PRICE, VideoJob, request_of, stored_task, studio
from gallery_pages import CODE, FACTS

from wan_assets.ledger import CheckRecord, Decision, DecisionValue, Ledger, NewDecision, Origin, VideoKey
from wan_assets.models import VideoRequest
from wan_assets.prompts import PromptRow, PromptTable
from wan_assets.settings import sqlite_url
from wan_assets.store import StoredVideo, VideoStore

_BOOKED = 60
SILENT = {"resolution": "720p", "provider_settings": {"alibaba": {"audio": False}}}


@dataclass(frozen=True)
class Drafts:
    """A studio's folder with videos, and their table, also as a file."""

    folder: Path
    table: PromptTable
    file: Path

    @property
    def options(self) -> list[str]:
        """The options of a command for the folder."""
        return ["--data-dir", str(self.folder), "--url", self.url, "--store", str(self.folder / "store")]

    @property
    def url(self) -> str:
        return sqlite_url(self.folder / "ledger.db")

    def decisions(self) -> dict[str, list[Decision]]:
        """All decisions by the id of the row, oldest first."""
        rows = {row.fingerprint: row.prompt_id for row in self.table.rows}
        found: dict[str, list[Decision]] = {}
        with Ledger(self.url) as ledger:
            for decision in ledger.decisions_after(0):
                found.setdefault(rows.get(decision.video.fingerprint, "?"), []).append(decision)
        return found

    def values(self, prompt_id: str) -> list[tuple[str, str]]:
        """The reviewer and the value of each decision about a row's video, oldest first."""
        return [(each.reviewer, each.value.value) for each in self.decisions().get(prompt_id, [])]


def drafts_of(folder: Path, prompts: dict[str, str], extra: dict[str, dict[str, str]] | None = None) -> Drafts:
    """A simulated video for each prompt."""
    extra = extra or {}
    requests = {prompt_id: request_of(prompt) for prompt_id, prompt in prompts.items()}
    rows = [
        PromptRow(number, prompt_id, request, extra.get(prompt_id, {}))
        for number, (prompt_id, request) in enumerate(requests.items(), 1)
    ]
    with studio(folder) as made:
        made.run([VideoJob(request, prompt_id) for prompt_id, request in requests.items()])
    file = folder / "prompts.jsonl"
    lines = [{"prompt_id": prompt_id, "positive_prompt": text, **SILENT} for prompt_id, text in prompts.items()]
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return Drafts(folder, PromptTable(tuple(rows), (), len(rows)), file)


def mixed_drafts(folder: Path) -> Drafts:
    """`p1` to `p3` with scores, `kite~a` and `kite~b` as variants, `code` that looks like code; `p1` has two takes.

    `p1` was sent back by bob, `p2` has decisions that differ, and `p3` is approved by a rule.
    """
    prompts = {f"p{number}": f"A red kite {number}" for number in (1, 2, 3)}
    prompts |= {"kite~a": "A dog a", "kite~b": "A dog b", "code": CODE}
    extra = {f"kite~{name}": {"experiment": "kite", "variant": f"seed={name}"} for name in "ab"}
    made = drafts_of(folder, prompts, {**extra, "p1": {"campaign": "spring"}})
    requests = [VideoJob(row.request, row.prompt_id) for row in made.table.rows]
    with Ledger(made.url) as ledger:
        tasks = ledger.latest([row.fingerprint for row in made.table.rows], simulated=True)
        keys = [VideoKey(row.fingerprint, str(tasks[row.fingerprint].results[0]["sha256"])) for row in made.table.rows]
        ledger.decide(
            [
                NewDecision(keys[0], DecisionValue.RETAKE, "bob", note=CODE, labels=(CODE[:60],)),
                NewDecision(keys[1], DecisionValue.APPROVED, "bob"),
                NewDecision(keys[1], DecisionValue.REJECTED, "eve"),
                NewDecision(keys[2], DecisionValue.APPROVED, "policy", source="policy", rule="sharp"),
            ]
        )
        ledger.record_checks(
            CheckRecord(tasks[row.fingerprint].task_uuid, 1, "sharp", passed=score > 1, score=float(score))
            for score, row in enumerate(made.table.rows)
        )
    with studio(folder) as studio_:
        studio_.run(requests)
    return made


def many_drafts(folder: Path, count: int) -> Drafts:
    """So many videos, each with a row and a file of its own; eight different clips. Nothing is decided.

    The ledger has the tasks of the first ones only, because it takes long to record all.
    """
    with studio(folder) as studio_:
        made = studio_.run([VideoJob(request_of(f"Clip {number}"), f"c{number}") for number in range(8)])
    clips = [outcome.stored.videos[0] for outcome in made if outcome.stored]
    requests = [
        request_of(f"Kite {number} over a windy beach at noon, wide shot", seed=number) for number in range(count)
    ]
    store = VideoStore(folder / "store")
    with Ledger(sqlite_url(folder / "ledger.db")) as ledger:
        for number, request in enumerate(requests):
            _book(ledger if number < _BOOKED else None, store, number, request, clips[number % len(clips)])
    rows = tuple(PromptRow(number, f"p{number}", request, {}) for number, request in enumerate(requests, 1))
    return Drafts(folder, PromptTable(rows, (), count), folder / "none.jsonl")


def _book(ledger: Ledger | None, store: VideoStore, number: int, request: VideoRequest, clip: StoredVideo) -> None:
    """Stores a file of its own for a request; with a ledger, its task can be decided about."""
    fingerprint, sha256 = request.fingerprint(), f"{number:064x}"
    uuid = f"00000000-0000-4000-8000-{number:012d}"
    if ledger:
        uuid = ledger.claim(request, Origin(), "me", simulated=True).task.task_uuid
        ledger.mark_submitted(uuid)
        ledger.settle(uuid, [{"sha256": sha256}], [PRICE])
        ledger.mark_stored(uuid, [{"sha256": sha256}])
    place = Path(store.root.path) / "simulated" / fingerprint[:2] / fingerprint / f"{uuid}-1.mp4"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.hardlink_to(clip.uri)
    video = replace(clip, uri=str(place), sha256=sha256, facts={**FACTS, **clip.facts})
    store.commit(stored_task(fingerprint, uuid, videos=(video,)))
