"""An event loop whose clock can run fast: minutes of waiting on real sockets pass in a second."""

from __future__ import annotations

import asyncio
import selectors
import time


class FastClockLoop(asyncio.SelectorEventLoop):
    """Every timer of the loop, those of libraries included, keeps this clock.

    What reads `time.monotonic` itself does not.
    """

    def __init__(self) -> None:
        """Begin at the speed of other clocks."""
        self._speed, self._since, self._offset_s = 1.0, time.monotonic(), 0.0
        super().__init__(_FastSelector(self))

    @property
    def speed(self) -> float:
        """Seconds of the loop per second; may be set at any time."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._offset_s, self._since = self.time(), time.monotonic()
        self._speed = speed

    def time(self) -> float:
        """Return the seconds of the loop's clock, which never goes back."""
        return self._offset_s + (time.monotonic() - self._since) * self._speed


class _FastSelector(selectors.DefaultSelector):
    """Waits as much shorter as the loop's clock is faster."""

    def __init__(self, loop: FastClockLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / self._loop.speed)
