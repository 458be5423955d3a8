"""The check `estimates` of a report of costs: whether tasks cost what was estimated before they were submitted."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import dagster as dg

from wan_assets.ledger import RECENT_TASKS, KindCosts
from wan_assets.models import MODELS_VARIABLE, usd

ESTIMATES_CHECK = "estimates"
_SHOWN = 5
_NOTHING = Decimal(0)
_DESCRIPTION = (
    f"The latest {RECENT_TASKS} tasks of each kind of request cost their list price, within the margin that is "
    "reserved above it."
)
_WHAT_TO_DO = (
    "Compare with the provider's prices. If they have changed, correct [price] in a description of the model in the "
    f"folder that {MODELS_VARIABLE} names; if the difference is acceptable, set LedgerResource(price_margin=…)."
)


def estimates_check_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Returns the spec of the check."""
    return dg.AssetCheckSpec(ESTIMATES_CHECK, asset=asset, description=_DESCRIPTION)


def estimates_check(asset: dg.AssetKey, kinds: Sequence[KindCosts]) -> dg.AssetCheckResult:
    """Evaluates the recent costs of all kinds of requests; it passes if none is known."""
    compared = [kind for kind in kinds if kind.compared]
    drifted = [kind for kind in compared if kind.has_drifted]
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=ESTIMATES_CHECK,
        passed=not drifted,
        severity=dg.AssetCheckSeverity.WARN,
        description=_drift_of(drifted) if drifted else _agreement_of(compared),
        metadata={
            "wan_assets/checked": len(compared),
            "wan_assets/not_measured": len(kinds) - len(compared),
            "wan_assets/drifted": len(drifted),
        },
    )


def _agreement_of(compared: Sequence[KindCosts]) -> str:
    if not compared:
        return "No cost can be compared yet: no task with a list price has a known cost."
    kinds = "1 kind of request costs" if len(compared) == 1 else f"{len(compared)} kinds of requests cost"
    return f"{kinds} what was estimated."


def _drift_of(drifted: Sequence[KindCosts]) -> str:
    worst = sorted(drifted, key=lambda kind: abs(kind.deviation or _NOTHING), reverse=True)
    described = [_described(kind) for kind in worst[:_SHOWN]]
    more = [f"and {len(worst) - _SHOWN} more"] if len(worst) > _SHOWN else []
    return f"{'; '.join([*described, *more])}. {_WHAT_TO_DO}"


def _described(kind: KindCosts) -> str:
    tasks = "1 task" if kind.compared == 1 else f"{kind.compared} tasks"
    simulated = " on the simulator" if kind.is_simulated else ""
    amounts = f"${usd(kind.cost_microusd):.4f} instead of ${usd(kind.estimated_microusd):.4f}"
    return (
        f"{kind.kind}{simulated}: {tasks} cost {amounts} ({kind.deviation or _NOTHING:+.1%}, margin {kind.margin:.1%})"
    )
