"""The ledger keeps its place and its password, and nothing secret that the API repeats is kept or said."""

import contextlib
import json
import os
import re
import shlex
import sqlite3
import string
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from cli_support import clean, lines, wan_assets
from hypothesis import given
from hypothesis import strategies as st

from wan_assets import WanVideosComponent
from wan_assets.database_urls import DatabaseUrlError, url_of
from wan_assets.database_urls import shown as shown_url
from wan_assets.errors import LedgerError, StoreAddressError, WanAssetsError
from wan_assets.home import instance_in
from wan_assets.ledger import Ledger
from wan_assets.ledger.schema import shown
from wan_assets.paths import PathError, escaped, expanded, sqlite_url
from wan_assets.settings import SettingsError, settings_from
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
        ("sqlite:///", "names no file"),
        ("sqlite:///folder/", "names no file"),
        ("sqlite:///file:ledger.db", "no path has"),
        ("sqlite:///file:ledger.db?mode=memory&uri=true", "write %3F"),
        ("sqlite:///a?b/ledger.db", "write %3F"),
        ("sqlite:////tmp/a%2Fb/ledger.db", "%252F"),
        ("sqlite:///$NOT_SET/ledger.db", "${NOT_SET}, which is not set"),
        ("sqlite:///${NOT_SET}/ledger.db", "${NOT_SET}, which is not set"),
        ("sqlite:///${NOT_SET/ledger.db", "without its }"),
        ("sqlite:///~nobody-has-this-name/ledger.db", "home folder is not known"),
        ("sqlite:///a%00b.db", "no path has"),
        ("sqlite:///a\0b.db", "U+0000"),
        ("sqlite:///sqlite:///ledger.db", "no path has"),
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
    Ledger(str(refused.value).rpartition("write ")[2].removesuffix(" for it"), must_exist=True).close()


def test_real_money_is_not_booked_in_memory() -> None:
    ledger = Ledger("sqlite:///:memory:")

    ledger.refuse_if_forgotten(simulated=True)
    with pytest.raises(LedgerError, match="would be forgotten"):
        ledger.refuse_if_forgotten(simulated=False)


PLACES = ("WAN_ASSETS_STORE", "DAGSTER_HOME", "WAN_ASSETS_PROMPTS")


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("$NOT_SET/x", "${NOT_SET}, which is not set"),
        ("/x/${NOT_SET}", "${NOT_SET}, which is not set"),
        ("${/x", "without its }"),
        ("$EMPTY/x", "${EMPTY}, which is not set"),
        ("~nobody-has-this-name/x", "home folder is not known"),
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


@pytest.mark.parametrize("name", [*PLACES, "WAN_ASSETS_LEDGER"])
def test_a_command_tells_of_a_path_that_cannot_be_meant(tmp_path: Path, name: str) -> None:
    table = () if name == "WAN_ASSETS_PROMPTS" else (lines(tmp_path, "A kite"),)
    command = ("export", "--format", "parquet", *table) if name != "DAGSTER_HOME" else ("materialize", *table)
    told = wan_assets(*command, cwd=tmp_path, **{name: "$NOT_SET/x"})

    assert told.returncode == 2
    assert [line[:5] for line in told.stderr.splitlines()] == ["error", "  wha"]


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


def test_options_of_commands_may_have_variables_and_a_tilde(tmp_path: Path) -> None:
    made = wan_assets("demo", "--prompts", lines(tmp_path, "A kite"), "--out", "~/$NAME", HOME=str(tmp_path), NAME="o")
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
        ("relative/home", "no absolute path"),
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

    assert component._prompts(Path("/elsewhere")) == tmp_path / "tables" / "prompts.csv"
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

    told = [str(refused.value), repr(refused.value), shown(url), str(refused.value.__cause__)]
    assert not [text for text in told if PASSWORD in text]


@given(
    st.text(string.printable.replace("\n", ""), min_size=8, max_size=30).filter(lambda text: not text.isspace()),
    st.sampled_from(["postgresql+psycopg://me:{}@host/db", "postgresql+psycopg://host/db?password={}"]),
)
def test_no_password_is_shown_whatever_it_is_made_of(password: str, form: str) -> None:
    assert password not in shown(form.format(password))
    with contextlib.suppress(DatabaseUrlError):
        assert password not in shown_url(url_of(form.format(password), "the URL"))


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


def test_dagster_shows_the_ledgers_variable_and_not_its_password(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:1/db"
    answer = asked(tmp_path, ["-m", "wan_assets.definitions"], "wan_assets.definitions", WAN_ASSETS_LEDGER=url)

    assert values_of(answer, "ledger")["url"] == ("WAN_ASSETS_LEDGER", "ENV_VAR")
    assert PASSWORD not in answer


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
        ("http://host/videos", "no store can be kept"),
        ("data:,x", "neither a path nor a URL"),
        ("zip://x.zip", "no store can be kept"),
        ("simplecache::s3://bucket/x", "no store can be kept"),
        ("nosuch://x", "Protocol not known"),
        ("a b://x", "Protocol not known"),
        ("hdfs://x", "cannot open the store"),
        ("reference://x", "no store can be kept"),
        ("C:\\videos", "path of Windows"),
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
