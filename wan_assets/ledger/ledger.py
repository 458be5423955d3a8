"""Changes the ledger: each method is one transaction and one transition of a task."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import sqlalchemy as sa

from wan_assets.errors import (
    ApiFault,
    BudgetExceededError,
    ConcurrencyLimitError,
    LeaseExpiredError,
    SettlementRefusedError,
)
from wan_assets.ledger import (
    approvals,
    budget_alerts,
    concurrency,
    decisions,
    fingerprints,
    learned_prices,
    partition_records,
    pause,
    run_leases,
    takes,
    transitions,
    unreported_costs,
    upload_cache,
    video_checks,
    webhook_hints,
)
from wan_assets.ledger.amounts import MAX_MICROUSD
from wan_assets.ledger.approvals import Approval
from wan_assets.ledger.budget import BudgetLimit, Budgets, BudgetState
from wan_assets.ledger.budget_alerts import BudgetAlert, Channel
from wan_assets.ledger.budget_scope import Subject
from wan_assets.ledger.budget_sums import subject_of
from wan_assets.ledger.claims import in_flight, is_held, is_taken, latest_row, new_row
from wan_assets.ledger.clock import NOW_ISO, NOW_S
from wan_assets.ledger.concurrency import LearnedLimit, RunNeeds, SharedLimit
from wan_assets.ledger.database import lock_number
from wan_assets.ledger.decisions import Decision, NewDecision
from wan_assets.ledger.lease import Instant
from wan_assets.ledger.partition_records import PartitionRecord
from wan_assets.ledger.queries import LedgerReader
from wan_assets.ledger.records import OPEN_STATES, Claim, Origin, Task, TaskState, money_kind, task_of
from wan_assets.ledger.schema import overcharges, tasks
from wan_assets.ledger.tags_of_runs import record_tags_of_run, tags_of_run
from wan_assets.ledger.transitions import Results
from wan_assets.ledger.video_checks import CheckRecord
from wan_assets.models import VideoRequest, usd

_UNSETTLED = (TaskState.SUBMITTED, TaskState.LOST)


class Ledger(LedgerReader):
    """The tasks and amounts of one database. Blocking; safe for threads and processes.

    `namespace` separates ledgers that share an account but not their videos. `max_in_flight` limits the tasks of all
    runs together, on all machines. `clock` returns seconds since 1970; Postgres uses its own clock for all hosts.

    A method with an `owner` raises `LeaseExpiredError`, and writes nothing, if the task is open and another owner has
    its lease. Without an owner it always writes.
    """

    def __init__(
        self,
        url: str,
        budgets: Budgets | None = None,
        *,
        max_in_flight: int | None = None,
        namespace: str = "wan-assets",
        lease_s: float = 45.0,
        busy_s: float = 30.0,
        must_exist: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(url, budgets or Budgets(), busy_s=busy_s, must_exist=must_exist, clock=clock)
        self.lease_s = lease_s
        self._max_in_flight = max_in_flight
        self._namespace = namespace

    def claim(
        self, request: VideoRequest, origin: Origin, owner: str, *, simulated: bool, instead_of: str = ""
    ) -> Claim:
        """Assigns the current task of a request to `owner`, and reserves money if the task is new.

        A request gets a new task if all its earlier tasks failed or were rejected, if it has no task under the
        requested purchase, or if its latest task is the lost task that `instead_of` names. Raises, without writing,
        `BudgetExceededError` if the reservation does not fit, `ConcurrencyLimitError` if too many tasks are in flight,
        `PausedError` if the ledger is paused, `ModelEndedError` if the model has ended, and `NotApprovedError` if the
        task needs a draft that is not approved.
        """
        fingerprint, requested_at = request.fingerprint(), Instant.now()
        with self._transaction() as connection:
            lock_number(connection, int.from_bytes(bytes.fromhex(fingerprint[:16]), signed=True))
            if origin.take > 1:
                takes.record(connection, origin.row_fingerprint, origin.take, fingerprint, simulated=simulated)
            latest = latest_row(connection, fingerprint, origin.purchase, simulated=simulated)
            if latest is not None and latest["task_uuid"] != instead_of:
                joined = self._joined(connection, latest, owner, requested_at)
                return _needing(connection, joined, origin.approval)
            return Claim(
                self._insert(connection, request, origin, owner=owner, simulated=simulated), "new", requested_at
            )

    def refuse_unless_wanted(self, task_uuid: str) -> None:
        """Raises `NotApprovedError` if a task needs a draft that is not approved now, and `UnwantedTakeError` for a
        take that no decision asks for. Records the decision that approves the draft.
        """
        with self._transaction() as connection:
            row = transitions.found(connection, task_uuid)
            if row["take"] > 1:
                takes.refuse_unwanted(connection, row["fingerprint"], simulated=row["is_simulated"])
            if row["approval"]:
                approval = Approval.of_text(row["approval"])
                checked = approvals.refuse_unless_approved(connection, approval, simulated=row["is_simulated"])
                transitions.changed(connection, task_uuid, approval=checked.as_text())

    def decide(self, new: Sequence[NewDecision]) -> list[Decision]:
        """Records decisions about videos in one transaction, in their order, and returns them.

        A decision of a policy about a video that a person has decided about is not recorded. Raises `DecisionError`,
        and records nothing, for a video that is not a current one of the ledger.
        """
        with self._transaction() as connection:
            approvals.lock_decisions(connection)
            takes.refuse_unknown(connection, [each.video for each in new])
            return decisions.record(connection, decisions.without_overriding(connection, new))

    def rename(self, present: Mapping[str, str]) -> None:
        """Updates tasks of an older release to present fingerprints, given by their former ones."""
        with self._transaction() as connection:
            fingerprints.rename(connection, present)

    def take(self, task_uuid: str, owner: str) -> Claim:
        """Assigns one task to `owner`, unless another process works on it."""
        requested_at = Instant.now()
        with self._transaction() as connection:
            return self._joined(connection, transitions.found(connection, task_uuid), owner, requested_at)

    def room_microusd(self, origin: Origin, *, simulated: bool) -> int | None:
        """Returns the amount in µ$ that the tightest budget of a run's asset permits; None if there is no budget."""
        with self._transaction() as connection:
            run_tags = origin.run_tags or tags_of_run(connection, origin.run_id)
            subject = Subject(origin.run_id, origin.asset, run_tags=run_tags)
            states = self._sums.states(connection, origin.run_id, kind=money_kind(simulated), subject=subject)
            return min((state.room_microusd for state in states), default=None)

    def count_again(self, task_uuid: str) -> None:
        """Lets a reserved task count in the present periods of all budgets, before it is submitted.

        Raises `BudgetExceededError` if it does not fit there, or if a budget was lowered below what is spent or
        reserved.
        """
        with self._transaction() as connection:
            row = transitions.found(connection, task_uuid)
            if row["state"] != TaskState.RESERVED:
                return
            moment = self._sums.now(connection)
            subject, kind = subject_of(connection, row, moment.registered), money_kind(row["is_simulated"])
            before, reserved = row["counted_at"] or row["created_at"], row["reserved_microusd"]
            self._sums.count_again(connection, subject, before, moment, kind=kind, microusd=reserved)
            if before != moment.at:
                transitions.changed(connection, task_uuid, counted_at=moment.at)

    def set_budget(self, limit: BudgetLimit) -> None:
        """Records a budget for all processes of the ledger from their next reservation on.

        It replaces the budgets of the same scope, period and time zone in their configurations.
        """
        with self._transaction() as connection:
            self._sums.set_limit(connection, limit.counter, limit.microusd, limit.alert_at)

    def unset_budget(self, limit: BudgetLimit) -> None:
        """Removes a budget that the ledger records; the amount of `limit` does not matter."""
        with self._transaction() as connection:
            self._sums.set_limit(connection, limit.counter, None)

    def record_refusal(self, refused: BudgetExceededError, run_id: str, asset: str = "-") -> None:
        """Records the alert of an exhausted budget, after a run has given up a row that the budget refused.

        A refusal alone records nothing: the row may still fit after other rows have released their reservations.
        """
        state = refused.state
        if isinstance(state, BudgetState) and state.alert_at:
            subject, percents = Subject(run_id, asset), (budget_alerts.EXHAUSTED,)
            with self._transaction() as connection:
                budget_alerts.record(connection, state, percents, subject, has_skipped_rows=True)

    def take_alerts(self, channel: Channel, owner: str, run_id: str = "") -> list[BudgetAlert]:
        """Returns the alerts of budgets that `owner` has to deliver now, oldest first; it then marks them as delivered.

        Each channel gets an alert from one process. If that process is killed before it marks the alert, another one
        gets it. With a `run_id`, only the alerts of that run, and those of runs that were probably killed, are
        returned.
        """
        with self._transaction() as connection:
            return budget_alerts.take(connection, channel, owner, run_id)

    def mark_alerts_delivered(self, channel: Channel, keys: Collection[str]) -> None:
        """Records that a channel has got alerts."""
        with self._transaction() as connection:
            budget_alerts.mark_delivered(connection, channel, keys)

    def release_alerts(self, channel: Channel, keys: Collection[str], owner: str) -> None:
        """Lets any process deliver alerts that an owner could not deliver."""
        with self._transaction() as connection:
            budget_alerts.release(connection, channel, keys, owner)

    def record_run_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Records the tags of a run, which budgets and reports use."""
        with self._transaction() as connection:
            record_tags_of_run(connection, run_id, tags)

    def pause(self, why: str | None) -> None:
        """Stops all submissions for a reason; None resumes them. Tasks in flight complete."""
        with self._transaction() as connection:
            pause.switch(connection, why)

    def mark_submitted(self, task_uuid: str, run_id: str = "-") -> None:
        """Records that the API has the task, which a run submitted.

        This is valid for any owner of the lease, and prevents that another process submits the task again.
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
        """Records the results and their costs in µ$; a cost of None keeps the share of that result reserved.

        `costs` has one entry for each requested result, including failed ones. The run that records a cost also reports
        it.
        """
        with self._transaction() as connection:
            row = _held(transitions.found(connection, task_uuid), owner)
            if TaskState(row["state"]) in _UNSETTLED:
                money = self._settled(connection, row, costs)
                row = transitions.delivered(connection, task_uuid, results, run_id=run_id, **money)
                webhook_hints.forget(connection, task_uuid)
            return task_of(row)

    def _settled(self, connection: sa.Connection, row: sa.RowMapping, costs: Sequence[int | None]) -> dict[str, int]:
        """Corrects the sums by the cost of a task, learns its price, and records an overcharge."""
        reserved = row["reserved_microusd"]
        known = [cost for cost in costs if cost is not None]
        cost, held = sum(known), reserved // max(1, row["number_results"]) * (len(costs) - len(known))
        self._correct(connection, row, cost + held - reserved)
        if len(known) == len(costs):
            request = VideoRequest.from_record(json.loads(row["request"]))
            learned_prices.learn(connection, request, cost, simulated=row["is_simulated"])
        if (excess := cost + held - reserved) > 0:
            over = {"reserved_microusd": reserved, "excess_microusd": excess}
            connection.execute(overcharges.insert().values(task_uuid=row["task_uuid"], **over))
        return {"cost_microusd": cost, "reserved_microusd": held}

    def mark_stored(self, task_uuid: str, results: Results, *, owner: str | None = None) -> bool:
        """Records that the videos are in the store, with their details; returns whether they are new."""
        with self._transaction() as connection:
            if is_new := transitions.stored(connection, task_uuid, results, before=TaskState.DELIVERED, owner=owner):
                unreported_costs.add(connection, task_uuid)
            elif not transitions.stored(connection, task_uuid, results, before=TaskState.STORED):
                _held(transitions.found(connection, task_uuid), owner)
            return is_new

    def mark_failed(self, task_uuid: str, fault: ApiFault, *, owner: str | None = None) -> None:
        """Records that the API accepted the task but did not finish it: its cost is unknown and stays reserved."""
        self._end(task_uuid, TaskState.FAILED, fault, owner=owner)

    def mark_lost(self, task_uuid: str, fault: ApiFault, *, owner: str | None = None) -> None:
        """Records that the API does not know a task that it may have accepted: the task stays reserved and can be
        resumed.
        """
        self._end(task_uuid, TaskState.LOST, fault, from_states=(TaskState.RESERVED, *_UNSETTLED), owner=owner)

    def release(self, task_uuid: str, fault: ApiFault, *, owner: str | None = None) -> None:
        """Records that the API never accepted the task: its reservation is released."""
        self._end(task_uuid, TaskState.REJECTED, fault, from_states=(TaskState.RESERVED,), owner=owner)

    def record_cost(self, task_uuid: str, cost_microusd: int) -> Task:
        """Records the total cost of an ended task, as found out by a person.

        A lost task, and a delivered task without files, becomes failed. Raises `SettlementRefusedError` if the task
        still runs, if a process works on it, if it is stored at a known cost, if it is not in the ledger, or if the
        cost is implausible.
        """
        with self._transaction() as connection:
            row = transitions.found(
                connection, task_uuid, SettlementRefusedError(f"task {task_uuid} is not in the ledger")
            )
            task = task_of(row)
            if cost_microusd > MAX_MICROUSD * task.number_results:
                raise SettlementRefusedError(
                    f"task {task_uuid} cannot have cost ${usd(cost_microusd)}: the amount is implausible"
                )
            is_given_up = task.is_lost or task.state is TaskState.DELIVERED
            if task.state is TaskState.DELIVERED and is_held(connection, task_uuid):
                raise SettlementRefusedError(f"a process still works on task {task_uuid}: wait until its run ends")
            if not (is_given_up or task.is_cost_unknown):
                raise SettlementRefusedError(f"task {task_uuid} is {task.state}, and its cost cannot be settled")
            self._correct(connection, row, cost_microusd - task.committed_microusd)
            state = TaskState.FAILED if is_given_up else task.state
            known = {"cost_microusd": cost_microusd, "reserved_microusd": 0}
            return task_of(transitions.changed(connection, task_uuid, state=state, **known))

    def release_unknown(self, days: Collection[date], *, simulated: bool) -> list[Task]:
        """Records that tasks of unknown cost, submitted on given UTC days, cost only the known part; returns them as
        they were.
        """
        released = [
            task
            for task in self.unknown_costs()
            if task.is_simulated == simulated and date.fromisoformat(task.day) in days
        ]
        for task in released:
            self.record_cost(task.task_uuid, task.cost_microusd)
        return released

    def note_error(self, task_uuid: str, fault: ApiFault, *, owner: str | None = None) -> None:
        """Records the last error of a task whose state does not change."""
        with self._transaction() as connection:
            _held(transitions.found(connection, task_uuid), owner)
            transitions.changed(connection, task_uuid, error_code=fault.code, error_message=fault.message)

    def begin(self, run_id: str, owner: str) -> None:
        """Records that an owner works for a run until it ends; `lost_runs` reports a run whose owner was killed."""
        with self._transaction() as connection:
            run_leases.begin(connection, run_id, owner, lease_s=self.lease_s)

    def renew(self, owner: str) -> None:
        """Extends an owner's leases on its run and on all tasks that it works on."""
        with self._transaction() as connection:
            run_leases.renew(connection, owner, lease_s=self.lease_s)
            connection.execute(tasks.update().where(tasks.c.owner == owner).values(lease_until=NOW_S + self.lease_s))

    def release_leases(self, owner: str, task_uuid: str | None = None) -> None:
        """Releases one or all of an owner's tasks, so that others may take them at once; all of them when the owner
        ends.
        """
        with self._transaction() as connection:
            if not task_uuid:
                run_leases.end(connection, owner)
            change = tasks.update().where(tasks.c.owner == owner).values(owner=None, lease_until=None)
            connection.execute(change.where(tasks.c.task_uuid == task_uuid) if task_uuid else change)

    def forget_run(self, run_id: str) -> None:
        """Records that a lost run was handled."""
        with self._transaction() as connection:
            run_leases.forget(connection, run_id)

    def share_limit(
        self, account: str, needs: RunNeeds, learned: LearnedLimit | None, *, simulated: bool
    ) -> SharedLimit:
        """Exchanges the needs and the learned concurrency limit of a run with the other runs of its account."""
        with self._transaction() as connection:
            return concurrency.exchange(connection, account, needs, learned, simulated=simulated)

    def leave_limit(self, account: str, owner: str, learned: LearnedLimit | None) -> None:
        """Ends a run's share in the concurrency limit, and keeps what it has learned."""
        with self._transaction() as connection:
            concurrency.leave(connection, account, owner, learned)

    def remember_upload(self, reference: str, base_url: str, media_uuid: str) -> None:
        """Records the API's UUID of a local file."""
        with self._transaction() as connection:
            upload_cache.remember(connection, reference, base_url, media_uuid, now=self._clock())

    def forget_upload(self, reference: str, base_url: str) -> None:
        """Deletes the API's UUID of a local file that the API has deleted."""
        with self._transaction() as connection:
            upload_cache.forget(connection, reference, base_url)

    def mark_reported(self, task_uuids: Sequence[str]) -> None:
        """Records that events have reported the costs of some tasks."""
        with self._transaction() as connection:
            unreported_costs.mark(connection, task_uuids)

    def record_partitions(self, asset: str, records: Mapping[str, PartitionRecord]) -> None:
        """Replaces the rows that some partitions of an asset consist of."""
        with self._transaction() as connection:
            partition_records.record(connection, asset, records)

    def record_checks(self, records: Iterable[CheckRecord]) -> None:
        """Records results of checks that users define; a newer result replaces an older one."""
        with self._transaction() as connection:
            video_checks.record(connection, records)

    def add_hints(self, task_uuids: Collection[str]) -> set[str]:
        """Records that some tasks should be polled now; returns the tasks that this ledger knows.

        Nothing is recorded for tasks that the ledger does not know, or that no run can be waiting for.
        """
        with self._transaction() as connection:
            return webhook_hints.add(connection, task_uuids, now=self._clock())

    def take_hints(self, task_uuids: Collection[str]) -> set[str]:
        """Returns which of some tasks should be polled now; each hint is returned once."""
        with self._transaction() as connection:
            return webhook_hints.take(connection, task_uuids)

    def _insert(
        self, connection: sa.Connection, request: VideoRequest, origin: Origin, *, owner: str, simulated: bool
    ) -> Task:
        kind = money_kind(simulated)
        if origin.approval:
            approvals.refuse_unless_approved(connection, Approval.of_text(origin.approval), simulated=simulated)
        reserved = learned_prices.quoted_microusd(connection, request, self.budgets.price_margin, simulated=simulated)
        row = new_row(connection, request, origin, simulated=simulated, namespace=f"{self._namespace} {kind}")
        moment = self._sums.now(connection)
        subject = subject_of(connection, row, moment.registered)
        self._sums.commit(connection, subject, moment, kind=kind, microusd=reserved)
        self._refuse_if_at_limit(connection, simulated=simulated)
        row |= {"reserved_microusd": reserved, "owner": owner, "counted_at": moment.at}
        return task_of(transitions.reserved(connection, row, self.lease_s))

    def _refuse_if_at_limit(self, connection: sa.Connection, *, simulated: bool) -> None:
        """Counts after the sums were changed, because the locks on their rows admit one transaction at a time."""
        if self._max_in_flight is None:
            return
        if in_flight(connection, simulated=simulated) >= self._max_in_flight:
            raise ConcurrencyLimitError(self._max_in_flight)

    def _joined(self, connection: sa.Connection, row: sa.RowMapping, owner: str, requested_at: Instant) -> Claim:
        if row["state"] == TaskState.STORED:
            return Claim(task_of(row), "stored", requested_at)
        is_mine = is_taken(connection, row, owner, lease_s=self.lease_s)
        return Claim(task_of(row), "resumed" if is_mine else "locked", requested_at)

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
            return  # All processes wait for the rows of the sums, so they are not locked without need.
        moment = self._sums.now(connection)
        subject, kind = subject_of(connection, row, moment.registered), money_kind(row["is_simulated"])
        counted_at = row["counted_at"] or row["created_at"]
        self._sums.correct(connection, subject, counted_at, moment, kind=kind, microusd=microusd)


def _needing(connection: sa.Connection, claim: Claim, approval: str | None) -> Claim:
    """Returns a claim of a task that may have to be submitted, and that needs the draft of the row that claims it now.

    Another row with the same request, which needed another draft or none, may have reserved the task.
    """
    if claim.status != "resumed" or claim.task.state is not TaskState.RESERVED:
        return claim
    if approvals.needed_video(claim.task.origin.approval) == approvals.needed_video(approval):
        return claim
    changed = transitions.changed(connection, claim.task.task_uuid, approval=approval)
    return replace(claim, task=task_of(changed))


def _held(row: sa.RowMapping, owner: str | None) -> sa.RowMapping:
    """Returns a task that its owner still holds, or that is not open any more; raises `LeaseExpiredError`."""
    if owner is not None and TaskState(row["state"]) in OPEN_STATES and row["owner"] != owner:
        raise LeaseExpiredError(row["task_uuid"])
    return row
