"""Why a file was not decoded: it is damaged, nothing here decodes its codec, or decoding failed for its own reasons."""

from __future__ import annotations

import errno

import av

from wan_assets.errors import DecoderError, DecoderMissingError, InvalidVideoError, WanAssetsError

BROKEN = (av.FFmpegError, OSError, ValueError, LookupError, ArithmeticError, MemoryError, AssertionError)
"""What decoding raises. Anything else is an error of this package, and ends the decoder process."""

_OUT_OF_MEANS = {errno.ENOMEM: "memory", errno.EMFILE: "open files", errno.ENFILE: "open files"}
_UNREADABLE = (errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENOTCONN)
_NOT_SUPPORTED = (av.error.DecoderNotFoundError, av.error.PatchWelcomeError)


def error_of(error: BaseException) -> WanAssetsError:
    """The error that an exception of decoding stands for, in one line."""
    number = getattr(error, "errno", None)
    means = "memory" if isinstance(error, MemoryError) else _OUT_OF_MEANS.get(number or 0)
    if means:
        return DecoderError(f"the decoder process reached its limit of {means}")
    if isinstance(error, _NOT_SUPPORTED):
        return DecoderMissingError("this installation has no decoder for the file's codec, or for its variant")
    if number in _UNREADABLE and not isinstance(error, av.FFmpegError):
        return DecoderError(f"the decoder process cannot read the file: {reason_of(error)}")
    return InvalidVideoError(f"the file cannot be decoded: {reason_of(error)}")


def reason_of(error: BaseException) -> str:
    """The error's own words on one line, without file names or logs."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(words.split())[:200] or type(error).__name__
