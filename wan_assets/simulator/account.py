"""Simulated account tasks: balance, usage, uploads and details of earlier tasks."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from wan_assets.models import MODEL, description_of
from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.journal import Journal, Usage
from wan_assets.simulator.refusals import RefusalError, checked_uuid, error_item
from wan_assets.simulator.tasks import data_of, errors_of
from wan_assets.simulator.uploads import Uploads

_MAX_DAYS = 30


class Account:
    """Handles all tasks that are not videos."""

    def __init__(self, journal: Journal, uploads: Uploads, behaviour: Behaviour) -> None:
        self._journal = journal
        self._uploads = uploads
        self._behaviour = behaviour

    def answer(self, task: Mapping[str, Any], root: str) -> dict[str, Any]:
        """Returns one item of `data`; raises `RefusalError`."""
        kind, operation = str(task.get("taskType")), str(task.get("operation", ""))
        answers = {
            ("accountManagement", "getDetails"): self._details,
            ("accountManagement", "getUsageActivity"): self._usage,
            ("mediaStorage", "upload"): self._uploads.stored,
            ("mediaStorage", "delete"): self._uploads.deleted,
        }
        if kind == "getTaskDetails":
            task_uuid = checked_uuid(task)
            return {"taskType": kind, "taskUUID": task_uuid, **self._archived(task_uuid, root)}
        if answer := answers.get((kind, operation)):
            return {"taskType": kind, "taskUUID": checked_uuid(task), "operation": operation, **answer(task)}
        if kind in ("accountManagement", "mediaStorage"):
            message = "operation is unknown."
            raise RefusalError(400, error_item("unsupportedOperation", message, task, parameter="operation"))
        code = "unsupportedTaskType" if "taskType" in task else "missingTaskType"
        raise RefusalError(400, error_item(code, "taskType is unknown.", task, parameter="taskType"))

    def _details(self, _: Mapping[str, Any]) -> dict[str, Any]:
        balance = round(self._behaviour.balance_usd - self._journal.spent_microusd() / 1e6, 4)
        is_object = self._behaviour.is_balance_object
        spans = (("today", 1), ("last7Days", 7), ("last30Days", 30))
        usage = {name: self._since(days) for name, days in spans}
        return {
            "organizationUUID": "00000000-0000-4000-8000-000000000000",
            "organizationName": "Simulated",
            "balance": {"amount": balance, "currency": "USD"} if is_object else balance,
            "team": [],
            "apiKeys": [],
            "usage": {**usage, "total": _total(self._journal.usage("0000", "9999"))},
        }

    def _since(self, days: int) -> dict[str, Any]:
        first = datetime.fromtimestamp(self._behaviour.clock(), UTC).date() - timedelta(days=days - 1)
        return _total(self._journal.usage(first.isoformat(), "9999"))

    def _usage(self, task: Mapping[str, Any]) -> dict[str, Any]:
        first, last = _day_of(task, "startDate"), _day_of(task, "endDate")
        if not timedelta(0) <= last - first < timedelta(days=_MAX_DAYS):
            message = f"Request 1 to {_MAX_DAYS} days."
            raise RefusalError(400, error_item("invalidEndDate", message, task, parameter="endDate"))
        models, groups = _names_of(task, "models", MODEL), _names_of(task, "groupBy", "date")
        span = first.isoformat(), last.isoformat()
        days = self._journal.usage(*span, models if "models" in task else ())
        by_model = {model: self._journal.usage(*span, [model]) for model in models}
        meta = {
            "totalRequests": sum(day.tasks for day in days),
            "totalResults": sum(day.results for day in days),
            "totalSpend": _usd(days),
            **_projection(_usd(days), first, last),
        }
        rows = {
            "date": [_row(models[0], [day], date=day.day) for day in days],
            "model": [_row(model, found) for model, found in by_model.items() if found],
        }
        names = {"date": "timeseries", "model": "model"}
        return {"usage": {names[by]: {"data": rows[by], "meta": meta} for by in groups if by in names}}

    def _archived(self, task_uuid: str, root: str) -> dict[str, Any]:
        task = self._journal.task(task_uuid)
        if task is None:
            return {"request": [], "response": None}
        errors = list(errors_of(task, self._behaviour))
        response = {"data": list(data_of(task, self._behaviour, root))}
        return {"request": [task.request], "response": {**response, **({"errors": errors} if errors else {})}}


def _projection(spend_usd: float, first: date, last: date) -> dict[str, float]:
    """Returns the mean of some days, and their total with that mean for the rest of the last day's month."""
    mean_usd = spend_usd / ((last - first).days + 1)
    left = monthrange(last.year, last.month)[1] - last.day
    return {"avgDailySpend": round(mean_usd, 6), "projectedSpend": round(spend_usd + mean_usd * left, 6)}


def _day_of(task: Mapping[str, Any], name: str) -> date:
    try:
        return date.fromisoformat(str(task.get(name))[:10])
    except ValueError:
        code = f"invalid{name[0].upper()}{name[1:]}"
        raise RefusalError(400, error_item(code, f"{name} must be a date.", task, parameter=name)) from None


def _names_of(task: Mapping[str, Any], name: str, default: str) -> list[str]:
    given = task.get(name) or [default]
    if isinstance(given, list) and all(isinstance(each, str) for each in given):
        return given
    message = f"{name} must be a list of names."
    raise RefusalError(400, error_item(f"invalid{name[0].upper()}{name[1:]}", message, task, parameter=name))


def _row(model: str, days: Iterable[Usage], **head: Any) -> dict[str, Any]:
    days = list(days)
    about = {**head, "model": model, "modelName": description_of(model).name}
    return {**about, "count": sum(day.tasks for day in days), "spend": _usd(days)}


def _total(days: list[Usage]) -> dict[str, Any]:
    return {"credits": _usd(days), "requests": sum(day.tasks for day in days)}


def _usd(days: Iterable[Usage]) -> float:
    return sum(day.spent_microusd for day in days) / 1e6
