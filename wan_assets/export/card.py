"""The dataset card: `README.md` with the header that Hugging Face reads, and what a reader should know.

All that comes from tables, files and the API is text: none of it can become markup, a link or part of the header.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterable, Iterator

from wan_assets.dataset import Tally
from wan_assets.export.metadata_rows import described
from wan_assets.export.options import ExportOptions, Format
from wan_assets.export.splits import Split
from wan_assets.export.statistics import Census
from wan_assets.models import usd
from wan_assets.version import __version__

_SHOWN_CHARACTERS = 300
_DAY = 10
_MARKUP = re.compile(f"([{re.escape(string.punctuation)}])")
_FILES = {"videofolder": "{split}/**", "parquet": "data/{split}.parquet", "webdataset": "{split}/*.tar"}
_LOADS = {
    "videofolder": 'from datasets import load_dataset\n\ndataset = load_dataset("videofolder", data_dir="<here>")',
    "parquet": 'from datasets import load_dataset\n\ndataset = load_dataset("<here>")',
    "webdataset": "from glob import glob\n\nimport webdataset\n\n"
    'shards = sorted(glob("<here>/train/*.tar"))\ndataset = webdataset.WebDataset(shards, shardshuffle=False)',
}
_LAYOUT = {
    "videofolder": "Each split's folder holds its videos, and `metadata.jsonl` with one record for each of them.",
    "parquet": "`data` holds one Parquet file for each split; `file_name` is a video's path in this folder.",
    "webdataset": "Each split's folder holds shards. A sample is a video, its record `.json`, its prompt `.txt`.",
}
_GUESSED = (
    "Records of JSON have one type for each column: amounts, and whatever a file may lack, are text, which is empty "
    "where there is nothing. Text that reads as a moment ends with a space."
)


def card_of(census: Census, tally: Tally, options: ExportOptions, *, is_simulated: bool) -> str:
    """The card; the same videos give the same text."""
    parts = [
        _header(census, options, is_simulated=is_simulated),
        _title(census, tally, options, is_simulated=is_simulated),
        _splits(census),
        _layout(options.format),
        _money(tally, is_simulated=is_simulated),
        _making(census),
        _prompts(census),
        _license(options.license),
        _columns(),
    ]
    return "\n".join(part for part in parts if part)


def escaped(text: str) -> str:
    r"""Foreign text as markdown that reads as the text, in one line, and cut where it is long.

    >>> print(escaped("<b> [a](http://b)"))
    \<b\> \[a\]\(http\:\/\/b\)
    """
    words = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    cut = f"{words[: _SHOWN_CHARACTERS - 1]}…" if len(words) > _SHOWN_CHARACTERS else words
    return _MARKUP.sub(r"\\\1", cut)


def _held(census: Census) -> list[Split]:
    return [split for split, counts in census.splits.items() if counts.files]


def _header(census: Census, options: ExportOptions, *, is_simulated: bool) -> str:
    tags = ["video", "wan-assets", *(["simulated"] if is_simulated else [])]
    lines = [
        "---",
        f"pretty_name: {json.dumps(options.title)}",
        f"license: {json.dumps(options.license)}",
        f"task_categories: {json.dumps(['text-to-video'])}",
        f"tags: {json.dumps(tags)}",
    ]
    if held := _held(census):
        lines += ["configs:", "- config_name: default", "  data_files:"]
    for split in held:
        lines += [f"  - split: {split}", f"    path: {json.dumps(_FILES[options.format].format(split=split))}"]
    return "\n".join([*lines, "---", ""])


def _title(census: Census, tally: Tally, options: ExportOptions, *, is_simulated: bool) -> str:
    made = f"{tally.rows:,} videos of {len(census.requests):,} requests, made by a model from prompts."
    lines = [f"# {escaped(options.title)}", "", made]
    if is_simulated:
        lines += ["", "**SIMULATED: these are placeholders that a simulator rendered; no model made them.**"]
    if tally.missing:
        lines += ["", f"{tally.missing:,} rows of the prompt table have no video, and are not in here."]
    return "\n".join([*lines, ""])


def _splits(census: Census) -> str:
    rows = [
        (split, f"{counts.files:,}", f"{counts.bytes:,}", f"{counts.seconds:,.1f}")
        for split, counts in census.splits.items()
    ]
    said = (
        "Which split a video is in depends on the fingerprint of its request alone: what is added or removed moves no "
        "other, and all videos of one request are in the same."
    )
    return _section("Splits", [*_table(("split", "videos", "bytes", "seconds"), rows), "", said])


def _layout(format_: Format) -> str:
    guessed = [] if format_ == "parquet" else ["", _GUESSED]
    code = ["", "```python", _LOADS[format_], "```"]
    return _section("Files", [_LAYOUT[format_], *code, *guessed])


def _money(tally: Tally, *, is_simulated: bool) -> str:
    dollars = "simulated dollars: nothing was charged" if is_simulated else "dollars"
    lines = [f"{usd(tally.cost_microusd):,f} {dollars}."]
    if tally.unknown_cost_count:
        lines += ["", f"The cost of {tally.unknown_cost_count:,} videos is unknown and not in this sum."]
    return _section("Cost", lines)


def _making(census: Census) -> str:
    rows = [("model", escaped(name), f"{count:,}") for name, count in sorted(census.models.items())]
    rows += [("file", escaped(size), f"{count:,}") for size, count in sorted(census.sizes.items())]
    files = sum(counts.files for counts in census.splits.values())
    seeds = (
        f"Seeds: told for {census.seeds_told:,} of {files:,} videos, {len(census.seeds):,} of them different; "
        f"{census.seeds_asked:,} videos were asked for with a seed. Each is in the column `seed`."
    )
    versions = ", ".join(escaped(version) for version in sorted(census.versions))
    first, last = escaped(census.first_stored[:_DAY]), escaped(census.last_stored[:_DAY])
    way = (
        f"Provenance: {len(census.tasks):,} tasks, {len(census.runs):,} runs, stored from {first} to {last} "
        f"by wan\\-assets {versions}, and exported by {escaped(__version__)}. "
        "`task_uuid`, `run_id`, `fingerprint` and `sha256` lead from each video to its request."
    )
    return _section("Making", [*_table(("what", "which", "videos"), rows), "", seeds, "", way]) if files else ""


def _prompts(census: Census) -> str:
    return _section("Prompts, such as", [f"- {escaped(prompt)}" for prompt in census.prompts]) if census.prompts else ""


def _license(name: str) -> str:
    said = "To be chosen by whoever publishes this, under the terms of the model and of all that it was given."
    return _section("License", [said if name == "unknown" else escaped(name)])


def _columns() -> str:
    return _section("Columns", list(_table(("column", "meaning"), ((f"`{name}`", said) for name, said in described()))))


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([f"## {title}", "", *lines, ""])


def _table(names: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for cells in (names, ("---",) * len(names), *rows):
        yield f"| {' | '.join(cells)} |"
