"""Files that are called `.txt` and are no lists of prompts: what each looks like, and how to load it correctly.

Each line of a list is paid for, so that a table, a page or a note that is taken for one costs money.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from wan_assets.prompts.columns import PROMPT, meaning_of
from wan_assets.prompts.text_shapes import AS_LIST, AS_TABLE, TABLES, Lookalike, cells_in, shape_of

HEAD_CHARACTERS = 64 * 1024
_LINES = 50


_AS_JSON_LINES = "save its prompts as JSON Lines, with a name that ends in .jsonl"
_AS_CELL = f"remove the line; if it is a prompt, put it into a CSV file below the header {PROMPT}"
_REMOVE = "remove the line"
_DESCRIBE = "write what the video is to show"

_MEDIUM = Lookalike("a picture, sound or video", AS_LIST)
_PAGE = Lookalike("an HTML or XML page", AS_LIST)
_PROGRAM = Lookalike("a program", AS_LIST)
_LICENSE = Lookalike("a license", AS_LIST)
_YAML = Lookalike("YAML", _AS_JSON_LINES)
_LOG = Lookalike("a line of a log", _AS_CELL)
_LABEL = Lookalike("a labelled value", _AS_CELL)

_BYTES: tuple[tuple[bytes, Lookalike], ...] = (
    (rb"%PDF-", Lookalike("a PDF document", "copy the prompts into a file of plain text")),
    (rb"PK\x03\x04", Lookalike("a ZIP archive, or a file of Excel, Word or OpenDocument", AS_TABLE)),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1", Lookalike("a file of an older Excel or Word", AS_TABLE)),
    (rb"PAR1", Lookalike("a Parquet file", "rename it to end in .parquet")),
    (rb"ARROW1|FEA1|ORC[\0-\x1f]|Obj\x01", Lookalike("a file of Arrow, ORC or Avro", "save the table as Parquet")),
    (rb"\x1f\x8b|BZh\d1AY|\xfd7zXZ|7z\xbc\xaf|\x28\xb5\x2f\xfd|Rar!\x1a", Lookalike("an archive", "unpack it first")),
    (rb"SQLite format 3\0", Lookalike("an SQLite database", "pass its rows as an SqlQuery")),
    (rb"\x89PNG|\xff\xd8\xff|GIF8[79]a|RIFF....(WEBP|WAVE|AVI )", _MEDIUM),
    (rb"....ftyp|\x1aE\xdf\xa3|OggS\0|fLaC\0|ID3[\x02-\x04]", _MEDIUM),
    (rb"\s*\{\\rtf", Lookalike("an RTF document", "save it as plain text in UTF-8")),
    (
        rb"(\xef\xbb\xbf)?\s*version https://(git-lfs\.github|hawser\.github)\.com/spec/",
        Lookalike("a Git LFS pointer, and not the file itself", "run `git lfs pull`"),
    ),
    (
        rb"([./]*\.git)?/annex/objects/|[./]+\.git/annex/",
        Lookalike("a git-annex pointer, and not the file itself", "run `git annex get`"),
    ),
)
"""How files begin, whatever their names are."""

_FIRST_LINES: tuple[tuple[str, Lookalike], ...] = (
    (r"#!|@echo off", Lookalike("a script", AS_LIST)),
    (r"(?i)<(!doctype|!--|\?xml|\?php|html|head|body|svg|rss|feed)\b", _PAGE),
    (r"HTTP/\d", Lookalike("an HTTP response", AS_LIST)),
    (r"---$|%YAML\b|-\s+(id|prompt_id|prompt|positive_prompt|text|caption|name|resolution):", _YAML),
    (r"WEBVTT\b", Lookalike("subtitles", AS_LIST)),
    (r"-----BEGIN ", Lookalike("a key or a certificate", AS_LIST)),
    (r"BEGIN:V[A-Z]+", Lookalike("a calendar or contacts", AS_LIST)),
    (r"diff --git |Index: \S+$|--- a/", Lookalike("a patch", AS_LIST)),
    (r"(?i)user-agent:", Lookalike("a robots.txt", AS_LIST)),
    (r"\\(documentclass|begin|usepackage)\b|@\w+\{", Lookalike("a TeX document", AS_LIST)),
    (r"(INSERT INTO|CREATE (TABLE|DATABASE|VIEW)|SELECT .+ FROM) \w", Lookalike("SQL", "pass it as an SqlQuery")),
    (r"import [\w.]+( as \w+)?$|from [\w.]+ import .+|def \w+\(|package (main$|[\w.]+;)|using [\w.]+;", _PROGRAM),
    (r"(const|let|var) \w+ = |\w+\s*=\s*[\[{(\"']", _PROGRAM),
    (r"(?i)(the )?(mit|apache|bsd[\w -]*|gnu [\w ]+|mozilla public|isc|eclipse public) licen[cs]e\b", _LICENSE),
    (r"(?i)copyright (\(c\)|\N{COPYRIGHT SIGN}|\d{4})|permission is hereby granted", _LICENSE),
    (r"Traceback \(most recent call last\)", Lookalike("a log", AS_LIST)),
)

_LINE: tuple[tuple[str, Lookalike], ...] = (
    (r"#|//|/\*|<!--|--\s|;|%\s", Lookalike("a comment or a heading", _AS_CELL)),
    (r"([-=_*~+.])\1{2,}$|```\w*$|\|.*\|$", Lookalike("Markdown", _AS_CELL)),
    (r"</?[A-Za-z][\w-]*(\s[^<>]*)?/?>$", Lookalike("an HTML or XML tag", _REMOVE)),
    (r"\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ", _LOG),
    (r"(\d\d:\d\d:\d\d\S*\s+)?\[(TRACE|DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL)\s*\]", _LOG),
    (r"(DEBUG|INFO|WARNING|ERROR|CRITICAL):[\w.]+:|\d+(\.\d+){3} \S+ \S+ \[", _LOG),
    (r"\d\d:\d\d:\d\d\S*\s+(DEBUG|INFO|WARN|ERROR)", _LOG),
    (r"(\d+:)?\d\d:\d\d[.,]\d{3} --> ", Lookalike("a line of subtitles", _REMOVE)),
    (r"[A-Za-z][A-Za-z0-9+.-]*://\S+$", Lookalike("an address", _DESCRIBE)),
    (
        r"(?i)\S+\.(mp4|mov|webm|avi|mkv|png|jpe?g|webp|gif|wav|mp3|txt|csv|tsv|jsonl?|parquet|py|md|zip|gz)$",
        Lookalike("the name of a file", _DESCRIBE),
    ),
    (
        r"([0-9a-fA-F]{32,128}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})(\s+\*?\S+)?$",
        Lookalike("a checksum or an identifier", _DESCRIBE),
    ),
    (r"[A-Za-z0-9+/]{60,}={0,2}$", Lookalike("data in base64", _DESCRIBE)),
    (r"(export )?[A-Z][A-Z0-9_]{2,}=\S*$", Lookalike("a variable of an environment", _REMOVE)),
    (r"[\w.-]+(\[[\w,-]+\])?\s*(==|>=|<=|~=|!=)\s*\d", Lookalike("a requirement of a package", _REMOVE)),
    (r"(?i)(positive|negative)?[_ ]?prompts?\s*[:=]|(resolution|duration|seed|width|height|steps)\s*[:=]\s*\d", _LABEL),
    (r"\".*\",$", Lookalike("an item of a JSON array", "remove the quotes and the comma around the prompt")),
    (
        r"(.*\t)?(480p|720p|1080p)\t|.*\t(480p|720p|1080p)$",
        Lookalike("a row of a tab-separated table", "add a header, and rename the file to end in .tsv"),
    ),
)
"""How lines begin that are no prompts, wherever they are in a file."""

_NOTES = frozenset(("readme", "notes", "note", "changelog", "todo", "contributing", "authors", "liesmich", "lisezmoi"))
_LEGAL = frozenset(("license", "license", "licenses", "copying", "notice", "copyright"))
_OTHERS = frozenset(("requirements", "robots", "cmakelists", "llms"))
_IN_CHINESE = ("\u8bf4\u660e", "\u81ea\u8ff0", "\u8bfb\u6211")


def lookalike_of_bytes(head: bytes) -> Lookalike | None:
    """What the first bytes of any file tell of it, whatever its name is."""
    for pattern, found in _BYTES:
        if re.match(pattern, head, re.DOTALL):
            return found
    return None


def lookalike_of_text(head: str) -> Lookalike | None:
    """What the beginning of a text looks like, if it is no list of prompts."""
    raw = [line for line in head.splitlines() if line.strip()][:_LINES]
    lines = [line.strip() for line in raw]
    if "\0" in head:
        return Lookalike("binary data", AS_LIST)
    if not lines:
        return None
    found = next((found for pattern, found in _FIRST_LINES if re.match(pattern, lines[0])), None)
    return found or next(filter(None, (look(raw, lines) for look in _STRUCTURES)), None)


def lookalike_of_line(text: str) -> Lookalike | None:
    """What one line looks like, if it is no prompt."""
    line = text.strip()
    found = next((found for pattern, found in _LINE if re.match(pattern, line)), None)
    if found is None and line.startswith("{") and _parsed(line.rstrip(",")) is not None:
        return Lookalike("a JSON object", "write the prompt alone, or rename the file to end in .jsonl")
    return found


def is_named_as_notes(path: Path) -> bool:
    """Whether a text file says by its name that it holds notes, such as `README.en.txt`."""
    stem = path.name.lower().removesuffix(".txt")
    words = re.findall(r"[a-z]+", stem)
    if path.suffix.lower() != ".txt" or not words:
        return stem.startswith(_IN_CHINESE) and path.suffix.lower() == ".txt"
    is_legal = words[0] in _LEGAL and all(len(word) <= 3 or word == "apache" for word in words[1:])
    return words[0] in _NOTES or words[:2] == ["read", "me"] or is_legal or (words[0] in _OTHERS and len(words) == 1)


def _as_json(_: Sequence[str], lines: Sequence[str]) -> Lookalike | None:
    first = lines[0]
    if first[0] not in "[{":
        return None
    found = _parsed(first)
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
        return Lookalike("settings in TOML or INI", AS_LIST)
    if re.match(r"[\w-]+:$", lines[0]) and len(raw) > 1 and re.match(r"\s+\S|-\s", raw[1]):
        return _YAML
    return None


def _as_header(_: Sequence[str], lines: Sequence[str]) -> Lookalike | None:
    """A header alone decides: what follows may be anything."""
    if PROMPT in (meaning_of(lines[0]), meaning_of(lines[0].rstrip("s"))) and re.fullmatch(r"[\w -]+", lines[0]):
        return Lookalike("a table of one column", "rename it to end in .csv, or remove its first line")
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


def _as_shape(_: Sequence[str], lines: Sequence[str]) -> Lookalike | None:
    return shape_of(lines)


_STRUCTURES: tuple[Callable[[Sequence[str], Sequence[str]], Lookalike | None], ...] = (
    _as_json,
    _as_tagged,
    _as_settings,
    _as_header,
    _as_shape,
)


def _parsed(text: str) -> object:
    with suppress(ValueError, RecursionError):
        found: object = json.loads(text)
        return found
    return None
