"""Whose fault a failed attempt was, and what follows from it.

Rules:
1. A client's fault is never retried, never falls back and never counts against a backend.
2. What the client is told follows from the class, not from the upstream's words.
3. A fallback is at once and comes before a retry (design 5); `routing.retry` decides.
4. Busy is not down: a busy deployment may be left alone for a while, its backend stays healthy.
5. A refused credential and a missing model are our configuration's, and count against nobody.

The table is rendered into docs/reliability.md (`make docs`).
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


class Blame(StrEnum):
    """Whom a failure counts against."""

    NOBODY = "nobody"
    DEPLOYMENT = "deployment"
    """Its breaker (`routing.breaker`); other models at the same address may be well."""
    BACKEND = "backend"
    """The health of everything at its address (`routing.health`), and no breaker."""


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
    retries: int = 0
    """How often the same deployment may be tried again, once no other one is left."""
    blame: Blame = Blame.NOBODY
    """Whom it counts against."""


CONSEQUENCES: Final[Mapping[FailureClass, Consequence]] = {
    FailureClass.CLIENT_FAULT: Consequence(False, 400, "invalid_request_error", False),
    FailureClass.UPSTREAM_AUTH: Consequence(True, 502, "api_error", False),
    FailureClass.RATE_LIMIT: Consequence(
        True, 429, "rate_limit_error", True, blame=Blame.DEPLOYMENT
    ),
    FailureClass.OVERLOADED: Consequence(
        True, 529, "overloaded_error", True, 2, blame=Blame.DEPLOYMENT
    ),
    FailureClass.CONTEXT_OVERFLOW: Consequence(True, 400, "invalid_request_error", False),
    FailureClass.MODEL_MISSING: Consequence(True, 404, "not_found_error", False),
    FailureClass.CAPABILITY_MISSING: Consequence(True, 400, "invalid_request_error", False),
    FailureClass.CONNECT_ERROR: Consequence(
        True, 529, "overloaded_error", True, retries=1, blame=Blame.BACKEND
    ),
    FailureClass.TIMEOUT_FIRST_BYTE: Consequence(
        True, 504, "timeout_error", True, blame=Blame.DEPLOYMENT
    ),
    FailureClass.TIMEOUT_BETWEEN_BYTES: Consequence(
        True, 504, "timeout_error", True, blame=Blame.DEPLOYMENT
    ),
    FailureClass.BROKEN_STREAM: Consequence(
        True, 502, "api_error", True, retries=1, blame=Blame.DEPLOYMENT
    ),
    FailureClass.MALFORMED_OUTPUT: Consequence(
        True, 502, "api_error", True, retries=1, blame=Blame.DEPLOYMENT
    ),
    FailureClass.PROXY_ERROR: Consequence(False, 500, "api_error", True),
}
"""Statuses: conformance 047, 053, 054, 055, 058, 059, 063.

Retries: 429 and 529 have none, since clients wait and ask again themselves (conformance 051, 272),
and retries at two levels multiply (Google's SRE book, chapter 21). A timeout has none: the time is
spent, and the model would read the same prompt from its first token. No connection, an answer that
broke off before its content, and one that nobody can read may be otherwise a moment later.
"""


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
