"""The videofolder of Hugging Face: a folder for each split, its videos and a `metadata.jsonl` that names each."""

from __future__ import annotations

from contextlib import ExitStack

from wan_assets.export.metadata_rows import json_of
from wan_assets.export.source_files import place_of
from wan_assets.export.splits import SPLITS
from wan_assets.export.statistics import Sorted
from wan_assets.export.target import Target


def write_videofolder(entries: Sorted, target: Target) -> None:
    """Writes what is not there yet; the videos of a split come before what names them."""
    with ExitStack() as stack:
        paths = {split: stack.enter_context(target.draft()) for split in SPLITS}
        files = {split: stack.enter_context(path.open("wb")) for split, path in paths.items()}
        for split, entry in entries:
            place = place_of(entry.video)
            target.put_video(f"{split}/{place}", entry.video)
            files[split].write(json_of(entry, place) + b"\n")
        for split in SPLITS:
            files[split].close()
            if paths[split].stat().st_size:
                target.put_draft(f"{split}/metadata.jsonl", paths[split])
