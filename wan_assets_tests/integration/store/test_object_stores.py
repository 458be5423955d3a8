"""Object stores: uploads that fail, are bent or are large, and addresses that are not to be used."""

import io
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from s3_support import Application, clients_of_its_own, files_in, fs, new_bucket, s3_server, use

from wan_assets.errors import StoreAddressError, StoreError
from wan_assets.store import VideoStore

MIB = 1 << 20
SIZES = pytest.mark.parametrize("size", [1000, 20 * MIB], ids=["in one part", "in three parts"])

Tamper = Callable[[dict[str, Any]], str | None]
"""Looks at a request that brings content, and may change it; answers with a status where the server shall not."""


class BentBucket:
    """What stands between a store and its bucket."""

    def __init__(self) -> None:
        self.tamper: Tamper = lambda _: None
        self.tells_marks = True
        self.uploads = self.downloads = 0

    def around(self, inner: Application) -> Application:
        def bent(environ: dict[str, Any], start: Any) -> Any:
            is_video = environ["PATH_INFO"].endswith(".mp4")
            self.downloads += is_video and environ["REQUEST_METHOD"] == "GET"
            if is_video and environ["REQUEST_METHOD"] == "PUT":
                self.uploads += 1
                if status := self.tamper(environ):
                    environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
                    start(status, [("Content-Length", "0")])
                    return [b""]
            if self.tells_marks or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
                return inner(environ, start)
            return inner(unconditional(environ), without_mark(start))

        return bent


def without_mark(start: Any) -> Any:
    """Names no object by its content, as a bucket does that encrypts with a key of its own."""

    def begin(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        is_object = any(name.lower() == "last-modified" for name, _ in headers)
        odd = [("ETag", '"a key of ours"')] if is_object else []
        return start(status, [*(pair for pair in headers if pair[0].lower() != "etag" or not is_object), *odd], *rest)

    return begin


def unconditional(environ: dict[str, Any]) -> dict[str, Any]:
    """A request that is not refused for the mark that it names."""
    return {name: value for name, value in environ.items() if name != "HTTP_IF_MATCH"}


def flipped(environ: dict[str, Any]) -> None:
    """Another content of the same length, for a server that does not compare checksums."""
    content = bytearray(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    content[-1] ^= 1
    environ["wsgi.input"] = io.BytesIO(content)


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Iterator[BentBucket]:
    made = BentBucket()
    with s3_server(made.around) as address, clients_of_its_own():
        use(address, monkeypatch)
        yield made


@pytest.fixture
def store(between: BentBucket) -> VideoStore:
    assert between.uploads == 0
    return VideoStore(new_bucket())


def put(store: VideoStore, size: int) -> tuple[str, int, str]:
    with store.incoming(".mp4") as path:
        path.write_bytes(os.urandom(size))
        return store.put(path, "a-1.mp4", "ab" * 32, simulated=False)


def left_in(store: VideoStore) -> tuple[list[str], list[Any]]:
    """The objects of a bucket, and the uploads that are neither ended nor given up."""
    bucket = str(store.root).removeprefix("s3://").strip("/")
    return files_in(str(store.root).rstrip("/")), fs().call_s3("list_multipart_uploads", Bucket=bucket).get(
        "Uploads", []
    )


@pytest.mark.slow
@SIZES
def test_an_upload_that_is_refused_on_the_way_leaves_nothing(store: VideoStore, between: BentBucket, size: int) -> None:
    refused = 1 if size < 16 * MIB else 2
    between.tamper = lambda _: "400 Bad Request" if between.uploads == refused else None

    with pytest.raises(StoreError, match="cannot write to the store s3://"):
        put(store, size)

    assert left_in(store) == ([], [])


@pytest.mark.slow
@SIZES
def test_what_is_changed_on_its_way_is_noticed_and_removed(store: VideoStore, between: BentBucket, size: int) -> None:
    between.tamper = flipped

    with pytest.raises(StoreError, match=r"differs from the uploaded file|Expected checksum .* did not match"):
        put(store, size)

    assert left_in(store) == ([], [])


@pytest.mark.slow
@SIZES
def test_a_bucket_whose_marks_tell_nothing_is_read_back(store: VideoStore, between: BentBucket, size: int) -> None:
    between.tells_marks = False

    uri, written, _ = put(store, size)
    between.tamper = flipped
    with pytest.raises(StoreError, match=r"differs from the uploaded file|Expected checksum .* did not match"):
        put(store, size)

    assert (fs().exists(uri), written) == (False, size)


@pytest.mark.slow
def test_what_was_put_is_read_back_only_where_its_mark_tells_nothing(store: VideoStore, between: BentBucket) -> None:
    put(store, MIB)
    put(store, 20 * MIB)
    with_marks = between.downloads
    between.tells_marks = False
    put(store, MIB)

    assert (with_marks, between.downloads > 0) == (0, True)


@pytest.mark.usefixtures("between")
def test_a_bucket_that_is_not_there_is_told_as_such_and_not_made() -> None:
    with pytest.raises(StoreError, match=r"cannot write to the store s3://no-such-bucket.*bucket does not exist"):
        VideoStore("s3://no-such-bucket/wan").make_ready()

    assert "no-such-bucket" not in fs().ls("")


# Addresses.


@pytest.mark.parametrize(
    "root",
    [
        "s3://AKIA1234:s3cret@videos/wan",
        "s3://AKIA1234:s3c/ret@videos/wan",
        "s3a://s3cret@videos",
        "gs://s3cret@videos/wan",
        "az://account:s3cret@videos/wan",
        "az://videos/wan?sv=2024&sig=s3cret",
        "abfs://videos:s3cret@account.dfs.core.windows.net/wan",
        "sftp://me:s3cret@host/wan",
    ],
)
def test_an_address_with_credentials_is_refused_and_not_shown(root: str) -> None:
    with pytest.raises(StoreAddressError, match="without user, password, key or signature") as refused:
        VideoStore(root)

    assert "ret" not in str(refused.value).replace("secret", "")
    assert "environment" in refused.value.hint


@pytest.mark.parametrize(
    "root",
    [
        "s3://videos/wan",
        "s3://videos/me@home",
        "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/videos/wan",
        "gs://videos/wan",
        "az://videos/wan",
        "abfs://videos@account.dfs.core.windows.net/wan",
        "ftp://me@host/wan",
    ],
)
def test_an_address_without_credentials_is_opened(root: str) -> None:
    assert VideoStore(root).root.protocol == root.partition(":")[0]
