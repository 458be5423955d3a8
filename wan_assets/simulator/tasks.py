"""The life of a simulated task: decided whole when it is accepted, told piece by piece as time goes on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from wan_assets.pricing import MICROUSD_PER_S
from wan_assets.request import SIZES, Tier, VideoRequest
from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.books import AcceptedTask
from wan_assets.simulator.wire import item
from wan_assets.video import Clip

_VERDICTS = {
    "verdict_error": ("timeoutProvider", "The provider did not answer in time."),
    "verdict_in_data": ("providerError", "The provider failed."),
    "verdict_504": ("failedProviderTimeout", "The provider timed out."),
    "verdict_safety": ("invalidProviderContent", "The provider's moderation refused the content."),
}
_SEEDS = 2**32


def accepted_task(task: Mapping[str, Any], request: VideoRequest, behaviour: Behaviour) -> AcceptedTask:
    """Decides all that will become of a task."""
    now, task_uuid = behaviour.clock(), str(task["taskUUID"])
    results = range(request.number_results)
    plan = tuple(_planned(task_uuid, number, request, behaviour, now) for number in results)
    return AcceptedTask(task_uuid, task, request.fingerprint(), now, plan)


def price_microusd(request: VideoRequest, behaviour: Behaviour) -> int:
    """The price of one result: from a picture with width and height at the 1080p rate, as the page's example."""
    tier: Tier = "1080p" if request.image and request.resolution is None else request.tier or "1080p"
    return round(MICROUSD_PER_S[tier] * request.duration * behaviour.cost_factor)


def _planned(task_uuid: str, number: int, request: VideoRequest, behaviour: Behaviour, now: float) -> dict[str, Any]:
    given = request.seed is not None and number == 0
    return {
        "video_uuid": str(uuid.UUID(bytes=uuid.uuid5(uuid.UUID(task_uuid), str(number)).bytes, version=4)),
        "seed": request.seed if given else int(behaviour.chance("seed", task_uuid, number) * _SEEDS),
        "finishes_at": now + behaviour.latency_s * (1 + 0.1 * number),
        "fault": _fault_of(task_uuid, number, request, behaviour),
        "cost": _told_cost(task_uuid, request, behaviour),
        "has_url": not behaviour.strikes("no_url", task_uuid),
        "is_nsfw": behaviour.strikes("nsfw", task_uuid) or "nsfw" in request.positive_prompt.lower(),
    }


def _fault_of(task_uuid: str, number: int, request: VideoRequest, behaviour: Behaviour) -> str:
    for fault in _VERDICTS:
        if behaviour.strikes(fault, task_uuid):
            return fault
    is_last = number == request.number_results - 1 > 0
    return "verdict_error" if is_last and behaviour.strikes("partial", task_uuid) else ""


def _told_cost(task_uuid: str, request: VideoRequest, behaviour: Behaviour) -> Any:
    cost = round(price_microusd(request, behaviour) / 1e6, 4)
    odd = {"cost_missing": None, "cost_zero": 0, "cost_string": str(cost), "cost_nan": float("nan")}
    return next((said for fault, said in odd.items() if behaviour.strikes(fault, task_uuid)), cost)


def data_of(task: AcceptedTask, now: float, base_url: str) -> Iterator[dict[str, Any]]:
    """The items of a poll's `data`: what has finished, and what is still going on."""
    head = {"taskType": "videoInference", "taskUUID": task.task_uuid}
    for result in task.plan:
        if result["finishes_at"] > now:
            yield {**head, "status": "processing"}
        elif not result["fault"]:
            yield {**head, "status": "success", **_told(task, result, base_url)}
        elif result["fault"] == "verdict_in_data":
            code, message = _VERDICTS["verdict_in_data"]
            yield {**head, "status": "error", "error": {"code": code, "message": message}}


def errors_of(task: AcceptedTask, now: float) -> Iterator[dict[str, Any]]:
    """The items of a poll's `errors`: what has failed."""
    head = {"taskType": "videoInference", "taskUUID": task.task_uuid}
    for result in task.plan:
        if result["finishes_at"] <= now and result["fault"] not in ("", "verdict_in_data"):
            code, message = _VERDICTS[result["fault"]]
            yield item(code, message, head, status="error", responseContent={"provider": message})


def is_504(task: AcceptedTask, now: float) -> bool:
    """Whether a poll about this task alone is to be answered with HTTP 504."""
    return any(result["fault"] == "verdict_504" and result["finishes_at"] <= now for result in task.plan)


def file_url(task: AcceptedTask, result: Mapping[str, Any], base_url: str) -> str:
    """Where a result's file is served."""
    root = base_url.rstrip("/").removesuffix("/v1")
    return f"{root}/files/{result['video_uuid']}.{request_of(task).output_format.lower()}"


def request_of(task: AcceptedTask) -> VideoRequest:
    """The request of an accepted task."""
    return VideoRequest.model_validate(task.request)


def clip_of(task: AcceptedTask, number: int) -> Clip:
    """What to render for a result."""
    request = request_of(task)
    width, height = _size_of(request)
    return Clip(
        container=request.output_format,
        width=width,
        height=height,
        duration_s=request.duration,
        has_audio=request.has_audio,
        seed=int(task.plan[number]["seed"]),
        prompt=request.positive_prompt,
    )


def _size_of(request: VideoRequest) -> tuple[int, int]:
    if request.width and request.height:
        return request.width, request.height
    tier = request.tier or "720p"
    return next(size for size, of_tier in SIZES.items() if of_tier == tier)


def _told(task: AcceptedTask, result: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    told = {"videoUUID": result["video_uuid"], "seed": result["seed"], "simulated": True}
    if result["has_url"]:
        told["videoURL"] = file_url(task, result, base_url)
    if task.request.get("includeCost") and result["cost"] is not None:
        told["cost"] = result["cost"]
    safety = task.request.get("safety") or {}
    if safety.get("checkContent") or safety.get("mode", "none") != "none":
        told["NSFWContent"] = result["is_nsfw"]
    return told
