"""An answer as Claude writes it: one JSON message, or SSE frames.

Source: Anthropic's streaming reference (2026-08), conformance 117 to 150.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccproxy.demo.claude_answers import Answer

_WORD: Final = re.compile(r"\S*\s*")
_JSON_PIECE_CHARACTERS: Final = 9


def message_json(answer: Answer, message_id: str) -> dict[str, Any]:
    """Return the non-streaming Message object."""
    return {
        "model": answer.model,
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "content": answer.content,
        "stop_reason": answer.stop_reason,
        "stop_sequence": None,
        "usage": {**answer.usage, "output_tokens": answer.output_tokens},
    }


def frames(answer: Answer, message_id: str) -> Iterator[bytes]:
    """Yield the SSE frames of an answer, in order, each a complete frame."""
    start = message_json(answer, message_id)
    start |= {"content": [], "stop_reason": None}
    start["usage"] = {**answer.usage, "output_tokens": min(1, answer.output_tokens)}
    yield frame("message_start", {"message": start})
    for index, block in enumerate(answer.content):
        empty, deltas = _pieces(block)
        yield frame("content_block_start", {"index": index, "content_block": empty})
        if index == 0:
            yield frame("ping", {})
        for delta in deltas:
            yield frame("content_block_delta", {"index": index, "delta": delta})
        yield frame("content_block_stop", {"index": index})
    yield frame(
        "message_delta",
        {
            "delta": {"stop_reason": answer.stop_reason, "stop_sequence": None},
            "usage": {
                "input_tokens": answer.usage["input_tokens"],
                "cache_creation_input_tokens": answer.usage["cache_creation_input_tokens"],
                "cache_read_input_tokens": answer.usage["cache_read_input_tokens"],
                "output_tokens": answer.output_tokens,
            },
        },
    )
    yield frame("message_stop", {})


def frame(event: str, members: dict[str, Any]) -> bytes:
    """Return one SSE frame; the event's name is also the JSON `type`."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), orjson.dumps({"type": event, **members}))


def _pieces(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a block as it starts, and the deltas that fill it."""
    if block["type"] == "thinking":
        deltas: list[dict[str, Any]] = [
            {"type": "thinking_delta", "thinking": word} for word in _words(block["thinking"])
        ]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return {"type": "thinking", "thinking": "", "signature": ""}, deltas
    if block["type"] == "tool_use":
        text = orjson.dumps(block["input"]).decode()
        starts = range(0, len(text), _JSON_PIECE_CHARACTERS)
        pieces = ["", *(text[at : at + _JSON_PIECE_CHARACTERS] for at in starts)]
        return {**block, "input": {}}, [
            {"type": "input_json_delta", "partial_json": piece} for piece in pieces
        ]
    return {"type": "text", "text": ""}, [
        {"type": "text_delta", "text": word} for word in _words(block["text"])
    ]


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text) if word]
