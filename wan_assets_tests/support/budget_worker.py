"""One of several processes that spend on the same budgets: it reads cells, and runs each on its path."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import dagster as dg
from decoder_loop import DecoderLoopPolicy
from engine_support import KEY, QUICK, request_of

from wan_assets import Budget, LedgerResource, RunwareResource, VideoGenerator, VideoStoreResource, build_video_assets
from wan_assets.cli.api_probe import Probe, Record
from wan_assets.client import RunwareClient
from wan_assets.engine import Limits, Outcome, VideoJob, generate
from wan_assets.engine.recovery import recover
from wan_assets.ledger import Approval, BudgetLimit, Budgets, Ledger, Origin
from wan_assets.orchestration.partitions.sync import sync_partitions
from wan_assets.settings import sqlite_url
from wan_assets.store import VideoStore

_PAUSE_S = 0.2
"""Between two runs of a cell that takes time."""

SILENT = {"provider_settings.alibaba": {"audio": False}, "resolution": "720p"}


def main(number: int) -> None:
    """Says when it is ready for a cell and, when it is told to go, runs it and answers with the errors of its rows."""
    for line in sys.stdin:
        cell = json.loads(line)
        _say("ready")
        assert sys.stdin.readline() == "go\n"
        _say(PATHS[cell["path"]](cell, number))


def _say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def rows_of(cell: dict[str, Any], number: int, *, is_in: bool) -> list[dict[str, Any]]:
    """The rows of one process in the scope of the budget, or outside of it."""
    group, count = ("in", cell["rows_in"]) if is_in else ("out", cell["rows_out"])
    name = number if cell["is_each"] else 0
    return [
        {"prompt": f"{group} {name} {cell['cell']} {number}.{each}", "key": f"{group}-{number}-{each}", **cell[group]}
        for each in range(count)
    ]


def engine_runs(cell: dict[str, Any], number: int) -> list[str]:
    """Runs of the engine, over the rows in the scope and over the others; again and again if the cell takes time."""
    until = time.time() + cell.get("lasts_s", 0.0)
    while True:
        said = [name for is_in in (True, False) for name in _one_run(cell, number, is_in=is_in)]
        if time.time() + _PAUSE_S >= until:
            return said
        time.sleep(_PAUSE_S)


def _one_run(cell: dict[str, Any], number: int, *, is_in: bool) -> list[str]:
    rows = rows_of(cell, number, is_in=is_in)
    jobs = [_job(row, cell.get("approvals", {})) for row in rows]
    origin = (
        Origin(_run_id(cell, number, is_in=is_in), rows[0]["asset"], run_tags=rows[0]["run_tags"]) if rows else Origin()
    )
    return asyncio.run(_outcomes(cell, jobs, origin, max_takes=cell.get("max_takes", 3)))


def _run_id(cell: dict[str, Any], number: int, *, is_in: bool) -> str:
    return f"{'in' if is_in else 'out'}-{number if cell['is_each'] else 0}"


def _job(row: dict[str, Any], approvals: dict[str, list[str]]) -> VideoJob:
    parameters = {"model": row["model"], "resolution": "720p", "provider_settings": None} if row["model"] else {}
    approval = Approval(*approvals[row["prompt"]], is_simulated=True) if approvals else None
    if approval:
        parameters |= {"seed": 11}
    return VideoJob(request_of(row["prompt"], **parameters), row["partition"], row["key"], approval, tags=row["tags"])


async def _outcomes(cell: dict[str, Any], jobs: Iterable[VideoJob], origin: Origin, **limits: Any) -> list[str]:
    with _ledger(cell) as ledger:
        async with _client(cell) as client:
            store = VideoStore(Path(cell["folder"]) / "store")
            outcomes: AsyncIterator[Outcome] = generate(
                jobs, client=client, store=store, ledger=ledger, origin=origin, limits=Limits(max_wait_s=20, **limits)
            )
            return [type(each.error).__name__ if each.error else "" async for each in outcomes]


def _ledger(cell: dict[str, Any]) -> Ledger:
    limits = [BudgetLimit.model_validate(each) for each in cell["budgets"]]
    shift_s = cell.get("shift_s", 0.0)
    return Ledger(_url(cell), Budgets.of(limits=limits, price_margin=0), clock=lambda: time.time() + shift_s)


def _client(cell: dict[str, Any]) -> RunwareClient:
    return RunwareClient(KEY, cell["base_url"], http_config=QUICK)


def _url(cell: dict[str, Any]) -> str:
    return cell.get("url") or sqlite_url(Path(cell["folder"]) / "ledger.db")


def recovery(cell: dict[str, Any], _: int) -> list[str]:
    """`wan-assets ledger recover`: it may settle and store, and submits nothing."""

    async def found() -> list[str]:
        with _ledger(cell) as ledger:
            async with _client(cell) as client:
                store = VideoStore(Path(cell["folder"]) / "store")
                each = recover(client=client, store=store, ledger=ledger, limits=Limits(max_wait_s=20))
                return [type(one.error).__name__ if one.error else "" async for one in each]

    return asyncio.run(found())


def probe(cell: dict[str, Any], _: int) -> list[str]:
    """`wan-assets probe --pay`."""

    async def outcome() -> Outcome:
        with _ledger(cell) as ledger:
            record = Record()
            async with RunwareClient(KEY, cell["base_url"], http_config=QUICK, on_response=record) as client:
                return await Probe(client, record, VideoStore(Path(cell["folder"]) / "store"), ledger).outcome()

    error = asyncio.run(outcome()).error
    return [type(error).__name__ if error else ""]


def notebook(cell: dict[str, Any], number: int) -> list[str]:
    """A script that calls a `VideoGenerator`, once for the rows in the scope and once for the others."""
    said: list[str] = []
    for is_in in (True, False):
        if rows := rows_of(cell, number, is_in=is_in):
            generator = VideoGenerator(**_resources(cell))
            said += list(
                generator.generate(requests=[_table_row(row) for row in rows], progress=False)["error"].fillna("")
            )
    return said


def dagster_run(cell: dict[str, Any], number: int) -> list[str]:
    """A run of the assets, whose partitions are rows."""
    said = []
    for is_in in (True, False):
        if not (rows := rows_of(cell, number, is_in=is_in)):
            continue
        name = rows[0]["asset"]
        definitions = build_video_assets(name=name, prompts=[_table_row(row) for row in rows])
        with dg.DagsterInstance.ephemeral() as instance:
            keys = [row["key"] for row in rows]
            sync_partitions(instance, name, keys)
            ranged = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
            done = dg.materialize(
                list(definitions.assets or ()),
                instance=instance,
                resources=_resources(cell),
                tags={**ranged, **rows[0]["run_tags"]},
                raise_on_error=False,
            )
            said.append("" if done.success else "failed")
    return said


def _table_row(row: dict[str, Any]) -> dict[str, Any]:
    parameters = {"model": row["model"], "resolution": "720p"} if row["model"] else SILENT
    return {"prompt_id": row["key"], "positive_prompt": row["prompt"], **parameters, **row["tags"]}


def _resources(cell: dict[str, Any]) -> dict[str, Any]:
    budgets = [Budget(**each) for each in cell["budgets"]]
    return {
        "runware": RunwareResource(api_key=KEY, base_url=cell["base_url"], initial_poll_delay_s=0.1),
        "store": VideoStoreResource(root=str(Path(cell["folder"]) / "store"), pictures=False),
        "ledger": LedgerResource(url=_url(cell), budgets=budgets, price_margin=0),
    }


PATHS = {
    "engine": engine_runs,
    "retries": engine_runs,
    "retakes": engine_runs,
    "finals": engine_runs,
    "notebook": notebook,
    "dagster": dagster_run,
    "recover": recovery,
    "probe": probe,
}

if __name__ == "__main__":
    asyncio.set_event_loop_policy(DecoderLoopPolicy())
    main(int(sys.argv[1]))
