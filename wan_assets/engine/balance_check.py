"""Compares the account's balance with the cost of a run before the run submits a task."""

from __future__ import annotations

from collections.abc import Sequence

from more_itertools import chunked

from wan_assets.client import RunwareClient
from wan_assets.engine.jobs import LOOKUP_BATCH_SIZE, VideoJob
from wan_assets.engine.ledger_session import LedgerSession
from wan_assets.errors import AccessDeniedError, ApiFault


async def refuse_if_balance_too_low(jobs: Sequence[VideoJob], client: RunwareClient, session: LedgerSession) -> None:
    """Raises `AccessDeniedError` if the balance does not cover the rows that must be paid.

    An account that does not state its balance is not refused.
    """
    balance = await client.balance()
    if balance is None:
        return
    needed, rows = 0, 0
    distinct = {job.request.fingerprint(): job.request for job in jobs}
    for some in chunked(distinct.items(), LOOKUP_BATCH_SIZE):
        missing = await session.missing(dict(some))
        needed, rows = needed + await session.quoted_microusd(missing), rows + len(missing)
    if needed > balance * 1_000_000:
        named = "1 row" if rows == 1 else f"{rows} rows"
        message = f"{named} may cost ${needed / 1e6:.4f}, and the balance is ${balance:.4f}: nothing was submitted"
        raise AccessDeniedError(ApiFault("insufficientCredits", message))
