"""`python -m tests.support.ollama_program PORT`: a simulated Ollama as a process that can be killed."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from typing import Final

from ccproxy.demo.ollama_server import SimulatedOllama
from tests.support.http_wire import ask
from tests.support.tools import ROOT

SPEED: Final = 40.0
START_S: Final = 20.0
_LOOK_EVERY_S: Final = 0.02


class OllamaProgram:
    """An Ollama on one port that can be killed and started again."""

    def __init__(self, port: int) -> None:
        """`port` is where it will be."""
        self.base_url = f"http://127.0.0.1:{port}"
        self._port = port
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.ollama_program", str(self._port)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            cwd=ROOT,
        )
        await _answering(self.base_url)

    async def kill(self) -> None:
        """End it as a crash does; nothing happens where none runs."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.wait()


async def _answering(base_url: str) -> None:
    async with asyncio.timeout(START_S):
        while True:
            try:
                await ask(base_url, "/api/version", method="GET")
            except OSError:
                await asyncio.sleep(_LOOK_EVERY_S)
            else:
                return


async def _serve(port: int) -> None:
    async with SimulatedOllama(speed=SPEED).serve(port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
