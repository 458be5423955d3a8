"""The budget as users configure it in resources, in YAML and in run configuration."""

from __future__ import annotations

import dagster as dg

from wan_assets.ledger import BudgetLimit, budgets_in
from wan_assets.settings import Settings


class Budget(dg.Config, dg.Resolvable, BudgetLimit):
    """Limits spent and reserved money together, in a scope and a period.

    Budgets are checked in the transaction that reserves money for a task, before the task is submitted, on every path.
    Several budgets apply together. A task counts in the period in which it is submitted.

    Args:
        usd: The limit in US dollars.
        per: `"run"`, `"day"`, `"week"` (from Monday), `"month"` or `"total"`, by default `"total"`.
        scope: Conditions that must all hold: `asset` (its key, such as `marketing/trailers`), `partition`, `model`, the
            name of a column of the row, such as `campaign` or `x_team`, or `run_tag:NAME`. A `*` in a value stands for
            any text. Without a condition, everything counts. The text `"campaign=fall, model=wan2.6"` is accepted too.
        time_zone: The IANA time zone of the periods, by default `"UTC"`.
        alert_at: The percentages at which an alert is sent once per period, by default 50, 80 and 100.

    Raises:
        pydantic.ValidationError: A value is outside its range, or the time zone is not known.

    Example:
        >>> from wan_assets import Budget
        >>> budget = Budget(usd=500, per="month", scope={"campaign": "fall-*"}, time_zone="Europe/Berlin")
        >>> budget.per, budget.scope
        ('month', {'campaign': 'fall-*'})
    """


def configured_budgets(settings: Settings) -> list[Budget]:
    """Returns the budgets of WAN_ASSETS_BUDGETS; raises `SettingsError`."""
    return [Budget(**limit.model_dump()) for limit in budgets_in(settings.budgets)]
