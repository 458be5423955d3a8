"""A changed table that is read with the index of the table before is the table that is read as a whole."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pytest
from call_counts import counted_calls
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from upath import UPath

from wan_assets import PromptSource, VideoStoreResource, build_video_sensor
from wan_assets.errors import PromptTableError
from wan_assets.orchestration.asset_names import AssetNames
from wan_assets.orchestration.partitions.assignment import shard_of
from wan_assets.orchestration.runs.partitioning import Partitioning, Partitions, partitioning_of
from wan_assets.orchestration.runs.table_snapshot import TableSnapshot
from wan_assets.orchestration.tables.indexing import IndexedReader, ReadTable
from wan_assets.prompts import (
    SMALLEST_BYTES,
    Chunk,
    IndexedFile,
    IndexUnusableError,
    Prompts,
    Summary,
    TableIndex,
    changed_table,
    snapshot_writer,
)
from wan_assets.store import VideoStore

ASSET = ("videos_prompts",)
BLOCK = 64
"""The most rows that are read again for one changed row."""

SHARDS = dg.StaticPartitionsDefinition(["a", "b", "c"])
DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-01")
CAMPAIGNS = dg.DynamicPartitionsDefinition(name="campaigns")


def reader_of(folder: Path, prompts: Prompts, partitions: Partitions = "prompt", **options: Any) -> IndexedReader:
    partitioning = partitioning_of(AssetNames.of("videos", None, None), prompts, partitions, **options)
    return IndexedReader(partitioning, VideoStore(str(folder / "store")), ASSET, smallest_bytes=1)


def described(snapshot: TableSnapshot) -> dict[str, Any]:
    summary = snapshot.summary
    return {
        "versions": list(snapshot.request_versions.items()),
        "counts": (summary.rows, summary.source_rows, summary.valid, summary.distinct_requests),
        "findings": list(summary.findings),
        "columns": summary.columns,
        "types": list(summary.types.items()),
        "prices": (summary.prices.total, summary.prices.new, summary.prices.by_kind, summary.prices.by_campaign),
        "first": [(row.number, row.line, row.prompt_id, row.cells()) for row in summary.first],
    }


def whole(partitioning: Partitioning, path: Path) -> tuple[dict[str, Any], bytes]:
    with snapshot_writer(path) as writer:
        snapshot = partitioning.read(partitioning.source, on_chunk=lambda chunk, _: writer.add(chunk))
    return described(snapshot), path.read_bytes()


def accepted(reader: IndexedReader, folder: Path) -> ReadTable:
    """Reads a table as a tick does; compares it with the table that is read as a whole."""
    path = folder / "new.parquet"
    read = reader.read(reader.partitioning.source, path)

    found, content = whole(reader.partitioning, folder / "whole.parquet")
    assert described(read.snapshot) == found
    if read.snapshot.is_valid:
        assert path.read_bytes() == content
        version = reader.store.put_table(path, ASSET).stem
        if read.index and not read.first_secret:
            reader.save(read.index, version)
            assert reader.versions(reader.partitioning.source, version) == read.snapshot.request_versions
    return read


Lines = list[bytes]
CELLS: Mapping[str, tuple[str, ...]] = {
    "prompt": (
        "A red kite",
        '"A kite, ""red"""',
        '"A kite\nover the sea"',
        'A 5" kite',
        "Un cerf-volant é",
        "🪁",
        " A kite ",
    ),
    "negative": ("", "", "blurry", '"a\nb"'),
    "resolution": ("480p", "720p", "720p", "1080p", ""),
    "seed": ("", "1", "2", "007"),
    "campaign": ("spring", "summer", "autumn"),
    "date": ("2026-01-02", "2026-01-03", "2026-02-01"),
    "mood": ("", "low", "high"),
}


def line_of(rng: random.Random, prompt_id: str, end: bytes, *, has_id: bool) -> bytes:
    cells = [rng.choice(texts) for texts in CELLS.values()]
    cells[0] = cells[0] if rng.random() < 0.02 else cells[0].replace("kite", f"kite {rng.randrange(10**9)}")
    surplus = rng.choice(("", "", "", ",,"))
    text = ",".join([prompt_id, *cells] if has_id else cells) + surplus
    return text.encode() + end + (b"\n" if rng.random() < 0.01 else b"")


Change = Callable[[random.Random, Lines, Callable[[], bytes]], Lines]
FAULTY = (
    b'x,"\n',
    b"a,b\n",
    b'w,A kite "x,,8K,,spring,2026-01-02,\n',
    b"w,A kite,,480p,,spring,2026-01-02,low,,junk\n",
)


def replaced(_: random.Random, lines: Lines, new: Callable[[], bytes]) -> Lines:
    return [new(), *lines[1:]]


def inserted(rng: random.Random, lines: Lines, new: Callable[[], bytes]) -> Lines:
    return [*(new() for _ in range(rng.choice((1, 5, 300)))), *lines]


def removed(rng: random.Random, lines: Lines, _: Callable[[], bytes]) -> Lines:
    return lines[rng.choice((1, 3, 300)) :]


def spaced(_: random.Random, lines: Lines, __: Callable[[], bytes]) -> Lines:
    return [b"\n", *lines]


def repeated(rng: random.Random, lines: Lines, _: Callable[[], bytes]) -> Lines:
    return [*lines, lines[0]] if rng.random() < 0.3 else lines


def broken(rng: random.Random, lines: Lines, _: Callable[[], bytes]) -> Lines:
    return [rng.choice(FAULTY), *lines] if rng.random() < 0.3 else lines


def ended(rng: random.Random, lines: Lines, _: Callable[[], bytes]) -> Lines:
    return [*lines[:-1], lines[-1].rstrip(b"\r\n") + rng.choice((b"", b"\n", b"\r\n"))] if lines else lines


CHANGES: tuple[Change, ...] = (replaced, replaced, replaced, inserted, removed, spaced, repeated, broken, ended)


def edited(rng: random.Random, lines: Lines, new: Callable[[], bytes]) -> Lines:
    """Returns the records after one of the changes that people make, at any place; or after some of them moved."""
    at, to = sorted((rng.randrange(len(lines)), rng.randrange(len(lines))))
    if rng.random() < 0.1:
        return [*lines[to:], *lines[at:to], *lines[:at]]
    changed = [*lines[:at], *rng.choice(CHANGES)(rng, lines[at:], new)]
    return changed if any(map(bytes.strip, changed)) else [new()]


PARTITIONS: tuple[Partitions, ...] = ("prompt", "prompt", SHARDS, DAYS, CAMPAIGNS)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_a_changed_table_is_the_same_with_and_without_an_index(seed: int) -> None:
    rng = random.Random(seed)
    has_id, end = rng.random() < 0.8, rng.choice((b"\n", b"\n", b"\r\n"))
    ids = iter(range(10**6))
    partitions = rng.choice(PARTITIONS)
    defaults: dict[str, Any] = {"resolution": "720p", "duration": 5}

    def new() -> bytes:
        return line_of(rng, f"row-{next(ids)}", end, has_id=has_id)

    names = ["positive_prompt", "negative_prompt", "resolution", "seed", "campaign", "date", "mood"]
    mark, surplus = rng.choice((b"", b"\xef\xbb\xbf")), rng.choice((b"", b",,"))
    header = mark + ",".join(["prompt_id", *names] if has_id else names).encode() + surplus + end
    lines = [new() for _ in range(rng.choice((3, 300, 900)))]
    with TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(6):
            (folder / "t.csv").write_bytes(header + b"".join(lines))
            accepted(reader_of(folder, PromptSource(folder / "t.csv", defaults=defaults), partitions), folder)
            before = lines
            for _ in range(rng.choice((1, 1, 3))):
                lines = edited(rng, lines, new)
            if rng.random() < 0.1:
                lines = before
            if rng.random() < 0.1:
                header = header.replace(b"mood", b"tone")
            if rng.random() < 0.1:
                defaults = {**defaults, "duration": 10}


HEADER = b"prompt_id,positive_prompt,resolution,duration,seed,campaign\n"


def rows_of(count: int) -> Lines:
    return [b"row-%d,A red kite over the sea %d,720p,5,%d,c%d\n" % (at, at, at, at % 3) for at in range(count)]


def stored(path: Path, lines: Lines) -> Path:
    path.write_bytes(HEADER + b"".join(lines))
    return path


def opened(reader: IndexedReader) -> tuple[IndexedFile, TableIndex]:
    known = TableIndex.load(reader.store.table_index(ASSET))
    file = IndexedFile.of(reader.partitioning.source, reader.partitioning.rule, 1)
    assert known is not None
    assert file is not None
    return file, known


def changed_rows(reader: IndexedReader, folder: Path) -> int:
    """Returns the number of rows that are read again; raises `IndexUnusableError` if all must be read."""
    file, known = opened(reader)
    with snapshot_writer(folder / "changed.parquet") as writer:
        changed = changed_table(file, known, reader.store.table(ASSET, known.version), writer, lambda _: ())
    return sum(map(len, changed.added))


@pytest.mark.slow
def test_only_the_blocks_with_changed_rows_are_read_again(tmp_path: Path) -> None:
    lines = rows_of(25_000)
    reader = reader_of(tmp_path, stored(tmp_path / "t.csv", lines))
    accepted(reader, tmp_path)
    for at in range(1_000, 25_000, 2_500):
        lines[at] = lines[at].replace(b"red", b"blue")
    del lines[12_345]
    stored(tmp_path / "t.csv", lines)

    assert changed_rows(reader, tmp_path) <= 12 * BLOCK
    accepted(reader, tmp_path)
    assert changed_rows(reader, tmp_path) <= BLOCK
    stored(tmp_path / "t.csv", [*lines[20_000:], *lines[:20_000], b"last,A boat,720p,5,1,c1\n"])
    assert changed_rows(reader, tmp_path) <= 4 * BLOCK
    accepted(reader, tmp_path)


def flipped(content: bytes) -> bytes:
    """Returns the content with one other bit in the middle."""
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "text", "old snapshot missing", "snapshot flipped"])
def test_a_damaged_or_missing_index_has_no_effect(tmp_path: Path, damage: str) -> None:
    lines = rows_of(600)
    reader = reader_of(tmp_path, stored(tmp_path / "t.csv", lines))
    accepted(reader, tmp_path)
    index = tmp_path / "store" / "table_indexes" / "videos_prompts.arrow"
    (snapshot,) = (tmp_path / "store" / "tables" / "videos_prompts").iterdir()
    content = index.read_bytes()
    if damage == "missing":
        index.unlink()
    elif damage == "old snapshot missing":
        snapshot.unlink()
    elif damage == "snapshot flipped":
        snapshot.write_bytes(flipped(snapshot.read_bytes()))
    else:
        index.write_bytes({"cut": content[:-100], "flipped": flipped(content), "text": b"index"}[damage])

    assert damage.endswith(("missing", "snapshot flipped")) or TableIndex.load(UPath(index)) is None
    stored(tmp_path / "t.csv", [*lines[:-1], b"last,A boat,720p,5,1,c1\n"])
    accepted(reader, tmp_path)
    assert changed_rows(reader, tmp_path) <= BLOCK


def test_an_id_that_occurs_in_two_blocks_is_a_problem_until_one_is_removed(tmp_path: Path) -> None:
    lines = rows_of(900)
    reader = reader_of(tmp_path, stored(tmp_path / "t.csv", lines), SHARDS)
    accepted(reader, tmp_path)

    stored(tmp_path / "t.csv", [*lines, b"row-300,Another,720p,5,1,c1\n"])
    (problem,) = accepted(reader, tmp_path).snapshot.summary.findings
    assert "already the id of row 301" in problem.first.rule
    stored(tmp_path / "t.csv", [*lines, b"row-1300,Another,720p,5,1,c1\n"])
    assert accepted(reader, tmp_path).snapshot.is_valid
    stored(tmp_path / "t.csv", [*lines, *lines[256:512]])
    assert accepted(reader, tmp_path).snapshot.summary.problem_count == 256


def test_a_table_that_loses_all_rows_is_an_error_also_with_an_index(tmp_path: Path) -> None:
    reader = reader_of(tmp_path, stored(tmp_path / "t.csv", rows_of(600)))
    accepted(reader, tmp_path)
    stored(tmp_path / "t.csv", [])

    with pytest.raises(PromptTableError, match="has no rows"):
        accepted(reader, tmp_path)


@pytest.mark.parametrize("options", [{"defaults": {"negative_prompt": "blurry"}}, {"extra": "refuse"}])
def test_an_index_is_not_used_with_other_options(tmp_path: Path, options: Any) -> None:
    path = stored(tmp_path / "t.csv", rows_of(600))
    accepted(reader_of(tmp_path, path), tmp_path)

    other = reader_of(tmp_path, PromptSource(path, **options))
    with pytest.raises(IndexUnusableError):
        changed_rows(other, tmp_path)
    accepted(other, tmp_path)


def test_tables_whose_rows_depend_on_more_than_their_records_have_no_index(tmp_path: Path) -> None:
    path = stored(tmp_path / "t.csv", rows_of(600))
    seeds = tmp_path / "seeds.csv"
    seeds.write_bytes(b"prompt,resolution,duration,seeds\nA kite,720p,5,2\n")
    image = tmp_path / "image.csv"
    Image.new("RGB", (1280, 720)).save(tmp_path / "kite.png")
    image.write_bytes(b"prompt,frame_image,duration\nA kite,kite.png,5\n")
    secret = tmp_path / "secret.csv"
    secret.write_bytes(b"prompt,resolution,duration,webhook_url\nA kite,720p,5,https://example.com/secret\n")
    repeats = tmp_path / "repeats.csv"
    repeats.write_bytes(b"prompt,resolution,duration\nA kite,720p,5\nA kite,720p,5\n")
    readers = [
        reader_of(tmp_path, PromptSource(path, seeds=2)),
        reader_of(tmp_path, lambda: path),
        reader_of(tmp_path, path, SHARDS, partition_key_of=lambda _: "a"),
        *(reader_of(tmp_path, each) for each in (seeds, image, secret, repeats)),
    ]

    for reader in readers:
        assert accepted(reader, tmp_path).snapshot.is_valid
    assert not (tmp_path / "store" / "table_indexes").exists()


def test_a_file_that_changes_while_it_is_read_is_read_as_a_whole(tmp_path: Path) -> None:
    lines = rows_of(600)
    reader = reader_of(tmp_path, stored(tmp_path / "t.csv", lines))
    accepted(reader, tmp_path)
    file, known = opened(reader)

    def rewritten(_: Chunk) -> tuple[str, ...]:
        stored(tmp_path / "t.csv", [*lines, b"last,A boat,720p,5,1,c1\n"])
        return ()

    with pytest.raises(IndexUnusableError), snapshot_writer(tmp_path / "changed.parquet") as writer:
        changed_table(file, known, reader.store.table(ASSET, known.version), writer, rewritten)


def ticked(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, folder: Path, cursor: str | None
) -> dg.SensorResult:
    store = VideoStoreResource(root=str(folder / "store"))
    result = sensor(dg.build_sensor_context(instance=instance, cursor=cursor, resources={"store": store}))
    assert isinstance(result, dg.SensorResult)
    return result


@pytest.mark.slow
def test_a_tick_reads_the_blocks_of_changed_rows_and_of_an_unchanged_table_no_row(tmp_path: Path) -> None:
    lines = rows_of(SMALLEST_BYTES // 40)
    path = stored(tmp_path / "t.csv", lines)
    sensor = build_video_sensor(prompts=path, partitions=SHARDS)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        with counted_calls(shard_of) as first:
            cursor = ticked(sensor, instance, tmp_path, None).cursor
        with counted_calls(shard_of) as unchanged:
            skipped = ticked(sensor, instance, tmp_path, cursor).skip_reason
        for at in range(1_000, 21_000, 1_000):
            lines[at] = lines[at].replace(b"red", b"blue")
        stored(path, lines)
        with counted_calls(shard_of) as changed:
            ticked(sensor, instance, tmp_path, cursor)

    assert first["shard_of"] == len(lines), "each row is assigned to its partition"
    assert "has not changed" in str(skipped)
    assert unchanged["shard_of"] == 0
    assert 20 <= changed["shard_of"] <= 21 * BLOCK


@pytest.mark.slow
def test_a_tick_that_reads_many_rows_leaves_partitions_to_be_recorded_to_the_next(tmp_path: Path) -> None:
    path = stored(tmp_path / "t.csv", rows_of(SMALLEST_BYTES // 40))
    shards = dg.StaticPartitionsDefinition([f"s{number}" for number in range(290)])
    sensor = build_video_sensor(prompts=path, partitions=shards)
    recorded = []
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        cursor = None
        for _ in range(2):
            cursor = ticked(sensor, instance, tmp_path, cursor).cursor
            recorded.append(len(instance.get_materialized_partitions(dg.AssetKey("videos_requests"))))

    assert recorded == [300 - SMALLEST_BYTES // 40_000, 290]


@pytest.mark.slow
def test_the_sensor_requests_the_shards_of_changed_rows_of_a_large_table(tmp_path: Path) -> None:
    lines = rows_of(SMALLEST_BYTES // 40)
    path = stored(tmp_path / "t.csv", lines)
    shards = dg.StaticPartitionsDefinition(["a", "b", "c"])
    sensor = build_video_sensor(prompts=path, partitions=shards)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        first = ticked(sensor, instance, tmp_path, None)
        assert len(first.run_requests or ()) == 3
        lines[-1] = lines[-1].replace(b"red", b"blue")
        stored(path, lines)
        second = ticked(sensor, instance, tmp_path, first.cursor)

        before, after = (
            {request.partition_key: request.run_key for request in each.run_requests or ()} for each in (first, second)
        )
        shard = shard_of(f"row-{len(lines) - 1}", ["a", "b", "c"])
        assert {key for key in before if before[key] != after[key]} == {shard}
        records = instance.fetch_materializations(dg.AssetKey("videos_prompts"), limit=5).records
        metadata = [record.asset_materialization.metadata for record in records if record.asset_materialization]
        differing = {name for name in metadata[0] if metadata[0][name] != metadata[1][name]}
        assert differing == {"dagster/uri", "wan_assets/table_version"}
        assert (tmp_path / "store" / "table_indexes" / "videos_prompts.arrow").exists()


def test_a_small_table_has_no_index(tmp_path: Path) -> None:
    reader = replace(reader_of(tmp_path, stored(tmp_path / "t.csv", rows_of(600))), smallest_bytes=SMALLEST_BYTES)

    assert reader.read(reader.partitioning.source, tmp_path / "new.parquet").index is None


@pytest.mark.parametrize("start", ["row", "it's", "back\\slash", "é\u200b"])
@pytest.mark.parametrize("count", [0, 1, 10_000, 10_001])
def test_the_version_of_a_table_is_that_of_release_0_1_0(start: str, count: int) -> None:
    versions = {f"{start}{at * 7919 % 100_003}": f"{at:064x}" for at in range(count)}

    expected = hashlib.sha256(repr(sorted(versions.items())).encode()).hexdigest()
    assert TableSnapshot(Summary(), versions).version == expected
