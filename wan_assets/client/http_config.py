"""Time-outs, retries and size limits of the client."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HttpConfig:
    """Time-outs in seconds, retries and size limits of the client.

    Args:
        initial_retry_delay_s: Must be at least 1 s against the real API, which has accepted two copies of a task that
            arrived faster.
        max_retry_after_s: The longest `Retry-After` that the client waits for.
        webhook_poll_interval_s: The interval at which a run reads webhook hints from the ledger, and the shortest
            interval between polls of a task with a hint.
        delivery_wait_s: How long a finished task's file may take to arrive in the bucket before it is downloaded.
        max_response_bytes: Size limit of a response after decompression; `max_download_bytes` is that of a file.
        min_download_bytes: The least that a download must receive in each `download_window_s`.
        download_timeout_s: The time limit of a file with all its tries.
    """

    connect_timeout_s: float = 10.0
    response_timeout_s: float = 60.0
    max_response_bytes: int = 8 << 20
    initial_retry_delay_s: float = 1.0
    max_retry_delay_s: float = 30.0
    retry_jitter_s: float = 1.0
    max_tries: int = 8
    max_retry_after_s: float = 600.0
    initial_poll_delay_s: float = 2.0
    max_poll_interval_s: float = 10.0
    webhook_poll_interval_s: float = 1.0
    download_read_timeout_s: float = 60.0
    max_download_tries: int = 8
    download_window_s: float = 60.0
    min_download_bytes: int = 128 << 10
    max_download_bytes: int = 2 << 30
    download_timeout_s: float = 900.0
    delivery_wait_s: float = 30.0
