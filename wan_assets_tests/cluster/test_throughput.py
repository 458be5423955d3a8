"""What a second worker is worth, where the API is what is waited for."""

import sys
from pathlib import Path

import pytest
from cluster_support import several_hosts
from postgres_support import Cluster
from test_cluster import begun, finished, table_of

ROWS = 400
ROWS_OF_A_RUN = 100
"""Four runs, 50 in flight: two waves each."""

LATENCY_S = 30.0


def took_s(folder: Path, postgres: Cluster, workers: int, monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds from the first run's start to the last one's end; what the backfill's daemon waits for is left out."""
    folder.mkdir()
    table = table_of([f"Kite {number}" for number in range(ROWS)], folder)
    with several_hosts(folder, table, LATENCY_S, postgres, workers, monkeypatch) as site:
        backfill = begun(site)
        finished(site, backfill)
        runs = site.dagster.runs(tags=[{"key": "dagster/backfill", "value": backfill}])
        assert len(runs) == ROWS / ROWS_OF_A_RUN
        return max(run["endTime"] for run in runs) - min(run["startTime"] for run in runs)


def test_two_workers_are_nearly_twice_as_fast(
    tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (took_s(tmp_path / str(workers), postgres, workers, monkeypatch) for workers in (1, 2))
    sys.stdout.write(
        f"\n{ROWS} rows: {one:.0f} s with one worker, {two:.0f} s with two, {one / two:.2f} times as fast\n"
    )

    assert one / two >= 1.8
