"""Sources of prompt tables: folders, patterns, databases, their signatures, and the column that orders rows."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from wan_assets.cli import cli
from wan_assets.errors import PromptTableError
from wan_assets.orchestration.metadata.video import problem_table
from wan_assets.prompts import PromptTable, SqlQuery, findings_of, scan, signature_of
from wan_assets.settings import settings_from

HEADER = "positive_prompt,resolution,prompt_id\n"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE prompts (id TEXT, prompt TEXT, seed INTEGER, campaign TEXT)")
        rows = [(f"p{at}", f"A kite % :{at}", at, "spring" if at % 2 else None) for at in range(2500)]
        connection.executemany("INSERT INTO prompts VALUES (?, ?, ?, ?)", rows)
        connection.commit()
    return path


def query_of(database: Path, query: str = "") -> SqlQuery:
    columns = "id AS prompt_id, prompt, seed, campaign, '720p' AS resolution"
    return SqlQuery(f"sqlite:///{database}", query or f"SELECT {columns} FROM prompts ORDER BY seed")


def folder_of(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in files.items():
        (folder / f"{name}.csv").write_text(HEADER + rows)
    return folder


def ids(table: PromptTable) -> list[str]:
    return [row.prompt_id for row in table.rows]


def all_in(folder: Path) -> PromptTable:
    return PromptTable.load(folder)


prompts = st.sampled_from(["A kite", "A hill", "A lake", "A road"])


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(prompts, min_size=1, max_size=12), data=st.data())
def test_a_table_split_over_files_reads_the_same_rows(tmp_path_factory, rows, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    lines = [f"{row},720p,\n" for row in rows]
    whole = folder_of(tmp_path_factory.mktemp("whole"), all="".join(lines))
    parts = zip([0, *cuts], [*cuts, len(rows)], strict=True)
    split = folder_of(
        tmp_path_factory.mktemp("split"), **{f"part{at}": "".join(lines[a:b]) for at, (a, b) in enumerate(parts)}
    )

    one, several = PromptTable.load(whole / "all.csv"), PromptTable.load(split)

    assert several.problems == ()
    assert [(row.prompt_id, row.request) for row in several.rows] == [(row.prompt_id, row.request) for row in one.rows]
    assert several.row_count == one.row_count


def test_a_folder_is_all_its_visible_tables_in_order_of_name(tmp_path):
    folder = folder_of(tmp_path, b="A kite,720p,b\n", a="A hill,720p,a\n")
    (folder / "c.TXT").write_text("A lake\n")
    (folder / ".hidden.csv").write_text("bad")
    (folder / "notes.md").write_text("no table")
    folder_of(tmp_path / "d.csv", inner="bad")

    table = PromptTable.load(folder)

    assert ids(table)[:2] == ["a", "b"]
    assert [row.request.positive_prompt for row in table.rows] == ["A hill", "A kite", "A lake"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("*.csv", ["a", "b"]), ("**/*.csv", ["a", "b", "c"]), ("[b].csv", ["b"]), ("s?b/*", ["c"])],
)
def test_a_pattern_is_the_files_it_matches(tmp_path, pattern, found):
    folder_of(tmp_path, a="A kite,720p,a\n", b="A hill,720p,b\n")
    folder_of(tmp_path / "sub", c="A lake,720p,c\n")
    folder_of(tmp_path / ".hidden", d="A road,720p,d\n")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)

    with contextlib.chdir(tmp_path):
        assert ids(PromptTable.load(pattern)) == found
    assert ids(PromptTable.load(tmp_path / pattern)) == found


def test_a_file_or_folder_that_is_called_like_a_pattern_is_itself(tmp_path):
    folder = folder_of(tmp_path / "[1]", **{"*": "A kite,720p,star\n", "other": "A hill,720p,other\n"})

    assert ids(PromptTable.load(folder / "*.csv")) == ["star"]
    assert ids(PromptTable.load(folder)) == ["star", "other"]
    assert ids(PromptTable.load(folder / "o*.csv")) == ["other"]


def test_ids_are_unique_over_all_files_and_problems_name_theirs(tmp_path):
    folder = folder_of(tmp_path, a="A kite,720p,x\n", b="A hill,720p,y\nA lake,720p,x\n,720p,z\n")

    doubled, blank = PromptTable.load(folder).problems

    assert (doubled.file, doubled.row, doubled.column) == ("b.csv", 2, "prompt_id")
    assert doubled.rule == "is already the id of row 1 of a.csv"
    assert str(blank).startswith("b.csv, row 3 (line 4), column positive_prompt: ")
    assert [problem.file for problem in PromptTable.load(folder / "b.csv").problems] == [""]


def test_an_id_given_twice_in_one_file_is_told_by_its_row_alone(tmp_path):
    folder = folder_of(tmp_path, a="A hill,720p,y\n", b="", c="A kite,720p,x\nA lake,720p,x\n")

    assert PromptTable.load(folder).problems[0].rule == "is already the id of row 1"


def test_a_header_problem_of_any_file_is_reported(tmp_path):
    folder = folder_of(tmp_path, a="A kite,720p,a\n")
    (folder / "b.csv").write_text("positive_prompt,resolution,prompt_ids\nA hill,720p,b\n")

    problem = PromptTable.load(folder).problems[0]

    assert (problem.file, problem.row, problem.column) == ("b.csv", None, "prompt_ids")
    assert problem.place == "b.csv, header, column prompt_ids"


def test_local_media_are_relative_to_the_folder_of_each_file(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "first.png").write_bytes(PNG + name.encode())
        (tmp_path / name / "t.csv").write_text("prompt,frame_image\nA kite,first.png\n")

    table = PromptTable.load(tmp_path / "*" / "t.csv")

    assert [table.media[row.request.uploads[0]].parent.name for row in table.rows] == ["one", "two"]


@pytest.mark.parametrize("name", [".", "*.csv", "none/*.csv", "**x/*.csv", "dangling.csv", "\0*"])
def test_where_there_is_nothing_to_read_the_error_says_what_to_do(tmp_path, name):
    if name == "dangling.csv":
        (tmp_path / name).symlink_to("nowhere")
        name = "."

    for read in (all_in, signature_of):
        with pytest.raises(PromptTableError, match=r"add files|check"):
            read(tmp_path / name)


def test_names_that_are_no_text_are_shown_with_escapes(tmp_path):
    folder = folder_of(tmp_path)
    (folder / os.fsdecode(b"\xff\n.csv")).write_text(HEADER + ",720p,a\n")

    problem = PromptTable.load(folder).problems[0]

    assert problem.file == r"\udcff\n.csv"
    assert len(signature_of(folder)) == 32


def test_a_query_reads_the_rows_of_a_database(database):
    table = PromptTable.load(query_of(database))

    assert table.problems == ()
    assert [row.prompt_id for row in table.rows] == [f"p{at}" for at in range(2500)]
    assert table.rows[7].request.positive_prompt == "A kite % :7"
    assert [row.extra for row in table.rows[:2]] == [{}, {"campaign": "spring"}]


def test_a_query_is_read_in_pieces(database):
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT 'A kite' AS prompt, i AS seed FROM n"
    )
    with contextlib.closing(scan(query_of(database, endless), 10, defaults={"resolution": "480p"})) as chunks:
        assert len(next(chunks).rows) == 10


def test_a_query_changes_nothing(database):
    deleting = query_of(database, "DELETE FROM prompts RETURNING prompt, '720p' AS resolution")
    before = signature_of(query_of(database))

    PromptTable.load(deleting)

    assert signature_of(query_of(database)) == before


@pytest.mark.parametrize(
    ("url", "query", "said"),
    [
        ("sqlite:///{folder}/none.db", "SELECT 1", "does not exist; check its URL"),
        ("sqlite:///{folder}/prompts.db", "SELECT * FROM promts", "no such table: promts; check the query"),
        ("sqlite:///{folder}/prompts.db", "DELETE FROM prompts", "write a SELECT"),
        ("sqlite:///{folder}/prompts.db", "SELECT * FROM prompts WHERE 0", "no rows"),
        ("postgresql+psycopg://me:hunter2@127.0.0.1:1/x", "SELECT 1", "check the query and the database"),
        ("postgresql+psycopg://me:not@hunter2@127.0.0.1:1/x", "SELECT 1", "%40"),
        ("postgresql+psycopg://me@127.0.0.1:1/x?hunter2=hunter2", "SELECT 1", "cannot be read: ProgrammingError"),
        ("postgresql+none://me:hunter2@127.0.0.1/x", "SELECT 1", "cannot be read"),
        ("postgresql+asyncpg://me:hunter2@127.0.0.1/x", "SELECT 1", "asyncpg"),
        ("postgresql://me@host:hunter2/x", "SELECT 1", "URL"),
        ("hunter2", "SELECT 1", "URL"),
    ],
)
def test_what_a_database_refuses_is_an_error_without_secrets(database, url, query, said):
    source = SqlQuery(url.format(folder=database.parent), query)

    for read in (PromptTable.load, signature_of):
        with pytest.raises(PromptTableError) as caught:
            read(source)

        assert said in str(caught.value)
        assert "hunter2" not in str(caught.value) + repr(source)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(PromptTableError):
        PromptTable.load(query_of(tmp_path / "none.db"))

    assert not (tmp_path / "none.db").exists()


@pytest.mark.slow
def test_sqlalchemy_is_imported_for_queries_alone(tmp_path):
    folder = folder_of(tmp_path, a="A kite,720p,a\n")
    code = "import sys; from wan_assets.prompts import *; signature_of(sys.argv[1]); PromptTable.load(sys.argv[1])"

    subprocess.run([sys.executable, "-c", f"{code}; sys.exit('sqlalchemy' in sys.modules)", folder], check=True)


def test_the_signature_of_files_changes_with_any_of_them(tmp_path):
    folder = folder_of(tmp_path, a="A kite,720p,a\n", b="A hill,720p,b\n")
    seen = [signature_of(folder)]
    assert signature_of(folder) == signature_of(str(folder / "*.csv")) == seen[0]

    os.utime(folder / "a.csv", ns=(1, 1))
    seen.append(signature_of(folder))
    (folder / "b.csv").write_text(HEADER + "A hill,720p,longer\n")
    seen.append(signature_of(folder))
    (folder / "b.csv").rename(folder / "c.csv")
    seen.append(signature_of(folder))
    (folder / "c.csv").unlink()
    seen.append(signature_of(folder))

    assert len(set(seen)) == 5


def test_the_signature_of_files_reads_none_of_them(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe no table")

    assert signature_of(tmp_path / "a.csv")


@pytest.mark.slow
@settings(deadline=None)
@given(one=st.lists(st.tuples(prompts, st.integers(0, 2))), other=st.lists(st.tuples(prompts, st.integers(0, 2))))
def test_the_signature_of_rows_is_that_of_their_content(one, other):
    first, second = (pd.DataFrame(rows, columns=["prompt", "seed"]) for rows in (one, other))

    if not one or not other:
        with pytest.raises(PromptTableError, match="no rows"):
            signature_of(first if not one else second)
    else:
        assert (signature_of(first) == signature_of(second)) == (one == other)
        assert signature_of(first) == signature_of(first.copy())


def test_the_signature_of_a_table_takes_ids_requests_carried_text_and_problems(tmp_path):
    def signature(text: str) -> str:
        (tmp_path / "t.csv").write_text(text)
        return signature_of(lambda: PromptTable.load(tmp_path / "t.csv"))

    header = "prompt,resolution,prompt_id,note\n"
    texts = ["a hill,720p,x,n\n", "a hill,720p,y,n\n", "a lake,720p,x,n\n", "a hill,720p,x,m\n", "a hill,72p,x,n\n"]

    assert len({signature(header + text) for text in texts}) == 5
    assert signature(header + texts[0]) == signature(header + texts[0])
    with pytest.raises(PromptTableError, match="no rows"):
        signature_of(PromptTable((), (), 0))


def test_the_signature_of_a_query_changes_with_any_row(database):
    before = signature_of(query_of(database))
    assert signature_of(query_of(database)) == before

    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE prompts SET campaign = 'autumn' WHERE seed = 2499")
        connection.commit()

    assert signature_of(query_of(database)) != before


@pytest.mark.parametrize(
    ("written", "priority"),
    [("", 0), ("0", 0), ("10", 10), (" -3 ", -3), ("+7", 7), (5, 5), (5.0, 5), ("5.0", 5), (float("nan"), 0)],
)
def test_priority_is_a_whole_number_and_0_when_absent(written, priority):
    table = PromptTable.load(pd.DataFrame({"prompt": ["A kite"], "resolution": ["720p"], "Priority": [written]}))

    assert table.problems == ()
    assert table.rows[0].priority == priority


@pytest.mark.parametrize("written", ["high", "1.5", 1.5, True, "1e3", "٣", "9" * 30, [1], float("inf")])
def test_a_priority_that_is_no_whole_number_is_a_problem_of_its_cell(written):
    table = PromptTable.load(pd.DataFrame({"prompt": ["A kite"], "resolution": ["720p"], "priority": [written]}))

    (problem,) = table.problems
    assert (problem.row, problem.column, problem.rule) == (1, "priority", "must be a whole number")
    assert "digits" in problem.fix


def test_plan_takes_folders_and_patterns_and_tells_the_file_of_each_problem(tmp_path):
    folder = folder_of(tmp_path / "many", a="A kite,720p,a\n", b="A hill,9p,b\n")

    whole = CliRunner().invoke(cli, ["plan", str(folder), "--json"])
    part = CliRunner().invoke(cli, ["plan", str(folder / "a*.csv")])
    shown = CliRunner().invoke(cli, ["plan", str(folder)])
    one = CliRunner().invoke(cli, ["plan", str(folder / "b.csv"), "--json"])

    assert json.loads(whole.stdout)["problems"][0]["file"] == "b.csv"
    assert "file" not in json.loads(one.stdout)["problems"][0]
    assert (part.exit_code, shown.exit_code) == (0, 1)
    assert "b.csv" in shown.stdout


def test_the_problem_table_names_the_file_where_there_are_several(tmp_path):
    folder = folder_of(tmp_path, a="A kite,9p,a\n")

    several = problem_table(findings_of(PromptTable.load(folder).problems))
    one = problem_table(findings_of(PromptTable.load(folder / "a.csv").problems))

    assert several.records[0].data["rows"] == "a.csv: 1"
    assert one.records[0].data["rows"] == "1"


@pytest.mark.slow
def test_videos_are_made_of_a_pattern(tmp_path):
    folder = folder_of(tmp_path / "many", a="A kite,480p,a\n", b="A hill,480p,b\n")

    result = CliRunner().invoke(
        cli, ["demo", "--prompts", f"{folder}/*.csv", "--data-dir", str(tmp_path / "out"), "--json"]
    )

    assert result.exit_code == 0, result.output
    assert len([*(tmp_path / "out" / "videos").rglob("*.mp4")]) == 2


def test_the_environment_may_name_a_pattern(tmp_path):
    folder = folder_of(tmp_path, a="A kite,480p,a\n", b="A hill,480p,b\n")

    assert len(PromptTable.load(settings_from({"WAN_ASSETS_PROMPTS": f"{folder}/*.csv"}).prompts)) == 2


@pytest.mark.parametrize("name", ["prompts.csv", "prompts.txt", "prompts.jsonl"])
def test_a_file_that_is_written_while_it_is_read_is_refused_and_one_that_is_replaced_is_not(tmp_path, name):
    path, other = tmp_path / name, tmp_path / f"other-{name}"
    form = '{{"prompt": "A red kite {}", "resolution": "480p"}}' if name.endswith("l") else "A red kite {} over the sea"
    head = "prompt\n" if name.endswith("v") else ""
    rows = "".join(f"{form.format(number)}\n" for number in range(3000))
    for each in (path, other):
        each.write_text(head + rows)

    replaced = scan(path, 1000)
    next(replaced)
    other.replace(path)
    assert sum(chunk.row_count for chunk in replaced) == 2000

    written = scan(path, 1000)
    next(written)
    with path.open("a") as file:
        file.write(form.format("over th")[:20])
    with pytest.raises(PromptTableError, match="changed while it was read") as error:
        list(written)
    assert error.value.is_unavailable
