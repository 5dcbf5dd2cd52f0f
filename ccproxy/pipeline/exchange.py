"""One request, top to bottom: the story of the whole proxy in one file.

edge -> auth -> identify -> plan -> attempt -> relay -> account. Every request ends in exactly
one `Outcome`, also when the client left or the proxy itself is at fault.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic, time
from typing import TYPE_CHECKING, Final, Protocol

from ccproxy.pipeline.attempts import first_answer
from ccproxy.pipeline.off_loop import LARGE_BYTES, off_loop
from ccproxy.pipeline.relay import PING_AFTER_S, relay
from ccproxy.pipeline.request import STOPPING, MessagesRequest
from ccproxy.ports import AttemptFailed, ClientGone, Ending, Outcome
from ccproxy.wire.content_coding import check_charset, decode_body
from ccproxy.wire.errors import ApiError, error_body, invalid_request
from ccproxy.wire.ids import mint_request_id
from ccproxy.wire.json_body import parse_json_object
from routing.errors import AgentForbidden, NoAttempt, RoutingError, UnknownAgent, UnknownModel
from routing.identify import authorise, identify
from routing.plan import build_plan
from routing.types import Privacy, RequestFacts, Side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ccproxy.auth import Principal
    from ccproxy.pipeline.request import Reply, Served
    from ccproxy.ports import Client, Incoming, OutcomeSink
    from routing.types import Plan, Roster, RoutingTable

MESSAGES_LIMIT_BYTES: Final = 32 * 1024 * 1024
"""Anthropic's limit for Messages and count_tokens (conformance 018)."""

NOTES_LIMIT: Final = 512
"""Characters of `x-ccproxy-notes`."""

Headers = list[tuple[bytes, bytes]]

_log = logging.getLogger(__name__)


class RoutingSource(Protocol):
    """Whoever holds the routing table and roster now in force."""

    def current(self) -> tuple[RoutingTable, Roster]:
        """Return both as one consistent pair; a request keeps the pair it got."""
        ...


class Exchange:
    """Serves Messages requests; holds no state of its own between them."""

    def __init__(
        self,
        *,
        authenticate: Callable[[Sequence[tuple[bytes, bytes]]], Principal],
        routing: RoutingSource,
        deployments: Mapping[str, Served],
        sink: OutcomeSink,
        ping_after_s: float = PING_AFTER_S,
    ) -> None:
        """Everything is passed in by `app`."""
        self._authenticate = authenticate
        self._routing = routing
        self._deployments = deployments
        self._sink = sink
        self._ping_after_s = ping_after_s

    async def serve(self, incoming: Incoming, client: Client, *, counting: bool) -> None:
        """Answer one request; never raises but for the server's own cancellation."""
        began = monotonic()
        outcome = Outcome(
            request_id=mint_request_id(),
            endpoint="count_tokens" if counting else "messages",
            started_at=time(),
        )
        try:
            principal = self._admit(incoming, outcome)
            raw_body = await client.read_body(MESSAGES_LIMIT_BYTES)
            async with client.watched():
                request = await off_loop(
                    _unpacked_bytes(incoming, raw_body),
                    self._understand,
                    incoming,
                    raw_body,
                    outcome,
                    counting=counting,
                )
                request.arrived_at = began
                plan = self._plan(incoming, principal, request.requested_model, outcome)
                request.local_only = plan.privacy is Privacy.LOCAL_ONLY
                reply = await self._attempt(plan, request, outcome)
                # A stream may last for minutes: it must not hold on to a long conversation.
                del raw_body, request, plan
                outcome.status = reply.status
                headers = reply_headers(reply, outcome)
                await relay(reply, client, headers, outcome, self._ping_after_s)
        except ClientGone:
            outcome.ending = Ending.CLIENT_GONE
        except ApiError as refusal:
            await self._refuse(refusal, client, outcome)
        except AttemptFailed:
            # The body broke off where no error event fits: leaving the response unfinished makes
            # the server cut the connection, which is the truth.
            pass
        except asyncio.CancelledError:
            # The server's grace is over. Who has not heard anything yet hears that.
            await self._refuse(ApiError(529, STOPPING[1], should_retry=True), client, outcome)
            raise
        except Exception:  # noqa: BLE001 - the boundary of a request: a bug of ours is a 500
            _log.exception("request failed", extra={"request_id": outcome.request_id})
            await self._refuse(ApiError(500, "Internal proxy error."), client, outcome)
        finally:
            outcome.total_s = monotonic() - began
            self._sink.record(outcome)

    def _admit(self, incoming: Incoming, outcome: Outcome) -> Principal:
        principal = self._authenticate(incoming.headers)
        outcome.principal = principal.name
        if not incoming.header(b"anthropic-version"):
            raise invalid_request("anthropic-version: header is required")
        check_charset(incoming.header(b"content-type"))
        return principal

    def _understand(
        self, incoming: Incoming, raw_body: bytes, outcome: Outcome, *, counting: bool
    ) -> MessagesRequest:
        decoded = decode_body(raw_body, incoming.header(b"content-encoding"), MESSAGES_LIMIT_BYTES)
        body = parse_json_object(decoded)
        model = body.get("model")
        if model is None:
            raise invalid_request("model: Field required")
        if not isinstance(model, str) or not model:
            raise invalid_request("model: Input should be a non-empty string")
        outcome.requested_model = model
        outcome.stream = body.get("stream") is True and not counting
        return MessagesRequest(
            incoming=incoming,
            raw_body=raw_body,
            decoded_body=decoded,
            body=body,
            request_id=outcome.request_id,
            requested_model=model,
            version=(incoming.header(b"anthropic-version") or b"").decode("latin-1"),
            counting=counting,
            stream=outcome.stream,
            local_only=False,
            notes=outcome.notes,
        )

    def _plan(
        self, incoming: Incoming, principal: Principal, requested_model: str, outcome: Outcome
    ) -> Plan:
        table, roster = self._routing.current()
        facts = RequestFacts(requested_model, incoming.path_agent, principal.agents)
        try:
            match = identify(facts, roster, table.deployments)
            outcome.agent, outcome.agent_source = match.slug or "unknown", match.source
            authorise(match, principal.agents)
            return build_plan(facts, match, table, roster)
        except RoutingError as exc:
            raise routing_refusal(exc) from exc

    async def _attempt(self, plan: Plan, request: MessagesRequest, outcome: Outcome) -> Reply:
        names = plan.attempts
        if request.counting and self._deployments[names[0]].side is Side.CLAUDE:
            names = names[:1]  # its error is the client's; an estimate must not take its place
        return await first_answer(names, self._deployments, request, outcome)

    async def _refuse(self, refusal: ApiError, client: Client, outcome: Outcome) -> None:
        if client.started:
            outcome.ending = Ending.BROKEN
            return
        outcome.status = refusal.status
        outcome.ending = Ending.REFUSED if refusal.status < 500 else Ending.FAILED
        await send_refusal(refusal, client, outcome)


def _unpacked_bytes(incoming: Incoming, raw_body: bytes) -> int:
    """Return how large a body may be once it is unpacked, as far as that can be told."""
    return LARGE_BYTES if incoming.header(b"content-encoding") else len(raw_body)


def reply_headers(reply: Reply, outcome: Outcome) -> Headers:
    """Return a reply's own headers and ours beside them; an upstream's request id is kept."""
    headers = [*reply.headers, *evidence_headers(outcome)]
    if not any(name.lower() == b"request-id" for name, _ in reply.headers):
        headers.append((b"request-id", outcome.request_id.encode()))
    return headers


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


def routing_refusal(exc: RoutingError) -> ApiError:
    """Return what the client is told about a decision against it."""
    match exc:
        case UnknownAgent() | UnknownModel():
            return ApiError(404, str(exc), should_retry=False)
        case AgentForbidden():
            return ApiError(403, str(exc), should_retry=False)
        case NoAttempt(outage=True):
            return ApiError(529, str(exc), should_retry=True)
        case NoAttempt():
            return invalid_request(str(exc))
        case _:
            raise exc
