"""The longest tests run first, one group on each worker, so that no worker ends with one of them alone."""

from itertools import chain

import pytest

_LONGEST = (
    ("test_dagster_dev.py",),
    ("test_chaos.py::test_runs_killed_at_every_point_with_all_faults_on_pay_once_and_lose_nothing",),
    ("test_pipeline.py",),
    (
        "test_tutorial.py::test_each_command_of_the_tutorial_does_what_the_page_shows",
        "test_batches.py::test_a_large_file_with_every_kind_of_problem_is_read_alike",
    ),
)
"""One group for each worker. A module whose tests share a server is in one group."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Marks the tests of this folder, so that they can be selected together with slow ones of others."""
    item.add_marker("whole")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    """Puts a group at the beginning of each worker's share, which is a part of the list of what is selected."""
    groups = [[item for name in names for item in items if name in item.nodeid] for names in _LONGEST]
    for item in chain.from_iterable(groups):
        items.remove(item)
    share = len(items) // getattr(config, "workerinput", {"workercount": 1})["workercount"] + 1
    for number, group in reversed(list(enumerate(groups))):
        items[number * share : number * share] = group
