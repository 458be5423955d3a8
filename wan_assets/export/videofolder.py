"""The format `videofolder` of Hugging Face: per split, a folder with videos and a `metadata.jsonl`."""

from __future__ import annotations

from contextlib import ExitStack

from wan_assets.export.metadata_rows import json_of
from wan_assets.export.source_files import path_of
from wan_assets.export.splits import SPLITS
from wan_assets.export.statistics import SplitEntries
from wan_assets.export.target import Target


def write_videofolder(entries: SplitEntries, target: Target) -> None:
    """Writes new and changed files; videos are written before the metadata that refers to them."""
    with ExitStack() as stack:
        paths = {split: stack.enter_context(target.draft()) for split in SPLITS}
        files = {split: stack.enter_context(path.open("wb")) for split, path in paths.items()}
        for split, entry in entries:
            place = path_of(entry.video)
            target.put_video(f"{split}/{place}", entry.video)
            files[split].write(json_of(entry, place) + b"\n")
        for split in SPLITS:
            files[split].close()
            if paths[split].stat().st_size:
                target.put_draft(f"{split}/metadata.jsonl", paths[split])
