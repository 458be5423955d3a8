"""The checks of a run whose videos failed. Dagster skips the step of the checks then, and shows an execution error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from wan_assets.dataset import MATCH_CHECK, Dataset
from wan_assets.errors import WanAssetsError
from wan_assets.orchestration.checks.dataset_checks import DATASET_CHECKS, check_results
from wan_assets.orchestration.checks.definition import PARTITION_CHECK, check_options_of, dataset_result
from wan_assets.orchestration.resources import LedgerResource, VideoStoreResource
from wan_assets.orchestration.tables.accepted import readable_prompts
from wan_assets.orchestration.tables.upstream import PromptsOrAsset
from wan_assets.prompts import PromptTable


def checks_after_failure(
    context: dg.AssetExecutionContext,
    videos: dg.AssetKey,
    prompts: PromptsOrAsset,
    video_checks: Sequence[str],
    *,
    store: VideoStoreResource,
    ledger: LedgerResource,
) -> Iterator[dg.AssetCheckEvaluation]:
    """Yields the result of each check that was planned for the run and has none; an error is logged only.

    `video_checks` are the names of the users' checks.
    """
    of_partitions = (PARTITION_CHECK, *video_checks)
    planned = _planned_in(context, videos, of_partitions)
    for name in planned.intersection(of_partitions):
        yield _no_videos(videos, name)
    names = planned.intersection(DATASET_CHECKS)
    if not names:
        return
    try:
        with ledger.open() as open_ledger:
            opened = store.open()
            table = PromptTable.load(readable_prompts(prompts, videos, context.instance, opened))
            dataset = Dataset.read(videos.to_user_string(), table, opened, open_ledger)
            yield from _evaluations(context, videos, dataset, names)
    except WanAssetsError as error:
        context.log.warning("The checks have no result: %s. %s", error, error.hint)


def _evaluations(
    context: dg.AssetExecutionContext, videos: dg.AssetKey, dataset: Dataset, names: set[str]
) -> Iterator[dg.AssetCheckEvaluation]:
    specs = _specs_of(context, videos, names)
    options, severities = check_options_of(next(iter(specs.values())), context.run.run_id)
    for check, check_result in check_results(dataset, names, options):
        result = dataset_result(videos, check, check_result, severities[check], simulated=dataset.is_simulated)
        yield dg.AssetCheckEvaluation(
            asset_key=videos,
            check_name=check,
            passed=result.passed,
            severity=result.severity,
            description=result.description,
            metadata=result.metadata,
        )


def _specs_of(context: dg.AssetExecutionContext, videos: dg.AssetKey, names: set[str]) -> dict[str, Any]:
    graph: Any = context.job_def.asset_layer.asset_graph
    return {name: graph.get_check_spec(dg.AssetCheckKey(videos, name)) for name in names}


def _planned_in(context: dg.AssetExecutionContext, videos: dg.AssetKey, of_partitions: Sequence[str]) -> set[str]:
    """Returns the checks that were planned for the run, unless its partitions have results for them."""
    keys = [dg.AssetCheckKey(videos, name) for name in (*of_partitions, *DATASET_CHECKS)]
    latest = context.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    of_run = {key.name: record for key, record in latest.items() if record.run_id == context.run.run_id}
    return {
        name
        for name, record in of_run.items()
        if record.status.value == "PLANNED" or name not in (*of_partitions, MATCH_CHECK)
    }


def _no_videos(videos: dg.AssetKey, name: str) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=videos,
        check_name=name,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description="No partition of the run has a video, so nothing was checked.",
        metadata={"wan_assets/checked": 0},
    )
