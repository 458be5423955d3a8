"""Attribution on the command line: tables of one and two keys, files, and the chargeback of a month."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from attribution_support import Book, Decided, Entry
from click.testing import CliRunner, Result

from wan_assets.cli import cli
from wan_assets.ledger import Ledger

FALL, SPRING = {"campaign": "fall", "x_team": "ads"}, {"campaign": "=SUM(A1)", "team": "film", "x_team": "ads"}
BOOK = Book(
    (
        Entry(request=0, tags=FALL, cost=473_000, model="alibaba:wan@2.6"),
        Entry(request=1, tags=FALL, cost=473_001),
        Entry(request=2, tags=SPRING, files=("a", "b"), cost=946_000),
        Entry(request=3, tags={}, state="failed", cost=0, reserved=482_460),
        Entry(request=4, tags=FALL, created="2026-11-30T23:30"),
        Entry(request=5, tags=FALL, cost=5_000_000, simulated=True),
    ),
    (Decided(0, "approved"), Decided(1, "rejected", "bob"), Decided(2, "approved", "bob"), Decided(5, "approved")),
    {"r1": {"owner": "ops"}},
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The address of a ledger with `BOOK`."""
    return ledger_of(tmp_path, BOOK)


def ledger_of(folder: Path, book: Book) -> str:
    url = f"sqlite:///{folder / 'ledger.db'}"
    with Ledger(url):
        book.write(url)
    return url


def invoked(url: str, *arguments: Any, columns: int = 160) -> Result:
    """The command `ledger` with a ledger, on a terminal of some columns."""
    command, rest = ([arguments[0]], arguments[1:]) if arguments[:1] == ("chargeback",) else ([], arguments)
    given = ["ledger", *command, "--url", url, *map(str, rest)]
    return CliRunner().invoke(cli, given, env={"COLUMNS": str(columns)})


def test_two_groupings_are_one_table_beside_tables_of_one(url: str) -> None:
    shown = invoked(url, "--by", "campaign,model", "--by", "state").stdout
    reported = json.loads(invoked(url, "--by", "campaign,model", "--by", "state", "--json").stdout)["by"]

    assert "By campaign and model" in shown
    assert "By state" in shown
    assert list(reported) == ["campaign,model", "state"]
    assert [line["key"] for line in reported["campaign,model"] if not line["simulated"]] == [
        ["=SUM(A1)", "runware:201@1"],
        ["fall", "alibaba:wan@2.6"],
        ["fall", "runware:201@1"],
        ["(none)", "runware:201@1"],
    ]
    assert reported["campaign,model"][1] == {
        "key": ["fall", "alibaba:wan@2.6"],
        "simulated": False,
        "tasks": 1,
        "cost_usd": 0.473,
        "reserved_usd": 0.0,
        "unknown_cost_count": 0,
        "videos": 1,
        "approved": 1,
        "per_approved_usd": 0.473,
    }
    assert [line["key"] for line in reported["state"]] == ["failed", "stored", "stored"]


def test_a_column_of_ones_own_needs_no_prefix(url: str) -> None:
    short, long = (json.loads(invoked(url, "--by", name, "--json").stdout)["by"] for name in ("x_team", "tag:x_team"))

    assert short == long
    assert [line["key"] for line in short["tag:x_team"] if not line["simulated"]] == ["ads", "(none)"]


def test_days_are_those_of_a_time_zone(url: str) -> None:
    of_berlin = json.loads(invoked(url, "--by", "day", "--time-zone", "Europe/Berlin", "--json").stdout)["by"]["day"]
    of_utc = json.loads(invoked(url, "--by", "day", "--json").stdout)["by"]["day"]

    assert [line["key"] for line in of_utc] == ["2026-11-15", "2026-11-15", "2026-11-30"]
    assert [line["key"] for line in of_berlin] == ["2026-11-15", "2026-11-15", "2026-12-01"]


def test_a_csv_file_has_exact_amounts_and_no_formulas(url: str, tmp_path: Path) -> None:
    path = tmp_path / "spending.csv"

    result = invoked(url, "--by", "campaign", "--output", path)

    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert result.stdout == f"4 rows written to {path}\n"
    assert rows[0] == {
        "campaign": "'=SUM(A1)",
        "money": "real",
        "tasks": "1",
        "videos": "2",
        "approved": "1",
        "unknown_cost_count": "0",
        "cost_usd": "0.946000",
        "reserved_usd": "0.000000",
        "per_approved_usd": "0.946000",
        "cost_microusd": "946000",
        "reserved_microusd": "0",
        "per_approved_microusd": "946000",
    }
    assert [(row["campaign"], row["money"], row["per_approved_usd"]) for row in rows[1:]] == [
        ("fall", "real", "1.419001"),
        ("fall", "simulated", "5.000000"),
        ("(none)", "real", ""),
    ]
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\uff1d"])
def test_a_cell_of_a_csv_file_is_no_formula(tmp_path: Path, begin: str) -> None:
    book = Book((Entry(tags={"note": f"{begin}1+1"}),))

    invoked(ledger_of(tmp_path, book), "--by", "tag:note", "--output", tmp_path / "a.csv")

    assert (tmp_path / "a.csv").read_text("utf-8").splitlines()[1].startswith(f"'{begin}1+1,real,1,")


def test_a_parquet_file_has_decimals_and_integers(url: str, tmp_path: Path) -> None:
    path = tmp_path / "spending.parquet"

    reported = json.loads(invoked(url, "--by", "campaign,reviewer", "--output", path, "--json").stdout)

    table = pq.read_table(path)
    assert table.schema.field("cost_usd").type == pa.decimal128(18, 6)
    assert table.schema.field("cost_microusd").type == pa.int64()
    assert table.column_names[:3] == ["campaign", "reviewer", "money"]
    rows = table.to_pylist()
    assert [[row["campaign"], row["reviewer"]] for row in rows] == [
        line["key"] for line in reported["by"]["campaign,reviewer"]
    ]
    assert rows[0]["campaign"] == "=SUM(A1)"
    assert (rows[0]["cost_usd"], rows[0]["cost_microusd"]) == (Decimal("0.946000"), 946_000)
    assert [row["per_approved_usd"] for row in rows if row["reviewer"] == "(none)"] == [None, None]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--by", "campain"), "did you mean campaign?"),
        (("--by", "day", "--time-zone", "Mars"), "'Mars' is not a time zone"),
        (("--by", "day", "--by", "asset", "--output", "a.csv"), "give --by once"),
        (("--by", "day", "--output", "a.xlsx"), "ends neither in .csv nor in .parquet"),
        (("--by", "day", "--output", "/no/such/folder/a.csv"), "cannot be written: No such file or directory"),
        (("chargeback", "--month", "11/2026", "--tag", "x_team"), "is not a month: write it as 2026-11"),
    ],
)
def test_an_invalid_option_is_one_line_that_says_what_to_write(
    url: str, arguments: tuple[str, ...], reason: str
) -> None:
    result = invoked(url, *arguments)

    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.split())


def test_chargeback_reports_a_month_by_the_values_of_a_tag_and_its_total(url: str) -> None:
    asked = ("chargeback", "--month", "2026-11", "--tag", "x_team", "--time-zone", "Europe/Berlin")

    reported = json.loads(invoked(url, *asked, "--json").stdout)
    shown = invoked(url, *asked).stdout

    real, simulated = reported["real"], reported["simulated"]
    assert (reported["month"], reported["time_zone"], reported["tag"]) == ("2026-11", "Europe/Berlin", "x_team")
    assert [(line["key"], line["tasks"], line["videos"], line["approved"]) for line in real["lines"]] == [
        ("ads", 3, 4, 2),
        ("(none)", 1, 0, 0),
    ]
    assert [(line["cost_usd"], line["reserved_usd"], line["share"]) for line in real["lines"]] == [
        (1.892001, 0.0, 1.0),
        (0.0, 0.48246, 0.0),
    ]
    assert (real["total"]["cost_usd"], real["total"]["tasks"], real["total"]["per_approved_usd"]) == (
        1.892001,
        4,
        0.946001,
    )
    assert [(line["key"], line["cost_usd"], line["share"]) for line in simulated["lines"]] == [("ads", 5.0, 1.0)]
    assert (
        "total, real money: 4 tasks, 4 videos, 2 approved; spent $1.8920, reserved $0.4825, $0.9460 per approved"
        in shown
    )
    assert "the cost of 1 task is unknown" in shown
    assert "total, simulated money, not charged: 1 task, 1 video, 1 approved; spent $5.0000" in shown


def test_chargeback_by_team_uses_both_columns_and_writes_a_file_without_totals(url: str, tmp_path: Path) -> None:
    path = tmp_path / "november.csv"

    invoked(url, "chargeback", "--month", "2026-11", "--tag", "team", "--output", path)

    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["month"], row["time_zone"], row["tag"]) for row in rows} == {("2026-11", "UTC", "team")}
    assert [(row["value"], row["money"], row["cost_microusd"], row["share"]) for row in rows] == [
        ("ads", "real", "1419001", "0.600000"),
        ("film", "real", "946000", "0.400000"),
        ("(none)", "real", "0", "0.000000"),
        ("ads", "simulated", "5000000", "1.000000"),
    ]


def test_chargeback_says_that_no_task_has_the_tag_or_that_there_are_no_tasks(url: str) -> None:
    mistyped = invoked(url, "chargeback", "--month", "2026-11", "--tag", "x_tem").stdout
    empty = invoked(url, "chargeback", "--month", "2026-10", "--tag", "x_team").stdout
    reported = json.loads(invoked(url, "chargeback", "--month", "2026-10", "--tag", "x_team", "--json").stdout)

    assert mistyped.startswith("No task of 2026-11 has the tag x_tem: is its name correct?")
    assert empty == "The ledger has no tasks in 2026-10 (UTC).\n"
    assert (reported["real"]["lines"], reported["real"]["total"]["cost_usd"]) == ([], 0.0)


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_tables_fit_the_terminal(url: str, columns: int) -> None:
    pair = invoked(url, "--by", "campaign,model", columns=columns).stdout.split("Ended,")[0]
    charge = invoked(url, "chargeback", "--month", "2026-11", "--tag", "x_team", columns=columns).stdout

    lines = [line for line in (pair + charge).splitlines() if not line.startswith("total, ")]
    assert max(map(len, lines)) <= columns
    assert ("not shown at this width: unknown" in charge) == (columns == 80)
    assert "per approved" in pair
    assert "unknown" in charge


def test_names_and_values_are_no_markup(tmp_path: Path) -> None:
    book = Book((Entry(tags={"[/x]": "[bold]v[/bold]"}),))

    shown = invoked(ledger_of(tmp_path, book), "--by", "tag:[/x]").stdout

    assert "By tag:[/x]" in shown
    assert "[bold]v[/bold]" in shown
