"""Builds DataFrames of results, without an import of pandas until one is built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from wan_assets.prompts.prompt_source import PromptSource

if TYPE_CHECKING:
    import pandas as pd


def frame_of(
    rows: Iterable[Mapping[str, Any]], dtypes: Mapping[str, str], index: pd.Index[Any] | None = None
) -> pd.DataFrame:
    """Returns rows as a DataFrame with the columns and types of `dtypes`.

    With the type `object`, a missing text is None, so that `if row.error` is correct; pandas' own text types hold NaN.
    """
    pandas, found = import_module("pandas"), list(rows)
    columns = {name: pandas.Series([row[name] for row in found], dtype=dtype) for name, dtype in dtypes.items()}
    frame: pd.DataFrame = pandas.DataFrame(columns)
    return frame if index is None else frame.set_axis(index)


def index_of(source: object) -> pd.Index[Any] | None:
    """Returns the index of a DataFrame, with or without options, and None for any other source of prompts."""
    source = source.source if isinstance(source, PromptSource) else source
    return getattr(source, "index", None) if hasattr(source, "iloc") else None
