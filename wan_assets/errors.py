"""The error tree.

Each class is named for what the reader should do next::

    WanAssetsError
    ├── PromptTableError            fix the table
    ├── EmptyRangeError             request a range that holds partitions
    ├── BudgetExceededError         raise the budget or send less
    ├── OverchargedError            compare the prices: the API charged more than was reserved
    ├── PausedError                 let the ledger go on
    ├── ConcurrencyLimitError                wait until fewer tasks are in flight
    ├── NotSubmittedError                run the row again, or give its reservation back
    ├── TaskLockedError          wait for the process that works on it
    ├── LeaseExpiredError           run again: another process may have taken the task over
    ├── NothingToAdoptError        name a task whose file was set aside
    ├── LedgerError                 make the ledger readable and writable
    │   ├── LedgerUrlError          correct the ledger's URL
    │   ├── LedgerMissingError      name a ledger that exists, or run a table first
    │   ├── LedgerVersionError      use the package version that wrote the ledger
    │   └── SettlementRefusedError  name a task whose cost is open
    ├── StoreError                  make the store writable, or free some space
    │   └── StoreAddressError       name a place that can be opened, and keep credentials in the environment
    ├── DagsterHomeError            move its damaged files aside
    ├── ExportError                 name a folder for the export alone, and make it writable
    ├── InvalidVideoError           the file is damaged, or not the video that was requested
    ├── DecoderError                check the file again: decoding failed, which says nothing about the file
    │   └── DecoderMissingError     install a decoder for the file's codec
    └── RunwareError                the API said no
        ├── WrongAddressError       fix the API's address
        ├── RequestRejectedError    fix the request
        ├── AccessDeniedError       fix the key or top up the account
        ├── ContentBlockedError     change the prompt
        ├── TaskFailedError         send it again as a new task
        ├── TaskUnknownError        the API does not know the task: look before buying again
        ├── TaskTimeoutError        wait again: the task may still finish
        ├── OutputUnavailableError  the result's file cannot be had any more
        ├── RunwareBusyError        try again later
        ├── SubmissionUnconfirmedError  poll the task: it may have been accepted
        └── TaskConflictError       the API has this task already: poll it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

_BUY_AGAIN = (
    "`wan-assets ledger settle TASK --cost USD` gives the task up, and the next run buys its row again; in Dagster, "
    "the run config `regenerate` buys all rows of a run again."
)

_RESEND = (
    "The same request is not submitted again, unless `wan-assets materialize FILE --resend-refused`, or "
    "`resend_refused` in Dagster, says so."
)


class WanAssetsError(Exception):
    """Something went wrong that a person can mend; `hint` says how."""

    hint: str = ""
    is_transient: ClassVar[bool] = False
    is_retryable: ClassVar[bool] = True
    """Whether the same run may go well later without anybody doing anything."""


class PromptTableError(WanAssetsError):
    """The table cannot be read, or has rows that break a rule."""

    hint = "Fix the table; `wan-assets plan FILE` lists every problem and submits nothing."
    is_retryable = False


class EmptyRangeError(WanAssetsError):
    """A run was requested over a range that holds no partition; it would succeed and make nothing."""

    hint = "Request single partitions, or a range whose ends are in order in each dimension."
    is_retryable = False

    def __init__(self, first: str, last: str) -> None:
        super().__init__(f"the range from {first} to {last} holds no partition")


class BudgetExceededError(WanAssetsError):
    """A reservation would not fit under a cap; nothing was sent for it."""

    hint = "Raise the budget, or send fewer or cheaper rows."
    is_retryable = False

    def __init__(self, scope: str, cap_microusd: int, committed_microusd: int, asked_microusd: int) -> None:
        self.scope = scope
        self.cap_microusd = cap_microusd
        self.committed_microusd = committed_microusd
        self.asked_microusd = asked_microusd
        super().__init__(
            f"${asked_microusd / 1e6:.4f} do not fit under the cap {scope} of ${cap_microusd / 1e6:.2f}: "
            f"${committed_microusd / 1e6:.4f} are spent or reserved"
        )


class OverchargedError(WanAssetsError):
    """The API charged more for a task than was reserved for it; nothing more is sent in this run."""

    hint = "Compare with the API's price list. The next run reserves what was charged for the same kind of request."

    def __init__(self, task_uuid: str, reserved_microusd: int, charged_microusd: int) -> None:
        self.task_uuid = task_uuid
        self.reserved_microusd = reserved_microusd
        self.charged_microusd = charged_microusd
        super().__init__(
            f"${charged_microusd / 1e6:.4f} were charged for task {task_uuid}, "
            f"and ${reserved_microusd / 1e6:.4f} reserved: nothing more was sent"
        )


class PausedError(WanAssetsError):
    """The ledger is paused: nothing more is sent, and what is in flight lands."""

    hint = "`wan-assets ledger resume` lets runs send again; then run again for the rows that are missing."
    is_retryable = False

    def __init__(self, why: str) -> None:
        super().__init__(f"the ledger is paused: {why}")


class ConcurrencyLimitError(WanAssetsError):
    """As many tasks are in flight as the ledger lets all runs have together."""

    hint = "Wait for some of them to end, or raise the ledger's max_in_flight."

    def __init__(self, maximum: int) -> None:
        super().__init__(f"{maximum} tasks are in flight, and no more are let in")


class NotSubmittedError(WanAssetsError):
    """A task was booked, and never reached the API."""

    hint = "The next run sends it; `wan-assets ledger recover --release-unsent` gives its reservation back instead."

    def __init__(self, task_uuid: str) -> None:
        super().__init__(f"the API does not have task {task_uuid}: it was never sent")


class TaskLockedError(WanAssetsError):
    """Another process works on a task."""

    hint = "Wait for it to end; a task whose process has died is free within a minute."

    def __init__(self, task_uuid: str) -> None:
        super().__init__(f"another process works on task {task_uuid}")


class LeaseExpiredError(WanAssetsError):
    """A process was held up for longer than its lease on a task lasts, so that another one may work on it by now."""

    hint = "Run again: the task is polled first, and submitted only if the API does not know it."

    def __init__(self, task_uuid: str) -> None:
        super().__init__(
            f"the lease on task {task_uuid} expired while this process was suspended or the ledger did not answer; "
            "another process may work on the task now, and this one did not submit it"
        )


class NothingToAdoptError(WanAssetsError):
    """A task has no file in the store that could be accepted as its row's video."""

    hint = (
        "`wan-assets ledger adopt --all` takes every task that has such a file. For other tasks, run the table again: "
        "a file that the API still has is fetched and stored, and nothing is paid."
    )
    is_retryable = False

    def __init__(self, task_uuid: str, why: str) -> None:
        super().__init__(f"task {task_uuid} cannot be adopted: {why}")


class LedgerError(WanAssetsError):
    """The ledger cannot be opened, read or written."""

    hint = (
        "Check that the ledger's file or server can be reached and written, and has free space. No task is sent "
        "without it."
    )


class LedgerUrlError(LedgerError):
    """The ledger's URL is none, or names a database that cannot be used."""

    hint = (
        "Correct the URL in WAN_ASSETS_LEDGER, --url or LedgerResource: sqlite:///folder/ledger.db, or "
        "postgresql+psycopg://user@host/name with the driver `psycopg` installed. Nothing was sent."
    )
    is_retryable = False


class LedgerMissingError(LedgerError):
    """A command reads a ledger that does not exist; it creates none."""

    hint = (
        "Name the ledger of your runs with WAN_ASSETS_LEDGER, or with --url in the commands that have it. "
        "`wan-assets materialize FILE` creates a ledger; commands that only read do not."
    )
    is_retryable = False


class LedgerVersionError(LedgerError):
    """A newer version of the package wrote the ledger."""

    hint = "Install the version of wan-assets that wrote the ledger, or a newer one. The ledger was not changed."
    is_retryable = False


class SettlementRefusedError(LedgerError):
    """A cost cannot be recorded for a task; nothing was changed for it."""

    hint = (
        "`wan-assets ledger` lists the tasks that can be settled: those of unknown cost, lost ones, and delivered ones "
        "that no process works on. A task in flight is settled by `wan-assets ledger recover` or the next run."
    )
    is_retryable = False


class StoreError(WanAssetsError):
    """The store cannot be read or written."""

    hint = "Make the store's folder writable or free some space, then run again: paid videos are fetched, not bought."


class StoreAddressError(StoreError):
    """A store's address names no place that can be opened, or holds credentials."""

    hint = (
        "Name a folder or a URL such as s3://bucket/folder, gs://bucket/folder or az://container/folder, with the "
        "package's extra for it installed ([s3], [gs] or [az]). Give credentials in the environment, where the cloud's "
        "own tools look for them."
    )
    is_retryable = False


class DagsterHomeError(WanAssetsError):
    """Dagster's home cannot be opened; the ledger and the store are elsewhere, and are whole."""

    hint = (
        "Move the damaged files aside, as the message says, then run again. The ledger and the store are separate: no "
        "task, cost or video is lost, and stored videos are reused at $0. Only Dagster's history of runs starts anew."
    )
    is_retryable = False

    def __init__(self, folder: Path, reason: str, broken: Sequence[Path], moves: str) -> None:
        named = f"; damaged: {', '.join(map(str, broken))}; repair with: {moves}" if broken else ""
        super().__init__(f"cannot open Dagster's home {folder}: {reason}{named}")


class ExportError(WanAssetsError):
    """An export cannot be written, or a file of the store is not what it should be."""

    hint = (
        "Name a folder that is writable, and empty or an earlier export of the same format. Where a file of the store "
        "is to blame, run the table again: it is fetched anew."
    )


class InvalidVideoError(WanAssetsError):
    """A file is not a whole video, or not the video that was asked for."""

    hint = (
        "Run again to fetch the file anew. `wan-assets ledger adopt TASK` accepts a file that was set aside and plays. "
        f"{_BUY_AGAIN}"
    )


class DecoderError(WanAssetsError):
    """Decoding a file failed for reasons that say nothing about the file: a limit, a crash, or no process at all."""

    hint = (
        "Give the machine enough memory and time, then run again: the file is kept and checked again, and nothing is "
        "paid. `wan-assets ledger adopt TASK` checks it without a run."
    )


class DecoderMissingError(DecoderError):
    """Nothing on this machine decodes a file's codec, so that nobody knows whether the file is whole."""

    hint = (
        "Install a version of PyAV (`av`) that has the decoder, then run again: the file is kept and checked again, "
        f"and nothing is paid. {_BUY_AGAIN}"
    )


@dataclass(frozen=True)
class ApiFault:
    """What the API said, word for word."""

    code: str
    message: str
    parameter: str | tuple[str, ...] | None = None
    task_uuid: str | None = None
    http_status: int | None = None
    allowed_values: tuple[Any, ...] = ()
    retry_after_s: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


class RunwareError(WanAssetsError):
    """The API refused or failed; `fault` keeps its own words.

    `may_be_accepted` tells of a refused submission that the task may have been accepted all the same.
    """

    def __init__(self, fault: ApiFault, *, may_be_accepted: bool = False) -> None:
        self.fault = fault
        self.may_be_accepted = may_be_accepted
        super().__init__(_sentence(fault))

    @property
    def code(self) -> str:
        """The API's own code, or `http_<status>`, or a name for trouble on the way."""
        return self.fault.code


class WrongAddressError(RunwareError):
    """What answers is not the API."""

    hint = (
        "Correct the API's address (RUNWARE_BASE_URL), then run again. Tasks that may have been accepted keep their "
        "reservation and are polled first."
    )
    is_retryable = False


class RequestRejectedError(RunwareError):
    """The API does not accept the request as it stands."""

    hint = f"Fix the row as the message says. {_RESEND}"
    is_retryable = False

    def __init__(self, fault: ApiFault) -> None:
        super().__init__(fault)
        if fault.parameter:
            self.hint = f"Fix the parameter {_names(fault.parameter)} in the table. {_RESEND}"


class AccessDeniedError(RunwareError):
    """The key is not accepted, or the account has no credit or permission."""

    hint = "Check RUNWARE_API_KEY and the account's balance, then run again; nothing more was sent."
    is_retryable = False


class ContentBlockedError(RunwareError):
    """Moderation refused the prompt, the input or the result."""

    hint = f"Change the prompt or the input image. {_RESEND}"
    is_retryable = False


class TaskFailedError(RunwareError):
    """The provider failed or timed out; a new task may succeed."""

    hint = "Run again: a new attempt is sent for this row alone."


class TaskUnknownError(RunwareError):
    """The API does not know the task, or forgot it."""

    hint = (
        "It may have been paid for: `wan-assets ledger reconcile` compares with the account's usage. "
        "`wan-assets ledger settle TASK --cost USD` gives the task up, and the next run buys its row again; in "
        "Dagster, `on_lost='resubmit'` of the resource `runware` does that for every lost task."
    )


class TaskTimeoutError(RunwareError):
    """The task had not finished when its time was up."""

    hint = "Run again later: the same task is asked for, and nothing is paid twice."


class OutputUnavailableError(RunwareError):
    """The task succeeded, but its file cannot be downloaded."""

    hint = f"Run again: the file is asked for again. If it has expired: {_BUY_AGAIN}"


class RunwareBusyError(RunwareError):
    """The API, or the way to it, is in trouble; the same request may pass later.

    `is_surely_refused` tells that the API has refused each submission of a task, so that it has not accepted it.
    """

    hint = "Run again later; tasks already accepted are found again, not paid again."
    is_transient = True

    def __init__(self, fault: ApiFault, *, is_surely_refused: bool = False) -> None:
        self.is_surely_refused = is_surely_refused
        super().__init__(fault)


class SubmissionUnconfirmedError(RunwareError):
    """A submission was refused after an earlier copy of it was lost on the way and may have been accepted."""

    hint = "Run again: the task is asked for first, and sent only if the API does not know it."


class TaskConflictError(RunwareError):
    """The API has a task of this UUID already, so it was accepted before."""

    hint = "Poll the task; do not send it again."


PERMANENT_REFUSALS = (ContentBlockedError, RequestRejectedError)
"""The same request would be refused again."""


def _sentence(fault: ApiFault) -> str:
    where = f" (parameter {_names(fault.parameter)})" if fault.parameter else ""
    allowed = f"; allowed: {', '.join(map(str, fault.allowed_values))}" if fault.allowed_values else ""
    task = f" [task {fault.task_uuid}]" if fault.task_uuid else ""
    said = fault.message.removeprefix(f"{fault.code}: ")
    return f"{fault.code}: {said}{where}{allowed}{task}"


def _names(parameter: str | tuple[str, ...]) -> str:
    return parameter if isinstance(parameter, str) else ", ".join(parameter)
