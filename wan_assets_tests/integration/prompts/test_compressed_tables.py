"""Compressed text tables: they read like the uncompressed ones, and a damaged file is an error and no shorter table."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from wan_assets import PromptTable
from wan_assets.errors import PromptTableError
from wan_assets.prompts import scan
from wan_assets.prompts.compression import DecompressionError, decompressed

CSV = "prompt,resolution,seed\n" + "".join(f"A kite number {at},720p,{at}\n" for at in range(3000))
TEXTS = {
    ".csv": CSV,
    ".tsv": CSV.replace(",", "\t"),
    ".jsonl": '{"prompt": "A kite", "resolution": "720p"}\n' * 3,
    ".ndjson": '{"prompt": "A kite", "resolution": "720p"}\n' * 3,
    ".json": '[{"prompt": "A kite", "resolution": "720p"}]',
    ".txt": "A red kite\nA blue boat\n",
}


def zipped(content: bytes, *names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("prompts.csv",):
            archive.writestr(name, content)
    return target.getvalue()


def zstd(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd,
    ".zip": zipped,
}
EACH = pytest.mark.parametrize("suffix", COMPRESS)


def file_of(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@EACH
@pytest.mark.parametrize("format_", TEXTS)
def test_a_compressed_table_has_the_rows_of_the_plain_one(tmp_path: Path, format_: str, suffix: str) -> None:
    plain = file_of(tmp_path, f"t{format_}", TEXTS[format_].encode("utf-8-sig"))
    compressed = file_of(tmp_path, f"t{format_.upper()}{suffix}", COMPRESS[suffix](plain.read_bytes()))

    found, expected = PromptTable.load(compressed), PromptTable.load(plain)

    assert found.problems == ()
    assert [(row.prompt_id, row.request, row.line) for row in found.rows] == [
        (row.prompt_id, row.request, row.line) for row in expected.rows
    ]
    plain.unlink()
    assert len(PromptTable.load(tmp_path)) == len(expected)


@EACH
def test_a_damaged_file_is_an_error_that_names_it_and_no_shorter_table(tmp_path: Path, suffix: str) -> None:
    whole = COMPRESS[suffix](CSV.encode())
    damaged = {
        "cut": whole[:-9],
        "half": whole[: len(whole) // 2],
        "empty": b"",
        "plain": CSV.encode(),
        "other": (bz2.compress if suffix == ".gz" else gzip.compress)(CSV.encode()),
    }
    if suffix != ".zip":
        damaged |= {"trailing": whole + b"something else", "second": whole + whole[:-9]}
    if suffix != ".zst":  # Arrow writes no checksums into it
        at = len(whole) // 2
        damaged["bent"] = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]

    for name, content in damaged.items():
        path = file_of(tmp_path, f"{name}.csv{suffix}", content)
        with pytest.raises(PromptTableError) as caught:
            PromptTable.load(path)
        assert str(caught.value).startswith(f"{path} is ")
        assert not caught.value.is_unavailable


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_all_parts_of_a_file_that_was_written_in_parts_are_read(tmp_path: Path, suffix: str) -> None:
    head, _, rest = CSV.partition("A kite number 2000")
    parts = COMPRESS[suffix](head.encode()) + COMPRESS[suffix](f"A kite number 2000{rest}".encode())

    assert len(PromptTable.load(file_of(tmp_path, f"t.csv{suffix}", parts))) == 3000


@EACH
def test_a_file_that_expands_without_end_is_refused(tmp_path: Path, suffix: str) -> None:
    line, text = b"x" * 300_000, b"x\n" * 150_000
    bomb, lines = (
        file_of(tmp_path, f"{name}{suffix}", COMPRESS[suffix](content)) for name, content in (("a", line), ("b", text))
    )

    def read(path: Path, *, at_once: bool) -> int:
        with decompressed(path, suffix, is_read_at_once=at_once, max_bytes=200_000) as file:
            return sum(map(len, iter(lambda: file.read(10_000), b"")))

    assert read(lines, at_once=False) == 300_000
    for path, at_once, said in ((bomb, False, "a line of more than"), (lines, True, "expands to more than")):
        with pytest.raises(DecompressionError, match=said):
            read(path, at_once=at_once)


def test_the_first_bytes_are_those_of_the_text(tmp_path: Path) -> None:
    for name, content, said in (
        ("a.csv.gz", gzip.compress(gzip.compress(CSV.encode())), "compressed with gzip; add .gz to its name"),
        ("b.csv.gz", gzip.compress(CSV.encode("utf-16")), "is UTF-16"),
        ("c.txt.gz", gzip.compress(CSV.encode()), "looks like a CSV table"),
        ("d.csv.gz", gzip.compress(b"prompt,resolution\n\xff,720p\n"), "line 2, byte offset 18"),
        ("e.csv", gzip.compress(CSV.encode()), "looks like an archive, compressed with gzip; add .gz to its name"),
        ("README.txt.gz", gzip.compress(b"A kite\n"), "suggests notes"),
        ("f.parquet.gz", gzip.compress(b"PAR1"), "has the extension .parquet.gz; unpack it"),
        ("g.gz", gzip.compress(b"A kite\n"), "has the extension .gz; supported are .csv"),
        ("h.csv.zip", zipped(CSV.encode(), "a.csv", "b.csv"), "contains 2 files instead of one table"),
    ):
        with pytest.raises(PromptTableError) as caught:
            PromptTable.load(file_of(tmp_path, name, content))
        assert said in str(caught.value)


def test_the_members_of_a_zip_that_macos_adds_are_ignored(tmp_path: Path) -> None:
    content = zipped(CSV.encode(), "folder/", "folder/a.csv", "__MACOSX/folder/._a.csv")

    assert len(PromptTable.load(file_of(tmp_path, "t.csv.zip", content))) == 3000


@pytest.mark.slow
def test_rows_are_read_before_the_damage_is_found_and_the_table_still_fails(tmp_path: Path) -> None:
    lines = "prompt,resolution\n" + "".join(f"{at} {hash(str(at))},720p\n" for at in range(200_000))
    chunks = scan(file_of(tmp_path, "t.csv.gz", gzip.compress(lines.encode(), 1)[:-100]), 100)

    assert len(next(chunks).rows) == 100
    with pytest.raises(PromptTableError, match="not a complete gzip file"):
        list(chunks)
