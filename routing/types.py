"""The nouns of a routing decision, as frozen data.

Rules:
1. Nothing here does I/O, reads a clock or knows a framework.
2. A `Plan` is complete: it names every candidate that was considered, kept or skipped, and why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from routing.capabilities import UNKNOWN_CAPABILITIES, Capabilities
from routing.policies import KEEP_THINKING, NO_POLICIES, OnOverflow, Policies, ThinkingPolicy
from routing.pricing import NO_PRICES, PriceList
from routing.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from routing.conditions import When
    from routing.failures import FailureClass

ANY_UPSTREAM_MODEL: Final = "*"
"""Upstream model of a Claude deployment that keeps whatever id the client asked for."""
THIS_HOST: Final = "localhost"
"""`Deployment.host` of everything that runs on this machine."""


class Tier(StrEnum):
    """A Claude tier, of an agent in the roster or of a requested model."""

    OPUS = "opus"
    SONNET = "sonnet"
    HAIKU = "haiku"


class Privacy(StrEnum):
    """Where a request may be sent. It only ever tightens: `local_only` anywhere wins."""

    ANY = "any"
    LOCAL_ONLY = "local_only"


class Side(StrEnum):
    """Which kind of upstream a deployment is; the value of `x-ccproxy-route`."""

    LOCAL = "local"
    CLAUDE = "claude"
    OTHER = "other"


class AgentSource(StrEnum):
    """How the agent was found; the value of `x-ccproxy-agent-source`."""

    PATH = "path"
    TOKEN = "token"  # noqa: S105 - a word of a header
    HEADER = "header"
    MODEL = "model"
    PROMPT = "prompt"
    BINDING = "binding"
    TYPE = "type"
    NONE = "none"


class FallbackTrigger(StrEnum):
    """What lets the roster's `fallback` of an agent come in: see `routing.roster_fallback`."""

    TOKEN_LIMIT = "token_limit"  # noqa: S105 - a word of the roster
    RATE_LIMIT = "rate_limit"
    AVAILABILITY = "availability"


class RequestClass(StrEnum):
    """What kind of call a request is; only a `turn` is an agent at work.

    The others are calls that Claude Code makes on its own account.
    """

    TURN = "turn"
    TITLE = "title"
    COMPACTION = "compaction"
    COUNT = "count"
    BACKGROUND = "background"
    SAFETY_CLASSIFIER = "safety_classifier"
    """Judges whether a tool call is dangerous; never a local model's business by default."""


class ContentFacts(Protocol):
    """What a decision may ask of a request's body.

    Each answer may be computed when first asked, and is kept: some are asked more than once.
    """

    @property
    def input_tokens(self) -> int:
        """The estimate of the prompt, in tokens."""
        ...

    @property
    def input_tokens_at_most(self) -> int | None:
        """What `input_tokens` does not exceed; None where that costs as much as the estimate."""
        ...

    @property
    def has_images(self) -> bool:
        """An image anywhere, also in a tool result."""
        ...

    @property
    def has_documents(self) -> bool:
        """A document that is not plain text (PDF, URL, file)."""
        ...

    @property
    def has_server_tools(self) -> bool:
        """A tool that Anthropic runs is offered. One in the history is text to a local model."""
        ...

    @property
    def tool_names(self) -> frozenset[str]:
        """Names of the client's tools that are offered."""
        ...

    @property
    def wants_thinking(self) -> bool:
        """Thinking is switched on."""
        ...

    @property
    def wants_structured_output(self) -> bool:
        """An output schema is asked for."""
        ...

    @property
    def max_output_tokens(self) -> int:
        """The most that may be answered, as the request says."""
        ...

    @property
    def tool_loop_side(self) -> Side | None:
        """Who made the tool calls whose results the request brings; None if none, or unknown.

        CLAUDE, or LOCAL for every deployment whose answers are translated.
        """
        ...


@dataclass(frozen=True, slots=True)
class AgentFallback:
    """The `fallback` block of an agent: as what tier it may be served where its own route fails."""

    tier: Tier
    triggers: tuple[FallbackTrigger, ...]
    """Never empty, without duplicates."""


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent of the roster."""

    slug: str
    """Kebab-case slug of `name`; the key everywhere."""
    name: str
    tier: Tier
    category: str
    """The roster's list name, e.g. `securityAgents`; `architect` for the architect."""
    type: str = ""
    description: str = ""
    api_alias: str | None = None
    """`ccproxyMapping.apiAlias`; names the agent as a requested model where it is unique."""
    wished_ollama_model: str | None = None
    """`ccproxyMapping.ollama`, the roster's wish; serving follows the table, not this."""
    further_categories: tuple[str, ...] = ()
    """Other lists that have it too; of their entries in the table only the privacy counts."""
    fallback: AgentFallback | None = None

    @property
    def categories(self) -> tuple[str, ...]:
        """Every list that has it, `category` first."""
        return (self.category, *self.further_categories)


@dataclass(frozen=True, slots=True)
class Roster:
    """All agents, by slug, and the aliases that name exactly one of them."""

    agents: Mapping[str, Agent] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Unique `apiAlias` -> slug."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One (upstream, model): the unit of routing, health and price."""

    name: str
    """`model_name` of the config file; clients may ask for it."""
    side: Side
    leaves_host: bool
    """True for everything `privacy: local_only` forbids: Claude, `:cloud` models, foreign hosts."""
    unavailable: str | None = None
    """Why it cannot be used at all (e.g. a missing key), or None."""
    upstream_model: str = ""
    """The upstream's own name for the model, or `ANY_UPSTREAM_MODEL`; empty means not told."""
    base_model: str | None = None
    """With `ANY_UPSTREAM_MODEL`, what is asked for where the client's id is none of Claude's."""
    capabilities: Capabilities = UNKNOWN_CAPABILITIES
    """What the config file says; the rest is in the `FleetSnapshot`."""
    max_input_tokens: int | None = None
    """The longest prompt; None means that no limit is said."""
    num_ctx: int | None = None
    """Context in tokens, prompt and answer together."""
    weights_gib: float | None = None
    kv_kib_per_token: float | None = None
    trained_context_tokens: int | None = None
    """The longest context the model was trained for, where the config file says it."""
    host: str | None = None
    """The machine of a local model: `THIS_HOST` or a name; None for Claude and unknown ones."""
    needs_own_credential: bool = False
    """Claude is asked under the client's account: only for a client that brings a credential."""
    stands_in_for: tuple[str, ...] = ()
    """Models that the roster wishes and that this one is used instead of, e.g. a smaller one."""


@record(frozen=True, slots=True)
class RequestFacts:
    """What a decision may depend on; never the content itself."""

    requested_model: str
    path_agent: str | None = None
    """The slug in `/agents/{slug}`, not yet checked against the roster."""
    token_agents: tuple[str, ...] = ()
    """Agents the token is limited to; empty means not limited."""
    token_privacy: Privacy = Privacy.ANY
    """What the token says of everything it is used for."""
    brings_credential: bool = False
    """The client sends a credential of its own for Claude."""
    header_agent: str | None = None
    """The slug in `x-ccproxy-agent`, not yet checked against the roster."""
    prompt_agent: str | None = None
    """The agent whose own prompt was found in `system`: `PromptFinding.chosen`."""
    prompt_rivals: tuple[str, ...] = ()
    """Other agents whose prompt was found too: `PromptFinding.rivals`."""
    prompt_near: tuple[str, ...] = ()
    """Agents most of whose prompt was found; for the record only, it decides nothing."""
    unknown_tags: int = 0
    """Tags that name no agent of the roster: how many, as `PromptFinding` counts them; what they
    say is a client's text. For the record only."""
    bound_agent: str | None = None
    """The agent that an earlier turn of the same client agent was recognised as."""
    client_agent_type: str | None = None
    """`x-claude-code-agent-type`, e.g. `Explore`; `custom` for every agent from a file."""
    request_class: RequestClass = RequestClass.TURN
    principal: str = ""
    """Name of the token or JWT subject; empty means unknown."""
    project: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case; only those that `RoutingTable.asked_headers` names."""
    content: ContentFacts | None = None
    """None where the body is not known; then no rule that asks about it applies."""
    local_minute: tuple[int, int] | None = None
    """Local weekday (0 is Monday) and minute of the day; None means unknown."""
    read_tokens: Mapping[str, int] | None = None
    """By deployment: what its model has read of this conversation and should still hold."""


@dataclass(frozen=True, slots=True)
class SignalConflict:
    """A signal that named another agent than the one that was decided on."""

    source: AgentSource
    slug: str


@record(frozen=True, slots=True)
class AgentMatch:
    """Who is calling, and how we know."""

    slug: str | None
    """None means unknown, and then the source is `none`."""
    source: AgentSource
    confidence: float = 1.0
    """0 to 1; 1 for everything that was said explicitly."""
    conflicts: tuple[SignalConflict, ...] = ()
    """In the order of trust."""


@dataclass(frozen=True, slots=True)
class RouteRule:
    """What the table says in one entry: of a tier, category, agent, rule, or the default.

    An entry may tighten privacy or set other policies without naming a route.
    """

    route: tuple[str, ...] | None = None
    privacy: Privacy = Privacy.ANY
    policies: Policies = NO_POLICIES


@dataclass(frozen=True, slots=True)
class ConditionalRule:
    """One of a profile's ordered `rules`."""

    name: str
    """Unique in the profile that has it."""
    when: When
    entry: RouteRule
    profile: str = ""
    """The profile that has it; another may inherit it."""
    index: int = 0
    """Its place in that profile's list."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile with its `extends` already resolved."""

    name: str
    tiers: Mapping[Tier, RouteRule] = field(default_factory=dict)
    categories: Mapping[str, RouteRule] = field(default_factory=dict)
    agents: Mapping[str, RouteRule] = field(default_factory=dict)
    default: RouteRule | None = None
    unknown: RouteRule | None = None
    """Applies to unrecognised callers, on top of tier or default."""
    privacy: Privacy = Privacy.ANY
    policies: Policies = NO_POLICIES
    rules: tuple[ConditionalRule, ...] = ()
    """In the order in which they are tried: the profile's own, then its parent's."""


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """A compiled table: immutable, swapped whole on reload."""

    active: Profile
    profiles: Mapping[str, Profile]
    deployments: Mapping[str, Deployment]
    version: str
    """Content hash, recorded with every decision."""
    memory_gib: float | None = None
    """What this machine's memory has for models; None means that it is not said."""
    asked_headers: frozenset[str] = frozenset()
    """Headers that the active profile's rules ask for, in lower case."""
    prices: PriceList = NO_PRICES
    """What Claude's tokens cost, for requests with a limit."""


class TraceEntry(NamedTuple):
    """One step of a decision: a rule or a candidate, kept or skipped, and why.

    A tuple costs half of what a dataclass does, and every request makes a dozen.
    """

    kind: str
    """`rule` or `candidate`."""
    name: str
    kept: bool
    reason: str


@record(frozen=True, slots=True)
class Plan:
    """Ordered attempts, and how they came about. `attempts` is never empty."""

    match: AgentMatch
    tier: Tier | None
    privacy: Privacy
    attempts: tuple[str, ...]
    """Deployment names, best first, without duplicates."""
    tell: Callable[[], tuple[TraceEntry, ...]] = field(repr=False, compare=False)
    """Puts the steps of the decision into words; few plans are ever asked for them."""
    table_version: str
    deadline_s: float | None = None
    """Seconds from the request's arrival to the end of its answer; None means no limit."""
    max_cost_microusd: int | None = None
    """The most the request may be expected to cost; None means no limit."""
    thinking: ThinkingPolicy = KEEP_THINKING
    on_overflow: OnOverflow = OnOverflow.REROUTE
    rule: str | None = None
    """Name of the rule that gave the route, or None if something else did."""
    only_after: Mapping[str, frozenset[FailureClass]] = field(default_factory=dict)
    """By attempt: it may be tried once an attempt before it failed in one of these ways.

    Those that are not in it may be tried after whatever `routing.failures` lets fall back.
    """
    asks: Mapping[str, str] = field(default_factory=dict)
    """By attempt at Claude: the model id to ask for instead of the requested one."""
    late: tuple[str, ...] = ()
    """Those of the attempts whose first token is predicted to come too late."""

    @property
    def trace(self) -> tuple[TraceEntry, ...]:
        """The steps of this very decision: every rule, level and candidate, kept or skipped."""
        return self.tell()
