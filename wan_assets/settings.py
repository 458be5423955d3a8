"""What the environment configures, and where things lie when it says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DATA_FOLDER = "wan_assets_data"
DEMO_PROMPTS = Path(__file__).parent / "demo" / "prompts.csv"


@dataclass(frozen=True)
class Settings:
    """The configuration of the default code location and of the command line.

    Without an `api_key` the simulator is used. `folder` holds whatever has no place of its own.
    """

    folder: Path
    prompts: Path
    store: str
    ledger: str
    budget_usd: float | None
    api_key: str
    base_url: str | None

    @property
    def is_simulated(self) -> bool:
        """Whether the simulator stands in for the API."""
        return not self.api_key


def settings_from(environment: Mapping[str, str], folder: Path | None = None) -> Settings:
    """Reads RUNWARE_API_KEY, RUNWARE_BASE_URL and WAN_ASSETS_PROMPTS, _STORE, _LEDGER and _BUDGET_USD.

    An explicit `folder` wins over WAN_ASSETS_STORE and WAN_ASSETS_LEDGER. Raises `ValueError` for a budget that is no
    number.
    """
    given = environment.get
    home = (folder or Path(DATA_FOLDER)).absolute()
    places = {} if folder else environment
    budget = given("WAN_ASSETS_BUDGET_USD", "").strip()
    return Settings(
        folder=home,
        prompts=Path(given("WAN_ASSETS_PROMPTS") or DEMO_PROMPTS),
        store=places.get("WAN_ASSETS_STORE") or str(home / "videos"),
        ledger=places.get("WAN_ASSETS_LEDGER") or f"sqlite:///{home / 'ledger.db'}",
        budget_usd=float(budget) if budget else None,
        api_key=given("RUNWARE_API_KEY", "").strip(),
        base_url=given("RUNWARE_BASE_URL") or None,
    )
