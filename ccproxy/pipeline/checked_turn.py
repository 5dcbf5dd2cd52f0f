"""One turn of a local model, checked, and asked again once where it went wrong.

`wire.turn` says what is checked and when; here the model is read, and asked again. The repair turn
is the same conversation with the turn and what was wrong with it at its end, so that the model
reads little more than that. It runs in the slot of the first.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from ccproxy.ports import AttemptFailed, ModelDelta, ModelDone
from ccproxy.wire.leaked_calls import LeakFilter
from ccproxy.wire.leaked_thinking import ThinkingFilter
from ccproxy.wire.turn import RECOVERED, Turn
from routing.failures import FailureClass

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncGenerator, Iterator

    from ccproxy.ports import ModelCall, ModelUpstream, ToolCall
    from ccproxy.wire.turn import Complaint, Wanted

CUT_OFF = "length"
"""`ModelDone.reason` of an answer that ran into its token limit."""


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
                break
            if (passed := turn.take(item)) is not None:
                yield passed
    if done is None:
        return
    complaint = turn.complaint(cut_off=done.reason == CUT_OFF)
    if complaint is not None:
        done = await _repaired(upstream, call, turn, complaint, done)
    for delta in turn.release():
        yield delta
    yield done


async def _repaired(
    upstream: ModelUpstream, call: ModelCall, turn: Turn, complaint: Complaint, first: ModelDone
) -> ModelDone:
    """Ask again, mend the turn, and return the end of both together."""
    again = replace(call, messages=(*call.messages, *complaint.messages))
    repair = Turn(turn.wanted, turn.counts, turn.notes, holds_all=True)
    second = None
    async with aclosing(_heard(upstream, again, repair)) as heard:
        async for item in heard:
            if isinstance(item, ModelDone):
                second = item
                break
            repair.take(item)
    if second is None or not turn.mend(repair, cut_off=second.reason == CUT_OFF):
        message = "The local model's answer was not what its tools or its schema ask for, twice."
        raise AttemptFailed(FailureClass.MALFORMED_OUTPUT, message)
    if first.output_tokens is None or second.output_tokens is None:
        return replace(first, output_tokens=None)
    return replace(first, output_tokens=first.output_tokens + second.output_tokens)


async def _heard(
    upstream: ModelUpstream, call: ModelCall, turn: Turn
) -> AsyncGenerator[ModelDelta | ModelDone]:
    """Yield the answer with the thinking and the calls that the model wrote as text taken out."""
    leaks = _Leaks(turn)
    async with aclosing(upstream.stream(call)) as source:
        async for item in source:
            for part in leaks.parts(item):
                yield part


class _Leaks:
    """Takes out of the text of one answer what is no text; the turn gains the counts and notes."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._thinking: ThinkingFilter | None = ThinkingFilter()
        self._calls: LeakFilter | None = None
        """None between two stretches of text, and where no tool is offered."""

    def parts(self, item: ModelDelta | ModelDone) -> Iterator[ModelDelta | ModelDone]:
        """Yield one step of the answer; anything but text ends the stretch before it."""
        if isinstance(item, ModelDone):
            yield from self._end_of_text(cut_off=item.reason == CUT_OFF)
            yield item
            return
        if item.thinking:
            yield from self._end_of_text()
            yield ModelDelta(thinking=item.thinking)
        if item.text:
            yield from self._text(item.text)
        if item.tool_calls:
            yield from self._end_of_text()
            yield ModelDelta(tool_calls=item.tool_calls)

    def _text(self, text: str) -> Iterator[ModelDelta]:
        if self._thinking is None:
            yield from self._spoken(text)
            return
        for delta in self._thinking.feed(text):
            yield from self._spoken(delta.text) if delta.text else (delta,)
        if self._thinking.is_over:
            self._end_thinking()

    def _spoken(self, text: str) -> Iterator[ModelDelta]:
        tools = self._turn.wanted.tools
        if not tools.names:
            yield ModelDelta(text=text)
            return
        if self._calls is None:
            self._calls = LeakFilter(tools.schemas)
        yield from map(self._delta, self._calls.feed(text))

    def _end_of_text(self, *, cut_off: bool = False) -> Iterator[ModelDelta]:
        if self._thinking is not None:
            for delta in self._thinking.finish():
                yield from self._spoken(delta.text) if delta.text else (delta,)
            self._end_thinking()
        if self._calls is not None:
            yield from map(self._delta, self._calls.finish(cut_off=cut_off))
            self._turn.notes += self._calls.notes
            self._calls = None

    def _end_thinking(self) -> None:
        if self._thinking is not None and self._thinking.found:
            self._turn.notes.append("thinking_in_text")
        self._thinking = None

    def _delta(self, part: str | ToolCall) -> ModelDelta:
        if isinstance(part, str):
            return ModelDelta(text=part)
        self._turn.counts[RECOVERED] += 1
        return ModelDelta(tool_calls=(part,))
