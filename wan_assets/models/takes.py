"""Takes: the same request with other seeds, for a video that was sent back."""

from __future__ import annotations

import hashlib

from wan_assets.models.request import MAX_SEED, VideoRequest


def request_of_take(request: VideoRequest, take: int) -> VideoRequest:
    """Returns the request of a row's `take`, from 1; the first take is the request itself.

    The seed of a further take depends only on the request and the number, so that every process, also after a crash,
    requests the same video.

    >>> request = VideoRequest(positive_prompt="A red kite", resolution="480p", seed=7)
    >>> request_of_take(request, 1) is request, request_of_take(request, 2).seed
    (True, 1617206804)
    """
    if take <= 1:
        return request
    digest = hashlib.sha256(f"take\n{request.fingerprint()}\n{take}".encode()).digest()
    return request.model_copy(update={"seed": int.from_bytes(digest[:4]) % (MAX_SEED + 1)})
