"""Drafts of descriptions: what is read from a published schema, what is noted, and what untrusted text cannot do."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from schema_support import RULES, given, published_schema, size

from wan_assets.errors import ModelDescriptionError
from wan_assets.models import MAX_BYTES, ModelDescription, draft_of, read_description

EVIL = '\x1b[2J"\n[price]\nusd_per_s = "0"\n#\ud800 \u202e'


def described(**changes: Any) -> ModelDescription:
    return read_description(draft_of(published_schema(**changes)).toml)


def notes_of(**changes: Any) -> list[str]:
    return [str(note) for note in draft_of(published_schema(**changes)).notes]


def rules_in(*conditions: dict[str, Any]) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(rule.predicate, rule.parameters, rule.others) for rule in described(rules=[*conditions]).rules]


def test_a_draft_is_a_description_of_the_schema_without_a_price() -> None:
    draft = draft_of(published_schema())
    model = read_description(draft.toml)

    assert (model.id, model.name, model.short_names) == ("example:dunes@1.0", "Dunes 1.0", ("dunes1.0",))
    assert (model.page, model.status) == ("https://runware.ai/docs/models/example-dunes-1-0", "live")
    assert str(model.released) == "2026-11-02"
    assert (model.settings_path, model.makes_videos_from) == ("settings", ("text", "frame images", "reference images"))
    assert model.sizes == {"480p": ((624, 624),), "720p": ((1280, 720), (720, 1280))}
    assert model.latency
    assert (model.latency.typical_s, model.latency.source) == (66, "schema")
    assert model.price is None
    assert [str(note) for note in draft.missing] == [
        "price: the schema has no price table; add [price] with source and usd_per_s for each resolution"
    ]


def test_parameters_have_the_limits_and_defaults_of_the_schema() -> None:
    model = described()
    found = {
        path: limits.model_dump(exclude_defaults=True, exclude={"source"}) for path, limits in model.parameters.items()
    }

    assert {limits.source for limits in model.parameters.values()} == {"schema"}
    assert found == {
        "positivePrompt": {"min_characters": 2, "max_characters": 900},
        "width": {"type": "size"},
        "height": {"type": "size"},
        "resolution": {"values": ("480p", "720p"), "default": "720p"},
        "duration": {"minimum": 3, "maximum": 12, "values": ("auto",), "default": "auto"},
        "inputs.frameImages": {"max_items": 2, "frames": ("first", "last", 0, -1), "type": "media"},
        "inputs.referenceImages": {"max_items": 4, "type": "media"},
        "settings.audio": {"type": "boolean", "default": True},
        "settings.cameraMotion": {"values": ("still", "pan"), "default": "still"},
        "settings.strength": {"minimum": 1, "maximum": 9},
    }


def test_rules_are_predicates_with_examples() -> None:
    model = described()

    assert [(rule.predicate, rule.at) for rule in model.rules] == [
        ("together", "height"),
        ("required_without", "width"),
        ("excludes", "inputs.frameImages"),
        ("excludes", "resolution"),
        ("requires", "resolution"),
        ("required_without", "positivePrompt"),
        ("at_most_with", "duration"),
        ("excludes", "providerSettings.alibaba.cameraMotion"),
        ("in_sizes", "width"),
        ("not_only_last", "inputs.frameImages"),
    ]
    assert all(rule.source == "schema" for rule in model.rules)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"not": {"required": ["resolution", "width"]}}, ("excludes", ("resolution",), ("width",))),
        ({"dependentRequired": {"resolution": ["width"]}}, ("requires", ("resolution",), ("width",))),
        (
            {"anyOf": [given("resolution"), given("inputs.frameImages")]},
            ("needs_one_of", ("resolution", "inputs.frameImages"), ()),
        ),
        (
            {"if": {"not": given("resolution")}, "then": given("inputs.frameImages", "inputs.referenceImages")},
            ("needs_one_of", ("inputs.frameImages", "inputs.referenceImages", "resolution"), ()),
        ),
        (
            {"if": {"not": given("resolution")}, "then": {"required": ["inputs"]}},
            ("needs_one_of", ("inputs.frameImages", "inputs.referenceImages", "resolution"), ()),
        ),
        ({"if": given("width"), "then": {"required": ["width", "height"]}}, ("together", ("width", "height"), ())),
        ({"oneOf": [size("480p", 624, 624)]}, ("in_sizes", ("width", "height"), ())),
    ],
)
def test_a_condition_is_recognized(condition: dict[str, Any], expected: Any) -> None:
    sizes = {"if": given("width"), "then": {"oneOf": [size("480p", 624, 624), size("720p", 1280, 720)]}}

    assert expected in rules_in(condition, sizes)


def test_alternatives_of_which_exactly_one_is_given_exclude_each_other() -> None:
    one_of = {"oneOf": [{"required": ["width", "height"]}, given("resolution"), given("inputs.frameImages")]}
    every = [
        ("needs_one_of", ("width", "height", "resolution", "inputs.frameImages"), ()),
        ("excludes", ("width", "height"), ("resolution",)),
        ("excludes", ("width", "height"), ("inputs.frameImages",)),
        ("excludes", ("resolution",), ("inputs.frameImages",)),
    ]

    assert [rule for rule in rules_in(one_of) if rule in every] == every


@pytest.mark.parametrize(
    "condition",
    [
        {"if": given("resolution"), "then": {"properties": {"duration": {"minimum": 5}}}},
        {"if": given("resolution"), "then": given("width"), "else": given("height")},
        {"if": {"properties": {"resolution": {"const": "480p"}}}, "then": given("width")},
        {"not": {"required": ["resolution", "width", "height"]}},
        {"not": given("resolution")},
        {"if": {"properties": {"inputs": given("frameImages")}}, "then": given("resolution")},
        {"$ref": "#/components/schemas/Other"},
        {"contains": {}},
        {},
        [],
        "text",
    ],
)
def test_a_condition_that_is_not_understood_is_noted_and_not_guessed(condition: Any) -> None:
    notes = notes_of(rules=[condition])

    assert [note for note in notes if note.startswith("allOf, number 1: is not understood, add it as a rule: ")]
    assert [rule.predicate for rule in described(rules=[condition]).rules] == ["not_only_last"]


def test_everything_that_requests_cannot_have_is_noted() -> None:
    notes = "\n".join(notes_of(properties={"width": {"default": 1280}, "negativePrompt": {"maxLength": "many"}}))

    for said in (
        "fps: requests of this package cannot have this parameter",
        "inputs.mask: requests of this package cannot have this input",
        "numberResults: is 1 to 2 in the schema; this package has 1 to 4",
        "width: default 1280 is left out",
        'negativePrompt: maxLength ["many"] is not one whole number',
        "allOf, number 10: is not understood",
    ):
        assert said in notes


def test_a_rule_about_a_parameter_that_is_left_out_is_noted() -> None:
    notes = notes_of(rules=[{"if": given("fps"), "then": given("resolution")}])

    assert "allOf, number 1: the rule requires names fps, which the draft does not have" in notes


def test_settings_of_the_provider_are_read_at_their_place() -> None:
    older = {"alibaba": {"properties": {"shotType": {"enum": ["single", "multi"]}}}, "other": {"properties": {}}}
    text = published_schema(properties={"providerSettings": {"properties": older}}, rules=[])
    schema = json.loads(text)
    del schema["components"]["schemas"]["RequestBody"]["items"]["properties"]["settings"]
    draft = draft_of(json.dumps(schema))
    model = read_description(draft.toml)

    assert model.settings_path == "providerSettings.alibaba"
    assert model.parameters["settings.shotType"].values == ("single", "multi")
    assert "providerSettings.other: settings of this provider are left out" in map(str, draft.notes)


def test_a_duration_without_a_default_is_sent_and_noted() -> None:
    changes = {"properties": {"duration": {"type": "integer", "enum": [8, 4]}}, "rules": []}
    limits = described(**changes).parameters["duration"]

    assert (limits.default, limits.send_default) == (4, True)
    assert "duration: the schema has no default; 4 s are requested if a row has no duration" in notes_of(**changes)


@pytest.mark.parametrize("duration", [{"minimum": 2, "maximum": 9}, {"enum": [2, 9]}])
def test_a_default_that_is_not_allowed_is_noted_and_left_out(duration: dict[str, Any]) -> None:
    changes = {"properties": {"duration": {**duration, "default": "auto"}}, "rules": []}

    assert described(**changes).parameters["duration"].default == 2
    assert 'duration: the default "auto" is not an allowed value' in notes_of(**changes)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@hypothesis.given(st.data())
def test_no_change_of_a_schema_makes_a_draft_fail(data: st.DataObject) -> None:
    schema = json.loads(published_schema(rules=RULES[:4]))
    for _ in range(data.draw(st.integers(1, 3))):
        parent, key = data.draw(st.sampled_from([*_places_in(schema)]))
        parent[key] = data.draw(st.sampled_from(PARTS).map(copy.deepcopy))

    try:
        draft = draft_of(json.dumps(schema))
    except ModelDescriptionError:
        return
    if len(draft.missing) == 1:
        assert read_description(draft.toml).price is None
    assert draft.toml.encode()


PARTS = [None, True, -1, 0.5, 10**30, "", "x", EVIL, [], {}, [None], ["width"], {"required": "width"}, {"anyOf": {}}]


def _places_in(node: Any) -> Iterator[tuple[Any, Any]]:
    for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield node, key
        yield from _places_in(node[key])


def test_a_size_without_a_resolution_is_noted() -> None:
    sizes = {"oneOf": [size("", 1280, 720), size("", 900, 600)]}

    assert described(rules=[sizes]).sizes == {"720p": ((1280, 720),)}
    assert "sizes: the schema does not say which resolution 900x600 has: add it to [sizes]" in notes_of(rules=[sizes])


def test_a_draft_that_lacks_a_duration_says_what_to_add() -> None:
    schema = json.loads(published_schema(rules=[]))
    del schema["components"]["schemas"]["RequestBody"]["items"]["properties"]["duration"]
    missing = draft_of(json.dumps(schema)).missing

    assert [str(note) for note in missing[1:]] == ["description: parameters.duration: is missing; prices depend on it"]


def test_examples_of_charges_are_comments_and_no_price() -> None:
    toml = draft_of(published_schema(info={"x-pricing": {"overview": "$1 a second", "examples": [None, {}]}})).toml

    assert "# - $1 a second\n" in toml
    assert "price" not in re.sub(r"^#.*$", "", toml, flags=re.MULTILINE)
    assert "# - text-to-video · 720p · 5s: $0.41\n" in draft_of(published_schema()).toml


def test_text_of_the_schema_cannot_add_fields_or_control_a_terminal() -> None:
    hostile = {
        "info": {"title": EVIL, "summary": EVIL, "x-status": EVIL, "x-pricing": {"examples": [{"price": EVIL}]}},
        "properties": {EVIL: {}, "resolution": {"enum": ["480p", "720p", EVIL], "default": EVIL}},
        "rules": [{"required": [EVIL]}, {"not": {"required": ["width", EVIL]}}],
    }
    draft = draft_of(published_schema(**hostile))
    model = read_description(draft.toml)

    assert model.price is None
    assert model.parameters["resolution"].values == ("480p", "720p")
    assert all(letter.isprintable() or letter == "\n" for letter in draft.toml)
    assert all(str(note).isprintable() for note in draft.notes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the schema is not JSON"),
        ("[]", "the schema has no parameters"),
        ('{"components": {"schemas": {"RequestBody": []}}}', "the schema has no parameters"),
        ("[" * 100_000, "the schema is nested too deeply"),
        ('{"a": ' * 3_000 + "1" + "}" * 3_000, "the schema"),
        ("9" * 10_000, "the schema is not JSON"),
        (" " * (MAX_BYTES + 1), "the schema has more than 1,048,576 bytes"),
        (published_schema(info={"x-air-id": "a b"}), "the schema has no id of a model"),
        (published_schema(rules=[{"not": given("width", "height")}] * 50), ""),
    ],
)
def test_a_text_that_is_no_schema_is_refused_with_the_reason(text: str, said: str) -> None:
    if said:
        with pytest.raises(ModelDescriptionError, match=said):
            draft_of(text)
    else:
        assert draft_of(text).notes


def test_a_deep_condition_is_no_recursion_error() -> None:
    condition: dict[str, Any] = given("width")
    for _ in range(300):
        condition = {"anyOf": [condition]}

    assert draft_of(published_schema(rules=[{"if": given("resolution"), "then": condition}])).notes
