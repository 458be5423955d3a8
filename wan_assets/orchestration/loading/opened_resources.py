"""Opens store and ledger for reading: the given ones, those of a run, or those of the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import dagster as dg

from wan_assets.ledger import Ledger
from wan_assets.orchestration.configured_resources import resources_of
from wan_assets.orchestration.resources import LedgerResource, VideoStoreResource
from wan_assets.settings import SettingsError, settings_from
from wan_assets.store import VideoStore


class Opened(NamedTuple):
    """An open store and an open ledger."""

    store: VideoStore
    ledger: Ledger


@contextmanager
def opened(context: Any, store: VideoStoreResource | None, ledger: LedgerResource | None) -> Iterator[Opened]:
    """Opens both resources, and closes the ledger afterwards; `context` is None outside of a run.

    A resource that is not given is the one that the step requires, else the one of its job, else that of the
    environment variables.
    """
    chosen = {
        "store": _required(context, "store") if store is None else store,
        "ledger": _required(context, "ledger") if ledger is None else ledger,
    }
    of_job = {name: value for name, value in _of_job(context).items() if chosen.get(name, "") is None}
    config = {name: value for name, value in _config_of(context).items() if name in of_job}
    known = {**{name: value for name, value in chosen.items() if value is not None}, **of_job}
    with dg.build_resources({**_of_environment(known), **known}, resource_config=config) as ready:
        kept = _checked("store", ready.store, VideoStoreResource).open()
        with _checked("ledger", ready.ledger, LedgerResource).open() as open_ledger:
            yield Opened(kept, open_ledger)


def _required(context: Any, name: str) -> Any:
    """Returns a resource that the step requires; None for another."""
    return getattr(getattr(context, "resources", None), name, None)


def job_of(context: Any) -> dg.JobDefinition | None:
    """Returns the job of a context; a sensor has none, nor has a function that a test calls directly."""
    try:
        return getattr(context, "job_def", None)
    except dg.DagsterError:
        return None


def _of_job(context: Any) -> Mapping[str, Any]:
    job = job_of(context)
    return job.resource_defs if job else {}


def _config_of(context: Any) -> Mapping[str, Any]:
    """Returns the config of resources in the config of a run."""
    return (context.run.run_config or {}).get("resources", {}) if job_of(context) else {}


def _of_environment(known: Mapping[str, Any]) -> dict[str, Any]:
    if known.keys() >= {"store", "ledger"}:
        return {}
    resources = resources_of(settings_from(os.environ))
    return {name: resources[name] for name in ("store", "ledger")}


def _checked(name: str, found: Any, kind: type) -> Any:
    if not isinstance(found, kind):
        raise SettingsError(
            f"the resource {name!r} is not a {kind.__name__}: pass load_videos(…, {name}={kind.__name__}(…))"
        )
    return found
