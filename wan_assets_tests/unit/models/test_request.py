"""The request: every rule of the model's page, the wire form, the fingerprint, and what a broken rule tells."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from folders import SHARED
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic.alias_generators import to_snake

from wan_assets.models.catalog import MODEL, description_of
from wan_assets.models.prompt_text import is_visible, normalized
from wan_assets.models.request import VideoRequest, task_uuid_of
from wan_assets.models.violations import PARAMETERS, Violation, violations_of

SIZES = description_of(MODEL).resolution_of_size

U = "5f0c1c9e-6a5e-4c53-9f5a-3b1d4c3b2a10"
MODEL_PAGE = SHARED / "reference" / "wan2.5-preview.md"
PICTURE = "https://example.com/hill.png"
SOUND = "https://example.com/waves.mp3"
UPLOAD = f"sha256:{'0f' * 32}"
BASE = {"positivePrompt": "A red kite over a green hill", "resolution": "720p"}
FULL = {
    "taskType": "videoInference",
    "taskUUID": U,
    "model": "runware:201@1",
    "positivePrompt": "Ein roter Drachen 🪁 über dem Hügel, 红色的风筝, طائرة ورقية",
    "negativePrompt": "blurry, text",
    "width": 1088,
    "height": 832,
    "duration": 10,
    "seed": 2147483647,
    "numberResults": 4,
    "outputType": "URL",
    "outputFormat": "WEBM",
    "outputQuality": 20,
    "deliveryMethod": "async",
    "includeCost": True,
    "ttl": 60,
    "webhookURL": "https://example.com/hook?secret=1",
    "uploadEndpoint": "https://bucket.example.com/a.webm?X-Amz-Signature=abc",
    "safety": {"checkContent": True, "mode": "full"},
    "inputs": {"frameImages": [{"image": PICTURE, "frame": "first"}], "audio": SOUND},
    "providerSettings": {"alibaba": {"promptExtend": False}},
}
GOLDEN = "fc01685ddb35f8b28f7cabc3191f7b8f80872afc94012d5f6dcf2aa9de21e28d"
GOLDEN_FULL = "bee4e0a751e5d8d79971615a0cda0d1561e3b136b64aaf1950a627ce0010b6fc"
DELIVERY = {
    "taskUUID": U,
    "outputType": "URL",
    "deliveryMethod": "async",
    "includeCost": True,
    "ttl": 3600,
    "webhookURL": "https://example.com/hook",
    "uploadEndpoint": "https://example.com/put",
    "safety": {"checkContent": True, "mode": "full"},
}

urls = st.sampled_from([PICTURE, "http://127.0.0.1:8000/a.webp?x=1#y", "https://例え.jp/絵.png"])
references = urls | st.uuids().map(str)
pictures = references | st.sampled_from(["data:image/png;base64,iVBORw0KGgo=", "iVBORw0KGgo" * 8, UPLOAD])
frames = pictures | st.fixed_dictionaries({"image": pictures}, optional={"frame": st.sampled_from(["first", 0])})
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).map(normalized).filter(is_visible)
ready = settings(deadline=None, max_examples=80)


def optional(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=values)


@st.composite
def wire_objects(draw: st.DrawFn) -> dict[str, Any]:
    """Valid requests of every kind, under the API's names."""
    size = draw(
        st.sampled_from([{"width": width, "height": height} for width, height in SIZES])
        | st.sampled_from([{"resolution": tier} for tier in ("480p", "720p", "1080p")])
        | st.just({})
    )
    inputs = draw(optional(audio=references, frameImages=frames.map(lambda frame: [frame])))
    if not size:
        inputs.setdefault("frameImages", [draw(frames)])
    switches = {"promptExtend": st.booleans()} | ({} if "audio" in inputs else {"audio": st.booleans()})
    rest = draw(
        optional(
            negativePrompt=texts.map(lambda text: text[:500]),
            duration=st.sampled_from([5, 10]),
            seed=st.integers(0, 2147483647),
            numberResults=st.integers(1, 4),
            outputType=st.just("URL"),
            outputFormat=st.sampled_from(["MP4", "WEBM", "MOV"]),
            outputQuality=st.integers(20, 99),
            deliveryMethod=st.just("async"),
            includeCost=st.booleans(),
            ttl=st.integers(60, 10**6),
            webhookURL=urls,
            uploadEndpoint=urls,
            safety=optional(checkContent=st.booleans(), mode=st.sampled_from(["none", "fast", "full"])),
            providerSettings=optional(alibaba=optional(**switches)),
        )
    )
    head = {"taskType": "videoInference", "taskUUID": U, "model": "runware:201@1", "positivePrompt": draw(texts)[:2000]}
    return {**head, **size, **rest, **({"inputs": inputs} if inputs else {})}


def snake(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {to_snake(key): snake(part) for key, part in value.items()}
    return [snake(part) for part in value] if isinstance(value, list) else value


def request(given: Mapping[str, Any] = BASE, **more: Any) -> VideoRequest:
    return VideoRequest.model_validate({**given, **more})


def violations(given: Mapping[str, Any]) -> tuple[Violation, ...]:
    with pytest.raises(ValidationError) as caught:
        VideoRequest.model_validate(given)
    return violations_of(caught.value, given)


def is_valid(given: Mapping[str, Any]) -> bool:
    try:
        VideoRequest.model_validate(given)
    except ValidationError:
        return False
    return True


# the wire form


@ready
@given(wire_objects())
def test_every_valid_combination_comes_out_as_the_wire_object_that_went_in(wire: dict[str, Any]) -> None:
    found = VideoRequest.model_validate(wire)
    media = {reference: reference for reference in found.uploads}

    assert found.to_task(U, media) == wire
    assert VideoRequest.model_validate(found.to_task(U, media)) == found
    assert VideoRequest.model_validate(json.loads(json.dumps(wire))) == found


@ready
@given(wire_objects())
def test_snake_case_and_camel_case_are_the_same_request(wire: dict[str, Any]) -> None:
    camel, snaked = VideoRequest.model_validate(wire), VideoRequest.model_validate(snake(wire))

    assert camel == snaked
    assert camel.fingerprint() == snaked.fingerprint()
    assert camel.to_task(U, {UPLOAD: U}) == snaked.to_task(U, {UPLOAD: U})


def test_a_full_example_comes_out_as_the_same_json() -> None:
    assert json.dumps(request(FULL).to_task(U), sort_keys=True) == json.dumps(FULL, sort_keys=True)


@pytest.mark.skipif(not MODEL_PAGE.exists(), reason="the model's page is not beside the repository")
def test_the_four_examples_of_the_models_page_come_out_as_the_same_json() -> None:
    page = MODEL_PAGE.read_text(encoding="utf-8")
    examples = [json.loads(text) for text in re.findall(r"\*\*Request\*\*:\s+```json\n(.*?)```", page, re.DOTALL)]

    tasks = [VideoRequest.model_validate(each).to_task(each["taskUUID"]) for each in examples]

    assert len(examples) == 4
    assert tasks == examples


def test_only_what_was_given_is_on_the_wire() -> None:
    assert request().to_task(U) == {
        "taskType": "videoInference",
        "taskUUID": U,
        "model": "runware:201@1",
        **BASE,
    }


def test_the_uuid_that_is_asked_for_wins_over_that_of_the_row() -> None:
    other = str(uuid.uuid4())

    assert request(taskUUID=other).to_task(U)["taskUUID"] == U


def test_numbers_and_formats_of_a_table_are_those_of_the_wire() -> None:
    said = {"duration": "10.0", "seed": " 7 ", "numberResults": 2.0, "outputFormat": "webm", "ttl": "60"}

    task = request(**said).to_task(U)

    assert [task[name] for name in said] == [10, 7, 2, "WEBM", 60]
    assert type(task["numberResults"]) is int


def test_what_is_absent_may_be_said_to_be_absent() -> None:
    absent = dict.fromkeys(("width", "height", "seed", "inputs", "safety", "numberResults", "duration", "ttl"))

    inputs = {"frameImages": [PICTURE]}
    nested = {"inputs": {**inputs, "audio": None}, "providerSettings": {"alibaba": {"audio": None}}}

    assert request(**absent) == request()
    assert request(**absent).to_task(U) == request().to_task(U)
    assert request(**nested).to_task(U)["inputs"] == inputs
    assert request(**nested).to_task(U)["providerSettings"] == {"alibaba": {}}
    assert request(**nested).fingerprint() == request(inputs=inputs).fingerprint()


SECRET = "5ecret-of-0123456789"
NAMED = f"https://me:{SECRET}@example.com:8443/{{}}?size=2&sig={SECRET}&{SECRET}"


@ready
@given(wire_objects())
def test_a_record_is_what_was_given_but_for_the_queries_of_addresses(wire: dict[str, Any]) -> None:
    given = {name: value for name, value in wire.items() if name not in ("webhookURL", "uploadEndpoint")}
    inputs = json.loads(json.dumps(given.pop("inputs", {})).replace("?x=1#y", ""))

    assert VideoRequest.model_validate(wire | {"webhookURL": None, "uploadEndpoint": None}).to_record() == (
        given | ({"inputs": inputs} if "inputs" in wire else {})
    )


@pytest.mark.parametrize("form", [str, lambda picture: {"image": picture, "frame": "first"}])
def test_a_record_holds_no_secret_of_an_address_and_is_a_request_of_the_same_kind(form: Callable[[str], Any]) -> None:
    sent_to = {"webhookURL": NAMED.format(SECRET), "uploadEndpoint": NAMED.format("b.mp4")}
    sound = NAMED.format("a.mp3").replace("https", "HTTPS")
    found = request(**sent_to, inputs={"frameImages": [form(NAMED.format("a.png"))], "audio": sound})
    record = found.to_record()

    assert SECRET not in json.dumps(record)
    assert record["webhookURL"] == record["uploadEndpoint"] == "https://example.com:8443"
    kept = VideoRequest.model_validate(record)
    assert kept.image == "https://example.com:8443/a.png"
    assert kept.audio == "https://example.com:8443/a.mp3"
    assert (kept.tier, kept.has_audio, kept.to_record()) == (found.tier, found.has_audio, record)


def test_uploads_are_replaced_by_their_uuids_on_the_wire() -> None:
    found = request(inputs={"frameImages": [{"image": UPLOAD, "frame": 0}], "audio": UPLOAD.replace("0f", "1e")})

    task = found.to_task(U, {UPLOAD: "picture", UPLOAD.replace("0f", "1e"): "sound"})

    assert found.uploads == (UPLOAD, UPLOAD.replace("0f", "1e"))
    assert task["inputs"] == {"frameImages": [{"image": "picture", "frame": 0}], "audio": "sound"}


def test_an_upload_without_a_uuid_never_reaches_the_wire() -> None:
    with pytest.raises(KeyError):
        request(inputs={"frameImages": [UPLOAD]}).to_task(U)


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        request().duration = 10


# sizes


def test_the_13_sizes_are_taken_and_nothing_else_is() -> None:
    widths, heights = {w for w, _ in SIZES}, {h for _, h in SIZES}
    near = {(w + dw, h + dh) for w, h in SIZES for dw in (-1, 0, 1) for dh in (-1, 0, 1)}
    asked = {(w, h) for w in widths for h in heights} | near | {(0, 0), (-1280, -720), (848, 480), (720, 720)}

    taken = {(w, h) for w, h in asked if is_valid({"positivePrompt": "x", "width": w, "height": h})}

    assert taken == set(SIZES)
    assert len(taken) == 13


@pytest.mark.skipif(not MODEL_PAGE.exists(), reason="the model's page is not beside the repository")
def test_the_13_sizes_are_those_of_the_models_page() -> None:
    rows = re.findall(r"\| `(\d+p) \(.*?\)` \| `(\d+)x(\d+)` \|", MODEL_PAGE.read_text(encoding="utf-8"))

    assert {(int(width), int(height)): tier for tier, width, height in rows} == SIZES


@pytest.mark.parametrize("size", SIZES)
def test_a_size_tells_its_tier(size: tuple[int, int]) -> None:
    assert request({"positivePrompt": "x", "width": size[0], "height": size[1]}).tier == SIZES[size]


def test_a_picture_with_width_and_height_is_legal() -> None:
    assert request({"positivePrompt": "x", "width": 1280, "height": 720, "inputs": {"frameImages": [PICTURE]}})


# limits

LIMITS = {
    "positivePrompt": (["x", "x" * 2000, "🪁" * 2000], ["", "x" * 2001, None, 5, "nul\0", "half \ud83d"]),
    "negativePrompt": (["x", "x" * 500], ["", "x" * 501, 5]),
    "duration": ([5, 10, 5.0, "5", "10.0"], [0, 4, 6, 7, 5.5, True, "five", float("nan"), float("inf"), "", [5]]),
    "seed": ([0, 2147483647, "0"], [-1, 2147483648, 0.5, True, "x", "9" * 30]),
    "numberResults": ([1, 4, 2.0], [0, 5, 1.5, True, "two"]),
    "outputQuality": ([20, 99], [19, 100, False]),
    "ttl": ([60, 10**9], [59, 0, -60, 60.5]),
    "outputFormat": (["MP4", "WEBM", "MOV", "mov"], ["AVI", "", 4]),
    "outputType": (["URL"], ["base64Data", "url"]),
    "deliveryMethod": (["async"], ["sync", ""]),
    "resolution": (["480p", "720p", "1080p"], ["360p", "720", 720, ""]),
    "includeCost": ([True, False], ["perhaps", 2]),
    "taskType": (["videoInference"], ["imageInference"]),
    "model": (["runware:201@1"], ["runware:201@10", ""]),
    "taskUUID": (
        [U, U.upper()],
        ["", "not a uuid", U.replace("4c53", "1c53"), U.replace("9f5a", "cf5a"), U[:-1], f"{U}\n", f"{{{U}}}", 5],
    ),
    "webhookURL": (["https://a.example/x", "http://localhost:1/"], ["a.example", "ftp://a.example", "https://", "x y"]),
    "uploadEndpoint": (["https://a.example/x?y=1"], ["/tmp/x", "https:///x", "https://a b", 5]),
    "safety": ([{}, {"mode": "none"}, {"checkContent": False, "mode": "full"}], [{"mode": "slow"}, "full", {"x": 1}]),
    "providerSettings": (
        [{}, {"alibaba": {}}, {"alibaba": {"audio": False, "promptExtend": True}}],
        [{"google": {}}, {"alibaba": {"audio": "perhaps"}}, {"alibaba": {"fps": 24}}, "x", {"alibaba": []}],
    ),
    "inputs": (
        [{}, {"audio": SOUND}, {"audio": U}, {"frameImages": [PICTURE]}, {"frameImages": [{"image": U, "frame": "0"}]}],
        [
            {"frameImages": []},
            {"frameImages": [PICTURE, PICTURE]},
            {"frameImages": PICTURE},
            {"frameImages": ["hill.png"]},
            {"frameImages": [""]},
            {"frameImages": [{"frame": "first"}]},
            {"frameImages": [{"image": PICTURE, "frame": "last"}]},
            {"frameImages": [{"image": PICTURE, "frame": 1}]},
            {"frameImages": [{"image": PICTURE, "frame": False}]},
            {"frameImages": [{"image": PICTURE, "weight": 1}]},
            {"audio": "waves.mp3"},
            {"audio": "data:audio/mp3;base64,AAAA"},
            {"audio": ""},
            {"referenceImages": [PICTURE]},
            [],
        ],
    ),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (good, _) in LIMITS.items() for value in good])
def test_what_is_just_within_a_limit_is_taken(name: str, value: Any) -> None:
    assert is_valid({**BASE, name: value})


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (_, bad) in LIMITS.items() for value in bad])
def test_what_is_just_beyond_a_limit_is_refused_by_the_name_of_its_parameter(name: str, value: Any) -> None:
    """Case 49."""
    found = violations({**BASE, name: value})

    assert {violation.path.partition(".")[0] for violation in found} == {name}
    assert {violation.column.partition(".")[0] for violation in found} == {to_snake(name)}
    assert all(violation.rule and violation.fix for violation in found)


def test_every_parameter_of_the_api_is_limited_here() -> None:
    tops = {path.partition(".")[0] for path in (parameter.path for parameter in PARAMETERS.values())}

    assert tops == {*LIMITS, "width", "height"}


@pytest.mark.parametrize(
    ("parameters", "path", "rule"),
    [
        ({}, "resolution", "no size"),
        ({"inputs": {"audio": SOUND}}, "resolution", "no size"),
        ({"width": 1280}, "height", "must be given together with width"),
        ({"height": 720}, "width", "must be given together with height"),
        ({"width": 1280, "inputs": {"frameImages": [PICTURE]}}, "height", "must be given together with width"),
        ({"width": 1280, "height": 721}, "width", "1280x721 is not supported"),
        ({"resolution": "720p", "width": 1280, "height": 720}, "resolution", "cannot be used with width/height"),
        (
            {**BASE, "inputs": {"audio": SOUND}, "providerSettings": {"alibaba": {"audio": True}}},
            "inputs.audio",
            "cannot be used with providerSettings.alibaba.audio",
        ),
        (
            {**BASE, "inputs": {"audio": SOUND}, "providerSettings": {"alibaba": {"audio": False}}},
            "inputs.audio",
            "cannot be used with providerSettings.alibaba.audio",
        ),
    ],
)
@pytest.mark.parametrize("spelling", [dict, snake])
def test_parameters_that_do_not_go_together_are_told(
    parameters: dict[str, Any], path: str, rule: str, spelling: Any
) -> None:
    """Case 49."""
    (violation,) = violations(spelling({"positivePrompt": "x", **parameters}))

    assert violation.path == path
    assert rule in violation.rule


def test_all_broken_rules_are_told_at_once() -> None:
    found = violations(
        {
            "positivePrompt": "x" * 2001,
            "width": 1280,
            "resolution": "720p",
            "duration": 7,
            "seed": -1,
            "numberResults": 5,
            "outputQuality": 100,
            "ttl": 59,
            "deliveryMethod": "sync",
            "taskUUID": "x",
            "fps": 24,
            "inputs": {"frameImages": [{"image": "hill.png", "frame": "last"}], "audio": SOUND},
            "providerSettings": {"alibaba": {"audio": True}},
        }
    )

    assert sorted(violation.column for violation in found) == sorted(
        [
            "positive_prompt",
            "height",
            "resolution",
            "duration",
            "seed",
            "number_results",
            "output_quality",
            "ttl",
            "delivery_method",
            "task_uuid",
            "fps",
            "inputs.frame_images.image",
            "inputs.frame_images.frame",
            "inputs.audio",
        ]
    )


@pytest.mark.parametrize("given", [None, 5, "x", [], [("positivePrompt", "x")]])
def test_what_is_no_object_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError):
        VideoRequest.model_validate(given)


# what a broken rule tells


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"duration": 7}, ("duration", 7, "use 5 or 10", (5, 10))),
        ({"seed": -1}, ("seed", -1, "use 0 or more", ())),
        ({"outputQuality": 100}, ("outputQuality", 100, "use 99 or less", ())),
        ({"deliveryMethod": "sync"}, ("deliveryMethod", "sync", "use 'async'", ("async",))),
        (
            {"safety": {"mode": "slow"}},
            ("safety.mode", "slow", "use 'none', 'fast' or 'full'", ("none", "fast", "full")),
        ),
        ({"inputs": {"audio": "x.mp3"}}, ("inputs.audio", "x.mp3", "name an existing audio file", ())),
        ({"inputs": {"frameImages": []}}, ("inputs.frameImages", [], "fill it in", ())),
    ],
)
@pytest.mark.parametrize("spelling", [dict, snake])
def test_a_breach_names_value_fix_and_allowed_values_in_either_spelling(
    parameters: dict[str, Any], expected: tuple[Any, ...], spelling: Any
) -> None:
    (violation,) = violations(spelling({**BASE, **parameters}))

    assert (violation.path, violation.value, violation.fix, violation.allowed_values) == expected


RESOLUTION = {"positivePrompt": "x", "resolution": "720p"}
SIZE_ALLOWED = ", ".join(f"{width}x{height}" for width, height in SIZES)


@pytest.mark.parametrize(
    ("given", "kind", "path", "rule", "fix"),
    [
        ({"duration": True}, "whole_number", "duration", "must be a whole number", "write it in digits, such as 5"),
        ({"seed": 1.5}, "whole_number", "seed", "must be a whole number", "write it in digits, such as 5"),
        (
            {"positivePrompt": "a\x07"},
            "text",
            "positivePrompt",
            "contains the character U+0007, which is not text",
            "remove it",
        ),
        (
            {"inputs": {"frameImages": [{"image": PICTURE, "frame": True}]}},
            "frame",
            "inputs.frameImages.frame",
            "must be 'first' or 0",
            "use 'first'",
        ),
        (
            {"taskUUID": "x"},
            "uuid4",
            "taskUUID",
            "must be a UUID of version 4",
            "write one such as 80000000-0000-4000-8000-000000000000",
        ),
        (
            {"webhookURL": "ftp://x"},
            "url",
            "webhookURL",
            "must be an http or https URL",
            "write the full URL, such as https://example.com/path",
        ),
        (
            {"positivePrompt": b"A red kite "},
            "text",
            "positivePrompt",
            "must be text, not bytes",
            "decode it, such as with .decode('utf-8')",
        ),
        (
            {"negativePrompt": bytearray(b"blurry")},
            "text",
            "negativePrompt",
            "must be text, not bytes",
            "decode it, such as with .decode('utf-8')",
        ),
        (
            {"inputs": {"frameImages": ["hill.png"]}},
            "image",
            "inputs.frameImages",
            "is neither a UUID, a URL, a data URI nor base64",
            "name an existing image",
        ),
        (
            {"inputs": {"audio": "x.mp3"}},
            "audio",
            "inputs.audio",
            "is neither a UUID nor a URL",
            "name an existing audio file",
        ),
        (
            {"resolution": None},
            "needs_one_of",
            "resolution",
            "no size: no parameter of the request determines it",
            "give resolution, or width and height, or inputs.frameImages",
        ),
        (
            {"width": 1280, "height": 720},
            "excludes",
            "resolution",
            "cannot be used with width/height",
            "remove resolution, or width and height",
        ),
        (
            {"resolution": None, "width": 1280},
            "together",
            "height",
            "must be given together with width",
            "add height, or use resolution",
        ),
        (
            {"resolution": None, "height": 720},
            "together",
            "width",
            "must be given together with height",
            "add width, or use resolution",
        ),
        (
            {"resolution": None, "width": 1280, "height": 721},
            "in_sizes",
            "width",
            f"1280x721 is not supported; allowed: {SIZE_ALLOWED}",
            "try 1280x720",
        ),
        (
            {"inputs": {"audio": SOUND}, "providerSettings": {"alibaba": {"audio": True}}},
            "excludes",
            "inputs.audio",
            "cannot be used with providerSettings.alibaba.audio",
            "remove one of them: inputs.audio is used as given, the other generates new audio",
        ),
    ],
)
def test_each_rule_of_ours_has_its_kind_and_says_what_is_wrong_and_what_to_do(
    given: dict[str, Any], kind: str, path: str, rule: str, fix: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        VideoRequest.model_validate({**RESOLUTION, **given})

    (error,), (violation,) = caught.value.errors(), violations_of(caught.value, {**RESOLUTION, **given})
    assert (error["type"], error["msg"]) == (kind, rule)
    assert (violation.path, violation.rule, violation.fix) == (path, rule, fix)


def test_rules_of_one_parameter_and_rules_between_several_are_told_in_the_same_words_as_alone() -> None:
    with pytest.raises(ValidationError) as caught:
        VideoRequest.model_validate({"positivePrompt": "x", "duration": 7, "seed": "a", "width": 1280})

    reported = {error["type"]: (error["loc"], error["msg"], error["input"]) for error in caught.value.errors()}
    assert reported == {
        "literal_error": (("duration",), "Input should be 5 or 10", 7),
        "whole_number": (("seed",), "must be a whole number", "a"),
        "together": (("height",), "must be given together with width", None),
    }


def test_a_prompt_that_is_too_long_is_told_its_length() -> None:
    (violation,) = violations({**BASE, "positive_prompt": "🪁" * 2001, "positivePrompt": None})
    (negative,) = violations({**BASE, "negative_prompt": f" {'b' * 501} "})

    assert violation.fix == "shorten it to 2000 characters; it has 2001"
    assert negative.rule == "string should have at most 500 characters"
    assert negative.fix == "shorten it to 500 characters; it has 501"


def test_a_missing_prompt_is_to_be_filled_in() -> None:
    (violation,) = violations({"resolution": "720p"})

    assert (violation.column, violation.value, violation.fix) == ("positive_prompt", None, "fill it in")


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("positivPrompt", "did you mean positive_prompt?"),
        ("negativ_prompt", "did you mean negative_prompt?"),
        ("Seed", "did you mean seed?"),
        ("resolutoin", "did you mean resolution?"),
        ("xyzzy", "remove it"),
    ],
)
def test_an_unknown_parameter_suggests_the_nearest(name: str, fix: str) -> None:
    (violation,) = violations({**BASE, name: 1})

    assert violation.fix == fix
    assert violation.rule == "is not a parameter of this model"


def test_a_size_that_is_not_supported_suggests_the_nearest() -> None:
    (violation,) = violations({"positivePrompt": "x", "width": 1920, "height": 1088})

    assert violation.fix == "try 1920x1080"
    assert "allowed: 854x480" in violation.rule


def test_every_parameter_has_its_column_and_its_path() -> None:
    paths = {column: parameter.path for column, parameter in PARAMETERS.items()}

    assert paths["webhook_url"] == "webhookURL"
    assert paths["task_uuid"] == "taskUUID"
    assert paths["provider_settings.alibaba.prompt_extend"] == "providerSettings.alibaba.promptExtend"
    assert paths["inputs.frame_images.frame"] == "inputs.frameImages.frame"
    assert all(to_snake(path.rpartition(".")[2]) == column.rpartition(".")[2] for column, path in paths.items())
    assert PARAMETERS["output_format"].allowed_values == ("MP4", "WEBM", "MOV")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda part: st.lists(part, max_size=2) | st.dictionaries(st.sampled_from(
        ["alibaba", "audio", "frameImages", "frame_images", "image", "frame", "mode", "x"]), part, max_size=3),
    max_leaves=6,
)  # fmt: skip


@pytest.mark.slow
@ready
@given(st.dictionaries(st.sampled_from([*LIMITS, *map(to_snake, LIMITS), "width", "height", "x"]), json_values))
def test_no_values_raise_anything_but_a_validation_error_that_can_be_told(given: dict[str, Any]) -> None:
    try:
        VideoRequest.model_validate(given)
    except ValidationError as error:
        found = violations_of(error, given)
    else:
        found = ()

    assert all(violation.column and violation.rule and violation.fix for violation in found)


# the fingerprint


def test_the_fingerprint_is_the_same_in_every_release() -> None:
    assert request().fingerprint() == GOLDEN
    assert request(FULL).fingerprint() == GOLDEN_FULL


@ready
@given(wire_objects(), optional(**{name: st.just(value) for name, value in DELIVERY.items()}))
def test_the_fingerprint_does_not_depend_on_delivery(wire: dict[str, Any], delivery: dict[str, Any]) -> None:
    bare = {name: value for name, value in wire.items() if name not in DELIVERY}

    assert request(bare, **delivery).fingerprint() == request(wire).fingerprint()


DECISIVE = [
    {},
    {"positivePrompt": "A blue kite"},
    {"positivePrompt": "A red  kite over a green hill"},
    {"negativePrompt": "rain"},
    {"resolution": "480p"},
    {"resolution": "1080p"},
    {"resolution": None, "width": 1280, "height": 720},
    {"resolution": None, "width": 720, "height": 1280},
    {"duration": 10},
    {"seed": 0},
    {"seed": 1},
    {"numberResults": 2},
    {"outputFormat": "WEBM"},
    {"outputFormat": "MOV"},
    {"outputQuality": 94},
    {"inputs": {"frameImages": [PICTURE]}},
    {"inputs": {"frameImages": [U]}},
    {"inputs": {"audio": SOUND}},
    {"inputs": {"audio": U}},
    {"inputs": {"frameImages": [PICTURE], "audio": SOUND}},
    {"providerSettings": {"alibaba": {"audio": False}}},
    {"providerSettings": {"alibaba": {"promptExtend": False}}},
    {"providerSettings": {"alibaba": {"promptExtend": False, "audio": False}}},
]


def test_every_decisive_parameter_changes_the_fingerprint() -> None:
    found = [request(**more).fingerprint() for more in DECISIVE]

    assert len(set(found)) == len(DECISIVE)


@pytest.mark.parametrize(
    "written",
    [
        {"duration": 5},
        {"numberResults": 1, "outputFormat": "MP4", "outputQuality": 95},
        {"model": "runware:201@1", "taskType": "videoInference"},
        {"providerSettings": {}},
        {"providerSettings": {"alibaba": {}}},
        {"providerSettings": {"alibaba": {"audio": True, "promptExtend": True}}},
        {"inputs": {}},
        {"negativePrompt": None, "seed": None},
    ],
)
def test_a_default_that_is_written_out_changes_nothing(written: dict[str, Any]) -> None:
    assert request(**written).fingerprint() == request().fingerprint()


@pytest.mark.parametrize(
    "frame", [{"image": PICTURE}, {"image": PICTURE, "frame": "first"}, {"image": PICTURE, "frame": 0}]
)
def test_a_picture_is_the_same_in_short_and_as_an_object(frame: Any) -> None:
    short, long = request(inputs={"frameImages": [PICTURE]}), request(inputs={"frameImages": [frame]})

    assert short.fingerprint() == long.fingerprint()
    assert short.image == long.image == PICTURE


@pytest.mark.parametrize(
    ("parameters", "has_audio"),
    [
        ({}, True),
        ({"inputs": {"audio": SOUND}}, True),
        ({"providerSettings": {"alibaba": {"audio": True}}}, True),
        ({"providerSettings": {"alibaba": {"audio": False}}}, False),
        ({"providerSettings": {"alibaba": {"promptExtend": False}}}, True),
    ],
)
def test_a_video_has_sound_unless_it_is_off(parameters: dict[str, Any], has_audio: bool) -> None:
    assert request(**parameters).has_audio is has_audio


# the task's UUID


@ready
@given(texts, st.integers(min_value=1), texts)
def test_a_task_uuid_is_shaped_as_version_4_and_always_the_same(fingerprint: str, attempt: int, namespace: str) -> None:
    found = task_uuid_of(fingerprint, attempt, namespace)

    assert uuid.UUID(found).version == 4
    assert uuid.UUID(found).variant == uuid.RFC_4122
    assert str(uuid.UUID(found)) == found == task_uuid_of(fingerprint, attempt, namespace)
    assert is_valid({**BASE, "taskUUID": found})


def test_a_task_uuid_differs_by_request_attempt_and_namespace() -> None:
    asked = [(fingerprint, attempt, space) for fingerprint in "ab" for attempt in range(1, 50) for space in ("x", "y")]

    assert len({task_uuid_of(*each) for each in asked}) == len(asked)


def test_the_task_uuid_is_the_same_in_every_release() -> None:
    assert task_uuid_of("a" * 64, 1, "default") == "b3897223-014f-40a1-a9a5-6d1f172f92c7"


def test_a_text_of_another_type_is_kept_as_it_is_written() -> None:
    class Prompt(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "Prompt.KITE"

    request = VideoRequest.model_validate({**RESOLUTION, "positivePrompt": Prompt("A red kite ")})

    assert request.as_written()["positivePrompt"] == "A red kite "
    assert request == VideoRequest.model_validate({**RESOLUTION, "positivePrompt": "A red kite"})
