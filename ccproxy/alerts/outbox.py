"""Messages on their way to one channel: a bounded queue, and a task that tries until it gives up.

Each channel has an outbox of its own, so that one that hangs does not hold up the others.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from random import random
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from ccproxy.alerts.channel import NotDelivered

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccproxy.alerts.channel import Channel
    from ccproxy.alerts.message import Message

WAITING_LIMIT: Final = 100
"""Messages that may wait for a channel; what comes beyond is dropped and counted."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeliveryRules:
    """How long a message is tried for."""

    first_pause_s: float = 2.0
    longest_pause_s: float = 60.0
    """Pauses double up to here; a random half is taken off."""
    give_up_s: float = 900.0
    """From the message's arrival: what is older helps nobody, and keeps newer ones waiting."""


DEFAULT_RULES: Final = DeliveryRules()


class _Waiting(NamedTuple):
    message: Message
    since_s: float


class Outbox:
    """What waits for one channel."""

    def __init__(
        self,
        channel: Channel,
        *,
        count: Callable[[str, str, str], object],
        rules: DeliveryRules = DEFAULT_RULES,
        waiting_limit: int = WAITING_LIMIT,
    ) -> None:
        """Send nothing before `run`.

        Args:
            channel: Where to.
            count: Called for each message with channel, kind and end: `delivered`, `failed` or
                `dropped`.
            rules: How long is tried.
            waiting_limit: Messages that may wait.
        """
        self._channel = channel
        self._count = count
        self._rules = rules
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(waiting_limit)

    def put(self, message: Message) -> None:
        """Take a message; never blocks, never raises. To be called on the event loop."""
        try:
            self._queue.put_nowait(_Waiting(message, monotonic()))
        except asyncio.QueueFull:
            self._count(self._channel.name, message.kind, "dropped")
            _log.warning("alerts: %s: too many wait, dropped: %s", self._channel.name, message.text)

    async def run(self) -> None:
        """Deliver what comes, in order, until cancelled."""
        while True:
            waiting = await self._queue.get()
            try:
                await self._deliver(waiting)
            except asyncio.CancelledError:
                self._lose(waiting.message, "the proxy stopped")
                raise
            finally:
                self._queue.task_done()

    async def sent(self) -> None:
        """Return when everything that was put is delivered or given up."""
        await self._queue.join()

    def give_up(self) -> None:
        """Say what was not sent; to be called after the end of `run`."""
        while not self._queue.empty():
            self._lose(self._queue.get_nowait().message, "the proxy stopped")

    async def _deliver(self, waiting: _Waiting) -> None:
        message, pause_s = waiting.message, self._rules.first_pause_s
        while True:
            try:
                await self._channel.send(message)
            except NotDelivered as failure:
                wait_s = max(pause_s * (1 - random() / 2), failure.retry_after_s or 0.0)  # noqa: S311 - a pause
                late = monotonic() + wait_s - waiting.since_s > self._rules.give_up_s
                if failure.is_final or late:
                    self._lose(message, str(failure))
                    return
            except Exception as error:  # noqa: BLE001 - or nothing would be sent any more
                # No traceback: an error of a library may hold the URL.
                self._lose(message, f"a mistake of ccproxy's: {type(error).__name__}")
                return
            else:
                self._count(self._channel.name, message.kind, "delivered")
                return
            await asyncio.sleep(wait_s)
            pause_s = min(2 * pause_s, self._rules.longest_pause_s)

    def _lose(self, message: Message, why: str) -> None:
        self._count(self._channel.name, message.kind, "failed")
        _log.warning("alerts: %s: not delivered (%s): %s", self._channel.name, why, message.text)
