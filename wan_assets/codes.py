"""The table that sorts the API's codes into the error tree."""

from __future__ import annotations

import re

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
    (r"(nsfw|sensitive|unsafe)content.*", ContentBlockedError),
    (r".*(credits|quota|balance).*|paymentrequired", AccessDeniedError),
    (r"(invalid|missing|expired)?apikey|unauthorized|forbidden|insufficientpermissions", AccessDeniedError),
    (r"(account|organization|workspace)(suspended|disabled)|token.*", AccessDeniedError),
    (r".*timeout.*", TaskFailedError),
    (r"task(notfound|expired|cancelled|failedornotfound)", TaskUnknownError),
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
    409: RequestRejectedError,
    413: RequestRejectedError,
    422: RequestRejectedError,
    425: RunwareBusyError,
    429: RunwareBusyError,
}


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


def refusal_of(fault: ApiFault) -> RunwareError:
    """The error of an answer to a submission, poll or other call.

    A time-out or failure on the way, such as a gateway's, says nothing about the task: it counts as busy.
    """
    kind = class_of(fault.code, fault.http_status)
    on_the_way = (fault.http_status or 0) >= 500 or fault.http_status == 408
    if kind is TaskFailedError and on_the_way and fault.detail.get("status") != "error":
        kind = RunwareBusyError
    return kind(fault)


def verdict_of(fault: ApiFault) -> RunwareError:
    """The error of a task that the API accepted and then gave up: what would be busy has failed."""
    kind = class_of(fault.code)
    return (TaskFailedError if kind in (RunwareBusyError, TaskConflictError) else kind)(fault)
