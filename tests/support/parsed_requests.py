"""Messages requests as the pipeline has them after parsing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from ccproxy.pipeline.request import MessagesRequest
from ccproxy.ports import Incoming

if TYPE_CHECKING:
    from collections.abc import Mapping


def request_of(body: Mapping[str, Any], **more: Any) -> MessagesRequest:
    """Return the request with a body; `more` are fields of it."""
    raw = orjson.dumps(body)
    fields = {
        "request_id": "req_1",
        "requested_model": body["model"],
        "version": "2023-06-01",
        "counting": False,
        "stream": bool(body.get("stream")),
        "notes": [],
        **more,
    }
    incoming = Incoming("POST", "/v1/messages", b"", ())
    return MessagesRequest(incoming=incoming, raw_body=raw, decoded_body=raw, body=body, **fields)
