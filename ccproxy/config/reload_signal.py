"""SIGHUP asks for a reload, as with other services.

A terminal that is closed sends the same signal to what runs in it. So where the process was started
from a terminal and that terminal is gone, the signal still means the end.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ccproxy.config.live import LiveRouting


def install_reload_signal(loop: asyncio.AbstractEventLoop, live: LiveRouting) -> Callable[[], None]:
    """Let SIGHUP reload; return what takes that back.

    Does nothing outside the main thread, the only one that gets signals.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    terminal = _terminal()

    def on_signal() -> None:
        if terminal is not None and not os.isatty(terminal):
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            live.reload_soon()

    loop.add_signal_handler(signal.SIGHUP, on_signal)

    def remove() -> None:
        loop.remove_signal_handler(signal.SIGHUP)

    return remove


def _terminal() -> int | None:
    """Return a descriptor of the terminal this process was started from, or None."""
    try:
        descriptor = sys.__stdin__.fileno() if sys.__stdin__ is not None else -1
    except (OSError, ValueError):
        return None
    return descriptor if descriptor >= 0 and os.isatty(descriptor) else None
