"""The Runware API over HTTP: submit, poll, download, upload, balance and usage.

This is the only package that imports httpx. Modules that do so are imported on first use, so that commands without
the API start faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from wan_assets.client.account import DayOfUsage, UsageTotals
from wan_assets.client.bounds import clean_text
from wan_assets.client.error_codes import (
    UPLOAD_IS_GONE,
    code_of_failure_status,
    is_api_refusal,
    is_out_of_credit,
    is_over_capacity,
    task_error_of,
)
from wan_assets.client.http_config import HttpConfig
from wan_assets.client.responses import ApiResponse
from wan_assets.client.retrying import RetryStatus
from wan_assets.client.task_reports import Result, TaskReport

if TYPE_CHECKING:
    from wan_assets.client.api import RunwareClient, WaitForCapacity
    from wan_assets.client.transport import ResponseHook

__all__ = [
    "UPLOAD_IS_GONE",
    "ApiResponse",
    "DayOfUsage",
    "HttpConfig",
    "ResponseHook",
    "Result",
    "RetryStatus",
    "RunwareClient",
    "TaskReport",
    "UsageTotals",
    "WaitForCapacity",
    "clean_text",
    "code_of_failure_status",
    "is_api_refusal",
    "is_out_of_credit",
    "is_over_capacity",
    "task_error_of",
]

_LAZY_NAMES = {"api": ["RunwareClient", "WaitForCapacity"], "transport": ["ResponseHook"]}

__getattr__, _, _ = lazy_loader.attach(__name__, submod_attrs=_LAZY_NAMES)
