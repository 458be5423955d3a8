"""Budgets: their conditions, their names, and how they are written."""

import json
from datetime import UTC, datetime

import hypothesis.strategies as st
import pytest
from engine_support import request_of
from hypothesis import given
from pydantic import ValidationError

from wan_assets.errors import BudgetExceededError
from wan_assets.ledger import BudgetLimit, Budgets, Counter, Subject, budgets_in
from wan_assets.ledger.budget import STANDARD
from wan_assets.ledger.budget_period import Per
from wan_assets.prompts import PromptRow, tags_of
from wan_assets.settings import SettingsError, settings_from

SUBJECT = Subject(
    "r1",
    "marketing/trailers",
    "2026-11-30",
    "alibaba:wan@2.6",
    tags={"campaign": "fall", "x_team": "ads"},
    run_tags={"team": "video", "dagster/schedule_name": "nightly"},
)
MINUTE = "2026-11-30T12:25"


@pytest.mark.parametrize(
    ("scope", "is_counted"),
    [
        ({}, True),
        ({"asset": "marketing/trailers"}, True),
        ({"asset": "marketing/*"}, True),
        ({"asset": "marketing"}, False),
        ({"asset": "trailers"}, False),
        ({"partition": "2026-11-*"}, True),
        ({"partition": "2026-1?-30"}, False),
        ({"partition": "2026.11.30"}, False),
        ({"model": "wan2.6"}, True),
        ({"model": "WAN2.6"}, True),
        ({"model": "alibaba:wan@2.6"}, True),
        ({"model": "alibaba:*"}, True),
        ({"model": "Wan2.*"}, True),
        ({"model": "wan2.5*"}, False),
        ({" campaign ": " fall "}, True),
        ({"model": "wan2.7"}, False),
        ({"campaign": "fall"}, True),
        ({"campaign": "Fall"}, False),
        ({"campaign": "f*l"}, True),
        ({"x_team": "ads", "campaign": "fall"}, True),
        ({"x_team": "ads", "campaign": "spring"}, False),
        ({"x_owner": "*"}, False),
        ({"x_team": "*"}, True),
        ({"run_tag:team": "video"}, True),
        ({"run_tag:dagster/schedule_name": "nightly"}, True),
        ({"team": "video"}, False),
        ({"takes": "further"}, False),
        ({"takes": "first"}, True),
    ],
)
def test_a_scope_counts_the_tasks_that_fulfil_all_its_conditions(scope: dict[str, str], is_counted: bool) -> None:
    assert SUBJECT.matches(BudgetLimit(usd=1, scope=scope).counter.scope) is is_counted


@given(st.text(max_size=8).map(lambda text: text.replace("*", "")), st.text(max_size=8))
def test_a_value_stands_for_itself_and_with_stars_for_what_contains_it(wanted: str, found: str) -> None:
    subject = Subject("r", tags={"x": found})

    assert subject.matches((("x", wanted),)) is (wanted == found)
    assert subject.matches((("x", f"*{wanted}*"),)) is (wanted in found)
    assert subject.matches((("x", f"{wanted}*"),)) is found.startswith(wanted)


@pytest.mark.parametrize(
    ("given", "scope"),
    [
        ("campaign=fall", {"campaign": "fall"}),
        (" campaign = fall , model=wan2.6,", {"campaign": "fall", "model": "wan2.6"}),
        ("x=a=b", {"x": "a=b"}),
        ("", {}),
        (None, {}),
    ],
)
def test_a_scope_may_be_written_as_text(given: str | None, scope: dict[str, str]) -> None:
    assert BudgetLimit.model_validate({"usd": 1, "scope": given}).scope == scope


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"usd": -1}, "a budget must be from \\$0 to \\$1,000,000,000"),
        ({"usd": 2e9}, "a budget must be from \\$0 to \\$1,000,000,000"),
        ({"usd": "nan"}, "a budget must be a number of dollars"),
        ({"usd": "inf"}, "a budget must be a number of dollars"),
        ({"usd": True}, "a budget must be a number of dollars"),
        ({"usd": 0.0000009}, "the smallest budget is \\$0.000001; a budget of 0 stops everything"),
        ({"usd": "many"}, "valid number"),
        ({}, "Field required"),
        ({"usd": 1, "per": "year"}, "'run', 'day', 'week', 'month' or 'total'"),
        ({"usd": 1, "time_zone": "Berlin"}, "'Berlin' is not a time zone: write a name such as Europe/Berlin"),
        ({"usd": 1, "time_zone": "../etc/passwd"}, "is not a time zone"),
        ({"usd": 1, "scope": "campaign"}, "write a condition as name=value, not 'campaign'"),
        ({"usd": 1, "scope": {"campaign": ""}}, "each condition needs a name and a value"),
        ({"usd": 1, "scope": {"run_tag:": "x"}}, "each condition needs a name and a value"),
        ({"usd": 1, "scope": {"run_tag": "x"}}, "a tag of a run is named run_tag:NAME"),
        ({"usd": 1, "scope": {"campaign": " "}}, "each condition needs a name and a value"),
        ({"usd": 1, "scope": {"takes": "second"}}, "takes is first or further, not 'second'"),
        ({"usd": 1, "scope": {"model": "wan9"}}, "'wan9' is no known model"),
        ({"usd": 1, "scope": {"model": "wan9*"}}, "is no known model"),
        ({"usd": 1, "scope": {"positive_prompt": "x*"}}, "positive_prompt is a parameter of requests"),
        ({"usd": 1, "scope": {"resolution": "480p"}}, "resolution is a parameter of requests"),
        ({"usd": 1, "scope": {"x": "a\x00"}}, "a character that cannot be shown"),
        ({"usd": 1, "scope": {"x": "\ud800"}}, "a character that cannot be shown"),
        ({"usd": 1, "scope": {"prompt_id": "*"}}, "nothing can fulfil the scope: the column prompt_id is not recorded"),
        ({"usd": 1, "scope": {"priority": "1"}}, "the column priority is not recorded"),
        ({"usd": 1, "scope": {"draft_asset": "a"}}, "the column draft_asset is not recorded"),
        (
            {"usd": 1, "scope": {"api_key_owner": "a"}},
            "api_key_owner is not recorded, because it has the name",
        ),
        ({"usd": 1, "scope": {"token_team": "*"}}, "token_team is not recorded, because it has the name of a secret"),
        ({"usd": 1, "scope": {"run_tag:api_key": "*"}}, "api_key is not recorded, because it has the name of a secret"),
        ({"usd": 1, "scope": {"run_tag:.dagster/x": "*"}}, ".dagster/x is a tag that Dagster hides"),
        ({"usd": 1, "scope": {"n" * 65: "*"}}, "only names of up to 64 characters are recorded"),
        ({"usd": 1, "scope": {"campaign": "x" * 129}}, "only values of up to 128 characters are recorded"),
        ({"usd": 1, "scope": {"campaign": f"*{'x' * 129}*"}}, "only values of up to 128 characters are recorded"),
        ({"usd": 1, "scope": {"page": "https://example.com/*"}}, "a part of an address is not recorded"),
        ({"usd": 1, "scope": {"info": "[1*"}}, "begins with { or .* is not recorded"),
        ({"usd": 1, "scope": "a=1,a=2"}, "a is named twice"),
        ({"usd": 1, "scope": []}, "valid dictionary"),
        ({"usd": 1, "alert_at": [0]}, "0 is not a percentage from 1 to 100"),
        ({"usd": 1, "limit": 5}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_budget_is_refused_with_its_reason(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said.replace("(", r"\(")):
        BudgetLimit.model_validate(fields)


@given(
    st.sampled_from(["campaign", "prompt_id", "priority", "draft", "approved_by", "x_tokens", "size", "n" * 65]),
    st.one_of(st.text(max_size=9), st.sampled_from(["x" * 128, "x" * 129, "https://a/b", "a?b=c", "{}", "3:4"])),
    st.sampled_from(["{}", "*", "{}*", "*{}*"]),
)
def test_a_scope_that_a_recorded_value_fulfils_is_accepted(name: str, value: str, pattern: str) -> None:
    recorded = tags_of(PromptRow(1, "a", request_of(), {name: value}))
    wanted = pattern.format(value)

    if Subject("r", tags=recorded).matches(((name, wanted.strip()),)) and wanted.strip():
        assert BudgetLimit(usd=1, scope={name: wanted}).scope


def test_a_scope_may_have_as_many_characters_as_a_recorded_value() -> None:
    longest = "x" * 128

    assert BudgetLimit(usd=1, scope={"campaign": longest, "x_team": f"*{longest}*", "asset": "a" * 200}).scope


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("500", "WAN_ASSETS_BUDGETS is no list of budgets: write [{"),
        ("null", "WAN_ASSETS_BUDGETS is no list of budgets"),
        ("[5]", "WAN_ASSETS_BUDGETS: budget 1: Input should be a valid dictionary"),
        ('{"usd": 5, "pr": 1}', "WAN_ASSETS_BUDGETS: budget 1, pr: Extra inputs are not permitted; the fields are usd"),
        ("[{]", "WAN_ASSETS_BUDGETS is not JSON: "),
        ("[" * 50_000, "WAN_ASSETS_BUDGETS is not JSON: "),
        ('{"usd": ' + "9" * 5_000 + "}", "WAN_ASSETS_BUDGETS is not JSON: "),
        ('[{"usd": 5, "per": "hour"}]', "WAN_ASSETS_BUDGETS: budget 1, per: Input should be 'run', 'day'"),
        ('[{"usd": NaN}]', "WAN_ASSETS_BUDGETS: budget 1, usd: a budget must be a number of dollars"),
        ('[{"usd": 5}, {"per": "day"}]', "WAN_ASSETS_BUDGETS: budget 2, usd: Field required"),
    ],
)
def test_wrong_budgets_of_the_environment_are_refused_with_their_place(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        budgets_in(text)

    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(("usd", "microusd"), [(0, 0), (0.000001, 1), (1e9, 10**15)])
def test_the_least_and_the_largest_budget_are_counted_exactly(usd: float, microusd: int) -> None:
    assert BudgetLimit(usd=usd).microusd == microusd


@pytest.mark.parametrize("variable", ["WAN_ASSETS_BUDGET_USD", "WAN_ASSETS_BUDGET_USD_RETAKES"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nan", "a budget must be a number of dollars"),
        ("lots", "a budget must be a number of dollars"),
        ("1e10", "a budget must be from $0 to $1,000,000,000"),
        ("0.0000001", "the smallest budget is $0.000001"),
    ],
)
def test_a_wrong_amount_of_a_variable_is_refused_with_its_reason(variable: str, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        settings_from({variable: text})

    assert str(refused.value).startswith(f"{variable} is {text!r}: {said}")


def test_one_budget_of_the_environment_needs_no_list() -> None:
    (limit,) = budgets_in('{"usd": 2.5, "per": "week"}')

    assert (limit.microusd, limit.per, budgets_in("  ")) == (2_500_000, "week", ())


def test_budgets_that_count_the_same_share_a_sum_and_the_lowest_applies() -> None:
    first = BudgetLimit(usd=5, per="month", scope={"model": "wan2.6", "campaign": "fall"})
    other = BudgetLimit(usd=3, per="month", scope={"campaign": "fall", "model": "alibaba:wan@2.6"}, alert_at=[90])
    elsewhere = BudgetLimit(usd=1, per="month", scope={"campaign": "fall", "model": "wan2.6"}, time_zone="Asia/Tokyo")

    budgets = Budgets((first, other, elsewhere))

    assert budgets.caps() == {first.counter: 3_000_000, elsewhere.counter: 1_000_000}
    assert budgets.alerts()[first.counter] == {50, 80, 90, 100}


def test_a_time_zone_only_matters_for_periods() -> None:
    assert BudgetLimit(usd=1, time_zone="Asia/Tokyo").counter == Counter("total")
    assert BudgetLimit(usd=1, per="run", time_zone="Asia/Tokyo").counter in STANDARD
    assert BudgetLimit(usd=1, per="day", time_zone="Asia/Tokyo").counter not in STANDARD


@given(
    st.sampled_from(["run", "day", "week", "month", "total"]),
    st.dictionaries(st.text(min_size=1, max_size=9), st.text(min_size=1, max_size=9), max_size=3),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]),
)
def test_a_counter_is_read_as_it_was_written(per: Per, scope: dict[str, str], zone: str) -> None:
    counter = Counter(per, tuple(sorted(scope.items())), zone)

    again = Counter.of_definition(counter.definition)

    assert (again, again.id) == (counter, counter.id)
    assert len(f"simulated {again.sum_name('r' * 64, MINUTE)}") <= 128


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({}, "total"),
        ({"per": "run"}, "run r1"),
        ({"per": "day"}, "day 2026-11-30"),
        ({"scope": {"takes": "further"}}, "retakes"),
        ({"per": "month", "scope": {"x_team": "ads"}}, "month 2026-11 for x_team=ads"),
        ({"per": "day", "time_zone": "Asia/Tokyo"}, "day 2026-11-30 (Asia/Tokyo)"),
        ({"per": "week", "scope": {"asset": "a", "campaign": "b"}}, "week 2026-W49 for asset=a, campaign=b"),
        ({"scope": {"campaign": "b"}}, "total for campaign=b"),
    ],
)
def test_a_budget_is_named_by_its_period_and_scope(fields: dict[str, object], label: str) -> None:
    limit = BudgetLimit.model_validate({"usd": 1, **fields})

    assert limit.counter.label("r1", MINUTE) == label


def test_a_refusal_names_the_budget_and_what_is_left_and_when_it_resets() -> None:
    error = BudgetExceededError(
        "month 2026-11", 5_000_000, 4_900_000, 473_000, resets_at=datetime(2026, 12, 1, tzinfo=UTC)
    )

    assert str(error) == (
        "$0.4730 does not fit in the budget of month 2026-11: $4.9000 of $5.00 is spent or reserved, "
        "$0.1000 is left; it resets at 2026-12-01 00:00 UTC"
    )


def test_budgets_are_json_as_the_environment_has_it() -> None:
    limit = BudgetLimit(usd=500, per="month", scope={"x_team": "ads"}, time_zone="Europe/Berlin")

    assert budgets_in(json.dumps([limit.model_dump()])) == (limit,)
