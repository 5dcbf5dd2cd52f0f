"""A stream's bytes, read by the anthropic SDK without a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
from anthropic import Anthropic, DefaultHttpxClient

if TYPE_CHECKING:
    from anthropic.types import Message


def accumulated(stream: bytes) -> Message:
    """Return the SDK's final message of a whole stream; raises what the SDK raises."""
    headers = {"content-type": "text/event-stream"}
    answer = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=stream))
    with (
        Anthropic(api_key="test", http_client=DefaultHttpxClient(transport=answer)) as client,
        client.messages.stream(
            model="qwen-coder", max_tokens=100, messages=[{"role": "user", "content": "Hi"}]
        ) as told,
    ):
        return told.get_final_message()
