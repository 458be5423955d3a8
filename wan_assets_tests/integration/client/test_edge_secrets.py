"""The ledger keeps its place and its password, and nothing secret that the API repeats is kept or said."""

import asyncio
import base64
import contextlib
import html
import json
import os
import re
import shlex
import sqlite3
import string
import subprocess
import sys
import unicodedata
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import dagster as dg
import pytest
from api_double import KEY, ApiDouble, Prepared, U, run
from bent_api import PATIENT, POLL, SUBMIT, Bend, BentApi, BentStudio, Call, bent, on
from cli_support import clean, lines, wan_assets
from dagster_support import Studio as DagsterStudio
from dagster_support import table_of, written
from engine_support import jobs_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wan_assets import WanVideosComponent
from wan_assets.cli.dagster_home import instance_in
from wan_assets.client import RunwareClient
from wan_assets.client.redaction import Redaction
from wan_assets.engine import Limits, Recovered, recover
from wan_assets.errors import LedgerError, RunwareError, StoreAddressError, WanAssetsError
from wan_assets.ledger import Ledger
from wan_assets.ledger.database import redacted_url as shown
from wan_assets.ledger.database_urls import DatabaseUrlError, url_of
from wan_assets.ledger.database_urls import redacted_url as shown_url
from wan_assets.orchestration.component import _Parts
from wan_assets.settings import PathError, SettingsError, escaped, expanded, settings_from, sqlite_url
from wan_assets.simulator import Behaviour
from wan_assets.store import VideoStore

PASSWORD = "pa55word-of-the-ledger"
ODD = [
    "a%2Fb",
    "a%20b",
    "a?b",
    "a?b=c&d",
    "a#b",
    "a b",
    "ü😀",
    "$HOME",
    "~",
    "a%",
    "%00",
    "a+b",
    "a'b",
    "file:x",
    "a@b",
]
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


def tables_of(path: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master")}


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ODD)
def test_a_ledger_is_where_its_path_says_whatever_the_folder_is_called(tmp_path: Path, name: str) -> None:
    path = tmp_path / "in" / name / "ledger.db"
    Ledger(sqlite_url(path)).close()

    assert "wan_tasks" in tables_of(path)
    assert {file.rpartition("/")[0] for file in files_below(tmp_path)} == {f"in/{name}"}


@pytest.mark.parametrize("name", ODD)
def test_the_default_ledger_and_store_are_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (folder := tmp_path / name).mkdir()
    monkeypatch.chdir(folder)
    settings = settings_from({})
    Ledger(settings.ledger).close()
    VideoStore(settings.store).make_ready()

    assert "wan_tasks" in tables_of(folder / "wan_assets_data" / "ledger.db")
    assert (folder / "wan_assets_data" / "videos").is_dir()
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.slow
def test_a_run_in_a_folder_that_looks_like_part_of_a_url_keeps_everything_there(tmp_path: Path) -> None:
    (folder := tmp_path / "a%2Fb?c%20d").mkdir()
    made = wan_assets("materialize", lines(folder, "A kite"), cwd=folder)

    assert made.returncode == 0, made.stderr
    assert "wan_tasks" in tables_of(folder / "wan_assets_data" / "ledger.db")
    assert (folder / "wan_assets_data" / "dagster" / "history" / "runs.db").is_file()
    assert list(tmp_path.iterdir()) == [folder]
    (spending,) = [line for line in made.stdout.splitlines() if line.startswith("spending")]
    again = subprocess.run(
        shlex.split(spending)[1:], cwd=tmp_path, env=clean(), capture_output=True, text=True, check=False
    )
    assert "spent" in again.stdout, again.stderr


@example([" "])
@example(["0 "])
@given(st.lists(NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=4))
def test_the_url_of_a_path_gives_the_path_back(parts: list[str]) -> None:
    path = "/".join(["", *parts])

    assert url_of(sqlite_url(path), "the URL").database == path
    assert expanded(escaped(path + "/x"), "the path", {}) == path + "/x"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///ledger.db", "ledger.db"),
        ("sqlite:////data/a%20b.db", "/data/a b.db"),
        ("sqlite:////data/a%252Fb.db", "/data/a%2Fb.db"),
        ("sqlite:////data/a%3Fb#c.db", "/data/a?b#c.db"),
        ("sqlite+pysqlite:///ledger.db", "ledger.db"),
        ("sqlite:///~/ledger.db", "/home/me/ledger.db"),
        ("sqlite:///$DATA/ledger.db", "/my %41 data?/ledger.db"),
        ("sqlite:///${DATA}/ledger.db", "/my %41 data?/ledger.db"),
        ("sqlite:////$$DATA/ledger.db", "/$DATA/ledger.db"),
        ("sqlite:////%24DATA/ledger.db", "/$DATA/ledger.db"),
        (" sqlite:///ledger.db\n", "ledger.db"),
    ],
)
def test_a_url_has_one_meaning_with_every_version_of_sqlalchemy(
    monkeypatch: pytest.MonkeyPatch, text: str, path: str
) -> None:
    monkeypatch.setenv("HOME", "/home/me")

    assert url_of(text, "the URL", {"DATA": "/my %41 data?"}).database == path


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://ledger.db", "2 slashes"),
        ("sqlite:/ledger.db", "1 slash after"),
        ("sqlite:ledger.db", "0 slashes"),
        ("sqlite:///", "does not name a file"),
        ("sqlite:///folder/", "does not name a file"),
        ("sqlite:///file:ledger.db", "invalid character in its path"),
        ("sqlite:///file:ledger.db?mode=memory&uri=true", "write %3F"),
        ("sqlite:///a?b/ledger.db", "write %3F"),
        ("sqlite:////tmp/a%2Fb/ledger.db", "%252F"),
        ("sqlite:///$NOT_SET/ledger.db", "${NOT_SET}, which is not set"),
        ("sqlite:///${NOT_SET}/ledger.db", "${NOT_SET}, which is not set"),
        ("sqlite:///${NOT_SET/ledger.db", "without its }"),
        ("sqlite:///~nobody-has-this-name/ledger.db", "home folder is unknown"),
        ("sqlite:///a%00b.db", "invalid character in its path"),
        ("sqlite:///a\0b.db", "U+0000"),
        ("sqlite:///sqlite:///ledger.db", "invalid character in its path"),
        ("sqlite+aiosqlite:///ledger.db", "not supported"),
        ("'sqlite:///ledger.db'", "quotation marks"),
        ("", "is empty"),
        ("ledger.db", "sqlite:///folder/ledger.db"),
        ("/data/ledger.db", "sqlite:///folder/ledger.db"),
        ("~/ledger.db", "sqlite:///folder/ledger.db"),
        ("postgres://me@host/db", "write postgresql+psycopg://"),
        ("host=db.example.com dbname=ledger", "list of options"),
        ("mysql://me@host/db", "SQLite or Postgres"),
        ("postgresql+asyncpg://me@host/db", "asyncpg"),
    ],
)
def test_a_ledger_that_cannot_be_meant_is_refused_in_one_line_and_makes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NOT_SET", raising=False)

    with pytest.raises(LedgerError) as refused:
        Ledger(url)

    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["a folder", "a device", "a FIFO", "below a file"])
def test_a_ledger_that_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "fifo")
    places = {"a folder": tmp_path, "a device": "/dev/zero", "a FIFO": tmp_path / "fifo"}

    with pytest.raises(LedgerError) as refused:
        Ledger(sqlite_url(places.get(kind, tmp_path / "file" / "ledger.db")))

    assert "\n" not in str(refused.value)


def test_a_file_that_an_older_sqlalchemy_wrote_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "a%20b").mkdir()
    Ledger(sqlite_url(tmp_path / "a%20b" / "ledger.db")).close()

    with pytest.raises(LedgerError, match="a%2520b") as refused:
        Ledger(f"sqlite:///{tmp_path}/a%20b/ledger.db")

    assert not (tmp_path / "a b").exists()
    Ledger(str(refused.value).rpartition("write ")[2].removesuffix(" to use it"), must_exist=True).close()


def test_real_money_is_not_booked_in_memory() -> None:
    ledger = Ledger("sqlite:///:memory:")

    ledger.refuse_if_in_memory(simulated=True)
    with pytest.raises(LedgerError, match="records of real money are lost"):
        ledger.refuse_if_in_memory(simulated=False)


PLACES = ("WAN_ASSETS_STORE", "DAGSTER_HOME", "WAN_ASSETS_PROMPTS")


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("$NOT_SET/x", "${NOT_SET}, which is not set"),
        ("/x/${NOT_SET}", "${NOT_SET}, which is not set"),
        ("${/x", "without its }"),
        ("$EMPTY/x", "${EMPTY}, which is not set"),
        ("~nobody-has-this-name/x", "home folder is unknown"),
        ("   ", "is empty"),
        ("'/x'", "quotation marks"),
        ("/x\ny", "U+000A"),
        ("sqlite:///x", ""),
        ("postgresql://me@host/x", ""),
        ("file:x", ""),
    ],
)
def test_a_configured_path_that_cannot_be_meant_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, path: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NOT_SET", raising=False)
    monkeypatch.setenv("EMPTY", "")

    with pytest.raises(WanAssetsError) as refused:
        VideoStore(settings_from({name: path}).store)

    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PLACES, "WAN_ASSETS_LEDGER"])
def test_a_command_tells_of_a_path_that_cannot_be_meant(tmp_path: Path, name: str) -> None:
    table = () if name == "WAN_ASSETS_PROMPTS" else (lines(tmp_path, "A kite"),)
    command = ("export", "--format", "parquet", *table) if name != "DAGSTER_HOME" else ("materialize", *table)
    reported = wan_assets(*command, cwd=tmp_path, **{name: "$NOT_SET/x"})

    assert reported.returncode == 2
    assert [line[:5] for line in reported.stderr.splitlines()] == ["error", "  wha"]


@pytest.mark.slow
def test_configured_paths_may_have_variables_and_a_tilde(tmp_path: Path) -> None:
    places = {
        "HOME": str(tmp_path / "my home"),
        "DATA": str(tmp_path / "my %41 data"),
        "WAN_ASSETS_STORE": "~/videos",
        "WAN_ASSETS_LEDGER": "sqlite:///$DATA/ledger.db",
        "DAGSTER_HOME": "${DATA}/dagster",
    }
    (tmp_path / "my %41 data").mkdir()
    made = wan_assets("materialize", lines(tmp_path, "A kite"), cwd=tmp_path, **places)

    assert made.returncode == 0, made.stderr
    assert "wan_tasks" in tables_of(tmp_path / "my %41 data" / "ledger.db")
    assert (tmp_path / "my home" / "videos" / "simulated").is_dir()
    assert (tmp_path / "my %41 data" / "dagster" / "dagster.yaml").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"my home", "my %41 data", "prompts.txt", "wan_assets_data"}


@pytest.mark.slow
def test_options_of_commands_may_have_variables_and_a_tilde(tmp_path: Path) -> None:
    made = wan_assets(
        "demo", "--prompts", lines(tmp_path, "A kite"), "--data-dir", "~/$NAME", HOME=str(tmp_path), NAME="o"
    )
    shown_ledger = wan_assets("ledger", "--url", "sqlite:///~/o/ledger.db", HOME=str(tmp_path))

    assert made.returncode == 0, made.stderr
    assert shown_ledger.returncode == 0, shown_ledger.stderr
    assert (tmp_path / "o" / "videos").is_dir()


def opened_home(path: str) -> None:
    with instance_in(settings_from({"DAGSTER_HOME": path}).dagster_home):
        pass


@pytest.mark.parametrize(
    ("home", "said"),
    [
        ("relative/home", "not an absolute path"),
        ("{folder}/file", "which is a file"),
        ("{folder}/file/home", "cannot use"),
        ("/nowhere/to/be/found", "check its spelling"),
        ("https://example.com/home", "is a URL"),
    ],
)
def test_a_dagster_home_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, home: str, said: str) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(WanAssetsError, match=said) as refused:
        opened_home(home.format(folder=tmp_path))

    assert "\n" not in str(refused.value)


def test_fields_of_yaml_may_have_variables_and_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TABLES", str(tmp_path / "tables"))
    component = WanVideosComponent.resolve_from_yaml(
        "{prompts: $TABLES/prompts.csv, store: ~/videos, ledger: 'sqlite:///~/ledger.db'}"
    )

    assert _Parts(component, Path("/elsewhere")).prompts == tmp_path / "tables" / "prompts.csv"
    settings = component._settings()
    assert url_of(settings.ledger, "the ledger's URL").database == str(tmp_path / "ledger.db")
    assert VideoStore(settings.store).root.path == str(tmp_path / "videos")


HIDING = [
    f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:1/db",
    f"postgresql+psycopg://me:{PASSWORD}%40more@127.0.0.1:1/db",
    f"postgresql+psycopg://me:a@{PASSWORD}@127.0.0.1:1/db",
    f"postgresql+psycopg://me:{PASSWORD}@more@127.0.0.1:1/db",
    f"postgresql+psycopg://me:{PASSWORD}/more@127.0.0.1:1/db",
    f"postgresql+psycopg://me:a/{PASSWORD}@127.0.0.1:1/db",
    f"postgresql+psycopg://me:a@b/{PASSWORD}@127.0.0.1:1/db",
    f"postgresql+psycopg://me/{PASSWORD}@127.0.0.1:1/db",
    f"postgresql+psycopg://me:a#{PASSWORD}@127.0.0.1:1/db",
    f"postgresql+psycopg://me:a?{PASSWORD}@127.0.0.1:1/db",
    f"postgresql+psycopg://me:%zz{PASSWORD}@127.0.0.1:1/db",
    f"postgresql+psycopg://me:{PASSWORD}$NOT_SET@127.0.0.1:1/db",
    f"postgresql+psycopg://127.0.0.1:1/db?password={PASSWORD}",
    f"postgresql+psycopg://127.0.0.1:1/db?user=me&sslpassword={PASSWORD}&connect_timeout=1",
    f"postgresql+psycopg://127.0.0.1:1/db?passfile={PASSWORD}",
    f"postgresql+psycopg://127.0.0.1:1/db?nosuch={PASSWORD}",
    f"postgresql+psycopg://127.0.0.1:1/db?PASSWORD={PASSWORD}",
    f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:port/db",
    f"postgresql+psycopg://me:{PASSWORD}@[::1/db",
    f"postgresql+psycopg://me:{PASSWORD}@",
    f"postgresql+psycopg:/me:{PASSWORD}@127.0.0.1/db",
    f"postgres://me:{PASSWORD}@127.0.0.1/db",
    f"postgresql+nosuch://me:{PASSWORD}@127.0.0.1/db",
    f"nosuch://me:{PASSWORD}@127.0.0.1/db",
    f"mysql://me:{PASSWORD}@127.0.0.1/db",
    f"me:{PASSWORD}@127.0.0.1/db",
    f"host=127.0.0.1 port=1 user=me password={PASSWORD}",
    f"password={PASSWORD}",
    f"sqlite:me:{PASSWORD}@127.0.0.1/db",
    f"sqlite+x://me:{PASSWORD}@127.0.0.1/db",
    f"sqlite://me:{PASSWORD}@127.0.0.1/db",
    f"'postgresql+psycopg://me:{PASSWORD}@127.0.0.1/db'",
]


@pytest.mark.parametrize("url", HIDING)
def test_a_ledger_that_cannot_be_opened_does_not_tell_its_password(url: str) -> None:
    with pytest.raises(LedgerError) as refused:
        Ledger(url, busy_s=1.0)

    reported = [str(refused.value), repr(refused.value), shown(url), str(refused.value.__cause__)]
    assert not [text for text in reported if PASSWORD in text]


@given(
    st.text(string.printable.replace("\n", ""), min_size=8, max_size=30).filter(lambda text: not text.isspace()),
    st.sampled_from(["postgresql+psycopg://me:{}@host/db", "postgresql+psycopg://host/db?password={}"]),
)
def test_no_password_is_shown_whatever_it_is_made_of(password: str, form: str) -> None:
    assert password not in shown(form.format(password))
    with contextlib.suppress(DatabaseUrlError):
        assert password not in shown_url(url_of(form.format(password), "the URL"))


@pytest.mark.slow
def test_a_run_tells_no_password_and_commands_that_work(tmp_path: Path, postgres_url: str) -> None:
    url = postgres_url.replace("postgres@", f"postgres:{PASSWORD}@")
    made = wan_assets("materialize", lines(tmp_path, "A kite"), cwd=tmp_path, WAN_ASSETS_LEDGER=url)
    failed = wan_assets("ledger", WAN_ASSETS_LEDGER=url.replace("postgresql+psycopg", "postgres"))

    assert made.returncode == 0, made.stderr
    assert PASSWORD not in made.stdout + made.stderr + failed.stdout + failed.stderr
    assert "postgresql+psycopg://" in failed.stderr
    (spending,) = [line for line in made.stdout.splitlines() if line.startswith("spending")]
    command = shlex.split(spending)[1:]
    again = subprocess.run(
        command, env=clean(WAN_ASSETS_LEDGER=url), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "spent" in again.stdout, again.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]


RESOURCES = """{ allTopLevelResourceDetailsOrError(
    repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "%s"}) {
    __typename ... on PythonError { message }
    ... on ResourceDetailsList { results { name configuredValues { key value type } } } } }"""


def asked(folder: Path, source: list[str], location: str, **environment: str) -> str:
    """What Dagster's API tells of the resources."""
    command = [str(Path(sys.executable).with_name("dagster-graphql")), *source, "-t", RESOURCES % location]
    (folder / "home").mkdir()
    given = clean(DAGSTER_HOME=str(folder / "home"), **environment)
    return subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, check=True).stdout


def values_of(answer: str, name: str) -> dict[str, tuple[str, str]]:
    found = json.JSONDecoder().raw_decode(answer[answer.index("{") :])[0]["data"]["allTopLevelResourceDetailsOrError"][
        "results"
    ]
    (values,) = [resource["configuredValues"] for resource in found if resource["name"] == name]
    return {value["key"]: (value["value"], value["type"]) for value in values}


@pytest.mark.slow
def test_dagster_shows_the_ledgers_variable_and_not_its_password(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:1/db"
    answer = asked(tmp_path, ["-m", "wan_assets.definitions"], "wan_assets.definitions", WAN_ASSETS_LEDGER=url)

    assert values_of(answer, "ledger")["url"] == ("WAN_ASSETS_LEDGER", "ENV_VAR")
    assert PASSWORD not in answer


@pytest.mark.slow
def test_a_component_hands_on_the_variable_and_not_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_LEDGER", f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:1/db")
    (tmp_path / "studio.py").write_text(
        "from pathlib import Path\nimport dagster as dg\nfrom wan_assets import WanVideosComponent\n"
        "yaml = \"{prompts: prompts.csv, ledger: '{{ env.MY_LEDGER }}'}\"\n"
        "component = WanVideosComponent.resolve_from_yaml(yaml)\n"
        "context = dg.ComponentTree.for_test().load_context\n"
        "defs = component.build_defs(context)\n"
    )
    answer = asked(tmp_path, ["-f", "studio.py"], "studio.py", MY_LEDGER=os.environ["MY_LEDGER"])

    assert values_of(answer, "ledger")["url"] == ("MY_LEDGER", "ENV_VAR")
    assert PASSWORD not in answer


def test_a_password_that_is_written_into_yaml_is_refused() -> None:
    yaml = f"{{prompts: prompts.csv, ledger: 'postgresql+psycopg://me:{PASSWORD}@host/db'}}"
    component = WanVideosComponent.resolve_from_yaml(yaml)

    with pytest.raises(SettingsError, match="WAN_ASSETS_LEDGER") as refused:
        component.build_defs(dg.ComponentTree.for_test().load_context)

    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize(
    ("root", "said"),
    [
        ("s3:/bucket/x", "write s3://"),
        ("s3:bucket", "write s3://"),
        ("S3://bucket/x", "write s3://"),
        ("s3//bucket/x", "write s3://"),
        ("://bucket", "neither a path nor a URL"),
        ("s3://", "names no bucket"),
        ("gs:///videos", "names no bucket"),
        ("file:videos", "write file://"),
        ("file://host/videos", "names a host"),
        ("sqlite:///ledger.db", "sqlite"),
        ("http://host/videos", "cannot contain a store"),
        ("data:,x", "neither a path nor a URL"),
        ("zip://x.zip", "cannot contain a store"),
        ("simplecache::s3://bucket/x", "cannot contain a store"),
        ("nosuch://x", "Protocol not known"),
        ("a b://x", "Protocol not known"),
        ("hdfs://x", "cannot open the store"),
        ("reference://x", "cannot contain a store"),
        ("C:\\videos", "Windows path"),
        ("", "is empty"),
        ("videos\0", "U+0000"),
    ],
)
def test_a_store_that_cannot_be_opened_is_refused_in_one_line_and_makes_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises((StoreAddressError, PathError), match=re.escape(said)) as refused:
        VideoStore(root)

    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


WORD = "q8w7-e6r5-t4z3"
HOOK = f"https://me:pass-{WORD}@hooks.example.com/services/path-{WORD}?token=tok-{WORD}"
PUT = f"https://bucket.example.com/videos/a.mp4?sv=1&sig=sig-{WORD}%2Fmore%2B"
ADDRESSES = {"webhook_url": HOOK, "upload_endpoint": PUT}
PARTS = {"password": f"pass-{WORD}", "path": f"path-{WORD}", "token": f"tok-{WORD}", "signature": f"sig-{WORD}"}

ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": partial(quote, safe=""),
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "every byte in percent": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "JSON": lambda text: json.dumps(text).replace("/", "\\/"),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text).replace("&", "\\u0026")),
    "JSON with numbers": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
    "HTML": html.escape,
    "HTML with numbers": lambda text: "".join(f"&#x{ord(letter):x};" for letter in text),
    "upper case": str.upper,
    "swapped case": str.swapcase,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 of more": lambda text: base64.urlsafe_b64encode(f"x{text}".encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "wide": lambda text: "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text),
    "with soft hyphens": "\u00ad".join,
    "cut short": lambda text: f"{text[: len(text) * 2 // 3]}…",
    "without its beginning": lambda text: text[len(text) // 3 :],
    "in quotation marks": repr,
}


def decoded(text: str) -> str:
    """A text as somebody would read it who undoes its encodings."""
    for _ in range(6):
        text = html.unescape(unquote(re.sub(r"\\+u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)))
    return unicodedata.normalize("NFKC", text.replace("\\", "").replace("\u00ad", "")).casefold()


def marks_of(secret: str) -> set[str]:
    """Nine characters of a secret, as they look in each of three alphabets."""
    return {encode(secret)[1:10].casefold() for encode in (str, ENCODINGS["base64"], ENCODINGS["hexadecimal"])}


def assert_hidden(text: str, *, secrets: Iterable[str] = PARTS.values()) -> None:
    """No text, however it is encoded, tells eight characters of a secret in a row that say which it is."""
    for secret in secrets:
        assert not [mark for mark in marks_of(secret) if mark in decoded(text)], text


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("address", [HOOK, PUT])
def test_no_address_is_repeated_in_any_encoding(address: str, encoding: str) -> None:
    redaction = Redaction()
    redaction.hide(address, is_destination=True)
    shown_text = redaction.text(f"cannot post to {ENCODINGS[encoding](address)} now")

    assert_hidden(shown_text)
    assert shown_text.startswith("cannot post to ")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("part", PARTS)
def test_no_part_of_an_address_is_repeated_in_any_encoding(part: str, encoding: str) -> None:
    redaction = Redaction()
    redaction.hide(HOOK, is_destination=True)
    redaction.hide(PUT, is_destination=True)

    assert_hidden(redaction.text(f"{ENCODINGS[encoding](PARTS[part])} is wrong"), secrets=[PARTS[part]])


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name not in ("hexadecimal", "base64 of more")])
@pytest.mark.parametrize("address", [HOOK, PUT])
def test_unknown_addresses_are_repeated_without_what_is_private_in_them(address: str, encoding: str) -> None:
    assert_hidden(Redaction().text(f"cannot post to {ENCODINGS[encoding](address)} now"))


@pytest.mark.slow
@settings(derandomize=True, max_examples=400, deadline=None)
@given(
    st.text(string.ascii_letters + string.digits + "-_.~%+/ &\"'\\", min_size=14, max_size=40),
    st.sampled_from([*ENCODINGS]),
    st.sampled_from([name for name in ENCODINGS if name not in ("base64", "base64 of more", "hexadecimal")]),
    st.text(max_size=20),
)
def test_a_key_is_not_repeated_in_any_encoding(key: str, first: str, then: str, around: str) -> None:
    echoed = key
    for name in (first, then):
        echoed = ENCODINGS[name](echoed)
    shown_text = Redaction([key]).text(f"{around} {echoed}")

    assert key not in shown_text or key in around
    assert echoed not in shown_text or len(echoed.rstrip("…")) < 8 or echoed in around


@pytest.mark.parametrize(
    "said",
    [
        "The prompt is too long (parameter positivePrompt)",
        "Model runware:201@1 is busy; see https://runware.ai/docs/models/alibaba-wan2-5-preview",
        "task 5f0c1c9e-6a5e-4c53-9f5a-3b1d4c3b2a10 was not found",
        "width must be one of 1280x720, 1920x1080",
        "Cannot connect to host 127.0.0.1:1 ssl:default [Connect call failed ('127.0.0.1', 1)]",
        "webhookURL is no address",
        "50 % of the tokens are used & gone",
    ],
)
def test_what_is_not_secret_is_told_word_for_word(said: str) -> None:
    redaction = Redaction(["rw-0123456789-secret-key"])
    redaction.hide(HOOK, is_destination=True)

    assert redaction.text(said) == said


def said_of_all(encoding: str) -> str:
    return " and ".join(ENCODINGS[encoding](address) for address in (HOOK, PUT, *PARTS.values()))


def fault_with(said: str, task_uuid: str) -> dict[str, Any]:
    reported = {"code": "providerError", "message": said, "taskUUID": task_uuid, "parameter": said}
    return {**reported, "status": "error", "allowedValues": [said], "documentation": said}


Bends = dict[str, Bend]


def bends_with(said: str) -> Bends:
    """Answers to each kind of POST that repeat what is private."""

    def failed(call: Call) -> Prepared:
        return Prepared({"data": [], "errors": [fault_with(said, call.task_uuid)]})

    def nested(call: Call) -> Prepared:
        item = {"taskType": "videoInference", "taskUUID": call.task_uuid, "status": "error", "error": {"message": said}}
        return Prepared({"data": [{**item, "code": "providerError", said: said}]})

    def strange(call: Call) -> Prepared:
        item = {"taskType": "videoInference", "taskUUID": call.task_uuid, "status": "success", "cost": said}
        return Prepared({"data": [{**item, "videoUUID": said, "videoURL": said}]})

    def named(call: Call) -> Prepared:
        item = {"taskType": "videoInference", "taskUUID": call.task_uuid, "status": "success", "cost": 0.473}
        return Prepared({"data": [{**item, "videoUUID": call.task_uuid, "videoURL": PUT}]})

    def unreadable(_: Call) -> Prepared:
        return Prepared(said.encode(), 200)

    def redirected(_: Call) -> Prepared:
        return Prepared(b"", 302, {"Location": quote(said, safe=":/?&=@%")})

    return {
        "a refused submission": on(SUBMIT, failed),
        "a refused poll": on(POLL, failed),
        "a failed item": on(POLL, nested),
        "a strange result": on(POLL, strange),
        "a result that names an address of the row": on(POLL, named),
        "an answer that is no JSON": on(SUBMIT, unreadable),
        "a poll that is no JSON": on(POLL, unreadable),
        "a redirect of a file": on("file", redirected),
    }


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["plain", "percent twice", "JSON", "cut short", "base64"])
@pytest.mark.parametrize("bend", bends_with(""))
def test_no_answer_brings_a_secret_of_a_row_into_the_ledger_the_store_or_an_error(
    tmp_path: Path, bend: str, encoding: str
) -> None:
    with bent(tmp_path, bends_with(said_of_all(encoding))[bend]) as made:
        limits = Limits(max_wait_s=0.3, max_attempts=1)
        outcomes = made.run(jobs_of(1, **ADDRESSES), limits=limits, http_config=replace(PATIENT, max_download_tries=2))

    reported = [
        f"{outcome.error} {outcome.error!r} {vars(outcome.error) if outcome.error else ''}" for outcome in outcomes
    ]
    rows = [repr(row) for row in made.rows("SELECT * FROM wan_tasks")]
    kept = [path.read_bytes().decode(errors="replace") for path in (tmp_path / "store").rglob("*.json")]
    assert rows
    for text in (*reported, *rows, *kept):
        assert_hidden(text)


def test_a_row_that_an_earlier_process_has_sent_keeps_its_secrets_too(tmp_path: Path) -> None:
    said = f"{PARTS['path']} and {PARTS['token']} and {ENCODINGS['percent'](PARTS['signature'])}"
    is_later: list[bool] = []

    def reported(call: Call) -> Prepared | None:
        return bends_with(said)["a refused poll"](call) if is_later else None

    with bent(tmp_path, reported, latency_s=3600.0) as made:
        jobs = jobs_of(1, **ADDRESSES)
        made.run(jobs, limits=Limits(max_wait_s=0.1))
        is_later.append(True)
        (outcome,) = made.run(jobs, limits=Limits(max_wait_s=0.5, max_attempts=1))

    assert "providerError" in str(outcome.error)
    assert_hidden(f"{outcome.error} {made.rows('SELECT * FROM wan_tasks')}")


@pytest.mark.parametrize("encoding", ["plain", "percent", "percent twice", "JSON", "cut short", "base64"])
def test_recovery_knows_no_row_and_tells_no_private_part_of_an_address(tmp_path: Path, encoding: str) -> None:
    said = f"no post to {ENCODINGS[encoding](HOOK)}, {ENCODINGS[encoding](PUT)}, {HOOK.partition('@')[2]}"
    is_later: list[bool] = []

    def reported(call: Call) -> Prepared | None:
        return bends_with(said)["a refused poll"](call) if is_later else None

    async def read(made: BentStudio) -> list[Recovered]:
        async with made.client(http_config=PATIENT) as client:
            found = recover(client=client, store=made.store, ledger=made.ledger(), limits=Limits(max_wait_s=0.5))
            return [one async for one in found]

    with bent(tmp_path, reported, latency_s=3600.0) as made:
        made.run(jobs_of(1, **ADDRESSES), limits=Limits(max_wait_s=0.1))
        is_later.append(True)
        (recovered,) = asyncio.run(read(made))

    assert "providerError" in str(recovered.error)
    assert_hidden(f"{recovered.error} {made.rows('SELECT * FROM wan_tasks')}")


@pytest.mark.parametrize("call", ["balance", "usage", "upload", "poll"])
def test_no_other_answer_repeats_a_secret(tmp_path: Path, call: str) -> None:
    (file := tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    calls: dict[str, Callable[[RunwareClient], Awaitable[Any]]] = {
        "balance": lambda client: client.balance(),
        "usage": lambda client: client.usage(date(2026, 1, 1), date(2026, 1, 2), "runware:201@1"),
        "upload": lambda client: client.upload(file),
        "poll": lambda client: client.poll([U]),
    }
    said = f"{KEY} is wrong, as are {quote(KEY[:12])}, {said_of_all('plain')} and {said_of_all('JSON')}"

    with ApiDouble(Prepared({"errors": [{"code": "invalidApiKey", "message": said, "parameter": said}]}, 401)) as api:
        client = api.client(webhook_url=HOOK)
        client.hide({"uploadEndpoint": PUT})
        with pytest.raises(RunwareError) as refused:
            run(client, calls[call])

    assert_hidden(f"{refused.value} {refused.value.fault}", secrets=[KEY, *PARTS.values()])


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["plain", "percent twice", "base64"])
def test_no_poll_brings_a_secret_of_a_row_into_dagsters_database_or_output(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], encoding: str
) -> None:
    said = said_of_all(encoding)
    (folder := tmp_path / "table").mkdir()
    table = written(folder, table_of("A kite", "A boat", **ADDRESSES))
    with (
        BentApi(tmp_path / "simulator", Behaviour(latency_s=0.0), bends_with(said)["a refused poll"]) as api,
        instance_in(tmp_path / "dagster") as instance,
    ):
        dagster = DagsterStudio(tmp_path, api, instance)
        result = dagster.run(table)

    assert not result.success
    files = [
        path for path in tmp_path.rglob("*") if path.is_file() and path.parent not in (folder, tmp_path / "simulator")
    ]
    reported = [*capfd.readouterr(), *(path.read_bytes().decode("latin-1") for path in files)]
    assert any("providerError" in text for text in reported)
    for text in reported:
        assert not [mark for part in PARTS.values() for mark in marks_of(part) if mark in text.casefold()]
