"""The rest of the Anthropic API (batches, files, …): bytes to Claude and back, or a clear refusal.

Nothing here is translated, so no local model ever serves it. Of the histories in a new batch is cut
what only a local route can have written (`wire.history`). What must stay on the host is refused:

1. An item of a batch that would be `local_only` as a message, or as whom it says it is: an item's
   own signals count before what the headers say of all of them. One such item refuses the batch.
2. What nobody looks into (an upload, a batch without items, an item without an object to look at),
   when its caller is `local_only` or a rule might make it so. The caller is known by the path, the
   token and the headers.

Claude is asked only where it can be reached and is not left alone, and its health hears whether it
could be. Breakers hear nothing: no model is asked, and these paths have rate limits of their own.
"""

from __future__ import annotations

from dataclasses import replace
from time import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from ccproxy.outcome import ANSWERED, Outcome
from ccproxy.pipeline.accounted import Accounted
from ccproxy.pipeline.attempts import log_failure
from ccproxy.pipeline.decide import PROJECT_HEADER, gather_facts
from ccproxy.pipeline.in_flight import InFlight
from ccproxy.pipeline.off_loop import off_loop, unpacked_bytes
from ccproxy.pipeline.passthrough import PassthroughReply
from ccproxy.pipeline.refusals import reply_headers, routing_refusal
from ccproxy.pipeline.relay import relay
from ccproxy.ports import AttemptFailed, ClientGone, ForwardedRequest
from ccproxy.wire.content_coding import decode_body
from ccproxy.wire.errors import ApiError, invalid_request
from ccproxy.wire.history import strip_batch
from ccproxy.wire.ids import mint_request_id
from ccproxy.wire.json_body import parse_json_object
from routing.errors import RoutingError
from routing.failures import CONSEQUENCES, FailureClass
from routing.identify import authorise, identify
from routing.plan import privacy_asked, privacy_of
from routing.types import Privacy, RequestFacts, Side

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from ccproxy.auth import Authenticate, Principal
    from ccproxy.pipeline.decide import Circumstances, RoutingState
    from ccproxy.pipeline.router import Router
    from ccproxy.ports import BackendHealth, Client, Incoming, MessagesUpstream, OutcomeSink
    from routing.types import AgentMatch

BATCHES_PATH: Final = "/v1/messages/batches"
BATCHES_LIMIT_BYTES: Final = 256 * 1024 * 1024
"""Anthropic's limit for batches (conformance 018)."""
UPLOAD_LIMIT_BYTES: Final = 500 * 1024 * 1024
"""Anthropic's limit for files (conformance 018)."""


class ApiForwarder:
    """Serves every `/v1/…` path that is neither Messages nor models."""

    def __init__(
        self,
        *,
        authenticate: Authenticate,
        router: Router,
        claude: Mapping[str, MessagesUpstream],
        health: BackendHealth,
        sink: OutcomeSink,
        in_flight: InFlight | None = None,
    ) -> None:
        """`claude` has the upstreams of the Claude deployments by name, in file order."""
        self._authenticate = authenticate
        self._router = router
        self._claude = claude
        self._health = health
        self._sink = sink
        self._in_flight = in_flight or InFlight()

    async def serve(self, incoming: Incoming, client: Client) -> None:
        """Answer one request; never raises but for the server's own cancellation."""
        outcome = Outcome(mint_request_id(), "other", time(), incoming.origin())
        async with Accounted(client, outcome, self._sink, self._in_flight):
            principal = self._authenticate(incoming.headers, incoming.peer)
            outcome.principal = principal.name
            self._router.check_target(incoming)
            path = _plain_path(incoming.path)
            own = self._router.own_credentials(incoming.headers)
            account = self._find_account(outcome, brings_credential=bool(own))
            self._keep_on_host(incoming, path, principal, outcome)
            _keep_to_own_batches(incoming, path, principal)
            if _is_new_batch(incoming, path):
                said = incoming.header(PROJECT_HEADER) or b""
                project = principal.project or said.decode("latin-1")
                self._router.rates.take(principal)
                self._router.budgets.gate(outcome, project)
            incoming, body = await self._body(incoming, path, principal, client, outcome)
            self._choose(account, outcome)
            async with client.watched():
                reply = await self._attempt(incoming, body, own, outcome)
                outcome.status = reply.status
                await relay(reply, client, reply_headers(reply, outcome), outcome)

    def _find_account(self, outcome: Outcome, *, brings_credential: bool) -> list[str]:
        """Return the deployments of the first Claude, by name: files and batches are an account's.

        Raises:
            ApiError: 404, there is none.
        """
        deployments = self._router.state.table.deployments
        usable = [
            name
            for name in self._claude
            if name in deployments
            and deployments[name].unavailable is None
            and (brings_credential or not deployments[name].needs_own_credential)
        ]
        if not usable:
            raise ApiError(
                404,
                "This path is served by Claude only, and no Claude deployment is available here.",
                should_retry=False,
            )
        outcome.deployment, outcome.route = usable[0], Side.CLAUDE
        return [name for name in usable if self._claude[name] is self._claude[usable[0]]]

    def _choose(self, account: Sequence[str], outcome: Outcome) -> None:
        """Say which of them is asked.

        Raises:
            ApiError: 529, all are to be left alone.
        """
        reasons = {name: self._health.why_not(name) for name in account}
        for name, why in reasons.items():
            if why is None:
                outcome.deployment = name
                return
        raise ApiError(
            529,
            "This path is served by Claude only: "
            + "; ".join(f"{name} is unavailable: {why}" for name, why in reasons.items()),
            should_retry=True,
            retry_after_s=CONSEQUENCES[FailureClass.OVERLOADED].retry_after_s,
        )

    async def _attempt(
        self,
        incoming: Incoming,
        body: bytes | AsyncIterator[bytes],
        own: Sequence[tuple[bytes, bytes]],
        outcome: Outcome,
    ) -> PassthroughReply:
        """Return Claude's answer; what failed is noted, and raised as `_send` says."""
        name = outcome.deployment
        outcome.attempt_begins()
        try:
            reply = await _send(self._claude[name], incoming, body, own)
        except AttemptFailed as failed:
            outcome.attempt_ended(failed.failure)
            log_failure(name, failed, outcome)
            self._health.reached(name, failed.failure, why=failed.message)
            raise
        self._health.reached(name, None)
        outcome.attempt_ended(reply.failure or ANSWERED)
        return reply

    def _keep_on_host(
        self, incoming: Incoming, path: str, principal: Principal, outcome: Outcome
    ) -> None:
        """Say who is calling; refuse what has to stay here and will not be looked into."""
        state = self._router.state
        around = self._router.circumstances(incoming, principal)
        try:
            match = _identify_caller(incoming, state, around)
            outcome.agent, outcome.agent_source = match.slug or "unknown", match.source
            if not _is_new_batch(incoming, path):
                _keep_unseen_on_host(match, state, around, "This caller")
        except RoutingError as exc:
            raise routing_refusal(exc) from exc

    async def _body(
        self,
        incoming: Incoming,
        path: str,
        principal: Principal,
        client: Client,
        outcome: Outcome,
    ) -> tuple[Incoming, bytes | AsyncIterator[bytes]]:
        """Return what to send; batches are looked into, everything else streams through."""
        if _is_new_batch(incoming, path):
            raw = await client.read_body(BATCHES_LIMIT_BYTES)
            state = self._router.state
            around = self._router.circumstances(incoming, principal)
            return await off_loop(
                unpacked_bytes(incoming, raw),
                _batch_for_claude,
                incoming,
                state,
                around,
                raw,
                client.hold,
                outcome.notes,
            )
        declared = incoming.header(b"content-length") or b"0"
        if declared == b"0" and incoming.header(b"transfer-encoding") is None:
            return incoming, b""
        return incoming, client.body_chunks(UPLOAD_LIMIT_BYTES)


class _Upload:
    """A streamed body; remembers which fault of the client ended it."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.fault: ApiError | ClientGone | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._chunks:
                yield chunk
        except (ApiError, ClientGone) as fault:
            self.fault = fault
            raise


async def _send(
    upstream: MessagesUpstream,
    incoming: Incoming,
    body: bytes | AsyncIterator[bytes],
    own: Sequence[tuple[bytes, bytes]],
) -> PassthroughReply:
    """Send and wait for the answer's head; `own` as `ForwardedRequest.own_credentials`.

    Raises:
        AttemptFailed: Claude could not be reached.
        ApiError: The upload was at fault.
        ClientGone: The client left while uploading.
    """
    upload = None
    if not isinstance(body, bytes):
        upload = _Upload(body)
        body = aiter(upload)
    request = ForwardedRequest(
        incoming.method, incoming.path, incoming.query, incoming.headers, body, own
    )
    try:
        return PassthroughReply(await upstream.send(request))
    except AttemptFailed:
        # To the HTTP client a body that raises looks like a broken connection.
        if upload is not None and upload.fault is not None:
            raise upload.fault from None
        raise


def _plain_path(raw_path: str) -> str:
    """Return the path decoded.

    A Messages request under a misspelt path must not be shown to Claude only to be refused there,
    and what is read here as one path must not be another one to somebody who tidies it up.

    Raises:
        ApiError: 404 for empty and dot segments, for what only looks like a Messages path, and for
            a base URL that ends in `/v1`.
    """
    path = unquote(raw_path)
    segments = path.split("/")[1:]
    is_batches = path == BATCHES_PATH or path.startswith(f"{BATCHES_PATH}/")
    if "%" in path or (segments[1:] and segments[1].startswith("messages") and not is_batches):
        raise ApiError(404, "Not found", should_retry=False)
    if segments[:2] == ["v1", "v1"]:
        raise ApiError(
            404, "Not found: the base URL must not end in /v1, clients add it.", should_retry=False
        )
    if any(segment in ("", ".", "..") for segment in segments):
        raise ApiError(404, "Not found", should_retry=False)
    return path


def _is_new_batch(incoming: Incoming, path: str) -> bool:
    return incoming.method == "POST" and path == BATCHES_PATH


def _keep_to_own_batches(incoming: Incoming, path: str, principal: Principal) -> None:
    """Refuse a token that is limited to agents everything but making a batch.

    Files, other people's batches and the organisation belong to the whole account, not to an agent.
    """
    if principal.agents and not _is_new_batch(incoming, path):
        raise ApiError(
            403,
            "This token is limited to agents; it may make batches for them, and use Messages.",
            should_retry=False,
        )


def _batch_for_claude(
    incoming: Incoming,
    state: RoutingState,
    around: Circumstances,
    raw: bytes,
    hold: Callable[[int], None],
    notes: list[str],
) -> tuple[Incoming, bytes]:
    """Return a batch as Claude may see it; `notes` gains what was cut."""
    coding = incoming.header(b"content-encoding")
    decoded = decode_body(raw, coding, BATCHES_LIMIT_BYTES, hold)
    _keep_items_on_host(incoming, state, around, parse_json_object(decoded, hold))
    stripped = strip_batch(decoded)
    if stripped.body is decoded:
        return incoming, raw
    notes.extend(stripped.notes())
    headers = [pair for pair in incoming.headers if pair[0] != b"content-encoding"]
    return replace(incoming, headers=headers), stripped.body


def _keep_items_on_host(
    incoming: Incoming, state: RoutingState, around: Circumstances, batch: Mapping[str, Any]
) -> None:
    """Refuse a batch with an item that is `local_only` or that the token does not allow."""
    items = batch.get("requests")
    if not isinstance(items, list):
        raise invalid_request("requests: Input should be a valid list")
    try:
        if not items:
            caller = _identify_caller(incoming, state, around)
            _keep_unseen_on_host(caller, state, around, "This caller")
        for position, item in enumerate(items):
            _keep_item_on_host(incoming, state, around, item, f"requests.{position}")
    except RoutingError as exc:
        raise routing_refusal(exc) from exc


def _keep_item_on_host(
    incoming: Incoming, state: RoutingState, around: Circumstances, item: object, place: str
) -> None:
    body = item.get("params") if isinstance(item, dict) else None
    if not isinstance(body, dict):
        _keep_unseen_on_host(_identify_caller(incoming, state, around), state, around, place)
        return
    facts = gather_facts(incoming, body, state, around, counting=False)
    for match in _identify_item(facts, state):
        authorise(match, around.token_agents)
        if privacy_asked(facts, match, state.table, state.roster) is Privacy.LOCAL_ONLY:
            raise _must_stay(place)


def _identify_item(facts: RequestFacts, state: RoutingState) -> tuple[AgentMatch, ...]:
    """Return whose an item is, as a message and by its own word, where these are different."""
    roster, deployments = state.roster, state.table.deployments
    whole = identify(facts, roster, deployments)
    alone = replace(facts, header_agent=None, bound_agent=None, client_agent_type=None)
    own = identify(alone, roster, deployments)
    return (whole,) if own.slug in (None, whole.slug) else (own, whole)


def _identify_caller(incoming: Incoming, state: RoutingState, around: Circumstances) -> AgentMatch:
    """Return who is calling, whatever is in the body."""
    facts = gather_facts(incoming, {}, state, around, counting=False)
    return identify(facts, state.roster, state.table.deployments)


def _keep_unseen_on_host(
    match: AgentMatch, state: RoutingState, around: Circumstances, who: str
) -> None:
    """Refuse what nobody looks into where its caller, or a rule that could hold, keeps it here."""
    authorise(match, around.token_agents)
    known = RequestFacts("", token_privacy=around.token_privacy)
    if privacy_of(match, state.table, state.roster, known) is Privacy.LOCAL_ONLY:
        raise _must_stay(who)


def _must_stay(who: str) -> ApiError:
    return invalid_request(
        f"{who} is limited to this host (privacy: local_only), and this path is served by Claude."
    )
