"""An attempt at a deployment that speaks the Messages API: bytes in, bytes out.

The body is edited only where it must be, by cutting byte ranges, never by re-encoding:
the value of `model` where the deployment names one, a limit on thinking, and what of a history only
a local route can have written (`wire.history`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccproxy.pipeline.off_loop import off_loop
from ccproxy.pipeline.slots import Slots
from ccproxy.ports import AttemptFailed, ForwardedRequest
from ccproxy.wire.assemble import error_event
from ccproxy.wire.continued import claudes_error
from ccproxy.wire.decoding import DecodingFailed, decoder_for, plain_body
from ccproxy.wire.events import encode
from ccproxy.wire.frame_tail import FrameTail
from ccproxy.wire.history import needs_thinking_off, strip_local_blocks
from ccproxy.wire.spans import replace_model
from ccproxy.wire.thinking import limit_thinking
from ccproxy.wire.usage import UsageTap
from routing.failures import CONSEQUENCES, FailureClass, classify_status
from routing.policies import ThinkingMode, ThinkingPolicy
from routing.requested_model import tier_in
from routing.types import Side

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from ccproxy.outcome import Usage
    from ccproxy.pipeline.request import MessagesRequest
    from ccproxy.ports import BytesReply, MessagesUpstream

ANY_MODEL = "*"
"""The `*` of `anthropic/*`: the client's model id is kept."""
LOOKED_AT_BYTES = 64 * 1024
"""Of an error answer; Claude's have a few hundred bytes."""
TOO_LONG = "prompt is too long"
"""How Claude's 400 begins that says so (conformance 064, 229)."""
THINKING_OFF = "thinking=off_in_local_loop"
"""What notes say of rule 3 of `wire.history`."""


class PassthroughDeployment:
    """One Claude deployment."""

    side = Side.CLAUDE

    def __init__(
        self,
        name: str,
        upstream: MessagesUpstream,
        upstream_model: str,
        *,
        base_model: str | None = None,
        slots: Slots | None = None,
        is_clients_account: bool = False,
    ) -> None:
        """Take one Claude.

        Args:
            name: The deployment's name.
            upstream: Reaches it.
            upstream_model: A Claude id, or `ANY_MODEL`.
            base_model: With `ANY_MODEL`, the id asked for when the client's is not one of Claude's.
            slots: How many requests it serves at once; None is no limit.
            is_clients_account: It is asked with the client's own credential: another client may
                have room where one is told that its rate is too high.
        """
        self.name = name
        self.upstream = upstream
        self._upstream_model = upstream_model
        self._base_model = base_model
        self._slots = slots or Slots(None)
        self._is_clients_account = is_clients_account

    async def open(self, request: MessagesRequest) -> PassthroughReply:
        """Send the request's bytes and wait for status and headers; see `Served.open`."""
        incoming = request.incoming
        edited = await off_loop(len(request.decoded_body), self._edited, request)
        body, headers = request.raw_body, incoming.headers
        if edited is not request.decoded_body:
            body = edited
            headers = [pair for pair in headers if pair[0] != b"content-encoding"]
        forwarded = ForwardedRequest(
            incoming.method,
            incoming.path,
            incoming.query,
            headers,
            body,
            request.own_credentials,
        )
        await self._slots.acquire()
        try:
            reply = PassthroughReply(await self.upstream.send(forwarded), self._slots.release)
        except BaseException:
            self._slots.release()
            raise
        if reply.failure is FailureClass.RATE_LIMIT:
            reply.tells_of_deployment = not self._is_clients_account and self._is_asked_for_its_own(
                request
            )
        if request.overflow_is_trigger and reply.failure is FailureClass.CLIENT_FAULT:
            await reply.look_for_overflow()
        return reply

    def _edited(self, request: MessagesRequest) -> bytes:
        """Return the body for Claude, the very same object where nothing had to be edited."""
        model = self.model_for(request)
        stripped = strip_local_blocks(request.decoded_body)
        request.notes.extend(stripped.notes())
        policy, why = request.thinking, f"thinking={request.thinking.mode}"
        if policy.mode is not ThinkingMode.STRIP and needs_thinking_off(request.body):
            policy, why = ThinkingPolicy(ThinkingMode.STRIP), THINKING_OFF
        edited = limit_thinking(stripped.body, policy)
        if edited is not stripped.body:
            request.notes.append(why)
        if model != request.requested_model:
            edited = replace_model(edited, model)
        return edited

    def _is_asked_for_its_own(self, request: MessagesRequest) -> bool:
        """Return whether a request is for a model of the deployment's own tier.

        With `ANY_MODEL` one deployment is asked for models of every tier, where others have failed.
        Claude limits the rate of each model apart (Claude's docs, *Rate limits*).
        """
        if self._upstream_model != ANY_MODEL or self._base_model is None:
            return True
        return tier_in(self.model_for(request)) is tier_in(self._base_model)

    def model_for(self, request: MessagesRequest) -> str:
        """Return the id that Claude is asked for; see `Served.model_for`."""
        if self._upstream_model != ANY_MODEL:
            return self._upstream_model
        if self.name in request.asks:
            return request.asks[self.name]
        if request.names_claude_model:
            return request.requested_model
        if self._base_model is None:
            raise AttemptFailed(
                FailureClass.CAPABILITY_MISSING,
                f"model: {request.requested_model} is not one of Claude's, and {self.name} names "
                "none to ask instead (model_info.base_model)",
            )
        return self._base_model


class PassthroughReply:
    """Claude's own answer, relayed chunk by chunk while a copy is read for its usage."""

    needs_pings = False
    tells_of_deployment = True

    def __init__(self, reply: BytesReply, release: Callable[[], None] = lambda: None) -> None:
        """Wrap an answer whose status and headers have arrived; `release` is called at its end."""
        self._reply = reply
        self._release: Callable[[], None] | None = release
        self.status = reply.status
        self.headers: Sequence[tuple[bytes, bytes]] = reply.headers
        self.failure: FailureClass | None = classify_status(reply.status)
        content_type = _header(reply.headers, b"content-type")
        content_encoding = _header(reply.headers, b"content-encoding")
        self._content_encoding = content_encoding
        self._tap = UsageTap(content_type, content_encoding)
        is_event_stream = content_type.startswith(b"text/event-stream")
        # An error event has no room in an encoded body, nor in one of a stated length.
        self._takes_events = (
            is_event_stream
            and content_encoding in (b"", b"identity")
            and not _header(reply.headers, b"content-length")
        )
        self._ahead: list[bytes] = []
        """Of the body, what was read to look at it and is still to be relayed."""
        self._rest: AsyncIterator[bytes] | None = None
        """What follows it; None where nothing was read."""
        self._usage: Usage | None = None
        self._tail = FrameTail()

    @property
    def content_started(self) -> bool:
        """True once a piece of Claude's own answer was relayed, or where that cannot be told."""
        return self._tap.content_began

    @property
    def usage(self) -> Usage:
        """What the copy said; read it once the body has ended."""
        if self._usage is None:
            self._usage = self._tap.finish()
        return self._usage

    async def look_for_overflow(self) -> None:
        """Read an error answer; where it says that the prompt is too long, that is its failure.

        Raises:
            AttemptFailed: It broke off.
        """
        self._rest = self._reply.chunks()
        size_bytes = 0
        try:
            async for chunk in self._rest:
                self._ahead.append(chunk)
                size_bytes += len(chunk)
                if size_bytes > LOOKED_AT_BYTES:
                    return
        except BaseException:
            await self.aclose()
            raise
        plain = plain_body(b"".join(self._ahead), self._content_encoding)
        if claudes_error(plain, self.status).message.startswith(TOO_LONG):
            self.failure = FailureClass.CONTEXT_OVERFLOW

    def _body(self) -> AsyncIterator[bytes]:
        """Return the body, from its beginning."""
        return self._reply.chunks() if self._rest is None else self._with_ahead(self._rest)

    async def _with_ahead(self, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        for chunk in self._ahead:
            yield chunk
        async for chunk in rest:
            yield chunk

    def _look_at(self, chunk: bytes) -> None:
        """Read the copy of a chunk; an error event says that the answer failed after all."""
        self._tap.feed(chunk)
        if self._tap.error is not None and self.failure is None:
            self.failure = claudes_error(self._tap.error).failure

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body unchanged; an event stream that breaks off ends in an error event.

        Raises:
            AttemptFailed: A body broke off to which no error event can be appended.
        """
        tail = self._tail
        try:
            async for chunk in self._body():
                self._look_at(chunk)
                tail.feed(chunk)
                yield chunk
        except AttemptFailed as failed:
            self.failure = failed.failure
            if not self._takes_events:
                raise
            consequence = CONSEQUENCES[failed.failure]
            yield tail.closing() + encode(error_event(consequence.error_type, failed.message))

    async def decoded(self) -> AsyncIterator[bytes]:
        """Yield the body without its content coding, instead of `chunks`.

        Raises:
            AttemptFailed: It broke off; MALFORMED_OUTPUT, its coding is unknown or broken.
        """
        is_plain = self._content_encoding in (b"", b"identity")
        decoder = None if is_plain else decoder_for(self._content_encoding)
        if decoder is None and not is_plain:
            raise _unreadable()
        async for chunk in self._body():
            self._look_at(chunk)
            try:
                plain = chunk if decoder is None else decoder.decode(chunk)
            except DecodingFailed as exc:
                raise _unreadable() from exc
            yield plain

    def farewell(self, error_type: str, message: str) -> bytes:
        """Return an error event on a frame boundary; nothing for JSON and for encoded streams."""
        if not self._takes_events:
            return b""
        return self._tail.closing() + encode(error_event(error_type, message))

    async def aclose(self) -> None:
        """Release the connection and the slot."""
        release, self._release = self._release, None
        try:
            await self._reply.aclose()
        finally:
            if release is not None:
                release()


def _unreadable() -> AttemptFailed:
    message = "Claude's answer has a content coding that cannot be read."
    return AttemptFailed(FailureClass.MALFORMED_OUTPUT, message)


def _header(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes:
    for key, value in headers:
        if key.lower() == name:
            return value.strip().lower()
    return b""
