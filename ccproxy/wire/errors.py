"""Anthropic's error envelope: the only shape in which this proxy ever reports a failure.

Source: status and type pairs as in Anthropic's "Errors" page (2026-08), conformance 046-049.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error_type_for(status: int) -> str:
    """Return Anthropic's `error.type` for an HTTP status; other 4xx are `invalid_request_error`."""
    fallback = "invalid_request_error" if 400 <= status < 500 else "api_error"
    return ERROR_TYPES.get(status, fallback)


class ApiError(Exception):
    """A refusal or failure as the client will see it.

    Attributes:
        status: HTTP status.
        error_type: Anthropic's `error.type`; follows from the status unless given.
        message: For a person: what was wrong and, where we know it, how to fix it.
        error_code: Optional documented `error.details.error_code`.
        should_retry: Value of `x-should-retry`; None leaves the client its own rule.
        retry_after_s: Whole seconds for `retry-after`, or None.
        headers: Additional response headers, e.g. `Allow`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        error_type: str | None = None,
        error_code: str | None = None,
        should_retry: bool | None = None,
        retry_after_s: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """See the class."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.error_type = error_type or error_type_for(status)
        self.error_code = error_code
        self.should_retry = should_retry
        self.retry_after_s = retry_after_s
        self.headers = headers


def invalid_request(message: str, *, error_code: str | None = None) -> ApiError:
    """Return a 400 that no client should retry."""
    return ApiError(400, message, error_code=error_code, should_retry=False)


def error_payload(error: ApiError, request_id: str | None) -> dict[str, Any]:
    """Return the envelope `{"type":"error","error":{...},"request_id":...}`."""
    detail: dict[str, Any] = {"type": error.error_type, "message": error.message}
    if error.error_code is not None:
        detail["details"] = {"error_code": error.error_code}
    payload: dict[str, Any] = {"type": "error", "error": detail}
    if request_id is not None:
        payload["request_id"] = request_id
    return payload


def error_body(error: ApiError, request_id: str | None) -> bytes:
    """Return the envelope as JSON bytes."""
    return orjson.dumps(error_payload(error, request_id))


class UnsupportedLocally(ApiError):
    """A valid request that this local model cannot serve; another deployment may."""

    def __init__(self, message: str) -> None:
        """Become a 400 without retry where no other deployment is left."""
        super().__init__(400, message, should_retry=False)
