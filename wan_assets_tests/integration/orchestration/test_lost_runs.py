"""Runs whose process is gone are found by their leases, and ended; those that are slow, or another's, are not."""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster_support import studio, table_of, written
from engine_support import rows_of
from process_support import dead_owner

from wan_assets import LedgerResource, build_lost_run_sensor, build_video_assets
from wan_assets.engine import Outcome
from wan_assets.ledger import Ledger, heartbeat
from wan_assets.orchestration.partitions.sync import range_tags, sync_partitions

OWNER = "elsewhere.1.x"


class Clock:
    now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def ledger(url: str, clock: Clock) -> Iterator[Ledger]:
    with contextlib.closing(Ledger(url, clock=clock)) as book:
        yield book


def test_a_run_is_lost_when_its_lease_ends_and_not_while_it_is_renewed(ledger: Ledger, clock: Clock) -> None:
    seen = []
    ledger.begin("run", OWNER)
    for passed_s in (44.0, 2.0):
        clock.now += passed_s
        seen.append(ledger.lost_runs())
    ledger.renew(OWNER)
    seen.append(ledger.lost_runs())

    assert seen == [[], ["run"], []]


def test_a_run_that_another_process_is_at_work_for_is_not_lost(ledger: Ledger, clock: Clock) -> None:
    ledger.begin("run", OWNER)
    clock.now += 60
    ledger.begin("run", "elsewhere.2.x")

    assert ledger.lost_runs() == []


def test_a_run_that_has_ended_in_any_way_is_not_lost(ledger: Ledger, clock: Clock) -> None:
    ledger.begin("run", OWNER)
    ledger.release_leases(OWNER)
    clock.now += 60

    assert ledger.lost_runs() == []


def test_letting_go_of_one_task_does_not_end_the_run(ledger: Ledger, clock: Clock) -> None:
    ledger.begin("run", OWNER)
    ledger.release_leases(OWNER, "a task")
    clock.now += 60

    assert ledger.lost_runs() == ["run"]


@pytest.mark.slow
def test_a_process_of_this_host_that_is_dead_is_known_at_once(ledger: Ledger) -> None:
    ledger.begin("run", dead_owner())

    assert ledger.lost_runs() == ["run"]


def test_what_nobody_has_seen_to_is_forgotten_after_a_week(ledger: Ledger, clock: Clock) -> None:
    ledger.begin("run", OWNER)
    clock.now += 7 * 24 * 3600 + 60
    ledger.begin("another", "elsewhere.2.x")

    assert ledger.lost_runs() == []


@dg.job
def nothing() -> None:
    """A run of it is never started here."""


def ticked(instance: dg.DagsterInstance, url: str) -> str | None:
    """What the sensor says, if anything."""
    context = dg.build_sensor_context(instance=instance, resources={"ledger": LedgerResource(url=url)})
    said = build_lost_run_sensor()(context)
    assert said is None or isinstance(said, dg.SkipReason)
    return said.skip_message if said else None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "then"),
    [
        (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED),
        (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.SUCCESS),
    ],
)
def test_the_sensor_ends_what_dagster_believes_to_be_at_work(
    url: str, status: dg.DagsterRunStatus, then: dg.DagsterRunStatus
) -> None:
    with dg.DagsterInstance.ephemeral() as instance, contextlib.closing(Ledger(url)) as book:
        run = instance.create_run_for_job(nothing, status=status)
        book.begin(run.run_id, dead_owner())

        said = ticked(instance, url)

        assert instance.get_run_by_id(run.run_id).status == then
        assert (run.run_id in (said or "")) == (status != then)
        assert book.lost_runs() == []
        assert ticked(instance, url) is None


def test_the_sensor_leaves_the_runs_of_another_instance_to_it(url: str) -> None:
    with dg.DagsterInstance.ephemeral() as instance, contextlib.closing(Ledger(url)) as book:
        book.begin("a run of another instance", dead_owner())

        assert ticked(instance, url) is None
        assert book.lost_runs() == ["a run of another instance"]


def test_the_sensor_says_what_keeps_it_from_looking(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert "unable to open database" in str(ticked(instance, f"sqlite:///{tmp_path}"))


# When a run says that it lives.


def at_work(folder: Path) -> int:
    """How many processes are at work for any run."""
    return len(rows_of(f"sqlite:///{folder / 'ledger.db'}", "SELECT 1 FROM wan_runs"))


@pytest.mark.slow
def test_a_run_lives_from_before_its_table_is_read_until_its_last_event(tmp_path: Path) -> None:
    seen: dict[str, list[int]] = {"table": [], "events": []}
    table = written(tmp_path, table_of("Kite 1", "Kite 2"))

    def prompts() -> Path:
        seen["table"].append(at_work(tmp_path))
        return table

    def once_the_engine_has_ended(_: Outcome) -> None:
        for thread in threading.enumerate():
            if thread.name == "generation":
                thread.join()
        seen["events"].append(at_work(tmp_path))

    with studio(tmp_path) as made:
        Ledger(made.resources()["ledger"].url).close()
        sync_partitions(made.instance, "videos", ["a", "b"])
        result = dg.materialize(
            list(build_video_assets(prompts=prompts, on_outcome=once_the_engine_has_ended).assets or ()),
            instance=made.instance,
            resources=made.resources(),
            selection="videos",
            tags=range_tags("a", "b"),
        )

    assert result.success
    assert seen["table"][-1] == 1
    assert seen["events"] == [1, 1]
    assert at_work(tmp_path) == 0


@pytest.mark.slow
def test_a_heartbeat_renews_the_lease_before_it_ends_and_ends_with_its_block(url: str) -> None:
    leases: set[float] = set()
    until = time.monotonic() + 20
    with contextlib.closing(Ledger(url, lease_s=2)) as book:
        with heartbeat(book, "run"):
            while len(leases) < 3 and time.monotonic() < until:
                leases |= {row.lease_until for row in rows_of(url, "SELECT lease_until FROM wan_runs")}

        assert len(leases) == 3
        assert max(later - earlier for earlier, later in itertools.pairwise(sorted(leases))) < 2
        assert rows_of(url, "SELECT 1 FROM wan_runs") == []
