"""The descriptions of models: each is complete, and the loader refuses one that is damaged."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from wan_assets.errors import ModelDescriptionError
from wan_assets.models import ModelDescription, VideoRequest, catalog, read_description, violations_of

TEXTS = {
    path.name: path.read_text("utf-8")
    for path in (files("wan_assets.models") / "descriptions").iterdir()
    if path.name.endswith(".toml")
}
MODELS = {name: read_description(text) for name, text in TEXTS.items()}
RULES = [
    pytest.param(model, rule, id=f"{model.short_name} {number} {rule.predicate} {rule.at}")
    for model in MODELS.values()
    for number, rule in enumerate(model.rules, 1)
]
DAMAGES = [
    ('short_names = ["wan2.6"]', 'short_names = ["wan 2.6"]', "short_names.0: String should match pattern"),
    ('page = "https', 'page = "javascript', "page: must be an http or https URL"),
    ("negativePrompt = {", "negative = {", "parameters.negative: is not a parameter that requests can have"),
    (
        'negativePrompt = { source = "unknown" }',
        'negativePrompt = { source = "schema" }',
        "negativePrompt: has no limit",
    ),
    ("duration = {", '"settings.duration" = {', "parameters.duration: is missing; prices depend on it"),
    ("values = [5, 10, 15]", 'values = ["auto"]', "parameters.duration: needs values in whole seconds"),
    ("values = [5, 10, 15], default = 5,", "values = [5, 10, 15],", "parameters.duration: needs a default"),
    (
        "values = [5, 10, 15], default = 5",
        "values = [5, 10, 15], default = 6",
        "the default 6 is not within the limits",
    ),
    ("max_characters = 1500", "minimum = 3, maximum = 2", "parameters.positivePrompt: minimum is above maximum"),
    ("\n1080p = [", "\n4k = [", "sizes.4k: is not a value of resolution"),
    ('\n1080p = ["1920x1080"', '\n1080p = ["1280x720"', "sizes: 1280x720 is given twice"),
    ('predicate = "together"', 'predicate = "jointly"', "is not a predicate; known: at_most_with"),
    ("with {given}", "with {name}", "{name} is not a placeholder"),
    ("with {given}", "with {given.__class__}", "{given.__class__} is not a placeholder"),
    ("with {given}", "with {given", "cannot be formatted"),
    ('fix = "try {nearest}"', 'fix = ""', "sentence and fix must not be empty"),
    ('others = ["inputs.referenceVideos"]', "others = []", "others is empty"),
    ('others = ["inputs.referenceVideos"]', 'others = ["inputs.urls"]', "inputs.urls is not a parameter of the model"),
    ("width = 854, height = 480", "width = 1280, height = 720", "the invalid example does not break the rule"),
    (
        'valid = { positivePrompt = "A red kite", resolution = "720p" }',
        'valid = { positivePrompt = "A red kite" }',
        "the valid example breaks the rule needs_one_of at resolution",
    ),
    ('720p = "0.10"', '480p = "0.10"', "price.usd_per_s: has no price for 720p"),
    *(
        ('720p = "0.10"', f'720p = "{price}"', "price.usd_per_s.720p: must be at least 0.000001 and at most 100")
        for price in ("0", "-0.10", "1e-9", "101", "1e400")
    ),
    ("[price]", '[price]\nunpublished = ["720p"]', "price.unpublished: 720p has a price in usd_per_s"),
    ("[price]", '[price]\nrepeats_for = "inputs.urls"', "price.inputs.urls is not a parameter of the model"),
    ("[price]", '[price]\ninput_seconds_of = ["inputs.referenceVideos"]', "price.assumed_input_s: is missing"),
    ("[sizes]", "[sizes", "it is not valid TOML"),
]


def request_of(model: ModelDescription, given: Any) -> VideoRequest:
    return VideoRequest.model_validate({**given, "model": model.id})


def broken_rules(model: ModelDescription, given: Any) -> set[tuple[str, str]]:
    """The rules that a request breaks, and their fixes, but for the missing price of a model without one."""
    try:
        request_of(model, given)
    except ValidationError as error:
        found = {(violation.rule, violation.fix) for violation in violations_of(error, {**given, "model": model.id})}
        return {each for each in found if model.price or not each[0].startswith("has no price")}
    return set()


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_is_named_after_its_model(name: str) -> None:
    assert name == re.sub(r"[^a-z0-9]+", "_", MODELS[name].name.lower()) + ".toml"


@pytest.mark.parametrize("name", TEXTS)
def test_every_parameter_has_a_limit_or_says_that_none_is_known(name: str) -> None:
    parameters = MODELS[name].parameters

    assert [path for path, limits in parameters.items() if not (limits.is_limited or limits.source == "unknown")] == []
    assert {"positivePrompt", "duration", "width", "height", "resolution"} <= parameters.keys()


@pytest.mark.parametrize("name", TEXTS)
def test_every_fact_has_a_source(name: str) -> None:
    written = tomllib.loads(TEXTS[name])
    of_price = [written["price"]] if "price" in written else []
    facts = [*written["parameters"].values(), *written["rules"], *of_price, written["latency"]]

    assert all(fact["source"] for fact in facts)
    assert written["sizes_source"]


@pytest.mark.parametrize("name", TEXTS)
def test_every_resolution_has_sizes_or_is_only_requested_by_name_and_has_a_price(name: str) -> None:
    model = MODELS[name]
    limits, price = model.limits("resolution"), model.price

    assert limits
    assert set(model.sizes) <= set(limits.values)
    if price is None:
        assert any("no price" in note for note in model.notes)
        return
    priced = set(limits.values) - set(price.unpublished)
    assert set(price.usd_per_s) == priced
    assert set(price.usd_per_s_silent) in (set(), priced)


@pytest.mark.parametrize(("model", "rule"), RULES)
def test_a_rule_accepts_its_valid_example_and_refuses_the_invalid_one_with_its_sentence(model: Any, rule: Any) -> None:
    found = broken_rules(model, rule.invalid)

    assert broken_rules(model, rule.valid) == set()
    sentence, fix = (re.sub(r"\\{\w+\\}", ".+", re.escape(text)) for text in (rule.sentence, rule.fix))
    assert [1 for said, hint in found if re.fullmatch(sentence, said) and re.fullmatch(fix, hint)], found


def test_ids_and_short_names_are_unique() -> None:
    names = [name.lower() for model in MODELS.values() for name in (model.id, *model.short_names)]

    assert len(names) == len(set(names))
    assert all(catalog().id_of(f" {model.short_name.upper()} ") == model.id for model in MODELS.values())


@pytest.mark.parametrize(("intact", "damaged", "said"), DAMAGES, ids=[said for _, _, said in DAMAGES])
def test_a_damaged_description_is_refused_with_the_field_that_is_wrong(intact: str, damaged: str, said: str) -> None:
    assert TEXTS["wan2_6.toml"].count(intact)

    with pytest.raises(ModelDescriptionError) as refused:
        read_description(TEXTS["wan2_6.toml"].replace(intact, damaged, 1))

    assert said in str(refused.value)


def test_a_model_without_a_price_is_described_but_no_request_for_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TEXTS["wan2_6.toml"]
    text = text.replace("alibaba:wan@2.6", "a:b@1").replace('["wan2.6"]', '["priceless"]')
    (tmp_path / "priceless.toml").write_text(re.sub(r"\[price\].*?\n\n", "", text, flags=re.DOTALL))
    monkeypatch.setenv("WAN_ASSETS_MODELS", str(tmp_path))
    given = {"model": "priceless", "positivePrompt": "A red kite", "resolution": "720p"}

    with pytest.raises(ValidationError, match="has no price in its description"):
        VideoRequest.model_validate(given)

    assert VideoRequest.from_record({**given, "model": "a:b@1"}).model == "a:b@1"


def test_the_longest_duration_is_that_of_the_range_or_of_the_values() -> None:
    text = TEXTS["wan2_6.toml"].replace("[5, 10, 15]", '[5, 10, 15, "auto"]')
    limits = read_description(text).limits("duration")

    assert limits
    assert (limits.shortest, limits.longest) == (5, 15)
