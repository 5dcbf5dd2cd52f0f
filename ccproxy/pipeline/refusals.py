"""What the client is told when a request is not served, and the evidence beside every answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ccproxy.wire.errors import ApiError, error_body, invalid_request
from routing.errors import AgentForbidden, NoAttempt, RoutingError, UnknownAgent, UnknownModel
from routing.failures import CONSEQUENCES, FailureClass

if TYPE_CHECKING:
    from ccproxy.outcome import Outcome
    from ccproxy.pipeline.request import Reply
    from ccproxy.ports import AttemptFailed, Client

NOTES_LIMIT: Final = 512
"""Characters of `x-ccproxy-notes`."""

Headers = list[tuple[bytes, bytes]]


def refusal_after(failed: AttemptFailed) -> ApiError:
    """Return what the client is told when this failure decides."""
    consequence = CONSEQUENCES[failed.failure]
    retry_after_s = failed.retry_after_s
    if retry_after_s is None:
        retry_after_s = consequence.retry_after_s
    return ApiError(
        consequence.status,
        failed.message,
        error_type=failed.error_type or consequence.error_type,
        error_code=failed.error_code,
        should_retry=consequence.should_retry,
        retry_after_s=retry_after_s,
    )


def routing_refusal(exc: RoutingError) -> ApiError:
    """Return what the client is told about a decision against it."""
    match exc:
        case UnknownAgent() | UnknownModel():
            return ApiError(404, str(exc), should_retry=False)
        case AgentForbidden():
            return ApiError(403, str(exc), should_retry=False)
        case NoAttempt(outage=True):
            wait_s = CONSEQUENCES[FailureClass.OVERLOADED].retry_after_s
            return ApiError(529, str(exc), should_retry=True, retry_after_s=wait_s)
        case NoAttempt():
            return invalid_request(str(exc))
        case _:
            raise exc


async def send_refusal(refusal: ApiError, client: Client, outcome: Outcome) -> None:
    """Send an error of our own in Anthropic's shape."""
    body = error_body(refusal, outcome.request_id)
    headers: Headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"request-id", outcome.request_id.encode()),
        *evidence_headers(outcome),
    ]
    if refusal.should_retry is not None:
        headers.append((b"x-should-retry", b"true" if refusal.should_retry else b"false"))
    if refusal.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % refusal.retry_after_s))
    headers.extend((name.encode(), value.encode()) for name, value in refusal.headers)
    await client.start(refusal.status, headers)
    await client.finish(body)


def reply_headers(reply: Reply, outcome: Outcome) -> Headers:
    """Return a reply's own headers and ours beside them; an upstream's request id is kept."""
    headers = [*reply.headers, *evidence_headers(outcome)]
    if not any(name.lower() == b"request-id" for name, _ in reply.headers):
        headers.append((b"request-id", outcome.request_id.encode()))
    return headers


def evidence_headers(outcome: Outcome) -> Headers:
    """Return the `x-ccproxy-*` headers: what is known of the request's way so far."""
    headers = [
        (b"x-ccproxy-request-id", outcome.request_id.encode()),
        (b"x-ccproxy-agent", outcome.agent.encode()),
        (b"x-ccproxy-agent-source", outcome.agent_source.encode()),
    ]
    if outcome.deployment:
        headers.append((b"x-ccproxy-deployment", outcome.deployment.encode()))
        headers.append((b"x-ccproxy-route", outcome.route.encode()))
        headers.append((b"x-ccproxy-attempts", ",".join(outcome.attempts).encode()))
    if outcome.notes:
        headers.append((b"x-ccproxy-notes", _header_safe(",".join(outcome.notes))))
    return headers


def _header_safe(text: str) -> bytes:
    """Return printable ASCII of bounded length; notes may quote names a client chose."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:NOTES_LIMIT]).encode()
