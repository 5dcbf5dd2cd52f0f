"""A local model's answer on its way to the client: committed as a stream, or folded whole."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.pipeline.request import WholeReply
from ccproxy.ports import AttemptFailed, ModelDone
from ccproxy.wire.assemble import Assembler, ThinkingDisplay, error_event
from ccproxy.wire.collect import Collector
from ccproxy.wire.events import encode
from ccproxy.wire.ids import mint_message_id, mint_tool_id
from routing.failures import FailureClass

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping

    from ccproxy.outcome import Usage
    from ccproxy.pipeline.request import MessagesRequest
    from ccproxy.ports import ModelCall, ModelDelta

_SSE_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_JSON: Final = (b"content-type", b"application/json")


class StreamReply:
    """A committed stream: our events, until the model has said its last word."""

    status = 200
    headers = _SSE_HEADERS
    needs_pings = True
    tells_of_deployment = True
    failure: FailureClass | None = None

    def __init__(
        self,
        answer: Answer,
        source: AsyncGenerator[ModelDelta | ModelDone],
        first: asyncio.Future[ModelDelta | ModelDone],
    ) -> None:
        """`first` is the model's first word, here already or still awaited."""
        self._answer = answer
        self._source = source
        self._first = first

    @property
    def content_started(self) -> bool:
        """True once the model said something; our own `message_start` does not count."""
        return self._answer.assembler.content_started

    @property
    def usage(self) -> Usage:
        """The model's counts, or our estimates where it gave none."""
        return self._answer.usage()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield SSE bytes, `message_start` first.

        Raises:
            AttemptFailed: It broke off. What becomes of that is `LateFallback`'s business.
        """
        answer = self._answer
        yield answer.start()
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

    def farewell(self, error_type: str, message: str) -> bytes:
        """Return an error event: what was sent ends on a frame boundary."""
        return encode(error_event(error_type, message))

    async def aclose(self) -> None:
        """Close the upstream's connection."""
        await _abandon(self._first, self._source)


class Answer:
    """The assembler of one answer and how far it has come."""

    def __init__(
        self,
        request: MessagesRequest,
        call: ModelCall,
        input_tokens: int,
        num_ctx: int | None,
        *,
        on_end: Callable[[ModelDone | None], None],
    ) -> None:
        """`input_tokens` stands until the model has counted.

        `on_end` hears what the model says at its end, or None where we ended it at a stop sequence.
        """
        body = request.body
        self.complete = False
        self._queue_s: float | None = None
        self.arrived_at = request.arrived_at
        self._notes = request.notes
        self._on_end = on_end
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
        """Return the bytes of `message_start`."""
        return self._emit(self.assembler.start())

    def feed(self, item: ModelDelta | ModelDone) -> bytes:
        """Return the bytes an item becomes; sets `complete` with the answer's last event."""
        assembler = self.assembler
        if isinstance(item, ModelDone):
            events = assembler.finish(item)
            self.complete = True
            self._on_end(item)
        else:
            events = assembler.feed(item)
            if assembler.stopped:
                events = [*events, *assembler.finish(None)]
                self.complete = True
                self._on_end(None)
        if self.complete:
            self._notes.extend(assembler.notes)
        return self._emit(events)

    def admitted(self, waited_s: float) -> None:
        """Hear how long the answer waited for a slot."""
        self._queue_s = waited_s

    def usage(self) -> Usage:
        """Return the counts so far, and the model's own timings."""
        usage = self.assembler.usage()
        if self._queue_s is not None:
            usage.extra["queue_s"] = self._queue_s
        return usage

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


async def open_stream(
    answer: Answer, source: AsyncGenerator[ModelDelta | ModelDone], *, patience_s: float
) -> StreamReply:
    """Wait for the model's first word, until the client's patience is used up, and commit.

    Raises:
        AttemptFailed: The model failed before; nothing is committed.
    """
    first = asyncio.ensure_future(_first_word(source))
    try:
        waited_s = monotonic() - answer.arrived_at
        await asyncio.wait((first,), timeout=max(0.0, patience_s - waited_s))
        if first.done() and (failure := first.exception()) is not None:
            raise failure
    except BaseException:
        await _abandon(first, source)
        raise
    return StreamReply(answer, source, first)


async def whole_answer(
    answer: Answer, source: AsyncGenerator[ModelDelta | ModelDone]
) -> WholeReply:
    """Read the model to its end and return its Message.

    Raises:
        AttemptFailed: The model failed or broke off.
    """
    try:
        answer.start()
        async for item in source:
            answer.feed(item)
            if answer.complete:
                return json_reply(answer.message(), answer.usage())
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


def _broke_off() -> AttemptFailed:
    return AttemptFailed(
        FailureClass.BROKEN_STREAM, "The local model's answer broke off before its end."
    )


def json_reply(payload: Mapping[str, Any], usage: Usage) -> WholeReply:
    """Return a 200 with a JSON body."""
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
