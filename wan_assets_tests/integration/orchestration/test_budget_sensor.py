"""Alerts of budgets in Dagster: the log, the observation and check of the costs, the user's function, the sensor."""

import asyncio
import logging
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_support import Studio, failure_of, studio, table_of, written
from engine_support import PRICE, caps, request_of
from generator_support import generator_of, requests_of
from log_support import logger

from wan_assets import (
    Budget,
    BudgetAlert,
    LedgerResource,
    SimulatedRunwareResource,
    VideoGenerator,
    VideoStoreResource,
    WanVideosComponent,
    build_budget_sensor,
    build_dataset_assets,
    build_video_assets,
)
from wan_assets.ledger import Channel, Ledger, Origin
from wan_assets.models import usd
from wan_assets.orchestration.partitions.sync import range_tags, sync_partitions
from wan_assets.orchestration.runs.budget_alerts import AlertDelivery, costs_of
from wan_assets.settings import sqlite_url

COSTS = dg.AssetKey("videos_costs")
CHECK = dg.AssetCheckKey(COSTS, "budgets")
FOUR = float(usd(4 * PRICE))
"""A budget of four videos, and of a part of the margin of one."""


class Chat:
    """A place where alerts arrive, which may refuse the first ones."""

    def __init__(self, refuses: int = 0) -> None:
        self.refuses = refuses
        self.calls = 0
        self.alerts: list[BudgetAlert] = []

    def __call__(self, alert: BudgetAlert) -> None:
        self.calls += 1
        if self.calls <= self.refuses:
            raise ConnectionError("the chat does not answer")
        self.alerts.append(alert)

    @property
    def percents(self) -> list[int]:
        return [alert.percent for alert in self.alerts]


def run(made: Studio, rows: int, chat: Chat | None = None, **ledger: Any) -> dg.ExecuteInProcessResult:
    """A run over all partitions of a table with some rows, without the asset of the costs."""
    prompts = written(made.folder, table_of(*(f"Kite {number}" for number in range(rows)), resolution="720p"))
    keys = [chr(ord("a") + number) for number in range(rows)]
    sync_partitions(made.instance, "videos", keys)
    definitions = build_video_assets(prompts=prompts, on_budget_alert=chat)
    return dg.materialize(
        list(definitions.assets or ()),
        instance=made.instance,
        resources=made.resources(price_margin=0, **ledger),
        selection=["videos"],
        raise_on_error=False,
        tags=range_tags(keys[0], keys[-1]),
    )


def observed(made: Studio) -> list[dict[str, Any]]:
    """The metadata of the observations of the costs, oldest first."""
    records = made.instance.fetch_observations(COSTS, limit=100, ascending=True).records
    events = [record.event_log_entry.asset_observation for record in records]
    return [{name: value.value for name, value in event.metadata.items()} for event in events if event]


def evaluations(made: Studio) -> list[dg.AssetCheckEvaluation]:
    """The evaluations of the check of the costs, oldest first."""
    history = made.instance.event_log_storage.get_asset_check_execution_history(CHECK, limit=100)
    found = [record.event.dagster_event.event_specific_data for record in history if record.event]
    return [each for each in reversed(found) if isinstance(each, dg.AssetCheckEvaluation)]


def logged(made: Studio, run_id: str) -> list[str]:
    """The warnings in the log of a run."""
    return [entry.user_message for entry in made.instance.all_logs(run_id) if entry.level == logging.WARNING]


def tick(made: Studio, chat: Chat | None = None, cursor: str | None = None, **ledger: Any) -> dg.SensorResult:
    sensor = build_budget_sensor(on_alert=chat)
    resources = {"ledger": made.resources(price_margin=0, **ledger)["ledger"]}
    with dg.build_sensor_context(made.instance, cursor=cursor, resources=resources) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result


def reserve(made: Studio, tasks: int, run_id: str = "killed", **microusd: int) -> None:
    """Reserves tasks in a process outside Dagster, which delivers no alert."""
    with closing(Ledger(sqlite_url(made.folder / "ledger.db"), caps(**microusd))) as ledger:
        for number in range(tasks):
            ledger.claim(request_of(f"Boat {number}"), Origin(run_id), "elsewhere.1.x", simulated=True)


def left(made: Studio) -> list[str]:
    """The channels that still have an alert to deliver, after all leases."""
    url = sqlite_url(made.folder / "ledger.db")
    with closing(Ledger(url, clock=lambda: time.time() + 300)) as ledger:
        channels: tuple[Channel, ...] = ("log", "events", "callable")
        return [channel for channel in channels if ledger.take_alerts(channel, "elsewhere.2.y")]


# Runs.


@pytest.mark.slow
def test_a_run_delivers_each_alert_once_to_every_channel(tmp_path: Path) -> None:
    chat = Chat()
    with studio(tmp_path) as made:
        result = run(made, 4, chat, budget_usd_total=FOUR)
        again = run(made, 4, chat, budget_usd_total=FOUR)

        assert result.success
        assert again.success
        assert chat.percents in ([50, 80, 100], [50, 100])
        assert [each["wan_assets/percent"] for each in observed(made)] == chat.percents
        assert observed(made)[0]["wan_assets/limit_usd"] == FOUR
        assert observed(made)[0]["wan_assets/run_id"] == result.run_id
        warnings = [line for line in logged(made, result.run_id) if "of the total budget" in line]
        assert len(warnings) == len(chat.percents)
        assert not [line for line in logged(made, again.run_id) if "of the total budget" in line]
        assert evaluations(made)[-1].passed is False
        assert left(made) == []


def test_a_run_below_the_first_share_reports_nothing(tmp_path: Path) -> None:
    chat = Chat()
    with studio(tmp_path) as made:
        assert run(made, 1, chat, budget_usd_total=FOUR).success

        assert (chat.alerts, observed(made), evaluations(made)) == ([], [], [])


@pytest.mark.slow
def test_a_function_that_fails_does_not_fail_the_run_and_the_sensor_sends_its_alert(tmp_path: Path) -> None:
    down, chat = Chat(refuses=100), Chat()
    with studio(tmp_path) as made:
        result = run(made, 2, down, budget_usd_total=FOUR)
        tick(made, chat, budget_usd_total=FOUR)

        assert result.success
        assert chat.percents == [50]
        lines = [line for line in logged(made, result.run_id) if "was not delivered" in line]
        assert len(lines) == down.calls
        assert lines[0].endswith("and is sent again later: ConnectionError: the chat does not answer")
        assert len(observed(made)) == 1


@pytest.mark.slow
def test_a_run_without_a_function_leaves_the_alert_to_the_sensor(tmp_path: Path) -> None:
    chat = Chat()
    with studio(tmp_path) as made:
        run(made, 2, budget_usd_total=FOUR)
        assert left(made) == ["callable"]
        with closing(Ledger(sqlite_url(tmp_path / "ledger.db"))) as ledger:
            ledger.release_alerts("callable", [alert.key for alert in ledger.budget_alerts()], "elsewhere.2.y")
        result = tick(made, chat, budget_usd_total=FOUR)

        assert chat.percents == [50]
        assert result.skip_reason
        assert result.skip_reason.skip_message == "delivered 1 alert"
        assert len(observed(made)) == 1


def test_a_run_whose_project_has_no_report_of_costs_leaves_its_events_to_the_sensor(tmp_path: Path) -> None:
    """The repository is that of a run in its own process; here the function that asks it is called."""
    prompts = written(tmp_path, table_of("A kite"))
    resources = LedgerResource(url="sqlite://"), VideoStoreResource(root="store"), SimulatedRunwareResource()
    given = dg.Definitions(resources=dict(zip(("ledger", "store", "runware"), resources, strict=True)))
    videos = dg.Definitions.merge(build_video_assets(prompts=prompts), given)
    report = dg.Definitions(assets=build_dataset_assets(prompts=prompts, costs_name="money"))

    def costs_in(definitions: dg.Definitions) -> dg.AssetKey | None:
        with dg.build_sensor_context(repository_def=definitions.get_repository_def()) as context:
            return costs_of(dg.AssetKey("videos"), context)

    assert costs_in(videos) is None
    assert costs_in(dg.Definitions.merge(videos, report)) == dg.AssetKey("money")


# The check.


def materialized_costs(made: Studio, **ledger: Any) -> dg.ExecuteInProcessResult:
    costs = build_dataset_assets(prompts=made.folder / "prompts.jsonl")
    return dg.materialize(
        costs, selection=["videos_costs"], instance=made.instance, resources=made.resources(price_margin=0, **ledger)
    )


@pytest.mark.slow
def test_the_report_of_costs_evaluates_the_budgets(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        reserve(made, 3)
        materialized_costs(made)
        unused = [Budget(usd=5, per="week", scope={"campaign": "none"})]
        materialized_costs(made, budget_usd_total=FOUR, budget_usd_per_day=1000, budget_usd_per_run=1, budgets=unused)
        reserve(made, 4)
        materialized_costs(made, budget_usd_total=FOUR)

        none, some, all_ = evaluations(made)
    kinds = {row.data["money"] for row in some.metadata["wan_assets/budget_table"].value.records}
    assert kinds == {"simulated"}
    assert (none.passed, none.description) == (True, "There is no budget.")
    assert some.passed
    assert some.description
    assert some.description.startswith("the total budget: $1.42 of $1.89 (75%) (simulated dollars); the budget of day")
    assert some.metadata["wan_assets/budgets"].value == 3
    assert some.metadata["wan_assets/max_percent"].value == 75
    assert (all_.passed, all_.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert all_.metadata["wan_assets/exhausted_budgets"].value == 1


@pytest.mark.slow
def test_a_budget_that_has_refused_a_row_is_exhausted_although_money_is_left(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        result = run(made, 4, budget_usd_total=FOUR - 0.1)
        materialized_costs(made, budget_usd_total=FOUR - 0.1)

        assert not result.success
        assert [each.passed for each in evaluations(made)][-1] is False
        assert observed(made)[-1]["wan_assets/percent"] == 100


# The sensor.


def test_the_sensor_delivers_alerts_of_processes_outside_dagster(tmp_path: Path) -> None:
    chat = Chat()
    with studio(tmp_path) as made:
        reserve(made, 8, total=10 * PRICE)
        first = tick(made, chat, budget_usd_total=float(usd(10 * PRICE)))
        again = tick(made, chat, first.cursor, budget_usd_total=float(usd(10 * PRICE)))

        assert chat.percents == [50, 80]
        assert [each["wan_assets/percent"] for each in observed(made)] == [50, 80]
        assert [each.passed for each in evaluations(made)] == [True]
        assert again.skip_reason
        assert again.skip_reason.skip_message == "there is no new alert"
        assert left(made) == []


def test_the_sensor_calls_a_function_that_failed_again_in_the_next_tick(tmp_path: Path) -> None:
    chat = Chat(refuses=1)
    with studio(tmp_path) as made:
        reserve(made, 8, total=10 * PRICE)
        first = tick(made, chat, budget_usd_total=float(usd(10 * PRICE)))
        tick(made, chat, budget_usd_total=float(usd(10 * PRICE)))

        assert first.skip_reason
        assert "could not be delivered" in (first.skip_reason.skip_message or "")
        assert chat.percents == [50, 80]
        assert len(observed(made)) == 2


def test_the_sensor_evaluates_the_check_when_a_budget_is_raised(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        reserve(made, 4, total=4 * PRICE)
        first = tick(made, budget_usd_total=FOUR)
        second = tick(made, cursor=first.cursor, budget_usd_total=10 * FOUR)
        tick(made, cursor=second.cursor, budget_usd_total=10 * FOUR)

        assert [each.passed for each in evaluations(made)] == [False, True]


def test_the_sensor_skips_a_tick_in_which_the_ledger_cannot_be_read(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        (tmp_path / "ledger.db").write_bytes(b"not a database" * 100)
        result = tick(made)

        assert result.skip_reason
        assert "ledger" in (result.skip_reason.skip_message or "")


def test_the_name_and_the_settings_of_the_sensor_are_those_of_the_asset() -> None:
    sensor = build_budget_sensor(key="marketing/trailers", default_status=dg.DefaultSensorStatus.RUNNING)

    assert sensor.name == "marketing__trailers_budget_sensor"
    assert sensor.minimum_interval_seconds == 60
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    with pytest.raises(TypeError, match="did you mean 'on_alert'"):
        build_budget_sensor(on_alerts=print)  # type: ignore[call-arg]


def test_the_sensor_and_the_function_are_declared_in_yaml() -> None:
    component = WanVideosComponent.resolve_from_yaml(
        "{prompts: prompts.csv, budget_sensor: {is_running: true}, on_budget_alert: wan_assets.models.usd, "
        "missing_schedule: '0 2 * * *'}"
    )
    definitions = component.build_defs(dg.ComponentTree.for_test().load_context)
    sensor = definitions.get_repository_def().get_sensor_def("videos_budget_sensor")

    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    with pytest.raises(ValueError, match=r"on_budget_alert: 'no\.such' cannot be imported"):
        WanVideosComponent.resolve_from_yaml("{prompts: a.csv, on_budget_alert: no.such}").build_defs(
            dg.ComponentTree.for_test().load_context
        )


# Generators and scripts.


@pytest.mark.slow
def test_a_generator_delivers_the_alerts_of_its_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chat, other = Chat(), Chat()
    with studio(tmp_path) as made:
        generator = generator_of(made, price_margin=0, budget_usd_total=FOUR)
        requests = requests_of("A kite", "A boat", resolution="720p")
        generator.generate(requests=requests, on_budget_alert=chat, progress=False)
        generator.generate(requests=requests, on_budget_alert=other, progress=False)
        more = requests_of("A kite", "A boat", "A dog", "A cat", resolution="720p")
        asyncio.run(generator.generate_async(requests=more, on_budget_alert=other, progress=False))

    assert chat.percents == [50]
    assert other.percents in ([80, 100], [100])
    assert "50% of the total budget is spent or reserved: $0.95 of $1.89" in caplog.text


@pytest.mark.slow
def test_a_generator_in_an_asset_delivers_the_alerts_of_its_run(tmp_path: Path) -> None:
    chat = Chat()

    @dg.asset
    def trailers(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Any:
        requests = requests_of("A kite", "A boat", resolution="720p")
        yield from generator.generate(context=context, requests=requests, on_budget_alert=chat).stream()

    with studio(tmp_path) as made:
        resources = {"generator": generator_of(made, price_margin=0, budget_usd_total=FOUR)}
        result = dg.materialize([trailers], instance=made.instance, resources=resources)

        assert chat.percents == [50]
        assert [line for line in logged(made, result.run_id) if line.startswith("50% of the total budget")]


# The schedule of deliveries.


def test_a_run_looks_for_alerts_at_most_once_per_second(tmp_path: Path) -> None:
    now, (log, said) = [0.0], logger()
    with closing(Ledger(sqlite_url(tmp_path / "ledger.db"), caps(total=10 * PRICE))) as ledger:
        delivery = AlertDelivery(ledger, log, "run-1", clock=lambda: now[0])
        delivery.poll()
        for number in range(5):
            ledger.claim(request_of(f"Boat {number}"), Origin("run-1"), "elsewhere.1.x", simulated=True)
        found = []
        for moment in (0.9, 1.0):
            now[0] = moment
            delivery.poll()
            found.append(len(said))

    assert found == [0, 1]


def test_a_function_that_fails_in_a_run_is_called_again_at_the_end_of_the_run_only(tmp_path: Path) -> None:
    now, chat, (log, said) = [0.0], Chat(refuses=1), logger()
    with closing(Ledger(sqlite_url(tmp_path / "ledger.db"), caps(total=10 * PRICE))) as ledger:
        delivery = AlertDelivery(ledger, log, "run-1", chat, clock=lambda: now[0])
        for number in range(5):
            ledger.claim(request_of(f"Boat {number}"), Origin("run-1"), "elsewhere.1.x", simulated=True)
        for moment in (0.0, 1.0, 2.0):
            now[0] = moment
            delivery.poll()
        during = chat.calls, chat.percents
        delivery.finish()

    assert during == (1, [])
    assert chat.percents == [50]
    assert len(said) == 2


def test_an_alert_is_not_lost_while_the_ledger_cannot_be_read(tmp_path: Path) -> None:
    log, said = logger()
    with closing(Ledger(sqlite_url(tmp_path / "ledger.db"), caps(total=10 * PRICE), busy_s=0.1)) as ledger:
        for number in range(5):
            ledger.claim(request_of(f"Boat {number}"), Origin("run-1"), "elsewhere.1.x", simulated=True)
        with LedgerResource(url=sqlite_url(tmp_path / "ledger.db")).open().one_transaction():
            AlertDelivery(ledger, log, "run-1").poll()
            AlertDelivery(ledger, log, "run-1").finish()
        during = len(said)
        AlertDelivery(ledger, log, "run-1").finish()

    assert (during, len(said)) == (0, 1)


def test_a_failed_run_has_delivered_its_alerts(tmp_path: Path) -> None:
    chat = Chat()
    with studio(tmp_path, faults={"verdict_safety": 1.0}) as made:
        result = run(made, 4, chat, budget_usd_total=FOUR / 4)

        assert "skipped" in failure_of(result)
        assert 100 in chat.percents
