"""Whose fault a failed attempt was, and what follows from it.

Rules:
1. A client's fault is never retried, never falls back and never counts against a backend.
2. What the client is told follows from the class, not from the upstream's words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class FailureClass(StrEnum):
    """Why an attempt failed, in the words of the header `x-ccproxy-attempts`."""

    CLIENT_FAULT = "client_fault"
    UPSTREAM_AUTH = "upstream_auth"
    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    CONTEXT_OVERFLOW = "context_overflow"
    MODEL_MISSING = "model_missing"
    CAPABILITY_MISSING = "capability_missing"
    CONNECT_ERROR = "connect_error"
    TIMEOUT_FIRST_BYTE = "timeout_first_byte"
    TIMEOUT_BETWEEN_BYTES = "timeout_between_bytes"
    BROKEN_STREAM = "broken_stream"
    MALFORMED_OUTPUT = "malformed_output"
    PROXY_ERROR = "proxy_error"


@dataclass(frozen=True, slots=True)
class Consequence:
    """What one failure class means for the plan and for the client."""

    fall_back: bool
    """Another deployment may serve the request."""
    status: int
    """The client's HTTP status when no attempt is left."""
    error_type: str
    """Anthropic's `error.type` that goes with the status."""
    should_retry: bool
    """What `x-should-retry` tells the client."""
    retry_after_s: int | None = None
    """What `retry-after` tells the client where the upstream itself named no time."""


CONSEQUENCES: Final[Mapping[FailureClass, Consequence]] = {
    FailureClass.CLIENT_FAULT: Consequence(False, 400, "invalid_request_error", False),
    FailureClass.UPSTREAM_AUTH: Consequence(True, 502, "api_error", False),
    FailureClass.RATE_LIMIT: Consequence(True, 429, "rate_limit_error", True),
    FailureClass.OVERLOADED: Consequence(True, 529, "overloaded_error", True, 2),
    FailureClass.CONTEXT_OVERFLOW: Consequence(True, 400, "invalid_request_error", False),
    FailureClass.MODEL_MISSING: Consequence(True, 404, "not_found_error", False),
    FailureClass.CAPABILITY_MISSING: Consequence(True, 400, "invalid_request_error", False),
    FailureClass.CONNECT_ERROR: Consequence(True, 529, "overloaded_error", True),
    FailureClass.TIMEOUT_FIRST_BYTE: Consequence(True, 504, "timeout_error", True),
    FailureClass.TIMEOUT_BETWEEN_BYTES: Consequence(True, 504, "timeout_error", True),
    FailureClass.BROKEN_STREAM: Consequence(True, 502, "api_error", True),
    FailureClass.MALFORMED_OUTPUT: Consequence(True, 502, "api_error", True),
    FailureClass.PROXY_ERROR: Consequence(False, 500, "api_error", True),
}
"""Statuses: conformance 047, 053, 054, 055, 058, 059, 063."""


def classify_status(status: int) -> FailureClass | None:
    """Return the failure a Messages upstream's HTTP status stands for; None below 400.

    Source: Anthropic's status table (conformance 047); 401, 402 and 403 are the proxy's account.
    """
    if status < 400:
        return None
    match status:
        case 401 | 402 | 403:
            return FailureClass.UPSTREAM_AUTH
        case 429:
            return FailureClass.RATE_LIMIT
        case 408 | 504:
            return FailureClass.TIMEOUT_FIRST_BYTE
        case _:
            return FailureClass.OVERLOADED if status >= 500 else FailureClass.CLIENT_FAULT
