"""Processes that have ended."""

from functools import cache

from python_process import run_python


@cache
def dead_owner() -> str:
    """The name of an owner that was a process of this host, the same one for all tests."""
    say = "from wan_assets.ledger.processes import new_owner; print(new_owner())"
    return run_python(["-c", say], check=True, capture_output=True, text=True).stdout.strip()
