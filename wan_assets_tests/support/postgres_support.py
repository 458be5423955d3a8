"""A real Postgres server for tests: a cluster of its own in a temporary folder, and fresh databases in it."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ports import free_port

USER = "postgres"
"""Who the server belongs to, since it refuses to run as root; Debian's package makes the account."""


@dataclass(frozen=True)
class Cluster:
    """A server's programs, its folder and its port on 127.0.0.1."""

    programs: Path
    folder: Path
    port: int

    def make(self) -> None:
        """Writes an empty cluster that trusts everybody on this machine and does not wait for the disk."""
        self._run("initdb", "-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C", "--no-sync")
        settings = {
            "listen_addresses": "'127.0.0.1'",
            "port": self.port,
            "unix_socket_directories": f"'{self.folder}'",
            "fsync": "off",
        }
        with (self.folder / "data" / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "start")

    def stop(self) -> None:
        """Ends the server as a crash would: nobody is asked, nothing is written that was not committed."""
        self._run("pg_ctl", "-m", "immediate", "stop")

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The SQLAlchemy URL of a fresh database, which goes with all who are still connected to it."""
        name = f"test_{uuid.uuid4().hex}"
        self._tell(f"CREATE DATABASE {name}")
        yield f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{name}"
        # Told beforehand, they are gone by the time of the drop, which would sleep to wait for them.
        self._tell(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        self._tell(f"DROP DATABASE {name} WITH (FORCE)")

    def _tell(self, statement: str) -> None:
        place: dict[str, Any] = {"host": "127.0.0.1", "port": self.port, "dbname": "postgres", "user": USER}
        with psycopg.connect(**place, autocommit=True) as connection:
            connection.execute(statement)

    def _run(self, program: str, *arguments: str) -> None:
        command = [self.programs / program, "-D", self.folder / "data", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False, **_account_to_run_as()
        )
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}{log.read_text() if log.exists() else ''}")


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """A server that runs as long as the block; skips the test where Postgres is not installed."""
    programs = _programs()
    if programs is None:
        pytest.skip("Postgres is not installed: apt-get install postgresql")
    # Not in pytest's folders, which are closed to other users and too long a way for a socket.
    with tempfile.TemporaryDirectory(prefix="wan-assets-postgres-", dir="/tmp") as folder:
        made = Cluster(programs, Path(folder), free_port())
        if _account_to_run_as():
            shutil.chown(folder, USER, USER)
        made.make()
        try:
            made.start()
            yield made
        finally:
            with contextlib.suppress(RuntimeError):  # a test may have stopped it
                made.stop()


def _programs() -> Path | None:
    """The folder of the server's programs: that in PATH, or the newest of Debian's."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in versions), key=lambda path: float(path.parent.name), default=None)


def _account_to_run_as() -> dict[str, Any]:
    return {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}
