"""An attempt at a deployment that does not speak the Messages API (a local model).

The upstream is always streamed; a client that did not ask for a stream gets the same events,
folded. Until `patience_s` a failure is a real HTTP status and a fallback is invisible; then the
stream is committed: 200, our `message_start`, and pings while the model is silent.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.pipeline.off_loop import off_loop
from ccproxy.pipeline.request import WholeReply
from ccproxy.ports import AttemptFailed, ModelDone, Usage
from ccproxy.wire.assemble import Assembler, ThinkingDisplay, error_event
from ccproxy.wire.collect import Collector
from ccproxy.wire.errors import UnsupportedLocally
from ccproxy.wire.estimate import estimate_input_tokens
from ccproxy.wire.events import encode
from ccproxy.wire.ids import mint_message_id, mint_tool_id
from ccproxy.wire.normalise import normalise
from ccproxy.wire.thinking import limited_body
from ccproxy.wire.validate import ignored_fields, validate_request
from routing.failures import CONSEQUENCES, FailureClass

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Iterator,
        Mapping,
    )

    from ccproxy.pipeline.request import MessagesRequest
    from ccproxy.pipeline.slots import Slots
    from ccproxy.ports import ModelCall, ModelDelta, ModelFacts, ModelUpstream
    from routing.types import Side

PATIENCE_S: Final = 8.0
"""How long a stream may stay uncommitted; at most 14, because a client wants a byte within 15 s."""

_log = logging.getLogger(__name__)

_SSE_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_JSON: Final = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """What one translated deployment can hold."""

    num_ctx: int | None
    """Tokens of prompt and answer together; None where the upstream's limit is not ours to pin."""
    max_output_tokens: int | None = None
    max_input_tokens: int | None = None

    @property
    def max_prompt_tokens(self) -> int | None:
        """The longest prompt: as stated, and such that it still leaves room for an answer."""
        if self.num_ctx is None:
            return self.max_input_tokens
        roomy = self.num_ctx - min(1024, self.num_ctx // 8)
        return min(roomy, self.max_input_tokens or roomy)


class TranslatedDeployment:
    """One deployment behind a `ModelUpstream`."""

    def __init__(
        self,
        name: str,
        side: Side,
        upstream: ModelUpstream,
        *,
        facts: Callable[[], Awaitable[ModelFacts]],
        limits: ModelLimits,
        slots: Slots,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`facts` answers within a second and loads nothing."""
        self.name = name
        self.side = side
        self.upstream = upstream
        self._facts = facts
        self._limits = limits
        self._slots = slots
        self._patience_s = patience_s

    async def open(self, request: MessagesRequest) -> WholeReply | StreamReply:
        """Validate, translate and wait for the model's first word; see `Served.open`."""
        try:
            size_bytes = len(request.decoded_body)
            body = limited_body(request.body, request.thinking)
            if body is not request.body:
                request.notes.append(f"thinking={request.thinking.mode}")
                request = replace(request, body=body)
            input_tokens = await off_loop(size_bytes, _checked_tokens, request)
            if request.counting:
                return _json_reply({"input_tokens": input_tokens}, Usage(input_tokens=input_tokens))
            facts = await self._facts()
            if request.local_only and facts.remote is not False:
                raise _not_known_to_stay(facts)
            request.notes.extend(f"ignored={name}" for name in ignored_fields(request.body))
            max_output_tokens = self._room_for_answer(request.body["max_tokens"], input_tokens)
            call = await off_loop(
                size_bytes,
                normalise,
                request.body,
                facts,
                max_output_tokens_cap=max_output_tokens,
            )
        except UnsupportedLocally as exc:
            raise AttemptFailed(
                FailureClass.CAPABILITY_MISSING, exc.message, error_code=exc.error_code
            ) from exc
        answer = _Answer(request, call, input_tokens, self._limits.num_ctx)
        if request.body["max_tokens"] == 0:
            return _json_reply(*answer.empty())
        source = self._slots.admitted(self.upstream.stream(call))
        if request.stream:
            return await self._open_stream(answer, source)
        return await _whole_answer(answer, source)

    def _room_for_answer(self, max_tokens: int, input_tokens: int) -> int | None:
        """Return the cap on the answer.

        Raises:
            AttemptFailed: CONTEXT_OVERFLOW, in the words that make Claude Code compact.
        """
        limits = self._limits
        longest = limits.max_prompt_tokens
        if longest is not None and input_tokens > longest:
            raise AttemptFailed(
                FailureClass.CONTEXT_OVERFLOW,
                f"prompt is too long: {input_tokens} tokens > {longest} maximum",
            )
        if limits.num_ctx is None:
            return limits.max_output_tokens
        room = limits.num_ctx - input_tokens
        return min(room, max_tokens or room, limits.max_output_tokens or room)

    async def _open_stream(
        self, answer: _Answer, source: AsyncGenerator[ModelDelta | ModelDone]
    ) -> StreamReply:
        first = asyncio.ensure_future(_first_word(source))
        try:
            waited_s = monotonic() - answer.arrived_at
            await asyncio.wait((first,), timeout=max(0.0, self._patience_s - waited_s))
            if first.done() and (failure := first.exception()) is not None:
                raise failure
        except BaseException:
            await _abandon(first, source)
            raise
        return StreamReply(answer, source, first)


class StreamReply:
    """A committed stream: our events, until the model has said its last word."""

    status = 200
    headers = _SSE_HEADERS
    needs_pings = True

    def __init__(
        self,
        answer: _Answer,
        source: AsyncGenerator[ModelDelta | ModelDone],
        first: asyncio.Future[ModelDelta | ModelDone],
    ) -> None:
        """`first` is the model's first word, here already or still awaited."""
        self._answer = answer
        self._source = source
        self._first = first
        self.failure: FailureClass | None = None

    @property
    def content_started(self) -> bool:
        """True once the model said something; our own `message_start` does not count."""
        return self._answer.assembler.content_started

    @property
    def usage(self) -> Usage:
        """The model's counts, or our estimates where it gave none."""
        return self._answer.assembler.usage()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield SSE bytes; a stream that breaks off ends in an error event."""
        answer = self._answer
        yield answer.start()
        try:
            piece = answer.feed(await self._first)
            if piece:
                yield piece
            if not answer.complete:
                async for item in self._source:
                    piece = answer.feed(item)
                    if piece:
                        yield piece
                    if answer.complete:
                        break
            if not answer.complete:
                raise _broke_off()
        except AttemptFailed as failed:
            self.failure = failed.failure
            _log.warning("answer broke off: %s: %s", failed.failure, failed.detail[:500])
            consequence = CONSEQUENCES[failed.failure]
            yield encode(error_event(consequence.error_type, failed.message))

    def farewell(self, error_type: str, message: str) -> bytes:
        """Return an error event: what was sent ends on a frame boundary."""
        return encode(error_event(error_type, message))

    async def aclose(self) -> None:
        """Close the upstream's connection."""
        await _abandon(self._first, self._source)


class _Answer:
    """The assembler of one answer and how far it has come."""

    def __init__(
        self, request: MessagesRequest, call: ModelCall, input_tokens: int, num_ctx: int | None
    ) -> None:
        body = request.body
        self.complete = False
        self.arrived_at = request.arrived_at
        self._notes = request.notes
        self._collector = Collector()
        self._folding = not request.stream
        tool_choice = body.get("tool_choice") or {}
        self.assembler = Assembler(
            message_id=mint_message_id(),
            model=request.requested_model,
            input_tokens=input_tokens,
            stop_sequences=body.get("stop_sequences") or (),
            thinking=_thinking_display(body.get("thinking")),
            offered_tools=frozenset(tool["function"]["name"] for tool in call.tools),
            max_tool_calls=1 if tool_choice.get("disable_parallel_tool_use") else None,
            used_tool_ids=frozenset(_tool_ids(body)),
            num_ctx=num_ctx,
            max_output_tokens=call.max_output_tokens,
            mint_tool_id=mint_tool_id,
        )

    def start(self) -> bytes:
        return self._emit(self.assembler.start())

    def feed(self, item: ModelDelta | ModelDone) -> bytes:
        """Return the bytes an item becomes; sets `complete` with the answer's last event."""
        assembler = self.assembler
        if isinstance(item, ModelDone):
            events = assembler.finish(item)
            self.complete = True
        else:
            events = assembler.feed(item)
            if assembler.stopped:
                events = [*events, *assembler.finish(None)]
                self.complete = True
        if self.complete:
            self._notes.extend(assembler.notes)
        return self._emit(events)

    def message(self) -> dict[str, Any]:
        """Return the folded Message of a finished answer."""
        return self._collector.message()

    def empty(self) -> tuple[dict[str, Any], Usage]:
        """Return the answer to `max_tokens: 0`: nothing is generated (conformance 075)."""
        self._emit(self.assembler.start())
        self._emit(self.assembler.finish(ModelDone("length", output_tokens=0)))
        return self.message(), self.assembler.usage()

    def _emit(self, events: list[Any]) -> bytes:
        if self._folding:
            for event in events:
                self._collector.add(event)
            return b""
        return b"".join(map(encode, events))


def _checked_tokens(request: MessagesRequest) -> int:
    """Return the estimated input tokens of a request that a local model may be asked."""
    validate_request(request.body, version=request.version, counting=request.counting)
    return estimate_input_tokens(request.body)


async def _whole_answer(
    answer: _Answer, source: AsyncGenerator[ModelDelta | ModelDone]
) -> WholeReply:
    try:
        answer.start()
        async for item in source:
            answer.feed(item)
            if answer.complete:
                return _json_reply(answer.message(), answer.assembler.usage())
        raise _broke_off()
    finally:
        await source.aclose()


async def _first_word(
    source: AsyncGenerator[ModelDelta | ModelDone],
) -> ModelDelta | ModelDone:
    async for item in source:
        return item
    raise _broke_off()


async def _abandon(
    first: asyncio.Future[ModelDelta | ModelDone], source: AsyncGenerator[Any]
) -> None:
    if not first.done():
        first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await source.aclose()


def _not_known_to_stay(facts: ModelFacts) -> AttemptFailed:
    """Return the refusal of a `local_only` request that might leave the host."""
    if facts.remote:
        return AttemptFailed(
            FailureClass.CAPABILITY_MISSING,
            "This model's inference runs on another host, and the request is local_only.",
        )
    return AttemptFailed(
        FailureClass.CONNECT_ERROR,
        "Whether this model runs on this host is not known yet, and the request is local_only.",
    )


def _broke_off() -> AttemptFailed:
    return AttemptFailed(
        FailureClass.BROKEN_STREAM, "The local model's answer broke off before its end."
    )


def _json_reply(payload: Mapping[str, Any], usage: Usage) -> WholeReply:
    body = orjson.dumps(payload)
    headers = (_JSON, (b"content-length", b"%d" % len(body)))
    return WholeReply(200, headers, body, usage)


def _thinking_display(thinking: Mapping[str, Any] | None) -> ThinkingDisplay:
    if thinking is None or thinking["type"] not in ("enabled", "adaptive"):
        return ThinkingDisplay.HIDDEN
    if thinking.get("display") == "omitted":
        return ThinkingDisplay.OMITTED
    return ThinkingDisplay.SHOWN


def _tool_ids(body: Mapping[str, Any]) -> Iterator[str]:
    for message in body["messages"]:
        content = message.get("content")
        if message["role"] == "assistant" and isinstance(content, list):
            for block in content:
                if block["type"] == "tool_use":
                    yield block["id"]
