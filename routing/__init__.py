"""Pure routing decisions: data in, a plan out. No I/O, no clock, no framework.

A caller compiles a table once and asks two questions per request::

    table, warnings = compile_table(mapping, deployments, roster)
    match = identify(facts, roster, table.deployments)
    authorise(match, facts.token_agents)
    plan = build_plan(facts, match, table, roster)
"""

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
from routing.requested_model import RequestedKind, RequestedModel, classify_requested_model
from routing.table import compile_table
from routing.types import (
    Agent,
    AgentMatch,
    AgentSource,
    Deployment,
    Plan,
    Privacy,
    Profile,
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
    "Consequence",
    "Deployment",
    "FailureClass",
    "InvalidTable",
    "NoAttempt",
    "Plan",
    "Privacy",
    "Problem",
    "Profile",
    "RequestFacts",
    "RequestedKind",
    "RequestedModel",
    "Roster",
    "RouteRule",
    "RoutingError",
    "RoutingTable",
    "Side",
    "Tier",
    "TraceEntry",
    "UnknownAgent",
    "UnknownModel",
    "authorise",
    "build_plan",
    "classify_requested_model",
    "compile_table",
    "did_you_mean",
    "identify",
    "nearest",
    "privacy_of",
]
