"""Accurate reporting: a run's account in the ledger, partitions of several tables, slots in pools, and any output."""

import contextlib
import inspect
import io
import json
import re
import shlex
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import adlfs
import dagster as dg
import dagster_support
import pytest
from click.testing import CliRunner, Result
from dagster_support import table_of, written
from engine_support import PRICE, QUICK, caps, jobs_of, request_of, studio
from hypothesis import example, given
from hypothesis import strategies as st
from log_support import logger
from process_support import dead_owner
from rich.cells import cell_len
from simulator_support import ManualClock

from wan_assets import errors
from wan_assets.cli import cli, output_streams, signals
from wan_assets.cli.dagster_home import instance_in
from wan_assets.cli.display import show_json, show_table
from wan_assets.cli.failed_rows import show_failures
from wan_assets.cli.failures import Failure
from wan_assets.cli.pool import PROCESS_TAG, PoolSlot
from wan_assets.cli.run import TableRun
from wan_assets.cli.run_summary import Summary, show_summary
from wan_assets.cli.suggestions import Suggestions
from wan_assets.client import RunwareClient
from wan_assets.durations import duration_text
from wan_assets.engine import Limits, Pending, RunSnapshot
from wan_assets.engine.progress import Progress, progress_line
from wan_assets.engine.run_log import progress_logged
from wan_assets.errors import (
    ApiFault,
    ContentBlockedError,
    DagsterHomeError,
    PromptTableError,
    RequestRejectedError,
    RunwareError,
    StoreAddressError,
    TaskUnknownError,
    WanAssetsError,
    WrongAddressError,
)
from wan_assets.ledger import Ledger, Origin
from wan_assets.models.request import VideoRequest
from wan_assets.models.rules import closest_name
from wan_assets.orchestration.metadata.video import failure_of
from wan_assets.orchestration.partitions.sync import sync_table, table_id_of
from wan_assets.orchestration.runs.partitioning import partitioning_by_prompt
from wan_assets.orchestration.runs.run import POOL
from wan_assets.prompts import PromptRow, PromptSource, PromptTable
from wan_assets.settings import SettingsError, settings_from, sqlite_url
from wan_assets.simulator import Behaviour, LocalSimulator
from wan_assets.store import VideoStore
from wan_assets.store.object_store import opened

# What a run comes to.


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    with contextlib.closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", caps())) as ledger:
        yield ledger


def claimed_by(book: Ledger, run_id: str, prompt: str) -> str:
    claim = book.claim(request_of(prompt), Origin(run_id), f"owner of {run_id}", simulated=True)
    return claim.task.task_uuid


def test_a_cost_is_reported_by_the_run_that_settled_it_and_by_no_other(book: Ledger) -> None:
    task_uuid = claimed_by(book, "first", "A kite")
    book.mark_submitted(task_uuid, "first")
    before = book.run_account("first")
    book.settle(task_uuid, [], [PRICE], "second")

    first, second = book.run_account("first"), book.run_account("second")

    assert (before.submitted, before.in_flight, before.reserved_microusd, before.cost_microusd) == (1, 1, PRICE, 0)
    assert (first.submitted, first.cost_microusd) == (1, 0)
    assert (second.submitted, second.cost_microusd) == (0, PRICE)
    assert first.cost_microusd + second.cost_microusd == book.totals().simulated.cost_microusd


def test_what_the_rows_of_a_run_have_open_is_told_whichever_run_submitted_it(book: Ledger) -> None:
    book.mark_submitted(claimed_by(book, "first", "A kite"), "first")
    claimed_by(book, "first", "A boat")
    prints = [request_of(prompt).fingerprint() for prompt in ("A kite", "A boat")]

    account = book.run_account("second", prints)

    assert (account.submitted, account.in_flight, account.unconfirmed) == (0, 1, 1)
    assert (account.reserved_microusd, account.cost_microusd) == (2 * PRICE, 0)


def test_what_the_api_refused_counts_as_no_submission(book: Ledger) -> None:
    book.release(claimed_by(book, "run", "A kite"), ApiFault("invalidApiKey", "no"))

    account = book.run_account("run")

    assert (account.submitted, account.in_flight, account.reserved_microusd, account.open_tasks) == (0, 0, 0, ())


def test_an_unknown_cost_is_counted_and_stays_reserved(book: Ledger) -> None:
    task_uuid = claimed_by(book, "run", "A kite")
    book.mark_submitted(task_uuid, "run")
    book.mark_failed(task_uuid, ApiFault("providerError", "no"))

    account = book.run_account("run")

    assert (account.unknown_costs, account.reserved_microusd, account.in_flight) == (1, PRICE, 0)


@pytest.mark.slow
def test_the_engine_books_who_submitted_and_settled_each_task(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        made.run(jobs_of(3), origin=Origin("this-run"))

        account = made.ledger().run_account("this-run")

    assert (account.submitted, account.stored, account.cost_microusd) == (3, 3, 3 * PRICE)


# Rows that a run waits for.


@pytest.mark.slow
def test_a_lost_task_is_named_while_it_is_waited_for(tmp_path: Path) -> None:
    reported: list[RunSnapshot] = []
    limits = Limits(max_wait_s=3.0)
    with studio(tmp_path, faults={"lost_task": 1.0}) as made:
        made.run(jobs_of(1), limits=limits, on_progress=reported.append, http_config=QUICK)

    seen = {one for now in reported for one in now.pending if one.is_unknown}
    assert {one.partition for one in seen} == {"p0"}
    assert all(one.until and 2.9 <= one.until - one.since <= 3.1 for one in seen)


NOON = 1_767_268_800.0
LOST = Pending("task-1", "kite", "-", NOON, NOON + 1200, is_unknown=True)


def waiting(*pending: Pending, after_s: float, in_flight: int = 0) -> Progress:
    snapshot = RunSnapshot(in_flight or len(pending), pending=pending, at=NOON + after_s)
    return Progress(10, snapshot=snapshot)


def test_progress_names_the_row_its_task_since_when_and_until_when() -> None:
    said = progress_line(waiting(LOST, replace(LOST, partition="boat", is_unknown=False), after_s=60, in_flight=9))

    named = "waiting for kite since 12:00:00 until 12:20:00 UTC (task task-1, unknown to the API), boat since"
    assert named in said
    assert "and 7 more" in said


def test_rows_that_were_sent_just_now_are_not_named() -> None:
    assert "waiting for" not in progress_line(waiting(LOST, after_s=9))


def test_the_log_names_each_task_that_the_api_does_not_know_once() -> None:
    log, said = logger()
    with progress_logged(log, lambda _: None, ManualClock()) as on_progress:
        for second in range(30):
            on_progress(waiting(LOST, after_s=second))

    found = [line for line in said if "does not know" in line]
    assert found == ["kite: the API does not know task task-1, awaited since 12:00:00; it is polled until 12:20:00 UTC"]


def test_a_row_whose_task_another_process_works_on_is_named(tmp_path: Path) -> None:
    reported: list[RunSnapshot] = []
    (job,) = jobs_of(1)
    with studio(tmp_path) as made, contextlib.closing(made.ledger()) as book:
        claim = book.claim(job.request, Origin("other", partition="p0"), "elsewhere.1.x", simulated=True)

        def see(now: RunSnapshot) -> None:
            reported.append(now)
            if now.pending:
                book.release_leases("elsewhere.1.x")

        made.run([job], on_progress=see)

    seen = {(one.partition, one.task_uuid, one.until) for now in reported for one in now.pending}
    assert ("p0", claim.task.task_uuid, None) in seen
    one = Pending("task-1", "kite", "-", NOON, None)
    assert "kite since 12:00:00 UTC (another process works on task task-1)" in progress_line(waiting(one, after_s=60))


# Several tables in one Dagster home.


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def present(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.get_dynamic_partitions("videos"))


def test_a_table_retires_its_own_rows_and_no_row_of_another_table(instance: dg.DagsterInstance) -> None:
    sync_table(instance, "videos", "one", ["a", "b", "both"])
    sync_table(instance, "videos", "two", ["c", "both"])

    changes = sync_table(instance, "videos", "one", ["a"])

    assert changes.retired == ("b",)
    assert present(instance) == {"a", "c", "both"}


def test_partitions_that_no_table_has_added_stay(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("videos", ["older"])
    sync_table(instance, "videos", "one", ["a", "older"])

    sync_table(instance, "videos", "one", ["a"])

    assert present(instance) == {"a", "older"}


def test_a_row_that_comes_back_is_added_again(instance: dg.DagsterInstance) -> None:
    for rows in (["a", "b"], ["a"], ["a", "b"]):
        sync_table(instance, "videos", "one", rows)

    assert present(instance) == {"a", "b"}


def test_the_asset_of_one_table_retires_no_row_that_the_command_made_of_another(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    path = written(tmp_path, table_of("A kite"))
    sync_table(instance, "videos", table_id_of("elsewhere.csv") or "", ["z"])
    instance.add_dynamic_partitions("videos", ["gone"])
    partitioning = partitioning_by_prompt("videos", path)

    partitioning.sync(instance, partitioning.read(path))

    assert present(instance) == {"a", "z"}


# Dagster's home.


@pytest.mark.slow
def test_a_damaged_home_says_which_files_to_move_aside_and_works_afterwards(tmp_path: Path) -> None:
    home = tmp_path / "da gster"
    with instance_in(home) as instance:
        assert instance.get_runs_count() == 0
    index = home / "history" / "runs" / "index.db"
    with contextlib.closing(sqlite3.connect(index)) as database, database:
        database.execute("INSERT INTO alembic_version VALUES ('5771160a95ad')")
    index.with_suffix(".touched").touch()
    (home / "history" / "runs.db").write_bytes(b"this is no database, and longer than a header of one" * 40)

    with pytest.raises(DagsterHomeError) as failure, instance_in(home):
        pass

    assert f"mv '{home / 'history'}' '{home / 'history'}.broken'" in str(failure.value)
    assert str(index) in str(failure.value)
    assert "ledger" in failure.value.hint
    (home / "history").rename(home / "history.broken")
    with instance_in(home) as instance:
        assert instance.get_runs_count() == 0


# Slots in a pool.


@contextlib.contextmanager
def slot(folder: Path, instance: dg.DagsterInstance, run_id: str = "mine") -> Iterator[tuple[PoolSlot, list[str]]]:
    said: list[str] = []
    with contextlib.closing(Ledger(f"sqlite:///{folder / 'ledger.db'}")) as book:
        yield PoolSlot(instance, book, run_id, "videos", said.append), said


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with instance_in(tmp_path / "dagster") as instance:
        instance.event_log_storage.set_concurrency_slots(POOL, 1)
        yield instance


def run_in(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, **tags: str) -> str:
    """A run that holds the pool's slot."""
    job = dg.define_asset_job("nothing")
    run = instance.create_run_for_job(dg.Definitions(jobs=[job]).resolve_job_def("nothing"), status=status, tags=tags)
    held = instance.event_log_storage.claim_concurrency_slot(POOL, run.run_id, "videos", 0)
    assert held.is_claimed
    return run.run_id


def holders(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.event_log_storage.get_concurrency_info(POOL).active_run_ids)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ended", "dead process", "lost in the ledger"])
def test_a_slot_that_a_dead_run_left_behind_is_freed(how: str, tmp_path: Path, limited: dg.DagsterInstance) -> None:
    status = dg.DagsterRunStatus.SUCCESS if how == "ended" else dg.DagsterRunStatus.STARTED
    tags = {PROCESS_TAG: dead_owner()} if how == "dead process" else {}
    left_by = run_in(limited, status, **tags)

    with slot(tmp_path, limited) as (mine, said):
        if how == "lost in the ledger":
            mine.ledger.begin(left_by, dead_owner())
        with mine.held(signals.StopRequest()):
            held = holders(limited)

    assert held == {"mine"}
    assert said[-1] == f"freed the slot of pool {POOL} of run {left_by}, which has ended"
    assert holders(limited) == set()
    assert limited.get_run_by_id(left_by).is_finished


@pytest.mark.slow
def test_a_wait_for_a_slot_says_who_holds_it_and_ends_at_a_signal(tmp_path: Path, limited: dg.DagsterInstance) -> None:
    holder = run_in(limited, dg.DagsterRunStatus.STARTED)
    stop = signals.StopRequest()

    with slot(tmp_path, limited) as (mine, said):
        mine.note = lambda text: (said.append(text), stop.take(signals.signal.SIGTERM))
        with pytest.raises(signals.Interrupted), mine.held(stop):
            raise AssertionError("the slot was not free")

    waited_for = f"waiting for a slot of pool {POOL} (limit 1), held by run {holder} (STARTED)"
    assert said == [f"{waited_for}. Ctrl-C stops waiting; nothing was submitted yet."]
    info = limited.event_log_storage.get_concurrency_info(POOL)
    assert (holders(limited), [step.run_id for step in info.pending_steps if step.run_id == "mine"]) == ({holder}, [])


@pytest.mark.slow
def test_a_slot_that_comes_free_is_taken(tmp_path: Path, limited: dg.DagsterInstance) -> None:
    holder = run_in(limited, dg.DagsterRunStatus.STARTED)
    with slot(tmp_path, limited) as (mine, said):
        mine.note = lambda text: (
            said.append(text),
            limited.event_log_storage.free_concurrency_slots_for_run(holder),
        )

        with mine.held(signals.StopRequest()):
            assert holders(limited) == {"mine"}


# Work in a thread, and signals.


def test_work_that_cannot_be_interrupted_is_left_behind_after_a_while() -> None:
    reported, gate = [], threading.Event()

    def work(stop: signals.StopRequest) -> None:
        stop.take(signals.signal.SIGINT)
        gate.wait()

    ended = signals.run_supervised(work, on_signal=reported.append, stop_timeout_s=0.3)
    is_left = signals.has_abandoned_work()
    gate.set()

    assert (ended.is_abandoned, ended.signal, reported, is_left) == (
        True,
        signals.signal.SIGINT,
        [signals.signal.SIGINT],
        True,
    )


def test_the_second_signal_ends_at_once() -> None:
    gate = threading.Event()

    def work(stop: signals.StopRequest) -> None:
        stop.take(signals.signal.SIGTERM)
        stop.take(signals.signal.SIGINT)
        gate.wait()

    began = time.monotonic()
    ended = signals.run_supervised(work, on_signal=lambda _: None, stop_timeout_s=600)
    took_s = time.monotonic() - began
    gate.set()

    assert (ended.is_abandoned, ended.signal) == (True, signals.signal.SIGTERM)
    assert took_s < 60


# Output.

ENCODINGS = ("ascii", "latin-1", "cp1252", "koi8-r", "shift_jis", "utf-8", "utf-16")


@given(st.text(st.characters(), max_size=60), st.sampled_from(ENCODINGS))
def test_any_text_is_written_in_any_encoding_and_json_stays_json(text: str, encoding: str) -> None:
    file = io.BytesIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(file, encoding=encoding, errors="strict")):
        output_streams.prepare()
        show_json({"said": text})
        sys.stdout.write(text)
        sys.stdout.flush()
        written_text = file.getvalue().decode(encoding)

    found, _ = json.JSONDecoder().raw_decode(written_text)
    assert found == {"said": text}


@given(
    st.lists(st.tuples(st.text(max_size=50), st.text(max_size=80), st.integers(0, 10**9)), min_size=1, max_size=4),
    st.integers(30, 160),
)
def test_a_table_is_never_wider_than_the_terminal(rows: list[tuple[str, str, int]], columns: int) -> None:
    out = io.StringIO()
    cells = [(name, prompt, f"${number}") for name, prompt, number in rows]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setenv("COLUMNS", str(columns))
        show_table("Videos", ("prompt_id", "prompt", "cost"), cells, right=("cost",), flexible=("prompt",))

    assert max(map(cell_len, out.getvalue().splitlines())) <= columns
    assert all(cost in out.getvalue() for _, _, cost in cells)


@pytest.mark.parametrize(("columns", "shown"), [(47, "harbour (take 2) "), (46, "harbour (take …")])
def test_a_flexible_column_is_cut_only_if_its_neighbours_leave_no_room(
    columns: int, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    cells = [("2026-11-30 10:27", "harbour (take 2)", "page")]
    show_table("Decisions", ("decided (UTC)", "video", "source"), cells, flexible=("video", "source"))

    assert shown in capsys.readouterr().out


def test_no_color_means_no_escape_sequence_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    shown = []
    for no_color in ("", "1"):
        monkeypatch.setenv("NO_COLOR", no_color)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            show_table("Videos", ("row",), [("1",)])
        shown.append("\x1b" in out.getvalue())

    assert shown == [True, False]


def test_a_command_that_cannot_start_says_so_in_json(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["materialize", str(tmp_path / "none.csv"), "--json"], env={"RUNWARE_API_KEY": ""})

    reported = json.loads(result.stdout)
    assert result.exit_code == 2
    assert (reported["error"]["class"], reported["simulated"], reported["submitted"], reported["rows"]) == (
        "PromptTableError",
        True,
        0,
        0,
    )


@pytest.mark.parametrize("arguments", [["plan", "none.csv"], ["plan"], ["ledger", "--url", "sqlite:///none.db"]])
def test_every_error_of_a_reporting_command_is_an_object_with_json(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli, [*arguments, "--json"])

    assert result.exit_code == 2
    assert set(json.loads(result.stdout)["error"]) == {"class", "code", "message", "hint"}


def test_plan_does_not_advise_to_run_plan_for_a_list_of_problems() -> None:
    result = CliRunner().invoke(cli, ["plan", "none.csv"])

    assert "lists every problem" not in result.stderr
    assert "Correct the table or its path" in result.stderr


def test_a_failure_names_its_code_once_and_no_code_where_there_is_none() -> None:
    fault = ApiFault("taskLost", "taskLost: the API does not know the task")
    said = failure_of([("a", PromptTableError("has no row")), ("b", TaskUnknownError(fault))], 2).description

    assert "a: PromptTableError: has no row. Fix the table" in said
    assert "b: TaskUnknownError [taskLost]: the API does not know the task. " in said
    assert str(TaskUnknownError(fault)) == "taskLost: the API does not know the task"


# Suggestions.


@pytest.mark.parametrize(
    ("written_as", "meant"),
    [
        ("hieght", "height"),
        ("widht", "width"),
        ("sedd", "seed"),
        ("prmopt", "positive_prompt"),
        ("negative", "negative_prompt"),
        ("seconds", "duration"),
        ("saftey", "safety"),
    ],
)
def test_a_slip_in_a_column_is_understood(written_as: str, meant: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"positive_prompt,{written_as}\nA kite,5\n" if meant != "positive_prompt" else "")
    if meant == "positive_prompt":
        (tmp_path / "t.csv").write_text(f"{written_as},duration\nA kite,5\n")

    found = PromptTable.load(tmp_path / "t.csv").problems

    assert any(meant in problem.fix for problem in found), [problem.fix for problem in found]


@pytest.mark.parametrize(
    ("written_as", "meant"), [("lenght", "duration"), ("length", "duration"), ("formt", "output_format")]
)
def test_a_name_that_is_often_used_for_a_parameter_is_understood_where_no_other_columns_may_be(
    written_as: str, meant: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text(f"positive_prompt,{written_as}\nA kite,5\n")

    found = PromptTable.load(PromptSource(tmp_path / "t.csv", extra="refuse")).problems

    assert any(meant in problem.fix for problem in found), [problem.fix for problem in found]


def test_a_name_that_is_close_to_nothing_gets_no_suggestion() -> None:
    assert closest_name("score", ["source", "seed"]) is None
    assert closest_name("", ["seed"]) is None


@given(st.sampled_from(sorted(VideoRequest.model_fields)), st.integers(0, 30))
def test_two_letters_that_changed_places_are_understood(name: str, at: int) -> None:
    at %= len(name) - 1
    slipped = name[:at] + name[at + 1] + name[at] + name[at + 2 :]

    assert closest_name(slipped, VideoRequest.model_fields) == name


# Addresses that cannot be used.


@pytest.mark.parametrize("scheme", ["ftp", "file", "ws", "unix"])
def test_an_address_that_is_not_of_http_is_refused_at_once(scheme: str) -> None:
    with pytest.raises(WrongAddressError, match=f"begins with {scheme}://"):
        RunwareClient("key", f"{scheme}://api.example.com/v1")


@pytest.mark.parametrize(
    "proxy", ["socks://u:secret@h:1080", "socks5h://h:1", "ftp://h:1", "http://", "http://h:99999"]
)
@pytest.mark.parametrize("variable", ["ALL_PROXY", "HTTPS_PROXY"])
def test_a_proxy_that_cannot_be_used_is_refused_at_once(
    proxy: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, proxy)

    with pytest.raises(SettingsError, match=variable) as failure:
        RunwareClient("key", "https://api.example.com/v1")

    assert "secret" not in str(failure.value)
    RunwareClient("key", "http://127.0.0.1:1/v1")


@pytest.mark.parametrize("letter", ["[", "]", "*"])
def test_a_prefix_that_object_stores_take_for_a_pattern_is_refused_with_the_reason(letter: str) -> None:
    with pytest.raises(Exception, match="read as a pattern"):
        opened(f"s3://bucket/a{letter}b")


def test_a_local_store_may_have_brackets_in_its_name(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        bracketed = replace(made, place=VideoStore(tmp_path / "st[1]*"))
        first, second = bracketed.run(jobs_of(1)), bracketed.run(jobs_of(1))

    assert ([outcome.is_reused for outcome in first], [outcome.is_reused for outcome in second]) == ([False], [True])


# Reasons of a run that could not go on.


def test_an_error_of_ours_in_a_run_keeps_its_class_and_advice(tmp_path: Path) -> None:
    with dagster_support.studio(tmp_path) as made:
        made.shown = {"public_base_url": "ftp://nowhere"}
        result = made.run(written(tmp_path, table_of("A kite")), only="videos")

    reasons: list[Any] = [
        event.step_failure_data.user_failure_data.description
        for event in result.filter_events(lambda event: event.is_step_failure)
    ]
    assert [reason.partition(":")[0] for reason in reasons] == ["SettingsError"]


# Commands that output suggests, and the places that they name.


UNSET = dict.fromkeys(
    ("RUNWARE_API_KEY", "RUNWARE_BASE_URL", "WAN_ASSETS_STORE", "WAN_ASSETS_LEDGER", "DAGSTER_HOME", "COLUMNS")
)
NO_TASK = "0" * 8 + "-0000-4000-8000-" + "0" * 12


def invoked(*arguments: object, **environment: str) -> Result:
    """What the command says with nothing configured but this."""
    return CliRunner().invoke(cli, [*map(str, arguments)], env={**UNSET, **environment})


@pytest.fixture
def deviating(tmp_path: Path) -> Iterator[tuple[str, dict[str, str], Path]]:
    """A table's address, an API that rounds sizes, and a folder for all that a run makes, whose name needs quotes."""
    (tmp_path / "t.csv").write_text("prompt_id,positive_prompt,width,height\nkite,A red kite,854,480\n")
    with LocalSimulator(tmp_path / "api", Behaviour(latency_s=0.1, faults={"rounded_size": 1.0})) as api:
        environment = {"RUNWARE_API_KEY": "some-key-1", "RUNWARE_BASE_URL": api.base_url}
        yield str(tmp_path / "t.csv"), environment, tmp_path / "all of it"


@pytest.mark.slow
def test_a_command_that_adopts_names_the_ledger_and_the_store_of_the_run(
    deviating: tuple[str, dict[str, str], Path],
) -> None:
    table, environment, out = deviating
    options = f"--url '{sqlite_url(out / 'ledger.db')}' --store '{out / 'videos'}'"

    said = invoked("materialize", table, "--data-dir", out, "--on-mismatch", "fail", COLUMNS="400", **environment)
    adopt = re.search(r"`wan-assets (ledger adopt [0-9a-f-]{36} .*?)`", said.stdout)
    adopted = invoked(*shlex.split(adopt[1] if adopt else ""))

    assert options in said.stdout
    assert options in said.stderr
    assert "ledger adopt TASK`" not in said.output
    assert "1 task is adopted" in adopted.stdout, adopted.output


@pytest.mark.slow
def test_a_task_to_be_stored_is_not_told_as_in_flight(deviating: tuple[str, dict[str, str], Path]) -> None:
    table, environment, out = deviating
    arguments = ("materialize", table, "--data-dir", out, "--on-mismatch", "fail")

    said = invoked(*arguments, **environment).stdout
    reported = json.loads(invoked(*arguments, "--json", **environment).stdout)

    assert "1 to be stored (results are known)" in said
    assert "To store known results and submit nothing:" in said
    assert "in flight" not in said
    assert (reported["in_flight"], reported["to_be_stored"]) == (0, 1)
    assert "--url" in reported["failures"][0]["hint"]


def test_rows_that_a_signal_keeps_from_capacity_are_not_told_as_in_flight(tmp_path: Path) -> None:
    run = TableRun(settings_from({}, tmp_path), has_started=True)
    with contextlib.closing(Ledger(run.settings.ledger, caps())) as ledger:
        claimed_by(ledger, run.run_id, "A kite")
    shown = []
    for number in (None, signal.SIGTERM):
        run.signal = number
        with contextlib.redirect_stdout(io.StringIO()) as out:
            show_summary(Summary.of(run), [])
        shown.append(out.getvalue())

    assert "1 reserved (submission unconfirmed)" in shown[0]
    assert "1 reserved (waiting for capacity, or submission unconfirmed)" in shown[1]
    assert all("in flight" not in said for said in shown)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`wan-assets ledger`", "`wan-assets ledger --url 'sqlite:////a b/l.db'`"),
        ("`wan-assets ledger resume` and", "`wan-assets ledger resume --url 'sqlite:////a b/l.db'` and"),
        ("`wan-assets ledger adopt --all`", "`wan-assets ledger adopt --all --url 'sqlite:////a b/l.db' --store /s`"),
        ("`wan-assets ledger recover`", "`wan-assets ledger recover --url 'sqlite:////a b/l.db' --store /s`"),
        ("`wan-assets ledger --url sqlite:///x`", "`wan-assets ledger --url sqlite:///x`"),
        ("`wan-assets plan FILE`", "`wan-assets plan FILE`"),
        ("wan-assets ledger", "wan-assets ledger"),
    ],
)
def test_any_suggested_command_of_the_ledger_is_completed_once(text: str, expected: str) -> None:
    places = Suggestions("sqlite:////a b/l.db", "/s")

    assert places.completed(text) == expected
    assert places.completed(expected) == expected


def test_no_suggested_command_holds_a_password() -> None:
    places = Suggestions("postgresql+psycopg://me:s3cret@host/db", "/s")

    assert places.completed("`wan-assets ledger adopt T`") == "`wan-assets ledger adopt T --store /s`"


def test_advice_of_a_command_of_the_ledger_names_the_ledger_that_it_was_given(book: Ledger, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    book.mark_submitted(claimed_by(book, "run", "A kite"), "run")

    said = invoked("ledger", "settle", NO_TASK, "--cost", "0", "--url", url)
    paused = invoked("ledger", "--url", url, "pause")

    assert said.exit_code == 2
    assert f"`wan-assets ledger --url {url}` lists" in said.stderr
    assert f"`wan-assets ledger resume --url {url}`" in paused.stdout


# What a ledger refuses, and what to do then.


def test_a_refused_settlement_advises_about_tasks_and_not_about_the_url(book: Ledger, tmp_path: Path) -> None:
    url, running = f"sqlite:///{tmp_path / 'ledger.db'}", claimed_by(book, "run", "A kite")
    book.mark_submitted(running, "run")

    for task, why in (
        (running, "its cost cannot be settled"),
        (NO_TASK, "is not in the ledger"),
        ("x", "not in the ledger"),
    ):
        said = invoked("ledger", "settle", task, "--cost", "0", "--url", url)
        assert said.exit_code == 2
        assert why in said.stderr
        assert "tasks that can be settled" in said.stderr
        assert "replaced" not in said.stderr
        assert "free space" not in said.stderr


@pytest.mark.parametrize("url", ["nosuch://x", "mysql://host/db", "sqlite:x", "postgres://host/db", "ledger.db"])
def test_a_wrong_url_of_a_ledger_advises_about_the_url(url: str) -> None:
    said = invoked("ledger", "--url", url)

    assert said.exit_code == 2
    assert "Correct the URL in WAN_ASSETS_LEDGER, --url" in said.stderr
    assert "free space" not in said.stderr


READING = (
    ["review"],
    ["ledger"],
    ["ledger", "reconcile"],
    ["ledger", "recover"],
    ["ledger", "trace", "x"],
    ["ledger", "settle", "x", "--cost", "0"],
    ["ledger", "adopt", "--all"],
    ["ledger", "pause"],
    ["ledger", "resume"],
    ["gallery"],
    ["export", "--format", "parquet"],
)


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
@pytest.mark.parametrize("kind", ["no folder", "empty file", "no table"])
def test_a_command_that_reads_a_ledger_creates_none(tmp_path: Path, arguments: list[str], kind: str) -> None:
    file = tmp_path / "books" / "ledger.db"
    if kind != "no folder":
        file.parent.mkdir()
        file.touch()
    if kind == "no table":
        with contextlib.closing(sqlite3.connect(file)) as database:
            database.execute("CREATE TABLE t (x)")

    with contextlib.chdir(tmp_path):
        said = invoked(*arguments, WAN_ASSETS_LEDGER=f"sqlite:///{file}")

    assert said.exit_code == 2
    assert f"there is no ledger at sqlite:///{file}" in said.stderr
    assert "Name the ledger of your runs" in said.stderr
    assert file.parent.exists() == (kind != "no folder")
    if kind == "empty file":
        assert not file.stat().st_size
    if kind == "no table":
        with contextlib.closing(sqlite3.connect(file)) as database:
            assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]


# Places that --out replaces.


@pytest.mark.parametrize("command", ["materialize", "gallery"])
def test_out_tells_that_it_replaces_the_ledger_and_store_of_the_environment(tmp_path: Path, command: str) -> None:
    table, out = tmp_path / "none.csv", tmp_path / "out"
    given = {"WAN_ASSETS_LEDGER": "postgresql+psycopg://me:s3cret@127.0.0.1/db", "WAN_ASSETS_STORE": "elsewhere"}
    same = {"WAN_ASSETS_LEDGER": f"sqlite:///{out}/../out/ledger.db", "WAN_ASSETS_STORE": f"{out}/videos/"}

    said = invoked(command, table, "--data-dir", out, **given).stderr

    (line,) = [line for line in said.splitlines() if line.startswith("--data-dir")]
    assert f"the ledger is {sqlite_url(out / 'ledger.db')} and the store is {out / 'videos'}" in line
    assert "WAN_ASSETS_LEDGER, WAN_ASSETS_STORE are not used" in line
    assert "s3cret" not in said
    for other in (same, {}):
        assert "--data-dir" not in invoked(command, table, "--data-dir", out, **other).stderr
    assert "--data-dir" not in invoked(command, table, **given).stderr


# Hints.


def test_a_hint_names_a_parameter_only_where_the_api_named_one() -> None:
    named, unnamed = (RequestRejectedError(ApiFault("code", "No.", parameter)) for parameter in ("width", None))

    assert named.hint.startswith("Fix the parameter width in the table.")
    assert unnamed.hint.startswith("Fix the row as the message says.")
    assert "arameter" not in unnamed.hint


@pytest.mark.parametrize("kind", [RequestRejectedError, ContentBlockedError])
def test_a_refusal_says_how_the_same_request_is_sent_again(kind: type[RunwareError]) -> None:
    assert "`wan-assets materialize FILE --resend-refused`" in kind(ApiFault("code", "No.")).hint


def test_advice_with_an_option_of_python_has_a_command_beside_it() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, WanAssetsError)]
    options = [kind.hint for kind in kinds if re.search("resubmit|regenerate|resend_refused", kind.hint)]

    assert len(options) >= 5
    assert all("`wan-assets " in hint for hint in options)


def test_tasks_of_unknown_cost_are_told_with_the_commands_that_settle_them(book: Ledger, tmp_path: Path) -> None:
    run, url = TableRun(settings_from({}, tmp_path), has_started=True), f"sqlite:///{tmp_path / 'ledger.db'}"
    run = replace(run, settings=replace(run.settings, api_key="key", ledger=url))
    claim = book.claim(request_of("A kite"), Origin(run.run_id), "owner", simulated=False)
    book.mark_submitted(claim.task.task_uuid, run.run_id)
    book.mark_failed(claim.task.task_uuid, ApiFault("providerError", "no"))
    with contextlib.redirect_stdout(io.StringIO()) as out:
        show_summary(Summary.of(run), [])

    for said in (out.getvalue(), invoked("ledger", "--url", url).stdout):
        assert f"`wan-assets ledger reconcile --release --url {url}`" in said
        assert f"`wan-assets ledger settle TASK --cost USD --url {url}`" in said


def failures_shown(*messages: str) -> str:
    table = [PromptRow(at, f"row{at}", request_of(), {}) for at in range(len(messages))]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        show_failures([(row, Failure("E", said, "Mend.", "c")) for row, said in zip(table, messages, strict=True)])
    return out.getvalue()


def test_messages_of_one_kind_of_failure_are_shown_where_they_differ() -> None:
    said = failures_shown("first", "second", "first", "third", "fourth", "fifth")

    assert "messages    5 different ones" in said
    assert [line.strip() for line in said.splitlines()[3:7]] == [
        "2 rows: first",
        "1 row: second",
        "1 row: third",
        "and 2 more messages, which --json lists",
    ]
    assert said.count("what to do") == 1


def test_messages_that_differ_in_their_task_alone_are_shown_once() -> None:
    said = failures_shown(*(f"no video [task {NO_TASK[:-1]}{at}]" for at in range(4)))

    assert "message     no video" in said
    assert "different" not in said


# Whole words and whole reasons.

WORD = st.text("abcdefgh'", min_size=1, max_size=18)


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.text("kite", max_size=8), st.lists(WORD, max_size=12).map(" ".join))), st.integers(30, 140)
)
@example([("kite", "use 'seventeen-letter' or less")], 36)
@example([("kite", "the input_format_of_it is none")], 37)
def test_a_folded_column_breaks_no_word_and_loses_none(rows: list[tuple[str, str]], columns: int) -> None:
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.setenv("COLUMNS", str(columns))
        cells = [(name, "x" * 12, said) for name, said in rows]
        show_table("T", ("row", "task", "now"), cells[:50], flexible=("now",), folded=("now",))

    shown = out.getvalue().split()
    assert all(word in shown for _, said in rows[:50] for word in said.split())


@pytest.mark.slow
def test_recovery_tells_whole_reasons_in_a_narrow_terminal(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with contextlib.closing(Ledger(url, caps())) as ledger, LocalSimulator(tmp_path / "api") as api:
        claim = ledger.claim(request_of("A kite"), Origin("run"), "", simulated=True)
        ledger.mark_submitted(claim.task.task_uuid, "run")
        ledger.release_leases("")
        environment = {"RUNWARE_API_KEY": "some-key-1", "RUNWARE_BASE_URL": api.base_url, "COLUMNS": "80"}
        store = tmp_path / "videos"
        said = invoked("ledger", "recover", "--wait", "0.1", "--url", url, "--store", store, **environment)

    assert said.exit_code == 1, said.output
    assert "…" not in said.stdout
    assert "the API does not know the task" in " ".join(said.stdout.split())
    assert f"`wan-assets ledger settle TASK --cost USD --url {url}`" in said.stdout


@pytest.mark.parametrize("scheme", ["azure", "wasb", "wasbs", "nosuch"])
def test_an_unsupported_scheme_of_a_store_says_what_is_supported(scheme: str) -> None:
    with pytest.raises(StoreAddressError) as refused:
        VideoStore(f"{scheme}://container/folder")

    assert "s3://, gs:// and az:// with the package's extra [s3], [gs] or [az]" in str(refused.value)
    assert ("write az://" in str(refused.value)) == (scheme != "nosuch")


def test_a_store_in_azure_without_an_account_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_CONNECTION_STRING"):
        monkeypatch.delenv(name, raising=False)
    adlfs.AzureBlobFileSystem.clear_instance_cache()

    with pytest.raises(StoreAddressError, match="set AZURE_STORAGE_ACCOUNT_NAME or AZURE_STORAGE_CONNECTION_STRING"):
        VideoStore("az://container/folder").make_ready()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (1.5, "1.5 s"),
        (59.4, "59.4 s"),
        (59.7, "1 min"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (300, "5 min"),
        (3_599.9, "1 h"),
        (3_660, "1 h 1 min"),
        (86_399, "1 d"),
        (90_000, "1 d 1 h"),
        (float("inf"), "an unlimited time"),
    ],
)
def test_a_length_of_time_is_told_in_its_two_largest_units(seconds: float, said: str) -> None:
    assert duration_text(seconds) == said


@given(st.floats(0, 1e9))
def test_a_length_of_time_is_off_by_less_than_a_sixtieth(seconds: float) -> None:
    units = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
    parts = duration_text(seconds).replace(",", "").split()
    reported = sum(float(number) * units[unit] for number, unit in zip(parts[::2], parts[1::2], strict=True))

    assert abs(reported - seconds) <= max(0.051, seconds / 48)


def test_lost_tasks_are_told_with_the_commands_that_give_them_up(book: Ledger, tmp_path: Path) -> None:
    url, task = f"sqlite:///{tmp_path / 'ledger.db'}", claimed_by(book, "run", "A kite")
    book.mark_submitted(task, "run")
    book.mark_lost(task, ApiFault("taskLost", "no"))

    said = invoked("ledger", "--url", url).stdout

    assert f"`wan-assets ledger settle TASK --cost USD --url {url}` gives up the task" in said
    assert f"`wan-assets ledger reconcile --url {url}`" in said
