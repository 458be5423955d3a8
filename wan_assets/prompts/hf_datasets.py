"""Records from datasets of Hugging Face; imports their package only to load a saved one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from wan_assets.errors import PromptTableError
from wan_assets.prompts.problems import printable
from wan_assets.prompts.records import unavailable, unreadable

_INFO, _STATE, _SPLITS = "dataset_info.json", "state.json", "dataset_dict.json"


def is_dataset(value: object) -> bool:
    """Whether a value is a dataset or an iterable dataset."""
    datasets: Any = sys.modules.get("datasets")
    return datasets is not None and isinstance(value, (datasets.Dataset, datasets.IterableDataset))


def refuse_splits(value: Mapping[Any, Any]) -> None:
    """Raises `PromptTableError` for the splits of a dataset. Other mappings of datasets are the parts of one table."""
    datasets: Any = sys.modules.get("datasets")
    if value and datasets and isinstance(value, (datasets.DatasetDict, datasets.IterableDatasetDict)):
        kind, names = type(value).__name__, [str(name) for name in value]
        raise PromptTableError(f"the {kind} has {_listed(names)}: pass one of them, such as dataset[{names[0]!r}]")


def batches_of(dataset: Any, batch_rows: int) -> Iterator[Any]:
    """Yields the rows of a dataset as Arrow tables, in its order and without decoding media."""
    yield from dataset.with_format("arrow").iter(batch_size=batch_rows)


def is_saved(folder: Path) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    return (folder / _SPLITS).is_file() or ((folder / _INFO).is_file() and (folder / _STATE).is_file())


def saved_files(folder: Path) -> list[Path]:
    """Returns the files of a saved dataset; raises `PromptTableError` if it has splits."""
    _refuse_saved_splits(folder)
    return sorted(file for file in folder.iterdir() if file.suffix in (".arrow", ".json"))


def loaded(folder: Path) -> Any:
    """Returns a saved dataset; raises `PromptTableError` if it cannot be loaded or has splits."""
    _refuse_saved_splits(folder)
    try:
        return import_module("datasets").load_from_disk(str(folder))
    except ImportError:
        raise unavailable(folder, "is a saved dataset, which needs `pip install 'wan-assets[hf]'`") from None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise unreadable(folder, f"is not a complete saved dataset: {error}; save it again") from error


def _refuse_saved_splits(folder: Path) -> None:
    try:
        text = (folder / _SPLITS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    try:
        names = [str(name) for name in json.loads(text)["splits"]]
    except (ValueError, LookupError, TypeError):
        names = []
    example = folder / (names[0] if names else "train")
    raise unreadable(folder, f"is a saved dataset with {_listed(names)}: pass one of them, such as {example}")


def _listed(names: list[str]) -> str:
    return f"the splits {printable(', '.join(names))}" if names else "splits"
