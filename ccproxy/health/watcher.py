"""Asks one backend, again and again, whether it is there.

One task per backend, so that there are never two probes of it at a time. Rules:

1. A probe is due a pause after the last one ended; `routing.health` says how long, by what is known
   now. News from traffic only has the pause reckoned anew: many failures together bring at most the
   one probe that is due in doubt.
2. With `rests`, a backend is asked only while there is reason to think that it is gone.
3. Nothing is raised out of the task: whatever a probe raises is an observation.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from routing.health import HealthState, probe_delay_s

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from ccproxy.health.board import HealthBoard
    from routing.health import Health

_STEPS: Final = 10


class Watcher:
    """Keeps one backend's state on the board true."""

    def __init__(
        self,
        board: HealthBoard,
        address: str,
        probe: Callable[[], Coroutine[Any, Any, str]],
        *,
        then: Callable[[], Awaitable[None]] | None = None,
        rests: bool = False,
        jitter: Callable[[], float] = float,
    ) -> None:
        """Prepare; `start` begins.

        Args:
            board: Gets what is observed.
            address: Of the backend, as on the board.
            probe: Returns what was seen, in words for people; may raise anything. It is cancelled
                when it takes too long.
            then: Follows an answered probe, until the next one is due.
            rests: Whether it is asked only while its state is doubtful or down, or when somebody
                wants to know.
            jitter: From 0 to 1, drawn for each pause.
        """
        self._board = board
        self._address = address
        self._probe = probe
        self._then = then
        self._rests = rests
        self._jitter = jitter
        self._ended_at_s: float | None = None
        self._drawn = 0.0
        self._is_asked = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.probes = 0
        """How many there have been."""
        board.is_watched_by(address, self)

    def start(self) -> None:
        """Begin, in a task of the running loop; where nothing rests with a probe at once."""
        self._task = asyncio.create_task(self._run(), name=f"watch {self._address}")

    async def aclose(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def look_again(self) -> None:
        """See `board.Watching`."""
        self._wake.set()

    def ask_soon(self) -> bool:
        """See `board.Watching`; what is down is not asked any sooner.

        Returns whether it is asked at once.
        """
        self._is_asked = True
        self._wake.set()
        return self.next_probe_s() == 0

    def next_probe_s(self) -> float | None:
        """Return in how many seconds a probe is due; None while none is needed."""
        due_s = self._due_s()
        return None if due_s is None else max(0.0, due_s - self._board.now())

    async def _run(self) -> None:
        while True:
            await self._rest()
            self._is_asked = False
            is_there = await self._ask()
            due_s = self._due_s()
            if is_there and self._then is not None and due_s is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(due_s - self._board.now()):
                        await self._then()

    async def _rest(self) -> None:
        """Wait until a probe is due; that may change meanwhile."""
        while True:
            self._wake.clear()
            left_s = self.next_probe_s()
            if left_s == 0:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._wake.wait()

    async def _ask(self) -> bool:
        limit_s = self._board.health_rules.probe_timeout_s
        try:
            why = await _within(limit_s, self._probe())
        except TimeoutError:
            ok, why = False, f"no answer within {limit_s:g} s"
        except Exception as exc:  # noqa: BLE001 - the boundary of a background task, rule 3
            ok, why = False, str(exc) or type(exc).__name__
        else:
            ok = True
        self.probes += 1
        self._board.observe(self._address, ok=ok, why=why)
        self._ended_at_s = self._board.now()
        self._drawn = self._jitter()
        return ok

    def _due_s(self) -> float | None:
        """Return when the next probe is due, by the board's clock."""
        health = self._board.backends[self._address]
        is_wanted = self._is_asked or not self._rests
        if not is_wanted and not _is_in_trouble(health):
            return None
        if self._ended_at_s is None:
            return self._board.now()
        rules = self._board.health_rules
        pause_s = probe_delay_s(health, rules, self._drawn)
        if self._is_asked and health.state is not HealthState.DOWN:
            pause_s = min(pause_s, rules.doubtful_s)
        return self._ended_at_s + pause_s


async def _within(limit_s: float, asking: Coroutine[Any, Any, str]) -> str:
    """Return what a probe says.

    The time is counted in steps: where this process itself stands still, as while it imports
    LiteLLM on a slow machine, that costs one step, and is not taken for the backend's silence.

    Raises:
        TimeoutError: It says nothing.
    """
    probe = asyncio.ensure_future(asking)
    try:
        for _ in range(_STEPS):
            await asyncio.wait({probe}, timeout=limit_s / _STEPS)
            if probe.done():
                return probe.result()
        raise TimeoutError
    finally:
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)


def _is_in_trouble(health: Health) -> bool:
    """Return whether something was observed that speaks against the backend."""
    match health.state:
        case HealthState.UNKNOWN:
            return False
        case HealthState.UP:
            return health.is_doubtful
        case HealthState.DOWN:
            return True
