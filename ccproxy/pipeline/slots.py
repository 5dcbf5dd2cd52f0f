"""How many requests one deployment serves at once; the others wait their turn.

Ollama itself queues silently (`OLLAMA_NUM_PARALLEL`), so the limit is kept here, where a wait
can end in a fallback.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar

from ccproxy.ports import AttemptFailed
from routing.failures import FailureClass
from routing.pace import Occupancy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

Item = TypeVar("Item")

QUEUE_TIMEOUT_S: Final = 120.0
"""The longest wait for a slot; then another deployment is tried or the client hears 529."""


def _ignore(_seconds: float) -> None:
    """Tell nobody."""


class Slots:
    """The slots of one deployment; without a limit everybody is admitted at once."""

    def __init__(
        self,
        limit: int | None,
        *,
        queue_timeout_s: float = QUEUE_TIMEOUT_S,
        on_release: Callable[[float], None] = _ignore,
    ) -> None:
        """`limit` is `max_parallel_requests` of the config file.

        `on_release` hears how many seconds a request of `admitted` kept its slot.
        """
        self._limit = limit
        self._semaphore = None if limit is None else asyncio.Semaphore(limit)
        self._queue_timeout_s = queue_timeout_s
        self._on_release = on_release
        self._waiting = 0
        self._busy = 0

    def occupancy(self) -> Occupancy:
        """Return who waits and who is served."""
        return Occupancy(self._waiting, self._busy, self._limit)

    async def acquire(self) -> None:
        """Wait for a slot; `release` gives it back.

        Raises:
            AttemptFailed: OVERLOADED, when no slot came free in time.
        """
        if self._semaphore is None:
            return
        self._waiting += 1
        try:
            async with asyncio.timeout(self._queue_timeout_s):
                await self._semaphore.acquire()
        except TimeoutError as exc:
            message = "All slots of this deployment are busy; try again soon."
            raise AttemptFailed(
                FailureClass.OVERLOADED, message, tells_of_deployment=False
            ) from exc
        finally:
            self._waiting -= 1

    def release(self) -> None:
        """Give a slot back."""
        if self._semaphore is not None:
            self._semaphore.release()

    async def admitted(
        self, source: AsyncGenerator[Item], on_admitted: Callable[[float], None] = _ignore
    ) -> AsyncGenerator[Item]:
        """Yield from `source` once a slot is free; the slot is held until the end.

        `on_admitted` hears how many seconds that took.

        Raises:
            AttemptFailed: OVERLOADED, when no slot came free in time.
        """
        asked_at = monotonic()
        await self.acquire()
        admitted_at = monotonic()
        on_admitted(admitted_at - asked_at)
        self._busy += 1
        try:
            async with aclosing(source):
                async for item in source:
                    yield item
        finally:
            self._busy -= 1
            self._on_release(monotonic() - admitted_at)
            self.release()


class Occupancies(Mapping[str, Occupancy]):
    """What goes on at each deployment at the moment of the question.

    A burst of agents comes within milliseconds: a copy would show each of them an idle machine.
    """

    def __init__(self, slots: Mapping[str, Slots], is_loaded: Callable[[str], bool | None]) -> None:
        """Both by deployment; `is_loaded` is None for a model that nobody could look at."""
        self._slots = slots
        self._is_loaded = is_loaded

    def __getitem__(self, deployment: str) -> Occupancy:
        """Return who waits and is served, and whether the model is in memory."""
        occupancy = self._slots[deployment].occupancy()
        return replace(occupancy, loaded=self._is_loaded(deployment))

    def __iter__(self) -> Iterator[str]:
        """Name the deployments."""
        return iter(self._slots)

    def __len__(self) -> int:
        """Count them."""
        return len(self._slots)
