"""Event loops whose decoder processes are forked from one that has imported the same, in a tenth of a start's time."""

from __future__ import annotations

import asyncio
import threading
from asyncio.base_subprocess import BaseSubprocessTransport
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from python_process import DecoderProcess


class _ForkedDecoder(BaseSubprocessTransport):
    """As asyncio's own transport, of a process that is forked instead of started."""

    def _start(self, args: Sequence[str], stdin: int, stdout: int, stderr: int, bufsize: int, **how: Any) -> None:
        streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        self._proc = DecoderProcess(list(args[1:]), bufsize=bufsize, **streams, **how)
        threading.Thread(target=self._wait_for_end, daemon=True).start()

    def _wait_for_end(self) -> None:
        status = self._proc.wait()
        with suppress(RuntimeError):  # the loop was closed before
            self._loop.call_soon_threadsafe(self._process_exited, status)


class DecoderLoop(asyncio.SelectorEventLoop):
    """A loop that forks decoders and starts all other processes."""

    async def _make_subprocess_transport(
        self, protocol: Any, args: Sequence[str], *given: Any, extra: Any = None, **how: Any
    ) -> Any:
        if not DecoderProcess.takes(args[1:]):
            return await super()._make_subprocess_transport(protocol, args, *given, extra=extra, **how)
        connected = self.create_future()
        transport = _ForkedDecoder(self, protocol, args, *given, waiter=connected, extra=extra, **how)
        try:
            await connected
        except BaseException:
            transport.close()
            await transport._wait()
            raise
        return transport


class DecoderLoopPolicy(asyncio.DefaultEventLoopPolicy):
    """Gives such loops to all who ask for a new one."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return DecoderLoop()
