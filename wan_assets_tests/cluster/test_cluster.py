"""Several workers, one of which dies half-way: every row green, nothing paid twice, and all books agree."""

import json
import os
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cluster_support import Site, is_on, killed, one_host, pid_of, several_hosts
from folders import SHARED
from postgres_support import Cluster

from wan_assets.ledger import Ledger, TaskState
from wan_assets.store import VideoStore

LATENCY_S = 2.0
VBENCH = SHARED / "data" / "vbench_prompts_en.txt"
MANY = 10
ROWS = 400
"""Four runs of a backfill: half of the rows are stored when each of two workers has finished one."""


def prompts() -> list[str]:
    """VBench's prompts if they exist, else our own. The first two are there twice."""
    own = [f"Kite {number}" for number in range(ROWS)]
    some = VBENCH.read_text(encoding="utf-8").splitlines() if VBENCH.exists() else own
    return [*some[: ROWS - 2], *some[:2]]


def table_of(some: list[str], folder: Path) -> Path:
    """A prompt table: small videos without sound."""
    asked = {"resolution": "480p", "provider_settings": {"alibaba": {"audio": False}}}
    path = folder / "prompts.jsonl"
    rows = [{"prompt_id": f"v{number:04}", "positive_prompt": text, **asked} for number, text in enumerate(some)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def begun(site: Site) -> str:
    """A backfill of everything."""
    assert site.dagster.ended(site.dagster.launch("videos_prompts")) == "SUCCESS"
    return site.dagster.backfill("videos")


def half_way(site: Site, rows: int, is_meant: Callable[[str], bool] = bool) -> tuple[str, str]:
    """Somebody who is meant to die and has much in flight, and the run, once half of the rows are green."""

    def look() -> tuple[str, str] | None:
        if site.dagster.partitions("videos")["numMaterialized"] < rows / 2:
            return None
        at_work = ((owner, run) for owner, run in site.at_work().items() if is_meant(owner))
        return next(((owner, run) for owner, run in at_work if site.in_flight(run) >= MANY), None)

    return site.dagster.wait("half of the rows", look)


def finished(site: Site, backfill: str) -> None:
    assert site.dagster.backfill_ended(backfill) == "COMPLETED_SUCCESS"


def assert_all_is_well(site: Site, some: list[str]) -> None:
    """Every row is green, each request was charged once, the ledger has what the API has, and every file is whole."""
    assert site.dagster.green("videos") == len(some)
    stats = site.dagster.partitions("videos")
    sys.stdout.write(f"\nDagster's own counts: {stats}\n")
    assert stats["numFailed"] == 0
    charged: dict[str, int] = defaultdict(int)
    charges = site.journal.charges()
    for charge in charges:
        charged[charge.task_uuid] += charge.amount_microusd
    assert len(charges) == len(charged) == len(set(some))
    assert set(Counter(charge.fingerprint for charge in charges).values()) == {1}
    store = VideoStore(site.store)
    with closing(Ledger(site.ledger)) as ledger:
        tasks = ledger.tasks_where()
    assert {task.task_uuid: task.committed_microusd for task in tasks} == charged
    assert {task.state for task in tasks} == {TaskState.STORED}
    for task in tasks:
        stored = store.task(task.fingerprint, task.task_uuid, simulated=task.is_simulated)
        assert stored is not None
        assert all(map(store.verifies, stored.videos))


def test_a_worker_that_dies_half_way_is_followed_by_another(
    tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = prompts()
    with several_hosts(tmp_path, table_of(some, tmp_path), LATENCY_S, postgres, 2, monkeypatch) as site:
        backfill = begun(site)
        victim = site.workers["worker-0"]
        _, run_id = half_way(site, len(some), lambda owner: is_on(owner, victim))
        killed(victim)
        died = time.monotonic()
        orphans = site.in_flight(run_id)
        site.dagster.wait("the end of the lost run", lambda: site.dagster.status(run_id) == "FAILURE", 90)
        ended = time.monotonic()
        site.dagster.wait("the dead worker's videos", lambda: not site.in_flight(run_id))
        sys.stdout.write(
            f"\n{orphans} tasks were in flight; the run of the dead worker was ended after {ended - died:.0f} s, "
            f"and their videos were stored after {time.monotonic() - died:.0f} s\n"
        )
        finished(site, backfill)

        assert orphans
        assert_all_is_well(site, some)


def test_a_run_that_dies_half_way_on_one_host_is_repeated(tmp_path: Path) -> None:
    some = prompts()
    with one_host(tmp_path, table_of(some, tmp_path), LATENCY_S) as site:
        backfill = begun(site)
        owner, run_id = half_way(site, len(some))
        os.kill(pid_of(owner), signal.SIGKILL)
        site.dagster.wait("the end of the lost run", lambda: site.dagster.status(run_id) == "FAILURE", 90)
        finished(site, backfill)

        assert_all_is_well(site, some)
