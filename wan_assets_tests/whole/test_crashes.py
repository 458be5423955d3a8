"""Runs that are killed again and again: every video is paid once, and all of them come."""

import random
import signal
from collections import Counter
from pathlib import Path

import pytest
from crash_support import ended, killed
from engine_support import CHARGES_EVERY_COPY, Studio, errors_of, jobs_of, studio
from python_process import run_python

SCRIPT = """
import sys
from wan_assets import LedgerResource, RunwareResource, VideoGenerator, VideoStoreResource
folder, base_url, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
runware = RunwareResource(api_key="any", base_url=base_url, initial_poll_delay_s=0.1, max_in_flight=4)
store, ledger = VideoStoreResource(root=f"{folder}/store"), LedgerResource(url=f"sqlite:///{folder}/ledger.db")
requests = [{"prompt_id": f"p{n}", "positive_prompt": f"Kite {n}", "resolution": "480p"} for n in range(rows)]
frame = VideoGenerator(runware=runware, store=store, ledger=ledger).generate(requests=requests, progress=False)
print(int(frame.reused.sum()), frame.charged_usd.sum())
"""
"""A script without Dagster; it prints the reused rows, and what the call charged."""

TROUBLE = {
    "drop_after_accept": 0.1,
    "error_503_after_accept": 0.1,
    "rate_limit": 0.1,
    "download_cut": 0.1,
    "download_broken": 0.1,
    "download_slow": 0.3,
}


def stored_in(made: Studio) -> int:
    """How many tasks the store holds whole."""
    return sum(1 for _ in (made.folder / "store").glob("simulated/*/*/*.json"))


@pytest.mark.parametrize(
    ("rows", "seed", "faults"), [(60, 1, {}), (16, 2, TROUBLE)], ids=["a good API", "an API in trouble"]
)
def test_runs_killed_at_any_point_pay_once_for_each_video_and_store_it_whole(
    tmp_path: Path, rows: int, seed: int, faults: dict[str, float]
) -> None:
    first, second, third = sorted(random.Random(seed).sample(range(2, rows * 2 // 3), 3))

    with studio(tmp_path, latency_s=0.2, faults=faults, seed=seed, **CHARGES_EVERY_COPY) as made:
        ends = [
            killed(made, rows, when=lambda: made.paid >= first),
            killed(made, rows, when=lambda: stored_in(made) >= second // 2),
            killed(made, rows, when=lambda: stored_in(made) >= third),
        ]
        stored_in_between = stored_in(made)
        outcomes = made.run(jobs_of(rows))
        again = made.run(jobs_of(rows))

        charges = made.journal.charges()
        totals = made.ledger().totals().simulated
    assert ends == [-9] * 3
    assert third <= stored_in_between < rows
    assert errors_of(outcomes) == [""] * rows
    assert Counter(charge.fingerprint for charge in charges) == {job.request.fingerprint(): 1 for job in jobs_of(rows)}
    assert totals.cost_microusd == sum(charge.amount_microusd for charge in charges)
    assert (totals.tasks, totals.reserved_microusd, totals.unknown) == (rows, 0, 0)
    assert all(outcome.is_reused for outcome in again)
    assert set(made.states()) == {"stored"}
    assert all(made.store.verifies(video) for outcome in outcomes if outcome.stored for video in outcome.stored.videos)
    assert [path for path in (tmp_path / "store" / "simulated").rglob("*") if ".part" in path.name] == []


def test_a_script_that_is_killed_half_way_pays_nothing_twice_when_it_runs_again(tmp_path: Path) -> None:
    rows = 12
    with studio(tmp_path, latency_s=0.2, **CHARGES_EVERY_COPY) as made:
        command = ["-c", SCRIPT, str(tmp_path), made.simulator.base_url, str(rows)]
        end = ended(command, when=lambda: made.paid >= rows // 2)
        paid_before = made.paid
        again = run_python(command, capture_output=True, text=True, check=True)
        charges = made.journal.charges()

    assert end == -signal.SIGKILL
    assert rows // 2 <= paid_before < rows
    assert len(charges) == len({charge.fingerprint for charge in charges}) == rows
    assert float(again.stdout.split()[1]) == pytest.approx(0.473 * rows), (
        "also what the killed script paid for is charged once"
    )
