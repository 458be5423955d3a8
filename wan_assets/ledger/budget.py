"""Defines budgets: limits in dollars on what counts in a scope and a period, and what is left of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from itertools import starmap
from typing import Annotated, Any, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from wan_assets.errors import BudgetExceededError, PausedError, budget_name, reset_note
from wan_assets.ledger.budget_period import Per, period_of, zone_named
from wan_assets.ledger.budget_scope import (
    FIRST,
    FURTHER,
    MODEL,
    RUN_TAG,
    TAKES,
    Scope,
    Subject,
    conditions_in,
    is_model,
    scope_text,
    unrecorded,
)
from wan_assets.ledger.records import money_kind
from wan_assets.models import VideoRequest, catalog, microusd, usd
from wan_assets.settings import BUDGETS_VARIABLE, Settings, SettingsError, budget_problem

ALERTS = (50, 80, 100)
"""The shares of a budget, in percent, at which an alert is sent by default."""

_SHORT = 16
_PARAMETERS = frozenset(VideoRequest.model_fields) - {MODEL}
"""Names that no column of a row has beside its parameters."""

_ALL = 100


def _is_no_boolean(given: Any) -> Any:
    if isinstance(given, bool):
        raise ValueError("a budget must be a number of dollars")  # noqa: TRY004 - pydantic reports ValueError only
    return given


def _is_budget(given: float | str | None) -> float | str | None:
    """Leaves text unchecked: it is a template of YAML, and the budget with its value is checked."""
    if isinstance(given, (int, float)) and (problem := budget_problem(given)):
        raise ValueError(problem)
    return given


Dollars: TypeAlias = Annotated[float, BeforeValidator(_is_no_boolean), AfterValidator(_is_budget)]
"""The amount of a budget."""

DollarsOrNone: TypeAlias = Annotated[float | None, BeforeValidator(_is_no_boolean), AfterValidator(_is_budget)]
"""The amount of a budget, or None for no limit."""


class BudgetLimit(BaseModel):
    """One limit on spent and reserved money together.

    Every task that fulfils the conditions of `scope` counts, in the period in which it is reserved.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    usd: Dollars = Field(description="The limit in US dollars.")
    per: Per = Field(default="total", description="run, day, week (from Monday), month, or total.")
    scope: dict[str, str] = Field(
        default_factory=dict,
        description="Conditions that must all hold: asset, partition, model, a column of the row such as campaign, or "
        "run_tag:NAME. A * in a value stands for any text. Without a condition, everything counts.",
    )
    time_zone: str = Field(default="UTC", description="The IANA time zone of the periods, such as Europe/Berlin.")
    alert_at: list[int] = Field(
        default_factory=lambda: list(ALERTS), description="Percentages at which an alert is sent once per period."
    )

    @field_validator("scope", mode="before")
    @classmethod
    def _conditions(cls, given: Any) -> Any:
        """Accepts `campaign=fall` too, and several conditions separated by commas."""
        return conditions_in(given) if isinstance(given, str) else {} if given is None else given

    @field_validator("scope")
    @classmethod
    def _are_named(cls, scope: dict[str, str]) -> dict[str, str]:
        scope = {name.strip(): value.strip() for name, value in scope.items()}
        if any(not name or not value or name in (RUN_TAG, RUN_TAG[:-1]) for name, value in scope.items()):
            raise ValueError("each condition needs a name and a value, and a tag of a run is named run_tag:NAME")
        if not all(name.isprintable() and value.isprintable() for name, value in scope.items()):
            raise ValueError("a condition contains a character that cannot be shown")
        if wrong := [name for name in scope if name in _PARAMETERS]:
            raise ValueError(f"{wrong[0]} is a parameter of requests: name asset, partition, model or an extra column")
        if problem := next(filter(None, starmap(unrecorded, scope.items())), ""):
            raise ValueError(f"nothing can fulfil the scope: {problem}")
        if scope.get(TAKES, FIRST) not in (FIRST, FURTHER):
            raise ValueError(f"takes is {FIRST} or {FURTHER}, not {scope[TAKES]!r}")
        if MODEL in scope and not any(is_model(scope[MODEL], model) for model in catalog().models):
            raise ValueError(f"{scope[MODEL]!r} is no known model: {catalog().suggestion}")
        return scope

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return zone_named(name)

    @field_validator("alert_at")
    @classmethod
    def _are_percentages(cls, percentages: list[int]) -> list[int]:
        if wrong := [each for each in percentages if not 1 <= each <= _ALL]:
            raise ValueError(f"{wrong[0]} is not a percentage from 1 to 100")
        return percentages

    @property
    def microusd(self) -> int:
        """The limit in µ$."""
        return microusd(self.usd)

    @property
    def counter(self) -> Counter:
        """What the budget counts."""
        scope = tuple(sorted((name, _id_of(name, value)) for name, value in self.scope.items()))
        return Counter(self.per, scope, self.time_zone if self.per in ("day", "week", "month") else "UTC")


def _id_of(name: str, value: str) -> str:
    """Returns the id of a model that a condition names otherwise, and any other value as it is."""
    return (catalog().id_of(value) or value.lower()) if name == MODEL else value


@dataclass(frozen=True)
class Counter:
    """What a budget counts: tasks of a scope, in each run or period. Budgets with the same counter share its sums."""

    per: Per
    scope: Scope = ()
    time_zone: str = "UTC"

    @cached_property
    def definition(self) -> str:
        """The form in which the ledger records it."""
        return json.dumps([self.per, self.scope, self.time_zone], ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def of_definition(cls, text: str) -> Self:
        """Reads the form in which the ledger records it."""
        per, scope, time_zone = json.loads(text)
        return cls(per, tuple((name, value) for name, value in scope), time_zone)

    @cached_property
    def id(self) -> str:
        """A short text that identifies it in the ledger."""
        return sha256(self.definition.encode()).hexdigest()[:_SHORT]

    def period(self, run_id: str, minute: str) -> str:
        """Returns the run, or the name of the period, in which a minute counts."""
        return run_id if self.per == "run" else period_of(self.per, self.time_zone, minute)

    def sum_name(self, run_id: str, minute: str) -> str:
        """Returns the name of the sum for a run and minute, without the kind of money."""
        period = self.period(run_id, minute)
        if self in STANDARD:
            return "retakes" if self.scope else f"{self.per} {period}".strip()
        return f"{self.id} {period}".strip()

    @property
    def name(self) -> str:
        """The budget's name without a period, such as `month (Europe/Berlin) for campaign=fall`."""
        return "retakes" if self == RETAKES else f"{self.per}{self._suffix}"

    def label(self, run_id: str, minute: str) -> str:
        """Returns the budget's name in messages, such as `month 2026-11 for campaign=fall`."""
        if self in STANDARD:
            return self.sum_name(run_id, minute)
        return f"{self.per} {self.period(run_id, minute)}".strip() + self._suffix

    @property
    def _suffix(self) -> str:
        zone = f" ({self.time_zone})" if self.time_zone != "UTC" else ""
        return zone + (f" for {scope_text(self.scope)}" if self.scope else "")


RETAKES = Counter("total", ((TAKES, FURTHER),))
STANDARD = (RETAKES, Counter("total"), Counter("day"), Counter("run"))
"""The counters whose sums every ledger keeps, from its first task on."""


@dataclass(frozen=True)
class Budgets:
    """All budgets of a process.

    While the real prices of a kind of request are unknown, its list price plus `price_margin`, a share of it, is
    reserved; by default the share that the description of its model states.
    """

    limits: tuple[BudgetLimit, ...] = ()
    price_margin: Decimal | None = None

    @classmethod
    def of(
        cls,
        *,
        per_run: float | Decimal | None = None,
        per_day: float | Decimal | None = None,
        total: float | Decimal | None = None,
        retakes: float | Decimal | None = None,
        limits: Iterable[BudgetLimit] = (),
        price_margin: float | Decimal | None = None,
    ) -> Self:
        """Returns the budgets of the usual amounts in dollars, and of further limits. None means no limit."""
        usual = {"run": per_run, "day": per_day, "total": total}
        short = [BudgetLimit(usd=float(amount), per=per) for per, amount in usual.items() if amount is not None]
        if retakes is not None:
            short.append(BudgetLimit(usd=float(retakes), scope={TAKES: FURTHER}))
        margin = None if price_margin is None else Decimal(str(price_margin))
        return cls((*short, *limits), margin)

    def caps(self) -> dict[Counter, int]:
        """Returns the lowest limit of each counter, in µ$."""
        caps: dict[Counter, int] = {}
        for limit in self.limits:
            caps[limit.counter] = min(limit.microusd, caps.get(limit.counter, limit.microusd))
        return caps

    def alerts(self) -> dict[Counter, frozenset[int]]:
        """Returns the percentages of each counter at which an alert is sent."""
        found: dict[Counter, frozenset[int]] = {}
        for limit in self.limits:
            found[limit.counter] = found.get(limit.counter, frozenset()) | frozenset(limit.alert_at)
        return found


_LIMITS = TypeAdapter(tuple[BudgetLimit, ...])


def budgets_in(text: str) -> tuple[BudgetLimit, ...]:
    """Reads budgets from JSON, as WAN_ASSETS_BUDGETS contains them; raises `SettingsError`.

    >>> [(limit.usd, limit.per) for limit in budgets_in('[{"usd": 500, "per": "month"}, {"usd": 25, "per": "day"}]')]
    [(500.0, 'month'), (25.0, 'day')]
    """
    if not text.strip():
        return ()
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{BUDGETS_VARIABLE} is not JSON: {error}") from None
    if not isinstance(given, (dict, list)):
        raise SettingsError(f'{BUDGETS_VARIABLE} is no list of budgets: write [{{"usd": 500, "per": "month"}}]')
    try:
        return _LIMITS.validate_python([given] if isinstance(given, dict) else given)
    except ValidationError as error:
        raise SettingsError(f"{BUDGETS_VARIABLE}: {_first_problem(error)}") from None


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    number, *names = first["loc"]
    where = "".join(f", {name}" for name in names)
    fields = ", ".join(BudgetLimit.model_fields)
    known = f"; the fields are {fields}" if first["type"] == "extra_forbidden" else ""
    return f"budget {int(number) + 1}{where}: {first['msg'].removeprefix('Value error, ')}{known}"


def budgets_of(settings: Settings) -> Budgets:
    """Returns the budgets of the environment; raises `SettingsError`."""
    limits = budgets_in(settings.budgets)
    return Budgets.of(total=settings.budget_usd, retakes=settings.budget_usd_retakes, limits=limits)


@dataclass(frozen=True)
class BudgetState:
    """One budget with its current sum, in µ$. `resets_at` is the begin of the next period; None if there is none.

    `label` names budget and period for people, and `alert_at` are the percentages at which alerts are sent. `sum_name`
    is the name of the sum, with the kind of money.
    """

    counter: Counter
    label: str
    cap_microusd: int
    committed_microusd: int
    period: str = ""
    resets_at: datetime | None = None
    alert_at: tuple[int, ...] = ALERTS
    sum_name: str = ""

    @property
    def is_simulated(self) -> bool:
        """Whether the sum is of simulated money."""
        return self.sum_name.startswith(f"{money_kind(simulated=True)} ")

    @property
    def is_of_retakes(self) -> bool:
        """Whether the budget limits further takes only."""
        return self.counter == RETAKES

    @property
    def title(self) -> str:
        """The name for people where no run is meant: `each run` instead of the id of one."""
        return f"each {self.counter.name}" if self.counter.per == "run" else self.label

    @property
    def balance_microusd(self) -> int:
        """The limit without what is spent and reserved; negative if that is more, as after the limit was lowered."""
        return self.cap_microusd - self.committed_microusd

    @property
    def room_microusd(self) -> int:
        """The amount that may still be reserved."""
        return max(0, self.balance_microusd)

    def shortfall_microusd(self, needed_microusd: int) -> int:
        """Returns by how much the limit must be raised so that an amount fits; nothing always fits."""
        return max(0, needed_microusd - self.balance_microusd) if needed_microusd else 0

    def refusal(self, requested_microusd: int) -> BudgetExceededError:
        """Returns the error of a reservation that does not fit."""
        amounts = self.cap_microusd, self.committed_microusd, requested_microusd
        return BudgetExceededError(self.label, *amounts, resets_at=self.resets_at, state=self)


@dataclass(frozen=True)
class SkippedRows:
    """Rows that were not submitted for one reason, which is a budget or a pause.

    `scope` names the budget; it is empty for a pause. `shortfall_microusd` is the amount that the budget lacks for all
    of the rows, and `resets_at` the begin of its next period.
    """

    rows: int
    reason: str
    hint: str
    scope: str = ""
    shortfall_microusd: int = 0
    resets_at: datetime | None = None

    def __str__(self) -> str:
        """Returns a sentence for people."""
        return f"{self.rows} {'row' if self.rows == 1 else 'rows'} skipped: {self.reason}"


def skipped_rows_of(errors: Iterable[Exception]) -> list[SkippedRows]:
    """Returns the rows that each budget refused, and those that a pause stopped. Other errors are left out."""
    refused: dict[str, list[BudgetExceededError]] = {}
    paused: dict[str, list[PausedError]] = {}
    for error in errors:
        if isinstance(error, BudgetExceededError):
            refused.setdefault(error.scope, []).append(error)
        elif isinstance(error, PausedError):
            paused.setdefault(str(error), []).append(error)
    return [
        *map(_refused_rows, refused.values()),
        *(SkippedRows(len(those), why, PausedError.hint) for why, those in paused.items()),
    ]


def _refused_rows(refused: list[BudgetExceededError]) -> SkippedRows:
    """Computes the missing amount from the money left at the last refusal of a budget."""
    last, requested = refused[-1], sum(error.requested_microusd for error in refused)
    lacking = requested - (last.cap_microusd - last.committed_microusd)
    them = "it" if len(refused) == 1 else "them"
    reason = f"{budget_name(last.scope)} lacks ${usd(lacking):.4f} for {them}{reset_note(last.resets_at)}"
    return SkippedRows(len(refused), reason, last.hint, last.scope, lacking, last.resets_at)


def counting(counters: Iterable[Counter], subject: Subject) -> Iterator[Counter]:
    """Yields the counters in which a task counts."""
    return (counter for counter in counters if subject.matches(counter.scope))
