"""The longest tests run first, one on each worker, so that no worker ends with one of them alone."""

import pytest

_WORKERS = 4
_LONGEST = (
    "test_runs_killed_at_every_point_with_all_faults_on_pay_once_and_lose_nothing",
    "test_a_backfill_of_a_thousand_prompts_takes_ten_runs",
    "test_each_command_of_the_tutorial_does_what_the_page_shows",
    "test_a_table_is_watched_made_and_kept_up_to_date",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts one of the longest tests at the beginning of each worker's share, which is a part of the list."""
    longest = [item for name in _LONGEST for item in items if item.name == name]
    for item in longest:
        items.remove(item)
    share = len(items) // _WORKERS + 1
    for number, item in enumerate(longest):
        items.insert(number * share, item)
