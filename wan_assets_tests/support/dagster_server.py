"""A running `dagster dev`, webserver and daemon, over a folder; spoken to in GraphQL, as the UI does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from folders import SUPPORT
from patience import PATIENCE_S
from ports import free_port

DAGSTER_YAML = """\
telemetry: {enabled: false}
nux: {enabled: false}
"""

_DOWN_S = 30.0


@dataclass(frozen=True)
class DagsterServer:
    """What a person does in the UI, and what they see there."""

    http: httpx.Client
    location: str = "studio.py"

    @property
    def _repository(self) -> dict[str, str]:
        return {"repositoryName": "__repository__", "repositoryLocationName": self.location}

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The one field that a query asks for."""
        answer = self.http.post("/graphql", json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer
        (field,) = answer["data"].values()
        return field

    def wait(self, what: str, look: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
        """The first true thing that is seen; fails when the time is up."""
        began = time.monotonic()
        while (waited_s := time.monotonic() - began) < within_s:
            if seen := look():
                return seen
            # Nothing but time brings another process further, and each look costs it some.
            time.sleep(min(0.2 + waited_s / 10, 1.0))
        raise AssertionError(f"not seen within {within_s:g} s: {what}\n{self.history()}")

    def history(self) -> str:
        """The runs, oldest first, with their selections, partitions and materializations: for failure messages."""
        query = """query { runsOrError { ... on Runs { results { runId status creationTime
            assetSelection { path } tags { key value } assetMaterializations { assetKey { path } partition } } } } }"""
        with suppress(httpx.TransportError, AssertionError, KeyError):
            return "\n".join(_described(run) for run in reversed(self.ask(query)["results"]))
        return "the server does not answer"

    def start_sensor(self, name: str) -> None:
        query = """mutation($selector: SensorSelector!) { startSensor(sensorSelector: $selector) {
            __typename ... on Sensor { name } } }"""
        answer = self.ask(query, selector={**self._repository, "sensorName": name})
        assert answer["__typename"] == "Sensor", answer

    def ticks(self, name: str) -> list[dict[str, Any]]:
        query = """query($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) {
            ... on Sensor { sensorState { ticks(limit: 50) { status runIds skipReason } } } } }"""
        return self.ask(query, selector={**self._repository, "sensorName": name})["sensorState"]["ticks"]

    def has_evaluated(self, sensor: str = "default_automation_condition_sensor") -> bool:
        """Whether a tick of the sensor has ended."""
        return any(tick["status"] in ("SUCCESS", "SKIPPED") for tick in self.ticks(sensor))

    def launch(self, *assets: str, **tags: str) -> str:
        query = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
            __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
        selector = {**self._repository, "jobName": "__ASSET_JOB", "assetSelection": [_key(asset) for asset in assets]}
        given = [{"key": key, "value": value} for key, value in tags.items()]
        answer = self.ask(query, params={"selector": selector, "executionMetadata": {"tags": given}})
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["runId"]

    def reexecute(self, run_id: str) -> str:
        query = """mutation($params: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $params) {
            __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
        answer = self.ask(query, params={"parentRunId": run_id, "strategy": "ALL_STEPS"})
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["runId"]

    def terminate(self, run_id: str) -> None:
        query = """mutation($run: String!) { terminateRun(runId: $run) { __typename } }"""
        assert self.ask(query, run=run_id)["__typename"] == "TerminateRunSuccess"

    def backfill(self, *assets: str) -> str:
        query = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
            __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
        selection = [_key(asset) for asset in assets]
        answer = self.ask(query, params={"assetSelection": selection, "allPartitions": True})
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return answer["backfillId"]

    def backfill_status(self, backfill_id: str) -> str:
        query = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
            ... on PartitionBackfill { status } } }"""
        return self.ask(query, id=backfill_id)["status"]

    def backfill_ended(self, backfill_id: str) -> str:
        """How a backfill ends."""

        def final() -> str | None:
            status = self.backfill_status(backfill_id)
            return status if status.startswith("COMPLETED") or status in ("FAILED", "CANCELED") else None

        return self.wait(f"the end of backfill {backfill_id}", final)

    def runs(self, **wanted: Any) -> list[dict[str, Any]]:
        query = """query($filter: RunsFilter!) { runsOrError(filter: $filter) {
            ... on Runs { results { runId status startTime endTime tags { key value } } } } }"""
        return self.ask(query, filter=wanted)["results"]

    def status(self, run_id: str) -> str:
        (run,) = self.runs(runIds=[run_id])
        return run["status"]

    def ended(self, run_id: str) -> str:
        """How a run ends."""
        final = ("SUCCESS", "FAILURE", "CANCELED")
        return self.wait(f"the end of run {run_id}", lambda: (status := self.status(run_id)) in final and status)

    def partitions(self, asset: str) -> dict[str, int]:
        query = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) {
            ... on AssetNode { partitionStats { numMaterialized numFailed numPartitions } } } }"""
        return self.ask(query, key=_key(asset))["partitionStats"]

    def green(self, asset: str) -> int:
        """How many partitions have a materialization, by the events themselves and not by the counts kept of them."""
        query = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) {
            ... on AssetNode { latestMaterializationByPartition { partition } } } }"""
        found = self.ask(query, key=_key(asset))["latestMaterializationByPartition"]
        return sum(event is not None for event in found)

    def events(self, asset: str) -> Counter[str | None]:
        """How many materializations each partition has; those of no partition are counted under None."""
        query = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) {
            ... on AssetNode { assetMaterializations(limit: 1000) { partition } } } }"""
        return Counter(event["partition"] for event in self.ask(query, key=_key(asset))["assetMaterializations"])

    def checks(self, asset: str) -> dict[str, str | None]:
        """The status of the last execution of each check."""
        query = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) {
            ... on AssetNode { assetChecksOrError { ... on AssetChecks {
            checks { name executionForLatestMaterialization { status } } } } } } }"""
        found = self.ask(query, key=_key(asset))["assetChecksOrError"]["checks"]
        return {check["name"]: (check["executionForLatestMaterialization"] or {}).get("status") for check in found}

    def stale(self, asset: str, keys: list[str]) -> list[str]:
        """Those of some partitions that the UI shows as stale."""
        query = """query($key: AssetKeyInput!, $keys: [String!]!) { assetNodeOrError(assetKey: $key) {
            ... on AssetNode { staleStatusByPartition(partitions: $keys) } } }"""
        found = self.ask(query, key=_key(asset), keys=keys)["staleStatusByPartition"]
        return [key for key, status in zip(keys, found, strict=True) if status == "STALE"]


def _described(run: dict[str, Any]) -> str:
    selected = ["/".join(asset["path"]) for asset in run["assetSelection"] or ()]
    tags = {tag["key"]: tag["value"] for tag in run["tags"] if "partition" in tag["key"]}
    made = Counter("/".join(event["assetKey"]["path"]) for event in run["assetMaterializations"])
    return f"{run['creationTime']:.0f} {run['runId'][:8]} {run['status']} {selected} {tags} made {dict(made)}"


def _key(asset: str) -> dict[str, list[str]]:
    return {"path": asset.split("/")}


@contextmanager
def dagster_dev(folder: Path, definitions: str, **environment: str) -> Iterator[DagsterServer]:
    """Serves the module that `definitions` is the source of, until the block is left."""
    home = folder / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text(DAGSTER_YAML)
    (folder / "studio.py").write_text(definitions)
    plain = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment = {**plain, "DAGSTER_HOME": str(home), **environment}
    with served(folder, ["-f", "studio.py"], environment, "studio.py") as dagster:
        yield dagster


@contextmanager
def served(folder: Path, source: list[str], environment: dict[str, str], location: str) -> Iterator[DagsterServer]:
    """Webserver and daemon in a folder, over the code location that `source` names."""
    port = free_port()
    paths = [str(SUPPORT / "quick_dagster"), *filter(None, [environment.get("PYTHONPATH")])]
    environment = {**environment, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "dagster", "dev", *source, "-h", "127.0.0.1", "-p", str(port)]
    with running(command, folder, environment, "dagster_dev") as server:
        base = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base, trust_env=False, timeout=60) as http:
            dagster = DagsterServer(http, location)
            dagster.wait("the webserver", lambda: _is_up(http, server))
            yield dagster


@contextmanager
def running(
    command: list[str], folder: Path, environment: dict[str, str], name: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, whose words go to a log; with the block it ends, and all that it started."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_DOWN_S)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _is_up(http: httpx.Client, server: subprocess.Popen[bytes]) -> bool:
    assert server.poll() is None, "dagster dev has ended"
    try:
        return http.get("/server_info").status_code == 200
    except httpx.TransportError:
        return False
