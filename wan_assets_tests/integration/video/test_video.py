"""What `wan_assets.video` claims: clips are real, broken files are refused, no file can harm the caller."""

import asyncio
import hashlib
import io
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from wan_assets import video
from wan_assets.errors import DecoderError, InvalidVideoError
from wan_assets.video import (
    Clip,
    Expected,
    Verifier,
    VideoProperties,
    inspect_file,
    mismatches,
    poster_of,
    properties_of,
    render,
    sample_image,
)
from wan_assets.video.simulated_image import still_image_of, strip_height

SIZES = (
    *((854, 480), (480, 854), (640, 640)),
    *((1280, 720), (720, 1280), (960, 960), (1088, 832), (832, 1088)),
    *((1920, 1080), (1080, 1920), (1440, 1440), (1632, 1248), (1248, 1632)),
)
CONTAINERS = ("MP4", "MOV", "WEBM")
CLIP = Clip("MP4", 854, 480, 5, has_audio=True, seed=7, prompt="A red fox runs over fresh snow at dawn")
NASTY = "中文 🦊 ثعلب\0\ud800 line one\nline two\u202e end"
CLEAN = "中文 🦊 ثعلب\ufffd? line one\nline two\u202e end"
has_pidfd = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux, to wait for another's child")


@lru_cache(maxsize=1)
def folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="wan-assets-video-")


@lru_cache(maxsize=100)
def file_of(clip: Clip) -> Path:
    path = Path(folder().name) / f"{hashlib.sha256(repr(clip).encode()).hexdigest()[:12]}.{clip.container.lower()}"
    render(clip, path)
    return path


def clip_in(container: str) -> Clip:
    return replace(CLIP, container=container)


def luma_of(path: Path, frames: int) -> np.ndarray:
    with av.open(str(path)) as file:
        return np.stack([f.to_ndarray(format="gray") for f in islice(file.decode(video=0), frames)])


def difference(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - two).mean())


def refusal_of(path: Path) -> str:
    with pytest.raises(InvalidVideoError) as refusal:
        properties_of(path)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def file_with(tmp_path: Path, content: bytes, name: str = "video") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


# Rendered clips


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_size_of_the_table_decodes_to_its_size(width: int, height: int):
    facts = properties_of(file_of(replace(CLIP, width=width, height=height, has_audio=False)))

    assert mismatches(facts, Expected("MP4", width, height, 5, has_audio=False)) == ()


@pytest.mark.parametrize("duration_s", [5, 10])
@pytest.mark.parametrize("has_audio", [True, False])
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_clip_is_what_was_asked_for(container: str, has_audio: bool, duration_s: int):
    path = file_of(replace(CLIP, container=container, has_audio=has_audio, duration_s=duration_s))

    facts = properties_of(path)

    assert mismatches(facts, Expected(container, 854, 480, duration_s, has_audio)) == ()
    assert facts.frames == duration_s * 24
    assert facts.has_audio is has_audio
    if has_audio:
        assert facts.audio_s == pytest.approx(duration_s, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_clip_moves_and_its_picture_stays_sharp_to_the_end(container: str):
    frames = luma_of(file_of(clip_in(container)), 120)

    strip, picture = np.split(frames, [strip_height(480)], axis=1)
    assert difference(strip[0], strip[-1]) > 20
    assert all((strip[n + 6] != strip[n]).any() for n in range(0, 114, 6))
    assert (picture == picture[0]).all()
    assert picture.std() > 10
    assert picture.mean() > 30


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_sound_is_quiet_and_not_silent(container: str):
    with av.open(str(file_of(clip_in(container)))) as file:
        samples = np.concatenate([f.to_ndarray().ravel() for f in file.decode(audio=0)])

    assert 0.005 < np.sqrt(np.mean(samples**2)) < 0.1


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_tags_say_simulated_and_hold_the_whole_prompt(container: str):
    path = file_of(replace(clip_in(container), prompt=NASTY + "x" * 3000))

    with av.open(str(path)) as file:
        tags = {name.lower(): value for name, value in file.metadata.items()}

    assert tags["title"] == "SIMULATED by wan-assets"
    assert tags["comment"] == f"SIMULATED by wan-assets, seed 7: {CLEAN}{'x' * 3000}"


@pytest.mark.parametrize("other", [replace(CLIP, seed=8), replace(CLIP, prompt="A blue whale")])
@pytest.mark.parametrize("container", CONTAINERS)
def test_another_seed_or_prompt_is_another_file_and_another_picture(container: str, other: Clip):
    one, two = file_of(clip_in(container)), file_of(replace(other, container=container))

    assert one.read_bytes() != two.read_bytes()
    assert difference(luma_of(one, 1), luma_of(two, 1)) > 5


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_same_clip_is_the_same_file(container: str, tmp_path: Path):
    render(clip_in(container), tmp_path / "again")

    assert (tmp_path / "again").read_bytes() == file_of(clip_in(container)).read_bytes()


def test_files_are_small_and_start_fast():
    content = file_of(replace(CLIP, width=1280, height=720, prompt="A prompt of usual length. " * 20)).read_bytes()

    assert len(content) < 150_000
    assert content.index(b"moov") < content.index(b"mdat")


def test_threads_may_render_at_the_same_time(tmp_path: Path):
    clips = [replace(CLIP, width=320, height=240, seed=seed) for seed in range(8)]

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda clip: render(clip, tmp_path / str(clip.seed)), clips))

    assert {properties_of(path).frames for path in tmp_path.iterdir()} == {120}
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 8


def test_a_clip_that_cannot_be_put_in_place_leaves_nothing_behind(tmp_path: Path):
    path = tmp_path / "folder"
    path.mkdir()

    with pytest.raises(OSError, match="folder"):
        render(CLIP, path)

    assert list(tmp_path.rglob("*")) == [path]


@pytest.mark.parametrize("change", [{"width": 853}, {"height": 0}, {"container": "AVI"}, {"duration_s": 0}])
def test_a_clip_that_cannot_be_rendered_is_refused_at_once(change: dict[str, Any]):
    with pytest.raises(ValueError, match="cannot be rendered"):
        replace(CLIP, **change)


@given(prompt=st.text(st.characters(codec=None), max_size=400), width=st.integers(32, 400))
@settings(max_examples=25, deadline=None)
def test_any_prompt_can_be_drawn(prompt: str, width: int):
    assert still_image_of(1, prompt, size=(width, 180), note="").size == (width, 180)


def test_an_image_is_a_png_of_its_size_and_its_seed():
    with Image.open(io.BytesIO(sample_image(3, (320, 180)))) as image:
        assert (image.format, image.size) == ("PNG", (320, 180))
    assert sample_image(3, (320, 180)) != sample_image(4, (320, 180))


# Files that are refused


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_cut_file_is_refused(container: str, share: float, tmp_path: Path):
    content = file_of(clip_in(container)).read_bytes()

    assert "cut off" in refusal_of(file_with(tmp_path, content[: int(len(content) * share)]))


@pytest.mark.parametrize("lost", [1, 7, 100])
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_file_that_lacks_its_last_bytes_is_refused(container: str, lost: int, tmp_path: Path):
    refusal_of(file_with(tmp_path, file_of(clip_in(container)).read_bytes()[:-lost]))


@pytest.mark.parametrize("container", ["MP4", "MOV"])
def test_a_cut_file_whose_boxes_fit_lacks_frames(container: str, tmp_path: Path):
    content = bytearray(file_of(clip_in(container)).read_bytes())
    with av.open(io.BytesIO(content)) as file:
        middle = [packet.pos for packet in file.demux(video=0)][60]
    at = content.index(b"mdat") - 4
    del content[middle:]
    content[at : at + 4] = (len(content) - at).to_bytes(4, "big")

    assert "60 of 120 frames" in refusal_of(file_with(tmp_path, bytes(content)))


def test_a_live_webm_that_ends_early_is_refused(tmp_path: Path):
    content = bytearray(file_of(clip_in("WEBM")).read_bytes())
    for marker in (b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"):
        at = content.index(marker) + 4
        length = 9 - content[at].bit_length()
        content[at : at + length] = ((1 << 7 * length + 1) - 1).to_bytes(length, "big")
    cut = bytes(content[: content.index(b"\x1f\x43\xb6\x75") + 20])

    refusal_of(file_with(tmp_path, cut))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"a" * 5000, "not an MP4"),
        (b"#EXTM3U\n/etc/passwd\n", "not an MP4"),
        (b'{"error": "expired"}', "not an MP4"),
        (bytes(10_000), "not an MP4"),
        (b"\0\0\0\x18ftypisom" + bytes(12), "moov"),
        (b"\0\0\0\x18ftypisom" + b"\xff" * 5000, "cut off"),
        (b"\x1a\x45\xdf\xa3" + b"\xff" * 5000, "broken"),
        (b"\x1a\x45\xdf\xa3" + bytes(5000), "broken"),
    ],
    ids=["empty", "text", "playlist", "json", "zeros", "header", "boxes", "ebml", "ebml zeros"],
)
def test_what_is_no_video_is_refused_with_a_reason(content: bytes, reason: str, tmp_path: Path):
    assert reason in refusal_of(file_with(tmp_path, content))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path):
    assert "No such file" in refusal_of(tmp_path / "missing")
    refusal_of(tmp_path)


def test_a_picture_is_refused(tmp_path: Path):
    assert "not an MP4" in refusal_of(file_with(tmp_path, sample_image(1, (64, 64))))


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_file_with_sound_alone_is_refused(container: str, tmp_path: Path):
    with av.open(str(tmp_path / "sound"), "w", format=container.lower()) as out:
        copy_streams(file_of(clip_in(container)), out, "audio")

    assert refusal_of(tmp_path / "sound") == "the file has no video stream"


@pytest.mark.parametrize("container", ["MP4", "MOV"])
def test_garbage_in_the_middle_of_h264_is_refused(container: str, tmp_path: Path):
    refusal_of(file_with(tmp_path, with_garbage(file_of(clip_in(container)).read_bytes())))


def test_webm_is_told_from_other_matroska(tmp_path: Path):
    with av.open(str(tmp_path / "mkv"), "w", format="matroska") as out:
        copy_streams(file_of(clip_in("WEBM")), out, "video")

    facts = properties_of(tmp_path / "mkv")

    assert facts.container == "MATROSKA"
    assert "container is MATROSKA, requested WEBM" in mismatches(facts, replace(ASKED, container="WEBM"))


def copy_streams(path: Path, out: Any, kind: str) -> None:
    with av.open(str(path)) as source:
        stream = next(s for s in source.streams if s.type == kind)
        target = out.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = target
                out.mux(packet)


def with_garbage(content: bytes) -> bytes:
    at = content.index(b"mdat") + 2000 if b"mdat" in content else len(content) // 2
    return content[:at] + hashlib.shake_256(b"garbage").digest(2000) + content[at + 2000 :]


# Mismatches


ASKED = Expected("MP4", 1280, 720, 5, has_audio=True)
GOOD = VideoProperties("MP4", "h264", 1280, 720, 5.0, 24.0, 120, "aac", 5.0)
FREE = replace(ASKED, width=None, height=None, pixels=(900_000, 1_000_000))


@pytest.mark.parametrize(
    ("changes", "asked", "sentence"),
    [
        ({"container": "MOV"}, ASKED, "container is MOV, requested MP4"),
        ({"width": 640, "height": 480}, ASKED, "size is 640x480, requested 1280x720"),
        ({"height": 721}, replace(ASKED, width=None), "size is 1280x721, requested 1280x720"),
        ({"width": 640, "height": 480}, FREE, "size is 640x480, requested 900000 to 1000000 pixels"),
        ({"duration_s": 10.0, "frames": 240, "audio_s": 10.0}, ASKED, "length is 10.00 s, requested 5 s"),
        ({"duration_s": 4.4, "frames": 106, "audio_s": 4.4}, ASKED, "length is 4.40 s, requested 5 s"),
        ({"frames": 116}, ASKED, "has 116 frames, 5.00 s at 24 fps should have 120"),
        ({"frames": 124}, ASKED, "has 124 frames, 5.00 s at 24 fps should have 120"),
        ({"audio_codec": None, "audio_s": None}, ASKED, "has no audio, requested with audio"),
        ({}, replace(ASKED, has_audio=False), "has audio, requested without audio"),
        ({"video_codec": "mpeg4"}, ASKED, "video codec is mpeg4, MP4 should have h264 or hevc"),
        ({"audio_codec": "mp3"}, ASKED, "audio codec is mp3, MP4 should have aac"),
    ],
)
def test_each_difference_is_one_sentence(changes: dict[str, Any], asked: Expected, sentence: str):
    assert mismatches(replace(GOOD, **changes), asked) == (sentence,)


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({}, ASKED),
        ({"video_codec": "hevc"}, ASKED),
        ({"duration_s": 5.4, "frames": 130, "audio_s": 5.4}, ASKED),
        ({"frames": 117}, ASKED),
        ({"duration_s": 10.0, "frames": 234, "audio_s": 10.0}, replace(ASKED, duration_s=10)),
        ({"width": 1088, "height": 832}, FREE),
        ({"width": 640, "height": 480}, replace(FREE, pixels=None)),
        (
            {"container": "WEBM", "video_codec": "av1", "audio_codec": "vorbis"},
            replace(ASKED, container="WEBM"),
        ),
    ],
)
def test_what_is_within_tolerance_is_no_difference(changes: dict[str, Any], asked: Expected):
    assert mismatches(replace(GOOD, **changes), asked) == ()


def test_facts_survive_json():
    assert VideoProperties.from_json(GOOD.to_json()) == GOOD


# Posters


@pytest.mark.parametrize(("width", "height", "box"), [(854, 480, (96, 54)), (480, 854, (30, 54)), (640, 640, (54, 54))])
def test_a_poster_is_a_small_webp_in_the_shape_of_the_video(width: int, height: int, box: tuple[int, int]):
    data = poster_of(file_of(replace(CLIP, width=width, height=height, has_audio=False)))

    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == ("WEBP", box)
    assert len(data) <= 700


def test_a_poster_shrinks_until_it_fits():
    assert len(poster_of(file_of(CLIP), size=(400, 400), max_bytes=300)) <= 300


def test_a_poster_shows_the_moment_asked_for():
    first, middle, last = (
        np.asarray(Image.open(io.BytesIO(poster_of(file_of(CLIP), (200, 200), 20_000, at))).convert("L"), int)[2:9]
        for at in (0.0, 0.5, 1.0)
    )

    assert first[:, :150].mean() + 20 < middle[:, :150].mean() < last[:, :150].mean() - 20


@pytest.mark.parametrize("content", [b"", b"text", b"\0\0\0\x18ftypisom" + b"\xff" * 500])
def test_a_poster_of_no_video_is_refused(content: bytes, tmp_path: Path):
    with pytest.raises(InvalidVideoError):
        poster_of(file_with(tmp_path, content))


# Checking in child processes


class Background:
    """A Verifier in an event loop of another thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.verifier = self.result(Verifier(processes=1).__aenter__())

    def result(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=60)

    def close(self) -> None:
        self.result(self.verifier.__aexit__(None, None, None))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def background() -> Iterator[Background]:
    background = Background()
    yield background
    background.close()


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A file that a child opens and never reads to its end."""
    path = tmp_path / "endless"
    os.mkfifo(path)
    return path


async def stuck_on(verifier: Verifier, endless: Path) -> tuple[asyncio.Task[VideoProperties], int]:
    """A call whose child has opened the file, and the other end of the file."""
    call = asyncio.create_task(verifier.properties_of(endless))
    return call, await asyncio.to_thread(os.open, endless, os.O_WRONLY)


def has_ended(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], 30)[0])


def test_a_child_says_what_the_function_says(background: Background):
    path = file_of(clip_in("WEBM"))

    assert background.result(background.verifier.properties_of(path)) == properties_of(path)
    assert background.result(background.verifier.poster_of(path, (64, 64), 500, 0.0)) == poster_of(
        path, (64, 64), 500, 0.0
    )


def test_one_child_serves_many_files(background: Background):
    path = file_of(CLIP)
    background.result(background.verifier.properties_of(path))
    before = background.verifier.pids

    background.result(background.verifier.properties_of(path))

    assert background.verifier.pids == before
    assert len(before) == 1


def test_a_child_gives_way_to_the_process_that_asks_it(background: Background):
    background.result(background.verifier.properties_of(file_of(CLIP)))

    own, *others = (os.getpriority(os.PRIO_PROCESS, pid) for pid in (os.getpid(), *background.verifier.pids))

    assert others
    assert min(others) > own


@pytest.mark.parametrize("call", ["properties_of", "poster_of"])
def test_a_refusal_in_the_child_is_the_same_refusal(call: str, background: Background, tmp_path: Path):
    path = file_with(tmp_path, b"text")

    with pytest.raises(InvalidVideoError, match=r"^the file is not an MP4, MOV or WebM file$"):
        background.result(getattr(background.verifier, call)(path))


@given(start=st.sampled_from([b"", b"\0\0\0\x18ftypisom", b"\x1a\x45\xdf\xa3"]), rest=st.binary(max_size=3000))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes_are_always_refused(start: bytes, rest: bytes, background: Background, tmp_path: Path):
    path = file_with(tmp_path, start + rest)

    with pytest.raises(InvalidVideoError):
        background.result(background.verifier.properties_of(path))


@pytest.mark.parametrize("container", CONTAINERS)
def test_garbage_in_the_middle_costs_that_file_at_most(container: str, background: Background, tmp_path: Path):
    path = file_of(clip_in(container))
    broken = file_with(tmp_path, with_garbage(path.read_bytes()))

    outcome = background.result(outcome_of(background.verifier.properties_of(broken)))

    assert isinstance(outcome, VideoProperties | InvalidVideoError | DecoderError)
    assert background.result(background.verifier.properties_of(path)).frames == 120


async def outcome_of(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await work
    except (InvalidVideoError, DecoderError) as error:
        return error


def test_a_file_that_takes_too_long_costs_that_file_alone(endless: Path):
    path = file_of(CLIP)

    async def check() -> None:
        async with Verifier(processes=1, limit_s=1.5) as verifier:
            call, writer = await stuck_on(verifier, endless)
            with pytest.raises(DecoderError, match=r"took longer than 1\.5 s"):
                await call
            os.close(writer)

            assert (await verifier.properties_of(path)).frames == 120

    asyncio.run(check())


def test_a_child_that_dies_costs_its_file_alone(endless: Path):
    path = file_of(CLIP)

    async def check() -> None:
        async with Verifier(processes=1) as verifier:
            call, writer = await stuck_on(verifier, endless)
            (pid,) = verifier.pids
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(DecoderError, match="the decoder process was killed"):
                await call
            os.close(writer)

            assert (await verifier.properties_of(path)).frames == 120
            assert pid not in verifier.pids

    asyncio.run(check())


def test_a_child_that_dies_while_it_waits_costs_no_file():
    path = file_of(CLIP)

    async def check() -> None:
        async with Verifier(processes=1) as verifier:
            await verifier.properties_of(path)
            (child,) = verifier._alive
            os.kill(child.pid, signal.SIGKILL)
            await child.wait()

            assert (await verifier.properties_of(path)).frames == 120

    asyncio.run(check())


def test_a_cancelled_call_never_leaves_its_answer_to_another(endless: Path):
    path = file_of(CLIP)

    async def check() -> None:
        async with Verifier(processes=1) as verifier:
            call, writer = await stuck_on(verifier, endless)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            os.close(writer)

            assert verifier.pids == ()
            assert (await verifier.properties_of(path)).frames == 120

    asyncio.run(check())


@pytest.mark.slow
@pytest.mark.parametrize(("files", "patience_s", "children"), [(4, 60.0, 1), (4, 0.0, 2), (8, 60.0, 2)])
def test_a_second_child_and_no_more_is_started_for_a_crowd_or_for_a_file_that_has_waited(
    files: int, patience_s: float, children: int
):
    path = file_of(CLIP)

    async def check() -> None:
        async with Verifier(processes=2, patience_s=patience_s) as verifier:
            facts = await asyncio.gather(*(verifier.properties_of(path) for _ in range(files)))

            assert {fact.frames for fact in facts} == {120}
            assert len(verifier.pids) == children

    asyncio.run(check())


def test_a_file_does_not_wait_for_one_that_is_stuck(endless: Path):
    path = file_of(CLIP)

    async def check() -> None:
        async with Verifier(processes=2, patience_s=0.2) as verifier:
            call, writer = await stuck_on(verifier, endless)

            assert (await verifier.properties_of(path)).frames == 120
            assert not call.done()

            call.cancel()
            os.close(writer)

    asyncio.run(check())


@has_pidfd
def test_leaving_under_cancellation_ends_every_child(endless: Path):
    async def work(verifier: Verifier) -> None:
        async with verifier:
            await verifier.properties_of(endless)

    async def check() -> int:
        verifier = Verifier()
        task = asyncio.create_task(work(verifier))
        writer = await asyncio.to_thread(os.open, endless, os.O_WRONLY)
        pidfd = os.pidfd_open(verifier.pids[0])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        os.close(writer)
        return pidfd

    assert has_ended(asyncio.run(check()))


@has_pidfd
def test_a_child_ends_when_its_parent_is_killed(endless: Path):
    code = """if True:
        import asyncio, sys
        from wan_assets.video import Verifier
        async def main():
            async with Verifier(processes=1) as verifier:
                await verifier.properties_of(sys.argv[1])
                print(*verifier.pids, flush=True)
                await verifier.properties_of(sys.argv[2])
        asyncio.run(main())"""
    with subprocess.Popen([sys.executable, "-c", code, file_of(CLIP), endless], stdout=subprocess.PIPE) as parent:
        pidfd = os.pidfd_open(int(parent.stdout.readline()))
        writer = os.open(endless, os.O_WRONLY)
        parent.kill()

    assert has_ended(pidfd)
    os.close(writer)


def test_what_a_library_prints_does_not_reach_the_answers():
    code = """if True:
        import os
        from wan_assets.video.decoder_process import _own_stdout
        answers = _own_stdout()
        os.write(1, b"noise")
        answers.write(b"answer")
        answers.flush()"""

    assert subprocess.check_output([sys.executable, "-c", code]) == b"answer"


def test_a_child_imports_nothing_heavy():
    code = """if True:
        import sys, wan_assets.video.decoder_process
        print(*{"dagster", "pandas", "numpy", "httpx"} & set(sys.modules))"""

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == ""


def test_a_verifier_that_is_not_open_says_so():
    with pytest.raises(RuntimeError, match="async with Verifier"):
        asyncio.run(Verifier().properties_of(file_of(CLIP)))


def test_one_decoding_gives_facts_poster_and_strip():
    path = file_of(CLIP)

    seen = inspect_file(path, 540, has_contact_sheet=True)

    assert seen.facts == properties_of(path)
    assert len(seen.poster) <= 540
    assert Image.open(io.BytesIO(seen.poster)).size == (96, 54)
    strip = Image.open(io.BytesIO(seen.contact_sheet))
    assert strip.size == (3 * 240 + 2 * 4, 135)
    assert len(seen.contact_sheet) <= 10_000


def test_a_strip_shows_the_first_the_middle_and_the_last_frame():
    strip = np.asarray(
        Image.open(io.BytesIO(inspect_file(file_of(CLIP), 540, has_contact_sheet=True).contact_sheet)).convert("L"), int
    )

    bars = [strip[2:6, place * 244 : place * 244 + 200].mean() for place in range(3)]
    assert bars == sorted(bars), "the bar that tells the time grows"
    assert min(bars[1] - bars[0], bars[2] - bars[1]) > 8


def test_no_strip_is_made_where_none_is_wanted(background: Background):
    seen = background.result(background.verifier.inspect_file(file_of(CLIP), 540, has_contact_sheet=False))

    assert seen == inspect_file(file_of(CLIP), 540, has_contact_sheet=False)
    assert seen.contact_sheet == b""


@pytest.mark.parametrize("content", [b"", b"no video", Path(__file__).read_bytes()[:5000]])
def test_of_what_is_no_video_nothing_is_seen(content: bytes, tmp_path: Path):
    with pytest.raises(InvalidVideoError):
        inspect_file(file_with(tmp_path, content), 540, has_contact_sheet=True)


@pytest.mark.slow
def test_the_public_names_are_these():
    assert set(video.__all__) == {
        *("Clip", "Expected", "Inspection", "SIMULATED_TITLE", "VideoProperties", "Verifier"),
        *("audio_mismatches", "expected_of", "inspect_file", "mismatches", "poster_of", "properties_of", "render"),
        "sample_image",
    }
    assert all(hasattr(video, name) for name in video.__all__)
