"""The probe: it pays once and only when told to, and tells what the API does as it does it."""

import asyncio
import json

import pytest
from api_double import Prepared
from bent_api import FILE, POLL, SUBMIT, bent, on
from click.testing import CliRunner
from engine_support import PRICE, Studio, studio
from folders import REPOSITORY

from wan_assets.cli import cli
from wan_assets.cli.api_probe import PRICE_MICROUSD, Probe, Record
from wan_assets.client import RunwareClient
from wan_assets.engine import Outcome
from wan_assets.ledger import Budgets
from wan_assets.models import usd

STRANGER = "What does a poll report about a task that was never submitted?"
ACKNOWLEDGED = "How is a task acknowledged?"
POLLED = "What do polls report until the task ends?"


def probed(place: Studio, budget: Budgets | None = None) -> tuple[Outcome, dict[str, str]]:
    """A probe of a studio's simulator: the video's outcome, and what was seen by question."""

    async def ask() -> tuple[Outcome, dict[str, str]]:
        record = Record()
        client = RunwareClient(
            "any", place.simulator.base_url, http_config=place.client().http_config, on_response=record
        )
        async with client:
            probe = Probe(client, record, place.store, place.ledger(budget))
            free = await probe.free_findings()
            outcome = await probe.outcome()
            findings = free + await probe.video_findings(outcome)
        assert len({finding.question for finding in findings}) == len(findings)
        return outcome, {finding.question: finding.observed for finding in findings}

    return asyncio.run(ask())


def command(tmp_path, *arguments, **environment):
    """The command in a folder of its own, and its JSON."""
    places = {"WAN_ASSETS_STORE": str(tmp_path / "videos"), "WAN_ASSETS_LEDGER": f"sqlite:///{tmp_path / 'ledger.db'}"}
    result = CliRunner().invoke(
        cli, ["probe", "--json", *arguments], env={"RUNWARE_API_KEY": "", **places, **environment}
    )
    return result.exit_code, json.loads(result.stdout)


def test_without_being_told_to_pay_it_sends_nothing_and_says_the_price(tmp_path):
    with bent(tmp_path) as api:
        reached = {"RUNWARE_API_KEY": "any", "RUNWARE_BASE_URL": api.simulator.base_url}

        code, reported = command(tmp_path, **reached)

        assert (code, reported) == (0, {"price_usd": 0.738, "submitted": 0})
        assert api.simulator.calls == []
    assert not (tmp_path / "ledger.db").exists()


@pytest.mark.slow
def test_it_pays_for_one_video_and_another_probe_pays_nothing(tmp_path):
    with bent(tmp_path) as api:
        reached = {"RUNWARE_API_KEY": "any", "RUNWARE_BASE_URL": api.simulator.base_url}

        first, second = (command(tmp_path, "--pay", **reached) for _ in range(2))

        assert [charge.number_results for charge in api.journal.charges()] == [1]
        assert api.journal.spent_microusd() == PRICE < PRICE_MICROUSD
    assert [code for code, _ in (first, second)] == [0, 0]
    assert (first[1]["cost_usd"], first[1]["submitted"], first[1]["is_reused"]) == (0.473, 1, False)
    assert (second[1]["cost_usd"], second[1]["submitted"], second[1]["is_reused"]) == (0.0, 0, True)
    ledger = json.loads(
        CliRunner()
        .invoke(cli, ["ledger", "--url", f"sqlite:///{tmp_path / 'ledger.db'}", "--by", "asset", "--json"])
        .stdout
    )
    assert [(line["key"], line["cost_usd"]) for line in ledger["by"]["asset"]] == [("probe", 0.473)]


def test_what_was_seen_is_what_the_api_does(tmp_path):
    variants = {"unknown_task": "error", "is_balance_object": False, "cost_factor": 0.5, "polls_answered": 1}
    with studio(tmp_path, **variants, latency_s=1.0, has_progress=True, has_extra_fields=True) as place:
        outcome, seen = probed(place)

    assert outcome.stored
    assert "taskNotFound" in seen[STRANGER]
    assert seen["How is the balance reported?"] == "a float"
    assert seen["How is an invalid task refused?"].startswith("HTTP 400, 0 items, invalidPositivePrompt of ")
    assert seen["Does one poll report several tasks?"].startswith("no: ")
    assert seen["What does 480p cost (no published price)?"].startswith("$0.2365 for 5 s")
    assert "processing with progress" in seen[POLLED]
    assert seen[ACKNOWLEDGED].startswith("HTTP 200, 1 item: ")
    assert "response" in seen["What does the archive contain?"]
    assert seen["What does today's usage contain?"] == "1 for $0.2365"
    assert seen["Which host delivers files?"] == "127.0.0.1"


def test_the_usual_variants_are_told_apart(tmp_path):
    with studio(tmp_path) as place:
        _, first = probed(place)
        _, second = probed(place)

    assert first[STRANGER] == "HTTP 200, 0 items"
    assert first["How is the balance reported?"] == "an object of amount, currency"
    assert first["Does one poll report several tasks?"].startswith("yes: ")
    assert ACKNOWLEDGED not in second
    assert second["Is a task still known 0 min after its end?"] == "HTTP 200, 1 item"


def test_a_task_that_the_api_has_forgotten_is_told_by_a_later_probe(tmp_path):
    with bent(tmp_path) as api:
        probed(api)
    forgotten = on(POLL, lambda _: Prepared({"data": []}))
    with bent(tmp_path, forgotten) as api:
        outcome, seen = probed(api)

        assert outcome.is_reused
        assert api.calls(FILE) == []
    assert seen["Is a task still known 0 min after its end?"] == "HTTP 200, 0 items"


def test_a_way_to_the_task_that_is_not_straight_is_told_step_by_step(tmp_path):
    strange = on(SUBMIT, lambda call: Prepared({"data": []}) if call.number > 1 else None)
    with bent(tmp_path, strange) as api:
        _, seen = probed(api)

        assert api.paid == 1
    assert seen[ACKNOWLEDGED] == "HTTP 200, 0 items: nothing"


@pytest.mark.parametrize("fault", ["verdict_error", "verdict_504", "verdict_safety"])
def test_a_video_that_fails_tells_how_and_is_not_bought_a_second_time(tmp_path, fault):
    with studio(tmp_path, faults={fault: 1.0}) as place:
        outcome, seen = probed(place)
        states = place.states()

    assert outcome.stored is None
    assert seen["Was the video generated?"].startswith("no: ")
    assert ("HTTP 504" if fault == "verdict_504" else "HTTP 200") in seen[POLLED]
    assert states == ["failed"]


def test_a_cap_that_leaves_no_room_keeps_it_from_paying(tmp_path):
    with studio(tmp_path) as place:
        outcome, seen = probed(place, Budgets.of(total=usd(PRICE_MICROUSD - 1)))

        assert place.paid == 0
    assert outcome.stored is None
    assert "budget" in seen["Was the video generated?"]
    assert ACKNOWLEDGED not in seen


@pytest.mark.slow
def test_where_nobody_answers_it_says_so_and_leaves_the_ledger_empty(tmp_path):
    dead = {"RUNWARE_API_KEY": "any", "RUNWARE_BASE_URL": "http://127.0.0.1:9/v1"}
    places = {"WAN_ASSETS_STORE": str(tmp_path / "videos"), "WAN_ASSETS_LEDGER": f"sqlite:///{tmp_path / 'ledger.db'}"}

    result = CliRunner().invoke(cli, ["probe", "--pay"], env={**dead, **places})

    assert result.exit_code == 2
    assert "what to do" in result.stderr


def test_people_read_a_table_and_what_was_paid(tmp_path):
    with studio(tmp_path) as place:
        reached = {"RUNWARE_API_KEY": "any", "RUNWARE_BASE_URL": place.simulator.base_url}
        reached |= {"WAN_ASSETS_STORE": str(tmp_path / "videos"), "WAN_ASSETS_LEDGER": f"sqlite:///{tmp_path / 'l.db'}"}
        said = CliRunner().invoke(cli, ["probe", "--pay"], env=reached).stdout

    assert "Behaviour of the API" in said
    assert "The video cost $0.4730; everything else was free." in said


def test_every_question_is_explained_in_the_documentation(tmp_path):
    page = REPOSITORY / "docs" / "probe.md"
    if not page.exists():
        pytest.skip("the documentation is beside the package in the repository only")
    with studio(tmp_path) as place:
        asked = {question for _ in range(2) for question in probed(place)[1]}

    explained = page.read_text(encoding="utf-8").replace("some time after", "0 min after")
    assert not [question for question in asked if question.split(",")[0].rstrip("?") not in explained]
