"""A real S3-compatible server on loopback, a bucket for each test, and the credentials in the environment."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import s3fs
from moto.server import ThreadedMotoServer

ACCESS_KEY, SECRET_KEY = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI-a-secret-of-tests"


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of a server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def use(address: str, environment: pytest.MonkeyPatch) -> None:
    """Points whatever speaks S3 in this process at a server."""
    environment.setenv("AWS_ENDPOINT_URL", address)
    environment.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
    environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3fs.S3FileSystem.clear_instance_cache()


def new_bucket() -> str:
    """The URL of a fresh bucket."""
    name = f"videos-{uuid.uuid4().hex}"
    fs().mkdir(name)
    return f"s3://{name}"


def fs(**options: Any) -> Any:
    """What the tests look into buckets with, beside the store."""
    return s3fs.S3FileSystem(use_listings_cache=False, **options)


def files_in(url: str) -> list[str]:
    """The names of all objects under a URL, without it."""
    root = url.removeprefix("s3://")
    return sorted(path.removeprefix(f"{root}/") for path in fs().find(root))
