"""Estimates of a run: what the ledger has paid already, whether the rest fits the budget, and how long it takes."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

from wan_assets.errors import LedgerError, LedgerMissingError
from wan_assets.ledger import BudgetState, Ledger, RecentDurations, Takes, account_of, budgets_of, is_of_row
from wan_assets.models import Quote, VideoRequest, quote_of
from wan_assets.prompts import PriceList
from wan_assets.settings import MAX_IN_FLIGHT, Settings

_BUSY_S = 5.0
_SIMULATED_S = 1.0
_IN_MEMORY = "sqlite://"
"""An empty ledger, which says what is left of budgets if nothing is spent."""


@dataclass(frozen=True)
class Duration:
    """The expected duration of a run in seconds, with the values that it is computed from.

    `in_flight` is the number of tasks in flight, and `task_s` the time of one task. `limit` and `basis` say where the
    two values come from.
    """

    expected_s: float
    in_flight: int
    task_s: float
    limit: str
    basis: str


@dataclass(frozen=True)
class LedgerState:
    """What the ledger says about the configured account; nothing if there is no ledger yet, or if it is unreadable.

    `paid` are the first 16 bytes of the fingerprints of the requests that have a task. `budgets` are all budgets with
    what is left; those of a run are of a new run. `quote` returns the prices of a request with the recent costs of its
    kind. `unknown_costs` is the number of ended tasks of unknown cost. `takes` returns the takes of rows by their
    fingerprints. `error` is the reason why the ledger cannot be read.
    """

    is_simulated: bool
    budgets: tuple[BudgetState, ...]
    paid: frozenset[bytes] = frozenset()
    recent: RecentDurations | None = None
    learned_limit: int | None = None
    quote: Callable[[VideoRequest], Quote] = quote_of
    unknown_costs: int = 0
    takes: Callable[[Sequence[str]], Mapping[str, Takes]] = lambda _: {}
    error: str = ""

    def prices(self) -> PriceList:
        """Returns a list of prices that knows the requests which are paid already, and recent prices."""
        names = {name for budget in self.budgets for name, _ in budget.counter.scope if is_of_row(name)}
        return PriceList(paid=self.paid, quote=self.quote, tag_names=tuple(sorted(names)))

    def duration(self, prices: PriceList) -> Duration:
        """Returns the expected duration of a run over the requests of a table that have no task yet."""
        in_flight = min(MAX_IN_FLIGHT, self.learned_limit or MAX_IN_FLIGHT)
        limit = "learned by earlier runs" if in_flight < MAX_IN_FLIGHT else "the default"
        task_s = self.recent.median_s if self.recent else _SIMULATED_S if self.is_simulated else prices.typical_s
        measured = f"the median of the latest {self.recent.tasks}" if self.recent else ""
        basis = measured or "an assumption: the ledger has no finished task"
        rounds = math.ceil(prices.new.requests / in_flight)
        return Duration(rounds * task_s, in_flight, task_s, limit, basis)


@contextmanager
def ledger_state(settings: Settings) -> Iterator[LedgerState]:
    """Reads the ledger of the settings, which stays open for the block; does not create one."""
    budgets = budgets_of(settings)
    with Ledger(_IN_MEMORY, budgets) as empty:
        unknown = LedgerState(not settings.is_charged, _budget_states(empty, settings))
    with ExitStack() as stack:
        try:
            ledger = stack.enter_context(Ledger(settings.ledger, budgets, must_exist=True, busy_s=_BUSY_S))
            found = _state_of(ledger, settings)
        except LedgerMissingError:
            found = unknown
        except LedgerError as error:
            found = replace(unknown, error=str(error))
        yield found


def _budget_states(ledger: Ledger, settings: Settings) -> tuple[BudgetState, ...]:
    return tuple(ledger.budget_states(str(uuid.uuid4()), simulated=not settings.is_charged))


def _state_of(ledger: Ledger, settings: Settings) -> LedgerState:
    simulated = not settings.is_charged

    def quote(request: VideoRequest) -> Quote:
        with suppress(LedgerError):
            return ledger.quote(request, simulated=simulated)
        return quote_of(request)

    totals = ledger.totals()
    return LedgerState(
        simulated,
        _budget_states(ledger, settings),
        ledger.requested(simulated=simulated),
        ledger.recent_durations(simulated=simulated),
        ledger.learned_limit(account_of(settings.base_url, simulated=simulated)),
        quote,
        (totals.simulated if simulated else totals.real).unknown,
        partial(ledger.takes, simulated=simulated),
    )
