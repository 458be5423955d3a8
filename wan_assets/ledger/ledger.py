"""The book of tasks: each method is one transaction, and one step of a task's life."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from wan_assets.errors import ApiFault, ConcurrencyLimitError, LeaseExpiredError, SettlementRefusedError
from wan_assets.ledger import (
    concurrency,
    fingerprints,
    learned_prices,
    pause,
    run_leases,
    transitions,
    unreported_costs,
    upload_cache,
    webhook_hints,
)
from wan_assets.ledger.amounts import MAX_MICROUSD
from wan_assets.ledger.budget import Budget, commit, correct, room
from wan_assets.ledger.claims import in_flight, is_held, is_taken, latest_row, new_row
from wan_assets.ledger.clock import NOW_ISO, NOW_S, today
from wan_assets.ledger.concurrency import LearnedLimit, RunNeeds, SharedLimit
from wan_assets.ledger.lease import Instant
from wan_assets.ledger.queries import LedgerReader
from wan_assets.ledger.records import OPEN_STATES, Claim, Origin, Task, TaskState, money_kind, task_of
from wan_assets.ledger.schema import lock_number, overcharges, tasks
from wan_assets.ledger.transitions import Results
from wan_assets.models import VideoRequest, usd

_UNSETTLED = (TaskState.SUBMITTED, TaskState.LOST)


class Ledger(LedgerReader):
    """All tasks and all money of one database. Blocking; safe for threads and processes.

    `namespace` separates ledgers that share an account and shall not share videos. `max_in_flight` is the cap on tasks
    of all runs together, on whatever machines. `clock` gives seconds since 1970; Postgres has a clock of its own, which
    counts for all hosts.

    A method that takes an `owner` raises `LeaseExpiredError`, and writes nothing, when the task is open and its lease
    has passed to somebody else; without one it writes in any case.
    """

    def __init__(
        self,
        url: str,
        budget: Budget | None = None,
        *,
        max_in_flight: int | None = None,
        namespace: str = "wan-assets",
        lease_s: float = 45.0,
        busy_s: float = 30.0,
        must_exist: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(url, budget or Budget(), busy_s=busy_s, must_exist=must_exist, clock=clock)
        self.lease_s = lease_s
        self._max_in_flight = max_in_flight
        self._namespace = namespace

    def claim(
        self, request: VideoRequest, origin: Origin, owner: str, *, simulated: bool, instead_of: str = ""
    ) -> Claim:
        """Gives `owner` the task to work on for a request, reserving money if it is a new one.

        A request gets a new task if all its earlier tasks failed or were rejected, if none was bought under the
        requested purchase, or if its latest task is the lost one that `instead_of` names. Raises, without writing,
        `BudgetExceededError` when the reservation does not fit, `ConcurrencyLimitError` when too many tasks are in
        flight, and `PausedError` when the ledger is paused.
        """
        fingerprint, asked_at = request.fingerprint(), Instant.now()
        with self._transaction() as connection:
            lock_number(connection, int.from_bytes(bytes.fromhex(fingerprint[:16]), signed=True))
            latest = latest_row(connection, fingerprint, origin.purchase, simulated=simulated)
            if latest is not None and latest["task_uuid"] != instead_of:
                return self._joined(connection, latest, owner, asked_at)
            return Claim(self._insert(connection, request, origin, owner=owner, simulated=simulated), "new", asked_at)

    def rename(self, present: Mapping[str, str]) -> None:
        """Brings tasks that an older release has booked under other fingerprints, given by their former ones."""
        with self._transaction() as connection:
            fingerprints.rename(connection, present)

    def take(self, task_uuid: str, owner: str) -> Claim:
        """Gives `owner` one task to work on, unless another process does."""
        asked_at = Instant.now()
        with self._transaction() as connection:
            return self._joined(connection, transitions.found(connection, task_uuid), owner, asked_at)

    def room_microusd(self, run_id: str, *, simulated: bool) -> int | None:
        """What may still be reserved for a run under its tightest cap, in µ$; None where there is no cap."""
        if not self.budget.has_caps:
            return None
        with self._transaction() as connection:
            day = today(connection)
            return room(connection, self.budget, kind=money_kind(simulated), run_id=run_id, day=day)

    def pause(self, why: str | None) -> None:
        """Lets no run send anything more, for a reason; None lets them go on. What is in flight lands."""
        with self._transaction() as connection:
            pause.switch(connection, why)

    def mark_submitted(self, task_uuid: str, run_id: str = "-") -> None:
        """Journal that the API has the task, which a run submitted.

        True whoever holds its lease, and it keeps others from sending it again.
        """
        with self._transaction() as connection:
            transitions.submitted(connection, task_uuid, run_id)

    def settle(
        self,
        task_uuid: str,
        results: Results,
        costs: Sequence[int | None],
        run_id: str = "-",
        *,
        owner: str | None = None,
    ) -> Task:
        """Journal the results and what they cost in µ$; None keeps that result's share reserved.

        `costs` has one entry for each result that was asked for, failed ones included. The run that books a cost is
        the one that reports it.
        """
        with self._transaction() as connection:
            row = _held(transitions.found(connection, task_uuid), owner)
            if TaskState(row["state"]) in _UNSETTLED:
                money = self._settled(connection, row, costs)
                row = transitions.delivered(connection, task_uuid, results, run_id=run_id, **money)
                webhook_hints.forget(connection, task_uuid)
            return task_of(row)

    def _settled(self, connection: sa.Connection, row: sa.RowMapping, costs: Sequence[int | None]) -> dict[str, int]:
        """Corrects the sums by what a task cost, remembers its price, and notes an excess."""
        reserved = row["reserved_microusd"]
        known = [cost for cost in costs if cost is not None]
        cost, held = sum(known), reserved // max(1, row["number_results"]) * (len(costs) - len(known))
        self._correct(connection, row, cost + held - reserved)
        if len(known) == len(costs):
            request = VideoRequest.model_validate_json(row["request"])
            learned_prices.learn(connection, request, cost, simulated=row["is_simulated"])
        if (excess := cost + held - reserved) > 0:
            over = {"reserved_microusd": reserved, "excess_microusd": excess}
            connection.execute(overcharges.insert().values(task_uuid=row["task_uuid"], **over))
        return {"cost_microusd": cost, "reserved_microusd": held}

    def mark_stored(self, task_uuid: str, results: Results, *, owner: str | None = None) -> bool:
        """Journal that the videos lie in the store, and what they are; whether they were not there before."""
        with self._transaction() as connection:
            if is_new := transitions.stored(connection, task_uuid, results, before=TaskState.DELIVERED, owner=owner):
                unreported_costs.add(connection, task_uuid)
            elif not transitions.stored(connection, task_uuid, results, before=TaskState.STORED):
                _held(transitions.found(connection, task_uuid), owner)
            return is_new

    def mark_failed(self, task_uuid: str, fault: ApiFault, *, owner: str | None = None) -> None:
        """Journal that the API accepted the task and gave it up: its cost is unknown and stays reserved."""
        self._end(task_uuid, TaskState.FAILED, fault, owner=owner)

    def mark_lost(self, task_uuid: str, fault: ApiFault, *, owner: str | None = None) -> None:
        """Journal that the API does not know a task that it may have had: it stays reserved and can be resumed."""
        self._end(task_uuid, TaskState.LOST, fault, from_states=(TaskState.RESERVED, *_UNSETTLED), owner=owner)

    def release(self, task_uuid: str, fault: ApiFault, *, owner: str | None = None) -> None:
        """Journal that the API never accepted the task: its reservation is free again."""
        self._end(task_uuid, TaskState.REJECTED, fault, from_states=(TaskState.RESERVED,), owner=owner)

    def record_cost(self, task_uuid: str, cost_microusd: int) -> Task:
        """Journal what an ended task cost in all, as a person found out.

        A lost task, and one whose files never came, are then given up as failed. Raises `SettlementRefusedError` for a
        task that still runs, that a process works on, or that is stored at a known cost, for one that is not in the
        ledger, and for a cost that no task has.
        """
        with self._transaction() as connection:
            row = transitions.found(
                connection, task_uuid, SettlementRefusedError(f"task {task_uuid} is not in the ledger")
            )
            task = task_of(row)
            if cost_microusd > MAX_MICROUSD * task.number_results:
                raise SettlementRefusedError(
                    f"task {task_uuid} cannot have cost ${usd(cost_microusd)}: no video costs so much"
                )
            is_given_up = task.is_lost or task.state is TaskState.DELIVERED
            if task.state is TaskState.DELIVERED and is_held(connection, task_uuid):
                raise SettlementRefusedError(f"a process still works on task {task_uuid}: wait for its run to end")
            if not (is_given_up or task.is_cost_unknown):
                raise SettlementRefusedError(f"task {task_uuid} is {task.state}, and its cost is not open")
            self._correct(connection, row, cost_microusd - task.committed_microusd)
            state = TaskState.FAILED if is_given_up else task.state
            known = {"cost_microusd": cost_microusd, "reserved_microusd": 0}
            return task_of(transitions.changed(connection, task_uuid, state=state, **known))

    def release_unknown(self, days: Collection[date], *, simulated: bool) -> list[Task]:
        """Journal that tasks of unknown cost, submitted on some UTC days, cost no more than is known; as they were."""
        released = [
            task
            for task in self.unknown_costs()
            if task.is_simulated == simulated and date.fromisoformat(task.day) in days
        ]
        for task in released:
            self.record_cost(task.task_uuid, task.cost_microusd)
        return released

    def note_error(self, task_uuid: str, fault: ApiFault, *, owner: str | None = None) -> None:
        """Keeps the last trouble of a task that stays as it is."""
        with self._transaction() as connection:
            _held(transitions.found(connection, task_uuid), owner)
            transitions.changed(connection, task_uuid, error_code=fault.code, error_message=fault.message)

    def begin(self, run_id: str, owner: str) -> None:
        """Journal that an owner is at work for a run, until it lets go; one that is killed is found by `lost_runs`."""
        with self._transaction() as connection:
            run_leases.begin(connection, run_id, owner, lease_s=self.lease_s)

    def renew(self, owner: str) -> None:
        """Extends an owner's leases, on its run and on all tasks that it works on."""
        with self._transaction() as connection:
            run_leases.renew(connection, owner, lease_s=self.lease_s)
            connection.execute(tasks.update().where(tasks.c.owner == owner).values(lease_until=NOW_S + self.lease_s))

    def release_leases(self, owner: str, task_uuid: str | None = None) -> None:
        """Gives up one or all of an owner's tasks, so that others may take them over at once; all, at its end."""
        with self._transaction() as connection:
            if not task_uuid:
                run_leases.end(connection, owner)
            change = tasks.update().where(tasks.c.owner == owner).values(owner=None, lease_until=None)
            connection.execute(change.where(tasks.c.task_uuid == task_uuid) if task_uuid else change)

    def forget_run(self, run_id: str) -> None:
        """Journal that somebody has seen to a run that was lost."""
        with self._transaction() as connection:
            run_leases.forget(connection, run_id)

    def share_limit(
        self, account: str, needs: RunNeeds, learned: LearnedLimit | None, *, simulated: bool
    ) -> SharedLimit:
        """Tells other runs of an account what a run needs of the concurrency limit and has learned, and asks them."""
        with self._transaction() as connection:
            return concurrency.exchange(connection, account, needs, learned, simulated=simulated)

    def leave_limit(self, account: str, owner: str, learned: LearnedLimit | None) -> None:
        """Gives up a run's share in the concurrency limit, and keeps what it has learned."""
        with self._transaction() as connection:
            concurrency.leave(connection, account, owner, learned)

    def remember_upload(self, reference: str, base_url: str, media_uuid: str) -> None:
        """Keeps the API's UUID of a local file."""
        with self._transaction() as connection:
            upload_cache.remember(connection, reference, base_url, media_uuid, now=self._clock())

    def forget_upload(self, reference: str, base_url: str) -> None:
        """Drops the API's UUID of a local file that is not kept there any more."""
        with self._transaction() as connection:
            upload_cache.forget(connection, reference, base_url)

    def mark_reported(self, task_uuids: Sequence[str]) -> None:
        """Journal that events have told what some tasks cost."""
        with self._transaction() as connection:
            unreported_costs.mark(connection, task_uuids)

    def add_hints(self, task_uuids: Collection[str]) -> set[str]:
        """Tells whoever waits for some tasks to poll them now; returns those that this ledger knows.

        Nothing is written of a task that it does not know, or that nobody can be waiting for.
        """
        with self._transaction() as connection:
            return webhook_hints.add(connection, task_uuids, now=self._clock())

    def take_hints(self, task_uuids: Collection[str]) -> set[str]:
        """Which of some tasks are to be polled now; each is told once."""
        with self._transaction() as connection:
            return webhook_hints.take(connection, task_uuids)

    def _insert(
        self, connection: sa.Connection, request: VideoRequest, origin: Origin, *, owner: str, simulated: bool
    ) -> Task:
        kind = money_kind(simulated)
        reserved = learned_prices.quoted_microusd(connection, request, self.budget.price_margin, simulated=simulated)
        row = new_row(connection, request, origin, simulated=simulated, namespace=f"{self._namespace} {kind}")
        day = row["created_at"][:10]
        commit(connection, self.budget, kind=kind, run_id=origin.run_id, day=day, microusd=reserved)
        self._refuse_if_at_limit(connection, simulated=simulated)
        row |= {"reserved_microusd": reserved, "owner": owner}
        return task_of(transitions.reserved(connection, row, self.lease_s))

    def _refuse_if_at_limit(self, connection: sa.Connection, *, simulated: bool) -> None:
        """Counts after the sums were changed: their rows let one transaction at a time come here."""
        if self._max_in_flight is None:
            return
        if in_flight(connection, simulated=simulated) >= self._max_in_flight:
            raise ConcurrencyLimitError(self._max_in_flight)

    def _joined(self, connection: sa.Connection, row: sa.RowMapping, owner: str, asked_at: Instant) -> Claim:
        if row["state"] == TaskState.STORED:
            return Claim(task_of(row), "stored", asked_at)
        is_mine = is_taken(connection, row, owner, lease_s=self.lease_s)
        return Claim(task_of(row), "resumed" if is_mine else "locked", asked_at)

    def _end(
        self,
        task_uuid: str,
        state: TaskState,
        fault: ApiFault,
        *,
        from_states: Sequence[TaskState] = _UNSETTLED,
        owner: str | None,
    ) -> None:
        with self._transaction() as connection:
            row = _held(transitions.found(connection, task_uuid), owner)
            if TaskState(row["state"]) not in from_states:
                return
            changes: dict[str, Any] = {"error_code": fault.code, "error_message": fault.message[:2000], "owner": None}
            if state == TaskState.REJECTED:
                self._correct(connection, row, -row["reserved_microusd"])
                changes["reserved_microusd"] = 0
            transitions.changed(connection, task_uuid, state=state, finished_at=NOW_ISO, **changes)
            webhook_hints.forget(connection, task_uuid)

    def _correct(self, connection: sa.Connection, row: sa.RowMapping, microusd: int) -> None:
        if microusd == 0:
            return  # All processes wait for the sums, so that they are left alone where a task cost what was reserved.
        kind, day = money_kind(row["is_simulated"]), row["created_at"][:10]
        correct(connection, kind=kind, run_id=row["run_id"], day=day, microusd=microusd)


def _held(row: sa.RowMapping, owner: str | None) -> sa.RowMapping:
    """A task that its owner still holds, or that is not open any more; raises `LeaseExpiredError`."""
    if owner is not None and TaskState(row["state"]) in OPEN_STATES and row["owner"] != owner:
        raise LeaseExpiredError(row["task_uuid"])
    return row
