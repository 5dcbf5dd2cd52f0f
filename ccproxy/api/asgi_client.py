"""The client's end of one exchange, over ASGI.

Speaks `receive`/`send` directly: a response object per request would cost half a millisecond of
time to first byte (measured with Starlette's `StreamingResponse`).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final

from ccproxy.api.body_memory import BodyMemory, BodyShare
from ccproxy.ports import ClientGone
from ccproxy.wire.errors import ApiError, invalid_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.types import Message, Receive, Scope, Send

BODY_TIMEOUT_S: Final = 60.0
"""How long a body may take to arrive once its headers are here (slow-loris, conformance 019)."""


class AsgiClient:
    """Implements `ports.Client` for one HTTP request."""

    __slots__ = (
        "_body_timeout_s",
        "_finished",
        "_receive",
        "_scope",
        "_send",
        "_share",
        "_upload_over",
        "gone",
        "last_sent_at",
        "started",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        body_timeout_s: float = BODY_TIMEOUT_S,
        memory: BodyMemory | None = None,
    ) -> None:
        """Take over the three parts of an ASGI call.

        A body that is read, and what is unpacked of it, counts in `memory` until the answer starts,
        when the pipeline has let go of it, or until `let_go` is called, which whoever made this
        client must do.
        """
        self._scope = scope
        self._receive = receive
        self._send = send
        self._body_timeout_s = body_timeout_s
        self._share = BodyShare(memory or BodyMemory())
        self.gone = False
        self._finished = False
        self._upload_over: asyncio.Event | None = None
        self.started = False
        self.last_sent_at = monotonic()

    async def read_body(self, limit_bytes: int) -> bytes:
        """Return the whole body; see `ports.Client`."""
        self._check_declared_length(limit_bytes)
        try:
            # The first piece counts too: a client may send headers and then nothing.
            async with asyncio.timeout(self._body_timeout_s):
                message = await self._receive()
                if message["type"] == "http.request" and not message.get("more_body", False):
                    first: bytes = message.get("body", b"")
                    if len(first) > limit_bytes:
                        raise _too_large(limit_bytes)
                    self.hold(len(first))
                    return first
                return await self._read_rest(message, limit_bytes)
        except TimeoutError as exc:
            raise _too_slow(self._body_timeout_s) from exc

    async def _read_rest(self, message: Message, limit_bytes: int) -> bytes:
        body = bytearray()
        async for chunk in self._chunks_from(message):
            if len(body) + len(chunk) > limit_bytes:
                raise _too_large(limit_bytes)
            self.hold(len(chunk))
            body += chunk
        return bytes(body)

    def hold(self, size_bytes: int) -> None:
        """Count so many bytes more in any thread; see `ports.Client`."""
        self._share.hold(size_bytes)

    def let_go(self) -> None:
        """Count the body no more."""
        self._share.let_go()

    def body_chunks(self, limit_bytes: int) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; see `ports.Client`."""
        self._check_declared_length(limit_bytes)
        self._upload_over = asyncio.Event()
        return self._upload(limit_bytes, self._upload_over)

    async def _upload(self, limit_bytes: int, over: asyncio.Event) -> AsyncIterator[bytes]:
        total_bytes = 0
        more = True
        while more:
            try:
                async with asyncio.timeout(self._body_timeout_s):
                    message = await self._receive()
            except TimeoutError as exc:
                raise _too_slow(self._body_timeout_s) from exc
            if message["type"] == "http.disconnect":
                self.gone = True
                raise ClientGone
            more = message.get("more_body", False)
            chunk: bytes = message.get("body", b"")
            total_bytes += len(chunk)
            if total_bytes > limit_bytes:
                raise _too_large(limit_bytes)
            if chunk:
                yield chunk
        over.set()

    async def _chunks_from(self, message: Message) -> AsyncIterator[bytes]:
        while True:
            if message["type"] == "http.disconnect":
                self.gone = True
                raise ClientGone
            if chunk := message.get("body", b""):
                yield chunk
            if not message.get("more_body", False):
                return
            message = await self._receive()

    def _check_declared_length(self, limit_bytes: int) -> None:
        for name, value in self._scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > limit_bytes:
                raise _too_large(limit_bytes)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Turn the client's leaving into `ClientGone`; see `ports.Client`."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine always runs in a task
        watcher = asyncio.create_task(self._watch(task))
        try:
            yield
        except asyncio.CancelledError:
            if not self.gone:
                raise
            task.uncancel()
            raise ClientGone from None
        finally:
            watcher.cancel()

    async def _watch(self, task: asyncio.Task[object]) -> None:
        if self._upload_over is not None:
            await self._upload_over.wait()  # until then whoever reads the upload hears of it
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                break
        if not self._finished:
            self.gone = True
            task.cancel()

    async def start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Send status and headers."""
        self.started = True
        self.let_go()
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def send(self, chunk: bytes) -> None:
        """Send a piece of the body."""
        self.last_sent_at = monotonic()
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def finish(self, chunk: bytes = b"") -> None:
        """Send the last piece and end the response."""
        self._finished = True
        await self._send({"type": "http.response.body", "body": chunk, "more_body": False})


def _too_large(limit_bytes: int) -> ApiError:
    return ApiError(
        413, f"Request exceeds the maximum size of {limit_bytes} bytes.", should_retry=False
    )


def _too_slow(timeout_s: float) -> ApiError:
    return invalid_request(
        f"The request body did not arrive within {timeout_s:g} s.",
        error_code="request_body_timeout",
    )
