"""The resources of the settings, and their environment variables."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any, TypeVar

import dagster as dg

from wan_assets.models import may_hold_password
from wan_assets.orchestration.budget import configured_budgets
from wan_assets.orchestration.resources import (
    LedgerResource,
    RunwareResource,
    SimulatedRunwareResource,
    VideoStoreResource,
)
from wan_assets.settings import (
    API_KEY_VARIABLE,
    LEDGER_VARIABLE,
    SIMULATED_NOTICE,
    WEBHOOK_VARIABLE,
    Settings,
    SettingsError,
    escaped,
)

Resource = TypeVar("Resource", bound=dg.ConfigurableResource)


def warn_if_simulated(runware: RunwareResource, log: logging.Logger) -> None:
    """Logs that videos are simulated, and that the key is missing unless the simulator was chosen."""
    if isinstance(runware, SimulatedRunwareResource):
        log.warning("the simulator makes the videos: they are SIMULATED, and nothing is charged")
    elif runware.is_simulated:
        log.warning(SIMULATED_NOTICE)


def with_variables_read(resource: Resource) -> Resource:
    """Returns a resource with the values of its environment variables, as Dagster does when a run starts.

    Dagster's own method opens an instance with databases for it. Raises `SettingsError` if a variable is not set.
    """
    values = {}
    for name in type(resource).model_fields:
        if isinstance(variable := getattr(resource, name), dg.EnvVar):
            if (value := variable.get_value()) is None:
                owner = f"{type(resource).__name__}({name}=…)"
                raise SettingsError(f"{owner} uses the variable {variable.env_var_name}, which is not set")
            values[name] = value
    return resource.model_copy(update=values) if values else resource


def ledger_url_of(url: str, environment: Mapping[str, str] = os.environ) -> str:
    """Returns a ledger's URL for a resource, or its environment variable if the URL may contain a password.

    Dagster shows the URL in its UI. Raises `SettingsError` if no variable contains it.
    """
    if not may_hold_password(url):
        return url
    named = (name for name, value in environment.items() if value == url)
    name = LEDGER_VARIABLE if environment.get(LEDGER_VARIABLE) == url else next(named, "")
    if not name:
        raise SettingsError(
            "the ledger's URL may contain a password, and Dagster would show it: set it as WAN_ASSETS_LEDGER"
        )
    return dg.EnvVar(name)


def resources_of(settings: Settings, **limits: Any) -> dict[str, object]:
    """Returns the resources `runware`, `store` and `ledger` of the settings; without an API key, the simulator's.

    `limits` are further fields of `runware`, such as `max_takes`.
    """
    simulated = SimulatedRunwareResource(state=escaped(settings.folder / "simulator"), **limits)
    return {
        "runware": simulated if settings.is_simulated else account_of(settings, **limits),
        "store": store_of(settings),
        "ledger": ledger_of(settings),
    }


def account_of(settings: Settings, **limits: Any) -> RunwareResource:
    """Returns the account of the settings, which becomes the simulator if there is no key when a run starts."""
    hook = dg.EnvVar(WEBHOOK_VARIABLE) if settings.has_webhook else ""
    key = dg.EnvVar(API_KEY_VARIABLE)
    return RunwareResource(api_key=key, base_url=settings.base_url, webhook_url=hook, **limits)


def store_of(settings: Settings) -> VideoStoreResource:
    """Returns the store of the settings."""
    return VideoStoreResource(root=settings.store, public_base_url=settings.files_url)


def ledger_of(settings: Settings) -> LedgerResource:
    """Returns the ledger of the settings, with their budgets."""
    return LedgerResource(
        url=ledger_url_of(settings.ledger),
        budget_usd_total=settings.budget_usd,
        budget_usd_retakes=settings.budget_usd_retakes,
        budgets=configured_budgets(settings),
    )
