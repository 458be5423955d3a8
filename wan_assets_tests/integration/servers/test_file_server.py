"""The file server: a browser sees the store's videos, can seek in them, and sees nothing else."""

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from engine_support import run_in_store, studio
from ports import free_port
from python_process import PythonProcess

from wan_assets.servers.file_server import files_app
from wan_assets.servers.http_server import STALL_S, server_of
from wan_assets.store import StoredVideo, VideoStore


@contextlib.contextmanager
def served(store: VideoStore) -> Iterator[str]:
    """The address of a file server of a store."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = server_of(files_app(store))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[VideoStore, StoredVideo]:
    """A local store with one video, which nobody changes."""
    folder = tmp_path_factory.mktemp("made")
    with studio(folder) as made:
        (outcome,) = run_in_store(made, VideoStore(folder / "store"))
        return made.store, outcome.stored.videos[0]


def content_of(video: StoredVideo) -> bytes:
    return Path(video.uri).read_bytes()


def test_a_link_shows_the_video_and_its_picture(made: Any) -> None:
    store, video = made

    with served(store) as address:
        link = VideoStore(store.root, public_base_url=address).link_to(video)
        answer, picture = httpx.get(link), httpx.get(link.replace(".mp4", ".webp"))

    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    assert answer.content == content_of(video)
    assert (picture.headers["content-type"], picture.content) == ("image/webp", store.contact_sheet_of(video))
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_player_can_seek(made: Any) -> None:
    store, video = made

    with served(store) as address:
        link = VideoStore(store.root, public_base_url=address).link_to(video)
        answer = httpx.get(link, headers={"Range": "bytes=100-199"})

    assert (answer.status_code, answer.content) == (206, content_of(video)[100:200])
    assert answer.headers["content-range"] == f"bytes 100-199/{video.bytes}"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/..%2f..%2fledger.db",
        "/simulated/../../ledger.db",
        "/simulated/%2e%2e/%2e%2e/ledger.db",
        "/simulated/ab//etc/passwd",
        "/{sidecar}",
        "/{video}%00",
        "//{video}",
    ],
)
def test_nothing_but_videos_is_shown(made: Any, path: str) -> None:
    store, video = made
    place = "/".join(video.uri.split("/")[-4:])
    path = path.replace("{video}", place).replace("{sidecar}", place.replace("-1.mp4", ".json"))

    with served(store) as address, socket.create_connection(httpx.URL(address).netloc.decode().split(":")) as wire:
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: wire.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.endswith(b"the video does not exist")


def test_a_link_that_leads_out_of_the_store_is_not_followed(made: Any, tmp_path: Path) -> None:
    store, video = made
    inside, outside = (video.uri.replace("-1.mp4", f"-{number}.mp4") for number in (2, 3))
    (tmp_path / "outside.mp4").write_bytes(b"a secret")
    Path(inside).symlink_to(video.uri)
    Path(outside).symlink_to(tmp_path / "outside.mp4")

    with served(store) as address:
        seen_from = VideoStore(store.root, public_base_url=address)
        links = [seen_from.link_to(replace(video, uri=uri)) for uri in (inside, outside)]
        assert [httpx.get(link).status_code for link in links] == [200, 404]


def test_a_player_that_pauses_does_not_delay_the_end_of_the_server(tmp_path: Path) -> None:
    path = f"simulated/00/{'0' * 64}/{'0' * 8}-0000-4000-8000-{'0' * 12}-1.mp4"
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    with file.open("wb") as video:
        video.truncate(100_000_000)

    with httpx.Client() as client:
        with served(VideoStore(str(tmp_path))) as address:
            player = client.send(client.build_request("GET", f"{address}/{path}"), stream=True)
            content = player.iter_raw()
            first = next(content)
            stopped = time.monotonic()
        took_s = time.monotonic() - stopped

    assert (player.status_code, len(first) > 1000) == (200, True)
    assert took_s < STALL_S / 4


def test_a_page_of_another_name_sees_nothing_and_nobody_can_write(made: Any) -> None:
    store, video = made

    with served(store) as address:
        link = VideoStore(store.root, public_base_url=address).link_to(video)
        assert httpx.get(link, headers={"Host": "evil.example.com"}).status_code == 400
        assert [httpx.request(method, link).status_code for method in ("PUT", "POST", "DELETE")] == [405] * 3


@pytest.mark.slow
def test_a_video_in_a_bucket_is_shown_by_an_address_that_is_signed_anew(bucket: str, tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        (outcome,) = run_in_store(made, VideoStore(bucket))
    (video,) = outcome.stored.videos

    with served(made.store) as address:
        link = VideoStore(bucket, public_base_url=address).link_to(video)
        sent_on = httpx.get(link)
        shown = httpx.get(sent_on.headers["location"], headers={"Range": "bytes=0-9"})

    assert (sent_on.status_code, sent_on.headers["cache-control"]) == (307, "no-store")
    assert "X-Amz-Expires=3600" in sent_on.headers["location"]
    assert "X-Amz" not in link
    assert (shown.status_code, shown.headers["content-type"], len(shown.content)) == (206, "video/mp4", 10)


def test_a_store_that_can_sign_nothing_says_so(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        (outcome,) = run_in_store(made, VideoStore(f"memory://{tmp_path.name}"))

    with served(made.store) as address:
        answer = httpx.get(VideoStore(made.store.root, public_base_url=address).link_to(outcome.stored.videos[0]))

    assert answer.status_code == 502
    assert answer.text.startswith("cannot sign a URL of the store memory://")


def test_the_command_serves_on_loopback_and_says_where(made: Any) -> None:
    store, video = made
    port = free_port()
    command = ["-m", "wan_assets", "serve", "--store", str(store.root), "--port", str(port)]

    with PythonProcess(command, stdout=subprocess.PIPE, text=True) as process:
        said = process.stdout.readline()
        answer = httpx.get(VideoStore(store.root, public_base_url=f"http://127.0.0.1:{port}").link_to(video))
        process.terminate()

    assert said == f"serving {store.root} at http://127.0.0.1:{port}\n"
    assert answer.content == content_of(video)
