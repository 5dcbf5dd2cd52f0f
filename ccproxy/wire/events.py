"""The events of a Messages stream that we emit ourselves, and their bytes.

A frame is exactly `event: T`, one line of JSON and a blank line, and its `type` equals the event's
name: SDKs skip frames without an `event:` line (conformance 131, measured with anthropic 2.11.0).
Encoding cannot fail: see `ccproxy.wire.json_text`.

Source: event shapes as in Anthropic's "Streaming messages" page and the types of anthropic 2.11.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from ccproxy.wire.json_text import text_json

PING: Final = b'event: ping\ndata: {"type": "ping"}\n\n'
"""The whole ping frame, as Claude writes it; allowed anywhere in a stream (conformance 150)."""

_START: Final = b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,'
_DELTA: Final = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
_USAGE: Final = (
    b'"usage":{"input_tokens":%d,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
    b'"output_tokens":%d}'
)
# Cache counts are 0: a local prefix cache costs nothing and is part of the input (219).


class StopReason(StrEnum):
    """Why a local answer ended: those of Anthropic's reasons that a local model can have."""

    END_TURN = "end_turn"
    MAX_TOKENS = "max_tokens"
    STOP_SEQUENCE = "stop_sequence"
    TOOL_USE = "tool_use"
    MODEL_CONTEXT_WINDOW_EXCEEDED = "model_context_window_exceeded"


@dataclass(frozen=True, slots=True)
class MessageStart:
    """The first event; its counts are what is known before the model has spoken."""

    message_id: str
    model: str
    input_tokens: int
    output_tokens: int = 0

    def encode(self) -> bytes:
        """Return the frame."""
        return (
            b'event: message_start\ndata: {"type":"message_start","message":{"id":%b,'
            b'"type":"message","role":"assistant","model":%b,"content":[],"stop_reason":null,'
            b'"stop_sequence":null,' + _USAGE + b"}}\n\n"
        ) % (
            text_json(self.message_id),
            text_json(self.model),
            self.input_tokens,
            self.output_tokens,
        )


@dataclass(frozen=True, slots=True)
class TextStart:
    """A text block opens, empty."""

    index: int

    def encode(self) -> bytes:
        """Return the frame."""
        return (_START + b'"content_block":{"type":"text","text":""}}\n\n') % self.index


@dataclass(frozen=True, slots=True)
class ThinkingStart:
    """A thinking block opens, empty and unsigned."""

    index: int

    def encode(self) -> bytes:
        """Return the frame."""
        return (
            _START + b'"content_block":{"type":"thinking","thinking":"","signature":""}}\n\n'
        ) % self.index


@dataclass(frozen=True, slots=True)
class ToolUseStart:
    """A tool_use block opens with its final id and name; its input follows as deltas."""

    index: int
    tool_id: str
    name: str

    def encode(self) -> bytes:
        """Return the frame."""
        return (
            _START + b'"content_block":{"type":"tool_use","id":%b,"name":%b,"input":{}}}\n\n'
        ) % (self.index, text_json(self.tool_id), text_json(self.name))


_TEXT_DELTA: Final = _DELTA + b'"delta":{"type":"text_delta","text":%b}}\n\n'
_THINKING_DELTA: Final = _DELTA + b'"delta":{"type":"thinking_delta","thinking":%b}}\n\n'
_SIGNATURE_DELTA: Final = _DELTA + b'"delta":{"type":"signature_delta","signature":%b}}\n\n'
_INPUT_JSON_DELTA: Final = _DELTA + b'"delta":{"type":"input_json_delta","partial_json":%b}}\n\n'


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of the open text block."""

    index: int
    text: str

    def encode(self) -> bytes:
        """Return the frame."""
        return _TEXT_DELTA % (self.index, text_json(self.text))


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """More thinking of the open thinking block."""

    index: int
    thinking: str

    def encode(self) -> bytes:
        """Return the frame."""
        return _THINKING_DELTA % (self.index, text_json(self.thinking))


@dataclass(frozen=True, slots=True)
class SignatureDelta:
    """The signature of the open thinking block, once, just before its stop."""

    index: int
    signature: str

    def encode(self) -> bytes:
        """Return the frame."""
        return _SIGNATURE_DELTA % (self.index, text_json(self.signature))


@dataclass(frozen=True, slots=True)
class InputJsonDelta:
    """A piece of the open tool_use block's input, as JSON text."""

    index: int
    partial_json: str

    def encode(self) -> bytes:
        """Return the frame."""
        return _INPUT_JSON_DELTA % (self.index, text_json(self.partial_json))


@dataclass(frozen=True, slots=True)
class BlockStop:
    """The open block is complete."""

    index: int

    def encode(self) -> bytes:
        """Return the frame."""
        return (
            b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
            % self.index
        )


@dataclass(frozen=True, slots=True)
class MessageDelta:
    """Why the answer ended, and its true cumulative counts, which replace those of the start."""

    stop_reason: StopReason
    stop_sequence: str | None
    """The stop sequence that matched, if that was the reason."""
    input_tokens: int
    output_tokens: int

    def encode(self) -> bytes:
        """Return the frame."""
        sequence = b"null" if self.stop_sequence is None else text_json(self.stop_sequence)
        return (
            b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":%b,'
            b'"stop_sequence":%b},' + _USAGE + b"}\n\n"
        ) % (text_json(self.stop_reason), sequence, self.input_tokens, self.output_tokens)


@dataclass(frozen=True, slots=True)
class MessageStop:
    """The last event of an answer that is whole."""

    def encode(self) -> bytes:
        """Return the frame."""
        return b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


@dataclass(frozen=True, slots=True)
class Ping:
    """Nothing yet, and the connection lives."""

    def encode(self) -> bytes:
        """Return the frame, `PING`."""
        return PING


@dataclass(frozen=True, slots=True)
class StreamError:
    """The last event of an answer that broke; SDKs raise on it (conformance 155, 156)."""

    error_type: str
    """One of Anthropic's documented error types."""
    message: str

    def encode(self) -> bytes:
        """Return the frame."""
        return b'event: error\ndata: {"type":"error","error":{"type":%b,"message":%b}}\n\n' % (
            text_json(self.error_type),
            text_json(self.message),
        )


Event: TypeAlias = (
    MessageStart
    | TextStart
    | ThinkingStart
    | ToolUseStart
    | TextDelta
    | ThinkingDelta
    | SignatureDelta
    | InputJsonDelta
    | BlockStop
    | MessageDelta
    | MessageStop
    | Ping
    | StreamError
)


def encode(event: Event) -> bytes:
    """Return the SSE frame of an event."""
    return event.encode()
