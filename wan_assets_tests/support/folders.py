"""Folders that tests need."""

from pathlib import Path

SUPPORT = Path(__file__).parent
REPOSITORY = SUPPORT.parents[1]
SHARED = REPOSITORY.parent / "shared"
"""Beside the repository; tests that need it skip where it is missing."""
