"""Reads the ledger: tasks, sums, prices and leases."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import date
from functools import partial
from typing import Self

import sqlalchemy as sa
from more_itertools import chunked

from wan_assets.errors import LedgerUrlError
from wan_assets.ledger import (
    attribution,
    budget_alerts,
    clock,
    decisions,
    estimates,
    forecast,
    kind_costs,
    learned_prices,
    partition_records,
    pause,
    run_leases,
    spend_lines,
    take_costs,
    takes,
    unreported_costs,
    upload_cache,
    video_checks,
)
from wan_assets.ledger.budget import Budgets, BudgetState, Counter
from wan_assets.ledger.budget_alerts import BudgetAlert
from wan_assets.ledger.budget_sums import BudgetSums
from wan_assets.ledger.chargeback import Chargeback, month_span
from wan_assets.ledger.claims import is_current, last_rows
from wan_assets.ledger.database import as_ledger_error, is_in_memory, opened, reading
from wan_assets.ledger.decisions import Decision, VideoKey
from wan_assets.ledger.groupings import Grouping
from wan_assets.ledger.kind_costs import KindCosts
from wan_assets.ledger.open_partitions import OpenPartitions, open_partitions
from wan_assets.ledger.partition_records import PartitionRecord, PartitionRow
from wan_assets.ledger.records import OPEN_STATES, Task, TaskState, money_kind, task_of
from wan_assets.ledger.run_account import RunAccount, run_account
from wan_assets.ledger.schema import tasks
from wan_assets.ledger.take_costs import TakeCosts
from wan_assets.ledger.takes import Takes
from wan_assets.ledger.video_checks import CheckRecord
from wan_assets.models import Quote, VideoRequest

_UUIDS_PER_STATEMENT = 500


class LedgerReader:
    """One database, its transactions, and all queries. Blocking; safe for threads and processes.

    `clock` returns seconds since 1970.
    """

    def __init__(
        self, url: str, budgets: Budgets, *, busy_s: float, must_exist: bool, clock: Callable[[], float]
    ) -> None:
        self.url = url
        self.budgets = budgets
        self._clock = clock
        self._shared = threading.local()
        self._engine = opened(url, busy_s, must_exist=must_exist, clock=clock)
        self._reading_engine = reading(self._engine)
        self._sums = BudgetSums(budgets)
        if budgets.limits:
            with self._transaction() as connection:
                self._sums.register(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def refuse_if_in_memory(self, *, simulated: bool) -> None:
        """Raises `LedgerError` if real money would be recorded in memory, and lost when the process ends."""
        if not simulated and is_in_memory(self.url):
            raise LedgerUrlError(
                "the ledger is in memory, where records of real money are lost: name a file, or Postgres"
            )

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()

    def task(self, task_uuid: str) -> Task | None:
        """Returns one task, or None."""
        return next(iter(self.tasks_where(tasks.c.task_uuid == task_uuid)), None)

    def tasks_of(self, task_uuids: Collection[str]) -> dict[str, Task]:
        """Returns some tasks by their UUIDs; those that the ledger does not know are missing."""
        found: dict[str, Task] = {}
        for some in chunked(task_uuids, _UUIDS_PER_STATEMENT):
            found |= {task.task_uuid: task for task in self.tasks_where(tasks.c.task_uuid.in_(some))}
        return found

    def recorded_partitions(self, asset: str, keys: Collection[str] | None = None) -> dict[str, PartitionRecord]:
        """Returns the rows that partitions of an asset consist of; of all partitions if `keys` is None."""
        with self._reading() as connection:
            return partition_records.recorded(connection, asset, keys)

    def recorded_checks(self, task_uuids: Collection[str]) -> dict[str, list[CheckRecord]]:
        """Returns the results of checks that users define, by task."""
        with self._reading() as connection:
            return video_checks.recorded(connection, task_uuids)

    def decisions(self, videos: Collection[VideoKey]) -> dict[VideoKey, list[Decision]]:
        """Returns all decisions about some videos, oldest first; the last one applies."""
        with self._reading() as connection:
            return decisions.history(connection, videos)

    def recorded_keys(self, keys: Collection[str]) -> set[str]:
        """Returns those of some keys under which a decision is recorded."""
        with self._reading() as connection:
            return decisions.recorded_keys(connection, keys)

    def unknown_videos(self, videos: Collection[VideoKey]) -> set[VideoKey]:
        """Returns the videos that are no current ones of the ledger, so that no decision about them is recorded."""
        with self._reading() as connection:
            return set(takes.unknown(connection, videos))

    def decisions_after(self, number: int, limit: int = 1_000) -> list[Decision]:
        """Returns the first decisions with a higher number, in order."""
        with self._reading() as connection:
            return decisions.after(connection, number, limit)

    def last_decision(self, min_age_s: float = 0.0) -> int:
        """Returns the number of the latest decision that is at least this old, in seconds; 0 if there is none."""
        with self._reading() as connection:
            before = clock.ago_iso(connection, min_age_s) if min_age_s > 0 else None
            return decisions.last_number(connection, before)

    def takes(self, fingerprints: Collection[str], *, simulated: bool) -> dict[str, Takes]:
        """Returns the takes of rows by the fingerprint of their request; rows without a decision and without a further
        take are missing.
        """
        with self._reading() as connection:
            return takes.of_rows(connection, fingerprints, simulated=simulated)

    def partitions_of(self, asset: str, fingerprints: Collection[str]) -> dict[str, list[str]]:
        """Returns the partitions of an asset that have a task of some requests, or a row with any take of them, by
        fingerprint.
        """
        with self._reading() as connection:
            return takes.partitions_of(connection, asset, fingerprints)

    def partitions_with_approvals(self, asset: str) -> list[str]:
        """Returns the partitions of an asset that may have an approved video, in the order of their names."""
        with self._reading() as connection:
            return takes.partitions_with_approvals(connection, asset)

    def takes_of(self, rows: Sequence[PartitionRow]) -> list[Takes]:
        """Returns the takes of each row of recorded partitions."""
        with self._reading() as connection:
            return takes.of_recorded(connection, rows)

    def latest(self, fingerprints: Sequence[str], *, simulated: bool, purchase: str = "") -> dict[str, Task]:
        """Returns the current task of each request by fingerprint, for at most a few hundred requests."""
        same = (tasks.c.fingerprint.in_(fingerprints), tasks.c.is_simulated == simulated)
        found = self.tasks_where(*same, *is_current(purchase))
        return {task.fingerprint: task for task in sorted(found, key=lambda task: (not task.is_lost, task.attempt))}

    def ended_without_video(
        self, fingerprints: Sequence[str], *, simulated: bool, purchase: str = ""
    ) -> dict[str, Task]:
        """Returns the last task of each request by fingerprint, if it failed or was refused."""
        with self._reading() as connection:
            last = map(task_of, last_rows(connection, fingerprints, purchase, simulated=simulated))
            return {task.fingerprint: task for task in last if task.state in (TaskState.FAILED, TaskState.REJECTED)}

    def open_tasks(self) -> list[Task]:
        """Returns every task that may still bring a video, oldest first."""
        return self.tasks_where(tasks.c.state.in_(OPEN_STATES))

    def stored_tasks(self, asset: str, *, simulated: bool) -> list[Task]:
        """Returns every task of an asset with stored videos, oldest first."""
        here = (tasks.c.asset == asset, tasks.c.is_simulated == simulated)
        return self.tasks_where(*here, tasks.c.state == TaskState.STORED)

    def unknown_costs(self) -> list[Task]:
        """Returns every ended task whose cost is partly unknown, oldest first."""
        return self.tasks_where(tasks.c.state.not_in(OPEN_STATES), tasks.c.reserved_microusd > 0)

    def overcharged(self) -> list[spend_lines.Overcharge]:
        """Returns every task whose charge exceeded its reservation, oldest first."""
        with self._reading() as connection:
            return spend_lines.overcharged(connection)

    def tasks_where(self, *conditions: sa.ColumnElement[bool]) -> list[Task]:
        """Returns tasks by any condition on the table, oldest first."""
        with self._reading() as connection:
            found = connection.execute(tasks.select().where(*conditions).order_by(tasks.c.created_at))
            return [task_of(row) for row in found.mappings()]

    def find_tasks(self, identifier: str) -> list[Task]:
        """Returns every task of a row, partition, run, request or video, by any of their identifiers, oldest first."""
        of_request = (tasks.c.fingerprint, tasks.c.former_fingerprint)
        names = (tasks.c.task_uuid, *of_request, tasks.c.prompt_id, tasks.c.partition, tasks.c.run_id)
        in_results = tasks.c.results.contains(json.dumps(identifier), autoescape=True)
        return self.tasks_where(sa.or_(in_results, *(name == identifier for name in names)))

    def totals(self) -> spend_lines.Totals:
        """Returns the sums over all tasks, real and simulated separately."""
        with self._reading() as connection:
            return attribution.totals(connection)

    def spending(self, by: Grouping | str) -> list[spend_lines.SpendLine]:
        """Returns tasks, videos, costs and reservations by one key or two; raises `ValueError` for unknown names."""
        grouping = Grouping.of(by) if isinstance(by, str) else by
        with self._reading() as connection:
            return attribution.spending(connection, grouping)

    def chargeback(self, month: str, by: Grouping) -> Chargeback:
        """Returns the tasks of a month such as `2026-11` by the value of a tag, in the grouping's time zone.

        Raises `ValueError` if the text is not a month.
        """
        span = month_span(month, by.time_zone)
        with self._reading() as connection:
            return Chargeback(tuple(attribution.spending(connection, by, span)))

    def take_costs(self) -> list[TakeCosts]:
        """Returns the cost of all takes of rows with an approved video, of real and of simulated money."""
        with self._reading() as connection:
            return take_costs.take_costs(connection)

    def tasks_by_day(self, first: date, last: date, *, simulated: bool) -> list[spend_lines.DayOfTasks]:
        """Returns the tasks that the API has or may have, by UTC day, both days included."""
        with self._reading() as connection:
            return spend_lines.tasks_by_day(connection, first.isoformat(), last.isoformat(), simulated=simulated)

    def recent_prices(self) -> list[learned_prices.RecentPrices]:
        """Returns the real prices of each kind of request."""
        with self._reading() as connection:
            return learned_prices.all_prices(connection)

    def kind_costs(self) -> list[KindCosts]:
        """Returns the list prices and the costs of the latest tasks of each kind of request."""
        with self._reading() as connection:
            return kind_costs.recent_kind_costs(connection, self.budgets.price_margin)

    def quoted_microusd(self, requests: Sequence[VideoRequest], *, simulated: bool) -> int:
        """Returns the total amount that would be reserved for some requests, in µ$."""
        with self._reading() as connection:
            quoted = partial(
                learned_prices.quoted_microusd, connection, margin=self.budgets.price_margin, simulated=simulated
            )
            return sum(map(quoted, requests))

    def quote(self, request: VideoRequest, *, simulated: bool) -> Quote:
        """Returns the prices of a request, with the recent costs of its kind and the amount that would be reserved."""
        with self._reading() as connection:
            return learned_prices.quote(connection, request, self.budgets.price_margin, simulated=simulated)

    def budget_states(self, run_id: str, *, simulated: bool) -> list[BudgetState]:
        """Returns each budget with the spent and reserved amount of its present period, and of a run."""
        with self._transaction() as connection:  # records the begin of a period
            return self._sums.states(connection, run_id, kind=money_kind(simulated))

    def forecasts(self, *, simulated: bool) -> forecast.Forecasts:
        """Returns each budget with its forecast, and that of the present month."""
        with self._transaction() as connection:  # records the begin of a period
            return forecast.forecasts(connection, self._sums, simulated=simulated)

    def recorded_budgets(self) -> Mapping[Counter, int]:
        """Returns the limits that the ledger itself records, in µ$."""
        with self._transaction() as connection:  # records the begin of a period
            return self._sums.now(connection).registered.limits

    def open_partitions(
        self, counters: Collection[Counter], wanted: Mapping[str, Collection[str]], *, simulated: bool
    ) -> list[OpenPartitions]:
        """Returns what partitions that are still to be made, given by asset, are expected to take from each budget."""
        with self._reading() as connection:
            return list(open_partitions(connection, counters, wanted, simulated=simulated))

    def exhausted_budgets(self, states: Sequence[BudgetState]) -> list[BudgetState]:
        """Returns those of some budgets that are exhausted, or that have refused a row in their period."""
        with self._reading() as connection:
            return budget_alerts.exhausted(connection, states)

    def budget_alerts(self) -> list[BudgetAlert]:
        """Returns all alerts of budgets, oldest first."""
        with self._reading() as connection:
            return budget_alerts.all_alerts(connection)

    def requested(self, *, simulated: bool) -> frozenset[bytes]:
        """Returns the first 16 bytes of the fingerprint of each request that has a task: it costs nothing more."""
        with self._reading() as connection:
            return estimates.requested(connection, simulated=simulated)

    def recent_durations(self, *, simulated: bool) -> estimates.RecentDurations | None:
        """Returns the durations of the latest finished tasks, in seconds; None if there are none."""
        with self._reading() as connection:
            return estimates.recent_durations(connection, simulated=simulated)

    def learned_limit(self, account: str) -> int | None:
        """Returns the number of tasks in flight that runs of an account have learned, or None."""
        with self._reading() as connection:
            return estimates.learned_limit(connection, account)

    def paused(self) -> str | None:
        """Returns the reason of the pause, or None."""
        with self._reading() as connection:
            return pause.reason(connection)

    def uploaded(self, reference: str, base_url: str) -> str | None:
        """Returns the API's UUID of a local file whose upload still exists."""
        with self._reading() as connection:
            return upload_cache.known(connection, reference, base_url, now=self._clock())

    def lost_runs(self) -> list[str]:
        """Returns runs whose processes ended without a report, oldest first."""
        with self._reading() as connection:
            return run_leases.lost(connection)

    def runs_at_work(self) -> set[str]:
        """Returns runs that a live process works for."""
        with self._reading() as connection:
            return run_leases.at_work(connection)

    def run_account(self, run_id: str, fingerprints: Collection[str] = ()) -> RunAccount:
        """Returns the current counts and amounts of a run over some requests, given by their fingerprints."""
        with self._reading() as connection:
            return run_account(connection, run_id, fingerprints)

    def ahead_s(self) -> float:
        """Returns how far the ledger's clock is ahead of this host's clock, in seconds."""
        with self._reading() as connection:
            return clock.ahead_s(connection)

    def unreported(self, asset: str) -> dict[str, str]:
        """Returns the stored tasks of an asset whose cost no event has reported, with the partition of each."""
        with self._reading() as connection:
            return unreported_costs.unreported(connection, asset)

    def is_unreported(self, task_uuid: str) -> bool:
        """Whether no event has reported the cost of a stored task."""
        with self._reading() as connection:
            return unreported_costs.is_unreported(connection, task_uuid)

    @contextmanager
    def one_transaction(self) -> Iterator[None]:
        """Runs all ledger calls of this thread in the block in one transaction; an error rolls back all of them."""
        with self._transaction() as connection:
            self._shared.connection = connection
            try:
                yield
            finally:
                del self._shared.connection

    def _transaction(self) -> AbstractContextManager[sa.Connection]:
        return self._transaction_on(self._engine)

    def _reading(self) -> AbstractContextManager[sa.Connection]:
        return self._transaction_on(self._reading_engine)

    @contextmanager
    def _transaction_on(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        shared = getattr(self._shared, "connection", None)
        with as_ledger_error(self.url), nullcontext(shared) if shared else engine.begin() as connection:
            yield connection
