"""Who lives says so: an owner's leases are renewed while it works, and end soon after it was killed."""

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
    """Keeps a run's lease while the block lasts; one that is killed in it is found by `lost_runs`.

    Raises `LedgerError` where the ledger cannot be used at first; later on it may be away for less than a lease.
    """
    owner = new_owner()
    ledger.begin(run_id, owner)
    with renewed(ledger, owner):
        yield


@contextmanager
def renewed(ledger: Ledger, owner: str) -> Iterator[Lease]:
    """Renews all leases of an owner while the block lasts, and gives them up at its end.

    A thread of its own does so: a large table, a busy loop and many events take longer than a lease.
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
