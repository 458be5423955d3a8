"""Drafts the description of a model from a published OpenAPI file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from statistics import median
from typing import Any, get_args

import tomli_w

from wan_assets.errors import ModelDescriptionError
from wan_assets.models.catalog import MAX_BYTES, catalog, read_description
from wan_assets.models.description import Status
from wan_assets.models.drafts.examples import Examples
from wan_assets.models.drafts.notes import Note, Notes, excerpt, listed, mapping, plain
from wan_assets.models.drafts.parameters import parameters_of, settings_path_of
from wan_assets.models.drafts.rules import DraftRule, rules_of, sizes_of

_MAX_RULES, _MAX_PARAMETERS = 40, 60
_PAGES = "https://runware.ai/docs/models/"
_MADE_FROM = {
    "positivePrompt": "text",
    "inputs.frameImages": "frame images",
    "inputs.audio": "audio",
    "inputs.referenceImages": "reference images",
    "inputs.referenceVideos": "reference videos",
    "inputs.referenceAudios": "reference audios",
    "inputs.documents": "document",
    "inputs.urls": "web page",
}


@dataclass(frozen=True)
class Draft:
    """A draft in TOML, what was not understood, and the fields that a person has to add."""

    id: str
    toml: str
    notes: tuple[Note, ...]
    missing: tuple[Note, ...] = field(default=())


def draft_of(text: str) -> Draft:
    """Drafts a description from the text of a published OpenAPI 3.1 file. It has no price: `missing` says so.

    Raises `ModelDescriptionError` if the text is not the schema of a model.
    """
    try:
        return _draft_of(_schema_in(text))
    except RecursionError:
        raise ModelDescriptionError("the schema is nested too deeply") from None


def _schema_in(text: str) -> Mapping[str, Any]:
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise ModelDescriptionError(f"the schema has more than {MAX_BYTES:,} bytes")
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise ModelDescriptionError(f"the schema is not JSON: {plain(error)}") from None
    return mapping(schema)


def _draft_of(schema: Mapping[str, Any]) -> Draft:
    notes, info = Notes(), mapping(schema.get("info"))
    body = mapping(mapping(mapping(schema.get("components")).get("schemas")).get("RequestBody"))
    task = mapping(body.get("items"))
    if not mapping(task.get("properties")):
        raise ModelDescriptionError("the schema has no parameters in components.schemas.RequestBody.items.properties")
    parameters = parameters_of(task, notes)
    if len(parameters) > _MAX_PARAMETERS:
        raise ModelDescriptionError(f"the schema has more than {_MAX_PARAMETERS} parameters")
    _complete_duration(parameters, notes)
    sizes = sizes_of(task, parameters.get("resolution", {}).get("values", ()), notes)
    rules = [*_rules_with_examples(task, parameters, sizes, notes)]
    head = {
        **_head_of(info, task, notes),
        "makes_videos_from": [_MADE_FROM[each] for each in _MADE_FROM if each in parameters],
    }
    description = {**head, "settings_path": settings_path_of(task, notes), "sizes_source": "schema"}
    tables = {"parameters": parameters, "sizes": sizes, "rules": rules, **_latency_of(info)}
    toml = tomli_w.dumps({**description, **{name: table for name, table in tables.items() if table or name != "rules"}})
    missing = _missing(toml)
    return Draft(head["id"], f"{_comments(info, notes, missing)}\n{toml}", tuple(notes.found), missing)


def _head_of(info: Mapping[str, Any], task: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    model = info.get("x-air-id") or mapping(mapping(task["properties"]).get("model")).get("const")
    if not isinstance(model, str) or not re.fullmatch(r"[\w.:@/-]{3,100}", model):
        raise ModelDescriptionError("the schema has no id of a model in info.x-air-id")
    name = plain(re.sub(r"^Runware API\s*-\s*", "", str(info.get("title") or "")))[:100] or model
    return {
        "id": model,
        "name": name,
        "short_names": _short_names(model, notes),
        "page": f"{_PAGES}{slug}" if re.fullmatch(r"[\w.-]+", slug := str(info.get("x-model-id", ""))) else "",
        "status": _status(info, notes),
        **_released(info, notes),
        "summary": plain(info.get("summary") or info.get("description") or name),
    }


def _short_names(model: str, notes: Notes) -> list[str]:
    """Returns `wan3.0` for `alibaba:wan@3.0`, unless another model has the name."""
    name = model.rpartition(":")[2].replace("@", "")
    if catalog().id_of(name) in (None, model):
        return [name]
    notes.add("short_names", f"{name} is the name of {catalog().id_of(name)}: add another one")
    return []


def _status(info: Mapping[str, Any], notes: Notes) -> str:
    status = info.get("x-status", "live")
    if status in get_args(Status):
        return str(status)
    notes.add("info.x-status", f"{excerpt(status)} is none of {', '.join(get_args(Status))}; the draft has preview")
    return "preview"


def _released(info: Mapping[str, Any], notes: Notes) -> dict[str, date]:
    if "x-released-at" not in info:
        return {}
    try:
        return {"released": date.fromisoformat(str(info["x-released-at"])[:10])}
    except ValueError:
        notes.add("info.x-released-at", f"{excerpt(info['x-released-at'])} is not a date")
        return {}


def _complete_duration(parameters: dict[str, dict[str, Any]], notes: Notes) -> None:
    """Adds a default that is sent if the schema has none, because prices depend on it."""
    limits = parameters.get("duration")
    if limits is None or "default" in limits:
        return
    values = [limits.get("minimum"), *limits.get("values", ())]
    shortest = min((value for value in values if type(value) is int), default=None)
    if shortest is not None:
        limits |= {"default": shortest, "send_default": True}
        notes.add("duration", f"the schema has no default; {shortest} s are requested if a row has no duration")


def _rules_with_examples(
    task: Mapping[str, Any], parameters: Mapping[str, Any], sizes: Mapping[str, Any], notes: Notes
) -> Iterator[dict[str, Any]]:
    found = [rule for rule in rules_of(task, [*parameters], notes) if rule.predicate != "in_sizes" or sizes]
    rules = [*dict.fromkeys(found)]
    if len(rules) > _MAX_RULES:
        raise ModelDescriptionError(f"the schema has more than {_MAX_RULES} rules")
    examples = Examples(parameters, sizes)
    for rule in rules:
        pair = examples.of(rule, rules)
        if pair is None:
            notes.add(f"{rule.predicate} at {rule.at}", f"is left out, because no example was found: {_named(rule)}")
        else:
            yield {**_as_toml(rule), "source": "schema", "valid": pair[0], "invalid": pair[1]}


def _named(rule: DraftRule) -> str:
    return f"{', '.join(rule.parameters)} {rule.sentence}"


def _as_toml(rule: DraftRule) -> dict[str, Any]:
    fields = {
        "predicate": rule.predicate,
        "at": rule.at,
        "parameters": list(rule.parameters),
        "others": list(rule.others),
        "value": rule.value,
        "sentence": rule.sentence,
        "fix": rule.fix,
    }
    return {name: value for name, value in fields.items() if value not in (None, [])}


def _latency_of(info: Mapping[str, Any]) -> dict[str, Any]:
    examples = [mapping(each) for each in listed(mapping(info.get("x-pricing")).get("examples"))]
    known = [
        (plain(each.get("configuration", "")), each["latencyMs"])
        for each in examples
        if _is_time(each.get("latencyMs"))
    ]
    if not known:
        return {}
    typical_s = round(median(latency for _, latency in known) / 1000)
    texts = [f"{what}: {latency / 1000:.0f} s" for what, latency in known[:20]]
    return {"latency": {"source": "schema", "typical_s": max(typical_s, 1), "examples": texts}}


def _is_time(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e9


def _missing(toml: str) -> tuple[Note, ...]:
    """Returns what a person has to add: always the price, and what the loader demands."""
    price = Note("price", "the schema has no price table; add [price] with source and usd_per_s for each resolution")
    try:
        read_description(toml)
    except ModelDescriptionError as error:
        return price, Note("description", plain(error))
    return (price,)


def _comments(info: Mapping[str, Any], notes: Notes, missing: tuple[Note, ...]) -> str:
    """Returns the head of the draft: what is missing, what was not understood, and examples of prices."""
    pricing = mapping(info.get("x-pricing"))
    examples = [mapping(each) for each in listed(pricing.get("examples"))[:20]]
    prices = [f"{plain(each.get('configuration', ''))}: {plain(each.get('price', ''))}" for each in examples]
    overview = [plain(pricing["overview"])] if "overview" in pricing else []
    parts = {
        "Drafted by `wan-assets models import`. Check it against the model's page.": [],
        "To add:": [*map(str, missing)],
        "Not taken from the schema:": [*map(str, notes.found)],
        "Examples of charges in the schema, which are no price table:": [*overview, *prices],
    }
    lines = [
        line
        for head, items in parts.items()
        if items or not head.endswith(":")
        for line in (head, *(f"- {item}" for item in items))
    ]
    return "".join(f"# {line}\n" for line in lines)
