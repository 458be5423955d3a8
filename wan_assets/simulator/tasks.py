"""Simulated tasks: their results are decided at acceptance and reported when they finish."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from wan_assets.models import VideoRequest, charged_inputs, price_per_s_microusd
from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.faults import DEVIATIONS, TASK_FAULTS
from wan_assets.simulator.journal import AcceptedTask
from wan_assets.simulator.refusals import error_item
from wan_assets.video import Clip

_FAILURES = {
    "verdict_error": ("providerError", "timeoutProvider", "providerInternalError", "inferenceError"),
    "verdict_in_data": ("providerError",),
    "verdict_504": ("failedProviderTimeout",),
    "verdict_safety": ("invalidProviderContent",),
}
_ROUNDED_TO = 32
_LONGER_S = 2
_SHORT_AUDIO_S = 0.2
_INPUT_S = 5
"""Every input video has this length, because the simulator does not open any."""
_SEEDS = 2**32
_COST_STEP_MICROUSD = 100  # results report dollars with four decimals


def accepted_task(
    task: Mapping[str, Any],
    request: VideoRequest,
    fingerprint: str,
    behaviour: Behaviour,
    *,
    root: str,
    copy: int = 1,
) -> AcceptedTask:
    """Decides all results of a task; `copy` numbers runs under one UUID, and `root` is the URL for files."""
    now, task_uuid = behaviour.clock(), str(task["taskUUID"])
    key = key_of(task_uuid, copy)
    fault = _fault_of(key, request, behaviour)
    results = range(request.number_results)
    plan = tuple(_planned(key, number, request, behaviour, fault) for number in results)
    ends = (now + behaviour.latency_s * (1 + 0.1 * number) for number in results)
    pairs = zip(plan, ends, strict=True)
    timed = tuple({**result, "finishes_at": end, "root": root} for result, end in pairs)
    return AcceptedTask(task_uuid, task, fingerprint, now, timed)


def key_of(task_uuid: str, copy: int) -> str:
    """Returns the text that decides the results of a run under a UUID."""
    return task_uuid if copy == 1 else f"{task_uuid} {copy}"


def price_microusd(key: str, request: VideoRequest, behaviour: Behaviour) -> int:
    """Returns the price of one result. A size given by an image costs the highest rate, as observed, and a resolution
    without a published price the lowest one.
    """
    seconds = _duration_s(key, request, behaviour) + _INPUT_S * charged_inputs(request)
    price = price_per_s_microusd(request, _charged_resolution(request)) * seconds * behaviour.cost_factor
    return round(price / _COST_STEP_MICROUSD) * _COST_STEP_MICROUSD


def _charged_resolution(request: VideoRequest) -> str:
    price = request.description.price
    is_open = request.image is not None and request.resolution is None and price and price.any_resolution_from_image
    if price and not is_open and request.tier in price.unpublished:
        return min(price.usd_per_s, key=price.usd_per_s.__getitem__)
    return "" if is_open else request.tier or ""


def _duration_s(key: str, request: VideoRequest, behaviour: Behaviour) -> int:
    """Returns the duration of the results; a duration that the model chooses is at random, but always the same."""
    choices = range(request.shortest_s, request.longest_s + 1)
    return choices[int(behaviour.chance("duration", key) * len(choices))]


def charge_microusd(task: AcceptedTask, price: int, behaviour: Behaviour) -> int:
    """Returns the charge for a task, which is due at acceptance."""
    is_charged = {"": True, "lost_task": behaviour.is_loss_charged}
    return price * sum(is_charged.get(result["fault"], behaviour.is_failure_charged) for result in task.plan)


def _planned(
    key: str,
    number: int,
    request: VideoRequest,
    behaviour: Behaviour,
    fault: str,
) -> dict[str, Any]:
    is_given = request.seed is not None and number == 0
    is_hit = fault != "partial" or number == request.number_results - 1
    kind = ("verdict_error" if fault == "partial" else fault) if is_hit else ""
    codes = _FAILURES.get(kind, ("",))
    namespace = uuid.uuid5(uuid.NAMESPACE_OID, f"{behaviour.seed} {key}")
    return {
        "video_uuid": str(uuid.UUID(bytes=uuid.uuid5(namespace, str(number)).bytes, version=4)),
        "seed": request.seed if is_given else int(behaviour.chance("seed", key, number) * _SEEDS),
        "fault": kind,
        "code": codes[int(behaviour.chance("code", key) * len(codes))],
        "cost": _reported_cost(key, request, behaviour),
        "duration_s": _duration_s(key, request, behaviour),
        "has_url": not behaviour.has_fault("no_url", key),
        "is_nsfw": behaviour.has_fault("nsfw", key) or "nsfw" in request.prompt.lower(),
    }


def _fault_of(key: str, request: VideoRequest, behaviour: Behaviour) -> str:
    possible = (fault for fault in TASK_FAULTS if fault != "partial" or request.number_results > 1)
    return behaviour.fault_among(possible, key)


def _reported_cost(key: str, request: VideoRequest, behaviour: Behaviour) -> Any:
    cost = price_microusd(key, request, behaviour) / 1e6
    faulty = {"cost_missing": None, "cost_zero": 0, "cost_string": str(cost), "cost_nan": float("nan")}
    return next((value for fault, value in faulty.items() if behaviour.has_fault(fault, key)), cost)


def data_of(task: AcceptedTask, behaviour: Behaviour, root: str) -> Iterator[dict[str, Any]]:
    """Yields the items of a poll's `data`: finished results and running results."""
    now, has_placeholder = behaviour.clock(), False
    for number, result in enumerate(task.plan):
        if result["fault"] == "lost_task":
            continue
        if result["finishes_at"] > now:
            if not (has_placeholder and behaviour.has_one_placeholder):
                yield _running(task, result, behaviour)
            has_placeholder = True
        elif result["fault"] in ("", "verdict_in_data"):
            yield finished(task, number, behaviour, root)


def errors_of(task: AcceptedTask, behaviour: Behaviour) -> Iterator[dict[str, Any]]:
    """Yields the items of a poll's `errors`: failed results."""
    now = behaviour.clock()
    for number, result in enumerate(task.plan):
        if result["finishes_at"] <= now and result["fault"] not in ("", "verdict_in_data", "lost_task"):
            yield finished(task, number, behaviour, "")


def finished(task: AcceptedTask, number: int, behaviour: Behaviour, root: str) -> dict[str, Any]:
    """Returns the final item of one result: a success, or an error in one of its two formats."""
    result, head = task.plan[number], _head(task)
    if not result["fault"]:
        return {**head, "status": "success", **_reported_item(task, result, root), **_extra(behaviour)}
    message = f"The provider {'refused the content' if result['fault'] == 'verdict_safety' else 'failed'}."
    detail = {"provider": "alibaba", "message": message}
    if result["fault"] == "verdict_in_data":
        return {**head, "status": "error", "error": {"code": result["code"], "message": message}}
    return error_item(result["code"], message, head, status="error", responseContent=detail)


def poll_status_of(task: AcceptedTask, behaviour: Behaviour) -> int:
    """Returns the HTTP status of a poll for only this task."""
    now = behaviour.clock()
    failed = [result for result in task.plan if result["fault"] and result["finishes_at"] <= now]
    if any(result["fault"] == "verdict_504" for result in failed):
        return 504
    return behaviour.failed_poll_status if len(failed) == len(task.plan) else 200


def file_url(task: AcceptedTask, result: Mapping[str, Any], root: str) -> str:
    """Returns the URL of a result's file; `root` is the URL of the server."""
    return f"{root}/files/{result['video_uuid']}.{format_of(task).lower()}"


def format_of(task: AcceptedTask) -> str:
    """Returns the requested container: MP4, MOV or WEBM."""
    return str(task.request.get("outputFormat") or "MP4")


def clip_of(task: AcceptedTask, number: int) -> Clip:
    """Returns the clip that was requested."""
    request = VideoRequest.from_record(task.request)
    width, height = _size_of(request)
    return Clip(
        container=request.output_format,
        width=width,
        height=height,
        duration_s=int(task.plan[number].get("duration_s") or request.shortest_s),
        has_audio=request.has_audio,
        seed=int(task.plan[number]["seed"]),
        prompt=request.prompt,
    )


def served_clip(task: AcceptedTask, number: int, behaviour: Behaviour) -> Clip:
    """Returns the clip to render: the requested clip with its injected deviations."""
    clip = clip_of(task, number)
    if not behaviour.has_any(DEVIATIONS):
        return clip
    fault_among = {fault for fault in DEVIATIONS if behaviour.has_fault(fault, task.task_uuid)}
    sides = (clip.width, clip.height)
    if "rounded_size" in fault_among:
        sides = (clip.width // _ROUNDED_TO * _ROUNDED_TO, clip.height // _ROUNDED_TO * _ROUNDED_TO)
    return replace(
        clip,
        width=sides[0],
        height=sides[1],
        duration_s=clip.duration_s + (_LONGER_S if "longer_clip" in fault_among else 0),
        has_audio=("missing_audio" not in fault_among) if clip.has_audio else "extra_audio" in fault_among,
        audio_s=_SHORT_AUDIO_S if "short_audio" in fault_among else None,
    )


def _size_of(request: VideoRequest) -> tuple[int, int]:
    if request.width and request.height:
        return request.width, request.height
    sizes = request.description.sizes
    return sizes[request.tier or "720p"][0]


def _head(task: AcceptedTask) -> dict[str, Any]:
    return {"taskType": "videoInference", "taskUUID": task.task_uuid}


def _running(task: AcceptedTask, result: Mapping[str, Any], behaviour: Behaviour) -> dict[str, Any]:
    reported = {**_head(task), "status": behaviour.running_status, **_extra(behaviour)}
    if behaviour.has_progress:
        passed = (behaviour.clock() - task.accepted_at) / (result["finishes_at"] - task.accepted_at)
        reported["progress"] = int(100 * passed)
    return reported


def _reported_item(task: AcceptedTask, result: Mapping[str, Any], root: str) -> dict[str, Any]:
    reported = {"videoUUID": result["video_uuid"]}
    if result["has_url"]:
        reported["videoURL"] = file_url(task, result, root)
    reported["seed"] = result["seed"]
    if task.request.get("includeCost") and result["cost"] is not None:
        reported["cost"] = result["cost"]
    safety = task.request.get("safety") or {}
    if (safety.get("mode") or ("fast" if safety.get("checkContent") else "none")) != "none":
        reported["NSFWContent"] = result["is_nsfw"]
    return {**reported, "simulated": True}


def _extra(behaviour: Behaviour) -> dict[str, Any]:
    return {"modelVersion": "preview", "metrics": {"queue": 0.5}} if behaviour.has_extra_fields else {}
