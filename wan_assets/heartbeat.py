"""A run that lives says so: it renews its lease in the ledger from before its table is read until its last event."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from wan_assets.errors import LedgerError
from wan_assets.ledger import Ledger
from wan_assets.processes import new_owner


@contextmanager
def heartbeat(ledger: Ledger, run_id: str) -> Iterator[None]:
    """Renews a run's lease while the block lasts; one that is killed in it is found by `lost_runs`.

    A thread of its own does so: a large table, a busy loop and many events take longer than a lease. Raises
    `LedgerError` where the ledger cannot be used at first; later on it may be away for less than a lease.
    """
    owner, is_over = new_owner(), threading.Event()
    ledger.begin(run_id, owner)
    thread = threading.Thread(target=_beat, args=(ledger, owner, is_over), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        with suppress(LedgerError):
            ledger.let_go(owner)


def _beat(ledger: Ledger, owner: str, is_over: threading.Event) -> None:
    while not is_over.wait(ledger.lease_s / 4):
        with suppress(LedgerError):
            ledger.renew(owner)
