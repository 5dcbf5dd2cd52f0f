"""Stands between a proxy and an Ollama, passes everything on, and remembers what was said."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from ccproxy.demo.asgi_server import running
from ccproxy.demo.ollama_wire import Exchange, SimRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_CONNECT_TIMEOUT_S = 5.0


@dataclass(slots=True)
class TappedChat:
    """One request to `/api/chat`."""

    asked: dict[str, Any]
    status: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)
    left: bool = False
    """The proxy closed the connection before the answer was complete."""

    @property
    def last(self) -> dict[str, Any]:
        """The record with `done: true`; empty if there was none."""
        return next((each for each in reversed(self.records) if each.get("done")), {})


class OllamaTap:
    """Passes requests to one Ollama.

    Attributes:
        chats: The requests to `/api/chat`, oldest first.
        paths: Every path that was asked for, oldest first.
    """

    def __init__(self, ollama_url: str) -> None:
        """Connect nowhere yet."""
        timeout = httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S)
        self._client = httpx.AsyncClient(base_url=ollama_url, timeout=timeout, trust_env=False)
        self.chats: list[TappedChat] = []
        self.paths: list[str] = []

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve on loopback while the block runs; gives the base URL."""
        async with self._client, running(self._app) as base_url:
            yield base_url

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        request = SimRequest(0, scope["method"], scope["path"], list(scope["headers"]))
        exchange = Exchange(scope, receive, send, request)
        request.raw = await exchange.read_body()
        self.paths.append(request.path)
        chat = None
        if request.path == "/api/chat":
            chat = TappedChat(orjson.loads(request.raw))
            self.chats.append(chat)
        task = asyncio.current_task()
        assert task is not None
        watcher = asyncio.create_task(exchange.watch(task))
        try:
            await self._pass_on(exchange, chat)
        except asyncio.CancelledError:
            if not request.disconnected.is_set():
                raise
            task.uncancel()
            if chat is not None:
                chat.left = True
        finally:
            watcher.cancel()

    async def _pass_on(self, exchange: Exchange, chat: TappedChat | None) -> None:
        request = exchange.request
        asked = self._client.build_request(
            request.method,
            request.path,
            content=request.raw,
            headers={"content-type": "application/json", "accept-encoding": "identity"},
        )
        response = await self._client.send(asked, stream=True)
        try:
            if chat is not None:
                chat.status = response.status_code
            content_type = response.headers.get("content-type", "application/json")
            await exchange.start(response.status_code, content_type.encode())
            pending = b""
            async for chunk in response.aiter_raw():
                *lines, pending = (pending + chunk).split(b"\n")
                if chat is not None:
                    chat.records += [orjson.loads(line) for line in lines if line.strip()]
                await exchange.write(chunk)
            if chat is not None and pending.strip() and response.status_code == 200:
                chat.records.append(orjson.loads(pending))
            await exchange.end()
        finally:
            await response.aclose()
