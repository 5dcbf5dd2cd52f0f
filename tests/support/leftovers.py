"""What a process holds, to be compared before and after."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Held:
    """Counted with the event loop at rest."""

    tasks: int
    files: int
    """File descriptors, sockets included."""
    rss_bytes: int


def held() -> Held:
    """Count, from inside the event loop, after a collection of garbage."""
    gc.collect()
    process = psutil.Process()
    return Held(len(asyncio.all_tasks()), process.num_fds(), process.memory_info().rss)
