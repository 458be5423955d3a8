"""The table that sorts the API's codes into the error tree."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from wan_assets.errors import (
    AccessDeniedError,
    ApiFault,
    ContentBlockedError,
    RequestRejectedError,
    RunwareBusyError,
    RunwareError,
    TaskConflictError,
    TaskFailedError,
    TaskUnknownError,
)

_LONGEST_WORD = 40
_STATUS_PREFIX = re.compile(r"^(?:task|job|generation|inference|video|provider|request|status)+")
_SUCCEEDED = frozenset(
    ("success", "successful", "succeeded", "complete", "completed", "done", "finished", "ended", "ok", "ready")
)
_FAILED = {
    **dict.fromkeys(("error", "errored", "fail", "failed", "failure", "unsuccessful", "crashed", "dead"), "taskFailed"),
    **dict.fromkeys(("aborted", "killed", "terminated", "stopped", "interrupted", "invalid"), "taskFailed"),
    **dict.fromkeys(("timeout", "timedout", "deadlineexceeded"), "taskTimeout"),
    **dict.fromkeys(("expired", "deleted", "removed", "gone"), "taskExpired"),
    **dict.fromkeys(("cancel", "cancelled", "canceled", "revoked"), "taskCancelled"),
    **dict.fromkeys(("notfound", "lost"), "taskNotFound"),
    **dict.fromkeys(("rejected", "refused", "denied", "declined"), "taskRejected"),
    **dict.fromkeys(("blocked", "moderated", "filtered", "flagged", "nsfw", "censored"), "taskBlocked"),
}
"""Words that end a task without a result, and the code that each stands for where none is given."""

WRONG_ADDRESS = "base_url"
"""The code of our own for an answer of something that is not the API."""

UPLOAD_IS_GONE = ("mediaNotFound", "mediaExpired")
"""The API has deleted a picture or sound that was uploaded; it may be uploaded again."""

_OF_CREDIT = r".*(credits|quota|balance).*|paymentrequired"

_OVER_CAPACITY = (
    r".*(ratelimit|toomany(requests|tasks|jobs|submissions|concurrent)|concurren|capacity|overload|throttl|queue(is)?full"
    r"|serverbusy).*"
)
"""The API takes no more tasks now."""

_KINDS: tuple[tuple[str, type[RunwareError]], ...] = (
    (r"conflicttaskuuid", TaskConflictError),
    (r".*ratelimitrequesttoolarge", RequestRejectedError),
    (_OVER_CAPACITY, RunwareBusyError),
    (r"invalidprovidercontent|.*contentpolicy.*|moderation.*|.*blocked", ContentBlockedError),
    (r"(nsfw|sensitive|unsafe|inappropriate)content.*|.*datainspection.*", ContentBlockedError),
    (_OF_CREDIT, AccessDeniedError),
    (r"(invalid|missing|expired)?apikey|unauthorized|forbidden|insufficientpermissions", AccessDeniedError),
    (r"(account|organization|workspace)(suspended|disabled)|token.*", AccessDeniedError),
    (r".*timeout.*", TaskFailedError),
    (r"task(notfound|expired|cancelled|failedornotfound)", TaskUnknownError),
    (r"taskrejected", RequestRejectedError),
    (r"(internalserver|standard|unknown|undefined|default)error|.*serviceunavailable", RunwareBusyError),
    (r"serverunavailable|unrecognizedresponse|errorretrieving.*", RunwareBusyError),
    (r"(model|media)(notfound|expired|disabled)|unknownmodel", RequestRejectedError),
    (r"provider.*|inferenceerror|processingfailed|taskfailed", TaskFailedError),
    (r"(download|upload)failed|noavailableserver|model(unavailable|notready)|mediastorage.*", TaskFailedError),
    (r"failedprovider.*", TaskFailedError),
    (r"(invalid|missing|unsupported|value|array|max|min|incompatible|mismatch|unknown).*", RequestRejectedError),
)
"""First match wins; matched against the whole code in lower case, since the API's spelling varies."""

_BY_STATUS: dict[int, type[RunwareError]] = {
    400: RequestRejectedError,
    401: AccessDeniedError,
    402: AccessDeniedError,
    403: AccessDeniedError,
    404: RequestRejectedError,
    405: RequestRejectedError,
    408: RunwareBusyError,
    409: RunwareBusyError,
    413: RequestRejectedError,
    422: RequestRejectedError,
    425: RunwareBusyError,
    429: RunwareBusyError,
}


def is_success_status(status: Any) -> bool:
    """Whether a status ends a task with a result, in whatever case and spelling."""
    return _letters_of(status) in _SUCCEEDED


def code_of_failure_status(status: Any) -> str | None:
    """The code of a status that ends a task without a result; None for any other status."""
    return _FAILED.get(_letters_of(status))


def _letters_of(status: Any) -> str:
    """Only the letters of a status word, in lower case, without words that say whose status it is."""
    if not isinstance(status, str) or len(status) > _LONGEST_WORD:
        return ""
    letters = "".join(filter(str.isalpha, status)).lower()
    return _STATUS_PREFIX.sub("", letters) or letters


_REFUSED_CONTENT = re.compile(
    r"(?:inappropriate|sensitive|unsafe|prohibited) content|data ?inspection ?\w*|content policy", re.IGNORECASE
)
"""What providers say of content that they refuse."""

_OVER_CAPACITY_STATUSES = (429, 503)


def is_over_capacity(error: RunwareError) -> bool:
    """Whether a submission was refused only because the API takes no more tasks now."""
    fault = error.fault
    is_full = (
        fault.http_status in _OVER_CAPACITY_STATUSES or re.fullmatch(_OVER_CAPACITY, fault.code.lower()) is not None
    )
    return isinstance(error, RunwareBusyError) and is_full


def class_of(code: str, http_status: int | None = None) -> type[RunwareError]:
    """Sorts a code, or failing that a status, into the tree; what is unknown is busy, never final."""
    for pattern, kind in _KINDS:
        if re.fullmatch(pattern, code.lower()):
            return kind
    return _BY_STATUS.get(http_status or 0, RunwareBusyError)


def is_api_refusal(fault: ApiFault) -> bool:
    """Whether the API itself has refused a call, as against a bare status, a page or a redirect on the way to it.

    A status of 401 needs no words.
    """
    is_bare = fault.code.startswith("http_") or fault.code == WRONG_ADDRESS
    return fault.task_uuid is not None or fault.http_status == HTTPStatus.UNAUTHORIZED or not is_bare


def is_out_of_credit(fault: ApiFault) -> bool:
    """Whether an account has no credit left, as against a key that is not accepted."""
    return fault.http_status == HTTPStatus.PAYMENT_REQUIRED or bool(re.fullmatch(_OF_CREDIT, fault.code.lower()))


def refusal_of(fault: ApiFault) -> RunwareError:
    """The error of an answer to a submission, poll or other call.

    A time-out or failure on the way, such as a gateway's, says nothing about the task: it counts as busy.
    """
    kind = class_of(fault.code, fault.http_status)
    on_the_way = (fault.http_status or 0) >= 500 or fault.http_status == 408
    if kind is TaskFailedError and on_the_way and code_of_failure_status(fault.detail.get("status")) is None:
        kind = RunwareBusyError
    return kind(fault)


def task_error_of(fault: ApiFault) -> RunwareError:
    """The error of a task that the API accepted and then gave up: what would be busy has failed.

    A provider may refuse content under a code that says only that it failed: then its own words count, and are kept.
    """
    kind = class_of(fault.code)
    if kind not in (RunwareBusyError, TaskConflictError, TaskFailedError):
        return kind(fault)
    if _REFUSED_CONTENT.search(fault.message):
        return ContentBlockedError(fault)
    if found := _REFUSED_CONTENT.search(_provider_text(fault)):
        return ContentBlockedError(replace(fault, message=f"{fault.message} The provider says: {found[0]}."))
    return TaskFailedError(fault)


def _provider_text(fault: ApiFault) -> str:
    said = fault.detail.get("responseContent")
    return said if isinstance(said, str) else json.dumps(said)
