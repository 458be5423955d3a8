"""Alerts of budgets: recorded when a share is reached, once per period and limit, and delivered by one process."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from engine_support import PRICE, caps, jobs_of, request_of, studio
from process_support import dead_owner

from wan_assets.engine import Limits
from wan_assets.engine.ledger_writer import LedgerWriter
from wan_assets.errors import ApiFault, BudgetExceededError
from wan_assets.ledger import BudgetAlert, BudgetLimit, Budgets, Ledger, Origin
from wan_assets.models import usd

DAY_S = 24 * 3600.0
TEN = 10 * PRICE
"""A budget of ten tasks."""


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_796_040_000.0
        """2026-11-30 at 16:00 UTC."""

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new ledger, of each kind in turn."""
    of_file = f"sqlite:///{tmp_path / 'ledger.db'}"
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else of_file


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """A ledger with a budget of ten tasks."""
    with closing(Ledger(url, caps(total=TEN))) as opened:
        yield opened


def file_in(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def reserve(ledger: Ledger, *numbers: int, run_id: str = "run-1") -> list[str]:
    """Reserves tasks of different prompts, and returns their UUIDs."""
    claims = [
        ledger.claim(request_of(f"Kite {number}"), Origin(run_id), "an-owner", simulated=True) for number in numbers
    ]
    return [claim.task.task_uuid for claim in claims]


def percents(ledger: Ledger) -> list[int]:
    return [alert.percent for alert in ledger.budget_alerts()]


def release(ledger: Ledger, task_uuid: str) -> None:
    ledger.release(task_uuid, ApiFault("refused", "refused"))


# What is recorded.


def test_each_share_is_recorded_by_the_task_that_reaches_it(ledger: Ledger) -> None:
    recorded = []
    for number in range(10):
        reserve(ledger, number)
        recorded.append(percents(ledger))

    assert recorded == [[]] * 4 + [[50]] * 3 + [[50, 80]] * 2 + [[50, 80, 100]]


def test_a_task_that_reaches_several_shares_records_all_of_them(url: str) -> None:
    with closing(Ledger(url, caps(total=PRICE))) as ledger:
        reserve(ledger, 0)

        assert percents(ledger) == [50, 80, 100]


def test_an_alert_has_the_amounts_the_period_and_the_run_of_its_task(tmp_path: Path, clock: Clock) -> None:
    limit = BudgetLimit(usd=float(usd(TEN)), per="month", scope={"asset": "trailers"}, time_zone="Europe/Berlin")
    with closing(Ledger(file_in(tmp_path), Budgets.of(limits=[limit], price_margin=0), clock=clock)) as ledger:
        for number in range(5):
            ledger.claim(request_of(f"Kite {number}"), Origin("run-7", "trailers"), "an-owner", simulated=True)
        (alert,) = ledger.budget_alerts()

    assert (alert.percent, alert.period, alert.run_id, alert.asset) == (50, "2026-11", "run-7", "trailers")
    assert (alert.limit_usd, alert.committed_usd, alert.left_usd) == (usd(TEN), usd(TEN // 2), usd(TEN // 2))
    assert alert.is_simulated
    assert alert.message == (
        "50% of the budget of month 2026-11 (Europe/Berlin) for asset=trailers is spent or reserved: $2.36 of $4.73, "
        "$2.36 is left (simulated dollars); it resets at 2026-12-01 00:00 CET"
    )


def test_a_share_is_recorded_once_even_if_money_is_given_back_and_reserved_again(ledger: Ledger) -> None:
    for number in range(8):
        last = reserve(ledger, number)
    for number in range(8, 11):
        release(ledger, last[0])
        last = reserve(ledger, number)

    assert percents(ledger) == [50, 80]


def test_a_new_period_has_new_alerts(tmp_path: Path, clock: Clock) -> None:
    with closing(Ledger(file_in(tmp_path), caps(per_day=TEN), clock=clock)) as ledger:
        reserve(ledger, *range(5))
        clock.now += DAY_S
        reserve(ledger, *range(5, 10))

        assert [(alert.percent, alert.period) for alert in ledger.budget_alerts()] == [
            (50, "2026-11-30"),
            (50, "2026-12-01"),
        ]


def test_each_run_has_alerts_of_its_own_budget(url: str) -> None:
    with closing(Ledger(url, caps(per_run=TEN))) as ledger:
        reserve(ledger, *range(5))
        reserve(ledger, *range(5, 10), run_id="run-2")

        assert [alert.budget for alert in ledger.budget_alerts()] == ["run run-1", "run run-2"]


def test_the_percentages_are_those_of_the_budget(tmp_path: Path) -> None:
    limits = [BudgetLimit(usd=float(usd(TEN)), alert_at=[20, 30])]
    with closing(Ledger(file_in(tmp_path), Budgets.of(limits=limits, price_margin=0))) as ledger:
        reserve(ledger, *range(10))

        assert percents(ledger) == [20, 30]


def test_a_budget_without_percentages_has_no_alerts(tmp_path: Path) -> None:
    limits = [BudgetLimit(usd=float(usd(TEN)), alert_at=[])]
    with closing(Ledger(file_in(tmp_path), Budgets.of(limits=limits, price_margin=0))) as ledger:
        reserve(ledger, *range(10))
        with pytest.raises(BudgetExceededError) as refused:
            reserve(ledger, 10)
        ledger.record_refusal(refused.value, "run-1")

        assert percents(ledger) == []


def test_a_budget_that_the_ledger_records_has_alerts_in_all_processes(url: str) -> None:
    with closing(Ledger(url, caps())) as other, closing(Ledger(url)) as ledger:
        ledger.set_budget(BudgetLimit(usd=float(usd(TEN)), alert_at=[70]))
        reserve(other, *range(10))

        assert [(alert.percent, alert.run_id) for alert in ledger.budget_alerts()] == [(70, "run-1")]


def test_a_new_budget_that_is_spent_already_has_the_alert_of_its_highest_share_at_once(url: str) -> None:
    with closing(Ledger(url, caps())) as ledger:
        reserve(ledger, *range(8))
    with closing(Ledger(url, caps(total=TEN))) as ledger:
        at_once = percents(ledger)
        ledger.set_budget(BudgetLimit(usd=float(usd(2 * TEN)), alert_at=[40, 50]))
        ledger.set_budget(BudgetLimit(usd=float(usd(TEN + PRICE)), alert_at=[40, 50]))

        assert at_once == [80]
        assert percents(ledger) == [80, 40, 50]


def test_a_row_that_does_not_fit_in_a_budget_that_was_exceeded_before_is_in_the_alert_of_its_run(url: str) -> None:
    with closing(Ledger(url, caps())) as ledger:
        reserve(ledger, *range(4))
    with closing(Ledger(url, caps(total=PRICE))) as ledger:
        (before,) = ledger.budget_alerts()
        for run_id in ("run-1", "run-2"):
            with pytest.raises(BudgetExceededError) as refused:
                reserve(ledger, 9)
            ledger.record_refusal(refused.value, run_id, "trailers")

        (alert,) = ledger.budget_alerts()
        assert (before.percent, before.run_id, before.has_skipped_rows) == (100, "-", False)
        assert (alert.percent, alert.run_id, alert.has_skipped_rows) == (100, "run-1", True)


def test_an_overcharge_that_reaches_a_share_is_recorded(url: str) -> None:
    with closing(Ledger(url, caps(total=TEN))) as ledger:
        first = reserve(ledger, *range(4))[0]
        before = percents(ledger)
        ledger.mark_submitted(first, "run-1")
        ledger.settle(first, [{}], [2 * PRICE], "run-1")

        assert before == []
        assert [(alert.percent, alert.committed_usd) for alert in ledger.budget_alerts()] == [(50, usd(TEN // 2))]


def test_a_refused_reservation_alone_records_nothing_because_its_row_may_wait(url: str) -> None:
    with closing(Ledger(url, caps(total=TEN - 1))) as ledger:
        reserve(ledger, *range(9))
        with pytest.raises(BudgetExceededError):
            reserve(ledger, 9)

        assert percents(ledger) == [50, 80]


def test_a_row_that_is_refused_for_good_exhausts_the_budget_once(url: str) -> None:
    with closing(Ledger(url, caps(total=TEN - 1))) as ledger:
        reserve(ledger, *range(9))
        for number in (9, 10):
            with pytest.raises(BudgetExceededError) as refused:
                reserve(ledger, number)
            ledger.record_refusal(refused.value, "run-1", "trailers")
        (state,) = ledger.budget_states("run-1", simulated=True)
        last = ledger.budget_alerts()[-1]

        assert percents(ledger) == [50, 80, 100]
        assert ledger.exhausted_budgets([state]) == [state]
        assert (last.has_skipped_rows, last.run_id, last.asset) == (True, "run-1", "trailers")
        assert last.message == (
            "the total budget is exhausted and rows are skipped: $4.26 of $4.73 is spent or reserved, $0.47 is left "
            "(simulated dollars)"
        )


def test_a_transaction_of_several_tasks_that_is_rolled_back_records_nothing_and_its_tasks_then_do(url: str) -> None:
    with closing(Ledger(url, caps(total=TEN // 2))) as ledger:
        writer = LedgerWriter(ledger)
        calls = [
            writer.submit(lambda number=number: reserve(ledger, number))  # type: ignore[misc]
            for number in range(8)
        ]
        writer.close()
        refused = [call.exception() for call in calls if call.exception()]

        assert len(refused) == 3
        assert percents(ledger) == [50, 80, 100]


@pytest.mark.slow
def test_rows_that_wait_for_released_money_do_not_exhaust_a_budget(tmp_path: Path) -> None:
    """Six rows reserve 738 m$ each and cost 473 m$: the last ones wait, and all of them fit."""
    pictures = jobs_of(6, inputs={"frame_images": ["https://example.com/kite.png"]})
    with studio(tmp_path) as made:
        outcomes = made.run(pictures, budget=caps(total=7 * PRICE), limits=Limits(max_in_flight=6))
        ledger = made.ledger()

        assert all(outcome.stored for outcome in outcomes)
        assert 100 not in percents(ledger)


def test_a_run_records_that_its_budget_is_exhausted(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        outcomes = made.run(jobs_of(5), budget=caps(total=4 * PRICE - 1), origin=Origin("run-9", "trailers"))
        alerts = made.ledger().budget_alerts()

    assert sum(outcome.error is not None for outcome in outcomes) == 2
    assert [(alert.percent, alert.run_id, alert.asset) for alert in alerts] == [
        (50, "run-9", "trailers"),
        (100, "run-9", "trailers"),
    ]


# Who gets them.


def keys_of(alerts: list[BudgetAlert]) -> list[str]:
    return [alert.key.rpartition(" ")[2] for alert in alerts]


def test_one_process_of_many_gets_an_alert_and_each_channel_gets_it(ledger: Ledger) -> None:
    reserve(ledger, *range(8))

    first = ledger.take_alerts("log", "host.1.a")
    second = ledger.take_alerts("log", "host.2.b")
    other = ledger.take_alerts("callable", "host.2.b")

    assert (keys_of(first), keys_of(second), keys_of(other)) == (["50", "80"], [], ["50", "80"])


def test_a_delivered_alert_is_never_given_out_again(tmp_path: Path, clock: Clock) -> None:
    with closing(Ledger(file_in(tmp_path), caps(total=TEN), clock=clock)) as ledger:
        reserve(ledger, *range(5))
        taken = ledger.take_alerts("callable", "host.1.a")
        ledger.mark_alerts_delivered("callable", [alert.key for alert in taken])
        clock.now += DAY_S

        assert ledger.take_alerts("callable", "host.2.b") == []


def test_an_alert_that_its_process_did_not_deliver_goes_to_another_one_after_its_lease(
    tmp_path: Path, clock: Clock
) -> None:
    with closing(Ledger(file_in(tmp_path), caps(total=TEN), clock=clock)) as ledger:
        reserve(ledger, *range(5))
        taken = [len(ledger.take_alerts("callable", "host.1.a"))]
        for passed_s in (119.0, 2.0):
            clock.now += passed_s
            taken.append(len(ledger.take_alerts("callable", "host.2.b")))

    assert taken == [1, 0, 1]


def test_an_alert_of_a_process_of_this_host_that_is_dead_goes_to_another_one_at_once(ledger: Ledger) -> None:
    reserve(ledger, *range(5))
    ledger.take_alerts("callable", dead_owner())

    assert len(ledger.take_alerts("callable", "host.2.b")) == 1


def test_an_alert_that_could_not_be_delivered_is_given_out_again_at_once(ledger: Ledger) -> None:
    reserve(ledger, *range(5))
    (alert,) = ledger.take_alerts("callable", "host.1.a")
    ledger.release_alerts("callable", [alert.key], "host.2.b")
    by_another = ledger.take_alerts("callable", "host.2.b")
    ledger.release_alerts("callable", [alert.key], "host.1.a")

    assert by_another == []
    assert ledger.take_alerts("callable", "host.2.b") == [alert]


def test_a_run_gets_its_own_alerts_and_those_that_another_run_left(tmp_path: Path, clock: Clock) -> None:
    with closing(Ledger(file_in(tmp_path), caps(total=TEN), clock=clock)) as ledger:
        reserve(ledger, *range(5))
        at_first = ledger.take_alerts("log", "host.2.b", "run-2")
        clock.now += 61
        left = ledger.take_alerts("log", "host.2.b", "run-2")
        reserve(ledger, *range(5, 8), run_id="run-2")
        own = ledger.take_alerts("log", "host.2.b", "run-2")

    assert (keys_of(at_first), keys_of(left), keys_of(own)) == ([], ["50"], ["80"])


def test_an_alert_that_nobody_wanted_for_a_week_is_not_delivered_any_more(tmp_path: Path, clock: Clock) -> None:
    with closing(Ledger(file_in(tmp_path), caps(total=TEN), clock=clock)) as ledger:
        reserve(ledger, *range(5))
        clock.now += 7 * DAY_S + 1

        assert ledger.take_alerts("callable", "host.1.a") == []
        assert percents(ledger) == [50]


# Several processes.

WORKER = """
import itertools, os, signal, sys
import sqlalchemy as sa
from wan_assets.errors import BudgetExceededError
from wan_assets.ledger import Budgets, Ledger, Origin, new_owner
from wan_assets.models import VideoRequest

url, number, journal, last = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
owner, steps = new_owner(), itertools.count(1)
out = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def step(*_, **__):
    if next(steps) == last:
        os.kill(os.getpid(), signal.SIGKILL)

def called(word, alert):
    step()
    os.write(out, f"{word} {os.getpid()} {alert.key}\\n".encode())
    step()

with Ledger(url, Budgets.of(total=4.73 * 4, price_margin=0)) as ledger:
    for moment in ("before_cursor_execute", "after_cursor_execute", "commit"):
        sa.event.listen(sa.Engine, moment, step)
    for index in range(20):
        request = VideoRequest.model_validate({"positive_prompt": f"{number} {index}", "resolution": "480p"})
        try:
            ledger.claim(request, Origin(number), owner, simulated=True)
        except BudgetExceededError as refused:
            ledger.record_refusal(refused, number)
        for alert in ledger.take_alerts("callable", owner):
            called("begin", alert)
            ledger.mark_alerts_delivered("callable", [alert.key])
            called("marked", alert)
"""


def calls_in(journal: Path) -> list[tuple[str, int, str]]:
    """What the processes did with alerts, in order: a word, the process, and the key of the alert."""
    parts = [line.split(" ", 2) for line in journal.read_text(encoding="utf-8").splitlines()]
    return [(word, int(process), key) for word, process, key in parts]


@pytest.mark.slow
@pytest.mark.parametrize("kills", [0, 12])
def test_four_processes_that_are_killed_at_any_statement_send_each_alert_once(
    url: str, tmp_path: Path, kills: int
) -> None:
    """An alert is sent again only if the process that sent it was killed before it could record that."""
    script, journal, chosen = tmp_path / "worker.py", tmp_path / "journal", random.Random(kills)
    script.write_text(WORKER)
    ends = [[chosen.randint(1, 250) for _ in range(kills // 4)] + [0] for _ in range(4)]

    def work(number: int) -> list[int]:
        """Starts one process after another until one ends by itself; returns those that were killed."""
        killed = []
        for last in ends[number]:
            command = [sys.executable, str(script), url, str(number), str(journal), str(last)]
            process = subprocess.Popen(command)
            if process.wait(60) == -signal.SIGKILL:
                killed.append(process.pid)
            else:
                assert process.returncode == 0
                return killed
        raise AssertionError("the last process of each number is not killed")

    with ThreadPoolExecutor(4) as pool:
        killed = {process for found in pool.map(work, range(4)) for process in found}
    with closing(Ledger(url, caps())) as ledger:
        recorded = {alert.key for alert in ledger.budget_alerts()}
        left = {alert.key for alert in ledger.take_alerts("callable", "host.9.z")}

    calls = calls_in(journal)
    marked = {(process, key) for word, process, key in calls if word == "marked"}
    begun = [(process, key) for word, process, key in calls if word == "begin"]
    unfinished = [(process, key) for process, key in begun if (process, key) not in marked]
    assert bool(killed) == bool(kills)
    assert sorted(int(key.rpartition(" ")[2]) for key in recorded) == [50, 80, 100]
    assert {key for _, key in begun} | left == recorded
    assert {process for process, _ in unfinished} <= killed
    assert max(Counter(key for _, key in [*marked, *((0, key) for key in left)]).values()) == 1
    assert len(begun) - len(unfinished) == len(marked)
