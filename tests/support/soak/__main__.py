"""`python -m tests.support.soak CONFIG PORT GRACE_S`: the proxy of a soak, under a clock that jumps.

Unix time is as it is, a day ahead, a day behind, a year ahead, and another one every quarter of a
second. Nothing that takes time may depend on it: durations, deadlines, breakers, health, caches.
"""

from __future__ import annotations

import sys
import time
from typing import Final

JUMPS_S: Final = (0.0, 86_400.0, -86_400.0, 3.0, 31_536_000.0)
JUMP_EVERY_S: Final = 0.25


class JumpingClock:
    """Unix time, wrongly."""

    def __init__(self) -> None:
        """Keep the clock that goes right."""
        self._true = time.time

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self._true() + JUMPS_S[int(time.monotonic() / JUMP_EVERY_S) % len(JUMPS_S)]


if __name__ == "__main__":
    time.time = JumpingClock()
    # Not before: whatever is imported would take the true one.
    from tests.support.soak.server import main

    main(*sys.argv[1:])
