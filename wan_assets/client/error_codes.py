"""Maps the API's error codes and statuses to the error classes."""

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
"""Status words that end a task without a result, and the code of each for answers that state no code."""

WRONG_ADDRESS = "base_url"
"""The package's own code for an answer from a server that is not the API."""

UPLOAD_IS_GONE = ("mediaNotFound", "mediaExpired")
"""Codes for an uploaded image or audio file that the API has deleted. It may be uploaded again."""

_OF_CREDIT = r".*(credits|quota|balance).*|paymentrequired"

_OVER_CAPACITY = (
    r".*(ratelimit|toomany(requests|tasks|jobs|submissions|concurrent)|concurren|capacity|overload|throttl|queue(is)?full"
    r"|serverbusy).*"
)
"""Codes that mean: the API accepts no more tasks now."""

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
"""Patterns for the whole code in lower case, because the API's spelling varies. The first match counts."""

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
    """Whether a status ends a task with a result, in any case and spelling."""
    return _letters_of(status) in _SUCCEEDED


def code_of_failure_status(status: Any) -> str | None:
    """Returns the code of a status that ends a task without a result; None for any other status."""
    return _FAILED.get(_letters_of(status))


def _letters_of(status: Any) -> str:
    """Returns only the letters of a status in lower case, without a prefix such as `task` or `job`."""
    if not isinstance(status, str) or len(status) > _LONGEST_WORD:
        return ""
    letters = "".join(filter(str.isalpha, status)).lower()
    return _STATUS_PREFIX.sub("", letters) or letters


_REFUSED_CONTENT = re.compile(
    r"(?:inappropriate|sensitive|unsafe|prohibited) content|data ?inspection ?\w*|content policy", re.IGNORECASE
)
"""Phrases with which providers refuse content."""

_OVER_CAPACITY_STATUSES = (429, 503)


def is_over_capacity(error: RunwareError) -> bool:
    """Whether a submission was refused only because the API accepts no more tasks now."""
    fault = error.fault
    is_full = (
        fault.http_status in _OVER_CAPACITY_STATUSES or re.fullmatch(_OVER_CAPACITY, fault.code.lower()) is not None
    )
    return isinstance(error, RunwareBusyError) and is_full


def class_of(code: str, http_status: int | None = None) -> type[RunwareError]:
    """Returns the error class of a code, or of a status if the code is unknown. Anything unknown is temporary, never
    permanent.
    """
    for pattern, kind in _KINDS:
        if re.fullmatch(pattern, code.lower()):
            return kind
    return _BY_STATUS.get(http_status or 0, RunwareBusyError)


def is_api_refusal(fault: ApiFault) -> bool:
    """Whether the API itself refused a call, and not a bare status, a page or a redirect of another server.

    A status of 401 is enough: it needs no message.
    """
    is_bare = fault.code.startswith("http_") or fault.code == WRONG_ADDRESS
    return fault.task_uuid is not None or fault.http_status == HTTPStatus.UNAUTHORIZED or not is_bare


def is_out_of_credit(fault: ApiFault) -> bool:
    """Whether the account has no credit left. A key that is not accepted does not count."""
    return fault.http_status == HTTPStatus.PAYMENT_REQUIRED or bool(re.fullmatch(_OF_CREDIT, fault.code.lower()))


def refusal_of(fault: ApiFault) -> RunwareError:
    """Returns the error for a failed submission, poll or other call.

    A timeout or a failure of the connection, such as a gateway's, says nothing about the task. It counts as temporary.
    """
    kind = class_of(fault.code, fault.http_status)
    on_the_way = (fault.http_status or 0) >= 500 or fault.http_status == 408
    if kind is TaskFailedError and on_the_way and code_of_failure_status(fault.detail.get("status")) is None:
        kind = RunwareBusyError
    return kind(fault)


def task_error_of(fault: ApiFault) -> RunwareError:
    """Returns the error of a task that the API accepted and then ended. Codes that are otherwise temporary count as
    failed.

    A provider may refuse content under a code that says only that the task failed. In that case its message decides,
    and the message is kept.
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
    content = fault.detail.get("responseContent")
    return content if isinstance(content, str) else json.dumps(content)
