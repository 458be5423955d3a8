"""Dagster's asset checks: over the whole dataset, and the checks recorded for each partition."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import dagster as dg

from wan_assets.dataset import COST_TOLERANCE, MATCH_CHECK, Dataset, quality_results_of, request_result
from wan_assets.engine import Outcome
from wan_assets.errors import WanAssetsError
from wan_assets.models import closest_name
from wan_assets.orchestration.asset_names import AssetNames, Key, KeyPrefix
from wan_assets.orchestration.asset_options import known_keywords
from wan_assets.orchestration.checks.dataset_checks import DATASET_CHECKS, CheckOptions, CheckResult, check_results
from wan_assets.orchestration.metadata.video import failure_to_start, table_of
from wan_assets.orchestration.tables.accepted import readable_prompts
from wan_assets.orchestration.tables.upstream import PromptsOrAsset
from wan_assets.prompts import PromptTable

Severities: TypeAlias = Mapping[str, dg.AssetCheckSeverity]

PARTITION_CHECK = "quality"
_FAILED_ROWS_SHOWN = 100
_FAULTS_SHOWN = 5
_ERRORS = ("file_integrity", MATCH_CHECK, "every_row_has_its_video")
_DESCRIPTIONS = {
    "file_integrity": "Every stored file exists with its size; the bytes of all files or a sample are compared.",
    MATCH_CHECK: "Container, codecs, size, length, frames, audio and number of results match the request.",
    "audio_matches_request": "There is audio if and only if it was requested, and it is as long as the video.",
    "not_black": "Some part of the video is brighter than black.",
    "not_frozen": "Some part of the video changes.",
    "not_silent": "If audio was requested, it is not silent.",
    "not_nsfw": "The provider has not flagged the video as NSFW.",
    "cost_within_estimate": "The cost is near the published price.",
    "no_task_open": "No task is in flight, undelivered or lost.",
    "every_row_has_its_video": "Every row of the table is valid and has its video in the store.",
    "no_orphan_video": "A row requests every video that was paid for the asset.",
    "no_duplicate_files": "No two rows with different requests have the same file.",
}


@known_keywords()
def build_video_checks(
    *,
    name: str | None = None,
    key: Key | None = None,
    key_prefix: KeyPrefix | None = None,
    prompts: PromptsOrAsset,
    severities: Severities | None = None,
    cost_tolerance: float = COST_TOLERANCE,
    verify_all: bool = False,
    sample: int = 100,
) -> list[dg.AssetChecksDefinition]:
    """Builds checks over all videos of an asset, which run together or one at a time. They cost no money.

    They need the resources `store` and `ledger`.

    Args:
        name: Name of the videos' asset, by default `videos`.
        key: Key of the videos' asset, instead of `name` and `key_prefix`.
        key_prefix: Prefix of its key.
        prompts: The prompt table, as for `build_video_assets`.
        severities: Severity by check name, where it differs from the default.
        cost_tolerance: Share by which a cost may differ from the list price, such as 0.25.
        verify_all: Whether the bytes of every row's files are compared.
        sample: Number of rows whose files are compared without `verify_all`. Each run draws them again.

    Returns:
        A list of one definition, which contains all checks.

    Raises:
        ValueError: `severities` names a check that does not exist.
        TypeError: A keyword does not exist.

    Example:
        >>> from wan_assets import build_video_checks
        >>> (checks,) = build_video_checks(prompts="prompts.csv")
        >>> "file_integrity" in {key.name for key in checks.check_keys}
        True
    """
    names, chosen = AssetNames.of(name, key, key_prefix), severities_of(severities or {})
    videos = names.videos
    options = CheckOptions(verify_all, sample, cost_tolerance=cost_tolerance)
    specs = _specs(videos, options, chosen)

    @dg.multi_asset_check(
        name=names.named("checks"), specs=specs, can_subset=True, required_resource_keys={"store", "ledger"}
    )
    def video_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        check_options = replace(options, salt=context.run.run_id)
        selected = {check_key.name for check_key in context.selected_asset_check_keys}
        try:
            with context.resources.ledger.open() as ledger:
                store = context.resources.store.open()
                table = PromptTable.load(readable_prompts(prompts, videos, context.instance, store))
                dataset = Dataset.read(videos.to_user_string(), table, store, ledger)
                for check, check_result in check_results(dataset, selected, check_options):
                    yield dataset_result(videos, check, check_result, chosen[check], simulated=dataset.is_simulated)
        except WanAssetsError as error:
            raise failure_to_start(error) from None

    return [video_checks]


def _specs(videos: dg.AssetKey, options: CheckOptions, severities: Severities) -> list[dg.AssetCheckSpec]:
    """Returns the specs of all checks; their metadata are the options, as `check_options_of` reads them."""
    metadata = {
        "wan_assets/severities": {check: severity.name for check, severity in severities.items()},
        "wan_assets/cost_tolerance": options.cost_tolerance,
        "wan_assets/verify_all": options.verify_all,
        "wan_assets/sample": options.sample,
    }
    return [
        dg.AssetCheckSpec(check, asset=videos, description=_DESCRIPTIONS[check], metadata=metadata)
        for check in DATASET_CHECKS
    ]


def partition_check_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Returns the spec of the check that `partition_check` evaluates, for the asset's `check_specs`."""
    return dg.AssetCheckSpec(PARTITION_CHECK, asset=asset, description="The quality checks of the partition's videos.")


def partition_check(
    asset_key: dg.AssetKey,
    partition: str,
    outcomes: Sequence[Outcome],
    severities: Severities,
) -> dg.AssetCheckEvaluation:
    """Combines all quality results of one partition into one event with the worst severity; reads no file."""
    stored = [(outcome.job, outcome.stored) for outcome in outcomes if outcome.stored]
    failed = [
        (job.prompt_id, quality_result)
        for job, task in stored
        for quality_result in quality_results_of(job.request, task)
        if not quality_result.passed
    ]
    is_error = any(severities[quality_result.name] is dg.AssetCheckSeverity.ERROR for _, quality_result in failed)
    messages = [f"{prompt_id}: {quality_result.name}: {quality_result.message}" for prompt_id, quality_result in failed]
    more = [f"and {len(messages) - _FAULTS_SHOWN} more"] if len(messages) > _FAULTS_SHOWN else []
    return dg.AssetCheckEvaluation(
        asset_key=asset_key,
        check_name=PARTITION_CHECK,
        partition=partition,
        passed=not failed,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description="; ".join([*messages[:_FAULTS_SHOWN], *more]) or None,
        metadata={
            "wan_assets/checked": len(stored),
            **{
                f"wan_assets/{name}": count
                for name, count in Counter(quality_result.name for _, quality_result in failed).items()
            },
        },
    )


def match_check(
    asset_key: dg.AssetKey, partition: str, outcomes: Sequence[Outcome], severity: dg.AssetCheckSeverity
) -> dg.AssetCheckEvaluation:
    """Evaluates whether the videos of one partition match their requests, as one event; reads no file.

    It has the name of the check over the whole dataset, which shows the state of all partitions together.
    """
    stored = [(outcome.job, outcome.stored) for outcome in outcomes if outcome.stored]
    quality_results = [(job.prompt_id, request_result(job.request, task)) for job, task in stored]
    differing = [
        (prompt_id, quality_result.message)
        for prompt_id, quality_result in quality_results
        if not quality_result.passed
    ]
    messages = [f"{prompt_id}: {differences}" for prompt_id, differences in differing[:_FAULTS_SHOWN]]
    more = [f"and {len(differing) - _FAULTS_SHOWN} more"] if len(differing) > _FAULTS_SHOWN else []
    metadata: dict[str, Any] = {"wan_assets/checked": len(stored), "wan_assets/deviating": len(differing)}
    if differing:
        rows = [{"prompt_id": prompt_id, "differences": text} for prompt_id, text in differing[:_FAILED_ROWS_SHOWN]]
        metadata["wan_assets/differences"] = table_of(rows)
    return dg.AssetCheckEvaluation(
        asset_key=asset_key,
        check_name=MATCH_CHECK,
        partition=partition,
        passed=not differing,
        severity=severity,
        description="; ".join([*messages, *more]) or None,
        metadata=metadata,
    )


def severities_of(given: Severities) -> dict[str, dg.AssetCheckSeverity]:
    """Returns the severity of each check, with `given` over the defaults; raises `ValueError` for an unknown name."""
    for check in given:
        if check not in DATASET_CHECKS:
            close = closest_name(check, DATASET_CHECKS)
            hint = f"did you mean {close!r}?" if close else f"the checks are {', '.join(DATASET_CHECKS)}"
            raise ValueError(f"severities: there is no check {check!r}; {hint}")
    error, warn = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
    return {check: error if check in _ERRORS else warn for check in DATASET_CHECKS} | dict(given)


def dataset_result(
    asset: dg.AssetKey, check: str, check_result: CheckResult, severity: dg.AssetCheckSeverity, *, simulated: bool
) -> dg.AssetCheckResult:
    """Returns the result of a check over the whole dataset."""
    metadata: dict[str, Any] = {
        "wan_assets/checked": check_result.checked,
        "wan_assets/not_measured": check_result.unmeasured,
        "wan_assets/failed_rows": len(check_result.failed_rows),
        "wan_assets/simulated": simulated,
    }
    if check_result.failed_rows:
        shown = check_result.failed_rows[:_FAILED_ROWS_SHOWN]
        rows = [{"partition": failed_row.partition, "reason": failed_row.reason} for failed_row in shown]
        metadata["wan_assets/failed_row_table"] = table_of(rows)
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=check,
        passed=check_result.passed,
        severity=severity,
        description=_description_of(check_result),
        metadata=metadata,
    )


def check_options_of(spec: dg.AssetCheckSpec, salt: str) -> tuple[CheckOptions, dict[str, dg.AssetCheckSeverity]]:
    """Returns the options and severities with which `build_video_checks` was called, from one of its specs."""
    given = {name.removeprefix("wan_assets/"): value for name, value in spec.metadata.items()}
    options = CheckOptions(given["verify_all"], given["sample"], salt=salt, cost_tolerance=given["cost_tolerance"])
    return options, {check: dg.AssetCheckSeverity[name] for check, name in given["severities"].items()}


def _description_of(check_result: CheckResult) -> str:
    if check_result.passed:
        return f"{check_result.checked} checked, {check_result.unmeasured} not measured"
    first = check_result.failed_rows[0]
    count = len(check_result.failed_rows)
    return f"{count} failed {'row' if count == 1 else 'rows'}; the first is {first.partition}: {first.reason}"
