"""A cluster in processes: hosts with a folder each, which meet in Postgres, Redis and an S3-compatible store alone."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dagster_server import DAGSTER_YAML, DagsterServer, running, served
from folders import REPOSITORY
from ports import free_port
from postgres_support import USER, Cluster
from s3_support import ACCESS_KEY, SECRET_KEY, new_bucket, s3_server_elsewhere, use

from wan_assets.settings import sqlite_url
from wan_assets.simulator import Behaviour, Journal, LocalSimulator

DEPLOY = REPOSITORY / "deploy"
LOCATION = "wan_assets.definitions"
_ONE_HOST = f"""{DAGSTER_YAML}
concurrency: {{runs: {{max_concurrent_runs: 2}}}}
run_retries: {{enabled: true, max_retries: 3, retry_on_asset_or_op_failure: false}}
"""


@dataclass
class Site:
    """Where it all runs; `dagster` is the host of webserver and daemon."""

    folder: Path
    simulator: LocalSimulator
    dagster: DagsterServer
    ledger: str
    store: str
    environment: dict[str, str]
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def journal(self) -> Journal:
        """What the API has accepted and charged."""
        return Journal(self.folder / "simulator")

    def at_work(self) -> dict[str, str]:
        """Who generates videos now, by the names that the ledger has of them, each with its run."""
        return {row.owner: row.run_id for row in self.asked("SELECT owner, run_id FROM wan_runs")}

    def in_flight(self, run_id: str) -> int:
        """Tasks of a run that may have been paid for and are not stored yet."""
        states = "state IN ('reserved', 'submitted', 'delivered')"
        return len(self.asked(f"SELECT 1 FROM wan_tasks WHERE run_id = '{run_id}' AND {states}"))

    def asked(self, question: str) -> Sequence[sa.Row[Any]]:
        """What the ledger answers."""
        with closing(sa.create_engine(self.ledger, poolclass=sa.NullPool).connect()) as connection:
            return connection.execute(sa.text(question)).all()


@contextmanager
def one_host(folder: Path, table: Path, latency_s: float) -> Iterator[Site]:
    """SQLite, a local store, and runs as processes of their own."""
    places = {"WAN_ASSETS_LEDGER": sqlite_url(folder / "ledger.db"), "WAN_ASSETS_STORE": str(folder / "store")}
    with LocalSimulator(folder / "simulator", Behaviour(latency_s=latency_s)) as simulator:
        environment = _environment(folder / "host", table, simulator) | places
        (folder / "host" / "home" / "dagster.yaml").write_text(_ONE_HOST)
        with served(folder / "host", ["-m", LOCATION], environment, LOCATION) as dagster:
            places_of = (places["WAN_ASSETS_LEDGER"], places["WAN_ASSETS_STORE"])
            yield Site(folder, simulator, dagster, *places_of, environment)


@contextmanager
def several_hosts(
    folder: Path, table: Path, latency_s: float, postgres: Cluster, workers: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """The deployment that `deploy` describes, with its own `dagster.yaml`, and workers that share no disk."""
    with ExitStack() as stack:
        simulator = stack.enter_context(LocalSimulator(folder / "simulator", Behaviour(latency_s=latency_s)))
        ours, dagsters = (stack.enter_context(postgres.database()) for _ in range(2))
        s3 = stack.enter_context(s3_server_elsewhere())
        use(s3, monkeypatch)
        redis = stack.enter_context(redis_server(folder))
        shared = {
            "WAN_ASSETS_LEDGER": ours,
            "WAN_ASSETS_STORE": f"{new_bucket()}/wan",
            "AWS_ENDPOINT_URL": s3,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_PORT": str(postgres.port),
            "DAGSTER_PG_DB": dagsters.rpartition("/")[2],
            "DAGSTER_PG_USERNAME": USER,
            "DAGSTER_PG_PASSWORD": "none-is-asked-for",
            "WORKERS": str(workers),
            "CELERY_BROKER_URL": f"{redis}/0",
            "CELERY_RESULT_BACKEND": f"{redis}/1",
        }
        control = _host(folder / "control", table, simulator) | shared
        dagster = stack.enter_context(served(folder / "control", ["-m", LOCATION], control, LOCATION))
        site = Site(folder, simulator, dagster, ours, shared["WAN_ASSETS_STORE"], control)
        for name in (f"worker-{number}" for number in range(workers)):
            environment = _host(folder / name, table, simulator) | shared
            site.workers[name] = stack.enter_context(_worker(folder / name, environment))
        yield site


def _host(folder: Path, table: Path, simulator: LocalSimulator) -> dict[str, str]:
    environment = _environment(folder, table, simulator)
    shutil.copy(DEPLOY / "dagster.yaml", folder / "home")
    shutil.copy(DEPLOY / "dagster_celery_config.py", folder)
    return environment


def _environment(folder: Path, table: Path, simulator: LocalSimulator) -> dict[str, str]:
    """A host has a home, a place for temporary files and a copy of the table of its own."""
    for name in ("home", "tmp"):
        (folder / name).mkdir(parents=True)
    shutil.copy(table, folder)
    plain = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return plain | {
        "HOME": str(folder),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", ""))).rstrip(os.pathsep),
        "DAGSTER_HOME": str(folder / "home"),
        "RUNWARE_API_KEY": "a-key-for-tests",
        "RUNWARE_BASE_URL": simulator.base_url,
        "WAN_ASSETS_PROMPTS": str(folder / table.name),
    }


@contextmanager
def _worker(folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A worker with process numbers of its own where that can be had, as on a host of its own."""
    command = [sys.executable, "-m", "celery", "-A", "dagster_celery.app", "worker", "--concurrency", "1"]
    apart = ["unshare", "--pid", "--fork", "--kill-child"]
    is_apart = subprocess.run([*apart, "true"], check=False, capture_output=True).returncode == 0
    command = [*(apart if is_apart else []), *command, "-Q", "dagster", "-n", folder.name]
    with running(command, folder, environment, "worker") as process:
        yield process


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """The address of a broker; skips the test where Redis is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("Redis is not installed: apt-get install redis-server")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with running(command, folder, dict(os.environ), "redis"):
        until = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < until, "redis-server does not start"
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}"


def killed(process: subprocess.Popen[Any]) -> None:
    """Ends a host as a loss of power would: a process and all of its group."""
    os.killpg(process.pid, signal.SIGKILL)


def is_on(owner: str, process: subprocess.Popen[Any]) -> bool:
    """Whether somebody who is at work is on the host of a worker: has its process numbers, or is of its group."""
    namespaces = [Path(f"/proc/{process.pid}/ns/{name}").readlink().name for name in ("pid", "pid_for_children")]
    number = namespaces[1].strip("pid:[]")
    if namespaces[0] != namespaces[1]:
        return number in owner
    try:
        return os.getpgid(pid_of(owner)) == process.pid
    except ProcessLookupError:
        return False


def pid_of(owner: str) -> int:
    """The process number in an owner's name."""
    return int(owner.split(".")[-2])
