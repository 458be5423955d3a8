"""Assignment of videos to splits by the fingerprint of their request."""

from __future__ import annotations

import hashlib
from typing import Literal, get_args

Split = Literal["train", "validation"]

SPLITS: tuple[Split, ...] = get_args(Split)

_WHOLE = 1 << 64


def split_of(fingerprint: str, validation: float) -> Split:
    """Returns the split of all videos of a request; a larger validation share only adds requests to it.

    >>> split_of("f" * 64, 0.0), split_of("f" * 64, 1.0)
    ('train', 'validation')
    """
    digest = hashlib.sha256(f"split:{fingerprint}".encode()).digest()
    return "validation" if int.from_bytes(digest[:8]) < int(validation * _WHOLE) else "train"
