"""What a proxy starts before it serves, and ends afterwards."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ccproxy.budgeting import reader
from ccproxy.config.reload_signal import install_reload_signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from ccproxy.alerts.alarms import Alarms
    from ccproxy.auth import Gate
    from ccproxy.config.live import LiveRouting
    from ccproxy.fleet import Fleet
    from ccproxy.pipeline.budgets import BudgetGuard
    from ccproxy.recording import Records

Read = TypeVar("Read")


def build_lifespan(
    fleet: Fleet,
    live: LiveRouting,
    records: Records,
    alarms: Alarms,
    budgets: BudgetGuard,
    gate: Gate | None = None,
) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Return the ASGI lifespan: inside it everything runs, after it nothing is left.

    Args:
        fleet: Connects, and watches its backends.
        live: Looks for edits of its files, and is told of the reload signal.
        records: Written until the last request has ended.
        alarms: Run around all else, so that what happens at the end is told too.
        budgets: Learn from the ledger what was spent before.
        gate: Keeps up to date by whom requests may be signed.
    """
    logs = (records.decisions, records.audit)

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        watched = gate.running() if gate is not None else nullcontext()
        async with alarms.running(), fleet.running(), watched:
            for log in logs:
                log.start()
            records.ledger.start(
                _on_this_loop(fleet.token_ratios.restore),
                reader(budgets, _on_this_loop(budgets.restore)),
            )
            watching = asyncio.create_task(live.watch())
            forget_signal = install_reload_signal(asyncio.get_running_loop(), live)
            try:
                yield
            finally:
                forget_signal()
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
                closing = (*logs, records.ledger)
                await asyncio.gather(*(asyncio.to_thread(each.close) for each in closing))

    return lifespan


def _on_this_loop(call: Callable[[Sequence[Read]], None]) -> Callable[[Sequence[Read]], None]:
    """Return what has the running loop make a call, for another thread to use."""
    loop = asyncio.get_running_loop()

    def later(rows: Sequence[Read]) -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(call, rows)

    return later
