"""The error tree: every documented code in its class, and sentences that name the culprit."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_assets import errors
from wan_assets.client.error_codes import class_of, refusal_of, task_error_of
from wan_assets.errors import (
    AccessDeniedError,
    ApiFault,
    BudgetExceededError,
    ContentBlockedError,
    RequestRejectedError,
    RunwareBusyError,
    RunwareError,
    TaskConflictError,
    TaskFailedError,
    TaskUnknownError,
    WanAssetsError,
)

TABLE = {
    AccessDeniedError: """invalidApiKey missingApiKey unauthorized forbidden insufficientPermissions accountSuspended
        accountDisabled organizationSuspended organizationDisabled workspaceSuspended workspaceDisabled tokenExpired
        tokenInvalid insufficientCredits providerInsufficientCredits thirdPartyInsufficientCredits quotaExceeded
        paymentRequired lowBalance""",
    RunwareBusyError: """rateLimitExceeded inferenceRateLimitExceeded providerRateLimitExceeded rateLimit
        internalServerError serviceUnavailable serverUnavailable standardError unknownError undefinedError defaultError
        unrecognizedResponse errorRetrievingAccountManagement""",
    RequestRejectedError: """inferenceRateLimitRequestTooLarge invalidSeed missingPositivePrompt unsupportedDuration
        unsupportedParameter unsupportedTaskType valueTooLarge arrayTooLong maxLength unknownParameter
        incompatibleParameters mismatchProviderSettingsProvider unknownProviderSettingsProvider modelNotFound
        unknownModel modelDisabled mediaNotFound mediaExpired""",
    ContentBlockedError: """contentPolicyViolation providerContentPolicyViolation invalidProviderContent
        sensitiveContentDetected unsafeContentDetected nsfwContentDetected promptBlocked imageBlocked
        moderationFailed""",
    TaskFailedError: """timeoutProvider failedProviderTimeout providerTimeout providerGatewayTimeout requestTimeout
        webhookTimeout providerError providerUnavailable providerBadGateway providerInternalError providerUnknownError
        providerAuthenticationFailed inferenceError processingFailed taskFailed downloadFailed uploadFailed
        noAvailableServer modelUnavailable modelNotReady mediaStorageFileCouldNotBeMoved""",
    TaskUnknownError: "taskNotFound taskExpired taskCancelled taskFailedOrNotFound",
    TaskConflictError: "conflictTaskUUID",
}
CODES = [(code, kind) for kind, codes in TABLE.items() for code in codes.split()]
STATUSES = {
    400: RequestRejectedError,
    401: AccessDeniedError,
    402: AccessDeniedError,
    403: AccessDeniedError,
    404: RequestRejectedError,
    405: RequestRejectedError,
    413: RequestRejectedError,
    422: RequestRejectedError,
    408: RunwareBusyError,
    425: RunwareBusyError,
    429: RunwareBusyError,
    500: RunwareBusyError,
    502: RunwareBusyError,
    503: RunwareBusyError,
    504: RunwareBusyError,
    200: RunwareBusyError,
    599: RunwareBusyError,
}


def classes(root: type[WanAssetsError] = WanAssetsError) -> Iterator[type[WanAssetsError]]:
    """The tree of this module, root first; other modules have leaves of their own."""
    yield root
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield from classes(kind)


@pytest.mark.parametrize(("code", "kind"), CODES)
def test_every_documented_code_has_its_class_in_any_spelling(code: str, kind: type[RunwareError]) -> None:
    assert {class_of(each, 418) for each in (code, code.lower(), code.upper())} == {kind}


@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
def test_an_unknown_code_is_sorted_by_its_status(status: int, kind: type[RunwareError]) -> None:
    assert class_of("somethingNew", status) is kind
    assert class_of(f"http_{status}", status) is kind


def test_what_is_unknown_altogether_is_busy_and_never_final() -> None:
    assert class_of("somethingNew") is RunwareBusyError


@given(st.text(), st.none() | st.integers(min_value=100, max_value=599))
def test_any_code_has_a_class_and_any_verdict_is_final(code: str, status: int | None) -> None:
    fault = ApiFault(code, "No.", http_status=status)

    assert issubclass(class_of(code, status), RunwareError)
    assert refusal_of(fault).fault is fault
    assert not task_error_of(fault).is_transient


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
@pytest.mark.parametrize("code", ["requestTimeout", "providerGatewayTimeout", "providerError", "noAvailableServer"])
def test_a_failure_on_the_way_is_no_failure_of_the_task(code: str, status: int) -> None:
    on_the_way = ApiFault(code, "No.", http_status=status)
    verdict = ApiFault(code, "No.", http_status=status, detail={"status": "error"})

    assert type(refusal_of(on_the_way)) is RunwareBusyError
    assert type(refusal_of(verdict)) is TaskFailedError
    assert type(refusal_of(ApiFault(code, "No.", http_status=400))) is TaskFailedError


@pytest.mark.parametrize("code", ["rateLimitExceeded", "internalServerError", "conflictTaskUUID", "somethingNew"])
def test_a_task_that_was_given_up_has_failed_whatever_the_code(code: str) -> None:
    assert type(task_error_of(ApiFault(code, "No.", http_status=200))) is TaskFailedError


@pytest.mark.parametrize("kind", [kind for kind in classes() if kind not in (WanAssetsError, RunwareError)])
def test_every_class_has_advice_of_its_own(kind: type[WanAssetsError]) -> None:
    advices = [other.hint for other in classes()]

    assert kind.hint.endswith(".")
    assert advices.count(kind.hint) == 1


def test_only_busy_is_transient() -> None:
    assert [kind for kind in classes() if kind.is_transient] == [RunwareBusyError]


def test_the_tree_that_is_drawn_is_the_tree_of_the_classes() -> None:
    lines = [line for line in (errors.__doc__ or "").splitlines() if re.search(r"\w+Error", line)]
    drawn = [(len(re.match(r"[ │├└─]*", line)[0]) // 4 - 1, re.search(r"\w+Error", line)[0]) for line in lines]

    def depth_of(kind: type) -> int:
        return kind.__mro__.index(WanAssetsError)

    assert sorted(drawn) == sorted((depth_of(kind), kind.__name__) for kind in classes())
    assert [name for depth, name in drawn if depth < 2][-1] == "RunwareError"


def test_every_error_of_the_module_is_in_the_tree() -> None:
    found = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)}

    assert found == set(classes())


def test_a_sentence_names_parameter_allowed_values_and_task() -> None:
    fault = ApiFault("unsupportedDuration", "Invalid value.", "duration", "task-1", 400, (5, 10))

    said = str(refusal_of(fault))

    assert said == "unsupportedDuration: Invalid value. (parameter duration); allowed: 5, 10 [task task-1]"


def test_a_sentence_names_every_parameter_and_nothing_that_is_absent() -> None:
    both = str(refusal_of(ApiFault("incompatibleParameters", "No.", ("width", "resolution"))))
    bare = str(refusal_of(ApiFault("http_500", "No.")))

    assert both == "incompatibleParameters: No. (parameter width, resolution)"
    assert bare == "http_500: No."


def test_the_raw_code_stays_on_the_error() -> None:
    assert refusal_of(ApiFault("timeoutProvider", "No.")).code == "timeoutProvider"


def test_a_budget_error_says_cap_spent_and_asked() -> None:
    error = BudgetExceededError("day 2026-07-01", 25_000_000, 24_900_000, 473_000)

    assert str(error) == (
        "$0.4730 does not fit in the budget of day 2026-07-01: $24.9000 of $25.00 is spent or reserved, $0.1000 is left"
    )
    assert (error.cap_microusd, error.committed_microusd, error.requested_microusd) == (25_000_000, 24_900_000, 473_000)
