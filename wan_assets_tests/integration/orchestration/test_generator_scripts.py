"""Videos generated without Dagster: in scripts and notebooks, with what they may break."""

import asyncio
import contextlib
import os
import re
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from dagster_support import Studio, studio
from engine_support import rows_of
from generator_support import generator_of, one_refused, requests_of
from simulator_support import ManualClock

import wan_assets
from wan_assets import LedgerResource, PromptSource, PromptTable, SimulatedRunwareResource, VideoGenerator, VideoRequest
from wan_assets.errors import PromptTableError, StoreError
from wan_assets.settings import SettingsError, sqlite_url

README = Path(wan_assets.__file__).parents[1] / "README.md"
THREE = requests_of("A red kite", "A blue boat", "A green hill")
PRICED = requests_of("A red kite", "A blue boat", "A green hill", resolution="720p")
"""Of a resolution with a published price, which is reserved."""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Studio]:
    with studio(tmp_path) as running:
        yield running


def wait_until(condition: Callable[[], Any]) -> None:
    while not condition():
        threading.Event().wait(0.01)


def quiet(generator: VideoGenerator, requests: Any, **options: Any) -> pd.DataFrame:
    return generator.generate(requests=requests, progress=False, **options)


@pytest.mark.slow
def test_variants_of_a_frame_have_the_index_of_their_row(made: Studio) -> None:
    frame = pd.DataFrame(THREE[:2], index=[30, 10])

    found = quiet(generator_of(made), PromptSource(frame, seeds=2))

    assert list(found.index) == [30, 30, 10, 10]
    assert list(found.prompt_id) == ["a~seed=1", "a~seed=2", "b~seed=1", "b~seed=2"]
    assert list(frame.join(found[["path"]]).prompt_id) == ["a", "a", "b", "b"]


@pytest.mark.slow
def test_every_form_of_requests_gives_a_frame_in_their_order_and_pays_once_for_each_video(made: Studio) -> None:
    generator, (first, *_) = generator_of(made), THREE
    frame = pd.DataFrame(THREE, index=[30, 10, 20])
    path = made.folder / "prompts.csv"
    frame.to_csv(path, index=False)
    plain = {name: value for name, value in first.items() if name != "prompt_id"}

    found = quiet(generator, frame)
    others = [
        quiet(generator, form)
        for form in (THREE, path, str(path), PromptTable.load(path), lambda: PromptTable.load(path))
    ]
    request = quiet(generator, [VideoRequest.model_validate(plain), plain | {"seed": 7}])

    assert list(found.index) == [30, 10, 20]
    assert list(found.prompt_id) == ["a", "b", "c"]
    assert [Path(path).is_file() for path in found.path] == [True] * 3
    assert list(found.cost_usd) == list(found.charged_usd) == [0.473] * 3
    assert (found.seed > 0).all()
    assert found.error.isna().all()
    assert found.simulated.all()
    assert [(other.reused.all(), other.charged_usd.sum(), list(other.path)) for other in others] == [
        (True, 0.0, list(found.path))
    ] * 5
    assert list(request.reused) == [True, False]
    assert request.path[0] == found.path.iloc[0]
    assert len(made.simulator.journal.charges()) == 4


def test_requests_with_other_columns_take_options_and_all_problems_are_listed_by_kind(made: Studio) -> None:
    generator = generator_of(made)
    columns, defaults = {"positive_prompt": "sentence"}, {"resolution": "480p"}
    rows: list[Any] = [{"id": "kite", "sentence": "A red kite", "mood": "calm"}, {"id": "boat", "sentence": "A boat"}]

    found = quiet(generator, PromptSource(pd.DataFrame(rows, index=[30, 10]), columns, defaults))
    again = quiet(generator, PromptSource(rows, columns, defaults))
    with pytest.raises(PromptTableError) as refused:
        quiet(generator, PromptSource([*rows, {"id": "c", "sentence": "A hill", "seed": "x"}], columns))

    assert (list(found.index), list(found.prompt_id)) == ([30, 10], ["kite", "boat"])
    assert (again.reused.all(), list(again.path)) == (True, list(found.path))
    assert str(refused.value).startswith("the table of requests has 4 problems:\n  3 rows (1, 2, 3), column resolution")
    assert "\n  row 3, column seed" in str(refused.value)
    assert len(made.simulator.journal.charges()) == 2


def test_a_row_without_a_video_is_returned_with_its_error_and_the_others_are_kept(tmp_path: Path) -> None:
    with studio(tmp_path, **one_refused(1, THREE)) as made:
        generator = generator_of(made)
        with pytest.warns(UserWarning, match="1 of 3 rows have no video: the column `error`"):
            found = quiet(generator, pd.DataFrame(THREE))
        with pytest.raises(dg.Failure, match="\nb: ContentBlockedError"):
            quiet(generator, THREE, on_error="raise")

    assert found.path.isna().tolist() == [False, True, False]
    assert [bool(text) for text in found.error] == [False, True, False], "a missing text is false in an if"
    assert found.error[1].startswith("ContentBlockedError [invalidProviderContent]: ")
    assert "Change the prompt" in found.error[1]


def test_requests_with_problems_and_unusable_places_say_what_to_do_and_cost_nothing(made: Studio) -> None:
    generator = generator_of(made)
    (made.folder / "file").write_text("not a folder")
    unusable = VideoGenerator(**{**made.resources(), "store": {"root": str(made.folder / "file")}})

    with pytest.raises(PromptTableError, match=r"2 problems:\n  row 2, column resolution.*\n  row 3") as refused:
        quiet(generator, [THREE[0], {"positive_prompt": "no size"}, "no mapping"])
    with pytest.raises(PromptTableError, match="has no rows"):
        quiet(generator, pd.DataFrame({"positive_prompt": [], "resolution": []}))
    with pytest.raises(TypeError, match="asset_keys"):
        quiet(generator, THREE, asset_keys="a")
    with pytest.raises(StoreError) as lost:
        quiet(unusable, THREE)

    assert refused.value.__notes__ == [PromptTableError.hint]
    assert lost.value.__notes__ == [lost.value.hint]
    assert made.simulator.journal.charges() == []


@pytest.mark.slow
def test_it_works_where_an_event_loop_runs_as_in_a_notebook_and_a_cancelled_call_is_continued(made: Studio) -> None:
    generator = generator_of(made)

    async def cells() -> tuple[pd.DataFrame, pd.DataFrame]:
        waiting = asyncio.create_task(generator.generate_async(requests=THREE, progress=False))
        await asyncio.to_thread(wait_until, made.simulator.journal.charges)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        assert waiting.cancelled()
        return quiet(generator, THREE), await generator.generate_async(requests=THREE, progress=False)

    synchronous, asynchronous = asyncio.run(cells())

    assert list(synchronous.charged_usd) == [0.473] * 3, "what the cancelled call paid for is charged once"
    assert asynchronous.reused.all()
    assert len(made.simulator.journal.charges()) == 3


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A process that a shell starts in the background ignores Ctrl+C, and so do its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_keeps_submitted_tasks_and_the_next_call_fetches_their_videos(tmp_path: Path) -> None:
    clock = ManualClock()
    with studio(tmp_path, clock=clock, latency_s=60) as made:
        generator = generator_of(made)
        is_submitted = threading.Thread(target=_interrupt_after_submissions, args=(made, 3))
        is_submitted.start()
        with pytest.raises(KeyboardInterrupt) as interrupted:
            quiet(generator, THREE)
        is_submitted.join()
        clock.step = 60
        found = quiet(generator, THREE)

        assert "run the same call again" in interrupted.value.__notes__[0]
        assert list(found.charged_usd) == [0.473] * 3
        assert len(made.simulator.journal.charges()) == 3


def _interrupt_after_submissions(made: Studio, count: int) -> None:
    wait_until(lambda: made.simulator.journal.submissions() == count)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
def test_each_call_is_a_run_of_its_own_for_budgets(made: Studio) -> None:
    generator = generator_of(made, budget_usd_per_run=1.0)

    with pytest.warns(UserWarning, match="1 of 3"):
        first = quiet(generator, PRICED)
    second = quiet(generator, PRICED)

    assert first.error.str.startswith("BudgetExceededError").sum() == 1
    assert second.error.isna().all()
    runs = rows_of(sqlite_url(made.folder / "ledger.db"), "SELECT DISTINCT run_id, asset, partition FROM wan_tasks")
    assert [row[1:] for row in runs] == [("-", "-")] * 2


@pytest.mark.slow
def test_without_arguments_it_uses_the_environment_and_without_a_key_the_simulator(
    made: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made.folder)
    monkeypatch.setenv("WAN_ASSETS_LEDGER", sqlite_url(made.folder / "books.db"))
    monkeypatch.setenv("WAN_ASSETS_BUDGET_USD", "0.5")
    monkeypatch.setenv("RUNWARE_BASE_URL", made.simulator.base_url)
    monkeypatch.delenv("RUNWARE_API_KEY", raising=False)
    with pytest.warns(UserWarning, match="RUNWARE_API_KEY is not set: videos are SIMULATED"), warnings.catch_warnings():
        simulated = quiet(VideoGenerator(), PRICED[:1])
    monkeypatch.setenv("RUNWARE_API_KEY", "any-key")
    with pytest.warns(UserWarning, match="1 of 1 rows"):
        over = quiet(VideoGenerator(), PRICED[1:2])

    assert simulated.path[0].startswith(str(made.folder / "wan_assets_data" / "videos"))
    assert (made.folder / "wan_assets_data" / "simulator").is_dir()
    assert over.error[0].startswith("BudgetExceededError")
    assert (made.folder / "books.db").is_file()


def test_variables_of_given_resources_are_read_and_faults_of_the_simulator_can_be_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_LEDGER", sqlite_url(tmp_path / "ours.db"))
    runware = SimulatedRunwareResource(
        state=str(tmp_path / "simulator"), latency_s=0.1, initial_poll_delay_s=0.1, faults={"verdict_safety": 1.0}
    )
    generator = VideoGenerator(
        runware=runware, store={"root": str(tmp_path / "videos")}, ledger=LedgerResource(url=dg.EnvVar("OUR_LEDGER"))
    )

    with pytest.warns(UserWarning, match="1 of 1 rows"):
        found = quiet(generator, THREE[:1])
    monkeypatch.delenv("OUR_LEDGER")
    with pytest.raises(SettingsError, match=r"LedgerResource\(url=…\) uses the variable OUR_LEDGER, which is not set"):
        quiet(generator, THREE[:1])

    assert found.error[0].startswith("ContentBlockedError")
    assert (tmp_path / "ours.db").is_file()


def test_a_progress_bar_is_shown_unless_it_is_switched_off(made: Studio, capfd: pytest.CaptureFixture[str]) -> None:
    generator = generator_of(made)

    generator.generate(requests=THREE[:1])
    shown = capfd.readouterr().err
    quiet(generator, THREE[:1])

    assert "1/1" in shown
    assert "1 new, 0 reused, 0 failed" in shown
    assert "spent $0.4730 (simulated)" in shown
    assert capfd.readouterr().err == ""


def test_a_ledger_closes_with_its_block(made: Studio) -> None:
    quiet(generator_of(made), THREE[:1])
    with LedgerResource(url=sqlite_url(made.folder / "ledger.db")).open() as ledger:
        spent = ledger.totals().simulated.cost_microusd

    assert spent == 473_000
    assert ledger._engine.pool.checkedin() == 0


@pytest.mark.slow
@pytest.mark.skipif(not README.is_file(), reason="the README is beside the package in the repository only")
def test_the_notebook_use_in_the_readme_takes_few_lines_and_runs_where_an_event_loop_runs(
    made: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made.folder)
    monkeypatch.setenv("RUNWARE_API_KEY", "any-key")
    monkeypatch.setenv("RUNWARE_BASE_URL", made.simulator.base_url)
    snippets = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    [snippet] = [found for found in snippets if "VideoGenerator()" in found]
    namespace: dict[str, Any] = {}

    async def cell() -> None:
        exec(snippet, namespace)

    asyncio.run(cell())

    assert len(snippet.strip().splitlines()) <= 8
    assert len(re.findall(r"^(?:from|import) ", snippet, re.MULTILINE)) <= 3
    assert list(namespace["videos"].columns[:3]) == ["prompt_id", "path", "cost_usd"]
    assert [Path(path).is_file() for path in namespace["videos"].path] == [True, True]
