"""Azurite, a server on loopback that speaks as Azure's Blob Storage does, and a container for each test."""

import contextlib
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator

import fsspec
import pytest

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Those that Azurite documents for everybody."""


@contextlib.contextmanager
def az_server() -> Iterator[str]:
    """The address of a server; skips the test where Azurite is not installed."""
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("Azurite is not installed: npm install -g azurite")
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--blobPort", "0", "--location", folder, "--skipApiVersionCheck"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            listens = next(line for line in process.stdout or () if "successfully listens on" in line)
            yield listens.split()[-1]
            process.terminate()


def use(address: str, environment: pytest.MonkeyPatch) -> None:
    """Points whatever speaks Azure's language in this process at a server."""
    parts = {"DefaultEndpointsProtocol": "http", "AccountName": ACCOUNT, "AccountKey": KEY}
    parts["BlobEndpoint"] = f"{address}/{ACCOUNT}"
    said = ";".join(f"{name}={value}" for name, value in parts.items())
    environment.setenv("AZURE_STORAGE_CONNECTION_STRING", said)
    fsspec.get_filesystem_class("az").clear_instance_cache()


def new_container() -> str:
    """The URL of a fresh container."""
    name = f"videos-{uuid.uuid4().hex}"
    fsspec.filesystem("az").mkdir(name)
    return f"az://{name}"
