"""From what happens in the proxy to what people are told.

Every method that the rest of the proxy calls is called on the event loop, answers at once and
raises nothing.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from ccproxy.alerts.message import Message
from routing.alerts import DEFAULT_RULES, EMPTY, AlertKind, Trouble, due, ended, noticed
from routing.fallback_rate import FallbackRate
from routing.health import HealthState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from pathlib import Path

    from ccproxy.alerts.outbox import Outbox
    from ccproxy.outcome import Outcome
    from routing.alerts import AlertRules, Book, News
    from routing.fallback_rate import FallbackRules

TICK_S: Final = 15.0
"""How often the disk and the rate are looked at, and what is due is told."""
GRACE_S: Final = 1.0
"""How long the end of the process waits for what is on its way."""
ENOUGH_AGAIN: Final = 1.1
"""Times the limit: so much room must be free until a disk counts as well again."""
GIB: Final = 1024**3
ALL_REQUESTS: Final = "all requests"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watched:
    """What is worth an alert; a kind that is left out is not told."""

    kinds: frozenset[AlertKind]
    fallback: FallbackRules
    folders: tuple[Path, ...]
    """Whose disks must not run full."""
    least_free_bytes: int
    rules: AlertRules = DEFAULT_RULES


class Alarms:
    """Hears of trouble and puts messages into the outboxes. Implements `ports.OutcomeSink`."""

    def __init__(
        self,
        outboxes: Sequence[Outbox],
        watched: Watched,
        *,
        tick_s: float = TICK_S,
        now: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        """Begin with nothing known; without an outbox nothing is done."""
        self._outboxes = outboxes
        self._watched = watched
        self._tick_s = tick_s
        self._now = now
        self._wall = wall
        self._book: Book = EMPTY
        self._rate = FallbackRate(watched.fallback)
        self._host = socket.gethostname()

    # --- what the proxy calls ---------------------------------------------------------------------

    def backend_changed(self, address: str, state: str, why: str = "") -> None:
        """Hear that a backend went or came."""
        trouble = Trouble(AlertKind.BACKEND_DOWN, address)
        if state == HealthState.DOWN:
            self._notice(trouble, f"backend {address} is down: {why or 'it does not answer'}")
        else:
            self._end(trouble, f"backend {address} is {state} again")

    def prompt_truncated(self, deployment: str) -> None:
        """Hear that a model did not read the whole of a prompt."""
        text = (
            f"{deployment} read only a part of a prompt: its context is smaller than num_ctx says, "
            "look at Ollama's log and its memory"
        )
        self._notice(Trouble(AlertKind.TRUNCATION, deployment), text, lasts=False)

    def budget_threshold(self, budget: str, used: float, limit: float) -> None:
        """Hear that a threshold of a budget was crossed, before its end or at it."""
        if used < limit:
            subject, level = f"{budget} nearly used up", f"is used to {100 * used / limit:.0f} %"
        else:
            subject, level = f"{budget} used up", "is used up"
        self._notice(Trouble(AlertKind.BUDGET, subject), f"budget {budget} {level}", lasts=False)

    def record(self, outcome: Outcome) -> None:
        """Count a request for the rate of fallbacks; those that asked nobody don't count."""
        tried = {attempt.deployment for attempt in outcome.attempt_records}
        if tried and self._outboxes:
            self._rate = self._rate.counted(fell_back=len(tried) > 1, now_s=self._now())

    # --- life -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver, and look at what has to be looked at, while the block runs."""
        if not self._outboxes:
            yield
            return
        tasks = [asyncio.create_task(outbox.run()) for outbox in self._outboxes]
        tasks.append(asyncio.create_task(self._look_around()))
        try:
            yield
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE_S):
                    await asyncio.gather(*(outbox.sent() for outbox in self._outboxes))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for outbox in self._outboxes:
                outbox.give_up()

    async def _look_around(self) -> None:
        while True:
            try:
                await self._look_at_disks()
                self._look_at_rate()
                self._book, news = due(self._book, self._now(), self._watched.rules)
                self._tell(news)
            except Exception:  # noqa: BLE001 - one look that fails must not be the last
                _log.exception("alerts: a look at what is due failed")
            await asyncio.sleep(self._tick_s)

    async def _look_at_disks(self) -> None:
        least = self._watched.least_free_bytes
        for folder in self._watched.folders:
            try:
                free_bytes = await asyncio.to_thread(_free_bytes, folder)
            except OSError:
                continue
            trouble = Trouble(AlertKind.DISK_LOW, str(folder))
            text = f"{free_bytes / GIB:.1f} GiB are free at {folder}"
            if free_bytes < least:
                self._notice(trouble, f"only {text}, fewer than {least / GIB:g}")
            elif free_bytes >= least * ENOUGH_AGAIN:
                self._end(trouble, text)

    def _look_at_rate(self) -> None:
        was_high = self._rate.is_high
        self._rate = rate = self._rate.judged(self._now())
        trouble = Trouble(AlertKind.FALLBACK_RATE, ALL_REQUESTS)
        minutes = self._watched.fallback.window_s / 60
        text = (
            f"{rate.fallbacks} of {rate.requests} requests in {minutes:g} minutes were not served "
            "by their first choice"
        )
        if rate.is_high:
            self._notice(trouble, text)
        elif was_high:
            self._end(trouble, text)

    # --- telling ----------------------------------------------------------------------------------

    def _notice(self, trouble: Trouble, text: str, *, lasts: bool = True) -> None:
        if not self._outboxes or trouble.kind not in self._watched.kinds:
            return
        now_s, rules = self._now(), self._watched.rules
        self._book, news = noticed(self._book, trouble, text, lasts=lasts, now_s=now_s, rules=rules)
        self._tell((news,) if news else ())

    def _end(self, trouble: Trouble, text: str) -> None:
        now_s, rules = self._now(), self._watched.rules
        self._book, news = ended(self._book, trouble, text, now_s=now_s, rules=rules)
        self._tell((news,) if news else ())

    def _tell(self, news: Iterable[News]) -> None:
        at_s, now_s = self._wall(), self._now()
        for item in news:
            message = Message(
                item.trouble.kind,
                item.trouble.subject,
                item.phase,
                item.text,
                self._host,
                at_s,
                at_s - (now_s - item.since_s),
                item.times,
            )
            for outbox in self._outboxes:
                outbox.put(message)


def _free_bytes(folder: Path) -> int:
    """Return the room at the folder, or at the nearest above it that is there."""
    existing = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    return shutil.disk_usage(existing).free
