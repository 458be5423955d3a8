"""Prompt tables at URLs: what is read, what is compared, what is shown, and that no secret of a URL is."""

import contextlib
import gzip
import hashlib
import http.server
import json
import logging
import tempfile
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import fsspec
import pandas as pd
import pytest
from click.testing import CliRunner
from dagster_support import studio, table_of, written
from s3_support import clients_of_its_own, fs, new_bucket, s3_server, use
from upath import UPath

from wan_assets import PromptSource, PromptTable, WanVideosComponent
from wan_assets.cli import cli
from wan_assets.errors import PromptTableError
from wan_assets.orchestration.metadata.table import kinds_of
from wan_assets.orchestration.partitions.sync import table_id_of
from wan_assets.prompts import scan, signature_of, snapshot_writer
from wan_assets.settings import PathError, settings_from

TABLE = b"prompt_id,prompt,resolution\na,A kite,480p\nb,A hill,480p\n"
OTHER = b"prompt_id,prompt,resolution\na,A kite,480p\nb,A lake,480p\n"
SECRET = "hunter2-0123456789"


@dataclass
class Web:
    """A web server of some files, and the headers that it sends with them."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    user: str = ""
    gets: int = 0


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    web = Web()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.gets += self.command == "GET"
            content = web.files.get(self.path.partition("?")[0])
            allowed = not web.user or self.headers["Authorization"] == f"Basic {b64encode(web.user.encode()).decode()}"
            self.send_response(401 if not allowed else 404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            for name, value in web.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content or b"")

        def log_message(self, *_: Any) -> None:
            pass

    Handler.do_HEAD = Handler.do_GET
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
        web.address = f"http://127.0.0.1:{listening.server_port}"
        yield web
        listening.shutdown()


@pytest.fixture
def web(server: Web) -> Web:
    server.files, server.headers, server.user, server.gets = {"/t.csv": TABLE}, {}, "", 0
    return server


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def ids(source: Any, **options: Any) -> list[str]:
    return [row.prompt_id for row in PromptTable.load(source, **options).rows]


def test_one_file_at_a_url_is_a_table_in_every_form_of_its_address(memory: Any, web: Web, tmp_path: Path) -> None:
    memory.pipe("/folder/t.csv", TABLE)
    web.files["/t.csv.gz"] = gzip.compress(TABLE)
    (tmp_path / "a b.csv").write_bytes(TABLE)

    for source in (
        "memory://folder/t.csv",
        "MEMORY://folder/t.csv",
        "simplecache::memory://folder/t.csv",
        UPath("memory://folder/t.csv"),
        f"{web.address}/t.csv",
        f"{web.address}/t.csv.gz?sig={SECRET}",
        f"file://{tmp_path}/a b.csv",
    ):
        table = PromptTable.load(source)
        assert [(row.prompt_id, row.line, row.file) for row in table.rows] == [("a", 2, ""), ("b", 3, "")], source


def test_a_url_without_an_extension_has_the_format_of_its_media_type(web: Web) -> None:
    web.files["/export"] = TABLE
    with pytest.raises(PromptTableError, match="has no extension"):
        PromptTable.load(f"{web.address}/export?format=csv")

    web.headers = {"Content-Type": "text/csv; charset=utf-8"}

    assert ids(f"{web.address}/export?format=csv") == ["a", "b"]


def test_a_compressed_table_may_be_sent_uncompressed(web: Web) -> None:
    web.files |= {"/t.csv.gz": gzip.compress(TABLE), "/plain.csv.gz": TABLE, "/empty.csv.gz": b""}
    assert ids(f"{web.address}/t.csv.gz") == ["a", "b"]
    assert ids(f"{web.address}/plain.csv.gz") == ["a", "b"]
    with pytest.raises(PromptTableError, match="is empty, which no complete gzip file is"):
        PromptTable.load(f"{web.address}/empty.csv.gz")

    web.headers = {"Content-Encoding": "gzip"}
    assert ids(f"{web.address}/t.csv.gz") == ["a", "b"]


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><title>Log in</title>", b"\xef\xbb\xbf\n<HTML lang=en>\nprompt,x\n"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.json", "t.csv.gz"])
def test_a_page_instead_of_a_table_is_named(web: Web, name: str, page: bytes) -> None:
    web.files[f"/{name}"] = page
    with pytest.raises(PromptTableError, match="is not a table: it looks like an HTML page; check the address"):
        PromptTable.load(f"{web.address}/{name}")


def test_a_folder_and_a_pattern_at_a_url_are_all_their_tables(memory: Any) -> None:
    for name in ("b.csv", "a.jsonl", ".hidden.csv", "notes.md", "sub/c.csv", "day=2/d.csv", "day=1/e.csv"):
        key = name.rpartition("/")[2]
        row = f'{{"prompt_id": "{key}", "prompt": "x", "resolution": "480p"}}'
        content = row if "json" in name else f"prompt_id,prompt,resolution\n{key},x,480p\n"
        memory.pipe(f"/all/{name}", content.encode())

    table = PromptTable.load("memory://all/")

    assert [row.prompt_id for row in table.rows] == ["a.jsonl", "b.csv", "e.csv", "d.csv"]
    assert [row.extra.get("day") for row in table.rows] == [None, None, "1", "2"]
    assert table.rows[2].file == "day=1/e.csv"
    assert ids("memory://all/*.csv") == ["b.csv"]
    assert ids("memory://all/**/*.csv") == ["b.csv", "e.csv", "d.csv", "c.csv"]
    assert len({signature_of(f"memory://all/{end}") for end in ("", "*.csv", "**/*.csv")}) == 3


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("memory://none/t.csv", "memory://none/t.csv does not exist; check the URL"),
        ("memory://none/*.csv", "matches no file"),
        ("memory://empty", "is a folder without tables"),
        ("memory://empty/notes.md", "has the extension .md; supported are .csv"),
        ("foo://x/t.csv", "foo:// is unknown; supported are paths, https://"),
        ("postgresql://me:hunter2-0123456789@h/x", "read with an SqlQuery"),
        ("s3://AKIA:hunter2-0123456789@bucket/t.csv", "s3://bucket/t.csv was given with credentials"),
        ("s3://", "names no bucket"),
        ("{web}/none.csv?sig=hunter2-0123456789", "/none.csv does not exist; check the URL"),
        ("{web}/*.csv", "a web server lists no files"),
        ("{web}/", "a web server lists no files"),
        ("http://127.0.0.1:1/t.csv", "Cannot connect"),
        ("{web}/README.txt", "suggests notes"),
    ],
)
def test_a_url_that_cannot_be_read_is_an_error_that_says_why_without_its_secrets(
    memory: Any, web: Web, address: str, said: str
) -> None:
    memory.pipe("/empty/notes.md", b"x")
    web.files["/README.txt"] = b"A kite"
    address = address.replace("{web}", web.address)

    for read in (PromptTable.load, signature_of):
        if "README" in address and read is signature_of:
            continue
        with pytest.raises(PromptTableError) as caught:
            PromptTable.load(address) if ".md" in address else read(address)
        assert said in str(caught.value)
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_url_as_a_path_says_how_to_write_it() -> None:
    with pytest.raises(PromptTableError, match="in a text and not a Path"):
        PromptTable.load(Path("s3://bucket/t.csv"))


@pytest.mark.slow
def test_a_user_and_a_password_open_a_url_and_are_never_shown(
    web: Web, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    web.user = f"me:{SECRET}"
    web.files["/bad.csv"] = TABLE.replace(b"A hill", b"")
    host = web.address.removeprefix("http://")
    address = f"http://me:{SECRET}@{host}"
    source = PromptSource(f"{address}/t.csv?token={SECRET}", defaults={"seed": 1})

    with caplog.at_level(logging.DEBUG, "wan_assets"), studio(tmp_path) as made:
        result = made.run(source)
        events = [str(event) for event in result.all_events]
        (event,) = result.asset_materializations_for_node("videos_prompts")
    with pytest.raises(PromptTableError) as refused:
        PromptTable.load(f"http://me:wrong-{SECRET}@{host}/t.csv")
    with pytest.raises(PromptTableError) as flawed:
        PromptTable.load(f"{address}/bad.csv").refuse_problems("the table")
    shown = CliRunner().invoke(cli, ["plan", f"{address}/t.csv?token={SECRET}"])
    web.user = "nobody"
    with pytest.raises(PromptTableError) as signed:
        PromptTable.load(f"{web.address}/t.csv?token={SECRET}")

    assert result.success
    assert event.metadata["wan_assets/source"].value == f"{web.address}/t.csv"
    assert shown.exit_code == 0
    assert f"{web.address}/t.csv: 2 rows" in shown.stdout
    assert "401" in str(refused.value)
    for text in (
        *events,
        caplog.text,
        shown.output,
        str(refused.value),
        str(flawed.value),
        str(signed.value),
        repr(source),
    ):
        assert SECRET not in text


class Talkative(fsspec.AbstractFileSystem):
    """A file system whose errors repeat what it was given."""

    protocol = "talkative"

    def info(self, path: str, **_: Any) -> Any:
        raise PermissionError(f"login of {path.replace('%2D', '-')} failed at https://me:word@cdn.example.com/x?sig=5")


def test_an_error_of_a_file_system_that_repeats_a_secret_is_not_shown() -> None:
    fsspec.register_implementation("talkative", Talkative, clobber=True)

    for address in (f"talkative://me:{SECRET}@host/t.csv", f"talkative://me:{SECRET.replace('-', '%2D')}@host/t.csv"):
        with pytest.raises(PromptTableError) as caught:
            PromptTable.load(address)
        assert str(caught.value).startswith("talkative://host/t.csv cannot be read: PermissionError; check")
    with pytest.raises(PromptTableError, match=r"login of host/t\.csv failed at https://cdn\.example\.com/x; check"):
        PromptTable.load("talkative://host/t.csv")


def test_the_dagster_kinds_and_the_identity_of_a_url_ignore_its_secrets() -> None:
    signed = f"https://h/t.csv.gz?sig={SECRET}"

    assert kinds_of(signed) == {"table", "csv"}
    assert kinds_of("s3://bucket/t.xlsx") == {"table", "excel"}
    assert table_id_of(signed) == table_id_of(f"https://me:{SECRET}@h/t.csv.gz") == table_id_of("https://h/t.csv.gz")
    assert table_id_of("https://h/t.csv?v=1") != table_id_of("https://h/t.csv?v=2")
    assert len({table_id_of(f"s3://b/{name}") for name in ("1?.csv", "2?.csv", "t.csv")}) == 3


@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
def test_the_signature_of_a_url_is_what_the_server_says_of_its_version(web: Web, header: str) -> None:
    versions = {
        "ETag": ('"1"', '"2"'),
        "Last-Modified": ("Mon, 30 Nov 2026 01:00:00 GMT", "Mon, 30 Nov 2026 01:00:01 GMT"),
    }
    web.headers = {header: versions[header][0]}
    first = signature_of(f"{web.address}/t.csv?sig={SECRET}")
    assert signature_of(f"{web.address}/t.csv?sig=other-{SECRET}") == first
    assert web.gets == 0

    web.headers = {header: versions[header][1]}

    assert signature_of(f"{web.address}/t.csv?sig={SECRET}") != first


def test_the_signature_of_a_url_without_a_version_is_that_of_its_content(web: Web) -> None:
    first = signature_of(f"{web.address}/t.csv")
    assert signature_of(f"{web.address}/t.csv") == first

    web.files["/t.csv"] = OTHER

    assert len(OTHER) == len(TABLE)
    assert signature_of(f"{web.address}/t.csv") != first


def test_local_files_of_a_table_at_a_url_need_a_base_dir(memory: Any, tmp_path: Path) -> None:
    (tmp_path / "kite.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    memory.pipe("/t.csv", b"prompt,frame_image\nA kite,kite.png\n")

    (problem,) = PromptTable.load("memory://t.csv").problems

    assert problem.rule == "is a local file, but the table has no folder"
    assert "base_dir" in problem.fix
    assert len(PromptTable.load("memory://t.csv", base_dir=tmp_path).media) == 1
    assert len(PromptTable.load(PromptSource("memory://t.csv", base_dir=tmp_path)).media) == 1


def test_the_copy_of_a_remote_table_is_removed_also_when_reading_stops(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    memory.pipe("/t.csv", TABLE)
    memory.pipe("/bad.csv", b"\xff\xfe")
    with contextlib.closing(scan("memory://t.csv", 1)) as chunks:
        assert next(chunks).row_count == 1
        assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(PromptTableError, match=r"^memory://bad\.csv is UTF-16"):
        PromptTable.load("memory://bad.csv")

    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_at_a_url_is_read_as_it_was_and_another_parquet_file_as_a_table(
    memory: Any, web: Web, tmp_path: Path
) -> None:
    table = PromptTable.load(written(tmp_path, table_of("A kite", seed=7)))
    with snapshot_writer(tmp_path / "s.parquet") as writer:
        writer.add(table.chunk())
    content = (tmp_path / "s.parquet").read_bytes()
    name = f"{hashlib.sha256(content).hexdigest()}.parquet"
    memory.pipe(f"/{name}", content)
    with memory.open("/plain.parquet", "wb") as file:
        pd.DataFrame([{"prompt": "A kite", "resolution": "480p"}]).to_parquet(file)

    assert PromptTable.load(f"memory://{name}").requests == table.requests
    assert [row.request.positive_prompt for row in PromptTable.load("memory://plain.parquet").rows] == ["A kite"]
    with pytest.raises(PromptTableError, match="does not exist"):
        PromptTable.load("memory://gone.parquet")
    web.files[f"/{name}"] = content
    assert PromptTable.load(f"{web.address}/{name}").requests == table.requests
    with pytest.raises(PromptTableError, match="is a snapshot of an accepted table"):
        PromptTable.load(tmp_path / "*.parquet")


@pytest.mark.slow
def test_a_bucket_is_a_folder_and_its_files_are_compared_by_their_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    with clients_of_its_own(), s3_server() as address:
        use(address, monkeypatch)
        bucket = new_bucket()
        fs().pipe(f"{bucket}/day=1/a.csv", TABLE)
        assert ids(bucket) == ids(f"{bucket}/*/a.csv") == ids(f"{bucket}/day=1/a.csv") == ["a", "b"]
        before = [signature_of(bucket), signature_of(f"{bucket}/day=1/a.csv")]
        assert before == [signature_of(bucket), signature_of(f"{bucket}/day=1/a.csv")]
        planned = CliRunner().invoke(cli, ["plan", f"{bucket}/day=1/a.csv", "--json"])

        fs().pipe(f"{bucket}/day=1/a.csv", OTHER)

        assert [row.request.positive_prompt for row in PromptTable.load(bucket).rows] == ["A kite", "A lake"]
        after = [signature_of(bucket), signature_of(f"{bucket}/day=1/a.csv")]
        with pytest.raises(PromptTableError, match="does not exist; check the URL"):
            PromptTable.load(f"{bucket}/none.csv")
    assert not set(before) & set(after)
    assert json.loads(planned.stdout)["rows"] == 2


def test_a_url_is_accepted_by_the_environment_and_a_component(web: Web, tmp_path: Path) -> None:
    address = f"{web.address}/t.csv"

    component = WanVideosComponent.resolve_from_yaml(f"name: clips\nprompts: {address}\n")
    assets = list(component.build_defs(dg.ComponentTree.for_test().load_context).assets or ())
    with studio(tmp_path) as made:
        result = dg.materialize(assets, instance=made.instance, resources=made.resources(), selection="clips_prompts")

    (event,) = result.asset_materializations_for_node("clips_prompts")
    assert (event.metadata["wan_assets/source"].value, event.metadata["dagster/row_count"].value) == (address, 2)
    assert settings_from({"WAN_ASSETS_PROMPTS": address}).prompts == address
    assert ids(settings_from({"WAN_ASSETS_PROMPTS": "${HOST}/t.csv", "HOST": web.address}).prompts) == ["a", "b"]
    with pytest.raises(PathError, match="the URL of a database"):
        settings_from({"WAN_ASSETS_PROMPTS": "postgresql+psycopg://me@host/x"})
