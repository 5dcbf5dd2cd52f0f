"""When each token was last used: noted in memory, written in the background.

Beside the tokens file is `tokens-used.json`: `{"version": 1, "last_used": {name: seconds}}`, Unix
time, mode 0600. It is for people only: a file that is broken or gone costs nobody anything. What
was used in the last `WRITE_EVERY_S` before a crash is not in it.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from ccproxy.auth.private_file import write_private

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping
    from pathlib import Path

FILE_NAME: Final = "tokens-used.json"
WRITE_EVERY_S: Final = 60.0
LAST_TIME_S: Final = 253_402_300_799
"""The end of the year 9999, beyond which nothing has a date."""


def read_last_used(tokens_file: Path) -> Mapping[str, int]:
    """Return Unix seconds by token name, as far as they are known; never raises."""
    try:
        document = json.loads((tokens_file.parent / FILE_NAME).read_bytes())
        found = {str(name): int(at_s) for name, at_s in document["last_used"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return {}
    return {name: at_s for name, at_s in found.items() if 0 <= at_s <= LAST_TIME_S}


class LastUsed:
    """Notes uses on the event loop, at the cost of one entry of a dict."""

    def __init__(
        self,
        tokens_file: Path,
        names: Callable[[], Collection[str]],
        *,
        clock: Callable[[], float] = time.time,
        write_every_s: float = WRITE_EVERY_S,
    ) -> None:
        """Read nothing yet.

        Args:
            tokens_file: The file is beside it.
            names: Returns the tokens there are; others are forgotten.
            clock: Unix seconds.
            write_every_s: How often what is new is written, at most.
        """
        self._tokens_file = tokens_file
        self._names = names
        self._clock = clock
        self._write_every_s = write_every_s
        self._noted: dict[str, int] = {}

    def note(self, name: str) -> None:
        """Take note that a token is used now."""
        self._noted[name] = int(self._clock())

    async def flush(self) -> None:
        """Write what was noted since the last time, in a thread; what cannot be written is lost."""
        noted, self._noted = self._noted, {}
        if noted:
            await asyncio.to_thread(self._write, noted, frozenset(self._names()))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write every now and then while the block runs, and at its end."""
        task = asyncio.create_task(self._keep_writing())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.flush()

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(self._write_every_s)
            await self.flush()

    def _write(self, noted: Mapping[str, int], names: Collection[str]) -> None:
        known = {**read_last_used(self._tokens_file), **noted}
        document = {
            "version": 1,
            "last_used": {name: at_s for name, at_s in sorted(known.items()) if name in names},
        }
        try:
            write_private(
                self._tokens_file.parent / FILE_NAME,
                json.dumps(document, indent=2).encode() + b"\n",
            )
        except OSError:
            return  # a full disk is told by others, and serves no request worse for this
