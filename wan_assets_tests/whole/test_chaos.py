"""A short campaign of kills, and the proof that its audit finds what is wrong; `make chaos` runs long campaigns."""

import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from chaos import RANDOM, Campaign, started, write_table
from chaos_audit import evidence_in, violations
from chaos_run import POINTS
from patience import PATIENCE_S

from wan_assets.simulator import Behaviour, LocalSimulator

SEED = 3


def test_runs_killed_at_every_point_with_all_faults_on_pay_once_and_lose_nothing(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, SEED, in_flight=60, latency_s=2.0, most_passes=2)

    evidence = campaign.run()

    assert list(violations(evidence)) == []
    assert Counter(kill.point for kill in campaign.kills) == {**dict.fromkeys(POINTS, 1), RANDOM: 2}
    assert len(campaign.suspensions) == campaign.suspends_at
    assert len(evidence.stored) + len(evidence.undelivered()) == len(evidence.paid) == len(evidence.prompts.rows)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of four rows that nobody killed."""
    folder = tmp_path_factory.mktemp("ended")
    write_table(folder / "prompts.jsonl", 4, two_results_every=20)
    with LocalSimulator(folder / "simulator", Behaviour(latency_s=0.1)) as simulator:
        assert started(folder, simulator.base_url).wait(PATIENCE_S) == 0
    return folder


def change(database: str, statement: str) -> Callable[[Path], None]:
    """Changes one of the books."""

    def changed(folder: Path) -> None:
        (path,) = folder.glob(database)
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            assert db.execute(statement).rowcount

    return changed


def remove_a_video(folder: Path) -> None:
    next((folder / "store").rglob("*.mp4")).unlink()


def spoil_a_video(folder: Path) -> None:
    path = next((folder / "store").rglob("*.mp4"))
    path.write_bytes(b"!" + path.read_bytes()[1:])


def leave_half_a_file(folder: Path) -> None:
    next((folder / "store").rglob("*.mp4")).with_name("half.mp4").write_bytes(b"half")


SOME = "(SELECT task_uuid FROM charges WHERE amount_microusd > 0 LIMIT 1)"
SOME_STORED = "(SELECT task_uuid FROM wan_tasks WHERE state = 'stored' LIMIT 1)"


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (
            change(
                "simulator/*.db",
                f"INSERT INTO charges SELECT NULL, task_uuid, fingerprint, 1, 0 FROM charges WHERE task_uuid = {SOME}",
            ),
            "paid twice",
        ),
        (
            change(
                "ledger.db", f"UPDATE wan_tasks SET cost_microusd = cost_microusd + 1 WHERE task_uuid = {SOME_STORED}"
            ),
            "books",
        ),
        (change("ledger.db", f"DELETE FROM wan_tasks WHERE task_uuid = {SOME_STORED}"), "books"),
        (remove_a_video, "lost"),
        (spoil_a_video, "lost"),
        (leave_half_a_file, "partial file"),
        (remove_a_video, "unfinished"),
        (change("dagster/history/runs/index.db", "DELETE FROM event_logs WHERE partition = 'r0003'"), "events"),
    ],
)
def test_the_audit_finds_what_is_wrong(ended: Path, tmp_path: Path, tamper: Callable[[Path], None], found: str) -> None:
    shutil.copytree(ended, tmp_path / "books")

    tamper(tmp_path / "books")

    assert list(violations(evidence_in(ended))) == []
    said = list(violations(evidence_in(tmp_path / "books")))
    assert [sentence for sentence in said if sentence.startswith(f"{found}:")]
