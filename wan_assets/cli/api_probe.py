"""Tests of undocumented behaviour of the API: one cheap video that is paid for once, and requests that are free.

The video is recorded in the ledger and the store like any other. A later probe therefore reuses it without payment, and
tests whether the API still knows its task.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from wan_assets.client import ApiResponse, DayOfUsage, RunwareClient
from wan_assets.durations import duration_text
from wan_assets.engine import Limits, Outcome, VideoJob, generate
from wan_assets.errors import RunwareError
from wan_assets.ledger import Ledger, Origin
from wan_assets.models import MODEL, VideoRequest, dollars, list_price_microusd, nearest_microusd
from wan_assets.store import VideoStore

T = TypeVar("T")

NAME = "probe"
"""The asset, partition and row under which the video is recorded."""

REQUEST = VideoRequest.model_validate(
    {
        "positive_prompt": "A paper boat drifts on calm water",
        "resolution": "480p",
        "duration": 5,
        "seed": 1,
        "provider_settings": {"alibaba": {"audio": False}},
    }
)
"""The cheapest video. It is always the same, so that a second probe does not pay for it."""

PRICE_MICROUSD = list_price_microusd(REQUEST)
"""The cost of the first probe in µ$: at most that of the highest resolution, because no price is published."""

_IMPOSSIBLE = {"taskType": "videoInference", "model": MODEL, "positivePrompt": "", "width": 1, "height": 1}
"""A task that violates rules that every server must check, and from which no video can be generated."""


@dataclass(frozen=True)
class Finding:
    """A question about the API, and the observed behaviour."""

    question: str
    observed: str


@dataclass(frozen=True)
class Exchange:
    """One POST request and its response."""

    tasks: Sequence[Mapping[str, Any]]
    answer: ApiResponse

    def items(self, task_uuid: str) -> list[Mapping[str, Any]]:
        """Returns the items of the response about one task."""
        return [item for item in self.answer.data if item.get("taskUUID") == task_uuid]

    def polls_task(self, task_uuid: str) -> bool:
        """Whether the request polls a task, alone or with others."""
        return {"taskType": "getResponse", "taskUUID": task_uuid} in self.tasks

    def keys(self) -> str:
        """Returns the keys that any item of the response has."""
        return ", ".join(sorted({key for item in self.answer.data for key in item})) or "nothing"

    def __str__(self) -> str:
        """Returns status, items and errors in one line."""
        parts = [f"HTTP {self.answer.status}", _counted(len(self.answer.data), "item")]
        for fault in self.answer.faults:
            about = f" of {fault.parameter}" if fault.parameter else ""
            parts.append(f"{fault.code}{about}")
        return ", ".join(parts)


@dataclass
class Record:
    """All exchanges of a client, in order. It is the client's `on_response`."""

    exchanges: list[Exchange] = field(default_factory=list)

    def __call__(self, tasks: Sequence[Mapping[str, Any]], answer: ApiResponse) -> None:
        self.exchanges.append(Exchange(tasks, answer))


@dataclass(frozen=True)
class Probe:
    """One attempt at all questions. `record` is the `on_response` of `client`."""

    client: RunwareClient
    record: Record
    store: VideoStore
    ledger: Ledger

    async def outcome(self) -> Outcome:
        """Returns the video from the store, or generates it in one attempt; an outcome also reports an error."""
        origin = Origin(run_id=f"{NAME}-{uuid.uuid4()}", asset=NAME)
        job = VideoJob(REQUEST, partition=NAME, prompt_id=NAME)
        made = generate(
            [job],
            client=self.client,
            store=self.store,
            ledger=self.ledger,
            limits=Limits(max_attempts=1),
            origin=origin,
        )
        (outcome,) = [outcome async for outcome in made]
        return outcome

    async def free_findings(self) -> list[Finding]:
        """Returns the findings that need no video. Raises a `RunwareError` if the API does not respond at all."""
        await self.client.is_simulated()
        stranger = str(uuid.uuid4())
        impossible = {**_IMPOSSIBLE, "taskUUID": stranger}
        return [
            await self._finding("How is the balance reported?", self.client.balance(), _balance),
            await self._finding(
                "What does a poll report about a task that was never submitted?", self.client.poll([stranger])
            ),
            await self._finding("How is an invalid task refused?", self.client.submit(impossible)),
        ]

    async def video_findings(self, outcome: Outcome) -> list[Finding]:
        """Returns the findings about the video, generated now or by an earlier probe."""
        stored, findings = outcome.stored, self._generation_findings()
        if stored is None:
            return [*findings, Finding("Was the video generated?", f"no: {outcome.error}")]
        if not outcome.is_new:
            question = f"Is a task still known {_age(stored.stored_at)} after its end?"
            findings.append(await self._finding(question, self.client.poll([stored.task_uuid])))
        both, today = self.client.poll([str(uuid.uuid4()), stored.task_uuid]), datetime.now(UTC).date()
        return [
            *findings,
            Finding("How long does a video take?", duration_text(stored.generation_s or 0.0)),
            Finding("What does 480p cost (no published price)?", _price(stored.cost_microusd)),
            await self._finding("Does one poll report several tasks?", both, partial(_shared, stored.task_uuid)),
            await self._finding("What does the archive contain?", self.client.details(stored.task_uuid), _archived),
            await self._finding("What does today's usage contain?", self.client.usage(today, today, MODEL), _usage),
        ]

    def _generation_findings(self) -> list[Finding]:
        """Returns the findings of the exchanges that generated the video; none if an earlier probe generated it."""
        submissions = [
            each for each in self.record.exchanges if each.tasks[0].get("positivePrompt") == REQUEST.positive_prompt
        ]
        if not submissions:
            return []
        task_uuid = str(submissions[0].tasks[0]["taskUUID"])
        polls = [each for each in self.record.exchanges if each.polls_task(task_uuid)]
        last = next((item for poll in reversed(polls) for item in poll.items(task_uuid)), {})
        return [
            Finding("How is a task acknowledged?", "; then ".join(f"{each}: {each.keys()}" for each in submissions)),
            Finding("What do polls report until the task ends?", _statuses(polls, task_uuid)),
            Finding("What does the last item contain?", ", ".join(sorted(last)) or "there was none"),
            Finding(
                "Which host delivers files?", urlsplit(str(last.get("videoURL"))).hostname or "no URL was reported"
            ),
        ]

    async def _finding(
        self, question: str, request: Awaitable[T], read: Callable[[Exchange, T], str] | None = None
    ) -> Finding:
        """Reads the first response, or describes its status and content; a refusal is a finding too."""
        before = len(self.record.exchanges)
        try:
            found = await request
        except RunwareError:
            if len(self.record.exchanges) == before:
                raise
            return Finding(question, str(self.record.exchanges[before]))
        first = self.record.exchanges[before]
        return Finding(question, read(first, found) if read else str(first))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _balance(exchange: Exchange, _: object) -> str:
    parts = next((item.get("balance") for item in exchange.answer.data), None)
    return f"an object of {', '.join(sorted(parts))}" if isinstance(parts, dict) else f"a {type(parts).__name__}"


def _statuses(polls: Sequence[Exchange], task_uuid: str) -> str:
    """Counts each status in the order of its first appearance; polls without an item count too."""
    reported = Counter(_status(poll, task_uuid) for poll in polls)
    return "; ".join(f"{status} ({_counted(number, 'poll')})" for status, number in reported.items())


def _status(poll: Exchange, task_uuid: str) -> str:
    items = poll.items(task_uuid)
    parts = [f"{item.get('status')}{' with progress' if 'progress' in item else ''}" for item in items]
    faults = [fault.code for fault in poll.answer.faults]
    return f"HTTP {poll.answer.status} {' + '.join([*parts, *faults]) or 'nothing'}"


def _price(cost_microusd: int | None) -> str:
    return f"{dollars(cost_microusd)} for {REQUEST.duration} s; at the rate of 720p it is {dollars(PRICE_MICROUSD)}"


def _shared(task_uuid: str, exchange: Exchange, _: object) -> str:
    return f"{'yes' if exchange.items(task_uuid) else 'no'}: {exchange}, for one known and one unknown task"


def _archived(exchange: Exchange, details: Mapping[str, Any]) -> str:
    response = details.get("response")
    held = ", ".join(sorted(response)) if isinstance(response, dict) else str(response)
    return f"{exchange.keys()}; its response contains {held}"


def _usage(_: Exchange, days: Sequence[DayOfUsage]) -> str:
    return "; ".join(f"{day.count} for {dollars(nearest_microusd(day.spend_usd))}" for day in days) or "nothing yet"


def _age(stored_at: str) -> str:
    minutes = round((datetime.now(UTC) - datetime.fromisoformat(stored_at)).total_seconds() / 60)
    return duration_text(60 * minutes) if minutes else "0 min"
