"""A column of the manifest: name, type, description and source of the value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from wan_assets.dataset.entries import Entry


@dataclass(frozen=True)
class Column:
    """One column; `requested_from` are the prompt table's columns that determine it, None if it describes the video."""

    name: str
    type: pa.DataType
    description: str
    value: Callable[[Entry], Any]
    requested_from: tuple[str, ...] | None = None
