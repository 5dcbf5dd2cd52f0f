"""What the ledger keeps of a request: who, where, how many tokens, how long, at what cost.

Nothing of what was said is in here. Money is integer microdollars, and None where it is not known;
it is never 0 for that reason.
"""

from __future__ import annotations

from dataclasses import field

from routing.pricing import TokenCounts
from routing.records import record

TEXT_LIMIT = 128
"""Characters of what a client chose: a model's name, a project."""
NO_TOKENS = TokenCounts()


@record(frozen=True, slots=True)
class Dimensions:
    """What requests are told apart by in reports; empty where there is none of it."""

    endpoint: str = ""
    """`messages`, `count_tokens` or `other`."""
    principal: str = ""
    project: str = ""
    agent: str = ""
    category: str = ""
    """The agent's first list in the roster."""
    agent_source: str = ""
    request_class: str = ""
    tier: str = ""
    requested_model: str = ""
    deployment: str = ""
    """The one that served, or was tried last."""
    route: str = ""
    """`local`, `claude` or `other`."""
    upstream_model: str = ""
    response_model: str = ""
    """What the answer says it is of."""


@record(frozen=True, slots=True)
class Spent:
    """Tokens, seconds and money of one answer."""

    tokens: TokenCounts = NO_TOKENS
    thinking_tokens: int | None = None
    """Part of the output; None where the upstream does not tell."""
    estimated: bool = False
    """A token count is ours, not the upstream's."""
    queue_s: float | None = None
    load_s: float | None = None
    prefill_s: float | None = None
    total_s: float = 0.0
    cost_microusd: int | None = None


@record(frozen=True, slots=True)
class AttemptRow:
    """One attempt; `Dimensions` of its request, with its own deployment and models."""

    dimensions: Dimensions
    number: int
    """From 0."""
    result: str
    """See `outcome.AttemptRecord`."""
    after_s: float
    """From the request's arrival to the attempt's beginning."""
    spent: Spent


@record(frozen=True, slots=True)
class WouldCost:
    """What a request would have cost at Claude, in microdollars, from the least to the most."""

    low_microusd: int
    expected_microusd: int
    high_microusd: int


@record(frozen=True, slots=True)
class RequestRow:
    """One finished request."""

    request_id: str
    """Also names the recorded decision."""
    at_ms: int
    """Unix time of its arrival, milliseconds."""
    dimensions: Dimensions
    status: int
    ending: str
    failure: str
    """Failure class of the last attempt that failed; empty where none did."""
    stream: bool
    table_version: str
    """Of the routing table that decided; empty where nothing was decided."""
    ttft_s: float | None
    spent: Spent
    """Tokens and durations are those of the answer, the cost is that of all attempts."""
    wasted_microusd: int | None
    """Part of the cost: attempts whose answer nobody got."""
    would_cost: WouldCost | None = None
    """None where Claude served it, or where nothing was answered."""
    attempts: tuple[AttemptRow, ...] = field(default=())


@record(frozen=True, slots=True)
class SpentSum:
    """What somebody has spent in a while."""

    requests: int = 0
    """Of a deployment, the attempts at it."""
    cost_microusd: int = 0
    """What is known of it."""
    tokens: TokenCounts = NO_TOKENS
    unpriced_tokens: TokenCounts = NO_TOKENS
    """Those of them whose cost is not known."""

    def __add__(self, other: SpentSum) -> SpentSum:
        """Return both together."""
        return SpentSum(
            self.requests + other.requests,
            self.cost_microusd + other.cost_microusd,
            self.tokens.plus(other.tokens),
            self.unpriced_tokens.plus(other.unpriced_tokens),
        )
