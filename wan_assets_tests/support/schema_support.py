"""The published schema of a model that does not exist, in the form of Runware's OpenAPI files."""

from __future__ import annotations

import json
from typing import Any


def given(*paths: str) -> dict[str, Any]:
    """The condition that one of some parameters is given."""
    conditions = [_is_given(path) for path in paths]
    return conditions[0] if len(conditions) == 1 else {"anyOf": conditions}


def _is_given(path: str) -> dict[str, Any]:
    group, _, name = path.rpartition(".")
    if not group:
        return {"required": [name]}
    head, _, inner = group.partition(".")
    inside = _is_given(f"{inner}.{name}" if inner else name)
    return {"properties": {head: inside}, "required": [head]}


def size(title: str, width: int, height: int) -> dict[str, Any]:
    """An alternative of the supported sizes."""
    return {"title": title, "properties": {"width": {"const": width}, "height": {"const": height}}}


FRAME = {"oneOf": [{"const": frame} for frame in ("first", "last", 0, -1)]}
PROPERTIES: dict[str, Any] = {
    "model": {"type": "string", "const": "example:dunes@1.0"},
    "taskType": {"type": "string", "const": "videoInference"},
    "positivePrompt": {"type": "string", "minLength": 2, "maxLength": 900},
    "width": {"type": "integer"},
    "height": {"type": "integer"},
    "resolution": {"type": "string", "enum": ["480p", "720p"], "default": "720p"},
    "duration": {
        "type": ["integer", "string"],
        "oneOf": [{"type": "integer", "minimum": 3, "maximum": 12}, {"const": "auto"}],
        "default": "auto",
    },
    "fps": {"type": "integer", "enum": [24, 30]},
    "numberResults": {"type": "integer", "minimum": 1, "maximum": 2},
    "inputs": {
        "type": "object",
        "properties": {
            "frameImages": {
                "type": "array",
                "maxItems": 2,
                "items": {"anyOf": [{"type": "string"}, {"type": "object", "properties": {"frame": FRAME}}]},
                "contains": {"not": {"properties": {"frame": {"enum": ["last", -1]}}, "required": ["frame"]}},
            },
            "referenceImages": {"type": "array", "maxItems": 4, "items": {"type": "string"}},
            "mask": {"type": "string"},
        },
    },
    "settings": {
        "type": "object",
        "properties": {
            "audio": {"type": "boolean", "default": True},
            "cameraMotion": {"oneOf": [{"const": "still"}, {"const": "pan"}], "default": "still"},
            "strength": {"type": "integer", "minimum": 1, "maximum": 9},
        },
    },
}
RULES: list[dict[str, Any]] = [
    {"dependentRequired": {"width": ["height"], "height": ["width"]}},
    {
        "if": {"not": given("inputs.frameImages", "inputs.referenceImages")},
        "then": {"required": ["width", "height"]},
    },
    {"not": {"allOf": [given("inputs.frameImages"), given("inputs.referenceImages")]}},
    {"not": {"allOf": [given("resolution"), given("width", "height")]}},
    {"if": given("resolution"), "then": given("inputs.frameImages", "inputs.referenceImages")},
    {"if": {"not": given("inputs.frameImages")}, "then": {"required": ["positivePrompt"]}},
    {"if": given("inputs.referenceImages"), "then": {"properties": {"duration": {"maximum": 6}}}},
    {"if": given("settings.cameraMotion"), "then": {"not": given("inputs.frameImages")}},
    {
        "if": given("width", "height"),
        "then": {
            "required": ["width", "height"],
            "oneOf": [size("480p (1:1)", 624, 624), size("720p (16:9)", 1280, 720), size("", 720, 1280)],
        },
    },
    {"if": {"properties": {"fps": {"enum": [30]}}}, "then": {"properties": {"duration": {"maximum": 5}}}},
]
INFO: dict[str, Any] = {
    "title": "Runware API - Dunes 1.0",
    "summary": "Sand in the wind",
    "x-model-id": "example-dunes-1-0",
    "x-air-id": "example:dunes@1.0",
    "x-status": "live",
    "x-released-at": "2026-11-02T00:00:00",
    "x-pricing": {
        "examples": [
            {"configuration": "text-to-video · 720p · 5s", "price": "$0.41", "latencyMs": 91500},
            {"configuration": "first-frame · 480p · 3s", "price": "$0.12", "latencyMs": 40500},
        ]
    },
}


def published_schema(info: Any = None, properties: Any = None, rules: Any = None) -> str:
    """The text of a schema, with other information, parameters or rules."""
    task = {
        "type": "object",
        "properties": {**PROPERTIES, **(properties or {})},
        "allOf": RULES if rules is None else rules,
        "required": ["taskType", "model"],
    }
    body = {"type": "array", "items": task}
    document = {
        "openapi": "3.1.0",
        "info": {**INFO, **(info or {})},
        "components": {"schemas": {"RequestBody": body}},
    }
    return json.dumps(document)
