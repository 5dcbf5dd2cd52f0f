"""The records of one generated answer: NDJSON lines, or one object for `stream: false`.

Source: Ollama api/types.go `ChatResponse`, `GenerateResponse`, `Metrics` (`omitempty` on every
count and duration); server/routes.go for where tool calls go.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from ccproxy.demo.ollama_models import count_tokens
from ccproxy.demo.ollama_script import Answer, AnswerCall, pieces_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccproxy.demo.ollama_prompt import Prompt
    from ccproxy.demo.ollama_requests import GenerationCall, JsonObject, RunnerOptions


@dataclass(frozen=True, slots=True)
class Generation:
    """An answer cut by stop strings and limits, in the pieces in which it is generated."""

    thinking: Sequence[str]
    content: Sequence[str]
    calls: Sequence[AnswerCall]
    done_reason: str
    tokens: int

    @property
    def text(self) -> str:
        """The visible text."""
        return "".join(self.content)


@dataclass(frozen=True, slots=True)
class Timing:
    """Simulated seconds of one request, as Ollama's durations report them."""

    load_s: float
    prefill_s: float
    decode_s: float


def cut_answer(
    answer: Answer, call: GenerationCall, options: RunnerOptions, prompt: Prompt
) -> Generation:
    """Apply `stop`, `num_predict` and, without shift, the end of the context to an answer."""
    text, stops = answer.text, call.options.get("stop") or ()
    for stop in stops:
        if stop:
            text = text.partition(stop)[0]
    thinking, content = pieces_of(answer.thinking), pieces_of(text)
    limit = int(call.options.get("num_predict") or -1)
    room = options.num_ctx - prompt.tokens
    if not options.shift:
        limit = min(limit, room) if limit > 0 else room
    call_tokens = sum(
        count_tokens(item.name) + count_tokens(orjson.dumps(item.arguments).decode())
        for item in answer.calls
    )
    tokens = len(thinking) + len(content) + call_tokens
    if limit <= 0 or tokens <= limit:
        return Generation(thinking, content, answer.calls, "stop", tokens)
    thinking = thinking[:limit]
    content = content[: limit - len(thinking)]
    return Generation(thinking, content, (), "length", limit)


class RecordWriter:
    """Builds the records of one answer; cheap enough to be called once per token."""

    def __init__(self, call: GenerationCall, number: int) -> None:
        """`number` tells requests apart: tool call ids are derived from it."""
        self._call = call
        self._number = number
        self._stamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        head = orjson.dumps({"model": call.model, "created_at": self._stamp})[:-1]
        if call.is_chat:
            self._content = head + b',"message":{"role":"assistant","content":'
            self._thinking = self._content + b'"","thinking":'
            self._tail = b'},"done":false}\n'
        else:
            self._content = head + b',"response":'
            self._thinking = self._content + b'"","thinking":'
            self._tail = b',"done":false}\n'

    def content(self, piece: str) -> bytes:
        """Return the line of a piece of text."""
        return self._content + orjson.dumps(piece) + self._tail

    def thinking(self, piece: str) -> bytes:
        """Return the line of a piece of thinking."""
        return self._thinking + orjson.dumps(piece) + self._tail

    def calls(self, calls: Sequence[AnswerCall]) -> bytes:
        """Return the line of all tool calls."""
        return orjson.dumps(self._record(calls=calls, done=False)) + b"\n"

    def load(self, reason: str) -> bytes:
        """Return the whole body of a request that only loads or unloads."""
        return orjson.dumps({**self._record(done=True), "done_reason": reason})

    def done(
        self,
        generation: Generation,
        prompt: Prompt,
        timing: Timing,
        *,
        calls: Sequence[AnswerCall] = (),
        counts: bool = True,
    ) -> bytes:
        """Return the final line; `calls` is for the native path, which sends them only here."""
        record = self._record(calls=calls, done=True)
        record.update(self._end(generation, prompt, timing, counts=counts))
        return orjson.dumps(record) + b"\n"

    def whole(
        self, generation: Generation, prompt: Prompt, timing: Timing, *, counts: bool = True
    ) -> bytes:
        """Return the body for `stream: false`."""
        record = self._record(
            generation.text, "".join(generation.thinking), generation.calls, done=True
        )
        record.update(self._end(generation, prompt, timing, counts=counts))
        return orjson.dumps(record)

    def scripted(self, step: JsonObject) -> bytes:
        """Return the line of a record given by a test; what it leaves out is filled in."""
        filled = {"model": self._call.model, "created_at": self._stamp, "done": False}
        return orjson.dumps({**filled, **step}) + b"\n"

    def merged(self, steps: Sequence[JsonObject]) -> bytes:
        """Return scripted records as the one body that `stream: false` makes of them."""
        content, thinking = "", ""
        calls: list[JsonObject] = []
        last: JsonObject = {}
        for step in steps:
            message = step.get("message") or {}
            content += message.get("content") or step.get("response") or ""
            thinking += message.get("thinking") or step.get("thinking") or ""
            calls += message.get("tool_calls") or []
            last = step
        record = {**self._record(content, thinking, done=False), **last}
        if self._call.is_chat:
            record["message"] = self._message(content, thinking)
            if calls:
                record["message"]["tool_calls"] = calls
        return orjson.dumps(record)

    def _record(
        self,
        content: str = "",
        thinking: str = "",
        calls: Sequence[AnswerCall] = (),
        *,
        done: bool,
    ) -> JsonObject:
        record: JsonObject = {"model": self._call.model, "created_at": self._stamp}
        if self._call.is_chat:
            record["message"] = self._message(content, thinking)
            if calls:
                record["message"]["tool_calls"] = self._tool_calls(calls)
        else:
            record["response"] = content
            if thinking:
                record["thinking"] = thinking
        record["done"] = done
        return record

    def _message(self, content: str, thinking: str) -> JsonObject:
        message: JsonObject = {"role": "assistant", "content": content}
        if thinking:
            message["thinking"] = thinking
        return message

    def _tool_calls(self, calls: Sequence[AnswerCall]) -> list[JsonObject]:
        return [
            {
                "id": self._call_id(index),
                "function": {"index": index, "name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(calls)
        ]

    def _call_id(self, index: int) -> str:
        seed = f"{self._call.model}/{self._number}/{index}".encode()
        return "call_" + hashlib.sha256(seed).hexdigest()[:8]

    def _end(
        self, generation: Generation, prompt: Prompt, timing: Timing, *, counts: bool
    ) -> JsonObject:
        total_s = timing.load_s + timing.prefill_s + timing.decode_s
        end: dict[str, Any] = {
            "done_reason": generation.done_reason,
            "total_duration": _ns(total_s),
            "load_duration": _ns(timing.load_s),
            "prompt_eval_count": prompt.tokens if counts else 0,
            "prompt_eval_duration": _ns(timing.prefill_s),
            "eval_count": generation.tokens if counts else 0,
            "eval_duration": _ns(timing.decode_s),
        }
        return {key: value for key, value in end.items() if value}


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
