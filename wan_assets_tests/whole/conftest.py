"""Marks the tests of this folder, and distributes the longest tests over the workers."""

from collections.abc import Generator
from itertools import chain
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_WORKERS = 6
_LONGEST = (
    "test_dagster_dev.py",
    "test_chaos.py::test_runs_killed_at_every_point_with_all_faults_on_pay_once_and_lose_nothing",
    "test_tutorial.py::test_each_command_of_the_tutorial_does_what_the_page_shows",
    "test_rate_limits.py::test_runs_that_share_a_ledger_share_the_limit",
    "test_rate_limits.py::test_a_task_that_alone_is_refused_lets_all_others_pass_and_fails_when_nothing_else_moves",
    "test_rate_limits.py::test_no_row_fails_because_the_account_runs_few_tasks_at_once",
)
"""One group for each worker. A module whose tests share a server is one group."""


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Marks tests before the selection; then puts a group at the start of each worker's share of the list."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.whole)
    yield
    groups = [[item for item in items if name in item.nodeid] for name in _LONGEST]
    for item in chain.from_iterable(groups):
        items.remove(item)
    share = len(items) // _WORKERS + 1
    for number, group in reversed(list(enumerate(groups))):
        items[number * share : number * share] = group
