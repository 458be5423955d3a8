"""What a second export does to the files of the first, and what none may touch."""

from __future__ import annotations

import hashlib
import re
import tarfile
from pathlib import Path

import pytest
from engine_support import request_of
from export_support import ROWS, SMALL, Shelf, changed, files_in, row_in, row_of, table_of
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from wan_assets.errors import ExportError, PromptTableError
from wan_assets.export import FORMATS, ExportOptions, split_of
from wan_assets.export.shards import shards_of
from wan_assets.models.url_secrets import public_part_of, without_secrets_of
from wan_assets.prompts import PromptTable

MARKER = ".wan-assets-export.json"
EVIL = ("../../evil", "/evil", "..\\evil", "C:evil", "a/../../b", "con", ".hidden", "a\x00b", "x" * 5000, "test", "é")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A store and a ledger in a folder of their own."""
    return Shelf(tmp_path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where exports go unless another folder is named."""
    return tmp_path / "out"


@pytest.mark.parametrize("format_", FORMATS)
def test_a_second_export_of_the_same_writes_no_file(shelf, out, format_):
    table = shelf.buy(*ROWS)
    first = shelf.export(table, format_, **SMALL)
    before = files_in(out)

    second = shelf.export(table, format_, **SMALL)

    assert changed(before, files_in(out)) == set()
    assert (first.changes.unchanged, first.changes.written) == (0, len(before) - 1)
    assert (second.changes.written, second.changes.unchanged, second.changes.removed) == (0, len(before) - 1, 0)
    assert second.version == first.version


@pytest.mark.parametrize("format_", ["videofolder", "parquet"])
def test_a_new_row_writes_its_video_and_what_names_it_in_its_split_alone(shelf, out, format_):
    shelf.export(shelf.buy(*ROWS), format_)
    before = files_in(out)

    exported = shelf.export(shelf.buy(*ROWS, row_in("validation", "new")), format_)

    new = changed(before, files_in(out))
    names = "validation/metadata.jsonl" if format_ == "videofolder" else "data/validation.parquet"
    assert len(new) == 4
    assert new > {"README.md", MARKER, names}
    assert exported.changes.written == 3


def test_a_new_row_writes_one_shard_of_many(shelf, out):
    shelf.export(shelf.buy(*ROWS), "webdataset", validation=0, **SMALL)
    before = files_in(out)

    shelf.export(shelf.buy(row_of("new", number=1), *ROWS), "webdataset", validation=0, **SMALL)

    shards = {name for name in changed(before, files_in(out)) if name.endswith(".tar")}
    assert len([name for name in before if name.endswith(".tar")]) >= 4
    written = {name for name in shards if (out / name).exists()}
    assert len(written) == 1


@pytest.mark.parametrize("format_", FORMATS)
def test_a_row_that_is_gone_takes_its_files_with_it(shelf, out, format_):
    shelf.export(shelf.buy(*ROWS), format_, validation=0, **SMALL)
    (gone,) = shelf.store.root.glob(f"videos/*/{ROWS[0].request.fingerprint()}/*.mp4")
    held = gone.read_bytes()

    exported = shelf.export(table_of(*ROWS[1:]), format_, validation=0, **SMALL)

    assert exported.changes.removed >= (format_ != "webdataset")
    assert not [path for path in out.rglob("*") if path.is_file() and held in path.read_bytes()]
    assert not [path for path in out.rglob("*") if path.is_dir() and not any(path.iterdir())]


@pytest.mark.parametrize("format_", FORMATS)
def test_an_edited_note_writes_no_video_anew(shelf, out, format_):
    rows = [row_of(f"p{number}", number=number, note="old") for number in range(3)]
    shelf.export(shelf.buy(*rows), format_, validation=0)
    before = files_in(out)

    exported = shelf.export(table_of(*rows[:2], row_of("p2", number=2, note="new")), format_, validation=0)

    names = {"videofolder": "train/metadata.jsonl", "parquet": "data/train.parquet", "webdataset": "train/shard.tar"}
    assert changed(before, files_in(out)) - {MARKER} == {names[format_]}
    assert exported.changes.written == 1


def test_a_video_bought_anew_replaces_the_old_one(shelf, out):
    shelf.export(shelf.buy(ROWS[0]), "videofolder")
    before = {path.name for path in out.rglob("*.mp4")}
    (sidecar,) = shelf.store.root.glob("videos/*/*/*.json")
    (old,) = shelf.store.root.glob("videos/*/*/*.mp4")
    reported = sidecar.read_text()
    digest = min(before).removesuffix(".mp4")
    new = old.read_bytes()[::-1]
    old.write_bytes(new)
    sidecar.write_text(reported.replace(digest, hashlib.sha256(new).hexdigest()))

    shelf.export(table_of(ROWS[0]), "videofolder")

    (after,) = out.rglob("*.mp4")
    assert after.name not in before
    assert after.read_bytes() == new


def test_files_that_are_missing_or_cut_short_are_written_again(shelf, out):
    table = shelf.buy(*ROWS)
    shelf.export(table, "videofolder")
    whole = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    first, second, *_ = sorted(out.rglob("*.mp4"))
    first.unlink()
    second.write_bytes(b"cut short")
    (out / "README.md").unlink()

    exported = shelf.export(table, "videofolder")

    assert exported.changes.written == 3
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == whole


def test_a_folder_that_holds_anything_else_is_left_as_it_is(shelf, out):
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")

    with pytest.raises(ExportError, match=r"thesis\.txt"):
        shelf.export(shelf.buy(*ROWS), "videofolder")

    assert list(files_in(out)) == ["thesis.txt"]


def test_what_others_put_beside_an_export_stays(shelf, out):
    shelf.export(shelf.buy(*ROWS[:4]), "videofolder")
    for name in ("notes.txt", "train/mine.mp4", ".git/config", "train/metadata.csv"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("mine")

    shelf.export(table_of(), "videofolder")

    assert sorted(files_in(out)) == [
        ".git/config",
        MARKER,
        "README.md",
        "notes.txt",
        "train/metadata.csv",
        "train/mine.mp4",
    ]


def test_an_export_of_another_format_is_not_replaced(shelf, out):
    shelf.export(shelf.buy(*ROWS[:4]), "videofolder")
    before = files_in(out)

    with pytest.raises(ExportError, match="videofolder"):
        shelf.export(table_of(*ROWS[:2]), "parquet")

    assert changed(before, files_in(out)) == set()


@pytest.mark.parametrize("said", ["", "[]", "{}", '{"format": "videofolder", "files": 3}', "\xff"])
def test_a_broken_list_of_what_is_there_is_told_and_nothing_is_touched(shelf, out, said):
    shelf.export(shelf.buy(*ROWS[:4]), "videofolder")
    (out / MARKER).write_bytes(said.encode("latin-1"))
    before = files_in(out)

    with pytest.raises(ExportError, match=r"wan-assets-export\.json"):
        shelf.export(table_of(*ROWS[:2]), "videofolder")

    assert changed(before, files_in(out)) == set()


def test_a_table_with_problems_writes_nothing(shelf, out):
    path = shelf.folder / "prompts.csv"
    path.write_text("positive_prompt,duration\nA kite,7\n")
    table = PromptTable.load(path)

    with pytest.raises(PromptTableError):
        shelf.export(table, "videofolder")

    assert not out.exists()


@pytest.mark.parametrize("format_", ["videofolder", "parquet"])
def test_links_share_the_stores_files_and_copies_do_not(shelf, out, tmp_path, format_):
    table = shelf.buy(*ROWS)

    linked = shelf.export(table, format_, links=True)
    copied = shelf.export(table, format_, root=tmp_path / "copies")

    stored = {path.stat().st_ino for path in (tmp_path / "store").rglob("*.mp4")}
    assert {path.stat().st_ino for path in out.rglob("*.mp4")} == stored
    assert not {path.stat().st_ino for path in (tmp_path / "copies").rglob("*.mp4")} & stored
    assert (linked.changes.linked, copied.changes.linked) == (12, 0)


@pytest.mark.parametrize("format_", FORMATS)
def test_an_object_store_takes_an_export_and_keeps_it_in_step(shelf, tmp_path, format_):
    root, links = f"memory://exports-of-a-test/{format_}", format_ != "webdataset"
    local = shelf.export(shelf.buy(*ROWS), format_, root=tmp_path / "local", **SMALL)

    shelf.export(shelf.buy(*ROWS[:6]), format_, root=root, links=links, **SMALL)
    exported = shelf.export(shelf.buy(*ROWS), format_, root=root, links=links, **SMALL)
    again = shelf.export(shelf.buy(*ROWS), format_, root=root, links=links, **SMALL)

    assert exported.version == again.version == local.version
    assert (again.changes.written, exported.changes.linked) == (0, 0)
    for name in files_in(tmp_path / "local"):
        assert (UPath(root) / name).read_bytes() == (tmp_path / "local" / name).read_bytes()
    assert len(UPath(root).fs.find(UPath(root).path)) == len(files_in(tmp_path / "local"))


def test_videos_come_from_an_object_store_too(tmp_path, out):
    shelf = Shelf(tmp_path, "memory://videos-of-a-test")

    exported = shelf.export(shelf.buy(*ROWS), "videofolder", links=True)

    assert (exported.changes.written, exported.changes.linked) == (15, 0)
    assert len(list(out.rglob("*.mp4"))) == 12


@pytest.mark.parametrize("format_", FORMATS)
def test_a_file_that_is_not_what_was_stored_is_told_and_not_exported(shelf, out, format_):
    table = shelf.buy(*ROWS[:3])
    bad = min((shelf.folder / "store").rglob("*.mp4"))
    bad.write_bytes(bytes(bad.stat().st_size))

    with pytest.raises(ExportError, match="does not match its SHA-256"):
        shelf.export(table, format_)

    assert not [path for path in out.rglob("*") if path.is_file() and bytes(100) in path.read_bytes()]


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    "evil",
    ["../../evil", "/evil", "..\\evil", "C:evil", "a/../../b", "con", ".hidden", "a\x00b", "x" * 5000, "test", "…/é"],
)
def test_no_prompt_id_leads_anywhere_nor_is_part_of_a_name(shelf, tmp_path, format_, evil):
    place = tmp_path / "deep" / "er" / "out"

    shelf.export(shelf.buy(row_of(evil, request_of("A kite"))), format_, root=place, validation=0)

    found = [path.relative_to(tmp_path / "deep") for path in (tmp_path / "deep").rglob("*") if path.is_file()]
    assert all(re.fullmatch(r"er/out/[\w./-]+", str(path), re.ASCII) for path in found)
    for shard in place.rglob("*.tar"):
        with tarfile.open(shard) as tar:
            assert all(re.fullmatch(r"[0-9a-f]{32}-1\.(?:mp4|json|txt)", name) for name in tar.getnames())


def test_a_sidecar_cannot_name_a_file_of_its_own_choice(shelf, out):
    table = shelf.buy(ROWS[0])
    (sidecar,) = shelf.store.root.glob("videos/*/*/*.json")
    reported = sidecar.read_text()

    for field, evil in (("sha256", "../../../evil"), ("sha256", "A" * 64)):
        sidecar.write_text(re.sub(rf'"{field}": "[^"]*"', f'"{field}": "{evil}"', reported))
        with pytest.raises(ExportError, match="SHA-256"):
            shelf.export(table, "videofolder")

    assert list(files_in(out)) == [MARKER]


def test_rows_that_are_added_move_no_other_and_a_larger_share_keeps_what_a_smaller_one_held():
    prints = [request_of(f"Clip {number}").fingerprint() for number in range(2_000)]

    small, large = ({print_ for print_ in prints if split_of(print_, share) == "validation"} for share in (0.1, 0.25))

    assert small < large
    assert 150 < len(small) < 250
    assert 420 < len(large) < 580
    assert {split_of(print_, 0.0) for print_ in prints} == {"train"}
    assert {split_of(print_, 1.0) for print_ in prints} == {"validation"}


def test_the_split_of_a_request_is_the_same_in_every_version():
    found = [split_of(f"{number:064x}", 0.5) for number in range(6)]

    assert found == ["validation", "train", "validation", "train", "validation", "validation"]


class Piece:
    """A sample of a shard."""

    def __init__(self, number: int, size: int) -> None:
        self.key = f"{hashlib.sha256(str(number).encode()).hexdigest()[:32]}-1"
        self.size = size


@given(st.dictionaries(st.integers(0, 10_000), st.integers(1, 50), max_size=60), st.integers(1, 200))
def test_shards_hold_every_sample_once_and_no_more_than_they_may(sizes, maximum):
    pieces = [Piece(number, size) for number, size in sizes.items()]

    shards = dict(shards_of(pieces, maximum))

    held = [piece for some in shards.values() for piece in some]
    assert sorted(piece.key for piece in held) == sorted(piece.key for piece in pieces)
    assert all(len(some) == 1 or sum(piece.size for piece in some) <= maximum for some in shards.values())


@given(st.sets(st.integers(0, 10_000), min_size=20, max_size=80), st.integers(10_001, 10_050))
def test_one_more_sample_changes_one_shard_or_cuts_it(numbers, new):
    pieces = [Piece(number, 10) for number in sorted(numbers)]

    before = {bits: [piece.key for piece in some] for bits, some in shards_of(pieces, 100)}
    after = {bits: [piece.key for piece in some] for bits, some in shards_of([Piece(new, 10), *pieces], 100)}

    gone = [bits for bits in before if before[bits] != after.get(bits)]
    assert len(gone) <= 1
    assert all(bits.startswith(gone[0]) for bits in after if after[bits] != before.get(bits) and gone)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("sftp://me:secret@host/out", "sftp://host/out"),
        ("https://host/out?sig=secret", "https://host/out"),
        ("s3://bucket/a@b", "s3://bucket/a@b"),
        ("/home/me@work/out?", "/home/me@work/out?"),
    ],
)
def test_addresses_are_shown_and_quoted_without_secrets(address, said):
    assert public_part_of(address) == said
    assert "secret" not in without_secrets_of(address, f"cannot open {address}")


def test_a_target_that_cannot_be_written_is_told_without_its_secrets(shelf):
    with pytest.raises(ExportError) as reported:
        shelf.export(shelf.buy(ROWS[0]), "videofolder", root="nothing://me:secret@host/out")

    assert "secret" not in str(reported.value)
    assert "nothing://host/out" in str(reported.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "zip"}, "zip"),
        ({"format": "parquet", "validation": 1.5}, "validation"),
        ({"format": "webdataset", "shard_bytes": 0}, "shard_bytes"),
        ({"format": "webdataset", "links": True}, "links"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        ExportOptions(**options)
