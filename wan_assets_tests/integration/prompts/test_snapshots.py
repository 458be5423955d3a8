"""Snapshots of accepted tables: the rows are read exactly as they were, from any place, or not at all."""

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from wan_assets.errors import NoSnapshotError, PromptTableError
from wan_assets.prompts import PromptTable, Snapshot, scan, signature_of, snapshot_writer
from wan_assets.store import VideoStore

PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000500000002d0080200000081f3d2e20000000049454e44ae426082")

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
ends = st.sampled_from(["", " ", "\r\n", "\ufeff"])
texts = st.builds(lambda before, word, after: f"{before}A kite {word}{after}", words, words, ends)
row = st.fixed_dictionaries(
    {"positive_prompt": texts, "resolution": st.sampled_from(["480p", "720p", "1080p"])},
    optional={
        "negative_prompt": texts,
        "seed": st.integers(0, 2147483647),
        "duration": st.sampled_from([5, "10"]),
        "number_results": st.integers(1, 4),
        "output_format": st.sampled_from(["mp4", "WEBM"]),
        "outputQuality": st.just(95),
        "ttl": st.integers(60, 1000),
        "webhook_url": st.just("https://hooks.example.com"),
        "provider_settings.alibaba.audio": st.booleans(),
        "providerSettings.alibaba.promptExtend": st.booleans(),
        "safety": st.sampled_from([{"checkContent": True}, {"mode": "fast"}, {}]),
        "x_note": words,
        "meta.Größe": words,
        "date": st.dates().map(str),
        "priority": st.integers(-5, 5),
    },
)
image = st.sampled_from(
    [
        {},
        {"inputs.frame_images": "https://example.com/a.png?v=2"},
        {"inputs.frame_images": '[{"image": "kite.png", "frame": "first"}]'},
        {"frame_image": "kite.png"},
        {"inputs": {"audio": "5f0c1c9e-6a5e-4c53-9f5a-3b1d4c3b2a10"}},
    ]
)
rows = st.lists(st.builds(lambda one, media: {**one, **media}, row, image), min_size=1, max_size=6)


def snapshot_of(table: object, folder: Path, chunk_rows: int = 10_000) -> Path:
    """The snapshot of a table in a file named by its content, as a store names it."""
    path = folder / "new.parquet"
    with snapshot_writer(path) as writer:
        for chunk in scan(table, chunk_rows):
            writer.add(chunk)
    return path.rename(folder / f"{hashlib.sha256(path.read_bytes()).hexdigest()}.parquet")


def state_of(table: PromptTable) -> list[tuple[object, ...]]:
    """All that a run takes from a row."""
    return [
        (
            one,
            one.priority,
            list(one.extra.items()),
            one.request.fingerprint(),
            one.request.former_fingerprint(),
            one.request.to_record(),
            one.request.to_task("t", dict.fromkeys(one.request.uploads, "u")),
        )
        for one in table.rows
    ]


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(rows=rows, chunk_rows=st.sampled_from([1, 2, 10_000]))
def test_a_snapshot_contains_every_row_exactly_as_it_was_read(tmp_path_factory, rows, chunk_rows):
    folder = tmp_path_factory.mktemp("table")
    (folder / "kite.png").write_bytes(PNG)
    source = folder / "prompts.jsonl"
    source.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    table = PromptTable.load(source)

    again = PromptTable.load(snapshot_of(source, folder, chunk_rows))

    assert again.problems == ()
    assert state_of(again) == state_of(table)
    assert dict(again.media) == {name: path.absolute() for name, path in table.media.items()}


def test_a_snapshot_of_several_files_keeps_their_names_and_lines(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"prompt_id,prompt,resolution\n\n{name},A kite,480p\n")
    table = PromptTable.load(tmp_path / "*.csv")

    again = PromptTable.load(snapshot_of(tmp_path / "*.csv", tmp_path))

    assert [(one.file, one.line, one.number) for one in again.rows] == [("a.csv", 3, 1), ("b.csv", 3, 1)]
    assert again.rows == table.rows


@pytest.mark.slow
def test_a_large_table_is_written_and_read_in_groups_of_rows(tmp_path):
    frame = pd.DataFrame({"prompt": [f"A kite {at}" for at in range(10_001)], "resolution": "480p"})
    path = snapshot_of(PromptTable.load(frame), tmp_path)

    assert pq.ParquetFile(path).num_row_groups == 2
    assert [len(chunk.rows) for chunk in scan(path, 4000)] == [4000, 4000, 2001]


def test_a_snapshot_is_stored_once_under_its_hash_and_apart_from_videos(tmp_path):
    store = VideoStore(tmp_path / "store")
    frame = pd.DataFrame({"prompt": ["A kite"], "resolution": ["480p"]})

    stored = [store.put_table(snapshot_of(frame, tmp_path), ["studio", "videos_prompts"]) for _ in range(2)]

    assert stored[0] == stored[1]
    assert Path(stored[0].path).parent == tmp_path / "store" / "tables" / "studio" / "videos_prompts"
    assert hashlib.sha256(Path(stored[0].path).read_bytes()).hexdigest() == stored[0].stem
    assert len(PromptTable.load(str(stored[0]))) == 1


def test_a_snapshot_with_other_bytes_is_refused(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, prompt in ((one, "A kite"), (other, "A boat")):
        folder.mkdir()
        snapshot_of(pd.DataFrame({"prompt": [prompt], "resolution": ["480p"]}), folder)
    (path,), (wrong,) = one.iterdir(), other.iterdir()
    shutil.copy(wrong, path)

    with pytest.raises(PromptTableError, match="does not contain the stored bytes"):
        PromptTable.load(path)


def test_a_snapshot_that_is_gone_is_named(tmp_path):
    file = VideoStore(tmp_path).table(["videos_prompts"], "0" * 64)

    with pytest.raises(NoSnapshotError, match=rf"{'0' * 64}\.parquet is missing from the store"):
        PromptTable.load(Snapshot({"": file}))


def test_a_parquet_table_of_the_user_is_no_snapshot(tmp_path):
    path = tmp_path / "prompts.parquet"
    pd.DataFrame({"prompt": ["A kite"], "resolution": ["480p"], "x_note": ["a"]}).to_parquet(path)

    assert [one.extra for one in PromptTable.load(path).rows] == [{"x_note": "a"}]


def test_an_address_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(PromptTableError, match=r"gone\.parquet does not exist"):
        PromptTable.load(f"file://{tmp_path}/gone.parquet")


def test_an_id_in_two_parts_of_a_table_is_a_problem(tmp_path):
    frame = pd.DataFrame({"prompt_id": ["a", "b"], "prompt": ["A kite", "A boat"], "resolution": "480p"})
    store = VideoStore(tmp_path)
    files = {
        part: store.put_table(snapshot_of(frame.iloc[at:], tmp_path), ["videos_prompts"])
        for at, part in enumerate(("monday", "tuesday"))
    }

    table = PromptTable.load(Snapshot(files))

    assert [(one.file, one.prompt_id) for one in table.rows] == [("monday", "a"), ("monday", "b")]
    (problem,) = table.problems
    assert (problem.file, problem.row, problem.column, problem.value) == ("tuesday", 1, "prompt_id", "b")
    assert problem.rule == "is already the id of row 2 of monday"
    assert signature_of(Snapshot(files)) != signature_of(Snapshot({"monday": files["monday"]}))


def test_derived_ids_of_equal_rows_differ_between_parts():
    frame = pd.DataFrame({"prompt": ["A kite", "A kite"], "resolution": "480p"})

    ids = [[one.prompt_id for chunk in scan(frame, part=part) for one in chunk.rows] for part in ("", "x", "y", "x")]

    assert len({prompt_id for some in ids for prompt_id in some}) == 6
    assert ids[1] == ids[3]


def test_tables_of_arrow_and_frames_by_partition_are_sources():
    frame = pd.DataFrame({"prompt": ["A kite"], "resolution": ["480p"], "seed": [7]})

    by_part = PromptTable.load({"monday": frame, "tuesday": frame.assign(prompt="A boat")})

    assert PromptTable.load(pa.Table.from_pandas(frame)).rows == PromptTable.load(frame).rows
    assert [(one.file, one.request.positive_prompt) for one in by_part.rows] == [
        ("monday", "A kite"),
        ("tuesday", "A boat"),
    ]


def test_a_snapshot_in_a_bucket_is_read_from_its_address(tmp_path, bucket):
    store = VideoStore(bucket)
    frame = pd.DataFrame({"prompt": ["A kite"], "resolution": ["480p"], "x_note": ["a"]})

    file = [store.put_table(snapshot_of(frame, tmp_path), ["videos_prompts"]) for _ in range(2)][-1]

    assert str(file) == f"{bucket}/tables/videos_prompts/{file.stem}.parquet"
    assert PromptTable.load(Snapshot({"": file})).rows == PromptTable.load(frame).rows
    assert PromptTable.load(str(file)).rows == PromptTable.load(frame).rows
    with pytest.raises(NoSnapshotError):
        PromptTable.load(Snapshot({"": store.table(["videos_prompts"], "0" * 64)}))


SECRETS = {
    "webhook_url": "https://hooks.example.com/services/0123456789abcdef",
    "upload_endpoint": "https://bucket.example.com/a.mp4?sig=0123456789abcdef",
    "inputs.frame_images": '[{"image": "https://me:0123456789abcdef@example.com/a.png", "frame": "first"}]',
    "frame_image": "https://example.com/a.png?v=0123456789abcdef",
}


@pytest.mark.parametrize("column", SECRETS)
def test_a_snapshot_contains_no_secret_of_an_address_and_names_the_row_that_had_one(tmp_path, column):
    rows = [{"prompt_id": "kite", "positive_prompt": "A kite", "resolution": "480p"}]
    rows.append({"prompt_id": "boat", "positive_prompt": "A boat", column: SECRETS[column]})
    if column in ("webhook_url", "upload_endpoint"):
        rows[1]["resolution"] = "480p"
    source = tmp_path / "prompts.jsonl"
    source.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    assert PromptTable.load(source).problems == ()

    path = snapshot_of(source, tmp_path)

    again = PromptTable.load(path)
    assert b"0123456789abcdef" not in b"".join(str(each).encode() for each in pq.read_table(path).to_pylist())
    assert Snapshot({"": UPath(path)}).has_secrets_left_out
    assert [found.prompt_id for found in again.rows] == ["kite"]
    assert [(found.row, found.prompt_id) for found in again.problems] == [(2, "boat")]
    assert "0123456789abcdef" not in str(again.problems[0])


def test_a_table_without_secrets_has_nothing_left_out(tmp_path):
    source = tmp_path / "prompts.txt"
    source.write_text("A kite\nA boat\n", encoding="utf-8")

    assert not Snapshot({"": UPath(snapshot_of(source, tmp_path))}).has_secrets_left_out


def test_only_the_rows_with_given_ids_are_read(tmp_path):
    source = tmp_path / "prompts.csv"
    lines = [
        f"{name},A kite {name},480p,{'https://h.example.com/?token=s3cr3t' if name == 'c' else ''}" for name in "abcd"
    ]
    source.write_text("\n".join(["prompt_id,prompt,resolution,webhook_url", *lines]))
    table = PromptTable.load(source)
    file = UPath(snapshot_of(source, tmp_path))

    found = PromptTable.load(Snapshot({"": file}, frozenset({"d", "b", "unknown"})))

    assert [one.number for one in found.rows] == [2, 4]
    assert found.rows == (table.by_id["b"], table.by_id["d"])
    assert found.problems == ()
    assert [problem.prompt_id for problem in PromptTable.load(Snapshot({"": file}, frozenset({"c"}))).problems] == ["c"]
