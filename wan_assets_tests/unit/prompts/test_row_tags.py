"""The values of rows, and the tags of runs, that the ledger records for budgets and reports."""

import pytest
from engine_support import request_of

from wan_assets.prompts import PromptRow, run_tags_of, tags_of


@pytest.mark.parametrize(
    ("name", "value", "is_tag"),
    [
        ("campaign", "fall 2026", True),
        ("x_team", "ads/europe", True),
        ("size", "3:4", True),
        ("campaign", "", False),
        ("caption", "x" * 129, False),
        ("n" * 65, "x", False),
        ("info", '{"a": 1}', False),
        ("list", "[1, 2]", False),
        ("page", "https://example.com/a", False),
        ("page", "example.com/a?sig=abc", False),
        ("source", "user:pw@host/db", False),
        ("api_token", "abc", False),
        ("client_secret", "abc", False),
        ("Password", "abc", False),
        ("lines", "a\nb", False),
        ("priority", "5", False),
        ("draft_sha256", "abc", False),
    ],
)
def test_short_texts_are_tags_and_what_may_be_a_secret_is_not(name: str, value: str, is_tag: bool) -> None:
    row = PromptRow(1, "a", request_of(), {name: value})

    assert tags_of(row) == ({name: value} if is_tag else {})


def test_a_tag_has_no_outer_spaces_so_that_budgets_and_reports_do_not_depend_on_them() -> None:
    row = PromptRow(1, "a", request_of(), {"x_team": " ads ", "campaign": "  "})

    assert tags_of(row) == {"x_team": "ads"}


def test_a_row_has_at_most_32_tags() -> None:
    row = PromptRow(1, "a", request_of(), {f"x_{number}": "x" for number in range(50)})

    assert list(tags_of(row)) == [f"x_{number}" for number in range(32)]


def test_tags_of_runs_are_chosen_in_the_same_way_without_hidden_ones() -> None:
    tags = {"team": "ads", "": "x", ".dagster/grpc_info": "x", "webhook": "https://u:pw@h/x", "dagster/backfill": "abc"}

    assert run_tags_of(tags) == {"team": "ads", "dagster/backfill": "abc"}
