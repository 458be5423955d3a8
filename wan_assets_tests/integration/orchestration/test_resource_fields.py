"""Fields of resources: a name that does not exist is refused, however the resource is made."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import ValidationError

from wan_assets import LedgerResource, RunwareResource, SimulatedRunwareResource, VideoGenerator, VideoStoreResource
from wan_assets.settings import sqlite_url


@pytest.mark.parametrize(
    ("resource", "fields", "said"),
    [
        (
            LedgerResource,
            {"url": "sqlite://", "budget_usd_per_month": 0},
            "LedgerResource has no field 'budget_usd_per_month'; did you mean 'budget_usd_per_run'?",
        ),
        (
            LedgerResource,
            {"url": "sqlite://", "budgets_usd_total": 0},
            "LedgerResource has no field 'budgets_usd_total'; did you mean 'budget_usd_total'?",
        ),
        (LedgerResource, {"url": "sqlite://", "cap": 1}, "LedgerResource has no field 'cap'; the fields are url, "),
        (RunwareResource, {"max_inflight": 1}, "did you mean 'max_in_flight'?"),
        (SimulatedRunwareResource, {"latency": 1}, "did you mean 'latency_s'?"),
        (VideoStoreResource, {"root": "videos", "picture": False}, "did you mean 'pictures'?"),
        (VideoGenerator, {"ledgr": None}, "did you mean 'ledger'?"),
    ],
)
def test_a_misspelled_field_is_refused_with_the_near_one(resource: Any, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError) as refused:
        resource(**fields)

    assert said in str(refused.value)


def test_the_error_of_a_misspelled_field_shows_no_secret() -> None:
    fields: dict[str, Any] = {"api_key": "a-secret", "max_inflight": 1}
    with pytest.raises(TypeError) as refused:
        RunwareResource(**fields)

    assert "a-secret" not in str(refused.value)


@pytest.mark.parametrize("amount", [True, -1, float("nan"), float("inf"), 0.0000001])
@pytest.mark.parametrize(
    "field", ["budget_usd_per_run", "budget_usd_per_day", "budget_usd_total", "budget_usd_retakes"]
)
def test_an_amount_that_is_no_budget_is_refused(field: str, amount: float) -> None:
    with pytest.raises(ValidationError, match=r"budget (must be|is)"):
        LedgerResource.model_validate({"url": "sqlite://", field: amount})


def test_a_field_that_is_misspelled_for_the_launch_is_refused_before_the_run_pays() -> None:
    @dg.asset
    def spent(ledger: LedgerResource) -> None:
        raise AssertionError(f"the asset runs with {ledger}")

    fields: dict[str, Any] = {"url": "sqlite://", "budgets_usd_total": 0}
    with pytest.raises(dg.DagsterError) as refused:
        dg.materialize([spent], resources={"ledger": LedgerResource.configure_at_launch(**fields)})

    assert "has no field 'budgets_usd_total'" in str(refused.value.__cause__)


def test_fields_from_variables_and_at_launch_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = sqlite_url(tmp_path / "ours.db")
    monkeypatch.setenv("OUR_LEDGER", url)
    given = LedgerResource(url=dg.EnvVar("OUR_LEDGER"), budget_usd_total=5)

    @dg.asset
    def opened(ledger: LedgerResource) -> tuple[str, float | None]:
        return ledger.url, ledger.budget_usd_total

    launched = dg.materialize(
        [opened],
        resources={"ledger": LedgerResource.configure_at_launch(budget_usd_total=5)},
        run_config={"resources": {"ledger": {"config": {"url": url}}}},
    )
    (bound,) = dg.with_resources([opened], {"ledger": given})

    assert launched.output_for_node("opened") == (url, 5.0)
    assert dg.materialize([bound]).output_for_node("opened") == (url, 5.0)
    assert given.process_config_and_initialize().url == url
    with dg.build_init_resource_context() as context:
        assert given.with_replaced_resource_context(context).budget_usd_total == 5
