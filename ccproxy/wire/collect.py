"""The events of a whole stream, folded into the Message that a client gets without streaming.

Both forms come from the same events, so they have the same blocks, stop reason and counts
(conformance 128).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from ccproxy.wire.events import (
    BlockStop,
    InputJsonDelta,
    MessageDelta,
    MessageStart,
    MessageStop,
    Ping,
    SignatureDelta,
    StreamError,
    TextDelta,
    TextStart,
    ThinkingDelta,
    ThinkingStart,
    ToolUseStart,
)
from ccproxy.wire.json_text import encodable

if TYPE_CHECKING:
    from ccproxy.wire.events import Event


class Collector:
    """Takes every event of one answer, then gives the Message."""

    def __init__(self) -> None:
        """Begin without any event."""
        self._message: dict[str, Any] = {}
        self._content: list[dict[str, Any]] = []
        self._parts: list[str] = []
        self._complete = False

    def add(self, event: Event) -> None:
        """Take the next event.

        Raises:
            ValueError: An error event: there is no Message, answer with an HTTP error instead.
        """
        match event:
            case TextDelta(_, part) | ThinkingDelta(_, part) | InputJsonDelta(_, part):
                self._parts.append(part)
            case MessageStart():
                self._message = _begun(event, self._content)
            case TextStart() | ThinkingStart() | ToolUseStart():
                self._content.append(_empty_block(event))
            case SignatureDelta(_, signature):
                self._content[-1]["signature"] = signature
            case BlockStop():
                self._end_block()
            case MessageDelta():
                self._end_message(event)
            case MessageStop():
                self._complete = True
            case StreamError():
                msg = f"the answer broke off: {event.message}"
                raise ValueError(msg)
            case Ping():
                pass

    def message(self) -> dict[str, Any]:
        """Return the Message; every value can be written as JSON.

        Example: `{"id": "msg_...", "type": "message", "role": "assistant", "model": "qwen-coder",
        "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn",
        "stop_sequence": None, "usage": {"input_tokens": 9, "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0, "output_tokens": 1}}`

        Raises:
            ValueError: The answer is not complete.
        """
        if not self._complete:
            msg = "the answer is not complete"
            raise ValueError(msg)
        return self._message

    def _end_block(self) -> None:
        block = self._content[-1]
        joined = "".join(self._parts)
        self._parts.clear()
        if block["type"] == "tool_use":
            # An integer beyond 64 bits becomes a float here, as it does in JavaScript.
            block["input"] = orjson.loads(joined) if joined else {}
        else:
            block[block["type"]] = encodable(joined)

    def _end_message(self, event: MessageDelta) -> None:
        sequence = event.stop_sequence
        self._message["stop_reason"] = event.stop_reason.value
        self._message["stop_sequence"] = sequence if sequence is None else encodable(sequence)
        self._message["usage"] = _usage(event)


def _begun(event: MessageStart, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": event.message_id,
        "type": "message",
        "role": "assistant",
        "model": encodable(event.model),
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(event),
    }


def _empty_block(event: TextStart | ThinkingStart | ToolUseStart) -> dict[str, Any]:
    match event:
        case TextStart():
            return {"type": "text", "text": ""}
        case ThinkingStart():
            return {"type": "thinking", "thinking": "", "signature": ""}
        case ToolUseStart(_, tool_id, name):
            return {"type": "tool_use", "id": tool_id, "name": encodable(name), "input": {}}


def _usage(event: MessageStart | MessageDelta) -> dict[str, int]:
    return {
        "input_tokens": event.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": event.output_tokens,
    }
