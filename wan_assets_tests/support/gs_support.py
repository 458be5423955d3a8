"""A server on loopback that speaks as Google Cloud Storage does, and a bucket for each test."""

import contextlib
import uuid
from collections.abc import Iterator

import gcsfs
import pytest
from gcp_storage_emulator.server import create_server


@contextlib.contextmanager
def gs_server() -> Iterator[str]:
    """The address of a server."""
    server = create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{server._api._httpd.server_port}"
    finally:
        server.stop()


def use(address: str, environment: pytest.MonkeyPatch) -> None:
    """Points whatever speaks Google's language in this process at a server."""
    environment.setenv("STORAGE_EMULATOR_HOST", address)
    gcsfs.GCSFileSystem.clear_instance_cache()


def new_bucket() -> str:
    """The URL of a fresh bucket."""
    name = f"videos-{uuid.uuid4().hex}"
    gcsfs.GCSFileSystem(project="tests").mkdir(name)
    return f"gs://{name}"
