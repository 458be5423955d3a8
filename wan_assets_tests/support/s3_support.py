"""A real S3-compatible server on loopback, a bucket for each test, and the credentials in the environment."""

import contextlib
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import s3fs
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

ACCESS_KEY, SECRET_KEY = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI-a-secret-of-tests"

Application = Callable[[dict[str, Any], Any], Any]
"""A server as WSGI has it."""


@contextlib.contextmanager
def s3_server(around: Callable[[Application], Application] = lambda inner: inner) -> Iterator[str]:
    """The address of a server; what is put around it may bend what it is told and what it says."""
    application = around(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


ELSEWHERE = """
import sys
from s3_support import s3_server
with s3_server() as address:
    print(address, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def s3_server_elsewhere() -> Iterator[str]:
    """The address of a server in a process of its own, whose memory is not that of the test."""
    command, pipe = [sys.executable, "-c", ELSEWHERE], subprocess.PIPE
    folder, quiet = Path(__file__).parent, subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, stderr=quiet, text=True) as process:
        yield process.stdout.readline().strip() if process.stdout else ""
        process.communicate()


def use(address: str, environment: pytest.MonkeyPatch) -> None:
    """Points whatever speaks S3 in this process at a server."""
    environment.setenv("AWS_ENDPOINT_URL", address)
    environment.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
    environment.setenv("AWS_EC2_METADATA_DISABLED", "true")


@contextlib.contextmanager
def clients_of_its_own() -> Iterator[None]:
    """For a block in which S3 is somewhere else, or somebody else: clients are kept otherwise, since each is 150 ms."""
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        yield
    finally:
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
