"""The Runware API over HTTP: submit, poll, download, upload, balance and usage. The only place that imports httpx."""

from wan_assets.client.account import DayOfUsage
from wan_assets.client.api import RunwareClient, WaitForCapacity
from wan_assets.client.reports import Result, TaskReport
from wan_assets.client.retrying import Trouble
from wan_assets.client.transport import Heed, Pace
from wan_assets.client.wire import Answer

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
