"""A simulated Ollama in a thread with a loop of its own, for code that runs its own loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccproxy.demo.ollama_server import SimulatedOllama

_TIMEOUT_S = 10.0


@contextmanager
def served_in_thread(simulator: SimulatedOllama) -> Iterator[str]:
    """Serve while the block runs; gives the base URL."""
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        over = asyncio.Event()
        async with simulator.serve() as url:
            started.set_result((url, asyncio.get_running_loop(), over))
            await over.wait()

    thread = Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    url, loop, over = started.result(_TIMEOUT_S)
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(_TIMEOUT_S)
