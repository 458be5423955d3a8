"""Shares the concurrency limit of an account between its runs, through the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from wan_assets.engine.ledger_session import LedgerSession
from wan_assets.engine.slots import Slots
from wan_assets.errors import LedgerError
from wan_assets.ledger import account_of

_EXCHANGE_S = 1.0


class SharedConcurrency:
    """Exchanges the concurrency limit of one run with the other runs of its account."""

    def __init__(self, session: LedgerSession, slots: Slots, base_url: str) -> None:
        self._session = session
        self.slots = slots
        self._account = account_of(base_url, simulated=session.simulated)
        self._has_joined = False

    @asynccontextmanager
    async def joined_until_end(self) -> AsyncIterator[None]:
        """Takes part in the exchange until the end of the block."""
        try:
            yield
        finally:
            self.slots.close()
            if self._has_joined:
                with suppress(LedgerError):
                    await self._session.leave_limit(self._account, self.slots)

    async def join(self) -> None:
        """Starts with the limit that earlier runs have learned, once. A run that only reuses videos does not need
        it.
        """
        if not self._has_joined:
            self._has_joined = True
            await self.exchange()

    async def run(self) -> None:
        """Exchanges until cancelled."""
        while True:
            await asyncio.sleep(_EXCHANGE_S)
            if self._has_joined and not self.slots.is_quiet:
                await self.exchange()

    async def exchange(self) -> None:
        """Exchanges the needs and the limit once. If the ledger does not answer, only time is lost."""
        with suppress(LedgerError):
            self.slots.apply_shared(await self._session.share_limit(self._account, self.slots))
