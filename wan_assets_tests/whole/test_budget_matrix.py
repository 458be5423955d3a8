"""Paths, scopes, periods and four processes: no budget is exceeded in the server's books, and what fits is not refused.

The server is written from the description of the wire. A budget permits two and a half videos, and the four processes
want twelve in its scope, besides others outside of it.
"""

import contextlib
import itertools
import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from engine_support import PRICE, request_of
from folders import SUPPORT
from limited_api import LimitedApi
from python_process import PythonProcess

from wan_assets.cli.api_probe import PRICE_MICROUSD
from wan_assets.ledger import DecisionValue, Ledger, NewDecision, Origin
from wan_assets.settings import sqlite_url

PROCESSES, ROWS_IN, ROWS_OUT, FIT = 4, 3, 1, 2
CAP_USD = 2.5 * PRICE / 1e6
NO_SCOPE: dict[str, Any] = {"asset": "trailers", "partition": "p", "model": "", "tags": {}, "run_tags": {}}
OUT = {**NO_SCOPE, "asset": "others", "partition": "elsewhere"}
PERIODS = ("run", "day", "week", "month", "total")


@dataclass(frozen=True)
class Scope:
    """A scope with a row that is in it; `OUT` is not."""

    conditions: dict[str, str]
    of_row: dict[str, Any] = field(default_factory=dict)

    @property
    def row(self) -> dict[str, Any]:
        return {**NO_SCOPE, **self.of_row}


SCOPES = {
    "everything": Scope({}),
    "asset": Scope({"asset": "trailers"}),
    "partition": Scope({"partition": "in-*"}, {"partition": "in-1"}),
    "model": Scope({"model": "wan2.6"}, {"model": "wan2.6"}),
    "row tag": Scope({"x_team": "ads"}, {"tags": {"x_team": "ads"}}),
    "run tag": Scope({"run_tag:team": "video"}, {"run_tags": {"team": "video"}}),
}
MODEL_PRICE = 500_000
"""Of 5 s at 720p with Wan2.6, in µ$."""


class Books(LimitedApi):
    """A server that remembers the prompt and the time of each task that it accepts, and charges for each."""

    def __init__(self, video: bytes, *, fails_first: bool = False) -> None:
        super().__init__(lambda _: None, 0.02, video, accepts=self._charge)
        self.charged: dict[str, tuple[str, float]] = {}
        self._fails_first = fails_first

    def _charge(self, task: dict[str, Any]) -> bool:
        self.charged[task["taskUUID"]] = task["positivePrompt"], time.time()
        return True

    def groups(self) -> Counter[str]:
        """The number of charges by the first two words of the prompts: in or out of the scope, and the run."""
        return Counter(" ".join(prompt.split()[:2]) for prompt, _ in self.charged.values())

    def _polled(self, tasks: list[dict[str, Any]]) -> tuple[int, str, bytes, dict[str, str]]:
        failed = [task["taskUUID"] for task in tasks if self._is_failed(task["taskUUID"])]
        status, kind, body, headers = super()._polled([task for task in tasks if task["taskUUID"] not in failed])
        if failed:
            faults = [{"code": "providerError", "message": "try again", "taskUUID": each} for each in failed]
            body = json.dumps({**json.loads(body), "errors": faults}).encode()
        return status, kind, body, headers

    def _is_failed(self, task_uuid: str) -> bool:
        """Whether a task is the first one of its prompt, which fails after it was charged."""
        if not self._fails_first or task_uuid not in self.charged:
            return False
        prompt, _ = self.charged[task_uuid]
        return task_uuid == next(uuid for uuid, (name, _) in self.charged.items() if name == prompt)


@dataclass
class Workers:
    """Four processes that run the same cell at once."""

    processes: list[Any]

    def run(self, cell: dict[str, Any], ahead_s: tuple[float, ...] = (0.0,) * PROCESSES) -> list[Any]:
        """What each process says of a cell, whose clocks are ahead of each other."""
        self._tell([json.dumps({**cell, "shift_s": cell.get("shift_s", 0.0) + each}) for each in ahead_s])
        assert self._heard() == ["ready"] * PROCESSES
        self._tell(["go"] * PROCESSES)
        return self._heard()

    def _tell(self, lines: list[str]) -> None:
        for process, line in zip(self.processes, lines, strict=True):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()

    def _heard(self) -> list[Any]:
        return [json.loads(process.stdout.readline()) for process in self.processes]


@pytest.fixture(scope="module")
def workers(video: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """The processes, after a first cell: what they load for it takes longer than what they do."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    with contextlib.ExitStack() as ending:
        commands = [[SUPPORT / "budget_worker.py", each] for each in range(PROCESSES)]
        started = [ending.enter_context(PythonProcess(each, env=environment, **pipes)) for each in commands]
        crew = Workers(started)
        with Books(video) as api:
            crew.run(cell_of(tmp_path_factory.mktemp("first"), api, "engine", SCOPES["everything"], "total"))
        yield crew
        for process in started:
            process.stdin.close()


def cell_of(folder: Path, api: LimitedApi, path: str, scope: Scope, per: str, **more: Any) -> dict[str, Any]:
    price = MODEL_PRICE if scope.row["model"] else PRICE
    budget = {"usd": 2.5 * price / 1e6, "per": per, "scope": scope.conditions}
    return {
        "path": path,
        "cell": f"{folder.name}",
        "folder": str(folder),
        "base_url": api.base_url,
        "budgets": [budget],
        "is_each": per == "run",
        "rows_in": ROWS_IN,
        "rows_out": ROWS_OUT if scope.conditions else 0,
        "in": scope.row,
        "out": OUT,
        **more,
    }


def assert_fits(api: Books, per: str, *, out: int, before: Mapping[str, int] = {}) -> None:
    """The server charged what the budget permits in its scope, in each run if it is one of runs, and all else."""
    charged = api.groups() - Counter(before)
    of_scope = {group: count for group, count in charged.items() if group.startswith("in")}
    assert of_scope == ({f"in {each}": FIT for each in range(PROCESSES)} if per == "run" else {"in 0": FIT})
    assert sum(charged.values()) - sum(of_scope.values()) == out


@pytest.mark.parametrize("per", PERIODS)
@pytest.mark.parametrize("name", SCOPES)
def test_runs_of_the_engine(workers: Workers, tmp_path: Path, video: bytes, name: str, per: str) -> None:
    scope = SCOPES[name]
    with Books(video) as api:
        said = workers.run(cell_of(tmp_path, api, "engine", scope, per))

        assert_fits(api, per, out=PROCESSES * ROWS_OUT * bool(scope.conditions))
    assert Counter(itertools.chain.from_iterable(said)).keys() == {"", "BudgetExceededError"}


@pytest.mark.parametrize("per", ["run", "month"])
@pytest.mark.parametrize("name", ["everything", "model", "row tag"])
def test_notebooks(workers: Workers, tmp_path: Path, video: bytes, name: str, per: str) -> None:
    scope = SCOPES[name]
    with Books(video) as api:
        workers.run(cell_of(tmp_path, api, "notebook", scope, per))

        assert_fits(api, per, out=PROCESSES * ROWS_OUT * bool(scope.conditions))


@pytest.mark.parametrize(("name", "per"), [*zip(SCOPES, itertools.cycle(PERIODS), strict=False)])
def test_runs_of_dagster(workers: Workers, tmp_path: Path, video: bytes, name: str, per: str) -> None:
    scope = SCOPES[name]
    with Books(video) as api:
        workers.run(cell_of(tmp_path, api, "dagster", scope, per))

        assert_fits(api, per, out=PROCESSES * bool(scope.conditions))


@pytest.mark.parametrize(("name", "per"), [*zip(SCOPES, itertools.cycle(PERIODS[1:]), strict=False)])
def test_retries_of_tasks_that_failed_at_an_unknown_cost(
    workers: Workers, tmp_path: Path, video: bytes, name: str, per: str
) -> None:
    with Books(video, fails_first=True) as api:
        workers.run(cell_of(tmp_path, api, "retries", SCOPES[name], per, rows_out=0))

        assert api.groups() == {"in 0": FIT}


@pytest.mark.parametrize("path", ["retakes", "finals"])
@pytest.mark.parametrize(("name", "per"), [*zip(SCOPES, itertools.cycle(PERIODS[1:]), strict=False)])
def test_further_takes_and_finals(
    workers: Workers, tmp_path: Path, video: bytes, name: str, per: str, path: str
) -> None:
    scope = SCOPES[name]
    with Books(video) as api:
        first = cell_of(tmp_path, api, "engine", scope, per, rows_out=0)
        (budget,) = first["budgets"]
        workers.run({**first, "budgets": []})
        before = api.groups()
        value = DecisionValue.RETAKE if path == "retakes" else DecisionValue.APPROVED
        approvals = decided(tmp_path, value)
        cap = {**budget, "usd": budget["usd"] + before.total() * PRICE / 1e6}
        second = {"path": path, "budgets": [cap], "max_takes": 2}
        workers.run(first | second | ({"approvals": approvals} if path == "finals" else {}))

        assert before.total() == len(approvals) == PROCESSES * ROWS_IN
        assert api.groups() - before == {"in 0": FIT}


def decided(folder: Path, value: DecisionValue) -> dict[str, tuple[str, str]]:
    """Decides about all videos of a ledger in the same way; returns them by their prompts."""
    with Ledger(sqlite_url(folder / "ledger.db")) as ledger:
        videos = {task.request["positivePrompt"]: task.videos[0] for task in ledger.tasks_where()}
        ledger.decide([NewDecision(video, value, "ada") for video in videos.values()])
    return {prompt: (video.fingerprint, video.sha256) for prompt, video in videos.items()}


@pytest.mark.parametrize(("name", "per"), [*zip(SCOPES, itertools.cycle(PERIODS[1:]), strict=False)])
def test_recover_submits_nothing_under_a_budget_that_is_spent(
    workers: Workers, tmp_path: Path, video: bytes, name: str, per: str
) -> None:
    scope = SCOPES[name]
    with Books(video) as api:
        cell = cell_of(tmp_path, api, "engine", scope, per, rows_out=0)
        with Ledger(sqlite_url(tmp_path / "ledger.db")) as ledger:
            origin = Origin("crashed", scope.row["asset"], scope.row["partition"], tags=scope.row["tags"])
            for number in range(2 * PROCESSES):
                request = request_of(f"in 0 {number}")
                task = ledger.claim(request, origin, "gone.1.x", simulated=True).task
                if number % 2:
                    api.answer("POST", "/v1", json.dumps([request.to_task(task.task_uuid)]).encode())
            ledger.release_leases("gone.1.x")
        workers.run({**cell, "path": "recover", "budgets": [{**cell["budgets"][0], "usd": 0}]})

        assert api.groups() == {"in 0": PROCESSES}
    with Ledger(sqlite_url(tmp_path / "ledger.db")) as ledger:
        states = Counter(task.state for task in ledger.tasks_where())
    assert states == {"stored": PROCESSES, "reserved": PROCESSES}


@pytest.mark.parametrize(("usd", "charges"), [(PRICE_MICROUSD / 1e6, 1), ((PRICE_MICROUSD - 1) / 1e6, 0), (0, 0)])
def test_probes_share_one_video_that_fits(
    workers: Workers, tmp_path: Path, video: bytes, usd: float, charges: int
) -> None:
    with Books(video) as api:
        cell = cell_of(tmp_path, api, "probe", SCOPES["everything"], "month")
        workers.run({**cell, "budgets": [{**cell["budgets"][0], "usd": usd}]})

        assert len(api.charged) == charges


BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
BOUNDARIES = {
    "midnight": ("day", "UTC", datetime(2026, 6, 10, tzinfo=UTC)),
    "midnight elsewhere": ("day", "Asia/Kathmandu", datetime(2026, 6, 10, tzinfo=ZoneInfo("Asia/Kathmandu"))),
    "the end of a month": ("month", NEW_YORK, datetime(2026, 12, 1, tzinfo=ZoneInfo(NEW_YORK))),
    "the end of a year": ("week", "UTC", datetime(2027, 1, 4, tzinfo=UTC)),
    "the day with 23 hours": ("day", BERLIN, datetime(2026, 3, 29, tzinfo=ZoneInfo(BERLIN))),
    "the end of the day with 23 hours": ("day", BERLIN, datetime(2026, 3, 30, tzinfo=ZoneInfo(BERLIN))),
    "the end of the day with 25 hours": ("day", BERLIN, datetime(2026, 10, 26, tzinfo=ZoneInfo(BERLIN))),
}
CLOCKS = {"the same clock": (0.0,) * PROCESSES, "clocks a minute apart": (0.0, 20.0, 40.0, 60.0)}
BEFORE_S, AFTER_S = 3.0, 2.5


@pytest.mark.parametrize("clocks", CLOCKS)
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_period_that_ends_while_four_processes_submit(
    workers: Workers, tmp_path: Path, video: bytes, boundary: str, clocks: str
) -> None:
    per, zone, moment = BOUNDARIES[boundary]
    shift_s = moment.timestamp() - BEFORE_S - time.time()
    with Books(video) as api:
        cell = cell_of(tmp_path, api, "engine", SCOPES["row tag"], per, rows_out=0)
        budget = {**cell["budgets"][0], "time_zone": zone}
        workers.run({**cell, "budgets": [budget], "shift_s": shift_s, "lasts_s": BEFORE_S + AFTER_S}, CLOCKS[clocks])

    with Ledger(sqlite_url(tmp_path / "ledger.db")) as ledger:
        counted_at = {task.task_uuid: datetime.fromisoformat(task.counted_at) for task in ledger.tasks_where()}
    is_late = {task_uuid: counted_at[task_uuid] >= moment for task_uuid in api.charged}
    charged = Counter(is_late.values())
    assert charged[True] == FIT
    assert charged[False] == FIT if clocks == "the same clock" else charged[False] <= FIT
    if clocks == "the same clock":
        arrivals = {uuid: at + shift_s - moment.timestamp() for uuid, (_, at) in api.charged.items()}
        assert not [uuid for uuid, late_s in arrivals.items() if late_s > ARRIVES_WITHIN_S and not is_late[uuid]]
        assert not [uuid for uuid, late_s in arrivals.items() if late_s < 0 and is_late[uuid]]


ARRIVES_WITHIN_S = 0.5
"""How long after its last check a submission may reach the server."""
