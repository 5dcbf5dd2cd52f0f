"""What an upstream's refusal means, and what a client may read of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from ccproxy.upstreams.litellm_failures import answered_with_error, said_error
from routing.failures import FailureClass

if TYPE_CHECKING:
    from ccproxy.ports import AttemptFailed


def refused(status: int, body: bytes, retry_after: str | None = None) -> AttemptFailed:
    """Return what an answer of a deployment `qwen` with 4096 tokens of context means."""
    return answered_with_error(
        status, body, name="qwen", context_tokens=4096, retry_after=retry_after
    )


def error(text: str) -> bytes:
    """Return Ollama's error body."""
    return orjson.dumps({"error": text})


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (503, error("server busy, please try again.  maximum pending requests exceeded"), FailureClass.OVERLOADED),
        (404, error("model 'qwen3:8b' not found"), FailureClass.MODEL_MISSING),
        (404, error('model "qwen3:8b" not found, try pulling it first'), FailureClass.MODEL_MISSING),
        (404, b"404 page not found", FailureClass.MALFORMED_OUTPUT),
        (400, error("registry.ollama.ai/library/x does not support tools"), FailureClass.CAPABILITY_MISSING),
        (400, error('"x" does not support thinking'), FailureClass.CAPABILITY_MISSING),
        (400, error("json: cannot unmarshal bool into Go struct field"), FailureClass.CAPABILITY_MISSING),
        (400, error("something new"), FailureClass.CAPABILITY_MISSING),
        (400, error("illegal base64 data at input byte 0"), FailureClass.CLIENT_FAULT),
        (500, error('option "temperature" must be of type float32'), FailureClass.CLIENT_FAULT),
        (400, error("the prompt is longer than the context length of this model"), FailureClass.CONTEXT_OVERFLOW),
        (500, error("input exceeds the available context size"), FailureClass.CONTEXT_OVERFLOW),
        (401, error("unauthorized"), FailureClass.UPSTREAM_AUTH),
        (403, b"", FailureClass.UPSTREAM_AUTH),
        (429, error("slow down"), FailureClass.RATE_LIMIT),
        (500, error("model requires more system memory (9 GiB) than is available"), FailureClass.OVERLOADED),
        (500, error("llama runner process has terminated"), FailureClass.BROKEN_STREAM),
        (500, b"<html>oops</html>", FailureClass.BROKEN_STREAM),
        (502, b"", FailureClass.BROKEN_STREAM),
        (504, b"", FailureClass.TIMEOUT_FIRST_BYTE),
        (400, b"<html>", FailureClass.MALFORMED_OUTPUT),
        (307, b"", FailureClass.MALFORMED_OUTPUT),
        (418, b"{}", FailureClass.MALFORMED_OUTPUT),
    ],
)  # fmt: skip
def test_class(status: int, body: bytes, failure: FailureClass) -> None:
    """The upstream's words decide, then its status (054, 055, 056, 057, 058, 059, 060, 061)."""
    assert failure is refused(status, body).failure


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_the_upstreams_words_stay_in_the_log(status: int) -> None:
    """No host, path or traceback of the upstream is in the message (conformance 059, 061)."""
    words = "Traceback: litellm http://127.0.0.1:11434/api/chat /Users/ops/.ollama"
    answer = refused(status, error(words))

    for secret in ("Traceback", "litellm", "http", "/root"):
        assert secret not in answer.message
    assert words in answer.detail


def test_a_missing_model_is_named_as_the_client_knows_it() -> None:
    """The message is Claude's own for an unknown model (conformance 055)."""
    assert "model: qwen" == refused(404, error("model 'qwen3:8b' not found")).message


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("exceeds the context size", "prompt is too long: 4097 tokens > 4096 maximum"),
        (
            "request (9000 tokens) exceeds the available context size (4096 tokens)",
            "prompt is too long: 9000 tokens > 4096 maximum",
        ),
    ],
)
def test_overflow_is_said_so_that_claude_code_compacts(words: str, expected: str) -> None:
    """The numbers are the upstream's, or one token too many (conformance 058, 231)."""
    assert expected == refused(400, error(words)).message
    assert expected == said_error(words, name="qwen", context_tokens=4096).message


@pytest.mark.parametrize(
    ("header", "expected"),
    [(None, None), ("2", 2), ("9999", 60), ("0.5", None), ("Wed, 21 Oct 2026", None)],
)
def test_retry_after(header: str | None, expected: int | None) -> None:
    """Only small whole seconds are passed on (conformance 043)."""
    assert expected == refused(503, error("server busy"), header).retry_after_s
