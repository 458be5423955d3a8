"""Runs of the real assets on a real, local simulator."""

import atexit
import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa

from wan_assets import LedgerResource, RunwareResource, VideoStoreResource, build_video_assets
from wan_assets.orchestration.partitions.sync import sync_partitions
from wan_assets.prompts import PromptTable
from wan_assets.settings import sqlite_url
from wan_assets.simulator import Behaviour, LocalSimulator

SMALL = {"resolution": "480p", "output_format": "MP4"}

_IDLE: list[dg.DagsterInstance] = []
"""Empty instances for the next tests of this process."""


def table_of(*prompts: str, **parameters: Any) -> list[dict[str, Any]]:
    """Rows `a`, `b`, … of a small prompt table."""
    return [
        {"prompt_id": chr(ord("a") + number), "positive_prompt": prompt, **SMALL, **parameters}
        for number, prompt in enumerate(prompts)
    ]


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """The rows as a JSON Lines file."""
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@dataclass
class Studio:
    """A folder with a store and a ledger, a simulator, and an instance to run in; `shown` is how the store is seen."""

    folder: Path
    simulator: LocalSimulator
    instance: dg.DagsterInstance
    shown: dict[str, Any] = field(default_factory=dict)

    def resources(self, **ledger: Any) -> dict[str, Any]:
        """Resources that speak to this studio's simulator, quickly."""
        return {
            "runware": RunwareResource(
                api_key="a-key-for-tests", base_url=self.simulator.base_url, initial_poll_delay_s=0.1, max_in_flight=20
            ),
            "store": VideoStoreResource(root=str(self.folder / "store"), **self.shown),
            "ledger": LedgerResource(url=sqlite_url(self.folder / "ledger.db"), **ledger),
        }

    def run(
        self, prompts: Any, *, only: str = "*", config: dict[str, Any] | None = None, deps: Any = (), **ledger: Any
    ) -> dg.ExecuteInProcessResult:
        """One run over every partition of a table."""
        definitions = build_video_assets(prompts=prompts, deps=deps)
        table = PromptTable.load(prompts)
        if table.rows:
            sync_partitions(self.instance, "videos", [row.prompt_id for row in table.rows])
        keys = self.instance.get_dynamic_partitions("videos")
        ranged = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
        return dg.materialize(
            list(definitions.assets or ()),
            instance=self.instance,
            resources=self.resources(**ledger),
            selection=None if only == "*" else only,
            run_config={"ops": {"videos": {"config": config}}} if config else None,
            raise_on_error=False,
            tags=ranged,
        )


@contextlib.contextmanager
def empty_instance() -> Iterator[dg.DagsterInstance]:
    """An ephemeral instance. Where a test has used one it is emptied, since a new one takes ten times as long."""
    instance = _IDLE.pop() if _IDLE else _new_instance()
    yield instance
    _empty(instance)
    _IDLE.append(instance)


def _new_instance() -> dg.DagsterInstance:
    instance = dg.DagsterInstance.ephemeral()
    atexit.register(instance.dispose)
    return instance


def _empty(instance: dg.DagsterInstance) -> None:
    """Removes all rows and files: what is left is what a new instance has."""
    for connecting in (instance.run_storage.connect(), instance.event_log_storage.index_connection()):
        with connecting as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")  # of this connection
            for table in set(sa.inspect(connection).get_table_names()) - {"alembic_version"}:
                connection.exec_driver_sql(f"DELETE FROM {table}")
    for folder in Path(instance.root_directory).iterdir():
        shutil.rmtree(folder)


@contextlib.contextmanager
def studio(folder: Path, **behaviour: Any) -> Iterator[Studio]:
    """A studio whose simulator answers quickly."""
    with (
        LocalSimulator(folder / "simulator", Behaviour(**{"latency_s": 0.1, **behaviour})) as simulator,
        empty_instance() as instance,
    ):
        yield Studio(folder, simulator, instance)


def materialized(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Metadata by partition of every video that a run recorded."""
    events = [event.step_materialization_data.materialization for event in result.get_asset_materialization_events()]
    return {
        event.partition: {key: value.value for key, value in event.metadata.items()}
        for event in events
        if event.partition
    }


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """What the failed step said."""
    events = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    data = events[-1].step_failure_data
    return data.user_failure_data.description if data.user_failure_data else data.error.message
