"""One turn of a local model, checked, and asked again once where it went wrong.

`wire.turn` says what is checked and when; here the model is read, and asked again.

The repair turn:
1. It is the same conversation with the turn and what was wrong with it at its end, so that the
   model reads little more than that. It runs in the slot of the first.
2. It may write what the first turn left of the client's `max_tokens`, and `REPAIR_TOKENS` in any
   case, if the client allows as many. One that ran into that limit is wrong; so a mended answer
   never ends as `max_tokens`. Where the model did not count the first turn, it has the whole limit.
3. Where the request for it is refused as too long, or as one that this model cannot take, that is
   no fault of the client, whose own request was served: the attempt has failed with
   MALFORMED_OUTPUT, as where the repair turn is wrong.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ccproxy.ports import AttemptFailed, ModelDelta, ModelDone
from ccproxy.wire.leaked_calls import LeakFilter
from ccproxy.wire.leaked_thinking import ThinkingFilter
from ccproxy.wire.turn import Turn
from routing.failures import FailureClass

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncGenerator, Iterable, Iterator

    from ccproxy.ports import ModelCall, ModelUpstream, ToolCall
    from ccproxy.wire.turn import Complaint, Wanted

CUT_OFF: Final = "length"
"""`ModelDone.reason` of an answer that ran into its token limit."""
REPAIR_TOKENS: Final = 256
"""What a repair turn may write at least: a call with a short text in it."""

_REFUSED: Final = frozenset(
    {
        FailureClass.CONTEXT_OVERFLOW,
        FailureClass.CLIENT_FAULT,
        FailureClass.CAPABILITY_MISSING,
    }
)


async def checked_turn(
    upstream: ModelUpstream,
    call: ModelCall,
    wanted: Wanted,
    *,
    counts: Counter[str],
    notes: list[str],
) -> AsyncGenerator[ModelDelta | ModelDone]:
    """Yield the model's answer; every tool call in it is offered and its input valid.

    Args:
        upstream: The model.
        call: What it is asked.
        wanted: What its answer has to be.
        counts: Gains what happened to its tool calls.
        notes: Gains what was changed or left out.

    Raises:
        AttemptFailed: The upstream's own failures; MALFORMED_OUTPUT when the repair turn was wrong
            as well. No tool call was yielded then.
    """
    turn = Turn(wanted, counts, notes)
    done = None
    async with aclosing(_heard(upstream, call, turn)) as heard:
        async for item in heard:
            if isinstance(item, ModelDone):
                done = item
            else:
                yield item
    if done is None:
        return
    complaint = turn.settle(cut_off=done.reason == CUT_OFF)
    if complaint is not None:
        done = await _repaired(upstream, call, turn, complaint, done)
    for delta in turn.release():
        yield delta
    yield done


async def _repaired(
    upstream: ModelUpstream, call: ModelCall, turn: Turn, complaint: Complaint, first: ModelDone
) -> ModelDone:
    """Ask again, mend the turn, and return the end of both together."""
    again = replace(
        call,
        messages=(*call.messages, *complaint.messages),
        max_output_tokens=_tokens_left(call, first),
    )
    repair = Turn(turn.wanted, holds_all=True)
    second = None
    try:
        async with aclosing(_heard(upstream, again, repair)) as heard:
            async for item in heard:
                if isinstance(item, ModelDone):
                    second = item
    except AttemptFailed as failed:
        if failed.failure not in _REFUSED:
            raise
        turn.give_up()
        raise _twice_wrong(failed.detail) from failed
    if second is None or not turn.mend(repair, cut_off=second.reason == CUT_OFF):
        raise _twice_wrong()
    if first.output_tokens is None or second.output_tokens is None:
        return replace(first, output_tokens=None)
    return replace(first, output_tokens=first.output_tokens + second.output_tokens)


def _tokens_left(call: ModelCall, first: ModelDone) -> int:
    """Return what the repair turn may write (rule 2)."""
    limit = call.max_output_tokens
    return max(limit - (first.output_tokens or 0), min(limit, REPAIR_TOKENS))


def _twice_wrong(detail: str = "") -> AttemptFailed:
    message = "The local model's answer was not what its tools or its schema ask for, twice."
    return AttemptFailed(FailureClass.MALFORMED_OUTPUT, message, detail=detail)


async def _heard(
    upstream: ModelUpstream, call: ModelCall, turn: Turn
) -> AsyncGenerator[ModelDelta | ModelDone]:
    """Have a turn take the answer; yield what may be relayed at once, and the answer's end.

    A stop sequence that the turn found is an end as well: without counts, because the model was not
    heard out.
    """
    ear = _Ear(turn)
    try:
        async with aclosing(upstream.stream(call)) as source:
            async for item in source:
                for passed in ear.hear(item):
                    yield passed
                if isinstance(item, ModelDone):
                    yield item
                    return
                if turn.stopped:
                    yield ModelDone("stop")
                    return
    finally:
        ear.take_notes()


class _Ear:
    """Hears one answer for a turn: thinking and calls in its text are told apart from text."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._thinking: ThinkingFilter | None = ThinkingFilter()
        """None once the text has begun."""
        self._thoughts: list[str] = []
        wanted = turn.wanted
        # A wanted JSON answer may look like a call.
        looks_for_calls = wanted.tools.names and wanted.response_schema is None
        self._calls = LeakFilter(wanted.tools.schemas) if looks_for_calls else None

    def hear(self, item: ModelDelta | ModelDone) -> Iterator[ModelDelta]:
        """Take one step of the answer, and yield what may be relayed at once."""
        if isinstance(item, ModelDone):
            yield from self._end_of_text(cut_off=item.reason == CUT_OFF)
            return
        if item.thinking:
            yield from self._interruption()
            yield from self._taken(ModelDelta(thinking=item.thinking))
        if item.text:
            yield from self._text(item.text)
        if item.tool_calls:
            yield from self._interruption()
            yield from self._taken(ModelDelta(tool_calls=item.tool_calls))

    def take_notes(self) -> None:
        """Give the turn the notes of what was found in its text."""
        if self._calls is not None:
            self._turn.notes += self._calls.notes

    def _taken(self, delta: ModelDelta) -> Iterator[ModelDelta]:
        passed = self._turn.take(delta)
        if passed is not None:
            yield passed

    def _text(self, text: str) -> Iterator[ModelDelta]:
        if self._thinking is None:
            yield from self._spoken(text)
            return
        yield from self._thought(self._thinking.feed(text))
        if self._thinking.is_over:
            self._end_thinking(self._thinking)

    def _thought(self, deltas: Iterable[ModelDelta]) -> Iterator[ModelDelta]:
        for delta in deltas:
            if delta.text:
                yield from self._spoken(delta.text)
            else:
                self._thoughts.append(delta.thinking)
                yield from self._taken(delta)

    def _spoken(self, text: str) -> Iterator[ModelDelta]:
        if self._calls is None:
            yield from self._taken(ModelDelta(text=text))
        else:
            yield from self._parts(self._calls.feed(text))

    def _parts(self, parts: Iterable[str | ToolCall]) -> Iterator[ModelDelta]:
        for part in parts:
            if isinstance(part, str):
                yield from self._taken(ModelDelta(text=part))
            else:
                self._turn.take_call(part, is_recovered=True)

    def _interruption(self) -> Iterator[ModelDelta]:
        """Something other than text comes: what was held of the text is text."""
        yield from self._last_thought()
        if self._calls is not None:
            yield from self._parts(self._calls.interrupt())

    def _end_of_text(self, *, cut_off: bool) -> Iterator[ModelDelta]:
        yield from self._last_thought()
        if self._calls is not None:
            yield from self._parts(self._calls.finish(cut_off=cut_off))

    def _last_thought(self) -> Iterator[ModelDelta]:
        if self._thinking is not None:
            yield from self._thought(self._thinking.finish())
            self._end_thinking(self._thinking)

    def _end_thinking(self, thinking: ThinkingFilter) -> None:
        if thinking.found:
            self._turn.notes.append("thinking_in_text")
        if thinking.unclosed:
            self._turn.unclosed = "".join(self._thoughts)
        self._thinking = None
        self._thoughts.clear()
