"""The demo's fleet."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ccproxy.demo.asgi_server import running
from ccproxy.demo.claude import SimulatedClaude
from ccproxy.demo.claude_faults import Fault, FaultKind
from ccproxy.demo.traffic import send_traffic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def _per_agent(claude: SimulatedClaude, calls: asyncio.Queue[str]) -> AsyncIterator[str]:
    """Serve `claude` under `/agents/{slug}`, noting the slug of each answered call."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            _, _, slug, path = scope["path"].split("/", 3)
            scope = {**scope, "path": f"/{path}", "raw_path": f"/{path}".encode()}
            await claude.app(scope, receive, send)
            calls.put_nowait(slug)
        else:
            await claude.app(scope, receive, send)

    async with running(app) as base_url:
        yield base_url


async def test_every_agent_sends_and_tools_are_used() -> None:
    """All agents send, in turn, tool turns are completed, and nothing fails."""
    claude = SimulatedClaude(speed=0)
    calls: asyncio.Queue[str] = asyncio.Queue()
    stop = asyncio.Event()
    async with _per_agent(claude, calls) as base_url:
        sending = asyncio.create_task(
            send_traffic(base_url, "token", ["a", "b"], requests_per_minute=6000, stop=stop)
        )
        async with asyncio.timeout(20):
            seen = {await calls.get() for _ in range(12)}
        stop.set()
        counts = await sending

    assert seen == {"a", "b"}
    assert counts.completed >= 8
    assert counts.tool_calls >= 1
    assert counts.failed == 0


async def test_failures_are_counted_not_raised() -> None:
    """A fleet whose calls are refused goes on, and says how often it failed."""
    claude = SimulatedClaude(speed=0)
    claude.faults.append(Fault(FaultKind.STATUS, status=400, times=1000))
    calls: asyncio.Queue[str] = asyncio.Queue()
    stop = asyncio.Event()
    async with _per_agent(claude, calls) as base_url:
        sending = asyncio.create_task(
            send_traffic(base_url, "token", ["a"], requests_per_minute=6000, stop=stop)
        )
        async with asyncio.timeout(20):
            for _ in range(3):
                await calls.get()
        stop.set()
        counts = await sending

    assert counts.completed == 0
    assert counts.failed >= 1
