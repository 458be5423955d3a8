"""The confirmation of a run that charges an account without a budget."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from wan_assets.cli.display import counted, dollars
from wan_assets.cli.estimates import ledger_state
from wan_assets.client import RunwareClient
from wan_assets.engine import Limits
from wan_assets.errors import NotConfirmedError
from wan_assets.ledger import Takes, budgets_of
from wan_assets.models import request_of_take
from wan_assets.prompts import Chunk, PriceList, PromptRow, Summary
from wan_assets.settings import Settings


def confirm_price(rows: Sequence[PromptRow], settings: Settings, *, is_confirmed: bool, limits: Limits) -> None:
    """Asks whether to pay for the rows that have no task yet, and for further takes. Raises `NotConfirmedError` unless
    a person agrees.

    It does not ask with a budget for all rows, on the simulator, for an address on this machine, or if nothing is to be
    paid. Also raises the errors of an address that cannot be used.
    """
    if is_confirmed or not settings.is_charged or _has_budget_for_all(settings):
        return
    new = _prices_of(rows, settings, limits).new
    if not new.requests:
        return
    RunwareClient(settings.api_key, settings.base_url)  # opens no connection; refuses an address before the question
    price, videos = dollars(new.reserved_microusd), counted(new.videos, "video")
    if not sys.stdin.isatty():
        reason = "no budget limits all rows, and there is no terminal for a confirmation"
        raise NotConfirmedError(f"{videos} may cost up to {price}: {reason}")
    if not _agrees(f"Pay up to {price} for {videos}?"):
        raise NotConfirmedError(f"the price of up to {price} for {videos} was not confirmed")


def _has_budget_for_all(settings: Settings) -> bool:
    """Whether a budget limits every row, and not only those of a scope or of each run."""
    return any(not limit.scope and limit.per != "run" for limit in budgets_of(settings).limits)


def _agrees(question: str) -> bool:
    """Asks on standard error, so that `--json` stays valid; the end of the input means no."""
    try:
        return click.confirm(question, err=True)
    except click.Abort as error:
        if isinstance(error.__context__, EOFError):
            return False
        raise


def _prices_of(rows: Sequence[PromptRow], settings: Settings, limits: Limits) -> PriceList:
    """Returns the prices of the different requests of some rows, or of the further takes that a run generates."""
    with ledger_state(settings) as state:
        takes = state.takes([row.fingerprint for row in rows])
        requested = [_next_take(row, takes.get(row.fingerprint), limits) for row in rows]
        return Summary.of([Chunk(requested, (), len(rows))], state.prices()).prices


def _next_take(row: PromptRow, takes: Takes | None, limits: Limits) -> PromptRow:
    number = takes.next_number(limits.max_takes, retakes_rejected=limits.retake_rejected) if takes else 1
    return row._replace(requested=request_of_take(row.request, number)) if number > 1 else row
