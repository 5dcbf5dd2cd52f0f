"""A committed stream that can still pass to the next attempt, until its first content.

Rules:
1. Status, headers and our `message_start` are out; what answers in the end is relayed behind them.
   The client hears pings meanwhile. The headers say what was known at commit, the outcome the rest.
2. From the first content block on nothing is tried again; what breaks then ends in an error event.
3. An attempt is released before the next one is opened.
4. A local answer goes on without its `message_start`; Claude's goes on as `wire.continued` says.
5. Where no attempt is left the stream ends in one error event: Claude's own error if its was the
   last attempt, else the most telling failure.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ccproxy.outcome import Usage
from ccproxy.pipeline.answer import StreamReply
from ccproxy.pipeline.passthrough import PassthroughReply
from ccproxy.pipeline.refusals import refusal_after
from ccproxy.ports import AttemptFailed
from ccproxy.wire.assemble import error_event
from ccproxy.wire.continued import ContinuedStream, claudes_error
from ccproxy.wire.errors import ApiError
from ccproxy.wire.events import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ccproxy.pipeline.attempts import Attempts
    from routing.failures import FailureClass

ERROR_LIMIT_BYTES: Final = 64 * 1024
"""Of an error answer; Claude's have a few hundred bytes."""

_log = logging.getLogger(__name__)


class LateFallback:
    """The reply around a committed stream and whatever takes its place."""

    status = 200
    needs_pings = True
    tells_of_deployment = True

    def __init__(self, committed: StreamReply, attempts: Attempts, request_id: str) -> None:
        """`attempts` are those that led to the committed stream, and go on behind it."""
        self._request_id = request_id
        self.headers = committed.headers
        self.failure: FailureClass | None = None
        self._committed = committed
        self._answering: StreamReply | _ClaudesRest | None = committed
        self._attempts: Attempts | None = attempts

    @property
    def content_started(self) -> bool:
        """True once a piece of somebody's answer was relayed."""
        return self._answering is not None and self._answering.content_started

    @property
    def usage(self) -> Usage:
        """The counts of who answers; none while nobody does."""
        return Usage() if self._answering is None else self._answering.usage

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield SSE bytes, whole frames at a time; a stream that fails ends in an error event."""
        pieces = self._committed.chunks()
        while True:
            try:
                async for piece in pieces:
                    if self._attempts is not None and self.content_started:
                        self._attempts = None  # They hold the conversation.
                    yield piece
            except AttemptFailed as failed:
                failure = failed
            else:
                if self._answering is not None:
                    self.failure = self._answering.failure
                return
            try:
                pieces = await self._next_answer(failure)
            except ApiError as refusal:
                yield encode(error_event(refusal.error_type, refusal.message))
                return
            del failure  # its traceback holds what the attempt held

    def farewell(self, error_type: str, message: str) -> bytes:
        """Return an error event: what was sent ends on a frame boundary."""
        return encode(error_event(error_type, message))

    async def aclose(self) -> None:
        """Release the attempt that is running."""
        if self._answering is not None:
            await self._answering.aclose()

    async def _next_answer(self, failed: AttemptFailed) -> AsyncIterator[bytes]:
        """Return what the next attempt says, without its `message_start`.

        Raises:
            ApiError: What the client is told, because nobody else may answer or does.
        """
        attempts = self._attempts
        if attempts is None:
            _log.warning(
                "answer broke off: %s: %s",
                failed.failure,
                failed.detail[:500],
                extra={"request_id": self._request_id},
            )
            self.failure = failed.failure
            raise refusal_after(failed)
        if not attempts.passes_on(failed, self.usage):
            self.failure = failed.failure
            raise attempts.refusal()
        await self.aclose()
        self._answering = None
        try:
            reply = await attempts.next_reply()
        except ApiError:
            self.failure = attempts.last_failure
            raise
        if isinstance(reply, StreamReply):
            self._answering = reply
            pieces = reply.chunks()
            await anext(pieces)
            return pieces
        if isinstance(reply, PassthroughReply):
            self._answering = _ClaudesRest(reply)
            return self._answering.chunks()
        message = f"no stream: {type(reply).__name__}"
        raise TypeError(message)


class _ClaudesRest:
    """Claude's answer as the rest of a response that has begun."""

    def __init__(self, reply: PassthroughReply) -> None:
        self._reply = reply
        self._stream = ContinuedStream()

    @property
    def content_started(self) -> bool:
        return self._stream.started

    @property
    def usage(self) -> Usage:
        return self._reply.usage

    @property
    def failure(self) -> FailureClass | None:
        return self._reply.failure

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield whole frames; raises `AttemptFailed` for an error answer, and where it breaks."""
        reply, stream = self._reply, self._stream
        if reply.status >= 400:
            raise claudes_error(await _error_body(reply), reply.status)
        async for chunk in reply.decoded():
            if piece := stream.feed(chunk):
                yield piece
        yield stream.finish()

    async def aclose(self) -> None:
        await self._reply.aclose()


async def _error_body(reply: PassthroughReply) -> bytes:
    """Return the body of an error answer, or nothing where it breaks off or is too large."""
    body = b""
    try:
        async for chunk in reply.decoded():
            body += chunk
            if len(body) > ERROR_LIMIT_BYTES:
                return b""
    except AttemptFailed:
        return b""
    return body
