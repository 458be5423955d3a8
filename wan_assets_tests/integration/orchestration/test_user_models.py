"""A model that a folder describes, from the table to the ledger, through Dagster and the simulator."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from dagster_support import materialized, studio, written
from model_support import described

from wan_assets import PromptTable
from wan_assets.ledger import Ledger
from wan_assets.models import usd
from wan_assets.settings import sqlite_url


@pytest.mark.slow
def test_a_described_model_is_generated_priced_and_booked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    described(tmp_path / "models", "example:dunes@1.0", short_name="dunes")
    monkeypatch.setenv("WAN_ASSETS_MODELS", str(tmp_path / "models"))
    settings = {"settings.camera_motion": "pan", "settings.strength": 5, "settings.loop": True}
    row = {"positive_prompt": "A dune", "model": "dunes", "resolution": "720p"}
    table = written(tmp_path, [{"prompt_id": "a", **row, **settings}, {"prompt_id": "b", **row}])

    with studio(tmp_path) as at:
        result = at.run(str(table))

    assert result.success
    found = materialized(result)
    assert len({each["wan_assets/fingerprint"] for each in found.values() if "wan_assets/fingerprint" in each}) == 2
    assert [found[key]["wan_assets/cost_usd"] for key in "ab"] == [1.85, 1.85]
    with Ledger(sqlite_url(tmp_path / "ledger.db")) as ledger:
        assert usd(ledger.totals().simulated.cost_microusd) == Decimal("3.70")
        tasks = ledger.find_tasks("a")
    sent = PromptTable.load(str(table)).requests[0].to_task(tasks[0].task_uuid)
    assert sent["model"] == "example:dunes@1.0"
    assert sent["providerSettings"] == {"alibaba": {"cameraMotion": "pan", "strength": 5, "loop": True}}
