"""Conversion of decoding exceptions to errors: a damaged file, a missing decoder, or a failure of the process."""

from __future__ import annotations

import errno

import av

from wan_assets.errors import DecoderError, DecoderMissingError, InvalidVideoError, WanAssetsError

DECODING_ERRORS = (av.FFmpegError, OSError, ValueError, LookupError, ArithmeticError, MemoryError, AssertionError)
"""Exceptions of decoding. Any other exception is a bug in this package and ends the decoder process."""

_RESOURCE_LIMITS = {errno.ENOMEM: "memory", errno.EMFILE: "open files", errno.ENFILE: "open files"}
_UNREADABLE = (errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENOTCONN)
_NOT_SUPPORTED = (av.error.DecoderNotFoundError, av.error.PatchWelcomeError)


def decoding_error_of(error: BaseException) -> WanAssetsError:
    """Converts an exception of decoding to an error with a one-line message."""
    number = getattr(error, "errno", None)
    resource = "memory" if isinstance(error, MemoryError) else _RESOURCE_LIMITS.get(number or 0)
    if resource:
        return DecoderError(f"the decoder process reached its limit of {resource}")
    if isinstance(error, _NOT_SUPPORTED):
        return DecoderMissingError("this installation has no decoder for the file's codec, or for its variant")
    if number in _UNREADABLE and not isinstance(error, av.FFmpegError):
        return DecoderError(f"the decoder process cannot read the file: {message_of(error)}")
    return InvalidVideoError(f"the file cannot be decoded: {message_of(error)}")


def message_of(error: BaseException) -> str:
    """Returns the message of an exception in one line, without file names or logs."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(words.split())[:200] or type(error).__name__
