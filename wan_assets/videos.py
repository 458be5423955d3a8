"""One run's videos: the rows of its partitions go through the engine, and its outcomes become Dagster's events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Literal

import dagster as dg
from pydantic import Field

from wan_assets.errand import Errand, Event
from wan_assets.errors import LedgerError, PromptTableError
from wan_assets.generation import Limits
from wan_assets.grains import Grain
from wan_assets.ledger import Origin, heartbeat
from wan_assets.outcomes import outcomes_of
from wan_assets.report import failure_to_start
from wan_assets.resources import LedgerResource, RunwareResource, VideoStoreResource
from wan_assets.run_log import progress_logged
from wan_assets.telling import Telling

POOL = "runware"
"""Dagster's pool of all runs that use the account; its limit caps how many there are at once."""


class GenerationConfig(dg.Config):
    """What a single run may be told."""

    regenerate: str = Field(
        default="",
        description="The name of a purchase, such as 'new-look': every row is bought anew, once under each name.",
    )
    on_mismatch: Literal["", "keep", "fail"] = Field(
        default="",
        description="What to do with a playable video that deviates from its request, 'keep' or 'fail'; empty: as the "
        "asset or the resource `runware` has it.",
    )


def videos_of(
    grain: Grain,
    errand: Errand,
    config: GenerationConfig,
    *,
    runware: RunwareResource,
    store: VideoStoreResource,
    ledger: LedgerResource,
) -> Iterator[Event]:
    """Yields each partition as it is complete; raises a `Failure` that names the rows without a video."""
    origin = Origin(errand.run_id, errand.asset_key.to_user_string(), purchase=config.regenerate)
    with ExitStack() as stack:
        try:
            book = stack.enter_context(closing(ledger.open()))
            stack.enter_context(heartbeat(book, errand.run_id))
            begun = grain.begin(errand)
        except (LedgerError, PromptTableError) as error:
            raise failure_to_start(error) from None
        videos = store.open()
        watch = stack.enter_context(progress_logged(errand.log, errand.watch))
        outcomes = stack.enter_context(
            outcomes_of(
                begun.orders,
                runware=runware,
                store=videos,
                ledger=book,
                limits=_limits_of(grain, errand, config, runware),
                origin=origin,
                media=begun.media,
                watch=watch,
            )
        )
        yield from begun.run.events(outcomes, Telling(book, errand.instance, errand.asset_key), videos)


def _limits_of(grain: Grain, errand: Errand, config: GenerationConfig, runware: RunwareResource) -> Limits:
    """The resource's limits, with what the asset and, above all, the run say otherwise."""
    limits = replace(runware.limits(), resends_refused=grain.resends_refused)
    return replace(limits, on_mismatch=config.on_mismatch or errand.on_mismatch or limits.on_mismatch)
