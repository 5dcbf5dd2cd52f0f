"""Lines written by a thread of their own, so that the event loop never waits for the disk."""

from __future__ import annotations

import logging
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ccproxy.observability.rotated_file import RotatedFile

WAITING_LIMIT: Final = 10_000
"""Items that may wait for a slow disk; what comes beyond is dropped and counted."""
BATCH_S: Final = 0.2
"""How long items are gathered before they are written; so much can be lost in a crash."""
BATCH_ITEMS: Final = 1000
"""At most so many go into one write."""

Item = TypeVar("Item")

_log = logging.getLogger(__name__)


class LineWriter(Generic[Item]):
    """Takes items at no cost and writes each as a line; what cannot be written is counted."""

    def __init__(
        self,
        file: RotatedFile,
        to_line: Callable[[Item], bytes],
        *,
        report: Callable[[str], None] = _log.warning,
        waiting_limit: int = WAITING_LIMIT,
        batch_s: float = BATCH_S,
    ) -> None:
        """Write nothing before `start`.

        Args:
            file: Where lines go; used by the thread alone.
            to_line: Called in the thread; the result has no end of line.
            report: Called in the thread, once when writing begins to fail and once when it works
                again.
            waiting_limit: Items that may wait.
            batch_s: How long items are gathered.
        """
        self._file = file
        self._to_line = to_line
        self._report = report
        self._waiting_limit = waiting_limit
        self._batch_s = batch_s
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        # Each counter is written by one thread only.
        self._refused = 0
        self._failed = 0
        self._written = 0
        self._is_failing = False

    @property
    def dropped(self) -> int:
        """Items that are in no file: too many waited, the disk refused them, or it was closed."""
        return self._refused + self._failed

    @property
    def written(self) -> int:
        """Items that were handed to the operating system."""
        return self._written

    def put(self, item: Item) -> None:
        """Take an item; never blocks, never raises."""
        if self._closing.is_set() or self._queue.qsize() >= self._waiting_limit:
            self._refused += 1
        else:
            self._queue.put(item)

    def start(self) -> None:
        """Start the thread; what was put before is written now."""
        self._thread = threading.Thread(target=self._run, name="line-writer", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits and stop; blocks for at most `timeout_s`, e.g. where a disk hangs."""
        self._closing.set()
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        is_open = True
        while is_open:
            batch = self._next_batch()
            is_open = None not in batch
            items = [item for item in batch if item is not None]
            if items:
                self._write(items)
        self._file.close()

    def _next_batch(self) -> list[Item | None]:
        """Return what has gathered; None is the end."""
        batch = [self._queue.get()]
        if self._queue.qsize() < BATCH_ITEMS:
            # The pause spares the event loop a change of threads for every item.
            self._closing.wait(self._batch_s)
        while len(batch) < BATCH_ITEMS:
            try:
                batch.append(self._queue.get_nowait())
            except Empty:
                break
        return batch

    def _write(self, items: Sequence[Item]) -> None:
        lines = [line for item in items if (line := self._line(item)) is not None]
        try:
            self._file.append(b"".join(lines))
        except OSError as error:
            self._failed += len(lines)
            self._file.close()
            if not self._is_failing:
                self._is_failing = True
                self._report(f"{self._file.path}: lines are being lost: {error.strerror or error}")
            return
        self._written += len(lines)
        if self._is_failing:
            self._is_failing = False
            self._report(f"{self._file.path}: written again; {self._failed} lines were lost")

    def _line(self, item: Item) -> bytes | None:
        try:
            return self._to_line(item) + b"\n"
        except Exception as error:  # noqa: BLE001 - one odd item must not cost the others
            self._failed += 1
            self._report(f"{self._file.path}: a line was lost, it cannot be written: {error}")
            return None
