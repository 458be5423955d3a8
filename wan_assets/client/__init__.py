"""The Runware API over HTTP: submit, poll, download, upload, balance and usage. The only place that imports httpx."""

from wan_assets.client.account import DayOfUsage
from wan_assets.client.api import RunwareClient, WaitForCapacity
from wan_assets.client.responses import Answer
from wan_assets.client.retrying import Trouble
from wan_assets.client.task_reports import Result, TaskReport
from wan_assets.client.transport import Heed, Pace

__all__ = [
    "Answer",
    "DayOfUsage",
    "Heed",
    "Pace",
    "Result",
    "RunwareClient",
    "TaskReport",
    "Trouble",
    "WaitForCapacity",
]
