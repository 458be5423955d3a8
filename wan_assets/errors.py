"""The error classes of the package.

The text beside each class states what the reader should do next::

    WanAssetsError
    ├── PromptTableError            fix the table
    │   └── NoSnapshotError         materialize the asset of the prompt table
    ├── ModelDescriptionError       correct the description of a model
    ├── EmptyRangeError             request a range that contains partitions
    ├── SelectionError              select rows that the table has
    ├── NotConfirmedError           confirm the price, or set a budget
    ├── ModelEndedError             use the successor of the model
    ├── NotApprovedError            approve the draft
    ├── UnwantedTakeError           run again: the row has another video
    ├── DecisionError               correct the decision
    ├── ApprovalPolicyError         correct the policy
    ├── BudgetExceededError         raise the budget or submit fewer rows
    ├── OverchargedError            compare the prices: the API charged more than was reserved
    ├── PausedError                 resume the ledger
    ├── ConcurrencyLimitError       wait until fewer tasks are in flight
    ├── NotSubmittedError           run the row again, or release its reservation
    ├── TaskLockedError             wait for the process that works on the task
    ├── LeaseExpiredError           run again: another process may have taken over the task
    ├── NothingToAdoptError         name a task with a file in `set_aside`
    ├── LedgerError                 make the ledger readable and writable
    │   ├── LedgerUrlError          correct the ledger's URL
    │   ├── LedgerMissingError      name a ledger that exists, or run a table first
    │   ├── LedgerVersionError      use the package version that wrote the ledger
    │   └── SettlementRefusedError  name a task whose cost is unknown
    ├── StoreError                  make the store writable, or free some space
    │   └── StoreAddressError       name a location that can be opened; keep credentials in the environment
    ├── VideoNotLocalError          use `local_path()` or `open()`: the store is a bucket
    ├── VideosMissingError          run the partitions again: stored videos are reused at no cost
    ├── DagsterHomeError            move the damaged files away
    ├── ExportError                 name a writable folder that is used only for the export
    ├── InvalidVideoError           the file is damaged, or is not the requested video
    ├── DecoderError                check the file again: decoding failed for another reason
    │   └── DecoderMissingError     install a decoder for the file's codec
    └── RunwareError                the API returned an error
        ├── WrongAddressError       correct the API's address
        ├── RequestRejectedError    fix the request
        ├── AccessDeniedError       fix the key or top up the account
        ├── ContentBlockedError     change the prompt
        ├── TaskFailedError         submit the request again as a new task
        ├── TaskUnknownError        the API does not know the task: check before you pay again
        ├── TaskTimeoutError        wait again: the task may still finish
        ├── OutputUnavailableError  the result's file cannot be downloaded
        ├── RunwareBusyError        try again later
        ├── SubmissionUnconfirmedError  poll the task: it may have been accepted
        └── TaskConflictError       poll the task: the API already has it
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

_GENERATE_AGAIN = (
    "`wan-assets ledger settle TASK --cost USD` gives up the task, and the next run generates its row again. In "
    "Dagster, the run config `regenerate` generates all rows of a run again."
)

_PARTITIONS_SHOWN = 10

_RESEND = (
    "The same request is not submitted again, unless you use `wan-assets materialize FILE --resend-refused`, or "
    "`resend_refused` in Dagster."
)


class WanAssetsError(Exception):
    """An error that the user can correct; `hint` says how."""

    hint: str = ""
    is_transient: ClassVar[bool] = False
    is_retryable: ClassVar[bool] = True
    """Whether the same run may succeed later without any change."""


class PromptTableError(WanAssetsError):
    """The table cannot be read, or some of its rows break a rule.

    `is_unavailable` states that its source is missing or cannot be reached from here, so that its content is unknown.
    """

    hint = "Fix the table; `wan-assets plan FILE` lists every problem and submits nothing."
    is_retryable = False

    def __init__(self, message: str, *, is_unavailable: bool = False) -> None:
        self.is_unavailable = is_unavailable
        super().__init__(message)


class NoSnapshotError(PromptTableError):
    """The table comes from an upstream asset, and no table has been accepted and stored yet, or its file is gone."""

    hint = "Materialize the asset of the prompt table; it reads the upstream asset and stores a snapshot."


class ModelDescriptionError(WanAssetsError):
    """A file of a folder of models does not describe a model, or two models have the same name."""

    hint = (
        "Correct the file, or the folder that WAN_ASSETS_MODELS or RunwareResource(models=…) names, then run again. "
        "Nothing was submitted."
    )
    is_retryable = False


class EmptyRangeError(WanAssetsError):
    """A run was requested for a range without partitions. Such a run would succeed and produce nothing."""

    hint = "Request single partitions, or a range whose ends are in order in each dimension."
    is_retryable = False

    def __init__(self, first: str, last: str) -> None:
        super().__init__(f"the range from {first} to {last} contains no partition")


class SelectionError(WanAssetsError):
    """The selection of rows is not valid: it names an id, a column or a value that no row has, or selects no row."""

    hint = "Correct the selection; `wan-assets plan FILE` with the same options shows the rows. Nothing was submitted."
    is_retryable = False


class NotConfirmedError(WanAssetsError):
    """A run that may charge a real account without a budget was not confirmed."""

    hint = "Pass `--yes`, or set a budget for all rows with WAN_ASSETS_BUDGET_USD. Nothing was submitted."
    is_retryable = False


class ModelEndedError(WanAssetsError):
    """The model of a request has ended. Nothing is reserved or submitted; stored videos are reused."""

    hint = "Change the model of the row, in the column `model` or with `--default model=…`. Nothing was paid."
    is_retryable = False


class NotApprovedError(WanAssetsError):
    """A task needs an approved draft, and the draft is not approved, or not any more. The task is not submitted."""

    hint = "Review the draft with `wan-assets review TABLE`, then run again. Nothing was submitted for this row."
    is_retryable = False

    def __init__(self, draft: str, reason: str) -> None:
        super().__init__(f"the draft {draft} is not approved: {reason}")


class UnwantedTakeError(WanAssetsError):
    """A further take of a row is not wanted any more, because of a decision about another take. It is not submitted."""

    hint = "Run again: the row then has the take that was chosen. Nothing was submitted for this take."

    def __init__(self, take: int) -> None:
        super().__init__(f"take {take} of the row is not wanted any more: a decision about an earlier take has changed")


class DecisionError(WanAssetsError):
    """A decision about a video cannot be recorded."""

    hint = "Correct the decision, or reload the page if the video was generated again."
    is_retryable = False


class ApprovalPolicyError(WanAssetsError):
    """A policy cannot be read, or its rules are not valid."""

    hint = (
        "Correct the policy; `wan-assets review TABLE --policy FILE --dry-run` shows what it decides. Nothing was "
        "recorded."
    )
    is_retryable = False


class BudgetExceededError(WanAssetsError):
    """A reservation does not fit in a budget. The task is not submitted.

    `scope` names the budget and its period. `resets_at` is the begin of its next period, or None. `state` is the
    budget's state in the ledger.
    """

    hint = "Raise the budget (`wan-assets ledger budgets set` does), or submit fewer or cheaper rows."
    is_retryable = False

    def __init__(
        self,
        scope: str,
        cap_microusd: int,
        committed_microusd: int,
        requested_microusd: int,
        *,
        resets_at: datetime | None = None,
        state: Any = None,
    ) -> None:
        self.scope = scope
        self.state = state
        self.cap_microusd = cap_microusd
        self.committed_microusd = committed_microusd
        self.requested_microusd = requested_microusd
        self.resets_at = resets_at
        left = max(0, cap_microusd - committed_microusd)
        super().__init__(
            f"${requested_microusd / 1e6:.4f} does not fit in {budget_name(scope)}: "
            f"${committed_microusd / 1e6:.4f} of ${cap_microusd / 1e6:.2f} is spent or reserved, "
            f"${left / 1e6:.4f} is left{reset_note(resets_at)}"
        )


class OverchargedError(WanAssetsError):
    """The API charged more for a task than was reserved. The run submits no further tasks."""

    hint = "Compare with the API's price list. The next run reserves the charged amount for the same kind of request."

    def __init__(self, task_uuid: str, reserved_microusd: int, charged_microusd: int) -> None:
        self.task_uuid = task_uuid
        self.reserved_microusd = reserved_microusd
        self.charged_microusd = charged_microusd
        super().__init__(
            f"the API charged ${charged_microusd / 1e6:.4f} for task {task_uuid}, "
            f"but ${reserved_microusd / 1e6:.4f} was reserved: the run submits no further tasks"
        )


class PausedError(WanAssetsError):
    """The ledger is paused: no run submits further tasks, and tasks in flight complete."""

    hint = "Resume with `wan-assets ledger resume`, then run again for the missing rows."
    is_retryable = False

    def __init__(self, why: str) -> None:
        super().__init__(f"the ledger is paused: {why}")


class ConcurrencyLimitError(WanAssetsError):
    """All runs together have as many tasks in flight as the ledger permits."""

    hint = "Wait until some of them end, or raise the ledger's max_in_flight."

    def __init__(self, maximum: int) -> None:
        super().__init__(f"{maximum} task{' is' if maximum == 1 else 's are'} in flight, which is the ledger's limit")


class NotSubmittedError(WanAssetsError):
    """A task was recorded but never reached the API."""

    hint = "The next run submits it. `wan-assets ledger recover --release-unsent` releases its reservation instead."

    def __init__(self, task_uuid: str) -> None:
        super().__init__(f"the API does not have task {task_uuid}: it was never submitted")


class TaskLockedError(WanAssetsError):
    """Another process works on a task."""

    hint = "Wait until it ends. If its process was killed, the task becomes free within a minute."

    def __init__(self, task_uuid: str) -> None:
        super().__init__(f"another process works on task {task_uuid}")


class LeaseExpiredError(WanAssetsError):
    """A process was delayed for longer than its lease on a task, so that another process may work on the task now."""

    hint = "Run again: the task is polled first, and submitted only if the API does not know it."

    def __init__(self, task_uuid: str) -> None:
        super().__init__(
            f"the lease on task {task_uuid} expired while this process was suspended or the ledger did not answer; "
            "another process may work on the task now, and this one did not submit it"
        )


class NothingToAdoptError(WanAssetsError):
    """A task has no stored file that could be accepted as the video of its row."""

    hint = (
        "`wan-assets ledger adopt --all` adopts every task that has such a file. For other tasks, run the table again: "
        "if the API still has the file, it is downloaded and stored, and nothing is paid."
    )
    is_retryable = False

    def __init__(self, task_uuid: str, why: str) -> None:
        super().__init__(f"task {task_uuid} cannot be adopted: {why}")


class LedgerError(WanAssetsError):
    """The ledger cannot be opened, read or written."""

    hint = (
        "Check that the ledger's file or server can be reached and written, and has free space. No task is submitted "
        "without it."
    )


class LedgerUrlError(LedgerError):
    """The ledger's URL is not valid, or names a database that cannot be used."""

    hint = (
        "Correct the URL in WAN_ASSETS_LEDGER, --url or LedgerResource: sqlite:///folder/ledger.db, or "
        "postgresql+psycopg://user@host/name with the driver `psycopg` installed. No task was submitted."
    )
    is_retryable = False


class LedgerMissingError(LedgerError):
    """A command reads a ledger that does not exist. Such a command does not create one."""

    hint = (
        "Name the ledger of your runs with WAN_ASSETS_LEDGER, or with --url in commands that have this option. "
        "`wan-assets materialize FILE` creates a ledger; commands that only read do not."
    )
    is_retryable = False


class LedgerVersionError(LedgerError):
    """The ledger was written by a newer version of the package."""

    hint = "Install the version of wan-assets that wrote the ledger, or a newer one. The ledger was not changed."
    is_retryable = False


class SettlementRefusedError(LedgerError):
    """A cost cannot be recorded for a task; the task is unchanged."""

    hint = (
        "`wan-assets ledger` lists the tasks that can be settled: tasks of unknown cost, lost tasks, and delivered "
        "tasks that no process works on. `wan-assets ledger recover` or the next run settles a task in flight."
    )
    is_retryable = False


class StoreError(WanAssetsError):
    """The store cannot be read or written."""

    hint = "Make the store's folder writable or free some space, then run again: paid videos are downloaded at no cost."


class StoreAddressError(StoreError):
    """A store's address is not a location that can be opened, or contains credentials."""

    hint = (
        "Name a folder or a URL such as s3://bucket/folder, gs://bucket/folder or az://container/folder, with the "
        "package's extra for it installed ([s3], [gs] or [az]). Provide credentials in the environment, in the "
        "variables or files that the cloud's own tools use."
    )
    is_retryable = False


class VideoNotLocalError(WanAssetsError):
    """A video has no path on this machine, because its store is a bucket."""

    hint = "Use `with video.local_path() as path:`, which downloads the file, or `video.open()`."
    is_retryable = False

    def __init__(self, prompt_id: str, uri: str) -> None:
        super().__init__(f"the video of row {prompt_id} is in a bucket and has no local path: {uri}")


class VideosMissingError(WanAssetsError):
    """Requested partitions have no videos that can be loaded."""

    hint = "Run these partitions of the videos again. Stored videos are reused at no cost."
    is_retryable = False

    def __init__(self, asset: str, reasons: Mapping[str, str]) -> None:
        self.asset = asset
        self.reasons = dict(reasons)
        shown = [f"{partition}: {reason}" for partition, reason in list(self.reasons.items())[:_PARTITIONS_SHOWN]]
        more = [f"and {len(self.reasons) - len(shown)} more"] if len(self.reasons) > len(shown) else []
        count = "1 partition" if len(self.reasons) == 1 else f"{len(self.reasons)} partitions"
        super().__init__(f"{count} of {asset} cannot be loaded: {'; '.join([*shown, *more])}")


class DagsterHomeError(WanAssetsError):
    """Dagster's home cannot be opened. The ledger and the store are separate and are not affected."""

    hint = (
        "Move the damaged files away, as the message says, then run again. The ledger and the store are separate: no "
        "task, cost or video is lost, and stored videos are reused at $0. Only Dagster's run history is lost."
    )
    is_retryable = False

    def __init__(self, folder: Path, reason: str, broken: Sequence[Path], moves: str) -> None:
        named = f"; damaged: {', '.join(map(str, broken))}; repair with: {moves}" if broken else ""
        super().__init__(f"cannot open Dagster's home {folder}: {reason}{named}")


class ExportError(WanAssetsError):
    """An export cannot be written, or a file of the store is damaged or missing."""

    hint = (
        "Name a writable folder that is empty or holds an earlier export of the same format. If a file of the store is "
        "the cause, run the table again: the file is downloaded again."
    )


class InvalidVideoError(WanAssetsError):
    """A file is not a complete video, or not the requested video."""

    hint = (
        "Run again to download the file again. `wan-assets ledger adopt TASK` accepts a file in `set_aside`, if it "
        "plays. "
        f"{_GENERATE_AGAIN}"
    )


class DecoderError(WanAssetsError):
    """Decoding failed for a reason that says nothing about the file: a limit, a crash, or no decoder process."""

    hint = (
        "Give the machine enough memory and time, then run again: the file is kept and checked again, and nothing is "
        "paid. `wan-assets ledger adopt TASK` checks the file without a run."
    )


class DecoderMissingError(DecoderError):
    """This machine has no decoder for a file's codec, so that the file cannot be checked."""

    hint = (
        "Install a version of PyAV (`av`) that has the decoder, then run again: the file is kept and checked again, "
        f"and nothing is paid. {_GENERATE_AGAIN}"
    )


@dataclass(frozen=True)
class ApiFault:
    """An error as the API stated it."""

    code: str
    message: str
    parameter: str | tuple[str, ...] | None = None
    task_uuid: str | None = None
    http_status: int | None = None
    allowed_values: tuple[Any, ...] = ()
    retry_after_s: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


class RunwareError(WanAssetsError):
    """The API refused a call or failed; `fault` keeps the API's own text.

    `may_be_accepted` states that a refused task may nevertheless have been accepted.
    """

    def __init__(self, fault: ApiFault, *, may_be_accepted: bool = False) -> None:
        self.fault = fault
        self.may_be_accepted = may_be_accepted
        super().__init__(_sentence(fault))

    @property
    def code(self) -> str:
        """The API's own code, or `http_<status>`, or the package's name for a connection error."""
        return self.fault.code


class WrongAddressError(RunwareError):
    """The server at the API's address is not the API."""

    hint = (
        "Correct the API's address (RUNWARE_BASE_URL), then run again. Tasks that may have been accepted keep their "
        "reservation and are polled first."
    )
    is_retryable = False


class RequestRejectedError(RunwareError):
    """The API does not accept the parameters of the request."""

    hint = f"Fix the row as the message says. {_RESEND}"
    is_retryable = False

    def __init__(self, fault: ApiFault) -> None:
        super().__init__(fault)
        if fault.parameter:
            self.hint = f"Fix the parameter {_names(fault.parameter)} in the table. {_RESEND}"


class AccessDeniedError(RunwareError):
    """The key is not accepted, or the account has no credit or permission."""

    hint = "Check RUNWARE_API_KEY and the account's balance, then run again. The run submitted no further tasks."
    is_retryable = False


class ContentBlockedError(RunwareError):
    """Moderation refused the prompt, the input or the result."""

    hint = f"Change the prompt or the input image. {_RESEND}"
    is_retryable = False


class TaskFailedError(RunwareError):
    """The provider failed or timed out; a new task may succeed."""

    hint = "Run again: only this row is submitted again."


class TaskUnknownError(RunwareError):
    """The API does not know the task, or has forgotten it."""

    hint = (
        "It may have been paid for: `wan-assets ledger reconcile` compares the ledger with the account's usage. "
        "`wan-assets ledger settle TASK --cost USD` gives up the task, and the next run generates its row again. In "
        "Dagster, `on_lost='resubmit'` of the resource `runware` does this for every lost task."
    )


class TaskTimeoutError(RunwareError):
    """The task did not finish within its time limit."""

    hint = "Run again later: the same task is polled, and nothing is paid twice."


class OutputUnavailableError(RunwareError):
    """The task succeeded, but its file cannot be downloaded."""

    hint = f"Run again: the file is requested again. If it has expired: {_GENERATE_AGAIN}"


class RunwareBusyError(RunwareError):
    """The API or the connection to it has a temporary error; the same request may succeed later.

    `is_surely_refused` states that the API has refused each submission of a task, so that it has not accepted the task.
    """

    hint = "Run again later. Tasks that were accepted are polled, and nothing is paid twice."
    is_transient = True

    def __init__(self, fault: ApiFault, *, is_surely_refused: bool = False) -> None:
        self.is_surely_refused = is_surely_refused
        super().__init__(fault)


class SubmissionUnconfirmedError(RunwareError):
    """A submission was refused after an earlier copy of it was lost and may have been accepted."""

    hint = "Run again: the next run polls the task, and submits it again only if the API does not know it."


class TaskConflictError(RunwareError):
    """The API already has a task with this UUID, so it accepted the task earlier."""

    hint = "Poll the task; do not submit it again."


LOCAL_FILE = "localFile"
"""The code of a row whose local image or audio file cannot be read by the process that runs it."""

PERMANENT_REFUSALS = (ContentBlockedError, RequestRejectedError)
"""Errors for which the API would refuse the same request again."""


_FILE_SYSTEM_ERRORS = (
    ("aiohttp.client_exceptions", "ClientError"),
    ("botocore.exceptions", "BotoCoreError"),
    ("gcsfs.retry", "ChecksumError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("azure.core.exceptions", "AzureError"),
    ("httpx", "HTTPError"),
)


def file_system_errors() -> tuple[type[Exception], ...]:
    """Returns the exceptions of fsspec's file systems. Most pass on exceptions of the packages that they use.

    A package that is not imported yet cannot raise, and importing it takes up to half a second.
    """
    named = [getattr(sys.modules[module], name) for module, name in _FILE_SYSTEM_ERRORS if module in sys.modules]
    return (OSError, ImportError, ValueError, NotImplementedError, *named)


def budget_name(scope: str) -> str:
    """Returns the name of a budget for messages, given `total`, `retakes`, or a period and scope with their names."""
    return f"the total budget{scope.removeprefix('total')}" if scope.startswith("total") else f"the budget of {scope}"


def reset_note(resets_at: datetime | None) -> str:
    """Returns the end of a message that states when a budget resets; nothing for a budget without periods."""
    return f"; it resets at {resets_at:%Y-%m-%d %H:%M %Z}" if resets_at else ""


def _sentence(fault: ApiFault) -> str:
    where = f" (parameter {_names(fault.parameter)})" if fault.parameter else ""
    allowed = f"; allowed: {', '.join(map(str, fault.allowed_values))}" if fault.allowed_values else ""
    task = f" [task {fault.task_uuid}]" if fault.task_uuid else ""
    message = fault.message.removeprefix(f"{fault.code}: ")
    return f"{fault.code}: {message}{where}{allowed}{task}"


def _names(parameter: str | tuple[str, ...]) -> str:
    return parameter if isinstance(parameter, str) else ", ".join(parameter)
