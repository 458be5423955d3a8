"""What is not a video: balance, usage, uploads and the archive of tasks."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from wan_assets.request import MODEL
from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.books import Books
from wan_assets.simulator.tasks import data_of, errors_of
from wan_assets.simulator.wire import RefusalError, item


class Account:
    """Answers the tasks that concern the account."""

    def __init__(self, books: Books, behaviour: Behaviour) -> None:
        self._books = books
        self._behaviour = behaviour

    def answer(self, task: Mapping[str, Any], base_url: str) -> dict[str, Any]:
        """One item of `data`, or a `RefusalError`."""
        head = {"taskType": task["taskType"], "taskUUID": task.get("taskUUID", "")}
        said = (str(task["taskType"]), str(task.get("operation", "")))
        if said == ("accountManagement", "getDetails"):
            return {**head, "operation": "getDetails", **self._details()}
        if said == ("accountManagement", "getUsageActivity"):
            return {**head, "operation": "getUsageActivity", "usage": {"timeseries": self._usage(task)}}
        if said == ("mediaStorage", "upload"):
            return {**head, "operation": "upload", **self._uploaded(task)}
        if said == ("mediaStorage", "delete"):
            self._books.delete_media(str(task.get("media")))
            return {**head, "operation": "delete", "mediaUUID": task.get("media")}
        if said[0] == "getTaskDetails":
            return {**head, **self._archived(str(task.get("taskUUID")), base_url)}
        raise RefusalError(
            400, item("unsupportedTaskType", "taskType or operation is unknown.", task, parameter="taskType")
        )

    def _details(self) -> dict[str, Any]:
        spent = self._books.spent_microusd() / 1e6
        balance = round(self._behaviour.balance_usd - spent, 4)
        told = {"amount": balance, "currency": "USD"} if self._behaviour.is_balance_object else balance
        total = {"credits": round(spent, 4), "requests": len(self._books.charges())}
        return {"organizationName": "Simulated", "balance": told, "usage": {"total": total}}

    def _usage(self, task: Mapping[str, Any]) -> dict[str, Any]:
        first, last = str(task.get("startDate", "")), str(task.get("endDate", "9999"))
        days: dict[str, list[int]] = defaultdict(list)
        for charge in self._books.charges():
            day = datetime.fromtimestamp(charge.charged_at, UTC).date().isoformat()
            if first <= day <= last:
                days[day].append(charge.amount_microusd)
        rows = [
            {"date": day, "model": MODEL, "count": len(amounts), "spend": round(sum(amounts) / 1e6, 6)}
            for day, amounts in sorted(days.items())
        ]
        return {"data": rows, "meta": {"totalRequests": sum(row["count"] for row in rows)}}

    def _uploaded(self, task: Mapping[str, Any]) -> dict[str, Any]:
        if not task.get("media"):
            raise RefusalError(400, item("missingMedia", "media is missing.", task, parameter="media"))
        media_uuid = str(uuid.uuid4())
        self._books.add_media(media_uuid, str(task["taskUUID"]), len(str(task["media"])))
        if self._behaviour.is_upload_slow:
            return {"mediaUUID": "1"}
        return {"mediaUUID": media_uuid, "mediaURL": f"https://im.runware.ai/image/{media_uuid}"}

    def _archived(self, task_uuid: str, base_url: str) -> dict[str, Any]:
        task = self._books.task(task_uuid)
        if task is None:
            return {"request": [], "response": None}
        now = self._behaviour.clock()
        response = {"data": list(data_of(task, now, base_url)), "errors": list(errors_of(task, now))}
        return {"request": [task.request], "response": response}
