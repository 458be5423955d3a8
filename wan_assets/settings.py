"""What the environment configures, and where things lie when it says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wan_assets.errors import WanAssetsError
from wan_assets.paths import escaped, local_path, sqlite_url

PUBLIC_URL = "https://api.runware.ai/v1"
DATA_FOLDER = "wan_assets_data"
LEDGER_URL = "WAN_ASSETS_LEDGER"
WEBHOOK_URL = "WAN_ASSETS_WEBHOOK_URL"
"""Holds a secret: read where it is used, and kept nowhere."""

FILES_PORT = 3070
"""Of `wan-assets files`, which Dagster's pages link to."""

DEMO_PROMPTS = Path(__file__).parent / "demo" / "prompts.csv"


class SettingsError(WanAssetsError):
    """A variable of the environment does not say what it should."""

    advice = "Set the variable to what it should be, or unset it."


@dataclass(frozen=True)
class Settings:
    """The configuration of the default code location and of the command line.

    Without an `api_key` the simulator is used. `folder` holds whatever has no place of its own.
    """

    folder: Path
    prompts: Path
    store: str
    ledger: str
    dagster_home: Path
    budget_usd: float | None
    api_key: str
    base_url: str
    has_webhook: bool
    files_url: str

    @property
    def is_simulated(self) -> bool:
        """Whether the simulator stands in for the API."""
        return not self.api_key


def settings_from(environment: Mapping[str, str], folder: Path | None = None) -> Settings:
    """Reads RUNWARE_API_KEY, _BASE_URL, DAGSTER_HOME, WAN_ASSETS_PROMPTS, _STORE, _LEDGER, _BUDGET_USD, _WEBHOOK_URL,
    _FILES_URL.

    An explicit `folder` wins over WAN_ASSETS_STORE, WAN_ASSETS_LEDGER and DAGSTER_HOME. In paths `~` and variables are
    expanded. Raises `SettingsError` for a budget that is no amount, and `PathError` for what cannot be meant as a path.
    """
    given = environment.get
    home = (local_path(str(folder), "the data folder") if folder else Path(DATA_FOLDER)).absolute()
    places = {} if folder else environment
    prompts, dagster_home = given("WAN_ASSETS_PROMPTS"), places.get("DAGSTER_HOME")
    return Settings(
        folder=home,
        prompts=local_path(prompts, "WAN_ASSETS_PROMPTS", environment) if prompts else DEMO_PROMPTS,
        store=places.get("WAN_ASSETS_STORE") or escaped(home / "videos"),
        ledger=places.get(LEDGER_URL) or sqlite_url(home / "ledger.db"),
        dagster_home=local_path(dagster_home, "DAGSTER_HOME", environment) if dagster_home else home / "dagster",
        budget_usd=_budget(given("WAN_ASSETS_BUDGET_USD", "").strip()),
        api_key=given("RUNWARE_API_KEY", "").strip(),
        base_url=given("RUNWARE_BASE_URL") or PUBLIC_URL,
        has_webhook=bool(given(WEBHOOK_URL, "").strip()),
        files_url=given("WAN_ASSETS_FILES_URL") or f"http://127.0.0.1:{FILES_PORT}",
    )


def _budget(said: str) -> float | None:
    try:
        budget = float(said or "0")
    except ValueError:
        budget = -1.0
    if not 0 <= budget < float("inf"):
        raise SettingsError(f"WAN_ASSETS_BUDGET_USD is {said!r}, which is no amount of dollars")
    return budget if said else None
