"""The models of the Wan family: every limit, size, duration, price and rule, stated here a second time.

The figures are those of the models' pages and published schemas, and not read from the descriptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from wan_assets.models import (
    VideoRequest,
    Violation,
    catalog,
    is_length_known,
    list_price_microusd,
    lowest_price_microusd,
    request_kind,
    reservation_microusd,
    usd,
    violations_of,
    worst_price_microusd,
)

U = "5f0c1c9e-6a5e-4c53-9f5a-3b1d4c3b2a10"
IMAGE, VIDEO, SOUND = "https://example.com/a.png", "https://example.com/a.mp4", "https://example.com/a.mp3"
STORY, PAGE = "https://example.com/story.pdf", "https://example.com/story"
FRAME, SEEN, WEB = {"frameImages": [IMAGE]}, {"referenceVideos": [VIDEO]}, {"urls": [PAGE]}

PREVIEW, W26, FLASH, W27, W30, PRIME = (
    "runware:201@1",
    "alibaba:wan@2.6",
    "alibaba:wan@2.6-flash",
    "alibaba:wan@2.7",
    "alibaba:wan@3.0",
    "alibaba:wan@3.0-prime",
)
SHORT = {
    "wan2.5": PREVIEW,
    "wan2.6": W26,
    "wan2.6-flash": FLASH,
    "wan2.7": W27,
    "wan3.0": W30,
    "wan3.0-prime": PRIME,
}
OF_2 = {
    "720p": ["1280x720", "720x1280", "960x960", "1088x832", "832x1088"],
    "1080p": ["1920x1080", "1080x1920", "1440x1440", "1632x1248", "1248x1632"],
}
OF_3 = {
    "480p": ["832x480", "480x832", "624x624", "720x544", "544x720"],
    "720p": ["1280x720", "720x1280", "960x960", "1104x832", "832x1104"],
    "1080p": ["1920x1080", "1080x1920", "1440x1440", "1648x1248", "1248x1648"],
}
SIZES = {
    PREVIEW: {"480p": ["854x480", "480x854", "640x640"], **OF_2},
    **dict.fromkeys((W26, FLASH, W27), OF_2),
    **dict.fromkeys((W30, PRIME), OF_3),
}
BASE: Mapping[str, Mapping[str, Any]] = {
    PREVIEW: {"positivePrompt": "A red kite", "resolution": "720p", "duration": 5},
    W26: {"positivePrompt": "A red kite", "resolution": "720p", "duration": 5},
    FLASH: {"positivePrompt": "A red kite", "resolution": "720p", "duration": 5, "inputs": FRAME},
    W27: {"positivePrompt": "A red kite", "width": 1280, "height": 720, "duration": 5},
    W30: {"positivePrompt": "A red kite", "width": 1280, "height": 720, "duration": 5},
    PRIME: {"positivePrompt": "A red kite", "width": 1280, "height": 720, "duration": 5},
}
"""A valid request of each model."""

SETTINGS = {
    **dict.fromkeys((PREVIEW, W26, FLASH), lambda given: {"providerSettings": {"alibaba": given}}),
    **dict.fromkeys((W27, W30, PRIME), lambda given: {"settings": given}),
}


def given(model: str, /, **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**BASE[model], "model": model, **changes}.items() if value is not None}


def request(model: str, /, **changes: Any) -> VideoRequest:
    return VideoRequest.model_validate(given(model, **changes))


def violations(model: str, /, **changes: Any) -> tuple[Violation, ...]:
    with pytest.raises(ValidationError) as caught:
        request(model, **changes)
    return violations_of(caught.value, given(model, **changes))


def test_the_six_models_have_their_ids_and_short_names() -> None:
    known = catalog()

    assert known.models.keys() >= BASE.keys()
    assert {name: known.id_of(name.upper()) for name in SHORT} == SHORT
    assert {model: model for model in BASE} == {model: known.id_of(f" {model} ") for model in BASE}


@pytest.mark.parametrize(("name", "model"), SHORT.items())
def test_a_short_name_is_the_id_on_the_wire_and_in_the_fingerprint(name: str, model: str) -> None:
    short, full = request(model, model=name), request(model)

    assert short.to_task(U)["model"] == model
    assert (short, short.fingerprint(), short.to_record()["model"]) == (full, full.fingerprint(), model)


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    (violation,) = violations(PREVIEW, model="wan9")

    assert (violation.column, violation.rule) == ("model", "is not a known model")
    assert all(name in violation.fix for name in SHORT)


@pytest.mark.parametrize("model", BASE)
def test_the_task_is_what_was_given(model: str) -> None:
    wanted = {"audio": False, "promptExtend": True}
    task = request(model, seed=7, **SETTINGS[model](wanted)).to_task(U)

    assert task == {
        "taskType": "videoInference",
        "taskUUID": U,
        "model": model,
        **BASE[model],
        "seed": 7,
        **SETTINGS[model](wanted),
    }


@pytest.mark.parametrize("model", BASE)
@pytest.mark.parametrize(
    "written",
    [
        {"providerSettings": {"alibaba": {"audio": False}}},
        {"settings": {"audio": False}},
        {"provider_settings": {"alibaba": {"audio": False}}},
        {"settings": {"audio": False}, "providerSettings": {"alibaba": {"audio": False}}},
    ],
)
def test_settings_are_taken_in_both_places_and_sent_in_that_of_the_model(model: str, written: dict[str, Any]) -> None:
    found = request(model, **written)

    assert found.to_task(U) == request(model, **SETTINGS[model]({"audio": False})).to_task(U)
    assert found.has_audio is False


def test_a_setting_with_two_values_is_refused() -> None:
    (violation,) = violations(W27, settings={"audio": False}, providerSettings={"alibaba": {"audio": True}})

    assert "audio" in violation.rule


# sizes and resolutions


@pytest.mark.parametrize(
    ("model", "resolution", "size"),
    [(model, tier, size) for model, sizes in SIZES.items() for tier, of in sizes.items() for size in of],
)
def test_each_size_is_taken_and_has_its_resolution(model: str, resolution: str, size: str) -> None:
    width, height = map(int, size.split("x"))
    found = request(model, width=width, height=height, resolution=None)

    assert found.tier == resolution
    assert {name: found.to_task(U)[name] for name in ("width", "height")} == {"width": width, "height": height}


@pytest.mark.parametrize("model", BASE)
def test_every_other_size_of_the_family_and_its_neighbours_are_refused(model: str) -> None:
    known = {size for sizes in SIZES.values() for of in sizes.values() for size in of}
    own = {size for of in SIZES[model].values() for size in of}
    pairs = {tuple(map(int, size.split("x"))) for size in known}
    near = {(w + dw, h + dh) for w, h in pairs for dw in (-1, 0, 1) for dh in (-1, 0, 1)}

    taken = set()
    for width, height in near:
        try:
            request(model, width=width, height=height, resolution=None)
            taken.add(f"{width}x{height}")
        except ValidationError:
            pass

    assert taken == own


@pytest.mark.parametrize(("model", "size"), [(W30, "1088x832"), (PRIME, "1632x1248"), (W26, "1104x832")])
def test_a_size_of_the_other_generation_names_the_nearest(model: str, size: str) -> None:
    width, height = map(int, size.split("x"))
    (violation,) = violations(model, width=width, height=height, resolution=None)

    assert violation.rule.startswith(f"{size} is not supported; allowed: ")
    assert violation.fix.removeprefix("try ") in {each for of in SIZES[model].values() for each in of}


@pytest.mark.parametrize("model", BASE)
@pytest.mark.parametrize("resolution", ["480p", "720p", "1080p", "2160p"])
def test_a_resolution_is_taken_if_the_model_has_it(model: str, resolution: str) -> None:
    changes = {"resolution": resolution, "width": None, "height": None, "inputs": FRAME}
    if resolution in SIZES[model]:
        assert request(model, **changes).tier == resolution
    else:
        (violation,) = violations(model, **changes)
        assert violation.allowed_values == tuple(SIZES[model])


# durations

DURATIONS: Mapping[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    PREVIEW: ((5, 10), (4, 6, 11, 15, "auto", 2)),
    W26: ((5, 10, 15), (4, 6, 14, 16, 20, "auto", 2)),
    FLASH: ((2, 3, 14, 15), (1, 16, 0, "auto", 2.5)),
    W27: ((2, 3, 14, 15), (1, 16, 0, "auto", 2.5)),
    W30: ((2, 3, 29, 30, "auto"), (1, 31, 0, "short", 2.5)),
    PRIME: ((2, 3, 29, 30, "auto"), (1, 31, 0, "short", 2.5)),
}


@pytest.mark.parametrize(("model", "seconds"), [(model, good) for model in BASE for good in DURATIONS[model][0]])
def test_each_duration_is_taken(model: str, seconds: Any) -> None:
    found = request(model, duration=seconds)

    assert found.duration == seconds
    assert found.to_task(U)["duration"] == seconds
    assert request(model, duration=str(seconds)) == found


@pytest.mark.parametrize(("model", "seconds"), [(model, bad) for model in BASE for bad in DURATIONS[model][1]])
def test_every_other_duration_is_refused(model: str, seconds: Any) -> None:
    (violation,) = violations(model, duration=seconds)

    assert violation.column == "duration"
    assert violation.fix


@pytest.mark.parametrize(
    ("model", "default", "is_sent"),
    [
        (PREVIEW, 5, False),
        (W26, 5, True),
        (FLASH, 5, True),
        (W27, 5, True),
        (W30, "auto", False),
        (PRIME, "auto", False),
    ],
)
def test_a_default_duration_is_sent_unless_the_api_has_the_same(model: str, default: Any, is_sent: bool) -> None:
    found = request(model, duration=None)

    assert found.duration == default
    assert ("duration" in found.to_task(U)) is is_sent
    assert found.fingerprint() == request(model, duration=default).fingerprint()


# texts


@pytest.mark.parametrize(
    ("model", "shortest", "longest"),
    [(PREVIEW, 1, 2000), (W26, 1, 1500), (FLASH, 1, 1500), (W30, 2, 20_000), (PRIME, 2, 20_000)],
)
def test_a_prompt_has_the_length_that_the_model_takes(model: str, shortest: int, longest: int) -> None:
    for length in (shortest, longest):
        assert len(request(model, positivePrompt="k" * length).prompt) == length
    for length in (shortest - 1, longest + 1):
        (violation,) = violations(model, positivePrompt="k" * length)
        assert violation.column == "positive_prompt"


@pytest.mark.parametrize(
    ("model", "is_taken"), [(PREVIEW, True), (W26, True), (FLASH, True), (W27, True), (W30, False), (PRIME, False)]
)
def test_a_negative_prompt_is_taken_by_the_models_that_have_one(model: str, is_taken: bool) -> None:
    if is_taken:
        assert request(model, negativePrompt="blurry").to_task(U)["negativePrompt"] == "blurry"
    else:
        (violation,) = violations(model, negativePrompt="blurry")
        assert violation.column == "negative_prompt"
        assert violation.rule.startswith("is not a parameter of Wan3.0")
        assert "wan2.6" in violation.fix


def test_a_negative_prompt_of_the_default_model_has_at_most_500_characters() -> None:
    assert request(PREVIEW, negativePrompt="b" * 500)
    assert violations(PREVIEW, negativePrompt="b" * 501)


# inputs

INPUTS: Mapping[str, Mapping[str, int | None]] = {
    PREVIEW: {"frameImages": 1, "audio": 1},
    W26: {"frameImages": 1, "audio": 1, "referenceVideos": 3},
    FLASH: {"frameImages": 1, "audio": 1, "referenceVideos": None},
    W27: {"frameImages": 2, "referenceImages": None, "referenceVideos": None},
    W30: {
        "frameImages": 2,
        "referenceImages": 10,
        "referenceVideos": 5,
        "referenceAudios": 5,
        "documents": 1,
        "urls": 1,
    },
}
LISTS = {
    "frameImages": IMAGE,
    "referenceImages": IMAGE,
    "referenceVideos": VIDEO,
    "referenceAudios": SOUND,
    "documents": STORY,
    "urls": PAGE,
}


@pytest.mark.parametrize("model", BASE)
@pytest.mark.parametrize("name", LISTS)
def test_inputs_are_taken_up_to_their_number(model: str, name: str) -> None:
    numbers = INPUTS[W30 if model == PRIME else model]
    no_size = {"width": None, "height": None, "resolution": "720p"} if name == "frameImages" else {}
    if name not in numbers:
        found = violations(model, inputs={**given(model).get("inputs", {}), name: [LISTS[name]]})
        assert f"inputs.{name}" in {violation.path for violation in found}
        assert any("is not a parameter of" in violation.rule for violation in found)
        return
    most = numbers[name]
    task = request(model, inputs={name: [LISTS[name]] * (most or 4)}, **no_size).to_task(U)
    assert task["inputs"] == {name: [LISTS[name]] * (most or 4)}
    if most:
        found = violations(model, inputs={name: [LISTS[name]] * (most + 1)}, **no_size)
        assert (found[0].path, found[0].fix) == (f"inputs.{name}", f"give at most {most}")


@pytest.mark.parametrize("model", BASE)
def test_given_audio_is_taken_by_the_models_that_have_it(model: str) -> None:
    inputs = {**given(model).get("inputs", {}), "audio": SOUND}
    if "audio" in INPUTS[W30 if model == PRIME else model]:
        assert request(model, inputs=inputs).audio == SOUND
    else:
        assert violations(model, inputs=inputs)[0].path == "inputs.audio"


@pytest.mark.parametrize(
    ("model", "frames"),
    [
        *((model, frames) for model in (PREVIEW, W26, FLASH) for frames in (["first"], [0], [None])),
        *((model, frames) for model in (W27, W30, PRIME) for frames in (["first", "last"], [0, -1], ["last", 0])),
        (W27, ["last"]),
        (W27, [-1]),
        (W30, ["first"]),
    ],
)
def test_frames_are_taken(model: str, frames: list[Any]) -> None:
    images = [{"image": IMAGE, **({} if frame is None else {"frame": frame})} for frame in frames]
    found = request(model, width=None, height=None, resolution="720p", inputs={"frameImages": images})

    assert found.to_task(U)["inputs"] == {"frameImages": images}


@pytest.mark.parametrize(
    ("model", "frames"),
    [
        *((model, [frame]) for model in (PREVIEW, W26, FLASH) for frame in ("last", -1, 1, "middle")),
        *((model, [frame]) for model in (W27, W30, PRIME) for frame in (1, "middle", True)),
        *((model, [frame]) for model in (W30, PRIME) for frame in ("last", -1)),
        *((model, pair) for model in (W27, W30, PRIME) for pair in (["first", 0], ["last", -1])),
    ],
)
def test_other_frames_are_refused(model: str, frames: list[Any]) -> None:
    images = [{"image": IMAGE, "frame": frame} for frame in frames]
    found = violations(model, width=None, height=None, resolution="720p", inputs={"frameImages": images})

    assert {violation.path.removesuffix(".frame") for violation in found} == {"inputs.frameImages"}


def test_each_input_is_part_of_the_fingerprint_and_of_the_addresses() -> None:
    sets = [
        {},
        {"referenceImages": [IMAGE]},
        {"referenceImages": [IMAGE, IMAGE]},
        {"referenceVideos": [VIDEO]},
        {"referenceVideos": [f"{VIDEO}?a"]},
        {"referenceAudios": [SOUND]},
        {"documents": [STORY]},
        {"urls": [PAGE]},
    ]
    requests = [request(W30, inputs=inputs) for inputs in sets]
    frames = [
        [IMAGE],
        [{"image": IMAGE, "frame": "first"}, {"image": IMAGE, "frame": "last"}],
        [{"image": IMAGE, "frame": "first"}, {"image": SOUND, "frame": "last"}],
    ]
    requests += [request(W30, width=None, height=None, inputs={"frameImages": each}) for each in frames]

    assert len({each.fingerprint() for each in requests}) == len(requests)
    assert [each.to_addresses()["inputs"] for each in requests[:3]] == [[], [IMAGE], [IMAGE, IMAGE]]


def test_frames_in_another_form_are_the_same_video() -> None:
    forms = [
        [IMAGE, SOUND],
        [{"image": IMAGE}, {"image": SOUND}],
        [{"image": SOUND, "frame": -1}, {"image": IMAGE, "frame": 0}],
        [IMAGE, {"image": SOUND, "frame": "last"}],
    ]

    found = {request(W27, width=None, height=None, inputs={"frameImages": each}).fingerprint() for each in forms}

    assert len(found) == 1


@pytest.mark.parametrize("model", BASE)
def test_shot_type_is_single_or_multi_where_the_model_has_it(model: str) -> None:
    changes = {"inputs": SEEN} if model == W27 else {}
    if model in (PREVIEW, W30, PRIME):
        assert violations(model, **SETTINGS[model]({"shotType": "single"}))[0].rule.startswith("is not a parameter of")
        return
    for value in ("single", "multi"):
        settings = SETTINGS[model]({"shotType": value})
        assert settings.items() <= request(model, **changes, **settings).to_task(U).items()
    (violation,) = violations(model, **changes, **SETTINGS[model]({"shotType": "double"}))
    assert violation.allowed_values == ("single", "multi")


# rules between parameters

HD = {"width": 1280, "height": 720}
NO_SIZE = {"width": None, "height": None, "resolution": None}
SHOT = {"shotType": "single"}
RULES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    # model, accepted, refused, parameter of the violation
    *((model, {**NO_SIZE, "inputs": FRAME}, {**NO_SIZE, "inputs": None}, "resolution") for model in (PREVIEW, W26)),
    *((model, {}, {**NO_SIZE, "width": 1280}, "height") for model in (PREVIEW, W26, FLASH)),
    *(
        (model, {}, {"resolution": "720p", "width": 1280, "height": 720}, "resolution")
        for model in (PREVIEW, W26, FLASH)
    ),
    *((model, {"inputs": FRAME}, {"inputs": {**FRAME, **SEEN}}, "inputs.frameImages") for model in (W26, FLASH)),
    *(
        (
            model,
            {"inputs": {**FRAME, "audio": SOUND}},
            {"inputs": {**FRAME, "audio": SOUND}, "providerSettings": {"alibaba": {"audio": True}}},
            "inputs.audio",
        )
        for model in (PREVIEW, W26, FLASH)
    ),
    *(
        (
            model,
            {"providerSettings": {"alibaba": {"shotType": "multi", "promptExtend": True}}},
            {"providerSettings": {"alibaba": {"shotType": "multi", "promptExtend": False}}},
            "providerSettings.alibaba.shotType",
        )
        for model in (W26, FLASH)
    ),
    (FLASH, {"inputs": SEEN}, {"inputs": None}, "inputs"),
    (FLASH, {"inputs": FRAME}, {"inputs": {"audio": SOUND}}, "inputs"),
    (W27, {**NO_SIZE, "inputs": FRAME}, {"inputs": FRAME}, "inputs.frameImages"),
    (W27, {**NO_SIZE, "resolution": "720p", "inputs": FRAME}, {**NO_SIZE, "resolution": "720p"}, "resolution"),
    (W27, {}, NO_SIZE, "width"),
    (W27, {"inputs": SEEN}, {**NO_SIZE, "inputs": {**FRAME, **SEEN}}, "inputs.frameImages"),
    (
        W27,
        {"inputs": {"referenceImages": [IMAGE]}},
        {**NO_SIZE, "inputs": {**FRAME, "referenceImages": [IMAGE]}},
        "inputs.frameImages",
    ),
    (W27, {**NO_SIZE, "inputs": FRAME, "positivePrompt": None}, {"positivePrompt": None}, "positivePrompt"),
    (W27, {"inputs": SEEN, "duration": 10}, {"inputs": SEEN, "duration": 11}, "duration"),
    (
        W27,
        {"inputs": {"referenceImages": [IMAGE]}, "duration": 10},
        {"inputs": {"referenceImages": [IMAGE]}, "duration": 15},
        "duration",
    ),
    (
        W27,
        {"inputs": SEEN, "settings": {"shotType": "single"}},
        {"settings": {"shotType": "single"}},
        "settings.shotType",
    ),
    *(
        each
        for model in (W30, PRIME)
        for each in (
            (model, {}, {**NO_SIZE, "width": 1280}, "height"),
            (model, {**NO_SIZE, "inputs": FRAME}, NO_SIZE, "width"),
            (model, {**NO_SIZE, "inputs": SEEN}, {**NO_SIZE, "inputs": {"referenceAudios": [SOUND]}}, "width"),
            (
                model,
                {**NO_SIZE, "inputs": {"referenceImages": [IMAGE]}},
                {**NO_SIZE, "inputs": {"urls": [PAGE]}},
                "width",
            ),
            (model, {"inputs": FRAME}, {"inputs": {**FRAME, "referenceImages": [IMAGE]}}, "inputs.frameImages"),
            (model, {"inputs": FRAME}, {"inputs": {**FRAME, **SEEN}}, "inputs.frameImages"),
            (model, {"inputs": FRAME}, {"inputs": {**FRAME, "referenceAudios": [SOUND]}}, "inputs.frameImages"),
            (
                model,
                {**NO_SIZE, "inputs": SEEN, "resolution": "480p"},
                {"inputs": SEEN, "resolution": "720p"},
                "resolution",
            ),
            (
                model,
                {"inputs": {"urls": [PAGE]}},
                {"inputs": {"urls": [PAGE], "documents": [STORY]}},
                "inputs.documents",
            ),
            (
                model,
                {"inputs": {"referenceAudios": [SOUND]}, "positivePrompt": None},
                {"inputs": {"documents": [STORY]}, "positivePrompt": None},
                "positivePrompt",
            ),
            (model, {"inputs": FRAME, "positivePrompt": None}, {"positivePrompt": None}, "positivePrompt"),
        )
    ),
    *((model, {}, {"positivePrompt": None}, "positivePrompt") for model in (PREVIEW, W26, FLASH)),
]


@pytest.mark.parametrize(("model", "accepted", "refused", "path"), RULES)
def test_a_rule_accepts_and_refuses(model: str, accepted: Any, refused: Any, path: str) -> None:
    assert request(model, **accepted).to_task(U)["model"] == model
    (violation,) = violations(model, **refused)
    assert violation.path == path
    assert violation.rule
    assert violation.fix


@pytest.mark.parametrize(
    ("model", "example"),
    [(W27, "1280 and 720 for 720p"), (W30, "832 and 480 for 480p"), (PRIME, "832 and 480 for 480p")],
)
def test_a_resolution_alone_does_not_make_a_video_from_text(model: str, example: str) -> None:
    (violation,) = violations(model, **{**NO_SIZE, "resolution": "720p"})

    assert (violation.path, violation.fix) == ("resolution", f"give width and height instead, such as {example}")


# prices

PRICES: list[tuple[str, dict[str, Any], str]] = [
    # for 5 s
    (PREVIEW, {"resolution": "480p"}, "0.738"),
    (PREVIEW, {"resolution": "720p"}, "0.473"),
    (PREVIEW, {"resolution": "1080p"}, "0.738"),
    (W26, {"resolution": "720p"}, "0.50"),
    (W26, {"resolution": "1080p"}, "0.75"),
    (W26, {"resolution": "1080p", "duration": 15, "numberResults": 4}, "9.00"),
    (W26, {"resolution": "720p", "inputs": SEEN}, "0.50"),
    (FLASH, {"resolution": "720p"}, "0.25"),
    (FLASH, {"resolution": "1080p"}, "0.375"),
    (FLASH, {"resolution": "720p", "providerSettings": {"alibaba": {"audio": False}}}, "0.125"),
    (FLASH, {"resolution": "1080p", "providerSettings": {"alibaba": {"audio": False}}}, "0.1875"),
    (FLASH, {"resolution": "720p", "inputs": {**FRAME, "audio": SOUND}}, "0.25"),
    (FLASH, {"resolution": "720p", "inputs": SEEN}, "0.50"),
    (FLASH, {"resolution": "1080p", "inputs": SEEN, "providerSettings": {"alibaba": {"audio": False}}}, "0.375"),
    (W27, {}, "0.50"),
    (W27, {"width": 1920, "height": 1080}, "0.75"),
    (W27, {"duration": 15, "numberResults": 2}, "3.00"),
    (W30, {"width": 832, "height": 480}, "0.25"),
    (W30, {}, "0.50"),
    (W30, {"width": 1648, "height": 1248}, "1.00"),
    (PRIME, {"width": 624, "height": 624}, "0.34"),
    (PRIME, {}, "0.70"),
    (PRIME, {"width": 1920, "height": 1080, "duration": 30}, "8.40"),
    (W30, {**NO_SIZE, "inputs": FRAME}, "1.00"),
    (PRIME, {**NO_SIZE, "inputs": FRAME}, "1.40"),
    (W30, {**NO_SIZE, "inputs": FRAME, "resolution": "480p"}, "0.25"),
]


@pytest.mark.parametrize(("model", "changes", "price_usd"), PRICES)
def test_the_list_price_is_exact(model: str, changes: Any, price_usd: str) -> None:
    found = request(model, **changes)

    assert usd(list_price_microusd(found)) == Decimal(price_usd)
    if model != PREVIEW and "numberResults" not in changes:
        assert usd(worst_price_microusd(found)) == Decimal(price_usd)


@pytest.mark.parametrize(
    ("model", "changes", "lowest_usd", "worst_usd"),
    [
        (W30, {"duration": None}, "0.20", "3.00"),
        (W30, {"duration": "auto", **NO_SIZE, "inputs": FRAME}, "0.40", "6.00"),
        (PRIME, {"duration": "auto", "numberResults": 4, "width": 1920, "height": 1080}, "2.24", "33.60"),
        (W26, {**NO_SIZE, "inputs": FRAME}, "0.50", "0.75"),
        (FLASH, NO_SIZE, "0.25", "0.375"),
        (PREVIEW, {**NO_SIZE, "inputs": FRAME}, "0.473", "0.738"),
        (PREVIEW, {"inputs": FRAME}, "0.473", "0.738"),
        (W27, {"inputs": SEEN}, "0.50", "3.50"),
        (W27, {"inputs": {"referenceVideos": [VIDEO, VIDEO]}, "numberResults": 2}, "1.00", "13.00"),
        (W27, {**NO_SIZE, "inputs": FRAME}, "0.50", "0.75"),
    ],
)
def test_a_price_that_is_not_determined_is_reserved_at_its_worst(
    model: str, changes: Any, lowest_usd: str, worst_usd: str
) -> None:
    found = request(model, **changes)

    assert usd(lowest_price_microusd(found)) == Decimal(lowest_usd)
    assert usd(worst_price_microusd(found)) == Decimal(worst_usd)
    assert usd(reservation_microusd(found)) == Decimal(worst_usd) * Decimal("1.02")


@pytest.mark.parametrize(
    ("model", "changes", "charged_usd"),
    [(W30, {}, "0.504"), (W30, {"width": 1920, "height": 1080, "duration": 8}, "1.62")],
)
def test_an_observed_charge_above_the_list_fits_in_its_reservation(model: str, changes: Any, charged_usd: str) -> None:
    found = request(model, **changes)

    assert Decimal(charged_usd) > usd(list_price_microusd(found))
    assert Decimal(charged_usd) <= usd(reservation_microusd(found))


def test_requests_of_other_prices_are_of_other_kinds() -> None:
    requests = [request(model, **changes) for model, changes, _ in PRICES]
    kinds: dict[str, int] = {}
    for each in requests:
        assert kinds.setdefault(request_kind(each), worst_price_microusd(each)) == worst_price_microusd(each)

    assert request_kind(request(PREVIEW)) == "1 x 720p 5 s from text"
    assert request_kind(request(W30, duration="auto", inputs=SEEN)) == (
        "wan3.0: 1 x 720p auto s from 1 reference videos"
    )


def test_the_length_is_known_unless_the_model_chooses_it_or_inputs_are_charged() -> None:
    assert all(is_length_known(request(model)) for model in BASE)
    assert is_length_known(request(W30, inputs=SEEN))
    assert not is_length_known(request(W30, duration="auto"))
    assert not is_length_known(request(W27, inputs=SEEN))


@pytest.mark.parametrize("model", BASE)
def test_safety_is_sent_only_if_it_is_given(model: str) -> None:
    assert "safety" not in request(model).to_task(U)
    assert request(model, safety={"mode": "fast"}).to_task(U)["safety"] == {"mode": "fast"}


def test_a_record_of_a_model_that_is_not_described_can_still_be_read() -> None:
    record = {**request(W26).to_record(), "model": "alibaba:wan@1.0", "settings": {"audio": False}}
    found = VideoRequest.from_record(record)

    assert (found.model, found.prompt, found.tier, found.duration) == ("alibaba:wan@1.0", "A red kite", "720p", 5)
    assert worst_price_microusd(found) > 0


GOLDEN = {
    PREVIEW: "41db79b6ed1b8a02db3b27b5d9fcac9775e1297f3ecda9ef991ba8ccfb36911c",
    W26: "d39fef2ef5da470982622e8c84c16f323d4acd9dfe2c2d51631e9378a939b72f",
    FLASH: "94961c38db3979def77925443896d7c22255ed106c6bc702d3c3b700183ed33a",
    W27: "c63a4f6132b919de74317933047a985e6f6435b682641fd0331107fe1eca244a",
    W30: "2cba523d7e2211c1ba6e70fc4f31beb9b76e8962e6129e7c06162e4139565cb0",
    PRIME: "cebd613035d8120ef0b8129ad42630ad3c0ca69939bf96e91e35a013c2cdbcb0",
}


@pytest.mark.parametrize(("model", "fingerprint"), GOLDEN.items())
def test_the_fingerprint_is_the_same_in_every_release_also_with_assumed_defaults(model: str, fingerprint: str) -> None:
    """Another fingerprint would pay for every stored video again."""
    assert request(model, duration=None).fingerprint() == fingerprint
