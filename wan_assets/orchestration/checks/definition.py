"""The checks as Dagster's: over the whole dataset, or one that an asset logs for each partition."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeAlias

import dagster as dg

from wan_assets.dataset import COST_TOLERANCE, MATCH_CHECK, Dataset, quality_results_of, request_result
from wan_assets.engine import Outcome
from wan_assets.errors import WanAssetsError
from wan_assets.models import nearest
from wan_assets.orchestration.checks.dataset_checks import DATASET_CHECKS, CheckResult, Rigour, check_results
from wan_assets.orchestration.metadata.video import failure_to_start, table_of
from wan_assets.prompts import Prompts, PromptTable

Severities: TypeAlias = Mapping[str, dg.AssetCheckSeverity]

PARTITION_CHECK = "quality"
_OFFENDERS_SHOWN = 100
_FAULTS_SAID = 5
_ERRORS = ("file_integrity", MATCH_CHECK, "every_row_has_its_video")
_DESCRIPTIONS = {
    "file_integrity": "Every stored file is there at its size; of all or a sample, the bytes are compared.",
    MATCH_CHECK: "Container, codecs, size, length, frames, audio and number of results are those of the request.",
    "audio_matches_request": "There is audio if and only if it was requested, and it is as long as the picture.",
    "not_black": "Something in the picture is brighter than black.",
    "not_frozen": "Something in the picture changes.",
    "not_silent": "Where sound was asked for, something is to be heard.",
    "not_nsfw": "The provider has not flagged the video as NSFW.",
    "cost_within_estimate": "The cost is near the published price.",
    "no_task_open": "No task is in flight, undelivered or lost.",
    "every_row_has_its_video": "Every row of the table is valid and has its video in the store.",
    "no_orphan_video": "Every video that was bought for the asset is asked for by a row.",
    "no_duplicate_files": "No two rows that ask for different videos have the same file.",
}


def build_video_checks(
    *,
    name: str = "videos",
    prompts: Prompts,
    severities: Severities | None = None,
    cost_tolerance: float = COST_TOLERANCE,
    verify_all: bool = False,
    sample: int = 100,
) -> list[dg.AssetChecksDefinition]:
    """Builds checks over all videos of an asset, which run together or one at a time. They cost no money.

    They need the resources `store` and `ledger`.

    Args:
        name: Name of the videos' asset.
        prompts: The prompt table, as for `build_video_assets`.
        severities: Severity by check name, where it differs from the default.
        cost_tolerance: Share by which a cost may differ from the list price, such as 0.25.
        verify_all: Whether the bytes of every row's files are compared.
        sample: Number of rows whose files are compared without `verify_all`. Each run draws them again.

    Returns:
        A list of one definition, which contains all checks.

    Raises:
        ValueError: `severities` names a check that does not exist.

    Example:
        >>> from wan_assets import build_video_checks
        >>> (checks,) = build_video_checks(prompts="prompts.csv")
        >>> "file_integrity" in {key.name for key in checks.check_keys}
        True
    """
    chosen = severities_of(severities or {})
    specs = [dg.AssetCheckSpec(check, asset=name, description=_DESCRIPTIONS[check]) for check in DATASET_CHECKS]

    @dg.multi_asset_check(
        name=f"{name}_checks", specs=specs, can_subset=True, required_resource_keys={"store", "ledger"}
    )
    def video_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        rigour = Rigour(verify_all, sample, salt=context.run.run_id, cost_tolerance=cost_tolerance)
        names = {key.name for key in context.selected_asset_check_keys}
        try:
            with closing(context.resources.ledger.open()) as ledger:
                dataset = Dataset.read(name, PromptTable.load(prompts), context.resources.store.open(), ledger)
                for check, judgement in check_results(dataset, names, rigour):
                    yield _result(name, check, judgement, chosen[check], simulated=dataset.is_simulated)
        except WanAssetsError as error:
            raise failure_to_start(error) from None

    return [video_checks]


def partition_check_spec(asset: dg.AssetKey | str) -> dg.AssetCheckSpec:
    """The spec of the check that `partition_check` evaluates, to stand in the asset's `check_specs`."""
    return dg.AssetCheckSpec(PARTITION_CHECK, asset=asset, description="The partition's videos are as asked.")


def partition_check(
    asset_key: dg.AssetKey,
    partition: str,
    outcomes: Sequence[Outcome],
    severities: Severities,
) -> dg.AssetCheckEvaluation:
    """All judgements of one partition's videos as one event, as severe as the worst that failed; reads no file."""
    stored = [(outcome.job, outcome.stored) for outcome in outcomes if outcome.stored]
    failed = [
        (job.prompt_id, quality_result)
        for job, task in stored
        for quality_result in quality_results_of(job.request, task)
        if not quality_result.passed
    ]
    is_error = any(severities[quality_result.name] is dg.AssetCheckSeverity.ERROR for _, quality_result in failed)
    said = [f"{prompt_id}: {quality_result.name}: {quality_result.said}" for prompt_id, quality_result in failed]
    more = [f"and {len(said) - _FAULTS_SAID} more"] if len(said) > _FAULTS_SAID else []
    return dg.AssetCheckEvaluation(
        asset_key=asset_key,
        check_name=PARTITION_CHECK,
        partition=partition,
        passed=not failed,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description="; ".join([*said[:_FAULTS_SAID], *more]) or None,
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
    """Whether the videos of one partition are what their rows request, as one event; reads no file.

    It has the name of the check over the whole dataset, which shows the state of all partitions together.
    """
    stored = [(outcome.job, outcome.stored) for outcome in outcomes if outcome.stored]
    quality_results = [(job.prompt_id, request_result(job.request, task)) for job, task in stored]
    differing = [
        (prompt_id, quality_result.said) for prompt_id, quality_result in quality_results if not quality_result.passed
    ]
    said = [f"{prompt_id}: {differences}" for prompt_id, differences in differing[:_FAULTS_SAID]]
    more = [f"and {len(differing) - _FAULTS_SAID} more"] if len(differing) > _FAULTS_SAID else []
    metadata: dict[str, Any] = {"wan_assets/checked": len(stored), "wan_assets/deviating": len(differing)}
    if differing:
        rows = [{"prompt_id": prompt_id, "differences": text} for prompt_id, text in differing[:_OFFENDERS_SHOWN]]
        metadata["wan_assets/differences"] = table_of(rows)
    return dg.AssetCheckEvaluation(
        asset_key=asset_key,
        check_name=MATCH_CHECK,
        partition=partition,
        passed=not differing,
        severity=severity,
        description="; ".join([*said, *more]) or None,
        metadata=metadata,
    )


def severities_of(given: Severities) -> dict[str, dg.AssetCheckSeverity]:
    """How severe each check is, `given` over the defaults; raises `ValueError` for a name that is none."""
    for check in given:
        if check not in DATASET_CHECKS:
            close = nearest(check, DATASET_CHECKS)
            hint = f"did you mean {close!r}?" if close else f"the checks are {', '.join(DATASET_CHECKS)}"
            raise ValueError(f"severities: there is no check {check!r}; {hint}")
    error, warn = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
    return {check: error if check in _ERRORS else warn for check in DATASET_CHECKS} | dict(given)


def _result(
    asset: str, check: str, judgement: CheckResult, severity: dg.AssetCheckSeverity, *, simulated: bool
) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {
        "wan_assets/checked": judgement.checked,
        "wan_assets/not_measured": judgement.unmeasured,
        "wan_assets/offenders": len(judgement.failed_rows),
        "wan_assets/simulated": simulated,
    }
    if judgement.failed_rows:
        shown = judgement.failed_rows[:_OFFENDERS_SHOWN]
        rows = [{"partition": offender.partition, "wrong": offender.said} for offender in shown]
        metadata["wan_assets/offender_table"] = table_of(rows)
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(asset),
        check_name=check,
        passed=judgement.passed,
        severity=severity,
        description=_said(judgement),
        metadata=metadata,
    )


def _said(judgement: CheckResult) -> str:
    if judgement.passed:
        return f"{judgement.checked} checked, {judgement.unmeasured} not measured"
    first = judgement.failed_rows[0]
    return f"{len(judgement.failed_rows)} offenders; the first is {first.partition}: {first.said}"
