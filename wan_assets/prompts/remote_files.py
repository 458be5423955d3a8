"""Tables at URLs: files that fsspec lists and copies. No message contains secrets of a URL."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import fsspec

from wan_assets.errors import file_system_errors
from wan_assets.models import public_text
from wan_assets.prompts.formats import KNOWN_EXTENSIONS, is_table
from wan_assets.prompts.hive import is_partition, refuse_versions
from wan_assets.prompts.locations import UrlLocation, public_address
from wan_assets.prompts.problems import printable
from wan_assets.prompts.records import unavailable, unreadable
from wan_assets.settings import EXTRAS_OF_PROTOCOLS

_EXTRAS = {**EXTRAS_OF_PROTOCOLS, "hf": "hf"}
_SUPPORTED = (
    "supported are paths, https:// and, with the extra of this package, s3:// [s3], gs:// [gs], az:// [az] and "
    "hf:// [hf]; a database is read with an SqlQuery"
)
_OPENING_ERRORS = (OSError, ImportError, ValueError, TypeError, AttributeError, LookupError, RuntimeError)
_PATTERN = "*?["
_IDLE_S = 60
_MEDIA_TYPES: Mapping[Any, str] = {
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/json": ".json",
    "application/x-ndjson": ".ndjson",
    "application/jsonl": ".jsonl",
    "application/vnd.apache.parquet": ".parquet",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
}
_CHECKSUMS = ("ETag", "etag", "md5Hash", "Content-MD5", "Digest", "CRC", "sha", "blob_id", "generation", "version_id")
_TIMES = ("LastModified", "last_modified", "Last-Modified", "updated", "mtime", "modify", "modified", "created")
"""What file systems report about a version of a file. A file without any of these is read to compare it."""


@dataclass(frozen=True)
class RemoteFile:
    """One file at a URL: `name` is relative to the folder or pattern, `label` is its URL without secrets."""

    location: UrlLocation = field(repr=False)
    file_system: Any = field(repr=False)
    path: str = field(repr=False)
    label: str
    name: str
    info: Mapping[str, Any] = field(repr=False)

    @contextmanager
    def copied(self) -> Iterator[Path]:
        """Yields a temporary copy of the file. Raises `PromptTableError` if it cannot be read."""
        with tempfile.TemporaryDirectory(prefix="wan_assets_") as folder:
            copy = Path(folder) / f"table{PurePosixPath(self.name).suffix}"
            with _translated(self.location, self.label):
                self.file_system.get_file(self.path, str(copy))
            size = self.info.get("size")
            if size is not None and not self.location.is_web and copy.stat().st_size != size:
                raise unavailable(self.label, "changed while it was read; read it again")
            yield copy

    def version(self) -> str:
        """Returns a text that changes with the content of the file; reads the file only if there is no other way."""
        known = {name: str(self.info[name]) for name in (*_CHECKSUMS, *_TIMES) if self.info.get(name)}
        if not known:
            with self.copied() as path, path.open("rb") as file:
                known = {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}
        return repr((self.info.get("size"), sorted(known.items())))


def files_at(location: UrlLocation) -> list[RemoteFile]:
    """Returns the files at a URL in the order of their names: one file, the tables of a folder, or those of a pattern.

    Raises `PromptTableError` if there are none, or if the URL cannot be read.
    """
    _refuse_malformed(location)
    file_system, path = _opened(location)
    with _translated(location, location.label):
        file_system.invalidate_cache()
        info = _info_of(location, file_system, path)
        if location.is_web or (info and info["type"] == "file"):
            return [RemoteFile(location, file_system, path, location.label, _name_of(location, info or {}), info or {})]
        is_pattern = info is None and any(letter in path for letter in _PATTERN)
        found = (_matches_of if is_pattern else _tables_in)(file_system, path, location.label)
        files = [_file_of(location, file_system, name, info) for name, info in sorted(found.items())]
    if not files:
        none = "matches no file; check it" if is_pattern else "is a folder without tables; add files that end in one of"
        raise unreadable(location, none if is_pattern else f"{none} {KNOWN_EXTENSIONS}")
    return files


def _name_of(location: UrlLocation, info: Mapping[str, Any]) -> str:
    """Returns the name of a file; one without a format gets that of its media type, such as `export?format=csv`."""
    return location.name if is_table(location.name) else f"{location.name}{_MEDIA_TYPES.get(info.get('mimetype'), '')}"


def _file_of(location: UrlLocation, file_system: Any, name: str, info: Mapping[str, Any]) -> RemoteFile:
    label = printable(public_address(file_system.unstrip_protocol(info["name"])))
    return RemoteFile(location, file_system, info["name"], label, name, info)


def _refuse_malformed(location: UrlLocation) -> None:
    """Refuses URLs without a file, and secrets in the URL of a bucket, which no file system of a bucket takes."""
    host, _, path = location.address.partition("://")[2].partition("/")
    is_bucket = location.protocol in EXTRAS_OF_PROTOCOLS
    if is_bucket and ":" in host.rpartition("@")[0]:
        raise unreadable(location, "was given with credentials; leave them out, and set them in the environment")
    if is_bucket and not host:
        raise unreadable(location, f"names no bucket; write {location.protocol}://bucket/…")
    if location.is_web and ("*" in path or not location.name or not host):
        raise unreadable(location, "is not the URL of one file, and a web server lists no files; give its whole URL")


def _opened(location: UrlLocation) -> tuple[Any, str]:
    try:
        if location.place is not None:
            return location.place.fs, location.place.path
        file_system, path = fsspec.core.url_to_fs(location.address, **_options_of(location))
    except _OPENING_ERRORS as error:
        if isinstance(error, FileNotFoundError):
            raise unavailable(location, "does not exist; check the URL") from None
        raise unavailable(location, f"cannot be opened: {_reason_for_failure(location, error)}") from None
    return file_system, str(path)


def _options_of(location: UrlLocation) -> dict[str, Any]:
    """Returns the options of web servers: no limit on the whole time of a large file, and proxies as everywhere."""
    if not location.is_web:
        return {}
    timeout = import_module("aiohttp").ClientTimeout(total=None, sock_connect=_IDLE_S, sock_read=_IDLE_S)
    return {"client_kwargs": {"timeout": timeout, "trust_env": True}}


def _reason_for_failure(location: UrlLocation, error: Exception) -> str:
    if "Protocol not known" in str(error):
        return f"{location.protocol}:// is unknown; {_SUPPORTED}"
    if isinstance(error, ImportError) and (extra := _EXTRAS.get(location.protocol)):
        return f"it needs `pip install 'wan-assets[{extra}]'`"
    return _reason_of(location, error)


@contextmanager
def _translated(location: UrlLocation, label: str) -> Iterator[None]:
    """Converts errors of a file system to `PromptTableError`, not chained, since a traceback could show a secret."""
    try:
        yield
    except file_system_errors() as error:
        cause = error.__cause__ if location.is_web else None  # HTTPFileSystem reports a refused connection as missing
        if isinstance(error, FileNotFoundError) and getattr(cause, "status", 404 if cause is None else 0) == 404:
            raise unavailable(label, "does not exist; check the URL") from None
        reason = _reason_of(location, cause if isinstance(cause, Exception) else error)
        raise unavailable(label, f"cannot be read: {reason}; check the URL and the access") from None


def _reason_of(location: UrlLocation, error: Exception) -> str:
    """Returns the first line of an error without secrets, or its class if it repeats a part of the URL that may be."""
    text = public_text(next(iter(str(error).strip().splitlines()), ""))
    has_secret = any(secret in form for secret in _secrets_of(location.address) for form in (text, unquote(text)))
    return printable(text) if text and not has_secret else type(error).__name__


def _secrets_of(address: str) -> set[str]:
    place, _, query = address.partition("?")
    user = place.partition("://")[2].partition("/")[0].rpartition("@")[0]
    values = [value for pair in query.split("&") for value in pair.partition("=")[2:]]
    parts = {user, *user.split(":"), query, *values}
    return {form for part in parts for form in (part, unquote(part)) if len(form) > 3}


def _info_of(location: UrlLocation, file_system: Any, path: str) -> Mapping[str, Any] | None:
    """Returns what is known of a file or folder, or None if there is none and the path may be a pattern."""
    try:
        info: Mapping[str, Any] = file_system.info(path)
    except FileNotFoundError:
        if location.is_web or not any(letter in path for letter in _PATTERN):
            raise
        return None
    return info


def _matches_of(file_system: Any, pattern: str, label: str) -> dict[str, Mapping[str, Any]]:
    """Returns the files of a pattern by their names below the last folder without a pattern."""
    first = next(index for index, letter in enumerate(pattern) if letter in _PATTERN)
    root = pattern[:first].rpartition("/")[0]
    refuse_versions(label, lambda name: bool(file_system.exists(f"{root}/{name}")))
    found = {path.removeprefix(root).lstrip("/"): info for path, info in file_system.glob(pattern, detail=True).items()}
    return {name: info for name, info in found.items() if info["type"] == "file" and not _is_hidden(name)}


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _tables_in(file_system: Any, folder: str, label: str, before: str = "") -> dict[str, Mapping[str, Any]]:
    """Returns the tables of a folder and of its Hive partitions by their names."""
    found: dict[str, Mapping[str, Any]] = {}
    entries = [(str(info["name"]).rstrip("/").rpartition("/")[2], info) for info in file_system.ls(folder, detail=True)]
    refuse_versions(label, {name for name, _ in entries}.__contains__)
    for name, info in entries:
        if info["type"] == "directory" and is_partition(name):
            found |= _tables_in(file_system, info["name"], label, f"{before}{name}/")
        elif info["type"] == "file" and is_table(name) and not _is_hidden(name):
            found[f"{before}{name}"] = info
    return found
