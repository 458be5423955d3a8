"""A run's slot in Dagster's pool: waits with messages, reacts to signals, and frees the slot when the run ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import dagster as dg

from wan_assets.cli.signals import StopRequest
from wan_assets.errors import LedgerError
from wan_assets.ledger import Ledger, is_surely_dead
from wan_assets.orchestration import POOL

PROCESS_TAG = "wan_assets/process"
"""The run tag that identifies the run's process, so that other processes can check whether it is alive."""

_CHECK_INTERVAL_S = 1.0
_REPEAT_NOTE_S = 60.0
_UNKNOWN_FOR_S = 5.0
"""Seconds for which a run may hold its slot before Dagster knows the run."""


@dataclass
class PoolSlot:
    """One run's slot; `note` is called with a message while the run waits."""

    instance: dg.DagsterInstance
    ledger: Ledger
    run_id: str
    step: str
    note: Callable[[str], None]
    _unknown_since: dict[str, float] = field(default_factory=dict)
    _last_note: tuple[str, float] = ("", 0.0)

    @contextmanager
    def held(self, stop: StopRequest) -> Iterator[None]:
        """Holds the slot during the block; `stop` ends the wait. Dagster then finds the slot claimed."""
        try:
            if self._is_limited():
                self._wait(stop)
            yield
        finally:
            self.free()

    def free(self) -> None:
        """Frees the slot that the run holds or waits for."""
        self.instance.event_log_storage.free_concurrency_slots_for_run(self.run_id)

    def _is_limited(self) -> bool:
        """Whether the pool limits steps, which Dagster waits for; a limit on runs applies to Dagster's queue only."""
        events = self.instance.event_log_storage
        if not events.supports_global_concurrency_limits:
            return False
        settings = events.get_pool_config()
        if settings.pool_granularity is not None and settings.pool_granularity.value == "run":
            return False
        if settings.default_pool_limit is not None:
            events.initialize_concurrency_limit_to_default(POOL)
        return any(pool.name == POOL for pool in events.get_pool_limits())

    def _wait(self, stop: StopRequest) -> None:
        events = self.instance.event_log_storage
        while not events.claim_concurrency_slot(POOL, self.run_id, self.step, 0).is_claimed:
            if not self._has_freed_stale():
                self._note_once(self._waited_for())
                self._pause(stop)
            stop.check()

    def _pause(self, stop: StopRequest) -> None:
        until = time.monotonic() + _CHECK_INTERVAL_S
        while time.monotonic() < until:
            stop.check()
            time.sleep(0.1)

    def _has_freed_stale(self) -> bool:
        """Frees the slots of runs that have ended or whose process is dead; returns whether there were any."""
        holders = self.instance.event_log_storage.get_concurrency_info(POOL).active_run_ids - {self.run_id}
        stale = [run_id for run_id in sorted(holders) if self._is_stale(run_id)]
        for run_id in stale:
            self._report_failed(run_id)
            self.instance.event_log_storage.free_concurrency_slots_for_run(run_id)
            self.note(f"freed the slot of pool {POOL} of run {run_id}, which has ended")
        return bool(stale)

    def _is_stale(self, run_id: str) -> bool:
        run = self.instance.get_run_by_id(run_id)
        at_work, lost = self._runs_in_ledger()
        if run_id in at_work:
            return False
        if run_id in lost or (run is not None and run.is_finished):
            return True
        if run is not None:
            return is_surely_dead(run.tags.get(PROCESS_TAG, ""))
        return time.monotonic() - self._unknown_since.setdefault(run_id, time.monotonic()) >= _UNKNOWN_FOR_S

    def _runs_in_ledger(self) -> tuple[set[str], set[str]]:
        """Returns the runs with a live process, and the runs whose process ended without reporting."""
        with suppress(LedgerError):
            return self.ledger.runs_at_work(), set(self.ledger.lost_runs())
        return set(), set()

    def _report_failed(self, run_id: str) -> None:
        """Reports the failure of a run that Dagster still considers running."""
        run = self.instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            self.instance.report_run_failed(run, f"run {run_id}: its process ended without reporting")

    def _waited_for(self) -> str:
        info = self.instance.event_log_storage.get_concurrency_info(POOL)
        if not info.slot_count:
            return (
                f"waiting: pool {POOL} has the limit 0; `dagster instance concurrency set {POOL} 1` lets one run start"
            )
        holders = (
            ", ".join(map(self._described, sorted(info.active_run_ids))) or "no run; other runs are first in the queue"
        )
        return f"waiting for a slot of pool {POOL} (limit {info.slot_count}), held by {holders}"

    def _described(self, run_id: str) -> str:
        run = self.instance.get_run_by_id(run_id)
        if run is None:
            return f"run {run_id} (unknown to Dagster)"
        process = run.tags.get(PROCESS_TAG, "").split(".")
        where = f", process {process[-2]}" if len(process) > 2 else ""
        return f"run {run_id} ({run.status.value}{where})"

    def _note_once(self, text: str) -> None:
        last, at = self._last_note
        if last != text or time.monotonic() - at >= _REPEAT_NOTE_S:
            self.note(f"{text}. Ctrl-C stops waiting; nothing was submitted yet.")
            self._last_note = text, time.monotonic()
