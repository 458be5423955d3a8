"""The Runware API over HTTP: submit, poll, download, upload, balance and usage.

This is the only package that imports httpx.
"""

from wan_assets.client.account import DayOfUsage
from wan_assets.client.api import RunwareClient, WaitForCapacity
from wan_assets.client.bounds import shown
from wan_assets.client.error_codes import (
    UPLOAD_IS_GONE,
    code_of_failure_word,
    is_about_credit,
    is_over_capacity,
    is_own_words,
    task_error_of,
)
from wan_assets.client.responses import Answer
from wan_assets.client.retrying import Trouble
from wan_assets.client.task_reports import Result, TaskReport
from wan_assets.client.transport import HttpConfig, ResponseHook

__all__ = [
    "UPLOAD_IS_GONE",
    "Answer",
    "DayOfUsage",
    "HttpConfig",
    "ResponseHook",
    "Result",
    "RunwareClient",
    "TaskReport",
    "Trouble",
    "WaitForCapacity",
    "code_of_failure_word",
    "is_about_credit",
    "is_over_capacity",
    "is_own_words",
    "shown",
    "task_error_of",
]
