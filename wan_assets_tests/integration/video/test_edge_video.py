"""The decoder process, which is confined and may fail for its own reasons; sidecars and pictures that are anything."""

import asyncio
import errno
import json
import os
import resource
import signal
import socket
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import pytest
from cli_support import wan_assets
from engine_support import Studio, errors_of, jobs_of, stored_task, stored_video, studio
from gallery_support import gallery_of, paid, records_of
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from upath import UPath

from wan_assets.dataset import write_manifest
from wan_assets.errors import DecoderError, DecoderMissingError, InvalidVideoError
from wan_assets.ledger import Ledger
from wan_assets.prompts import PromptRow, PromptTable
from wan_assets.prompts.image_size import MAX_BYTES
from wan_assets.store import StoredTask, VideoStore
from wan_assets.store.sidecar import as_json, from_json
from wan_assets.video import Clip, Verifier, properties_of, render
from wan_assets.video.decode_errors import decoding_error_of

is_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def clip_in(folder: Path, container: str = "MP4") -> Path:
    path = folder / f"clip.{container.lower()}"
    render(Clip(container, 854, 480, 5, has_audio=True, seed=7, prompt="A red fox"), path)
    return path


def with_child(folder: Path, look: Any, **limits: Any) -> Any:
    """What is seen of a decoder process that has decoded a file."""

    async def check() -> Any:
        async with Verifier(processes=1, **limits) as verifier:
            await verifier.properties_of(clip_in(folder))
            return look(*verifier.pids)

    return asyncio.run(check())


def facts_in_child(path: Path, **limits: Any) -> Any:
    """What a decoder process answers to a file."""

    async def ask() -> Any:
        async with Verifier(processes=1, **limits) as verifier:
            return await verifier.properties_of(path)

    return asyncio.run(ask())


# What the decoder process may do


@is_linux
def test_a_decoder_inherits_no_environment(tmp_path, monkeypatch):
    for name in ("RUNWARE_API_KEY", "AWS_SECRET_ACCESS_KEY", "WAN_ASSETS_LEDGER", "PYTHONPATH", "HOME", "PATH"):
        monkeypatch.setenv(name, os.environ.get(name, "a secret"))
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)

    environment = with_child(tmp_path, lambda pid: Path(f"/proc/{pid}/environ").read_bytes())

    assert environment == b""


@is_linux
def test_a_decoder_is_limited_in_memory_time_files_and_writing(tmp_path):
    names = ("AS", "DATA", "CPU", "NOFILE", "FSIZE", "CORE")
    limits = with_child(
        tmp_path, lambda pid: {name: resource.prlimit(pid, getattr(resource, f"RLIMIT_{name}"))[0] for name in names}
    )

    assert limits["DATA"] == 2**30
    assert limits["AS"] == 2**31
    assert 60 <= limits["CPU"] <= 70
    assert limits["NOFILE"] == 64
    assert (limits["FSIZE"], limits["CORE"]) == (0, 0)


@is_linux
def test_a_decoder_has_no_files_of_its_parent_and_no_network(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        os.set_inheritable(listening.fileno(), True)
        opened, network = with_child(
            tmp_path,
            lambda pid: (
                [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()],
                Path(f"/proc/{pid}/net/dev").read_text(),
            ),
        )

    assert not [place for place in opened if place.startswith("socket")]
    if has_namespaces():
        assert [line.partition(":")[0].strip() for line in network.splitlines()[2:]] == ["lo"]


def has_namespaces() -> bool:
    code = "import ctypes; raise SystemExit(ctypes.CDLL(None).unshare(0x50000000) != 0)"
    return os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0


@pytest.mark.slow
def test_a_large_video_of_the_api_fits_the_limits_many_times(tmp_path):
    render(Clip("MP4", 1920, 1080, 15, has_audio=True, seed=7, prompt="A fox"), path := tmp_path / "large.mp4")

    facts = facts_in_child(path, memory_bytes=2**28)

    assert (facts.width, facts.height, facts.frames) == (1920, 1080, 360)


def test_a_picture_too_large_to_be_decoded_is_no_damaged_file(tmp_path):
    with av.open(str(path := tmp_path / "wide.mp4"), "w") as out:
        video = out.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 8704, 64, "yuv420p"
        out.mux(video.encode(av.VideoFrame(8704, 64, "yuv420p")))
        out.mux(video.encode(None))

    with pytest.raises(DecoderError, match="8704x64 is not decoded"):
        facts_in_child(path)


@pytest.mark.slow
def test_a_decoder_out_of_memory_says_so_and_serves_the_next_file(tmp_path):
    render(Clip("MP4", 3840, 2160, 1, has_audio=False, seed=7, prompt="A fox"), large := tmp_path / "large.mp4")
    small = clip_in(tmp_path)

    async def check() -> None:
        async with Verifier(processes=1, memory_bytes=60 * 2**20) as verifier:
            assert (await verifier.properties_of(small)).frames == 120
            with pytest.raises(DecoderError, match="memory"):
                await verifier.properties_of(large)
            assert (await verifier.properties_of(small)).frames == 120

    asyncio.run(check())


def test_a_decoder_that_cannot_start_is_no_damaged_file(tmp_path):
    with pytest.raises(DecoderError, match="the decoder process cannot start"):
        facts_in_child(clip_in(tmp_path), memory_bytes=2**20)


@pytest.mark.parametrize(("sent", "said"), [(signal.SIGKILL, "was killed"), (signal.SIGXCPU, "CPU time"), (11, "11")])
def test_how_a_decoder_ended_is_told(sent, said, tmp_path):
    os.mkfifo(tmp_path / "endless")

    async def check() -> None:
        async with Verifier(processes=1) as verifier:
            call = asyncio.create_task(verifier.properties_of(tmp_path / "endless"))
            writer = await asyncio.to_thread(os.open, tmp_path / "endless", os.O_WRONLY)
            os.kill(*verifier.pids, sent)
            with pytest.raises(DecoderError, match=said):
                await call
            os.close(writer)

    asyncio.run(check())


@pytest.mark.parametrize(
    ("container", "codec", "unknown"),
    [("MP4", b"avc1", b"vvv1"), ("WEBM", b"V_VP9", b"V_QQ9"), ("WEBM", b"A_OPUS", b"A_QPUS")],
)
def test_a_stream_without_a_decoder_is_no_damaged_file(container, codec, unknown, tmp_path):
    path = clip_in(tmp_path, container)
    path.write_bytes(path.read_bytes().replace(codec, unknown))

    for ask in (properties_of, facts_in_child):
        with pytest.raises(DecoderMissingError, match="no decoder"):
            ask(path)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), DecoderError),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), DecoderError),
        (OSError(errno.EMFILE, "Too many open files"), DecoderError),
        (OSError(errno.EIO, "Input/output error"), DecoderError),
        (av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory"), DecoderError),
        (av.error.PatchWelcomeError(1, "Not yet implemented in FFmpeg"), DecoderMissingError),
        (av.error.DecoderNotFoundError(1, "Decoder not found"), DecoderMissingError),
        (av.error.InvalidDataError(1, "Invalid data found"), InvalidVideoError),
        (FileNotFoundError(errno.ENOENT, "No such file"), InvalidVideoError),
        (ValueError("odd"), InvalidVideoError),
    ],
    ids=repr,
)
def test_what_decoding_raises_is_sorted_by_what_it_says_of_the_file(error, kind):
    assert type(decoding_error_of(error)) is kind


@pytest.mark.parametrize("container", ["MP4", "WEBM"])
def test_a_cut_file_is_a_damaged_file(container, tmp_path):
    path = clip_in(tmp_path, container)
    path.write_bytes(path.read_bytes()[:-3000])

    with pytest.raises(InvalidVideoError):
        facts_in_child(path)


@pytest.mark.slow
def test_the_paid_file_of_a_decoder_that_failed_is_kept_and_checked_again_without_paying(tmp_path):
    with studio(tmp_path) as engine:
        served = served_file(engine)
        whole = served.read_bytes()
        served.write_bytes(whole.replace(b"avc1", b"vvv1"))

        (failed,) = engine.run(jobs_of(1))
        (aside,) = (tmp_path / "store" / "set_aside").iterdir()
        aside.write_bytes(whole)
        served.unlink()
        (again,) = engine.run(jobs_of(1))

        assert (engine.paid, engine.states()) == (1, ["stored"])
    assert errors_of([failed, again]) == ["DecoderMissingError", ""]
    assert f"The file is kept as {aside}" in str(failed.error)
    assert again.stored.differences == ()


def served_file(engine: Studio) -> Path:
    """The file that the simulator serves for the one order of an engine, which has to fetch it anew."""
    engine.run(jobs_of(1))
    for path in sorted((engine.folder / "store").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (served,) = (engine.folder / "simulator" / "media").iterdir()
    return served


# Sidecars


WHOLE = stored_task(videos=(stored_video("/a/b/x.mp4", 1, "0" * 64),))


def test_a_sidecar_comes_back_as_it_was_written():
    content = json.dumps(as_json(WHOLE)).encode()

    assert as_json(from_json(content, UPath("/a/b"))) == as_json(WHOLE)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.data(), ANYTHING)
def test_any_value_in_any_place_of_a_sidecar_gives_a_task_or_one_line(data, value):
    said = json.loads(json.dumps(as_json(WHOLE)))
    place = data.draw(st.sampled_from([said, said["videos"][0], said["videos"][0]["facts"]]))
    place[data.draw(st.sampled_from([*place, "width", "fps", "audio_codec", "odd"]))] = value

    found = outcome_of(json.dumps(said).encode())

    if isinstance(found, ValueError):
        assert len(str(found).splitlines()) == 1
        assert len(str(found)) < 300
    else:
        assert all(isinstance(video.facts.get("width"), int | None) for video in found.videos)


def outcome_of(content: bytes) -> StoredTask | ValueError:
    try:
        return from_json(content, UPath("/a/b"))
    except ValueError as error:
        return error


DEEP = b"[" * 200_000
ODD = {
    "deep": DEEP,
    "deep inside": json.dumps(as_json(WHOLE)).encode().replace(b'"request": {', b'"request": {"a": ' + DEEP + b", ", 1),
    "no text": b"\xff\xfe",
    "null": b"null",
    "videos are a number": b'{"videos": 5}',
    "empty": b"",
}


@pytest.mark.slow
def test_no_sidecar_stops_gallery_export_or_run(tmp_path):
    data = tmp_path / "wan_assets_data"
    table = tmp_path / "prompts.csv"
    rows = "".join(f"p{number},Kite {number},480p\n" for number in range(len(ODD) + 1))
    table.write_text(f"prompt_id,positive_prompt,resolution\n{rows}")
    first = wan_assets("demo", "--prompts", table, "--json", cwd=tmp_path)
    sidecars = sorted((data / "videos" / "simulated").rglob("*.json"))
    for sidecar, content in zip(sidecars, ODD.values(), strict=False):
        sidecar.write_bytes(content)

    export = wan_assets("export", table, "--format", "videofolder", "--json", cwd=tmp_path)
    gallery = wan_assets("gallery", table, "--json", cwd=tmp_path)
    run = wan_assets("demo", "--prompts", table, "--json", cwd=tmp_path)

    assert [first.returncode, export.returncode, gallery.returncode, run.returncode] == [0, 1, 0, 0]
    assert json.loads(export.stdout)["missing"] == len(ODD)
    assert json.loads(gallery.stdout)["videos"] == 1
    for ended in (export, gallery, run):
        lines = ended.stderr.splitlines()
        assert "Traceback" not in ended.stderr
        assert [sum(sidecar.name in line for line in lines) for sidecar in sidecars] == [*[1] * len(ODD), 0]
        assert all("cannot be read" in line for line in lines if ".json" in line)


def test_facts_that_nobody_can_compute_with_are_as_if_they_were_not_told(tmp_path):
    request = jobs_of(1)[0].request
    odd = {"width": "wide", "height": 10**30, "fps": [], "duration_s": float("nan"), "frames": 120}
    paid(tmp_path, request, facts=odd)

    table = PromptTable((PromptRow(1, "p1", request, {}),), (), 1)
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        manifest = write_manifest("m", table, store=VideoStore(tmp_path / "store"), ledger=ledger)
    (record,) = records_of(gallery_of(tmp_path, table))

    (row,) = manifest.first
    assert [row[name] for name in odd] == [None, None, None, None, 120]
    assert (record["size"], record["length_s"]) == ("", 0)


# Local pictures


@pytest.mark.parametrize("kind", ["bytes", "pixels"])
def test_a_local_picture_that_is_too_large_is_refused_before_it_is_read(kind, tmp_path):
    picture = tmp_path / "large.png"
    Image.new("1", (9000, 8000) if kind == "pixels" else (8, 8)).save(picture)
    if kind == "bytes":
        os.truncate(picture, MAX_BYTES["image"] + 1)
    table = tmp_path / "prompts.jsonl"
    row = {"prompt_id": "a", "positive_prompt": "A kite", "resolution": "480p", "image": "large.png"}
    table.write_text(json.dumps(row) + "\n")

    (problem,) = PromptTable.load(table).problems

    assert kind in str(problem)
    assert "use a smaller image" in str(problem)
