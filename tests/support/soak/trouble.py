"""One fault after another, drawn from a seed: everything that the simulators can do wrong.

An order meets the next few requests; an outage begins at once and ends by itself; a deleted model
comes back. What nobody met is forgotten after a while.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ccproxy.demo.claude_faults import Fault as ClaudeFault
from ccproxy.demo.claude_faults import FaultKind as ClaudeKind
from ccproxy.demo.ollama_faults import BAD_REQUESTS, FaultKind
from ccproxy.demo.ollama_faults import Fault as OllamaFault

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from random import Random

    from ccproxy.demo.claude import SimulatedClaude
    from ccproxy.demo.ollama_server import SimulatedOllama

OUTAGE_S: Final = (0.2, 2.5)
STORM: Final = 40
"""Requests that a storm meets."""
MOST_PENDING: Final = 12
"""Orders that wait for somebody to meet them."""
_STATUSES: Final = (400, 401, 403, 404, 413, 429, 500, 502, 503, 529)
_CODINGS: Final = ("gzip", "deflate")
_LASTING: Final = frozenset({FaultKind.HANG_ACCEPT, FaultKind.REFUSE})


@dataclass
class Trouble:
    """Orders faults at both simulators."""

    ollama: SimulatedOllama
    claude: SimulatedClaude
    random: Random
    ordered: Counter[str] = field(default_factory=Counter)
    """By name, how often."""
    _outages: set[asyncio.Task[None]] = field(default_factory=set)
    _ollama_is_out: bool = False
    _claude_is_out: bool = False

    def order_one(self) -> None:
        """Order the next fault."""
        name, order = self.random.choice(self._choices())
        self.ordered[name] += 1
        order()
        del self.ollama.faults[:-MOST_PENDING]
        del self.claude.faults[:-MOST_PENDING]

    async def over(self) -> None:
        """Forget what is ordered and wait until the outages have ended."""
        self.ollama.faults.clear()
        self.claude.faults.clear()
        if self._outages:
            await asyncio.wait(self._outages)

    def _choices(self) -> Sequence[tuple[str, Callable[[], None]]]:
        return [
            *((f"ollama {kind}", partial(self._at_ollama, kind)) for kind in FaultKind),
            *((f"claude {kind}", partial(self._at_claude, kind)) for kind in ClaudeKind),
            ("claude hang_accept", partial(self._claude_out, hangs=True)),
            ("ollama storm of busy", self._ollama_storm),
            ("claude storm of 429", partial(self._claude_storm, 429, None)),
            ("claude storm of 429, named wait", partial(self._claude_storm, 429, 1)),
            ("claude storm of 529", partial(self._claude_storm, 529, None)),
            ("claude storm of 529, named wait", partial(self._claude_storm, 529, 2)),
        ]

    # --- Ollama ---------------------------------------------------------------------------------

    def _at_ollama(self, kind: FaultKind) -> None:
        chance = self.random
        if kind is FaultKind.DELETE_MODEL:
            self._start(self._without_a_model())
        elif kind is FaultKind.RESET_ALL or kind in _LASTING:
            lasts_s = 0.0 if kind is FaultKind.RESET_ALL else chance.uniform(*OUTAGE_S)
            self._start(self._ollama_out(lasts_s, hangs=kind is FaultKind.HANG_ACCEPT))
        else:
            self.ollama.faults.append(
                OllamaFault(
                    kind,
                    times=chance.randint(1, 6),
                    after_records=chance.randint(0, 8),
                    seconds=self._seconds(kind),
                    message=chance.choice(sorted(BAD_REQUESTS)),
                )
            )

    def _seconds(self, kind: FaultKind) -> float:
        match kind:
            case FaultKind.SLOW_BYTES:
                return self.random.choice((0.001, 0.02))
            case FaultKind.STALL:
                return self.random.choice((0.0, 0.7))
            case _:
                return self.random.uniform(0.1, 2.0)

    def _ollama_storm(self) -> None:
        self.ollama.faults.append(OllamaFault(FaultKind.BUSY, times=STORM))

    async def _without_a_model(self) -> None:
        name = self.random.choice(sorted(self.ollama.models))
        model = self.ollama.models.pop(name)
        await asyncio.sleep(self.random.uniform(*OUTAGE_S))
        self.ollama.models[name] = model

    async def _ollama_out(self, lasts_s: float, *, hangs: bool) -> None:
        if self._ollama_is_out:
            return
        self._ollama_is_out = True
        try:
            await (self.ollama.hang() if hangs else self.ollama.refuse())
            await asyncio.sleep(lasts_s)
        finally:
            await self.ollama.resume()
            self._ollama_is_out = False

    # --- Claude ---------------------------------------------------------------------------------

    def _at_claude(self, kind: ClaudeKind) -> None:
        chance = self.random
        if kind is ClaudeKind.REFUSE:
            self._claude_out(hangs=False)
            return
        stalls = kind is ClaudeKind.STALL
        self.claude.faults.append(
            ClaudeFault(
                kind,
                times=chance.randint(1, 6),
                status=chance.choice(_STATUSES),
                retry_after_s=chance.choice((None, 1, 8)),
                after_bytes=chance.choice((0, 100, 400, 900)),
                seconds=chance.choice((0.0, 0.7)) if stalls else chance.uniform(0.1, 2.0),
                coding=chance.choice(_CODINGS),
            )
        )

    def _claude_storm(self, status: int, retry_after_s: int | None) -> None:
        self.claude.faults.append(
            ClaudeFault(ClaudeKind.STATUS, times=STORM, status=status, retry_after_s=retry_after_s)
        )

    def _claude_out(self, *, hangs: bool) -> None:
        if not self._claude_is_out:
            self._start(self._claude_gone(self.random.uniform(*OUTAGE_S), hangs=hangs))

    async def _claude_gone(self, lasts_s: float, *, hangs: bool) -> None:
        self._claude_is_out = True
        try:
            if hangs:
                await self.claude.hang(lasts_s)
            else:
                await self.claude.refuse(lasts_s)
        finally:
            self._claude_is_out = False

    def _start(self, outage: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(outage)
        self._outages.add(task)
        task.add_done_callback(self._outages.discard)
