"""The grammar of a Messages stream as we emit it (conformance 126, 127, 131-148, 155), checked.

Stricter than what SDKs accept: it knows only the events, blocks and deltas that a local answer can
have. It shares no code with `ccproxy.wire`, so that the two can find each other's mistakes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FRAME = re.compile(rb"event: ([a-z_]+)\ndata: ([^\r\n]+)\n\n")
_COMMENT = re.compile(rb":[^\r\n]*\n\n")
_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")
_EMPTY_BLOCKS: dict[str, dict[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
}
_DELTA_FIELDS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("thinking", "signature"),
    "input_json_delta": ("tool_use", "partial_json"),
}
_STOP_REASONS = {
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "model_context_window_exceeded",
}
_ERROR_TYPES = {
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "conflict_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "timeout_error",
    "overloaded_error",
}


class GrammarError(AssertionError):
    """A stream that breaks a rule; the message begins with the rule's conformance number."""


@dataclass(frozen=True, slots=True)
class CheckedStream:
    """What a stream that keeps the grammar carried."""

    message: dict[str, Any]
    """The Message as a client accumulates it."""
    error: dict[str, Any] | None
    """The `error` object of the error event that ended it, or None."""


def check_stream(stream: bytes | Iterable[tuple[str, bytes]]) -> CheckedStream:
    """Check a whole stream: its bytes, or `(event name, data)` pairs without the framing.

    Raises:
        GrammarError: Naming the rule that is broken.
    """
    checker = _Checker()
    for name, data in frames(stream) if isinstance(stream, bytes) else stream:
        _rule(not checker.over, 148, f"{name} after the end")
        checker.take(name, _payload(data))
    _rule(checker.over, 147, "the stream ends without message_stop or error")
    return CheckedStream(checker.message, checker.error)


def frames(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield event name and data of each frame, which must be framed exactly (conformance 131)."""
    position = 0
    while position < len(raw):
        comment = _COMMENT.match(raw, position)
        if comment is not None:
            position = comment.end()
            continue
        frame = _FRAME.match(raw, position)
        if frame is None:
            raise GrammarError(f"131: no whole frame at {raw[position : position + 120]!r}")
        yield frame[1].decode(), frame[2]
        position = frame.end()


def _payload(data: bytes) -> dict[str, Any]:
    try:
        text = data.decode()
        payload = json.loads(text, parse_constant=_no_constant)
    except ValueError as exc:
        raise GrammarError(f"131: data is not JSON in UTF-8: {data[:120]!r}") from exc
    _rule(len(text.splitlines()) == 1, 130, "the data is more than one line to str.splitlines")
    _rule(isinstance(payload, dict), 131, "the data is not an object")
    result: dict[str, Any] = payload
    return result


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _rule(holds: object, number: int, what: str) -> None:
    if not holds:
        raise GrammarError(f"{number}: {what}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


@dataclass(slots=True)
class _Checker:
    message: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    over: bool = False
    ending: bool = False
    """A message_delta has come: no block may start any more."""
    open_block: dict[str, Any] | None = None
    input_json: str = ""

    def take(self, name: str, payload: dict[str, Any]) -> None:
        _rule(payload.get("type") == name, 131, f"type {payload.get('type')!r} in a {name} event")
        if name == "ping":
            _rule(payload == {"type": "ping"}, 150, "a ping with something in it")
        elif name == "error":
            self._take_error(payload)
        elif name == "message_start":
            self._take_start(payload)
        else:
            _rule(self.message, 132, f"{name} before message_start")
            self._take_inner(name, payload)

    def _take_inner(self, name: str, payload: dict[str, Any]) -> None:
        match name:
            case "content_block_start":
                self._take_block_start(payload)
            case "content_block_delta":
                self._take_block_delta(payload)
            case "content_block_stop":
                self._take_block_stop(payload)
            case "message_delta":
                self._take_message_delta(payload)
            case "message_stop":
                _rule(self.ending, 147, "message_stop without message_delta")
                self.over = True
            case _:
                raise GrammarError(f"143: unknown event {name}")

    def _take_error(self, payload: dict[str, Any]) -> None:
        error = payload.get("error")
        _rule(isinstance(error, dict), 155, "an error event without error")
        assert isinstance(error, dict)
        _rule(error.get("type") in _ERROR_TYPES, 156, f"error type {error.get('type')!r}")
        _rule(error.get("message"), 155, "an error without a message")
        _rule(not self.ending, 155, "an error after message_delta")
        self.error = error
        self.over = True

    def _take_start(self, payload: dict[str, Any]) -> None:
        _rule(not self.message, 132, "a second message_start")
        message = payload.get("message")
        _rule(isinstance(message, dict), 133, "message_start without message")
        assert isinstance(message, dict)
        fixed = {"type": "message", "role": "assistant", "content": []}
        for key, value in {**fixed, "stop_reason": None, "stop_sequence": None}.items():
            _rule(key in message and message[key] == value, 133, f"message.{key} is not {value!r}")
        _rule(str(message.get("id", "")).startswith("msg_"), 133, "message.id is not msg_...")
        _rule(isinstance(message.get("model"), str), 133, "message.model is not a string")
        usage = _usage(message, 133)
        _rule(usage["input_tokens"] > 0, 220, "message_start counts no input")
        self.message = message

    def _take_block_start(self, payload: dict[str, Any]) -> None:
        content = self.message["content"]
        _rule(not self.ending, 147, "a block after message_delta")
        _rule(self.open_block is None, 135, "a block starts while another is open")
        index = payload.get("index")
        _rule(index == len(content), 134, f"index {index}, not {len(content)}")
        block = payload.get("content_block")
        _rule(isinstance(block, dict), 136, "content_block_start without content_block")
        assert isinstance(block, dict)
        kind = block.get("type")
        _rule(kind in _EMPTY_BLOCKS, 143, f"unknown block {kind!r}")
        number = {"text": 136, "thinking": 137, "tool_use": 140}[str(kind)]
        for key, value in _EMPTY_BLOCKS[str(kind)].items():
            _rule(key in block and block[key] == value, number, f"{kind}.{key} is not {value!r}")
        if kind == "tool_use":
            tool_id, name = block.get("id"), block.get("name")
            _rule(_TOOL_ID.fullmatch(str(tool_id)), 125, f"tool id {tool_id!r}")
            _rule(isinstance(name, str) and name, 140, "tool_use without a name")
            ids = [other.get("id") for other in content]
            _rule(tool_id not in ids, 125, f"tool id {tool_id!r} twice")
        content.append(block)
        self.open_block = block
        self.input_json = ""

    def _take_block_delta(self, payload: dict[str, Any]) -> None:
        block = self._open_block_of(payload)
        delta = payload.get("delta")
        _rule(isinstance(delta, dict), 143, "content_block_delta without delta")
        assert isinstance(delta, dict)
        kind = delta.get("type")
        _rule(kind in _DELTA_FIELDS, 143, f"unknown delta {kind!r}")
        block_type, key = _DELTA_FIELDS[str(kind)]
        _rule(block["type"] == block_type, 143, f"{kind} in a {block['type']} block")
        value = delta.get(key)
        _rule(isinstance(value, str), 143, f"{kind} without {key}")
        assert isinstance(value, str)
        _rule(not block.get("signature"), 138, f"{kind} after the signature")
        if key == "partial_json":
            self.input_json += value
        else:
            _rule(value, 205, f"an empty {kind}")
            block[key] += value

    def _take_block_stop(self, payload: dict[str, Any]) -> None:
        block = self._open_block_of(payload)
        self.open_block = None
        if block["type"] == "text":
            _rule(block["text"].strip(), 126, "a text block of nothing or whitespace")
        elif block["type"] == "thinking":
            _rule(block["signature"], 138, "a thinking block without a signature")
        elif self.input_json:
            try:
                block["input"] = json.loads(self.input_json, parse_constant=_no_constant)
            except ValueError as exc:
                raise GrammarError(f"142: input is not JSON: {self.input_json!r}") from exc
            _rule(isinstance(block["input"], dict), 142, "input is not an object")

    def _open_block_of(self, payload: dict[str, Any]) -> dict[str, Any]:
        block = self.open_block
        _rule(block is not None, 135, f"{payload['type']} while no block is open")
        assert block is not None
        last = len(self.message["content"]) - 1
        _rule(payload.get("index") == last, 134, f"index {payload.get('index')}, not {last}")
        return block

    def _take_message_delta(self, payload: dict[str, Any]) -> None:
        _rule(self.open_block is None, 147, "message_delta while a block is open")
        delta = payload.get("delta")
        _rule(isinstance(delta, dict), 145, "message_delta without delta")
        assert isinstance(delta, dict)
        usage = _usage(payload, 145)
        _rule(usage["output_tokens"] >= self.message["usage"]["output_tokens"], 146, "usage shrank")
        reason, sequence = delta.get("stop_reason"), delta.get("stop_sequence")
        _rule(reason in _STOP_REASONS, 119, f"stop_reason {reason!r}")
        _rule("stop_sequence" in delta, 120, "no stop_sequence key")
        matched = isinstance(sequence, str) and sequence != ""
        _rule(matched == (reason == "stop_sequence"), 120, f"{sequence!r} with {reason}")
        _rule(matched or sequence is None, 120, "an empty stop_sequence")
        called = any(block["type"] == "tool_use" for block in self.message["content"])
        _rule(called == (reason == "tool_use"), 127, f"{reason} with tool calls: {called}")
        self.message |= {"stop_reason": reason, "stop_sequence": sequence}
        self.message["usage"] = {**self.message["usage"], **usage}
        self.ending = True


def _usage(holder: dict[str, Any], number: int) -> dict[str, Any]:
    usage = holder.get("usage")
    _rule(isinstance(usage, dict), number, "no usage")
    assert isinstance(usage, dict)
    for key in ("input_tokens", "output_tokens"):
        _rule(_is_count(usage.get(key)), 122, f"usage.{key} is not a count")
    return usage
