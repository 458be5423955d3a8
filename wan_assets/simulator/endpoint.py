"""The endpoint: handles the tasks of one POST. Blocking only while it waits for the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from wan_assets.models import VideoRequest, microusd
from wan_assets.simulator.account import Account
from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.faults import ACCEPTANCE_FAULTS, POLL_FAULTS, SUBMISSION_FAULTS
from wan_assets.simulator.journal import AcceptedTask, Journal
from wan_assets.simulator.refusals import RefusalError, checked_uuid, error_item, media_in, valid_request
from wan_assets.simulator.responses import envelope, json_response, poll_fault, submission_fault, unauthorised
from wan_assets.simulator.tasks import (
    accepted_task,
    charge_microusd,
    data_of,
    errors_of,
    key_of,
    poll_status_of,
    price_microusd,
)
from wan_assets.simulator.uploads import Uploads

Tasks = Sequence[Mapping[str, Any]]


class Endpoint:
    """Handles tasks of all types."""

    def __init__(self, journal: Journal, behaviour: Behaviour) -> None:
        self._journal = journal
        self._behaviour = behaviour
        self._uploads = Uploads(journal, behaviour)
        self._account = Account(journal, self._uploads, behaviour)

    def answer(self, tasks: Tasks, root: str) -> Response:
        """Returns the response to one POST; `root` is the URL under which files are served."""
        if all(task.get("taskType") == "getResponse" for task in tasks):
            return self._polled(tasks, root)
        with self._journal.transaction():
            return self._handled(tasks, root)

    def _handled(self, tasks: Tasks, root: str) -> Response:
        submitted = [(task, self._occurrence(task)) for task in tasks if task.get("taskType") == "videoInference"]
        for task, occurrence in submitted:
            if fault := self._fault_among(SUBMISSION_FAULTS, task, occurrence):
                for each, _ in submitted:
                    self._record(each, "fault")
                return submission_fault(fault, task, json_response({}), self._behaviour)
        data, errors, statuses = self._results(tasks, root)
        answer = self._response(data, errors, 200 if data or not statuses else statuses[0])
        accepted = {str(item["taskUUID"]) for item in data if item["taskType"] == "videoInference"}
        for task, occurrence in submitted:
            fault = (
                self._fault_among(ACCEPTANCE_FAULTS, task, occurrence) if str(task.get("taskUUID")) in accepted else ""
            )
            if fault:
                return submission_fault(fault, task, answer, self._behaviour)
        return answer

    def _results(self, tasks: Tasks, root: str) -> tuple[list[Any], list[Any], list[int]]:
        data: list[Any] = []
        errors: list[Any] = []
        statuses: list[int] = []
        for task in tasks:
            try:
                if task.get("taskType") == "getResponse":
                    reported, failures, _ = self._reported(checked_uuid(task), root)
                    data += reported
                    errors += failures
                elif task.get("taskType") == "videoInference":
                    data.append(self._submitted(task, root))
                else:
                    data.append(self._account.answer(task, root))
            except RefusalError as refusal:
                errors += refusal.items
                statuses.append(refusal.status)
        return data, errors, statuses

    def _submitted(self, task: Mapping[str, Any], root: str) -> dict[str, Any]:
        try:
            outcome, refusal = self._accept(task, root)
        except RefusalError:
            self._record(task, "refused")
            raise
        self._record(task, outcome)
        if refusal:
            raise refusal
        return {"taskType": "videoInference", "taskUUID": task["taskUUID"]}

    def _accept(self, task: Mapping[str, Any], root: str) -> tuple[str, RefusalError | None]:
        request = valid_request(task)
        fingerprint = self._fingerprint_of(task, request)
        behaviour = self._behaviour
        earlier = self._journal.task(str(task["taskUUID"]))
        again = earlier is not None and self._runs_again(earlier)
        copy = self._journal.count("run", earlier.task_uuid) + 1 if earlier and again else 1
        price = price_microusd(key_of(str(task["taskUUID"]), copy), request, behaviour)
        accepted = accepted_task(task, request, fingerprint, behaviour, copy=copy, root=root)
        amount, limit = charge_microusd(accepted, price, behaviour), microusd(behaviour.balance_usd)
        if earlier and self._is_race(earlier):
            return self._with_refusal("again" if self._journal.charge(accepted, amount, limit) else "poor", task)
        return self._with_refusal(self._journal.accept(accepted, amount, limit, again=again), task)

    def _with_refusal(self, outcome: str, task: Mapping[str, Any]) -> tuple[str, RefusalError | None]:
        if outcome == "known":
            status = int(self._behaviour.duplicates.partition("conflict_")[2] or 400)
            error = error_item("conflictTaskUUID", "A task with this UUID exists.", task, parameter="taskUUID")
            return outcome, RefusalError(status, error)
        if outcome == "poor":
            error = error_item("insufficientCredits", "The account's balance is too low.", task)
            return outcome, RefusalError(402, error)
        return outcome, None

    def _runs_again(self, earlier: AcceptedTask) -> bool:
        return self._behaviour.duplicates == "rerun" and earlier.finishes_at <= self._behaviour.clock()

    def _is_race(self, earlier: AcceptedTask) -> bool:
        age_s = self._behaviour.clock() - earlier.accepted_at
        return self._behaviour.duplicates == "race" and age_s < self._behaviour.race_s

    def _fingerprint_of(self, task: Mapping[str, Any], request: VideoRequest) -> str:
        """Computes the fingerprint as a ledger does: from the content of uploads. Refuses deleted uploads."""
        known = self._uploads.references(media for _, media in request.media)
        for parameter, media in media_in(request):
            if known.get(media) == "":
                raise RefusalError(400, error_item("mediaNotFound", "It was deleted.", task, parameter=parameter))
        return request.with_media(known).fingerprint() if known else request.fingerprint()

    def _polled(self, polls: Tasks, root: str) -> Response:
        if fault := self._poll_fault(str(polls[0].get("taskUUID"))):
            return poll_fault(fault, self._behaviour, str(polls[0].get("taskUUID")))
        uuids = list(dict.fromkeys(str(task.get("taskUUID")) for task in polls))
        uuids = uuids[: self._behaviour.polls_answered]
        found = self._journal.tasks(uuids)
        data: list[Any] = []
        errors: list[Any] = []
        status = 200
        for task_uuid in uuids:
            reported, failures, status = self._reported(task_uuid, root, found)
            data += reported
            errors += failures
        return self._response(data, errors, status if len(uuids) == 1 else 200)

    def _reported(
        self, task_uuid: str, root: str, found: Mapping[str, AcceptedTask] | None = None
    ) -> tuple[list[Any], list[Any], int]:
        task = (self._journal.tasks((task_uuid,)) if found is None else found).get(task_uuid)
        if task and task.plan[0]["fault"] != "lost_task":
            reported = list(data_of(task, self._behaviour, root))
            return reported, list(errors_of(task, self._behaviour)), poll_status_of(task, self._behaviour)
        if upload := self._uploads.report(task_uuid):
            return [upload], [], 200
        if self._behaviour.unknown_task == "error":
            poll = {"taskType": "getResponse", "taskUUID": task_uuid}
            return [], [error_item("taskNotFound", "No such task.", poll)], 200
        return [], [], 200

    def _poll_fault(self, task_uuid: str) -> str:
        """Returns the fault for the next poll of a task; two consecutive polls never both fail."""
        if not self._behaviour.has_any(POLL_FAULTS):
            return ""
        occurrence = self._journal.count("poll", task_uuid)
        is_next = occurrence % 2 == 0 and self._behaviour.fault_among(POLL_FAULTS, task_uuid, occurrence - 1)
        return "" if is_next else self._behaviour.fault_among(POLL_FAULTS, task_uuid, occurrence)

    def _occurrence(self, task: Mapping[str, Any]) -> int:
        has_any = self._behaviour.has_any((*SUBMISSION_FAULTS, *ACCEPTANCE_FAULTS))
        return self._journal.count("submit", str(task.get("taskUUID"))) if has_any else 1

    def _fault_among(self, faults: Mapping[str, str], task: Mapping[str, Any], occurrence: int) -> str:
        if occurrence > 1 and not self._behaviour.repeats:
            return ""
        return self._behaviour.fault_among(faults, str(task.get("taskUUID")), occurrence)

    def _record(self, task: Mapping[str, Any], outcome: str) -> None:
        self._journal.note_submission(str(task.get("taskUUID")), self._behaviour.clock(), outcome)

    def _response(self, data: list[Any], errors: list[Any], status: int) -> Response:
        if self._behaviour.has_upper_case_uuids:
            data, errors = list(map(_in_upper_case, data)), list(map(_in_upper_case, errors))
        if self._behaviour.has_empty_errors and not errors:
            return json_response({"data": data, "errors": []}, status)
        return envelope(data, errors, status)


def _in_upper_case(item: Mapping[str, Any]) -> dict[str, Any]:
    return {**item, **({"taskUUID": str(item["taskUUID"]).upper()} if "taskUUID" in item else {})}


def authorised(tasks: Tasks, header: str | None, behaviour: Behaviour) -> Tasks:
    """Returns the tasks without the authentication task; raises `RefusalError` for a failures key."""
    key = (header or "").removeprefix("Bearer ").strip()
    if tasks and tasks[0].get("taskType") == "authentication":
        key, tasks = key or str(tasks[0].get("apiKey") or ""), tasks[1:]
    if not key or behaviour.api_key not in (None, key):
        raise RefusalError(401, unauthorised())
    return tasks
