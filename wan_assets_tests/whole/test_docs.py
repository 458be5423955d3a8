"""The documentation's snippets, executed as they stand: what they define is loaded, and makes its videos."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
import s3_support
import yaml
from dagster_support import failure_of

import wan_assets
from wan_assets import RunwareResource, WanVideosComponent
from wan_assets.simulator import Behaviour, LocalSimulator

ROOT = Path(wan_assets.__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

TABLE = """\
prompt_id,positive_prompt,resolution,shard,date
kite,A red kite,480p,shard-00,2026-01-01
boat,A blue boat,480p,shard-01,2026-01-02
"""
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def snippets(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def pages_with(language: str) -> list[Any]:
    if not (ROOT / "docs").is_dir():
        reason = "the documentation is beside the package in the repository only"
        return [pytest.param(ROOT, marks=pytest.mark.skip(reason=reason))]
    return [pytest.param(page, id=page.stem) for page in PAGES if snippets(page, language)]


class Slack(ThreadingHTTPServer):
    """A server that takes messages as Slack's incoming webhooks do."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        super().__init__(("127.0.0.1", 0), SlackHandler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/services/T0/B0/x"


class SlackHandler(BaseHTTPRequestHandler):
    """Keeps the text of each message."""

    server: Slack

    def do_POST(self) -> None:
        self.server.texts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Writes nothing."""


@pytest.fixture
def slack() -> Iterator[Slack]:
    with Slack() as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slack: Slack) -> Path:
    """A folder with the tables that the snippets name, and the environment that they read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("RUNWARE_API_KEY", "a-key-for-tests")
    monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
    monkeypatch.setenv("WAN_ASSETS_WEBHOOK_URL", "https://hooks.example.com/webhook?secret=0123456789abcdef")
    for name in ("prompts.csv", "prompts_by_day.csv"):
        (tmp_path / name).write_text(TABLE)
    return tmp_path


def assets_of(definitions: dg.Definitions) -> Iterator[dg.AssetsDefinition]:
    """Those that can be materialized, in the order of their dependencies."""
    found = [asset for asset in definitions.assets or () if isinstance(asset, dg.AssetsDefinition)]
    able = {asset.key: asset for asset in found if asset.is_materializable}
    yield from (able[key] for key in definitions.resolve_asset_graph().toposorted_asset_keys if key in able)


def make(definitions: dg.Definitions, base_url: str, instance: dg.DagsterInstance) -> None:
    """Materializes all assets, of partitions the first, if there are any, and runs all checks; on the simulator."""
    account = RunwareResource(api_key="a-key-for-tests", base_url=base_url, initial_poll_delay_s=0.1)
    means: dict[str, Any] = {"instance": instance, "resources": {**(definitions.resources or {}), "runware": account}}
    together = [*(definitions.assets or ()), *(definitions.asset_checks or ())]
    for asset in assets_of(definitions):
        tags = {}
        if asset.partitions_def:
            keys = asset.partitions_def.get_partition_keys(dynamic_partitions_store=instance)[:2]
            if not keys:
                continue
            tags = {RANGE_START: keys[0], RANGE_END: keys[-1]}
        result = dg.materialize(together, selection=[asset], tags=tags, raise_on_error=False, **means)
        assert result.success, failure_of(result)
    for checks in definitions.asset_checks or ():
        assert dg.materialize(together, selection=dg.AssetSelection.checks(*checks.check_keys), **means).success


@pytest.mark.parametrize("page", pages_with("python"))
def test_the_snippets_of_a_page_run_and_make_their_videos(
    page: Path, folder: Path, slack: Slack, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "s3://my-bucket" in page.read_text(encoding="utf-8"):
        request.getfixturevalue("bucket")
        s3_support.fs().mkdir("my-bucket")
    namespace: dict[str, Any] = {}
    behaviour = Behaviour(latency_s=0.1)

    with LocalSimulator(folder / "simulator", behaviour) as simulator, dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setenv("RUNWARE_BASE_URL", simulator.base_url)
        for snippet in snippets(page, "python"):
            before = namespace.get("defs")
            exec(compile(snippet, str(page), "exec", dont_inherit=True), namespace)
            if namespace.get("defs") is not before:
                dg.Definitions.validate_loadable(namespace["defs"])
                make(namespace["defs"], simulator.base_url, instance)

    assert list(folder.rglob("*.mp4"))
    if page.stem == "budgets":
        assert [text.partition(" is ")[0] for text in slack.texts] == [
            f"{percent}% of the budget of month {datetime.now(UTC):%Y-%m}" for percent in (50, 90)
        ]
    if page.stem == "using-videos":
        assert len(list(folder.glob("out/brightness/*.json"))) == 2
        assert np.load(folder / "out/embeddings/kite.npy").shape == (1, 64)
        assert list(pd.read_parquet(folder / "out/training_set.parquet").text) == ["A red kite", "A blue boat"]


@pytest.mark.parametrize("page", pages_with("yaml"))
def test_the_yaml_of_a_page_loads(page: Path) -> None:
    for snippet in snippets(page, "yaml"):
        component = yaml.safe_load(snippet)
        assert component["type"] == "wan_assets.WanVideosComponent"

        loaded = WanVideosComponent.resolve_from_yaml(yaml.safe_dump(component["attributes"]))

        dg.Definitions.validate_loadable(loaded.build_defs(dg.ComponentTree.for_test().load_context))
