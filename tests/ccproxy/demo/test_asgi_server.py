from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest

from ccproxy.demo.asgi_server import LoopbackServer, running


class Recorder:
    """An ASGI app that says hello and notes its lifespan."""

    def __init__(self, *, fails_to_start: bool = False) -> None:
        self.lifespan: list[str] = []
        self._fails = fails_to_start

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                await receive()
                self.lifespan.append(phase)
                outcome = "failed" if self._fails else "complete"
                await send({"type": f"lifespan.{phase}.{outcome}"})
                if self._fails:
                    return
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})


async def test_serves_an_app_and_its_lifespan() -> None:
    """The app is reachable inside the block, gone after it, and started and stopped once."""
    app = Recorder()
    async with httpx.AsyncClient(trust_env=False) as client:
        async with running(app) as base_url:
            answer = await client.get(base_url)
        with pytest.raises(httpx.TransportError):
            await client.get(base_url)

    assert answer.text == "hello"
    assert app.lifespan == ["startup", "shutdown"]


async def test_a_taken_port_is_an_error() -> None:
    """A port that somebody else serves is an OSError at start."""
    async with running(Recorder()) as base_url:
        port = int(base_url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            await LoopbackServer(Recorder(), port).start()


async def test_an_app_that_fails_to_start_is_an_error() -> None:
    """A failing lifespan startup is a RuntimeError and leaves no listener."""
    server = LoopbackServer(Recorder(fails_to_start=True))
    with pytest.raises(RuntimeError, match="startup failed"):
        await server.start()

    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(server.base_url)


async def test_a_restart_keeps_the_port() -> None:
    """After `refuse` and `resume` the same URL serves again."""
    server = LoopbackServer(Recorder())
    await server.start()
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(3):
            await server.refuse()
            with pytest.raises(httpx.ConnectError):
                await client.get(server.base_url)
            await server.resume()
            assert (await client.get(server.base_url)).text == "hello"
    await server.aclose()


async def test_small_answers_leave_at_once() -> None:
    """Connections have TCP_NODELAY: no answer waits 40 ms for the client's delayed ACK."""
    server = LoopbackServer(Recorder())
    await server.start()
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.get(server.base_url)
        (connection,) = server._state.connections
        sock = connection.transport.get_extra_info("socket")

        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    await server.aclose()
