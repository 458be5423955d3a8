"""Ports that are free to listen on."""

import contextlib
import random
import socket


def free_port() -> int:
    """A port below those that outgoing connections use, so that nobody takes it before it is listened on."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
