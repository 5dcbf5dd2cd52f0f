"""Runs an ASGI app on a loopback port inside the running event loop.

uvicorn's protocol without uvicorn's `Server`: no signal handlers (the process that embeds a
simulator has its own) and no polling main loop, so start and stop take microseconds.

A `LoopbackServer` can also misbehave below HTTP, because that is where real outages happen:
it refuses connections, accepts none, or resets what is open. An app finds the two connection
verbs in `scope["extensions"]["ccproxy.connection"]`: `reset` (TCP RST, unsent bytes are lost) and
`close` (FIN after what was sent, in the middle of a response if need be).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONNECTION_EXTENSION: Final = "ccproxy.connection"
_LINGER_ZERO: Final = struct.pack("ii", 1, 0)
_IDLE_S: Final = 300
_DRAIN_S: Final = 2.0
_RESET_S: Final = 0.001
"""Aborted transports send their RST on a later turn of the loop."""
_BIND_ATTEMPTS: Final = 50


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol that lets the app touch its own connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {
            CONNECTION_EXTENSION: {"reset": self.reset, "close": self.transport.close}
        }

    @property
    def is_idle(self) -> bool:
        """True if no request is being answered on this connection."""
        return self.cycle is None or self.cycle.response_complete

    def reset(self) -> None:
        """Send a TCP RST instead of a FIN, losing what was not yet sent."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self.transport.abort()


class LoopbackServer:
    """One app on one loopback port; the port stays the same through refusals and restarts."""

    def __init__(self, app: Any, port: int = 0) -> None:  # noqa: ANN401 - any ASGI app
        """Prepare; `port` 0 takes a free one at `start`."""
        self._config = uvicorn.Config(
            app,
            interface="asgi3",
            http=_Protocol,
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_IDLE_S,
        )
        self._state = ServerState()
        self._port = port
        self._listener: asyncio.Server | None = None
        self._waiting: socket.socket | None = None
        self._deaf: list[_Protocol] = []

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT`, without a trailing slash; known after `start`."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Run the app's lifespan start and listen.

        Raises:
            OSError: The port is taken.
            RuntimeError: The app refused to start.
        """
        self._config.load()
        self._lifespan = self._config.lifespan_class(self._config)
        self._waiting = await self._bind(attempts=1)
        self._port = self._waiting.getsockname()[1]
        await self._lifespan.startup()
        if self._lifespan.should_exit:
            self._waiting.close()
            msg = "the app's lifespan startup failed; its log says why"
            raise RuntimeError(msg)
        await self.resume()

    async def refuse(self) -> None:
        """Be down: open connections are reset, new ones refused, until `resume`."""
        await self._stop_listening()
        self._reset_connections()
        await asyncio.sleep(_RESET_S)
        # Bound and not listening: the kernel refuses, and nobody else can take the port.
        self._waiting = await self._bind(attempts=_BIND_ATTEMPTS)

    async def hang(self) -> None:
        """Accept nothing: clients connect (the kernel's doing) and hear nothing until `resume`.

        Nobody reads from idle connections either; answers that are being written go on.
        """
        await self._stop_listening()
        for connection in list(self._state.connections):
            if isinstance(connection, _Protocol) and connection.is_idle:
                connection.transport.pause_reading()
                self._deaf.append(connection)
        self._waiting = await self._bind(attempts=_BIND_ATTEMPTS)
        self._waiting.listen(128)

    async def resume(self) -> None:
        """Serve again after `refuse` or `hang`; connections that waited are served now."""
        if self._waiting is None:
            return
        for connection in self._deaf:
            if not connection.transport.is_closing():
                connection.transport.resume_reading()
        self._deaf.clear()
        loop = asyncio.get_running_loop()
        sock, self._waiting = self._waiting, None
        self._listener = await loop.create_server(self._protocol, sock=sock, backlog=2048)

    async def aclose(self) -> None:
        """Stop listening, drop what is open, wait for the app's requests, end its lifespan."""
        await self._stop_listening()
        for connection in list(self._state.connections):
            connection.transport.close()
        pending = list(self._state.tasks)
        if pending:
            await asyncio.wait(pending, timeout=_DRAIN_S)
        self._reset_connections()
        await self._lifespan.shutdown()

    def _protocol(self) -> _Protocol:
        return _Protocol(
            config=self._config, server_state=self._state, app_state=self._lifespan.state
        )

    def _reset_connections(self) -> None:
        for connection in list(self._state.connections):
            if isinstance(connection, _Protocol):
                connection.reset()

    async def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            await asyncio.sleep(0)
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None

    async def _bind(self, attempts: int) -> socket.socket:
        # The loop may close the previous listener an iteration later than it was told to.
        for attempt in range(attempts):
            # asyncio sets TCP_NODELAY only on sockets that name their protocol; without it every
            # small answer waits 40 ms for a delayed ACK.
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setblocking(False)
            try:
                sock.bind(("127.0.0.1", self._port))
            except OSError:
                sock.close()
                if attempt == attempts - 1:
                    raise
                await asyncio.sleep(0.005)
            else:
                return sock
        raise AssertionError


@asynccontextmanager
async def running(app: Any, port: int = 0) -> AsyncIterator[str]:  # noqa: ANN401 - any ASGI app
    """Serve `app` while the block runs; gives its base URL without a trailing slash."""
    server = LoopbackServer(app, port)
    await server.start()
    try:
        yield server.base_url
    finally:
        await server.aclose()
