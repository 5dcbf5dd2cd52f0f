"""Lines written by a thread of their own, so that the event loop never waits for the disk."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccproxy.observability.rotated_file import RotatedFile

WAITING_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""Lines that may wait for a slow disk; what comes beyond is dropped and counted."""
BATCH_S: Final = 0.2
"""How long lines are gathered before they are written; so much can be lost in a crash."""

_log = logging.getLogger(__name__)


class LineWriter:
    """Takes lines at no cost and writes them; those that cannot be written are counted.

    What waits is one buffer, and the thread has next to nothing to do in Python: a thread that
    works through objects holds up the event loop, and under load waits for its turn to do so.
    """

    def __init__(
        self,
        file: RotatedFile,
        *,
        report: Callable[[str], None] = _log.warning,
        waiting_limit_bytes: int = WAITING_LIMIT_BYTES,
        batch_s: float = BATCH_S,
    ) -> None:
        """Write nothing before `start`.

        Args:
            file: Where lines go; used by the thread alone.
            report: Called in the thread, once when writing begins to fail and once when it works
                again.
            waiting_limit_bytes: How much may wait.
            batch_s: How long lines are gathered.
        """
        self._file = file
        self._report = report
        self._waiting_limit_bytes = waiting_limit_bytes
        self._batch_s = batch_s
        self._lock = threading.Lock()
        """For the next three."""
        self._waiting = bytearray()
        self._waiting_lines = 0
        self._is_closed = False
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        # Each counter is written by one thread only.
        self._refused = 0
        self._failed = 0
        self._written = 0
        self._is_failing = False

    @property
    def dropped(self) -> int:
        """Lines that are in no file: too many waited, the disk refused them, or it was closed."""
        return self._refused + self._failed

    @property
    def written(self) -> int:
        """Lines that were handed to the operating system."""
        return self._written

    def put(self, line: bytes) -> None:
        """Take a line without its end; never waits for the disk, never raises."""
        with self._lock:
            waiting_bytes = len(self._waiting) + len(line) + 1
            if self._is_closed or waiting_bytes > self._waiting_limit_bytes:
                self._refused += 1
                return
            self._waiting += line
            self._waiting += b"\n"
            self._waiting_lines += 1

    def start(self) -> None:
        """Start the thread; what was put before is in its first batch."""
        self._thread = threading.Thread(target=self._run, name="line-writer", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits and stop; blocks for at most `timeout_s`, e.g. where a disk hangs."""
        with self._lock:
            self._is_closed = True
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._closing.wait(self._batch_s):
            self._write_waiting()
        self._write_waiting()
        self._file.close()

    def _write_waiting(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, bytearray()
            lines, self._waiting_lines = self._waiting_lines, 0
        if not lines:
            return
        try:
            self._file.append(waiting)
        except OSError as error:
            self._failed += lines
            self._file.close()
            if not self._is_failing:
                self._is_failing = True
                self._report(f"{self._file.path}: lines are being lost: {error.strerror or error}")
            return
        self._written += lines
        if self._is_failing:
            self._is_failing = False
            self._report(f"{self._file.path}: written again; {self._failed} lines were lost")
