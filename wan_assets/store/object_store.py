"""Functions that open an object store and write a file to it completely or not at all."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from upath import UPath

from wan_assets.errors import StoreAddressError, StoreError
from wan_assets.settings import EXTRAS_OF_PROTOCOLS, expanded

PART_BYTES = 8 << 20
"""The size of one part of an upload. A bucket accepts 10,000 parts, so files of up to 80 GB."""

_PARTS_AT_ONCE = 3

S3 = ("s3", "s3a")
_AZ = ("az", "abfs", "abfss")

_AZURE_MISNOMERS = ("azure", "blob", "wasb", "wasbs", "adl")

SUPPORTED = (
    "Supported are folders, and s3://, gs:// and az:// with the package's extra [s3], [gs] or [az], such as "
    "`pip install 'wan-assets[az]'`"
)

_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "s3": {"config_kwargs": {"signature_version": "s3v4"}, "default_block_size": PART_BYTES},
    "gs": {"block_size": PART_BYTES},
    "az": {"blocksize": PART_BYTES},
}
"""Signatures of S3's older version are valid for only one Content-Type."""

_UPLOADS: Mapping[str, Mapping[str, Any]] = {
    "s3": {"chunksize": PART_BYTES, "max_concurrency": _PARTS_AT_ONCE},
    "gs": {"chunksize": PART_BYTES},
    "az": {"max_concurrency": _PARTS_AT_ONCE},
}

_SCHEMES = frozenset({*EXTRAS_OF_PROTOCOLS, "file", "http", "https", "ftp", "data", "sqlite", "postgres", "postgresql"})
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+-]*)(?::|//)")
_READ_ONLY = ("data", "git", "github", "hf", "http", "https", "libarchive", "reference", "tar", "zip")
_NOT_WRITABLE = frozenset({*_READ_ONLY, "blockcache", "dir", "filecache", "generic", "simplecache"})
"""Protocols that fsspec can only read, or that only wrap another file system."""

_CONNECT_AT_CREATION = ("ftp", "sftp", "ssh", "smb")
"""File systems that connect when they are created."""


def opened(root: str | os.PathLike[str] | UPath) -> UPath:
    """Opens the root of a store without any access to it.

    Raises `StoreAddressError` for an address that contains credentials or that no installed package supports.
    """
    if isinstance(root, str):
        root = expanded(root, "the store's address")
        _refuse_malformed(root)
    protocol, has_protocol, rest = str(root).partition("://")
    if not has_protocol:
        return UPath(root)
    _refuse_credentials(protocol, rest)
    _refuse_unusable(protocol, rest)
    _refuse_pattern(protocol, rest)
    extra = EXTRAS_OF_PROTOCOLS.get(protocol, "")
    try:
        fsspec.get_filesystem_class(protocol)
        # A cached listing is outdated if other processes write.
        options = {"use_listings_cache": False, **_OPTIONS[extra]} if extra else {}
        place: UPath = UPath(root, **options)
        if not extra and protocol not in _CONNECT_AT_CREATION:
            _ = (place / "videos").fs  # some packages report a missing option here
    except (
        ImportError,
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
    ) as error:
        raise StoreAddressError(f"cannot open the store {root}: {_reason_for_failure(protocol, error)}") from error
    return place


def _reason_for_failure(protocol: str, error: Exception) -> str:
    """Explains why a store cannot be opened: a missing package or an unsupported protocol."""
    if extra := EXTRAS_OF_PROTOCOLS.get(protocol.lower(), ""):
        return f"it needs `pip install 'wan-assets[{extra}]'`"
    message = first_line_of(error)
    if "Protocol not known" not in message:
        return message
    azure = ": write az:// for Azure Blob Storage" if protocol.lower() in _AZURE_MISNOMERS else ""
    return f"{message}{azure}. {SUPPORTED}"


def is_bucket(root: UPath) -> bool:
    """Returns whether a store is a bucket, where folders need not be created."""
    return root.protocol in EXTRAS_OF_PROTOCOLS


def put(path: Path, target: UPath) -> tuple[int, str]:
    """Uploads a local file completely or not at all; returns its size in bytes and its SHA-256.

    Raises `StoreError` if the stored content differs, and removes the file in this case.
    """
    digests = _digests_of(path)
    target.fs.put_file(str(path), target.path, **_UPLOADS.get(EXTRAS_OF_PROTOCOLS.get(target.protocol, ""), {}))
    has_arrived = False
    try:
        has_arrived = _holds(target, digests)
    finally:
        if not has_arrived:
            target.fs.rm_file(target.path)
    if not has_arrived:
        raise StoreError(f"the file stored at {target} differs from the uploaded file")
    return digests.size, digests.sha256


@dataclass(frozen=True)
class _FileDigests:
    """The identity of a file; `checksums` are the values that stores may report for its content."""

    size: int
    sha256: str
    checksums: frozenset[str]


def _digests_of(path: Path) -> _FileDigests:
    size, sha256, md5, of_parts = 0, hashlib.sha256(), hashlib.md5(usedforsecurity=False), []
    with path.open("rb") as file:
        while part := file.read(PART_BYTES):
            size += len(part)
            sha256.update(part)
            md5.update(part)
            of_parts.append(hashlib.md5(part, usedforsecurity=False).digest())
    joined = hashlib.md5(b"".join(of_parts), usedforsecurity=False)
    checksums = (md5.hexdigest(), base64.b64encode(md5.digest()).decode(), f"{joined.hexdigest()}-{len(of_parts)}")
    return _FileDigests(size, sha256.hexdigest(), frozenset(checksums))


def _holds(target: UPath, digests: _FileDigests) -> bool:
    """Returns whether a store has the uploaded content, by the store's checksum or by reading the file."""
    info = target.fs.info(target.path)
    of_azure = (info.get("content_settings") or {}).get("content_md5") or b""
    checksums = {str(info.get("ETag")).strip('"'), info.get("md5Hash"), base64.b64encode(of_azure).decode()}
    return info["size"] == digests.size and (bool(checksums & digests.checksums) or sha256_of(target) == digests.sha256)


def sha256_of(file: UPath) -> str:
    """Computes the SHA-256 of a file in pieces."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while piece := content.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def lacks_account(error: Exception) -> bool:
    """Returns whether the Azure package failed because no storage account is configured."""
    message = first_line_of(error)
    return "account_name" in message and "connection_string" in message


def first_line_of(error: Exception) -> str:
    """Returns the first line of an error's message; some stores append a whole page."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _refuse_malformed(root: str) -> None:
    """Refuses an address that is neither a path nor a URL, because it would create a folder with that name."""
    found = _SCHEME.match(root)
    scheme = found["scheme"].lower() if found else ""
    if root.startswith("://") or (scheme in _SCHEMES and not root.startswith((f"{scheme}://", "file:/"))):
        known = scheme or "s3"
        raise StoreAddressError(f"the store's address (not shown) is neither a path nor a URL: write {known}://…")
    if re.match(r"[A-Za-z]:[\\/]", root) and os.sep == "/":
        raise StoreAddressError("the store's address is a Windows path, but this system is not Windows")


def _refuse_unusable(protocol: str, rest: str) -> None:
    """Refuses addresses without a bucket, with a host, or with a protocol that cannot be written."""
    if protocol in EXTRAS_OF_PROTOCOLS and not rest.partition("/")[0]:
        raise StoreAddressError(f"the store's address {protocol}://{rest} names no bucket: write {protocol}://bucket/…")
    if protocol == "file" and rest and not rest.startswith("/"):
        raise StoreAddressError(f"the store's address {protocol}://{rest} names a host: write file:///folder")
    if protocol.partition("::")[0] in _NOT_WRITABLE:
        raise StoreAddressError(f"the store's address starts with {protocol}://, which cannot contain a store")


def _refuse_pattern(protocol: str, rest: str) -> None:
    """Refuses pattern characters, which file listings in a bucket would expand."""
    found = next((letter for letter in "[]*?" if letter in rest), None)
    if found and protocol in EXTRAS_OF_PROTOCOLS:
        raise StoreAddressError(
            f"the store's address {protocol}://{rest} contains {found!r}, which object stores read as a pattern: "
            "use a bucket and folder without [ ] * ?"
        )


def _refuse_credentials(protocol: str, rest: str) -> None:
    """Refuses secrets in an address, because addresses are shown and recorded; secrets belong in the environment."""
    host = rest.partition("/")[0]
    user = host.rpartition("@")[0]
    is_odd = ":" in user
    if protocol in EXTRAS_OF_PROTOCOLS:
        is_account = protocol in _AZ and not is_odd  # container@account
        is_odd = ("@" in host and not is_account) or (":" in host and not host.startswith("arn:")) or "?" in rest
    if is_odd:
        raise StoreAddressError(
            f"the store's address (not shown) contains credentials or a query: write {protocol}://… without user, "
            "password, key or signature"
        )
