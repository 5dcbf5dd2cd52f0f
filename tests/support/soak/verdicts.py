"""Judges one answer of the soak: what it was, and everything that is wrong with it."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.support.grammar import GrammarError, check_stream
from tests.support.soak.surroundings import DEADLINE_S
from tests.support.soak.work import is_beginning, without_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.http_wire import Answer
    from tests.support.soak.work import Content, Task

LATE_S: Final = 2.0
"""What a shared machine may add to a deadline."""
TRAILING: Final = b": after the end\n\nevent: unheard_of\ndata: {}\n\n"
"""What the simulated Claude may say behind its end; it is relayed, as everything of Claude's."""
UPSTREAMS_OWN: Final = b"[simulated]"
"""In every error that Claude made itself."""
ERRORS: Final[Mapping[int, frozenset[str]]] = {
    400: frozenset({"invalid_request_error"}),
    404: frozenset({"not_found_error"}),
    409: frozenset({"conflict_error"}),
    429: frozenset({"rate_limit_error"}),
    502: frozenset({"api_error"}),
    504: frozenset({"timeout_error"}),
    529: frozenset({"overloaded_error"}),
}
"""What the proxy may say of its own accord where everything else breaks. 500 is a bug."""
TAKEN_OVER: Final = 409
_CUT_HERE: Final = (
    b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"cut"}}\n\n'
)
"""Put behind what arrived of a stream, so that its grammar can be checked up to there."""
_HALF_FRAME: Final = b"\nevent: ping"
"""How the proxy closes a frame that Claude broke off in; no client reads its data (conformance 271)."""
_ERROR_AT_THE_END: Final = "155: an error after message_delta"
"""Of a stream of Claude's that broke before its last frame: no local one may do it."""


@dataclass(slots=True)
class Verdict:
    """What came of one request."""

    kind: str
    """`answered`, `error NNN`, `error event`, `cut`, `left`, or `nothing` (no answer at all)."""
    wrong: list[str] = field(default_factory=list)
    """What must not be, in words; empty where everything is as it should."""
    content: Content = field(default_factory=list)
    """Of an answer that is right, with ids and labels."""


def judge(task: Task, answer: Answer, took_s: float, *, is_repeated: bool) -> Verdict:
    """Judge a whole answer, or what came of it before the connection ended."""
    verdict = _judged(task, answer)
    if took_s > DEADLINE_S + LATE_S:
        verdict.wrong.append(f"took {took_s:.1f} s, and the deadline is {DEADLINE_S:g} s")
    if answer.status == TAKEN_OVER and not is_repeated:
        verdict.wrong.append("a turn that was sent once was taken over")
    for name in ("x-ccproxy-request-id", "x-ccproxy-agent"):
        if answer.header(name) is None:
            verdict.wrong.append(f"no {name}")
    return verdict


def _judged(task: Task, answer: Answer) -> Verdict:
    body = _decoded(answer)
    if answer.status != 200:
        return _error(answer.status, body) if answer.complete else Verdict("cut")
    if (answer.header("content-type") or "").startswith("text/event-stream"):
        if not task.streams:
            return Verdict("answered", ["an event stream that nobody asked for"])
        return _stream(task, body, complete=answer.complete)
    if not answer.complete:
        return Verdict("cut")
    return _whole(task, body)


def _stream(task: Task, body: bytes, *, complete: bool) -> Verdict:
    whole = body.removesuffix(TRAILING) if complete else body[: body.rfind(b"\n\n") + 2] + _CUT_HERE
    frames = whole.split(b"\n\n")
    body = b"\n\n".join(each for each in frames if not each.endswith(_HALF_FRAME))
    try:
        checked = check_stream(body)
    except GrammarError as error:
        if _ERROR_AT_THE_END in str(error):
            return Verdict("error event" if complete else "cut")
        return Verdict("answered", [f"grammar: {error}"])
    content: Content = checked.message.get("content", [])
    if checked.error is None:
        return _answered(task, content, checked.message)
    kind = "error event" if complete else "cut"
    begins = any(is_beginning(without_labels(content), right) for right in task.right)
    return Verdict(kind, [] if begins else [f"begins wrongly: {_shown(content)}"])


def _whole(task: Task, body: bytes) -> Verdict:
    try:
        message = json.loads(body)
    except ValueError:
        return Verdict("answered", [f"200 without JSON: {body[:200]!r}"])
    if task.counts:
        tokens = message.get("input_tokens")
        right = isinstance(tokens, int) and tokens > 0
        return Verdict("answered", [] if right else [f"no count: {body[:200]!r}"])
    return _answered(task, message.get("content", []), message)


def _answered(task: Task, content: Content, message: Mapping[str, Any]) -> Verdict:
    wrong = []
    if message.get("stop_reason") not in ("end_turn", "tool_use"):
        wrong.append(f"stop_reason {message.get('stop_reason')}")
    if without_labels(content) not in task.right:
        wrong.append(f"not the answer to {_shown(task.body['messages'])}: {_shown(content)}")
    return Verdict("answered", wrong, content)


def _error(status: int, body: bytes) -> Verdict:
    kind = f"error {status}"
    if UPSTREAMS_OWN in body or (status == 307 and not body):
        return Verdict(kind)
    try:
        payload = json.loads(body)
        error_type, message = payload["error"]["type"], payload["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return Verdict(kind, [f"HTTP {status} without an error: {body[:200]!r}"])
    if error_type not in ERRORS.get(status, frozenset()):
        return Verdict(kind, [f"HTTP {status} {error_type}: {message}"])
    return Verdict(kind)


def _decoded(answer: Answer) -> bytes:
    coding = answer.header("content-encoding")
    if coding is None:
        return answer.body
    decoder = zlib.decompressobj(zlib.MAX_WBITS | (16 if coding == "gzip" else 0))
    return decoder.decompress(answer.body)


def _shown(value: object) -> str:
    return json.dumps(value)[-300:]
