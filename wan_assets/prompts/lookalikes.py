"""Detection of `.txt` files that are not lists of prompts.

Each line of a list is paid for, so a table, a page or a note that is read as a list costs money.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import PurePath

from wan_assets.prompts.columns import PROMPT, meaning_of
from wan_assets.prompts.table_file import suffixes_of
from wan_assets.prompts.text_shapes import FIX_PLAIN_LIST, FIX_SAVE_AS_CSV, TABLES, Lookalike, cells_in, shape_of

HEAD_CHARACTERS = 64 * 1024
_CHECKED_LINES = 50


WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
"""The ends of the names of workbooks."""

_AS_WORKBOOK = f"if it is a workbook, rename it to end in .xlsx or .ods, or {FIX_SAVE_AS_CSV}"
_AS_OLD_WORKBOOK = f"if it is a workbook, rename it to end in .xls, or {FIX_SAVE_AS_CSV}"
_AS_JSON_LINES = "save its prompts as JSON Lines, with a name that ends in .jsonl"
_AS_CELL = f"remove the line; if it is a prompt, put it in a CSV file below the header {PROMPT}"
_REMOVE = "remove the line"
_DESCRIBE = "describe the video"

_MEDIUM = Lookalike("an image, audio or video file", FIX_PLAIN_LIST)
_PAGE = Lookalike("an HTML or XML page", FIX_PLAIN_LIST)
_PROGRAM = Lookalike("a program", FIX_PLAIN_LIST)
_LICENSE = Lookalike("a license", FIX_PLAIN_LIST)
_YAML = Lookalike("YAML", _AS_JSON_LINES)
_LOG = Lookalike("a log line", _AS_CELL)
_LABEL = Lookalike("a labelled value", _AS_CELL)
_ZIP = Lookalike("a ZIP archive, or an Excel, Word or OpenDocument file", f"unpack it, or {FIX_SAVE_AS_CSV}", WORKBOOKS)

_BYTES: tuple[tuple[bytes, Lookalike], ...] = (
    (rb"%PDF-", Lookalike("a PDF document", "copy the prompts into a plain text file")),
    (
        rb"PK\x03\x04.{26}(mimetypeapplication/vnd\.oasis\.opendocument\.spreadsheet|\[Content_Types\]|_rels/|xl/|docProps/)",
        Lookalike("an Excel, Word or OpenDocument file", _AS_WORKBOOK, WORKBOOKS),
    ),
    (
        rb"PK\x03\x04",
        _ZIP,
    ),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1", Lookalike("an old Excel or Word file", _AS_OLD_WORKBOOK, WORKBOOKS)),
    (rb"PAR1", Lookalike("a Parquet file", "rename it to end in .parquet", (".parquet",))),
    (rb"ARROW1|FEA1|ORC[\0-\x1f]|Obj\x01", Lookalike("an Arrow, ORC or Avro file", "save the table as Parquet")),
    *(
        (
            first,
            Lookalike(
                f"an archive, compressed with {name}", f"add {suffix} to its name if it is a table, or unpack it"
            ),
        )
        for first, name, suffix in (
            (rb"\x1f\x8b", "gzip", ".gz"),
            (rb"BZh\d1AY", "bzip2", ".bz2"),
            (rb"\xfd7zXZ", "xz", ".xz"),
            (rb"\x28\xb5\x2f\xfd", "Zstandard", ".zst"),
        )
    ),
    (rb"7z\xbc\xaf|Rar!\x1a", Lookalike("an archive", "unpack it first")),
    (rb"SQLite format 3\0", Lookalike("an SQLite database", "read its rows with an SqlQuery")),
    (rb"\x89PNG|\xff\xd8\xff|GIF8[79]a|RIFF....(WEBP|WAVE|AVI )", _MEDIUM),
    (rb"....ftyp|\x1aE\xdf\xa3|OggS\0|fLaC\0|ID3[\x02-\x04]", _MEDIUM),
    (rb"\s*\{\\rtf", Lookalike("an RTF document", "save it as plain text in UTF-8")),
    (
        rb"(\xef\xbb\xbf)?\s*version https://(git-lfs\.github|hawser\.github)\.com/spec/",
        Lookalike("a Git LFS pointer instead of the file itself", "run `git lfs pull`"),
    ),
    (
        rb"([./]*\.git)?/annex/objects/|[./]+\.git/annex/",
        Lookalike("a git-annex pointer instead of the file itself", "run `git annex get`"),
    ),
)
"""First bytes of files, checked regardless of the file name."""

_FIRST_LINES: tuple[tuple[str, Lookalike], ...] = (
    (r"#!|@echo off", Lookalike("a script", FIX_PLAIN_LIST)),
    (r"(?i)<(!doctype|!--|\?xml|\?php|html|head|body|svg|rss|feed)\b", _PAGE),
    (r"HTTP/\d", Lookalike("an HTTP response", FIX_PLAIN_LIST)),
    (r"---$|%YAML\b|-\s+(id|prompt_id|prompt|positive_prompt|text|caption|name|resolution):", _YAML),
    (r"WEBVTT\b", Lookalike("subtitles", FIX_PLAIN_LIST)),
    (r"-----BEGIN ", Lookalike("a key or a certificate", FIX_PLAIN_LIST)),
    (r"BEGIN:V[A-Z]+", Lookalike("a calendar or contacts", FIX_PLAIN_LIST)),
    (r"diff --git |Index: \S+$|--- a/", Lookalike("a patch", FIX_PLAIN_LIST)),
    (r"(?i)user-agent:", Lookalike("a robots.txt", FIX_PLAIN_LIST)),
    (r"\\(documentclass|begin|usepackage)\b|@\w+\{", Lookalike("a TeX document", FIX_PLAIN_LIST)),
    (r"(INSERT INTO|CREATE (TABLE|DATABASE|VIEW)|SELECT .+ FROM) \w", Lookalike("SQL", "pass it as an SqlQuery")),
    (r"import [\w.]+( as \w+)?$|from [\w.]+ import .+|def \w+\(|package (main$|[\w.]+;)|using [\w.]+;", _PROGRAM),
    (r"(const|let|var) \w+ = |\w+\s*=\s*[\[{(\"']", _PROGRAM),
    (r"(?i)(the )?(mit|apache|bsd[\w -]*|gnu [\w ]+|mozilla public|isc|eclipse public) licen[cs]e\b", _LICENSE),
    (r"(?i)copyright (\(c\)|\N{COPYRIGHT SIGN}|\d{4})|permission is hereby granted", _LICENSE),
    (r"Traceback \(most recent call last\)", Lookalike("a log", FIX_PLAIN_LIST)),
)

_LINE: tuple[tuple[str, Lookalike], ...] = (
    (r"#|//|/\*|<!--|--\s|;|%\s", Lookalike("a comment or a heading", _AS_CELL)),
    (r"([-=_*~+.])\1{2,}$|```\w*$|\|.*\|$", Lookalike("Markdown", _AS_CELL)),
    (r"</?[A-Za-z][\w-]*(\s[^<>]*)?/?>$", Lookalike("an HTML or XML tag", _REMOVE)),
    (r"\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ", _LOG),
    (r"(\d\d:\d\d:\d\d\S*\s+)?\[(TRACE|DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL)\s*\]", _LOG),
    (r"(DEBUG|INFO|WARNING|ERROR|CRITICAL):[\w.]+:|\d+(\.\d+){3} \S+ \S+ \[", _LOG),
    (r"\d\d:\d\d:\d\d\S*\s+(DEBUG|INFO|WARN|ERROR)", _LOG),
    (r"(\d+:)?\d\d:\d\d[.,]\d{3} --> ", Lookalike("a subtitle line", _REMOVE)),
    (r"[A-Za-z][A-Za-z0-9+.-]*://\S+$", Lookalike("a URL", _DESCRIBE)),
    (
        r"(?i)\S+\.(mp4|mov|webm|avi|mkv|png|jpe?g|webp|gif|wav|mp3|txt|csv|tsv|jsonl?|parquet|py|md|zip|gz)$",
        Lookalike("a file name", _DESCRIBE),
    ),
    (
        r"([0-9a-fA-F]{32,128}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})(\s+\*?\S+)?$",
        Lookalike("a checksum or an identifier", _DESCRIBE),
    ),
    (r"[A-Za-z0-9+/]{60,}={0,2}$", Lookalike("base64 data", _DESCRIBE)),
    (r"(export )?[A-Z][A-Z0-9_]{2,}=\S*$", Lookalike("an environment variable", _REMOVE)),
    (r"[\w.-]+(\[[\w,-]+\])?\s*(==|>=|<=|~=|!=)\s*\d", Lookalike("a package requirement", _REMOVE)),
    (r"(?i)(positive|negative)?[_ ]?prompts?\s*[:=]|(resolution|duration|seed|width|height|steps)\s*[:=]\s*\d", _LABEL),
    (r"\".*\",$", Lookalike("an item of a JSON array", "remove the quotes and the comma around the prompt")),
    (
        r"(.*\t)?(480p|720p|1080p)\t|.*\t(480p|720p|1080p)$",
        Lookalike("a row of a tab-separated table", "add a header, and rename the file to end in .tsv"),
    ),
)
"""Beginnings of lines that are not prompts, checked for every line of a file."""

_NOTES = frozenset(("readme", "notes", "note", "changelog", "todo", "contributing", "authors", "liesmich", "lisezmoi"))
_LEGAL = frozenset(("license", "license", "licenses", "copying", "notice", "copyright"))
_OTHERS = frozenset(("requirements", "robots", "cmakelists", "llms"))
_IN_CHINESE = ("\u8bf4\u660e", "\u81ea\u8ff0", "\u8bfb\u6211")


def lookalike_of_bytes(head: bytes) -> Lookalike | None:
    """Identifies a file by its first bytes, regardless of its name; None if they match no known format."""
    for pattern, found in _BYTES:
        if re.match(pattern, head, re.DOTALL):
            return found
    return None


def lookalike_of_text(head: str) -> Lookalike | None:
    """Identifies the beginning of a text that is not a list of prompts; None if it may be one."""
    raw = [line for line in head.splitlines() if line.strip()][:_CHECKED_LINES]
    lines = [line.strip() for line in raw]
    if "\0" in head:
        return Lookalike("binary data", FIX_PLAIN_LIST)
    if not lines:
        return None
    found = next((found for pattern, found in _FIRST_LINES if re.match(pattern, lines[0])), None)
    return found or next(filter(None, (look(raw, lines) for look in _STRUCTURES)), None)


def lookalike_of_line(text: str) -> Lookalike | None:
    """Identifies one line that is not a prompt; None if it may be one."""
    line = text.strip()
    found = next((found for pattern, found in _LINE if re.match(pattern, line)), None)
    if found is None and line.startswith("{") and _parsed_json(line.rstrip(",")) is not None:
        return Lookalike("a JSON object", "write only the prompt, or rename the file to end in .jsonl")
    return found


def is_named_as_notes(path: PurePath) -> bool:
    """Returns whether the name of a text file suggests notes, such as `README.en.txt`."""
    suffix, compression = suffixes_of(path.name)
    stem = path.name.lower().removesuffix(f"{suffix}{compression}")
    words = re.findall(r"[a-z]+", stem)
    if suffix != ".txt" or not words:
        return stem.startswith(_IN_CHINESE) and suffix == ".txt"
    is_legal = words[0] in _LEGAL and all(len(word) <= 3 or word == "apache" for word in words[1:])
    return words[0] in _NOTES or words[:2] == ["read", "me"] or is_legal or (words[0] in _OTHERS and len(words) == 1)


def _as_json(_: Sequence[str], lines: Sequence[str]) -> Lookalike | None:
    first = lines[0]
    if first[0] not in "[{":
        return None
    found = _parsed_json(first)
    if isinstance(found, dict) and (len(lines) == 1 or lines[1][0] in "[{"):
        return Lookalike("JSON Lines", "rename it to end in .jsonl")
    is_begun = re.match(r"(\[\s*)?\{\s*['\"][^'\"]*['\"]\s*:", first) or (first in "[{" and len(lines) > 1)
    if found is not None or is_begun:
        return Lookalike("JSON", "rename it to end in .json, which takes an array of objects")
    return None


def _as_tagged(_: Sequence[str], lines: Sequence[str]) -> Lookalike | None:
    tag = re.match(r"<([A-Za-z][\w:-]*)(\s[^<>]*)?>", lines[0])
    if tag and any(f"</{tag[1]}>" in line for line in lines):
        return _PAGE
    return None


def _as_settings(raw: Sequence[str], lines: Sequence[str]) -> Lookalike | None:
    if re.match(r"\[{1,2}[\w .\"-]+\]{1,2}$", lines[0]) and any(re.match(r"[\w.-]+\s*=", line) for line in lines[1:]):
        return Lookalike("settings in TOML or INI", FIX_PLAIN_LIST)
    if re.match(r"[\w-]+:$", lines[0]) and len(raw) > 1 and re.match(r"\s+\S|-\s", raw[1]):
        return _YAML
    return None


def _as_header(_: Sequence[str], lines: Sequence[str]) -> Lookalike | None:
    """Checks the header only, because the rows below it may contain any text."""
    if PROMPT in (meaning_of(lines[0]), meaning_of(lines[0].rstrip("s"))) and re.fullmatch(r"[\w -]+", lines[0]):
        return Lookalike("a table with one column", "rename it to end in .csv, or remove its first line")
    for delimiter, table in TABLES.items():
        names = cells_in(lines[0], delimiter)
        if len(names) > 1 and _is_header(names, delimiter):
            return table
    return None


def _is_header(names: Sequence[str], delimiter: str) -> bool:
    meanings = [meaning_of(name) for name in names]
    is_spaced = delimiter != "\t" and any(name != name.strip() or " " in name for name in names)
    if all(meanings) and (PROMPT in meanings or not is_spaced):
        return True
    is_named = all(re.fullmatch(r"[^\W\d][\w.\- ]{0,63}|", name.strip()) for name in names)
    return is_named and not is_spaced and (PROMPT in meanings or 2 * len(list(filter(None, meanings))) > len(names))


def _as_text_shape(_: Sequence[str], lines: Sequence[str]) -> Lookalike | None:
    return shape_of(lines)


_STRUCTURES: tuple[Callable[[Sequence[str], Sequence[str]], Lookalike | None], ...] = (
    _as_json,
    _as_tagged,
    _as_settings,
    _as_header,
    _as_text_shape,
)


def _parsed_json(text: str) -> object:
    with suppress(ValueError, RecursionError):
        found: object = json.loads(text)
        return found
    return None
