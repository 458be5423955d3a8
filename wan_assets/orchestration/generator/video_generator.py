"""The resource that generates videos in users' own assets and ops, in scripts and in notebooks."""

from __future__ import annotations

import asyncio
import os
import warnings
from functools import cache
from typing import TYPE_CHECKING, Unpack, overload

import dagster as dg
from pydantic import Field

from wan_assets.errors import WanAssetsError
from wan_assets.orchestration.asset_options import check_keywords
from wan_assets.orchestration.configured_resources import (
    account_of,
    ledger_of,
    store_of,
    warn_if_simulated,
    with_variables_read,
)
from wan_assets.orchestration.generator.generation import VideoGeneration
from wan_assets.orchestration.generator.plan import GenerateKeywords, GenerateOptions, GenerationPlan, Resources
from wan_assets.orchestration.generator.script import generate_frame, generate_frame_async
from wan_assets.orchestration.generator.step import Step, StepContext
from wan_assets.orchestration.known_fields import KnownFields
from wan_assets.orchestration.metadata.video import failure_to_start
from wan_assets.orchestration.resources import (
    LedgerResource,
    RunwareResource,
    SimulatedRunwareResource,
    VideoStoreResource,
)
from wan_assets.prompts import Prompts
from wan_assets.settings import SIMULATED_NOTICE, settings_from

if TYPE_CHECKING:
    import pandas as pd

_STACK_LEVEL = 3
"""The frames between a warning and the line of the user."""


class VideoGenerator(KnownFields, dg.ConfigurableResource):
    """Generates videos inside your own assets and ops, and in scripts and notebooks without Dagster.

    It pays once for each request, keeps paid videos, and obeys budgets, pauses and limits in the same way as the assets
    of `build_video_assets`, with which it shares the store and the ledger.

    Args:
        runware: The account. The default is RUNWARE_API_KEY; if it is not set, the simulator makes the videos.
        store: The store of the videos. The default is WAN_ASSETS_STORE, or `videos` in the data folder.
        ledger: The ledger with its budgets. The defaults are WAN_ASSETS_LEDGER, or `ledger.db` in the data folder, and
            WAN_ASSETS_BUDGET_USD.

    Raises:
        TypeError: An argument does not exist.
        pydantic.ValidationError: An argument is not a resource of its type.

    Example:
        >>> import dagster as dg
        >>> from wan_assets import VideoGenerator
        >>> @dg.asset
        ... def trailers(context, generator: VideoGenerator):
        ...     yield from generator.generate(context=context, requests="prompts.csv").stream()
        >>> definitions = dg.Definitions(assets=[trailers], resources={"generator": VideoGenerator()})
    """

    runware: RunwareResource | None = Field(
        default=None, description="The account; RUNWARE_API_KEY and RUNWARE_BASE_URL, or the simulator, by default."
    )
    store: VideoStoreResource | None = Field(
        default=None, description="The store; WAN_ASSETS_STORE, or videos in the data folder, by default."
    )
    ledger: LedgerResource | None = Field(
        default=None, description="The ledger; WAN_ASSETS_LEDGER and WAN_ASSETS_BUDGET_USD by default."
    )

    @overload
    def generate(
        self, *, requests: Prompts, context: None = None, **options: Unpack[GenerateKeywords]
    ) -> pd.DataFrame: ...

    @overload
    def generate(
        self, *, requests: Prompts, context: StepContext, **options: Unpack[GenerateKeywords]
    ) -> VideoGeneration: ...

    def generate(
        self, *, requests: Prompts, context: StepContext | None = None, **options: Unpack[GenerateKeywords]
    ) -> VideoGeneration | pd.DataFrame:
        """Checks all requests, and generates their videos.

        With the `context` of an asset or op, the videos are generated while the returned object is iterated. Without a
        context they are generated at once, with a progress bar, also in a notebook.

        Args:
            requests: A DataFrame, a list of `VideoRequest` or of mappings, a path, a `SqlQuery`, a `PromptTable` or a
                `PromptSource`.
            context: The context of the asset or op that calls this method.
            **options: `on_error` is "raise", the default with a context, or "return", the default without one: rows
                without a video raise a `Failure` at the end, or are returned with their errors. `regenerate` is a name
                under which all rows are paid for once again. `asset_key` selects the asset in a step with several.
                `partition_key_of` is a function that returns the partition key of a row; the rows of other partitions
                are omitted. Without it, all rows belong to the partition of the run, and in a run over several
                partitions they are assigned as by `build_video_assets`. `on_budget_alert` is called with each
                `BudgetAlert` of the call. `progress=False` shows no progress bar.

        Returns:
            With a context, a `VideoGeneration` to iterate. Without one, a DataFrame with the columns `prompt_id`,
            `path`, `cost_usd`, `charged_usd`, `seed`, `reused`, `simulated`, `error` and others.

        Raises:
            PromptTableError: The requests cannot be read, or one has a problem. Nothing was submitted. With a context,
                a `dagster.Failure` has the same content.
            dagster.Failure: Rows have no video, and `on_error` is "raise".
            TypeError: An option does not exist.
            WanAssetsError: The ledger, the store or the account cannot be used.
        """
        check_keywords("generate()", options, GenerateKeywords.__optional_keys__)
        plan = self._plan(requests, context, GenerateOptions(**options))
        if context is not None:
            return VideoGeneration(plan)
        _warn_if_simulated(plan.resources.runware)
        return generate_frame(plan)

    async def generate_async(
        self, *, requests: Prompts, context: StepContext | None = None, **options: Unpack[GenerateKeywords]
    ) -> pd.DataFrame:
        """Generates videos as `generate` does, in the running event loop.

        Args:
            requests: As in `generate`.
            context: As in `generate`; the run and its partition are recorded.
            **options: As in `generate`.

        Returns:
            A DataFrame as that of `generate`.

        Raises:
            PromptTableError: As in `generate`.
            dagster.Failure: As in `generate`.
            TypeError: As in `generate`.
            WanAssetsError: As in `generate`.
        """
        check_keywords("generate_async()", options, GenerateKeywords.__optional_keys__)
        plan = await asyncio.to_thread(self._plan, requests, context, GenerateOptions(**options))
        if context is None:
            _warn_if_simulated(plan.resources.runware)
        else:
            warn_if_simulated(plan.resources.runware, plan.step.log)
        return await generate_frame_async(plan)

    def _plan(self, requests: Prompts, context: StepContext | None, options: GenerateOptions) -> GenerationPlan:
        step = Step() if context is None else Step.of(context, options.asset_key, options.partition_key_of)
        try:
            return GenerationPlan.of(self._resources(), step, requests, options)
        except WanAssetsError as error:
            if context is not None:
                raise failure_to_start(error) from None
            error.add_note(error.hint)
            raise

    def _resources(self) -> Resources:
        """Returns the given resources and the defaults of the environment, with environment variables read."""
        settings = cache(lambda: settings_from(os.environ))
        return Resources(
            with_variables_read(self.runware or account_of(settings())),
            with_variables_read(self.store or store_of(settings())),
            with_variables_read(self.ledger or ledger_of(settings())),
        )


def _warn_if_simulated(runware: RunwareResource) -> None:
    """Warns that the key is missing, unless the simulator was chosen."""
    if runware.is_simulated and not isinstance(runware, SimulatedRunwareResource):
        warnings.warn(SIMULATED_NOTICE, stacklevel=_STACK_LEVEL)
