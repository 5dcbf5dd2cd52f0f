"""One agent of the soak: asks, reads, sometimes leaves or asks twice, and judges what it gets."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tests.support.http_wire import Answer, Wire
from tests.support.soak.surroundings import DEADLINE_S, NUMBER_HEADER
from tests.support.soak.verdicts import LATE_S, Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from tests.support.soak.work import Task, Worker

HUNG_S: Final = DEADLINE_S + LATE_S + 6.0
"""Nobody waits longer; what lasts so long is a finding of its own."""
PAUSE_S: Final = (0.0, 1.0)
"""Between an answer and the next question."""
LONGER_S: Final = (0.5, 2.0)
"""The same after a failure."""
_LEAVES: Final = 0.12
_ASKS_AGAIN: Final = 0.4
"""Of those who left: the same turn once more, at once."""
_ASKS_TWICE: Final = 0.03
_KEPT_FINDINGS: Final = 40
LEFT: Final = "left"


@dataclass
class Tally:
    """What all agents saw."""

    sent: int = 0
    """Requests that were written whole to a connection."""
    kinds: Counter[str] = field(default_factory=Counter)
    kind_of: dict[int, str] = field(default_factory=dict)
    """By number of the request, what its client saw."""
    statuses: dict[int, int] = field(default_factory=dict)
    """By number of the request, the status where one arrived."""
    took_s: list[float] = field(default_factory=list)
    """Of requests whose clients stayed."""
    findings: list[str] = field(default_factory=list)
    """What must not be."""
    wrong: int = 0

    def note(self, number: int, task: Task, verdict: Verdict) -> None:
        """Take note of how a request ended for its client."""
        self.kinds[verdict.kind] += 1
        self.kind_of[number] = verdict.kind
        for each in verdict.wrong:
            self.wrong += 1
            if len(self.findings) < _KEPT_FINDINGS:
                self.findings.append(f"#{number} {task.path} {verdict.kind}: {each}")


class SoakAgent:
    """Asks one question after another until it is told to stop."""

    def __init__(
        self,
        worker: Worker,
        random: Random,
        base_url: str,
        token: str,
        tally: Tally,
    ) -> None:
        """`worker` says what to ask, `random` how to behave."""
        address = urlsplit(base_url)
        self._worker = worker
        self._random = random
        self._host, self._port = address.hostname, address.port
        self._headers = {"x-api-key": token, "anthropic-version": "2023-06-01"}
        self._tally = tally
        self._kept: Wire | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until `stop` is set, then close what is open."""
        try:
            while not stop.is_set():
                went_well = await self._converse()
                pause_s = self._random.uniform(*(PAUSE_S if went_well else LONGER_S))
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await stop.wait()
        finally:
            self._drop()

    async def _converse(self) -> bool:
        """Return whether there was an answer, or nobody waited for one."""
        task = self._worker.next_task()
        chance = self._random.random()
        if chance < _LEAVES:
            await self._leave(task)
            if self._random.random() < _ASKS_AGAIN:
                await self._ask(task, is_repeated=True)
            return True
        if chance < _LEAVES + _ASKS_TWICE and not task.counts:
            await asyncio.gather(*(self._ask(task, is_repeated=True) for _ in range(2)))
            return True
        verdict = await self._ask(task)
        further = self._worker.after_call(task, verdict.content)
        if further is not None:
            verdict = await self._ask(further)
        return verdict.kind == "answered"

    async def _ask(self, task: Task, *, is_repeated: bool = False) -> Verdict:
        began = monotonic()
        number, wire = await self._send(task)
        try:
            async with asyncio.timeout(HUNG_S):
                answer = await wire.read_answer()
        except TimeoutError:
            verdict = Verdict("nothing", [f"no end of the answer after {HUNG_S:g} s"])
            wire.abort()
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            verdict = Verdict("nothing", [f"no answer: {error!r}"])
            wire.abort()
        else:
            took_s = monotonic() - began
            self._tally.took_s.append(took_s)
            self._tally.statuses[number] = answer.status
            verdict = judge(task, answer, took_s, is_repeated=is_repeated)
            self._keep(wire, answer)
        self._tally.note(number, task, verdict)
        return verdict

    async def _leave(self, task: Task) -> None:
        """Send, and leave after a moment: before the answer, in its middle, or a bit too late."""
        number, wire = await self._send(task)
        with suppress(TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            async with asyncio.timeout(self._random.uniform(0.0, 0.8)):
                status, _ = await wire.read_head()
                self._tally.statuses[number] = status
                await wire.reader.read()
        # An orderly end: what was sent is read by the server before it hears of it.
        wire.writer.close()
        self._tally.note(number, task, Verdict(LEFT))

    async def _send(self, task: Task) -> tuple[int, Wire]:
        wire, self._kept = self._kept, None
        if wire is None:
            reader, writer = await asyncio.open_connection(self._host, self._port, limit=2**24)
            wire = Wire(reader, writer, f"{self._host}:{self._port}")
        self._tally.sent += 1
        number = self._tally.sent
        headers: Mapping[str, str] = {
            **self._headers,
            **task.headers,
            "content-type": "application/json",
            NUMBER_HEADER: str(number),
        }
        await wire.send("POST", task.path, headers, task.body)
        return number, wire

    def _keep(self, wire: Wire, answer: Answer) -> None:
        """Use the connection again, where it can be."""
        closes = (answer.header("connection") or "").lower() == "close"
        if answer.complete and not closes and self._kept is None:
            self._kept = wire
        else:
            wire.abort()

    def _drop(self) -> None:
        if self._kept is not None:
            self._kept.abort()
            self._kept = None
