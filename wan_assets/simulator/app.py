"""The application: one endpoint that takes arrays of tasks, and the files they make."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wan_assets.pricing import microusd
from wan_assets.simulator.account import Account
from wan_assets.simulator.answers import envelope, fault_after, fault_before, poll_fault
from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.books import Books
from wan_assets.simulator.deliveries import Deliveries
from wan_assets.simulator.files import Files
from wan_assets.simulator.tasks import accepted_task, data_of, errors_of, is_504, price_microusd
from wan_assets.simulator.wire import RefusalError, checked, item
from wan_assets.version import __version__


def create_app(state: str | Path, behaviour: Behaviour | None = None) -> Starlette:
    """The API as an application that keeps its state in a folder; several may share one."""
    behaviour = behaviour or Behaviour()
    books = Books(state)
    files = Files(Path(state), books, behaviour)
    api = _Api(books, behaviour, deliveries := Deliveries(books, files, behaviour))

    @asynccontextmanager
    async def delivering(_: Starlette) -> AsyncIterator[None]:
        sending = asyncio.create_task(deliveries.run())
        yield
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        books.close()

    routes = [Route("/v1", api.endpoint, methods=["POST"]), Route("/files/{name}", files.serve)]
    middleware = [Middleware(_Signed), Middleware(GZipMiddleware, minimum_size=1000)]
    return Starlette(routes=routes, middleware=middleware, lifespan=delivering)


class _Signed:
    """Says in every answer who made it, and lets an answer close its connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-simulated-by", f"wan-assets/{__version__}".encode()))
            await send(message)

        await self._app(scope, receive, signed)


class _Api:
    def __init__(self, books: Books, behaviour: Behaviour, deliveries: Deliveries) -> None:
        self._books = books
        self._behaviour = behaviour
        self._account = Account(books, behaviour)
        self._deliveries = deliveries

    async def endpoint(self, request: Request) -> Response:
        self._deliveries.base_url = str(request.url)
        try:
            tasks = self._authorised(request, _tasks_in(await request.body()))
            if tasks and all(task.get("taskType") == "getResponse" for task in tasks):
                return self._polled(tasks, str(request.url))
            if len(tasks) == 1 and tasks[0].get("taskType") == "videoInference":
                return self._submitted(tasks[0])
            return self._mixed(tasks, str(request.url))
        except RefusalError as refusal:
            return envelope([], refusal.items, refusal.status)

    def _authorised(self, request: Request, tasks: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        key = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if tasks and tasks[0].get("taskType") == "authentication":
            key, tasks = str(tasks[0].get("apiKey", "")), tasks[1:]
        if not key or self._behaviour.api_key not in (None, key):
            said = {"taskType": "authentication", "parameter": "apiKey"}
            raise RefusalError(401, {**item("invalidApiKey", "The API key is missing or not valid."), **said})
        return tasks

    def _submitted(self, task: Mapping[str, Any]) -> Response:
        occurrence = self._books.count("submit", str(task.get("taskUUID")))
        if broken := fault_before(task, occurrence, self._behaviour):
            self._note(task, "fault")
            return broken
        self._accept(task)
        return fault_after(task, occurrence, self._behaviour) or envelope([_acknowledgement(task)], [])

    def _accept(self, task: Mapping[str, Any]) -> None:
        try:
            request = checked(task)
        except RefusalError:
            self._note(task, "refused")
            raise
        accepted = accepted_task(task, request, self._behaviour)
        sold = sum(not result["fault"] for result in accepted.plan)
        amount = sold * price_microusd(request, self._behaviour)
        limit = microusd(self._behaviour.balance_usd)
        said = self._books.accept(accepted, amount, limit, again=self._may_run_again(accepted.task_uuid))
        self._note(task, said)
        if said == "known":
            status = int(self._behaviour.duplicates.removeprefix("conflict_").replace("rerun", "400"))
            raise RefusalError(
                status, item("conflictTaskUUID", "A task with this UUID exists.", task, parameter="taskUUID")
            )
        if said == "poor":
            raise RefusalError(402, item("insufficientCredits", "The account's balance is too low.", task))

    def _may_run_again(self, task_uuid: str) -> bool:
        known = self._books.task(task_uuid) if self._behaviour.duplicates == "rerun" else None
        return known is not None and all(result["finishes_at"] <= self._behaviour.clock() for result in known.plan)

    def _note(self, task: Mapping[str, Any], outcome: str) -> None:
        self._books.note_submission(str(task.get("taskUUID")), self._behaviour.clock(), outcome)

    def _polled(self, asked: list[Mapping[str, Any]], url: str) -> Response:
        uuids = list(dict.fromkeys(str(task.get("taskUUID")) for task in asked))
        if {"poll_429", "poll_502"} & self._behaviour.faults.keys():
            occurrence = self._books.count("poll", uuids[0])
            if broken := poll_fault(uuids[0], occurrence, self._behaviour):
                return broken
        data, errors, now = [], [], self._behaviour.clock()
        for task_uuid in uuids[: self._behaviour.polls_answered]:
            task = self._books.task(task_uuid)
            if task is None or self._behaviour.strikes("lost_task", task_uuid):
                told, wrong = self._strange(task_uuid)
                data += told
                errors += wrong
            else:
                data += data_of(task, now, url)
                errors += errors_of(task, now)
                if len(uuids) == 1 and is_504(task, now):
                    return envelope(data, errors, 504)
        return envelope(data, errors, empty=self._behaviour.has_empty_errors)

    def _strange(self, task_uuid: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        if media_uuid := self._books.media_of(task_uuid):
            return [{"taskType": "mediaStorage", "taskUUID": task_uuid, "mediaUUID": media_uuid}], []
        if self._behaviour.unknown_task == "error":
            return [], [item("taskNotFound", "No such task.", {"taskType": "getResponse", "taskUUID": task_uuid})]
        return [], []

    def _mixed(self, tasks: list[Mapping[str, Any]], url: str) -> Response:
        data, errors, status = [], [], 200
        for task in tasks:
            try:
                if task.get("taskType") == "videoInference":
                    self._accept(task)
                    data.append(_acknowledgement(task))
                else:
                    data.append(self._account.answer({"taskType": "", **task}, url))
            except RefusalError as refusal:
                errors += refusal.items
                status = refusal.status
        return envelope(data, errors, status, empty=self._behaviour.has_empty_errors)


def _tasks_in(body: bytes) -> list[Mapping[str, Any]]:
    try:
        tasks = json.loads(body)
    except ValueError:
        raise RefusalError(400, item("invalidJSON", "The body is no valid JSON.")) from None
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks) or not tasks:
        raise RefusalError(400, item("invalidRequest", "The body must be an array of task objects."))
    return tasks


def _acknowledgement(task: Mapping[str, Any]) -> dict[str, Any]:
    return {"taskType": "videoInference", "taskUUID": task["taskUUID"]}
