"""Pure routing decisions: data in, a plan out. No I/O, no clock, no framework.

A caller compiles a table once and asks two questions per request::

    table, warnings = compile_table(mapping, deployments, roster)
    match = identify(facts, roster, table.deployments)
    authorise(match, facts.token_agents)
    plan = build_plan(facts, match, table, roster)
"""

from routing.capabilities import Capabilities, FleetSnapshot, longest_prompt_tokens
from routing.conditions import TimeWindow, When
from routing.content import StatedContent
from routing.errors import (
    AgentForbidden,
    InvalidTable,
    NoAttempt,
    Problem,
    RoutingError,
    UnknownAgent,
    UnknownModel,
)
from routing.failures import CONSEQUENCES, Consequence, FailureClass
from routing.identify import authorise, identify
from routing.nearest import did_you_mean, nearest
from routing.plan import build_plan, privacy_of
from routing.policies import OnOverflow, Policies, ThinkingMode, ThinkingPolicy
from routing.requested_model import RequestedKind, RequestedModel, classify_requested_model
from routing.table import compile_table
from routing.types import (
    Agent,
    AgentMatch,
    AgentSource,
    ConditionalRule,
    ContentFacts,
    Deployment,
    Plan,
    Privacy,
    Profile,
    RequestClass,
    RequestFacts,
    Roster,
    RouteRule,
    RoutingTable,
    Side,
    Tier,
    TraceEntry,
)

__all__ = [
    "CONSEQUENCES",
    "Agent",
    "AgentForbidden",
    "AgentMatch",
    "AgentSource",
    "Capabilities",
    "ConditionalRule",
    "Consequence",
    "ContentFacts",
    "Deployment",
    "FailureClass",
    "FleetSnapshot",
    "InvalidTable",
    "NoAttempt",
    "OnOverflow",
    "Plan",
    "Policies",
    "Privacy",
    "Problem",
    "Profile",
    "RequestClass",
    "RequestFacts",
    "RequestedKind",
    "RequestedModel",
    "Roster",
    "RouteRule",
    "RoutingError",
    "RoutingTable",
    "Side",
    "StatedContent",
    "ThinkingMode",
    "ThinkingPolicy",
    "Tier",
    "TimeWindow",
    "TraceEntry",
    "UnknownAgent",
    "UnknownModel",
    "When",
    "authorise",
    "build_plan",
    "classify_requested_model",
    "compile_table",
    "did_you_mean",
    "identify",
    "longest_prompt_tokens",
    "nearest",
    "privacy_of",
]
