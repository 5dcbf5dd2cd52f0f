"""Ollama's answer, record by record: bytes in, typed deltas out (sans-I/O).

LiteLLM's own reading of these records is not used: it mints new tool call ids, invents token
counts, forgets `done_reason` where tools were called, takes an end without `done` for a good end,
and costs 300 µs for each chunk (measured with litellm 1.105.3).

Rules:
1. One record is at most one delta; its text is passed on as it is, `<think>` or `<tool_call>`
   written as text included (conformance 205, 212, 224).
2. Every entry of `tool_calls` is one complete call, whatever its `index` says (209).
3. Only a record with `done: true` ends an answer; everything else that ends it is a failure (222).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.ports import ModelDelta, ModelDone, ToolCall
from ccproxy.upstreams.litellm_failures import failed, said_error
from routing.failures import FailureClass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_LINE_BYTES: Final = 8 * 1024 * 1024
"""Far above the longest line, a tool call: 128,000 tokens of arguments are about half a megabyte.

It is also what one model that never ends its line takes of memory, times its requests."""
MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
"""Of one whole answer: a million records of one token each, twice what any model writes at most."""
_NS_PER_S: Final = 1e9
_SHOWN_BYTES: Final = 200


class RecordReader:
    """Reads one NDJSON answer across arbitrary chunk boundaries.

    Attributes:
        done: The record with `done: true` was read; what follows it is ignored.
    """

    def __init__(self, *, name: str, context_tokens: int | None) -> None:
        """`name` and `context_tokens` are told where the upstream reports an error."""
        self.done = False
        self._name = name
        self._context_tokens = context_tokens
        self._pending = bytearray()
        self._searched_bytes = 0
        self._read_bytes = 0

    def feed(self, chunk: bytes) -> Iterator[ModelDelta | ModelDone]:
        """Yield what the complete lines among the bytes so far say.

        Raises:
            AttemptFailed: An error record, a line that is no record, or an answer without end.
        """
        self._read_bytes += len(chunk)
        if self._read_bytes > MAX_ANSWER_BYTES:
            raise failed(FailureClass.MALFORMED_OUTPUT, f"more than {MAX_ANSWER_BYTES} bytes")
        self._pending += chunk
        while not self.done:
            end = self._pending.find(b"\n", self._searched_bytes)
            if end < 0:
                self._searched_bytes = len(self._pending)
                break
            line = bytes(self._pending[:end])
            del self._pending[: end + 1]
            self._searched_bytes = 0
            yield from self._read(line)
        if len(self._pending) > _MAX_LINE_BYTES:
            raise failed(FailureClass.MALFORMED_OUTPUT, f"a line above {_MAX_LINE_BYTES} bytes")

    def finish(self) -> Iterator[ModelDelta | ModelDone]:
        """Yield what a last line without a line end says, and insist on `done: true`.

        Raises:
            AttemptFailed: BROKEN_STREAM where the answer was not finished.
        """
        if not self.done and self._pending:
            yield from self._read(bytes(self._pending))
        if not self.done:
            raise failed(FailureClass.BROKEN_STREAM, "the stream ended without done: true")

    def _read(self, line: bytes) -> Iterator[ModelDelta | ModelDone]:
        if not line.strip():
            return
        record = _parsed(line)
        error = record.get("error")
        if error is not None:
            raise said_error(str(error), name=self._name, context_tokens=self._context_tokens)
        message = record.get("message")
        is_last = record.get("done") is True
        if isinstance(message, dict):
            if (delta := _delta(message)) is not None:
                yield delta
        elif not is_last:
            raise failed(FailureClass.MALFORMED_OUTPUT, f"no message: {line[:_SHOWN_BYTES]!r}")
        if is_last:
            self.done = True
            yield _ending(record)


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        detail = f"not JSON: {line[:_SHOWN_BYTES]!r}"
        raise failed(FailureClass.MALFORMED_OUTPUT, detail) from error
    if not isinstance(record, dict):
        raise failed(FailureClass.MALFORMED_OUTPUT, f"not an object: {line[:_SHOWN_BYTES]!r}")
    return record


def _delta(message: Mapping[str, Any]) -> ModelDelta | None:
    """Return what one message adds, or None where it adds nothing."""
    thinking = message.get("thinking") or ""
    text = message.get("content") or ""
    if not isinstance(thinking, str) or not isinstance(text, str):
        raise failed(FailureClass.MALFORMED_OUTPUT, "content or thinking is not a string")
    calls = message.get("tool_calls") or ()
    if not (thinking or text or calls):
        return None
    return ModelDelta(thinking, text, tuple(_tool_call(call) for call in calls))


def _tool_call(call: object) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        raise failed(FailureClass.MALFORMED_OUTPUT, "a tool call without a function")
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise failed(FailureClass.MALFORMED_OUTPUT, "a tool call without a name")
    identifier = call.get("id")
    return ToolCall(
        id=identifier if isinstance(identifier, str) and identifier else None,
        name=name,
        arguments=tool_arguments(function.get("arguments")),
    )


def tool_arguments(given: object) -> Mapping[str, Any]:
    """Return a call's arguments as an object; old versions send them as a JSON string (211).

    Raises:
        AttemptFailed: MALFORMED_OUTPUT for anything but an object.
    """
    if isinstance(given, str):
        try:
            given = orjson.loads(given) if given.strip() else {}
        except orjson.JSONDecodeError as error:
            raise failed(FailureClass.MALFORMED_OUTPUT, "tool arguments are not JSON") from error
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise failed(FailureClass.MALFORMED_OUTPUT, "tool arguments are not an object")
    return given


def _ending(record: Mapping[str, Any]) -> ModelDone:
    """Return the end of the answer, with the counts that Ollama gave and no others (218)."""
    reason = record.get("done_reason")
    if reason in {"load", "unload"}:
        raise failed(FailureClass.MALFORMED_OUTPUT, f"done_reason {reason}: nothing was generated")
    return ModelDone(
        reason="length" if reason == "length" else "stop",
        input_tokens=_count(record.get("prompt_eval_count")),
        output_tokens=_count(record.get("eval_count")),
        load_s=_seconds(record.get("load_duration")),
        prefill_s=_seconds(record.get("prompt_eval_duration")),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _seconds(nanoseconds: object) -> float | None:
    return nanoseconds / _NS_PER_S if isinstance(nanoseconds, int | float) else None
