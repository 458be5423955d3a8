"""Object stores: how one is opened, and how a file gets into it whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from upath import UPath

from wan_assets.errors import StoreAddressError, StoreError
from wan_assets.settings import expanded

PART_BYTES = 8 << 20
"""How much of a file goes at once; a bucket takes 10,000 parts, and so files of 80 GB."""

_PARTS_AT_ONCE = 3

LOCAL = ("", "file")
S3 = ("s3", "s3a")
_GS = ("gs", "gcs")
_AZ = ("az", "abfs", "abfss")

_EXTRAS = {**dict.fromkeys(S3, "s3"), **dict.fromkeys(_GS, "gs"), **dict.fromkeys(_AZ, "az")}

_MISTAKEN_FOR_AZ = ("azure", "blob", "wasb", "wasbs", "adl")

SUPPORTED = (
    "Supported are folders, and s3://, gs:// and az:// with the package's extra [s3], [gs] or [az], such as "
    "`pip install 'wan-assets[az]'`"
)

_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "s3": {"config_kwargs": {"signature_version": "s3v4"}, "default_block_size": PART_BYTES},
    "gs": {"block_size": PART_BYTES},
    "az": {"blocksize": PART_BYTES},
}
"""Signatures of S3's older version would hold for one Content-Type alone."""

_UPLOADS: Mapping[str, Mapping[str, Any]] = {
    "s3": {"chunksize": PART_BYTES, "max_concurrency": _PARTS_AT_ONCE},
    "gs": {"chunksize": PART_BYTES},
    "az": {"max_concurrency": _PARTS_AT_ONCE},
}

_SCHEMES = frozenset({*_EXTRAS, "file", "http", "https", "ftp", "data", "sqlite", "postgres", "postgresql"})
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+-]*)(?::|//)")
_READ_ONLY = ("data", "git", "github", "hf", "http", "https", "libarchive", "reference", "tar", "zip")
_UNFIT = frozenset({*_READ_ONLY, "blockcache", "dir", "filecache", "generic", "simplecache"})
"""What fsspec can only read, or only puts in front of another place."""

_CONNECTING = ("ftp", "sftp", "ssh", "smb")
"""What connects as soon as it is made."""

_TROUBLES_OF_PACKAGES = (
    ("botocore.exceptions", "BotoCoreError"),
    ("gcsfs.retry", "ChecksumError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("azure.core.exceptions", "AzureError"),
)


def troubles() -> tuple[type[Exception], ...]:
    """What goes wrong with a store, as those say who speak to it: s3fs and its like let much through as it is.

    A package that nothing has imported, which takes up to half a second, raises nothing either.
    """
    named = [getattr(sys.modules[module], name) for module, name in _TROUBLES_OF_PACKAGES if module in sys.modules]
    return (OSError, ImportError, ValueError, NotImplementedError, *named)


def opened(root: str | os.PathLike[str] | UPath) -> UPath:
    """A store's root; nothing is read or written, and nobody is asked for credentials yet.

    Raises `StoreAddressError` for an address that holds credentials or that no installed package can read.
    """
    if isinstance(root, str):
        root = expanded(root, "the store's address")
        _refuse_misspelt(root)
    protocol, has_protocol, rest = str(root).partition("://")
    if not has_protocol:
        return UPath(root)
    _refuse_credentials(protocol, rest)
    _refuse_no_place(protocol, rest)
    _refuse_pattern(protocol, rest)
    extra = _EXTRAS.get(protocol, "")
    try:
        fsspec.get_filesystem_class(protocol)
        # A listing may be old when others write.
        options = {"use_listings_cache": False, **_OPTIONS[extra]} if extra else {}
        place: UPath = UPath(root, **options)
        if not extra and protocol not in _CONNECTING:
            _ = (place / "videos").fs  # some packages find out here that they lack an option
    except (
        ImportError,
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
    ) as error:
        raise StoreAddressError(f"cannot open the store {root}: {_why_closed(protocol, error)}") from error
    return place


def _why_closed(protocol: str, error: Exception) -> str:
    """Why a store cannot be opened: the package that it needs, or what is supported instead."""
    if extra := _EXTRAS.get(protocol.lower(), ""):
        return f"it needs `pip install 'wan-assets[{extra}]'`"
    said = first_line_of(error)
    if "Protocol not known" not in said:
        return said
    azure = ": write az:// for Azure Blob Storage" if protocol.lower() in _MISTAKEN_FOR_AZ else ""
    return f"{said}{azure}. {SUPPORTED}"


def is_bucket(root: UPath) -> bool:
    """Whether a store has no folders that have to be made."""
    return root.protocol in _EXTRAS


def put(path: Path, target: UPath) -> tuple[int, str]:
    """Copies a local file to its place, which has all of it or nothing; gives its bytes and SHA-256.

    Raises `StoreError` if what lies there afterwards is not what was put, and then removes it.
    """
    print_ = _print_of(path)
    target.fs.put_file(str(path), target.path, **_UPLOADS.get(_EXTRAS.get(target.protocol, ""), {}))
    has_arrived = False
    try:
        has_arrived = _holds(target, print_)
    finally:
        if not has_arrived:
            target.fs.rm_file(target.path)
    if not has_arrived:
        raise StoreError(f"what arrived at {target} is not what was sent there")
    return print_.size, print_.sha256


@dataclass(frozen=True)
class _Print:
    """What a file is known by; `marks` are the names that stores may give to its content."""

    size: int
    sha256: str
    marks: frozenset[str]


def _print_of(path: Path) -> _Print:
    size, sha256, md5, of_parts = 0, hashlib.sha256(), hashlib.md5(usedforsecurity=False), []
    with path.open("rb") as file:
        while part := file.read(PART_BYTES):
            size += len(part)
            sha256.update(part)
            md5.update(part)
            of_parts.append(hashlib.md5(part, usedforsecurity=False).digest())
    joined = hashlib.md5(b"".join(of_parts), usedforsecurity=False)
    marks = (md5.hexdigest(), base64.b64encode(md5.digest()).decode(), f"{joined.hexdigest()}-{len(of_parts)}")
    return _Print(size, sha256.hexdigest(), frozenset(marks))


def _holds(target: UPath, print_: _Print) -> bool:
    """Whether a store has what was sent to it, by the mark that it gave it; else it is read back."""
    info = target.fs.info(target.path)
    of_azure = (info.get("content_settings") or {}).get("content_md5") or b""
    marks = {str(info.get("ETag")).strip('"'), info.get("md5Hash"), base64.b64encode(of_azure).decode()}
    return info["size"] == print_.size and (bool(marks & print_.marks) or sha256_of(target) == print_.sha256)


def sha256_of(file: UPath) -> str:
    """The digest of what lies in a place, in pieces."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while piece := content.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def lacks_account(error: Exception) -> bool:
    """Whether Azure's package could not connect because nothing names a storage account."""
    said = first_line_of(error)
    return "account_name" in said and "connection_string" in said


def first_line_of(error: Exception) -> str:
    """What a store said, without the page that some add to it."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _refuse_misspelt(root: str) -> None:
    """Refuses what is neither a path nor a URL, before a folder of that name is made."""
    found = _SCHEME.match(root)
    scheme = found["scheme"].lower() if found else ""
    if root.startswith("://") or (scheme in _SCHEMES and not root.startswith((f"{scheme}://", "file:/"))):
        known = scheme or "s3"
        raise StoreAddressError(f"the store's address, not shown, is neither a path nor a URL: write {known}://…")
    if re.match(r"[A-Za-z]:[\\/]", root) and os.sep == "/":
        raise StoreAddressError("the store's address is a path of Windows, and this is another system")


def _refuse_no_place(protocol: str, rest: str) -> None:
    """Refuses addresses that name nothing, or a place where nothing can be written."""
    if protocol in _EXTRAS and not rest.partition("/")[0]:
        raise StoreAddressError(f"the store's address {protocol}://{rest} names no bucket: write {protocol}://bucket/…")
    if protocol == "file" and rest and not rest.startswith("/"):
        raise StoreAddressError(f"the store's address {protocol}://{rest} names a host: write file:///folder")
    if protocol.partition("::")[0] in _UNFIT:
        raise StoreAddressError(f"the store's address begins with {protocol}://, where no store can be kept")


def _refuse_pattern(protocol: str, rest: str) -> None:
    """What lists the files of a bucket takes these for patterns, and then finds nothing or another place."""
    found = next((letter for letter in "[]*?" if letter in rest), None)
    if found and protocol in _EXTRAS:
        raise StoreAddressError(
            f"the store's address {protocol}://{rest} holds {found!r}, which object stores read as part of a pattern: "
            "name a bucket and folder without [ ] * ?"
        )


def _refuse_credentials(protocol: str, rest: str) -> None:
    """The address of a store is shown and kept in many places; whatever is secret belongs into the environment."""
    host = rest.partition("/")[0]
    user = host.rpartition("@")[0]
    is_odd = ":" in user
    if protocol in _EXTRAS:
        is_account = protocol in _AZ and not is_odd  # container@account
        is_odd = ("@" in host and not is_account) or (":" in host and not host.startswith("arn:")) or "?" in rest
    if is_odd:
        raise StoreAddressError(
            f"the store's address, which is not shown, holds more than a place: give {protocol}://… without user, "
            "password, key or signature"
        )
