"""A log that keeps what is logged."""

import logging
import uuid


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def logger() -> tuple[logging.Logger, list[str]]:
    """A log and what it says."""
    log, kept = logging.getLogger(f"a run's {uuid.uuid4()}"), Kept()
    log.setLevel(logging.INFO)
    log.addHandler(kept)
    return log, kept.said
