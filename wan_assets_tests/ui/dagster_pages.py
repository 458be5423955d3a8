"""Dagster's pages over the demo's videos: the webserver, and the file server that its pages link to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from dagster_server import DAGSTER_YAML
from patience import PATIENCE_S
from pipeline_project import DEFINITIONS, MATERIALIZED
from ports import free_port

from wan_assets.settings import DEMO_PROMPTS
from wan_assets.simulator import Behaviour, LocalSimulator

_DOWN_S = 30.0


@contextmanager
def demo_in_dagster(folder: Path) -> Iterator[str]:
    """The address of Dagster's pages, once the demo's table was materialized there on the simulator."""
    web, files = free_port(), free_port()
    out = folder / "out"
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment |= {
        "DAGSTER_HOME": str(out / "dagster"),
        "WAN_ASSETS_STORE": str(out / "videos"),
        "WAN_ASSETS_LEDGER": f"sqlite:///{out / 'ledger.db'}",
        "WAN_ASSETS_FILES_URL": f"http://127.0.0.1:{files}",
    }
    table = DEMO_PROMPTS
    how = {"env": environment, "cwd": folder}
    command = [sys.executable, "-m", "wan_assets", "materialize", table, "--data-dir", out]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S, **how)
    server = ["-m", "dagster_webserver", "-m", "wan_assets.definitions", "-h", "127.0.0.1", "-p", str(web)]
    with (
        _running(["-m", "wan_assets", "serve", "--port", str(files)], folder / "files.log", environment),
        _running(server, folder / "webserver.log", environment) as process,
    ):
        address = f"http://127.0.0.1:{web}"
        _wait_for(f"{address}/server_info", process)
        yield address


@contextmanager
def pipeline_in_dagster(folder: Path, rows: int) -> Iterator[str]:
    """The address of Dagster's pages over a project in which assets depend on the videos; all are materialized."""
    web, home = free_port(), folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(DAGSTER_YAML)
    (folder / "studio.py").write_text(DEFINITIONS)
    (folder / "one.jsonl").write_text(
        "".join(
            json.dumps({"prompt_id": f"one-{number}", "positive_prompt": f"Kite {number}", "resolution": "480p"}) + "\n"
            for number in range(rows)
        )
    )
    plain = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    with LocalSimulator(folder / "simulator", Behaviour(latency_s=0.1)) as simulator:
        environment = {**plain, "DAGSTER_HOME": str(home), "API": simulator.base_url}
        paths = os.pathsep.join(filter(None, (str(folder), plain.get("PYTHONPATH"))))
        subprocess.run(
            [sys.executable, "-c", MATERIALIZED, "one"],
            env={**environment, "PYTHONPATH": paths},
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=PATIENCE_S,
        )
        server = ["-m", "dagster_webserver", "-f", "studio.py", "-h", "127.0.0.1", "-p", str(web)]
        with _running(server, folder / "webserver.log", environment) as process:
            address = f"http://127.0.0.1:{web}"
            _wait_for(f"{address}/server_info", process)
            yield address


@contextmanager
def _running(arguments: list[str], log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as said:
        command = [sys.executable, *arguments]
        process = subprocess.Popen(
            command, env=environment, cwd=log.parent, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_DOWN_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        assert process.poll() is None, "the webserver has ended"
        try:
            if httpx.get(url, trust_env=False, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.3)  # nothing but time brings another process further
    raise AssertionError(f"{url} did not answer within {PATIENCE_S:g} s")
