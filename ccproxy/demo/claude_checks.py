"""What the simulated Claude refuses, with the statuses and texts seen from the real one.

Source: Anthropic's API reference and error texts quoted in public issues; conformance 023 to 028,
067, 072, 073, 083, 086, 087 and 262.
"""

from __future__ import annotations

import base64
import hashlib
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ccproxy.demo.claude_models import is_served
from ccproxy.wire.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_VERSIONS: Final = ("2023-06-01", "2026-10-21")
_TOOL_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
_SIGNATURE_PREFIX: Final = "Eq"


def sign_thinking(thinking: str) -> str:
    """Return the signature the simulated Claude gives to thinking, and accepts back."""
    digest = hashlib.sha256(b"simulated claude" + thinking.encode()).digest()
    return _SIGNATURE_PREFIX + base64.b64encode(digest).decode()


def check_headers(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse with 401 what is not exactly one credential, with 400 a bad `anthropic-version`."""
    keys = [value for name, value in headers if name == b"x-api-key"]
    bearers = [value for name, value in headers if name == b"authorization"]
    if len(keys) + len(bearers) > 1:
        raise ApiError(401, "Only one of x-api-key and authorization may be sent, once.")
    if not any(keys) and not any(value.lower().startswith(b"bearer ") for value in bearers):
        raise ApiError(401, "x-api-key header is required")
    versions = [value.decode("latin-1") for name, value in headers if name == b"anthropic-version"]
    if not versions:
        raise _bad("anthropic-version: header is required")
    if versions[-1] not in _VERSIONS:
        raise _bad(f"anthropic-version: {versions[-1]!r} is not a valid version")


@contextmanager
def what_breaks_is_refused() -> Iterator[None]:
    """Turn what an unchecked value breaks while the block runs into a 400, as Claude would."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise _bad(f"[simulated] the request cannot be used: {error}") from error


def check_request(
    body: Any,  # noqa: ANN401 - JSON
    headers: Sequence[tuple[bytes, bytes]],
    *,
    counting: bool = False,
) -> None:
    """Refuse what Claude refuses in a Messages body (or, `counting`, a count_tokens body).

    Raises:
        ApiError: 400, or 404 for a model that is not Claude's.
    """
    if not isinstance(body, dict):
        raise _bad("The request body is not valid JSON: an object is expected")
    for name in ("model", "messages") if counting else ("model", "max_tokens", "messages"):
        if name not in body:
            raise _bad(f"{name}: Field required")
    if not is_served(body["model"]):
        raise ApiError(404, f"model: {body['model']}", should_retry=False)
    if (b"anthropic-version", b"2026-10-21") in headers:
        for name in ("temperature", "top_p", "top_k"):
            if name in body:
                raise _bad(f"{name}: not supported from API version 2026-10-21 on")
    if not isinstance(body["messages"], list) or not body["messages"]:
        raise _bad("messages: at least one message is required")
    for index, message in enumerate(body["messages"]):
        _check_message(index, message, is_last=index == len(body["messages"]) - 1)
    _check_tool_results(body["messages"])


def blocks_of(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a message's content blocks; a plain string is one text block."""
    content = message.get("content")
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    elif isinstance(content, list):
        yield from (block for block in content if isinstance(block, dict))


def _check_message(index: int, message: Any, *, is_last: bool) -> None:  # noqa: ANN401 - JSON
    if not isinstance(message, dict) or "content" not in message:
        raise _bad(f"messages.{index}.content: Field required")
    role = message.get("role")
    if role not in ("user", "assistant", "system"):
        raise _bad(f'messages: Unexpected role "{role}". Allowed roles are "user" or "assistant".')
    if not message["content"] and not (is_last and role == "assistant"):
        raise _bad(
            f"messages.{index}: all messages must have non-empty content except for the"
            " optional final assistant message"
        )
    for position, block in enumerate(blocks_of(message)):
        _check_block(f"messages.{index}.content.{position}", block)


def _check_block(where: str, block: Mapping[str, Any]) -> None:
    kind = block.get("type")
    if kind == "text" and block.get("text") == "":
        raise _bad("messages: text content blocks must be non-empty")
    if kind == "thinking":
        if "signature" not in block:
            raise _bad(f"{where}.thinking.signature: Field required")
        if block["signature"] != sign_thinking(str(block.get("thinking"))):
            raise _bad(f"{where}: Invalid `signature` in `thinking` block")
    if kind == "tool_use" and not _TOOL_ID.fullmatch(str(block.get("id"))):
        raise _bad(f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")


def _check_tool_results(messages: Sequence[Mapping[str, Any]]) -> None:
    turns = [message for message in messages if message["role"] != "system"]
    for message, following in zip(turns, [*turns[1:], None], strict=True):
        used = [block["id"] for block in blocks_of(message) if block.get("type") == "tool_use"]
        answered = (
            [b.get("tool_use_id") for b in blocks_of(following) if b.get("type") == "tool_result"]
            if following is not None
            else []
        )
        missing = [tool_id for tool_id in used if tool_id not in answered]
        if missing:
            raise _bad(
                "`tool_use` ids were found without `tool_result` blocks immediately after:"
                f" {', '.join(missing)}. Each `tool_use` block must have a corresponding"
                " `tool_result` block in the next message."
            )
        if any(tool_id not in used for tool_id in answered):
            raise _bad("unexpected `tool_use_id` found in `tool_result` blocks")


def _bad(message: str) -> ApiError:
    return ApiError(400, message, should_retry=False)
