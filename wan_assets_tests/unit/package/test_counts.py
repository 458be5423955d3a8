"""What a row costs us, in things that can be counted: POSTs, SQL statements, Dagster's events. Never in seconds."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from bent_api import POLL, SUBMIT, bent
from dagster_support import studio as dagster_studio
from dagster_support import table_of, written
from engine_support import jobs_of

from wan_assets.client import HttpConfig
from wan_assets.engine import Limits

ROWS = 60
TOGETHER = Limits(max_in_flight=ROWS, max_wait_s=20)


@contextmanager
def counted_statements() -> Iterator[Counter[str]]:
    """How often each SQL statement is executed, by whatever ledger, by its first word and its table."""
    counts: Counter[str] = Counter()

    def count(*call: Any) -> None:
        words = call[2].split()
        table = next((word for word in words if word.startswith("wan_")), "")
        counts[f"{words[0]} {table.partition('.')[0]}"] += 1

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        yield counts
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", count)


@pytest.mark.slow
def test_a_row_is_one_submission_and_polls_are_shared(tmp_path: Path) -> None:
    with bent(tmp_path, latency_s=1.0) as made:
        outcomes = made.run(jobs_of(ROWS), limits=TOGETHER, http_config=HttpConfig())

        assert all(outcome.stored for outcome in outcomes)
        assert len(made.calls(SUBMIT)) == ROWS
        assert len(made.calls(POLL)) <= ROWS / 4


@pytest.mark.slow
def test_a_row_that_is_there_is_no_post_at_all(tmp_path: Path) -> None:
    with bent(tmp_path) as made:
        made.run(jobs_of(ROWS), limits=TOGETHER)
        before = len(made.kinds)

        made.run(jobs_of(ROWS), limits=TOGETHER)

        assert len(made.kinds) == before


@pytest.mark.slow
def test_a_row_takes_few_statements_and_none_that_is_there_takes_any_of_its_own(tmp_path: Path) -> None:
    with bent(tmp_path) as made:
        with counted_statements() as bought:
            made.run(jobs_of(ROWS), limits=TOGETHER)
        with counted_statements() as reused:
            made.run(jobs_of(ROWS), limits=TOGETHER)

    assert bought["INSERT wan_tasks"] == ROWS
    assert bought["INSERT wan_spend"] == ROWS, "none to correct a sum by nothing"
    assert bought.total() / ROWS < 19
    assert (bought.total() - bought["BEGIN "]) / ROWS < 16, (
        "some of them the shared limit's; a transaction may have those of many rows"
    )
    assert reused.total() < 50


@pytest.mark.slow
def test_a_row_is_few_events_of_dagster(tmp_path: Path) -> None:
    with dagster_studio(tmp_path) as made:
        result = made.run(written(tmp_path, table_of(*(f"Kite {number}" for number in range(20)))))
        events = [entry for entry in made.instance.all_logs(result.run_id) if entry.dagster_event]

    kinds = Counter(entry.dagster_event.event_type for entry in events)
    assert kinds[dg.DagsterEventType.ASSET_MATERIALIZATION] == 20 + 1, "and one of the table"
    assert len(events) <= 3 * 20 + 20, "a materialization, a planned one and a check of each row"
