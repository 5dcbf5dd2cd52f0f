"""What a failed call to a model means: a failure class and a sentence of our own.

Knows HTTP statuses and Ollama's error texts, and nothing of LiteLLM. The upstream's own words go
into `detail`, for the log; a client never sees them, because they name hosts, paths and libraries.

Decision for an answer of the upstream, first match wins:
1. Words that say what is wrong (context, memory, capability, option types, missing model).
2. The status.
3. A 400 nobody can explain: the request was valid for Claude, so this model cannot take it.

Source: error texts in ollama's server/routes.go, server/sched.go and llm/ (2026-08).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson

from ccproxy.ports import AttemptFailed
from routing.failures import FailureClass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DETAIL_CHARS: Final = 500
_MAX_RETRY_AFTER_S: Final = 60

_BY_WORDS: Final[Sequence[tuple[re.Pattern[str], FailureClass]]] = tuple(
    (re.compile(pattern, re.IGNORECASE), failure)
    for pattern, failure in (
        (
            r"exceeds? the (available )?context|context (size|length)|longer than the context",
            FailureClass.CONTEXT_OVERFLOW,
        ),
        (r"does not support|cannot unmarshal", FailureClass.CAPABILITY_MISSING),
        (
            r"option \"?\w+\"? must be|invalid think value|illegal base64",
            FailureClass.CLIENT_FAULT,
        ),
        (r"server busy|maximum pending requests", FailureClass.OVERLOADED),
        (r"out of memory|requires more system memory|cudaMalloc", FailureClass.OVERLOADED),
        (r"model .*not found|try pulling it", FailureClass.MODEL_MISSING),
        (r"runner|unexpectedly stopped|GGML_ASSERT", FailureClass.BROKEN_STREAM),
    )
)
_BY_STATUS: Final[Mapping[int, FailureClass]] = {
    400: FailureClass.CAPABILITY_MISSING,
    401: FailureClass.UPSTREAM_AUTH,
    402: FailureClass.UPSTREAM_AUTH,
    403: FailureClass.UPSTREAM_AUTH,
    404: FailureClass.MODEL_MISSING,
    408: FailureClass.TIMEOUT_FIRST_BYTE,
    413: FailureClass.CAPABILITY_MISSING,
    422: FailureClass.CAPABILITY_MISSING,
    429: FailureClass.RATE_LIMIT,
    503: FailureClass.OVERLOADED,
    504: FailureClass.TIMEOUT_FIRST_BYTE,
    529: FailureClass.OVERLOADED,
}
_MESSAGES: Final[Mapping[FailureClass, str]] = {
    FailureClass.CLIENT_FAULT: "The model refused a value of this request.",
    FailureClass.UPSTREAM_AUTH: "The model's service refused the proxy's credential.",
    FailureClass.RATE_LIMIT: "The model's service limits the rate of requests.",
    FailureClass.OVERLOADED: "The model has no room for this request now.",
    FailureClass.CAPABILITY_MISSING: "The model cannot serve this kind of request.",
    FailureClass.CONNECT_ERROR: "The model's service cannot be reached.",
    FailureClass.TIMEOUT_FIRST_BYTE: "The model did not begin to answer in time.",
    FailureClass.TIMEOUT_BETWEEN_BYTES: "The model fell silent in the middle of its answer.",
    FailureClass.BROKEN_STREAM: "The model broke off its answer.",
    FailureClass.MALFORMED_OUTPUT: "The model's answer could not be understood.",
    FailureClass.PROXY_ERROR: "The request could not be handed to the model.",
}


def failed(failure: FailureClass, detail: object = "") -> AttemptFailed:
    """Return the failure of a class that needs nothing but the class to be told."""
    return AttemptFailed(failure, _MESSAGES[failure], detail=str(detail)[:_DETAIL_CHARS])


def answered_with_error(
    status: int,
    body: bytes,
    *,
    name: str,
    context_tokens: int | None,
    retry_after: str | None = None,
) -> AttemptFailed:
    """Return the failure that an HTTP answer other than 200 means.

    Args:
        status: HTTP status of the upstream.
        body: As much of the body as was read.
        name: What clients call the model.
        context_tokens: The pinned context of the deployment.
        retry_after: The header's value; only whole seconds count, at most 60 of them.
    """
    words = _error_words(body)
    if words is None and status in {400, 404}:
        # Ollama's own refusals are JSON; anything else at that address is not Ollama.
        return failed(FailureClass.MALFORMED_OUTPUT, f"HTTP {status}: {body[:_DETAIL_CHARS]!r}")
    shown = words or ""
    by_words = None if status in {401, 403} else _by_words(shown)
    failure = by_words or _BY_STATUS.get(status) or _by_status_class(status)
    return AttemptFailed(
        failure,
        _message(failure, shown, name=name, context_tokens=context_tokens),
        retry_after_s=_whole_seconds(retry_after),
        detail=f"HTTP {status}: {shown or body!r}"[:_DETAIL_CHARS],
    )


def said_error(words: str, *, name: str, context_tokens: int | None) -> AttemptFailed:
    """Return the failure that an `{"error": …}` line inside a stream means (conformance 221)."""
    failure = _by_words(words) or FailureClass.BROKEN_STREAM
    message = _message(failure, words, name=name, context_tokens=context_tokens)
    return AttemptFailed(failure, message, detail=words[:_DETAIL_CHARS])


def _by_status_class(status: int) -> FailureClass:
    return FailureClass.BROKEN_STREAM if status >= 500 else FailureClass.MALFORMED_OUTPUT


def _by_words(words: str) -> FailureClass | None:
    return next((failure for pattern, failure in _BY_WORDS if pattern.search(words)), None)


def _message(failure: FailureClass, words: str, *, name: str, context_tokens: int | None) -> str:
    match failure:
        case FailureClass.MODEL_MISSING:
            return f"model: {name}"
        case FailureClass.CONTEXT_OVERFLOW:
            return _overflow(words, context_tokens)
        case _:
            return _MESSAGES[failure]


def _overflow(words: str, context_tokens: int | None) -> str:
    """Return Claude's own sentence, which Claude Code parses and compacts on (conformance 058).

    Where the upstream did not say how long the prompt was, one token too many is what is known.
    """
    if context_tokens is None:
        return "prompt is too long for this model"
    numbers = [int(number) for number in re.findall(r"\d+", words)]
    tokens = max([context_tokens + 1, *numbers])
    return f"prompt is too long: {tokens} tokens > {context_tokens} maximum"


def _error_words(body: bytes) -> str | None:
    """Return the text of `{"error": text}` or `{"error": {"message": text}}`, or None."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) else None


def _whole_seconds(value: str | None) -> int | None:
    if value is None or not value.strip().isdecimal():
        return None
    return min(int(value), _MAX_RETRY_AFTER_S)
