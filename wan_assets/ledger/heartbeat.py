"""Renews an owner's leases while it works; they expire soon after it is killed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from wan_assets.errors import LedgerError
from wan_assets.ledger.lease import Instant, Lease
from wan_assets.ledger.ledger import Ledger
from wan_assets.ledger.processes import new_owner


@contextmanager
def heartbeat(ledger: Ledger, run_id: str) -> Iterator[None]:
    """Keeps a run's lease while the block runs; `lost_runs` reports a run that is killed in the block.

    Raises `LedgerError` if the ledger cannot be used at first. Later, it may be unavailable for less than one lease.
    """
    owner = new_owner()
    ledger.begin(run_id, owner)
    with renewed(ledger, owner):
        yield


@contextmanager
def renewed(ledger: Ledger, owner: str) -> Iterator[Lease]:
    """Renews all leases of an owner while the block runs, and releases them at its end.

    A separate thread renews them, because a large table, a busy loop or many events take longer than a lease.
    """
    is_over, lease = threading.Event(), Lease(ledger.lease_s)
    thread = threading.Thread(target=_beat, args=(ledger, owner, lease, is_over), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        is_over.set()
        thread.join()
        with suppress(LedgerError):
            ledger.release_leases(owner)


def _beat(ledger: Ledger, owner: str, lease: Lease, is_over: threading.Event) -> None:
    while not is_over.wait(ledger.lease_s / 4):
        with suppress(LedgerError):
            started = Instant.now()
            ledger.renew(owner)
            lease.confirm(started, Instant.now())
