"""The check `budgets` of the report of costs: whether a budget is exhausted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

from wan_assets.errors import budget_name
from wan_assets.ledger import BudgetState, Ledger
from wan_assets.models import usd
from wan_assets.orchestration.metadata.video import table_of

BUDGET_CHECK = "budgets"
VIDEOS = "wan_assets/videos"
"""The metadata key of the check's spec that names the videos whose costs the asset reports."""

_DESCRIPTION = "No budget is exhausted in its present period. Budgets of single runs are not included."
_SHOWN = 5
_ALL = 100


def budget_check_spec(costs: dg.AssetKey, videos: dg.AssetKey) -> dg.AssetCheckSpec:
    """Returns the spec of the check."""
    metadata = {VIDEOS: videos.to_user_string()}
    return dg.AssetCheckSpec(BUDGET_CHECK, asset=costs, description=_DESCRIPTION, metadata=metadata)


def budget_check(costs: dg.AssetKey, ledger: Ledger) -> dg.AssetCheckEvaluation:
    """Evaluates the budgets of a ledger, for real money and for simulated money."""
    states = _states_of(ledger)
    exhausted = ledger.exhausted_budgets(states)
    return dg.AssetCheckEvaluation(
        asset_key=costs,
        check_name=BUDGET_CHECK,
        passed=not exhausted,
        severity=dg.AssetCheckSeverity.WARN,
        description=_described(states, exhausted),
        metadata=_metadata(states, exhausted),
    )


def budget_check_result(costs: dg.AssetKey, ledger: Ledger) -> dg.AssetCheckResult:
    """Evaluates the budgets of a ledger in the step that materializes the report."""
    found = budget_check(costs, ledger)
    return dg.AssetCheckResult(
        check_name=found.check_name,
        passed=found.passed,
        severity=found.severity,
        description=found.description,
        metadata=found.metadata,
    )


def _states_of(ledger: Ledger) -> list[BudgetState]:
    """Returns the sums of each budget that count: those of real and of simulated money that are not 0. A budget without
    either is of simulated money if all other sums are.
    """
    real, simulated = (ledger.budget_states("", simulated=each) for each in (False, True))
    has_real, has_simulated = (any(state.committed_microusd for state in states) for states in (real, simulated))
    unspent = 1 if has_simulated and not has_real else 0
    both = zip(real, simulated, strict=True)
    spent = ([state for state in pair if state.committed_microusd] or [pair[unspent]] for pair in both)
    return [state for states in spent for state in states if state.counter.per != "run"]


def _described(states: Sequence[BudgetState], exhausted: Sequence[BudgetState]) -> str:
    if not states:
        return "There is no budget."
    fullest = sorted(exhausted or states, key=_percent, reverse=True)
    more = f"; and {len(fullest) - _SHOWN} more" if len(fullest) > _SHOWN else ""
    return "; ".join(map(_sentence, fullest[:_SHOWN])) + more


def _sentence(state: BudgetState) -> str:
    amounts = f"${usd(state.committed_microusd):.2f} of ${usd(state.cap_microusd):.2f}"
    reset = f", resets at {state.resets_at:%Y-%m-%d %H:%M %Z}" if state.resets_at else ""
    kind = " (simulated dollars)" if state.is_simulated else ""
    return f"{budget_name(state.label)}: {amounts} ({_percent(state)}%){kind}{reset}"


def _percent(state: BudgetState) -> int:
    return state.committed_microusd * _ALL // state.cap_microusd if state.cap_microusd else _ALL


def _metadata(states: Sequence[BudgetState], exhausted: Sequence[BudgetState]) -> dict[str, Any]:
    numbers = {"wan_assets/budgets": len(states), "wan_assets/exhausted_budgets": len(exhausted)}
    if not states:
        return numbers
    fullest = max(map(_percent, states))
    return {**numbers, "wan_assets/max_percent": fullest, "wan_assets/budget_table": table_of(list(map(_row, states)))}


def _row(state: BudgetState) -> dict[str, str]:
    return {
        "budget": state.label,
        "money": "simulated" if state.is_simulated else "real",
        "limit_usd": f"{usd(state.cap_microusd):.2f}",
        "committed_usd": f"{usd(state.committed_microusd):.6f}",
        "left_usd": f"{usd(state.room_microusd):.6f}",
        "percent": str(_percent(state)),
        "resets_at": state.resets_at.isoformat() if state.resets_at else "",
    }
