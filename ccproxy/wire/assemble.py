r"""What a local model says, as the events of a Messages stream.

Called by `ccproxy.pipeline.translated`, which feeds it and sends what it returns. No I/O, no clock.

Rules:
1. Plain text flows: without stop sequences each non-empty chunk is one `text_delta`, at once and
   unchanged. The one exception is rule 2.
2. A text or thinking block opens with its first chunk that is not all whitespace. Whitespace before
   that is held back; it leads the block's first delta, or is dropped if no block comes of it:
   models write `\n\n` before a tool call, and Claude refuses a history with a text block of
   whitespace alone ("text content blocks must contain non-whitespace text").
3. One block is open at a time. Thinking after text, and text after a tool call, open a new block.
4. A tool call is whole when it arrives: its block has one `input_json_delta` with the whole object.
5. A call keeps its id if that is valid and new to the conversation, else it gets a minted one.
   The same id, name and input again is a repetition and is dropped (209).
6. A call of a tool that was not offered becomes a text block of its own that tells what was
   called: the client has no such tool, and nothing is lost. It does not count as a tool call.
7. Calls beyond `max_tool_calls` are dropped. `notes` tells what rules 5 to 7 dropped or rewrote.
8. Stop sequences are looked for in text only, across chunks, not across a block of another kind.
   After a match nothing more of the model is emitted.
9. A missing count is estimated: the input as the caller said, the output as a quarter of the
   UTF-8 bytes of everything the model wrote (hidden thinking included), rounded up.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from ccproxy.outcome import Usage
from ccproxy.ports import AttemptFailed
from ccproxy.wire.errors import ERROR_TYPES
from ccproxy.wire.events import (
    BlockStop,
    InputJsonDelta,
    MessageDelta,
    MessageStart,
    MessageStop,
    SignatureDelta,
    StopReason,
    StreamError,
    TextDelta,
    TextStart,
    ThinkingDelta,
    ThinkingStart,
    ToolUseStart,
)
from ccproxy.wire.json_text import encodable, json_bytes
from ccproxy.wire.notes import note
from ccproxy.wire.signature import LOCAL_SIGNATURE
from ccproxy.wire.stops import StopMatcher
from routing.failures import FailureClass

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ccproxy.ports import ModelDelta, ModelDone, ToolCall
    from ccproxy.wire.events import Event

_TOOL_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
_BYTES_PER_TOKEN: Final = 4

_Kind: TypeAlias = Literal["text", "thinking"]


class ThinkingDisplay(StrEnum):
    """What the client wants to see of the model's thinking."""

    HIDDEN = "hidden"
    """It did not ask for thinking: neither thinking nor text comes of it (conformance 225)."""
    OMITTED = "omitted"
    """The block is shown, its words are not: start, signature, stop (conformance 139)."""
    SHOWN = "shown"


class Assembler:
    """The events of one answer; used once, by one task."""

    def __init__(  # noqa: PLR0913 - by keyword only; each is one fact of request or deployment
        self,
        *,
        message_id: str,
        model: str,
        input_tokens: int,
        stop_sequences: Sequence[str] = (),
        thinking: ThinkingDisplay = ThinkingDisplay.HIDDEN,
        offered_tools: Collection[str] = (),
        max_tool_calls: int | None = None,
        used_tool_ids: Collection[str] = (),
        num_ctx: int | None = None,
        max_output_tokens: int | None = None,
        mint_tool_id: Callable[[], str],
    ) -> None:
        """Nothing is emitted yet.

        Args:
            message_id: `msg_...`.
            model: What the client asked for; the answer echoes it (conformance 121).
            input_tokens: The estimate of the prompt, used until and unless the model counts.
            stop_sequences: As requested.
            thinking: See `ThinkingDisplay`.
            offered_tools: Names of the tools that the model may call.
            max_tool_calls: 1 for `disable_parallel_tool_use`; None for any number.
            used_tool_ids: Ids of the tool calls in the conversation so far.
            num_ctx: Tokens that prompt and answer together can have.
            max_output_tokens: The limit that the model was given for its answer.
            mint_tool_id: Returns a fresh id at each call.
        """
        self.notes: list[str] = []
        """`name=value` for what was dropped or turned into text, e.g. `tool_not_offered=Bash`."""
        self._message_id = message_id
        self._model = model
        self._estimated_input_tokens = max(1, input_tokens)
        self._matcher = StopMatcher(stop_sequences) if stop_sequences else None
        self._thinking_display = thinking
        self._offered_tools = offered_tools
        self._max_tool_calls = max_tool_calls
        self._used_tool_ids = set(used_tool_ids)
        self._num_ctx = num_ctx
        self._max_output_tokens = max_output_tokens
        self._mint_tool_id = mint_tool_id

        self._index = -1
        self._open: _Kind | None = None
        self._held: dict[_Kind, str] = {"text": "", "thinking": ""}
        self._calls: set[tuple[str, str, str]] = set()
        self._tool_uses = 0
        self._written_bytes = 0
        self._matched: str | None = None
        self._done: ModelDone | None = None
        self._stop_reason: StopReason | None = None

    @property
    def stopped(self) -> bool:
        """True once a stop sequence matched: close the upstream and call `finish(None)`."""
        return self._matched is not None

    @property
    def content_started(self) -> bool:
        """True once a content block was emitted: no other attempt may serve from then on."""
        return self._index >= 0

    def start(self) -> list[Event]:
        """Return the first event; call it once, before anything else."""
        return [MessageStart(self._message_id, self._model, self._estimated_input_tokens)]

    def feed(self, delta: ModelDelta) -> list[Event]:
        """Return what a step of the model's answer becomes; nothing after a match or the end.

        Raises:
            AttemptFailed: MALFORMED_OUTPUT, a tool call whose input cannot be written as JSON.
        """
        events: list[Event] = []
        if self._matched is not None or self._stop_reason is not None:
            return events
        if delta.thinking:
            self._take_thinking(delta.thinking, events)
        if delta.text:
            self._take_text(delta.text, events)
        for call in delta.tool_calls:
            if self._matched is None:
                self._take_tool_call(call, events)
        return events

    def finish(self, done: ModelDone | None) -> list[Event]:
        """Return the end of the answer: the open block's stop, `message_delta`, `message_stop`.

        Args:
            done: The model's own end; None if and only if a stop sequence matched and the upstream
                was closed before it could say more. The output is estimated then (rule 9).

        Raises:
            ValueError: Finished before; or None without a match, which is a broken stream and ends
                in `error_event`, not here.
        """
        if self._stop_reason is not None:
            msg = "the answer is finished"
            raise ValueError(msg)
        if done is None and self._matched is None:
            msg = "the model has not ended its answer: send an error event"
            raise ValueError(msg)
        events: list[Event] = []
        self._flush_matcher(events)
        self._close_block(events)
        self._done = done
        self._stop_reason = reason = self._why_it_ended()
        sequence = self._matched if reason is StopReason.STOP_SEQUENCE else None
        events += [
            MessageDelta(reason, sequence, self._input_tokens, self._output_tokens),
            MessageStop(),
        ]
        return events

    def usage(self) -> Usage:
        """Return the counts so far: after `finish` those of `message_delta`, before it estimates.

        `extra` names the counts that are estimates, and the model's own timings where it gave any.
        """
        done = self._done
        usage = Usage(
            input_tokens=self._input_tokens,
            output_tokens=self._output_tokens,
            stop_reason=self._stop_reason,
        )
        if done is None or not done.input_tokens:
            usage.extra["input_tokens_estimated"] = True
        if done is None or done.output_tokens is None or usage.output_tokens != done.output_tokens:
            usage.extra["output_tokens_estimated"] = True
        if done is not None and done.load_s is not None:
            usage.extra["load_s"] = done.load_s
        if done is not None and done.prefill_s is not None:
            usage.extra["prefill_s"] = done.prefill_s
        return usage

    # --- words ---------------------------------------------------------------------------------

    def _take_thinking(self, thinking: str, events: list[Event]) -> None:
        thinking = self._counted(thinking)
        if self._thinking_display is ThinkingDisplay.HIDDEN:
            return
        if not thinking.isspace():
            self._flush_matcher(events)
        thinking = self._admitted("thinking", thinking, events)
        if thinking and self._thinking_display is ThinkingDisplay.SHOWN:
            events.append(ThinkingDelta(self._index, thinking))

    def _take_text(self, text: str, events: list[Event]) -> None:
        text = self._counted(text)
        if self._matcher is not None:
            text, self._matched = self._matcher.feed(text)
        if text:
            self._emit_text(text, events)

    def _emit_text(self, text: str, events: list[Event]) -> None:
        text = self._admitted("text", text, events)
        if text:
            events.append(TextDelta(self._index, text))

    def _admitted(self, kind: _Kind, chunk: str, events: list[Event]) -> str:
        """Return what goes into a block of this kind, open by then; "" if it has to wait."""
        if self._open == kind:
            return chunk
        if chunk.isspace():
            self._held[kind] += chunk
            return ""
        chunk = self._held[kind] + chunk
        index = self._next_index(events)
        self._open = kind
        events.append(TextStart(index) if kind == "text" else ThinkingStart(index))
        return chunk

    def _counted(self, words: str) -> str:
        """Return the model's words as they can be encoded, and count them."""
        if words.isascii():
            self._written_bytes += len(words)
            return words
        words = encodable(words)
        self._written_bytes += len(words.encode())
        return words

    # --- tool calls ----------------------------------------------------------------------------

    def _take_tool_call(self, call: ToolCall, events: list[Event]) -> None:
        try:
            arguments = json_bytes(dict(call.arguments)).decode()
        except ValueError as exc:
            raise AttemptFailed(
                FailureClass.MALFORMED_OUTPUT,
                "The local model called a tool with an input that is nested too deeply.",
            ) from exc
        name = self._counted(call.name)
        self._counted(arguments)
        if name not in self._offered_tools:
            self._note("tool_not_offered", name)
            self._tell_call(name, arguments, events)
        elif call.id and (call.id, name, arguments) in self._calls:
            self._note("tool_call_repeated", name)
        elif self._max_tool_calls is not None and self._tool_uses >= self._max_tool_calls:
            self._note("tool_call_dropped", name)
        else:
            if call.id:
                self._calls.add((call.id, name, arguments))
            self._flush_matcher(events)
            index = self._next_index(events)
            self._tool_uses += 1
            events += [
                ToolUseStart(index, self._id_for(call), name),
                InputJsonDelta(index, arguments),
                BlockStop(index),
            ]

    def _tell_call(self, name: str, arguments: str, events: list[Event]) -> None:
        self._flush_matcher(events)
        index = self._next_index(events)
        told = f'[The model called the tool "{name}", which was not offered, with {arguments}]'
        events += [TextStart(index), TextDelta(index, told), BlockStop(index)]

    def _id_for(self, call: ToolCall) -> str:
        tool_id = call.id
        if not tool_id or tool_id in self._used_tool_ids or not _TOOL_ID.fullmatch(tool_id):
            tool_id = self._mint_tool_id()
        self._used_tool_ids.add(tool_id)
        return tool_id

    def _note(self, what: str, name: str) -> None:
        self.notes.append(note(what, name))

    # --- blocks --------------------------------------------------------------------------------

    def _next_index(self, events: list[Event]) -> int:
        """Close what is open, forget held whitespace and return the next block's index."""
        self._close_block(events)
        self._held = {"text": "", "thinking": ""}
        self._index += 1
        return self._index

    def _close_block(self, events: list[Event]) -> None:
        if self._open is None:
            return
        if self._open == "thinking":
            events.append(SignatureDelta(self._index, LOCAL_SIGNATURE))
        events.append(BlockStop(self._index))
        self._open = None

    def _flush_matcher(self, events: list[Event]) -> None:
        """Emit what was held back for a stop sequence: another block or the end has come."""
        if self._matcher is not None:
            held = self._matcher.flush()
            if held:
                self._emit_text(held, events)

    # --- the end -------------------------------------------------------------------------------

    def _why_it_ended(self) -> StopReason:
        """Return the first reason that holds.

        1. A tool_use block was emitted: clients act on it by this reason alone (127), whatever
           came after it.
        2. A stop sequence matched.
        3. The model ran into a limit: the context window if the model's own counts fill it (215),
           else the limit that was set.
        4. The model was done.
        """
        done = self._done
        if self._tool_uses:
            return StopReason.TOOL_USE
        if done is None or self._matched is not None:
            return StopReason.STOP_SEQUENCE
        if done.reason == "length":
            counted = (done.input_tokens or 0) + (done.output_tokens or 0)
            if self._num_ctx is not None and counted >= self._num_ctx:
                return StopReason.MODEL_CONTEXT_WINDOW_EXCEEDED
            return StopReason.MAX_TOKENS
        return StopReason.END_TURN

    @property
    def _input_tokens(self) -> int:
        # No prompt has 0 tokens: Ollama leaves the key out, and readers of it put 0 (218).
        counted = None if self._done is None else self._done.input_tokens
        return counted or self._estimated_input_tokens

    @property
    def _output_tokens(self) -> int:
        # 0 is true only of an answer without words, and then it is the estimate as well.
        counted = None if self._done is None else self._done.output_tokens
        return counted or -(-self._written_bytes // _BYTES_PER_TOKEN)


def error_event(error_type: str, message: str) -> StreamError:
    """Return the event that ends a broken stream; nothing may follow it (conformance 155).

    Args:
        error_type: A documented type; anything else becomes `api_error`, because clients read it.
        message: For the client: no URL of ours, no traceback, no library's words.
    """
    known = error_type in ERROR_TYPES.values()
    return StreamError(error_type if known else "api_error", message)
