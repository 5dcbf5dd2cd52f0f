"""Questions to a running proxy over a real socket, and what every answer of it must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.grammar import CheckedStream, check_stream
from tests.support.http_wire import Answer, ask

if TYPE_CHECKING:
    from tests.support.proxy import RunningProxy
    from tests.support.raw_upstream import RawUpstream

MESSAGES = "/v1/messages"
COUNT = "/v1/messages/count_tokens"


@dataclass(frozen=True, slots=True)
class RelayProxy:
    """A proxy whose Claude is a bare socket and whose local models are all down.

    Deployments: `raw` and `named` (asks for `claude-named-1`) reach the socket, `deaf` an upstream
    that never answers within its 0.3 s, `closed` a port without a server; `local-deaf` and
    `local-closed` are the same for Ollama. A model id containing `opus` has the route `raw`.
    """

    proxy: RunningProxy
    claude: RawUpstream


async def post(
    proxy: RunningProxy,
    body: Any,
    *,
    path: str = MESSAGES,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Send a request with the usual headers and these over them; a value of "" stays a header."""
    return await ask(proxy.base_url, path, headers=proxy.headers | (headers or {}), body=body)


async def stream(proxy: RunningProxy, body: dict[str, Any]) -> CheckedStream:
    """Ask for a stream and check that it keeps the grammar of section G."""
    answer = await post(proxy, {**body, "stream": True})
    assert answer.status == 200, answer.body
    assert answer.header("content-type") == "text/event-stream; charset=utf-8"
    assert answer.complete
    return check_stream(answer.body)


def assert_error(answer: Answer, status: int, error_type: str, *words: str) -> None:
    """Assert Anthropic's envelope (046), this status and type (047), and words of the message."""
    assert answer.status == status, answer.body
    payload = answer.json()
    assert set(payload) == {"type", "error", "request_id"}
    assert payload["type"] == "error"
    assert payload["error"]["type"] == error_type
    message = payload["error"]["message"]
    assert isinstance(message, str)
    assert message
    for word in words:
        assert word in message
    assert answer.header("content-type") == "application/json"
    assert payload["request_id"] == answer.header("request-id")


def sent_to_model(proxy: RunningProxy, index: int = -1) -> dict[str, Any]:
    """Return the body of a `/api/chat` that the simulated Ollama received."""
    body: dict[str, Any] = proxy.ollama.generations[index].body
    return body


def http_answer(
    status: int = 200,
    body: bytes = b"{}",
    *headers: tuple[str, str],
    content_type: str = "application/json",
) -> bytes:
    """Return the bytes of an HTTP answer with a length."""
    lines = [f"HTTP/1.1 {status} X", f"content-type: {content_type}"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines += [f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body
