"""Asset checks: whether every row has its video, and whether each video is what was asked and paid for."""

from wan_assets.checks.definition import build_video_checks, row_check, row_check_spec
from wan_assets.checks.judgements import DATASET_CHECKS, Judgement, Offender, judged
from wan_assets.checks.verdicts import VIDEO_CHECKS, CheckVerdict, verdicts_of

__all__ = [
    "DATASET_CHECKS",
    "VIDEO_CHECKS",
    "CheckVerdict",
    "Judgement",
    "Offender",
    "build_video_checks",
    "judged",
    "row_check",
    "row_check_spec",
    "verdicts_of",
]
