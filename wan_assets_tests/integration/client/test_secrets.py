"""Runs that succeed, fail and are refused, with every secret there is: none is written or said anywhere."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import pytest
import s3_support
import sqlalchemy as sa
from api_double import Prepared
from bent_api import SUBMIT, BentApi, Call
from click.testing import CliRunner
from dagster_support import table_of, written

from wan_assets import LedgerResource, RunwareResource, VideoStoreResource, build_dataset_assets, build_video_assets
from wan_assets.cli import cli
from wan_assets.cli.dagster_home import instance_in
from wan_assets.orchestration.partitions.sync import sync_partitions
from wan_assets.simulator import Behaviour

KEY = "rw-5ecret-key-of-an-account-0123456789"
PASSWORD = "pa55word-of-the-ledger"
HOOK = "5ecret-of-a-hook-that-a-row-names"
OWN = {"webhook_url": f"https://me:{PASSWORD}@hooks.invalid/{HOOK}?token={HOOK}"}
SECRETS = {
    "the webhook's secret": HOOK,
    "the API's key": KEY,
    "the ledger's password": PASSWORD,
    "the bucket's key": s3_support.SECRET_KEY,
}

_OF_THE_SERVERS = ("werkzeug",)
"""Loggers of the API and the bucket, which run in this process here and tell of what they are asked."""


def echoing(call: Call) -> Prepared | None:
    """Refuses the first row and says the key; from the fourth submission on refuses the key itself, and says it too."""
    if call.kind != SUBMIT or call.number not in (1, 4, 5, 6):
        return None
    code, status = ("invalidPositivePrompt", 400) if call.number == 1 else ("invalidApiKey", 401)
    said = f"not with {KEY}, nor with Bearer {KEY}, and not to {call.tasks[0].get('uploadEndpoint')}; {HOOK} is wrong"
    return Prepared({"errors": [{"code": code, "message": said, "taskUUID": call.task_uuid}]}, status)


class Scene:
    """All means, each with its secret, and all that is said while they are used."""

    def __init__(self, folder: Path, api: BentApi, ledger: str, bucket: str) -> None:
        self.folder, self.api, self.bucket = folder, api, bucket
        self.ledger = ledger.replace("postgres@", f"postgres:{PASSWORD}@")
        self.said = io.StringIO()

    def run(self, number: int, *prompts: str) -> bool:
        """A run over a table, in an instance on disk; whether it was green."""
        folder = self.folder / f"table-{number}"
        folder.mkdir()
        table = written(folder, table_of(*prompts, **OWN))
        with instance_in(self.folder / "dagster") as instance, redirect_stdout(self.said), redirect_stderr(self.said):
            keys = [row["prompt_id"] for row in table_of(*prompts)]
            sync_partitions(instance, "videos", keys)
            ranged = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
            videos = list(build_video_assets(prompts=table).assets or ())
            dataset = build_dataset_assets(prompts=table)
            means: dict[str, Any] = {"instance": instance, "resources": self.resources(), "raise_on_error": False}
            result = dg.materialize(videos, tags=ranged, selection="videos", **means)
            dg.materialize([*videos, *dataset], selection="videos_dataset", **means)
            return result.success

    def resources(self) -> dict[str, Any]:
        account = RunwareResource(
            api_key=dg.EnvVar("RUNWARE_API_KEY"), base_url=self.api.base_url, initial_poll_delay_s=0.1
        )
        store = VideoStoreResource(root=f"{self.bucket}/wan", direct_delivery=True)
        return {"runware": account, "store": store, "ledger": LedgerResource(url=self.ledger)}

    def command(self, *arguments: str) -> None:
        """A command's words, whatever it ends with."""
        self.said.write(CliRunner().invoke(cli, arguments).output)

    def written(self) -> Iterator[tuple[str, bytes]]:
        """All that lies anywhere, but in the API's own books and in the tables themselves."""
        for path in self.folder.rglob("*"):
            if path.is_file() and "simulator" not in path.parts and path.name != "prompts.jsonl":
                yield str(path), path.read_bytes()
        for name in s3_support.files_in(self.bucket):
            yield name, s3_support.fs().cat_file(f"{self.bucket}/{name}")
        engine = sa.create_engine(self.ledger)
        with engine.connect() as connection:
            for table in sa.inspect(connection).get_table_names():
                rows = connection.execute(sa.text(f"SELECT * FROM {table}")).all()
                yield table, repr(rows).encode()
        engine.dispose()


@pytest.mark.slow
def test_no_secret_is_written_or_said_anywhere(
    tmp_path: Path,
    postgres_url: str,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("RUNWARE_API_KEY", KEY)
    with BentApi(tmp_path / "simulator", Behaviour(latency_s=0.1), echoing) as api:
        scene = Scene(tmp_path, api, postgres_url, bucket)
        monkeypatch.setenv("WAN_ASSETS_LEDGER", scene.ledger)
        monkeypatch.setenv("WAN_ASSETS_STORE", f"{bucket}/wan")
        monkeypatch.setenv("RUNWARE_BASE_URL", api.base_url)
        greens = [scene.run(1, "A kite", "A boat", "A train"), scene.run(2, "A cloud")]
        table = str(tmp_path / "table-1" / "prompts.jsonl")
        scene.command("ledger", "--json")
        scene.command("ledger", "trace", "a")
        scene.command("ledger", "recover")
        scene.command("gallery", table, "--output", str(tmp_path / "gallery"))
        scene.command("export", table, "--format", "parquet", "--output", str(tmp_path / "export"))
        scene.command("plan", table)

    assert greens == [False, False]
    found = dict(scene.written())
    assert sum(name.endswith(".mp4") for name in found) >= 2, "some videos were made"
    assert b"invalidPositivePrompt" in b"".join(found.values()), "what the API said is kept"
    logged = (record.getMessage() for record in caplog.records if record.name not in _OF_THE_SERVERS)
    found |= {"what was printed": scene.said.getvalue().encode(), "what was logged": "".join(logged).encode()}
    signed = [call.tasks[0]["uploadEndpoint"] for call in api.calls if call.kind == SUBMIT]
    assert all("X-Amz-Signature=" in address for address in signed)
    secrets = SECRETS | {f"signature {number}": _signature_of(address) for number, address in enumerate(signed)}
    leaks = [f"{name} in {place}" for name, it in secrets.items() for place in found if it.encode() in found[place]]
    assert not leaks, json.dumps(leaks, indent=1)


def _signature_of(address: str) -> str:
    return parse_qs(urlsplit(address).query)["X-Amz-Signature"][0]
