"""Each Python of a `dagster dev` that tests start imports this, which saves them time that is not the package's.

The code server forks runs from a process that has imported what every run imports, which saves two seconds of processor
time for each; the start method is the standard library's. The daemon looks for backfills as often as for queued runs.
"""

import multiprocessing
import sys
import tempfile

_BACKFILLS_S = 5
"""Dagster's own 30 s cannot be configured."""

_IMPORTED = [
    "alembic.command",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.sqlite_storage",
    "dagster._grpc.impl",
    "pandas",
    "wan_assets.client",
    "wan_assets.engine",
    "wan_assets.orchestration",
]
"""No module that reads the environment when it is imported."""

_LONGEST_FOLDER = 60
"""Of the folder of temporary files, in characters: the path of a socket in it may have 107."""

if "grpc" in sys.orig_argv and len(tempfile.gettempdir()) <= _LONGEST_FOLDER:
    _forks = multiprocessing.get_context("forkserver")
    _forks.set_forkserver_preload(_IMPORTED)
    _context_of = multiprocessing.get_context
    multiprocessing.get_context = lambda method=None: _forks if method == "spawn" else _context_of(method)

if "dagster._daemon" in sys.orig_argv:
    from dagster._daemon import controller

    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = _BACKFILLS_S
