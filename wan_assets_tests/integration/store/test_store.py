"""The store: what counts as a video, and disks that are full, read-only or shared."""

import errno
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engine_support import PRICE, stored_task, stored_video
from folders import SUPPORT
from process_support import dead_owner
from upath import UPath

from wan_assets.errors import StoreError
from wan_assets.store import StoredTask, VideoStore

PRINT = "ab" + 62 * "c"
CONTENT = b"a video, let us say" * 100
BUCKETS = {"s3": "bucket", "gs": "gs_bucket", "az": "az_bucket"}


@pytest.fixture(params=["folder", "memory", "s3", "gs", "az"])
def store(request: Any, tmp_path: Path) -> VideoStore:
    """A local store, one that only fsspec can reach, and buckets."""
    if request.param in BUCKETS:
        return VideoStore(f"{request.getfixturevalue(BUCKETS[request.param])}/store")
    return VideoStore(tmp_path / "store" if request.param == "folder" else f"memory://{uuid.uuid4().hex}/store")


@pytest.fixture
def local(tmp_path: Path) -> VideoStore:
    return VideoStore(tmp_path / "store")


def put(store: VideoStore, task_uuid: str = "u-1", *, simulated: bool = True, **changes: Any) -> StoredTask:
    """A task with one file, which has been put in place and not committed."""
    with store.incoming(".mp4") as path:
        path.write_bytes(CONTENT)
        uri, size, sha256 = store.put(path, f"{task_uuid}-1.mp4", PRINT, simulated=simulated)
    video = stored_video(uri, size, sha256)
    return stored_task(PRINT, task_uuid, is_simulated=simulated, videos=(video,), **changes)


def committed(store: VideoStore, task_uuid: str = "u-1", **changes: Any) -> StoredTask:
    """A task that counts."""
    task = put(store, task_uuid, **changes)
    store.commit(task)
    return task


def sidecar_of(store: VideoStore) -> UPath:
    (sidecar,) = store.root.glob("simulated/*/*/*.json")
    return sidecar


def test_what_was_committed_is_found_with_every_field(store: VideoStore) -> None:
    task = committed(store, missing=("providerError: it failed",), generation_s=3.5, reserved_microusd=7)

    found = store.find(PRINT, simulated=True)

    assert found == store.task(PRINT, task.task_uuid, simulated=True)
    assert found is not None
    assert (found.missing, found.generation_s, found.request) == (task.missing, 3.5, task.request)
    assert UPath(found.videos[0].uri).read_bytes() == CONTENT
    assert found.videos[0].sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert store.verifies(found.videos[0])


def test_nothing_is_found_before_the_sidecar_is_written(store: VideoStore) -> None:
    task = put(store)

    found = store.find(PRINT, simulated=True)

    assert found is None
    assert store.task(PRINT, task.task_uuid, simulated=True) is None


def test_what_a_simulator_made_is_kept_apart(store: VideoStore) -> None:
    committed(store, "u-1", simulated=True)
    committed(store, "u-2", simulated=False)

    found = [store.find(PRINT, simulated=simulated) for simulated in (True, False)]

    assert [task and task.task_uuid for task in found] == ["u-1", "u-2"]
    assert {str(path.relative_to(store.root)).partition("/")[0] for path in store.root.glob("*/*/*/*.mp4")} == {
        "simulated",
        "videos",
    }


def test_the_newest_of_several_attempts_is_found(store: VideoStore) -> None:
    committed(store, "u-1", stored_at="2026-01-02T00:00:00")
    committed(store, "u-2", stored_at="2026-01-03T00:00:00")
    committed(store, "u-3", stored_at="2026-01-01T00:00:00")

    found = store.find(PRINT, simulated=True)

    assert found is not None
    assert found.task_uuid == "u-2"


def test_a_file_that_is_missing_or_shorter_does_not_count(store: VideoStore) -> None:
    video = UPath(committed(store).videos[0].uri)
    found = []

    for damage in (lambda: video.write_bytes(CONTENT[:-1]), video.unlink):
        damage()
        found.append(store.find(PRINT, simulated=True))

    assert found == [None, None]


def test_a_file_that_was_changed_does_not_verify(store: VideoStore) -> None:
    video = committed(store).videos[0]
    UPath(video.uri).write_bytes(CONTENT[::-1])

    verifies = store.verifies(video)

    assert not verifies


BROKEN_SIDECARS = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'{"videos": []}',
    b'{"videos": [5], "missing": []}',
    b'{"videos": 3, "missing": 3}',
    b'{"videos": [{"uri": 5}], "missing": []}',
]


def test_a_broken_sidecar_is_ignored(store: VideoStore) -> None:
    task = committed(store)
    whole = sidecar_of(store).read_bytes()
    found = []

    for content in [*BROKEN_SIDECARS, whole]:
        sidecar_of(store).write_bytes(content)
        found.append(store.find(PRINT, simulated=True))

    assert found == [*(None for _ in BROKEN_SIDECARS), task]


def test_a_sidecar_without_videos_is_ignored(store: VideoStore) -> None:
    store.commit(replace(put(store), videos=()))

    found = store.find(PRINT, simulated=True)

    assert found is None


def test_a_store_that_was_moved_still_has_its_videos(local: VideoStore, tmp_path: Path) -> None:
    committed(local)
    Path(local.root.path).rename(tmp_path / "elsewhere")

    found = VideoStore(tmp_path / "elsewhere").find(PRINT, simulated=True)

    assert found is not None
    assert Path(found.videos[0].uri).is_relative_to(tmp_path / "elsewhere")


def test_a_relative_root_means_the_same_folder_ever_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = VideoStore("videos")
    monkeypatch.chdir("/")

    committed(store)

    assert (tmp_path / "videos" / "simulated").is_dir()


def test_the_cost_of_a_task_is_unknown_where_that_of_any_result_is() -> None:
    known, unknown = stored_video("a", 1, "", PRICE), stored_video("b", 1, "", None)

    costs = [stored_task(videos=videos).cost_microusd for videos in ((known, known), (known, unknown))]

    assert costs == [2 * PRICE, None]
    assert stored_task(videos=(known,), missing=("failed",)).cost_microusd is None


def test_a_download_that_fails_leaves_nothing_behind(local: VideoStore) -> None:
    def fails() -> None:
        with local.incoming(".mp4") as path:
            path.write_bytes(CONTENT)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()

    assert [path for path in Path(local.root.path).rglob("*") if path.is_file()] == []


def test_half_a_download_left_by_a_killed_process_is_no_video_and_is_swept_when_old(local: VideoStore) -> None:
    incoming = Path(local.root.path) / ".incoming"
    incoming.mkdir(parents=True)
    old, young = incoming / "wan-1.part.mp4", incoming / "wan-2.part.mp4"
    for path in (old, young):
        path.write_bytes(CONTENT)
    os.utime(old, (time.time() - 25 * 3600,) * 2)

    local.make_ready()

    assert [path.name for path in incoming.iterdir()] == [young.name]
    assert local.find(PRINT, simulated=True) is None


def test_half_a_download_of_a_process_that_has_died_is_swept_at_once_and_that_of_a_living_one_is_not(
    local: VideoStore,
) -> None:
    dead = dead_owner()
    incoming = Path(local.root.path) / ".incoming"
    incoming.mkdir(parents=True)
    (incoming / f"{dead}~.mp4.part").write_bytes(CONTENT)

    with local.incoming(".mp4") as path:
        path.write_bytes(CONTENT)
        local.make_ready()

        assert list(incoming.iterdir()) == [path]


def test_a_download_that_another_process_ends_during_the_sweep_does_not_matter(local: VideoStore) -> None:
    incoming = Path(local.root.path) / ".incoming"
    incoming.mkdir(parents=True)
    (incoming / "wan-1.part.mp4").symlink_to("gone")  # is listed, and not there when it is looked at

    local.make_ready()

    assert local.find(PRINT, simulated=True) is None


def test_a_file_that_is_not_what_was_asked_for_is_kept_and_does_not_count(store: VideoStore) -> None:
    with store.incoming(".mp4") as path:
        path.write_bytes(CONTENT)
        uri = store.put_quarantined(path, "u-1-1.mp4")

    assert UPath(uri).read_bytes() == CONTENT
    assert "set_aside" in uri
    assert store.find(PRINT, simulated=True) is None


def test_a_store_is_ready_when_it_can_be_written_and_keeps_nothing_of_the_trial(store: VideoStore) -> None:
    store.make_ready()

    assert [path for path in store.root.glob("**/*") if path.is_file()] == []


@pytest.mark.parametrize("root", ["/proc/store", f"{__file__}/store", "nosuch://bucket/store"])
def test_a_store_that_cannot_be_written_is_known_before_any_money_is_spent(root: str) -> None:
    with pytest.raises(StoreError, match=r"cannot (write to|open) the store"):
        VideoStore(root).make_ready()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a full disk needs the right to mount one")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_a_clear_error_and_leaves_nothing_behind(small_disk: Path) -> None:
    store = VideoStore(small_disk)

    def fills() -> None:
        with store.incoming(".mp4") as path:
            path.write_bytes(b"x" * 2_000_000)

    with pytest.raises(StoreError, match=r"No space left on device: free some space"):
        fills()

    assert [path for path in small_disk.rglob("*") if path.is_file()] == []
    store.make_ready()


def write_too_much(store: VideoStore, _: StoredTask) -> None:
    with store.incoming(".mp4") as path:
        path.write_bytes(b"x" * 100_000)


def commit_too_much(store: VideoStore, task: StoredTask) -> None:
    store.commit(task)


@pytest.mark.parametrize("act", [write_too_much, commit_too_much])
def test_a_file_that_may_not_grow_is_a_clear_error_and_leaves_nothing_behind(
    local: VideoStore, act: Callable[[VideoStore, StoredTask], None]
) -> None:
    task = put(local, prompt="word " * 10_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))

    try:
        with pytest.raises(StoreError, match=os.strerror(errno.EFBIG)):
            act(local, task)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert local.find(PRINT, simulated=True) is None
    assert list((Path(local.root.path) / ".incoming").iterdir()) == []


COMMITS = """
import sys
from engine_support import stored_task, stored_video
from wan_assets.store import VideoStore
store = VideoStore(sys.argv[1])
for number in range(10):
    with store.incoming(".mp4") as path:
        path.write_bytes(b"x" * 100_000)
        place = store.put(path, "u-1-1.mp4", sys.argv[2], simulated=True)
    store.commit(stored_task(sys.argv[2], "u-1", videos=(stored_video(*place),), prompt="word " * 10_000))
    store.make_ready()
    assert store.find(sys.argv[2], simulated=True)
"""


@pytest.mark.slow
def test_two_processes_that_store_the_same_task_do_not_disturb_each_other(local: VideoStore) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    command = [sys.executable, "-c", COMMITS, local.root.path, PRINT]
    writers = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]

    troubles = [writer.communicate(timeout=60)[1] for writer in writers]

    assert troubles == ["", ""]
    assert json.loads(sidecar_of(local).read_text())["task_uuid"] == "u-1"
