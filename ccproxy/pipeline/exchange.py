"""One request, top to bottom: the story of the whole proxy in one file.

edge -> auth -> identify -> plan -> budgets -> attempt -> relay -> account. Every request ends in
exactly one `Outcome`, also when the client left or the proxy itself is at fault.
"""

from __future__ import annotations

from functools import partial
from time import time
from typing import TYPE_CHECKING, Final

from ccproxy.outcome import Outcome
from ccproxy.pipeline.accounted import Accounted
from ccproxy.pipeline.attempts import Attempts
from ccproxy.pipeline.comparing import compare_nothing
from ccproxy.pipeline.deadline import (
    DEADLINE_NOTE,
    Deadline,
    DeadlineMissed,
    deadline_refusal,
)
from ccproxy.pipeline.duplicates import Duplicates, turn_of
from ccproxy.pipeline.in_flight import InFlight
from ccproxy.pipeline.leave import Leave
from ccproxy.pipeline.off_loop import off_loop, unpacked_bytes
from ccproxy.pipeline.refusals import reply_headers
from ccproxy.pipeline.relay import PING_AFTER_S, relay
from ccproxy.pipeline.request import MessagesRequest
from ccproxy.pipeline.router import Router, let_go_of_body
from ccproxy.wire.content_coding import check_charset, decode_body
from ccproxy.wire.errors import invalid_request
from ccproxy.wire.ids import mint_request_id
from ccproxy.wire.json_body import parse_json_object
from routing.retry import DEFAULT_RULES
from routing.types import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ccproxy.auth import Authenticate, Principal
    from ccproxy.pipeline.comparing import Compare
    from ccproxy.pipeline.duplicates import Turn
    from ccproxy.pipeline.request import Reply, Served
    from ccproxy.ports import Client, DeploymentHealth, Incoming, OutcomeSink
    from routing.retry import RetryRules
    from routing.types import Plan

MESSAGES_LIMIT_BYTES: Final = 32 * 1024 * 1024
"""Anthropic's limit for Messages and count_tokens (conformance 018)."""


class Exchange:
    """Serves Messages requests; knows of no more than those that are being served."""

    def __init__(
        self,
        *,
        authenticate: Authenticate,
        router: Router,
        deployments: Mapping[str, Served],
        sink: OutcomeSink,
        health: DeploymentHealth,
        ping_after_s: float = PING_AFTER_S,
        retry_rules: RetryRules = DEFAULT_RULES,
        compare: Compare = compare_nothing,
    ) -> None:
        """Everything is passed in by `app`."""
        self._authenticate = authenticate
        self._router = router
        self._deployments = deployments
        self._sink = sink
        self.in_flight = InFlight()
        self._health = health
        self._duplicates = Duplicates()
        self._ping_after_s = ping_after_s
        self._retry_rules = retry_rules
        self._compare = compare

    async def serve(self, incoming: Incoming, client: Client, *, counting: bool) -> None:
        """Answer one request; never raises but for the server's own cancellation."""
        endpoint = "count_tokens" if counting else "messages"
        outcome = Outcome(mint_request_id(), endpoint, time(), incoming.origin())
        async with Accounted(client, outcome, self._sink, self.in_flight):
            principal = self._admit(incoming, outcome, counting=counting)
            raw_body = await client.read_body(MESSAGES_LIMIT_BYTES)
            async with client.watched():
                request = await off_loop(
                    unpacked_bytes(incoming, raw_body),
                    self._understand,
                    incoming,
                    raw_body,
                    outcome,
                    client.hold,
                    counting=counting,
                )
                plan = await self._router.plan(request, principal, outcome)
                deadline = Deadline.of(plan, outcome)
                turn = await self._turn(request)
                alone = self._duplicates.alone(turn, client, outcome)
                budgets = self._router.budgets
                may_pay = partial(budgets.attempt, outcome.request_id)
                async with alone, Leave(self._health, may_pay) as leave:
                    plan = await budgets.admit(plan, request, outcome)
                    reply = await self._attempt(plan, request, outcome, deadline, leave)
                    await self._look_beside(reply, request, plan, outcome)
                    # A stream may last for minutes: it must not hold on to a long conversation.
                    let_go_of_body(outcome)
                    del raw_body, request, plan
                    outcome.status = reply.status
                    headers = reply_headers(reply, outcome)
                    await relay(
                        reply,
                        client,
                        headers,
                        outcome,
                        self._ping_after_s,
                        deadline,
                        leave.answering,
                    )

    def _admit(self, incoming: Incoming, outcome: Outcome, *, counting: bool) -> Principal:
        principal = self._authenticate(incoming.headers, incoming.peer)
        outcome.principal = principal.name
        self._router.check_target(incoming)
        if not incoming.header(b"anthropic-version"):
            raise invalid_request("anthropic-version: header is required")
        check_charset(incoming.header(b"content-type"))
        if not counting:
            self._router.rates.take(principal)
        return principal

    def _understand(
        self,
        incoming: Incoming,
        raw_body: bytes,
        outcome: Outcome,
        hold: Callable[[int], None],
        *,
        counting: bool,
    ) -> MessagesRequest:
        coding = incoming.header(b"content-encoding")
        decoded = decode_body(raw_body, coding, MESSAGES_LIMIT_BYTES, hold)
        body = parse_json_object(decoded, hold)
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
            notes=outcome.notes,
            tool_calls=outcome.tool_calls,
            prompt_tokens=outcome.prompt_tokens,
            arrived_at=outcome.arrived_at,
        )

    async def _turn(self, request: MessagesRequest) -> Turn | None:
        if request.counting:
            return None
        size_bytes = len(request.decoded_body)
        return await off_loop(size_bytes, turn_of, request.conversation, request.body)

    async def _attempt(
        self,
        plan: Plan,
        request: MessagesRequest,
        outcome: Outcome,
        deadline: Deadline,
        leave: Leave,
    ) -> Reply:
        names = plan.attempts
        if request.counting and self._deployments[names[0]].side is Side.CLAUDE:
            names = names[:1]  # its error is the client's; an estimate must not take its place
        attempts = Attempts(
            names,
            self._deployments,
            request,
            outcome,
            leave=leave,
            deadline=deadline,
            only_after=plan.only_after,
            rules=self._retry_rules,
        )
        try:
            async with deadline.running():
                leave.reply = await attempts.first_reply()
                return leave.reply
        except DeadlineMissed as exc:
            attempts.missed_deadline()
            outcome.notes.append(DEADLINE_NOTE)
            raise deadline_refusal(exc) from exc

    async def _look_beside(
        self, reply: Reply, request: MessagesRequest, plan: Plan, outcome: Outcome
    ) -> None:
        try:
            await self._compare(request, plan, outcome)
        except BaseException:  # nobody relays the reply then
            await reply.aclose()
            raise
