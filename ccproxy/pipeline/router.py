"""Decisions for live traffic: what is in force, what was learned of callers, what is known now."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from time import localtime, monotonic
from typing import TYPE_CHECKING, Final, Protocol

from ccproxy.outcome import Routed
from ccproxy.pipeline.budgets import BudgetGuard
from ccproxy.pipeline.decide import Circumstances, decide, gather_facts
from ccproxy.pipeline.known_texts import KnownSystems, WeighedTexts
from ccproxy.pipeline.off_loop import LARGE_BYTES, off_loop
from ccproxy.pipeline.prefix_watch import Conversation
from ccproxy.pipeline.refusals import routing_refusal
from ccproxy.pipeline.token_rates import TokenRates
from ccproxy.wire.content_facts import BodyFacts
from ccproxy.wire.errors import invalid_request
from ccproxy.wire.notes import note
from ccproxy.wire.our_tokens import OurTokens
from ccproxy.wire.validate import validate_request
from routing.bindings import MAX_ID_CHARS, Bindings, binding_key
from routing.errors import NoAttempt, RoutingError
from routing.failures import FailureClass
from routing.requested_model import is_claude_model
from routing.types import Privacy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ccproxy.auth import Principal
    from ccproxy.outcome import Outcome
    from ccproxy.pipeline.decide import RoutingState
    from ccproxy.pipeline.request import MessagesRequest
    from ccproxy.ports import Incoming
    from routing.bindings import BindingKey
    from routing.capabilities import FleetSnapshot
    from routing.types import Plan


_CONVERSATION_HEADERS: Final = (b"x-claude-code-session-id", b"x-claude-code-agent-id")


class RoutingSource(Protocol):
    """Whoever holds what is in force."""

    @property
    def loaded(self) -> RoutingState:
        """Table, roster and prompts as one consistent whole; a request keeps what it got."""
        ...


class KnownFleet(Protocol):
    """Whoever watches the models."""

    def snapshot(self) -> FleetSnapshot:
        """Return what is known of them, at once."""
        ...

    async def settle(self) -> bool:
        """Wait a moment for what is not known yet; False where there is nothing to wait for."""
        ...


def _nothing_read(_conversation: Conversation) -> Mapping[str, int]:
    return {}


class Router:
    """Asks `decide` for each request, and remembers which client agent turned out to be whom."""

    def __init__(
        self,
        source: RoutingSource,
        fleet: KnownFleet,
        read_tokens: Callable[[Conversation], Mapping[str, int]] = _nothing_read,
        budgets: BudgetGuard | None = None,
        ours: OurTokens | None = None,
    ) -> None:
        """Begin without any binding.

        Args:
            source: Has what is in force.
            fleet: Says what is known of the models.
            read_tokens: `PrefixWatch.read_tokens`.
            budgets: Those in force, if there are any.
            ours: Tells clients' own credentials for Claude from tokens of this proxy.
        """
        self.budgets: Final = budgets or BudgetGuard((), lambda: source.loaded)
        """To be asked before what was planned is done."""
        self.rates: Final = TokenRates()
        """To be asked before anything is done for a caller."""
        self._ours: Final = ours or OurTokens()
        self.own_credentials: Final = self._ours.own_credentials
        """Which headers of a request are the client's own credentials for Claude."""
        self._read_tokens = read_tokens
        self._source = source
        self._fleet = fleet
        self._bindings = Bindings()
        self._weighed = WeighedTexts()
        self._systems = KnownSystems()

    @property
    def state(self) -> RoutingState:
        """What is in force now."""
        return self._source.loaded

    def check_target(self, incoming: Incoming) -> None:
        """Refuse a token of ours in the path or the query: it would be in logs, and with Claude.

        Raises:
            ApiError: 400.
        """
        if self._ours.are_in_target(incoming.path, incoming.query):
            raise invalid_request(
                "A token of ccproxy's is in the address of this request. Send it as x-api-key, and "
                "make a new one: addresses are written into logs and histories."
            )

    async def plan(self, request: MessagesRequest, principal: Principal, outcome: Outcome) -> Plan:
        """Return where a request goes; `outcome` gets the evidence, also when it goes nowhere.

        Raises:
            ApiError: A decision against the request.
        """
        state, incoming, now = self._source.loaded, request.incoming, monotonic()
        key = _binding_key(incoming, principal)
        own = self.own_credentials(incoming.headers)
        around = self._around(principal, key, now, brings_credential=bool(own))
        body_bytes = len(request.decoded_body)
        gather = gather_facts
        if body_bytes < LARGE_BYTES:  # What is remembered is for the loop's own thread.
            gather = partial(gather_facts, units_of=self._weighed.units, find=self._systems.find)
        facts = await off_loop(
            body_bytes,
            gather,
            incoming,
            request.body,
            state,
            around,
            counting=request.counting,
            body_bytes=body_bytes,
        )
        request.conversation = _conversation(incoming, principal, facts.request_class)
        if read_tokens := self._read_tokens(request.conversation):
            facts = replace(facts, read_tokens=read_tokens)
        routed = Routed(facts, state.table.version, body_bytes=body_bytes)
        outcome.routed, outcome.request_class = routed, facts.request_class
        try:
            plan = await self._decide(routed, state)
        except RoutingError as exc:
            if isinstance(exc, NoAttempt) and not exc.outage:
                # If the request itself is at fault, Anthropic's own words for it say more.
                validate_request(request.body, version=request.version, counting=request.counting)
            raise routing_refusal(exc) from exc
        finally:
            _leave_evidence(routed, outcome)
        outcome.notes.extend(note("late", name) for name in plan.late)
        self._bindings.learn(key, plan.match, now)
        request.own_credentials = own
        request.local_only = plan.privacy is Privacy.LOCAL_ONLY
        request.thinking = plan.thinking
        request.asks = plan.asks
        request.overflow_is_trigger = any(
            FailureClass.CONTEXT_OVERFLOW in failures for failures in plan.only_after.values()
        )
        request.names_claude_model = is_claude_model(
            request.requested_model, state.roster, state.table.deployments
        )
        return plan

    def circumstances(self, incoming: Incoming, principal: Principal) -> Circumstances:
        """Return what is known of a request besides itself; called on the event loop."""
        own = self.own_credentials(incoming.headers)
        key = _binding_key(incoming, principal)
        return self._around(principal, key, monotonic(), brings_credential=bool(own))

    def _around(
        self,
        principal: Principal,
        key: BindingKey | None,
        now: float,
        *,
        brings_credential: bool,
    ) -> Circumstances:
        clock = localtime()
        return Circumstances(
            principal=principal.name,
            token_agents=principal.agents,
            token_privacy=principal.privacy,
            token_project=principal.project,
            brings_credential=brings_credential,
            bound_agent=self._bindings.find(key, now),
            local_minute=(clock.tm_wday, clock.tm_hour * 60 + clock.tm_min),
        )

    async def _decide(self, routed: Routed, state: RoutingState) -> Plan:
        body_bytes = routed.body_bytes
        try:
            return await off_loop(body_bytes, decide, routed, state, self._fleet.snapshot())
        except NoAttempt:
            if not await self._fleet.settle():
                raise
        return await off_loop(body_bytes, decide, routed, state, self._fleet.snapshot())


def let_go_of_body(outcome: Outcome) -> None:
    """Keep of a decided request only what its record needs."""
    content = outcome.routed.facts.content if outcome.routed is not None else None
    if isinstance(content, BodyFacts):
        content.release()


def _leave_evidence(routed: Routed, outcome: Outcome) -> None:
    match = routed.match
    if match is None:
        return
    outcome.agent, outcome.agent_source = match.slug or "unknown", match.source
    outcome.notes.extend(f"agent_conflict={conflict.source}" for conflict in match.conflicts)
    if routed.facts.unknown_tags:
        outcome.notes.append(f"unknown_tag={routed.facts.unknown_tags}")
    if match.slug is None:
        outcome.notes.extend(f"prompt_near={slug}" for slug in routed.facts.prompt_near[:1])


def _binding_key(incoming: Incoming, principal: Principal) -> BindingKey | None:
    session_id, agent_id = (_header(incoming, name) for name in _CONVERSATION_HEADERS)
    return binding_key(principal.name, session_id, agent_id)


def _conversation(incoming: Incoming, principal: Principal, request_class: str) -> Conversation:
    ids = (_header(incoming, name) or "" for name in _CONVERSATION_HEADERS)
    session_id, agent_id = (each if len(each) <= MAX_ID_CHARS else "" for each in ids)
    return Conversation(principal.name, session_id, agent_id, request_class)


def _header(incoming: Incoming, name: bytes) -> str | None:
    value = incoming.header(name)
    return value.decode("latin-1") if value else None
