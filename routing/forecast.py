"""What a request would come to before it is sent: tokens, money and time, from earlier ones.

Rules:
1. An answer is expected to be as long as earlier ones of the same agent and request class, and
   never longer than `max_tokens`. With fewer than `LEAST_PAST` of them nothing is known of it, and
   `max_tokens` stands for it, as a bound.
2. Times are those of earlier answers of the same deployment, the first token's from prompts of
   about the same length where there are enough. What a deployment's pace says of the moment counts
   before them. Too few earlier answers predict nothing.
3. Nothing of a prompt is taken to be in a cache. Where it has cache marks it is expected to be
   written to the cache, at that price; the least it can cost is that of reading it from there.
4. A spread is the median of earlier values, with their tenth and ninetieth percentile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from routing.pricing import TokenCounts, cost_microusd
from routing.requested_model import is_claude_model
from routing.types import ANY_UPSTREAM_MODEL, Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from routing.pace import Wait
    from routing.pricing import Price
    from routing.types import Deployment, Roster

LEAST_PAST: Final = 5
"""Earlier requests below which nothing is predicted from them."""
LIKE_LENGTH: Final = 2.0
"""Prompts up to so many times longer or shorter are of about the same length."""
LOW_SHARE: Final = 0.1
HIGH_SHARE: Final = 0.9
FAIR_FROM: Final = 20
GOOD_FROM: Final = 100


@dataclass(frozen=True, slots=True)
class Spread:
    """A value that is expected, and between what it usually is."""

    low: float
    expected: float
    high: float


@dataclass(frozen=True, slots=True)
class PastAnswer:
    """What is kept of an earlier answer that was streamed to its end."""

    prompt_tokens: int
    output_tokens: int
    ttft_s: float
    total_s: float


@dataclass(frozen=True, slots=True)
class AnswerLength:
    """How long an answer will be, in tokens."""

    tokens: Spread
    past: int
    """Earlier answers it rests on; below `LEAST_PAST` it is the bound `max_tokens`."""

    @property
    def is_known(self) -> bool:
        """Whether earlier answers say it."""
        return self.past >= LEAST_PAST


@dataclass(frozen=True, slots=True)
class Times:
    """How long an answer will take, in seconds; None where that is not known."""

    ttft_s: Spread | None
    total_s: Spread | None
    past: int
    """Earlier answers of the deployment."""
    paced: bool
    """The first token's time is what the deployment's pace predicts for this moment."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request will cost, in microdollars."""

    low_microusd: int
    expected_microusd: int
    high_microusd: int
    at_most_microusd: int
    """With an answer of `max_tokens`, and nothing from a cache."""


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of at least one value."""
    ordered = sorted(values)
    return Spread(_at(ordered, LOW_SHARE), _at(ordered, 0.5), _at(ordered, HIGH_SHARE))


def answer_length(past_tokens: Sequence[int], max_tokens: int) -> AnswerLength:
    """Return how long an answer will be.

    Args:
        past_tokens: Of earlier answers of the same agent and request class.
        max_tokens: What the request allows.
    """
    if len(past_tokens) < LEAST_PAST:
        return AnswerLength(Spread(max_tokens, max_tokens, max_tokens), len(past_tokens))
    found = spread([min(tokens, max_tokens) for tokens in past_tokens])
    return AnswerLength(found, len(past_tokens))


def times(
    past: Sequence[PastAnswer], prompt_tokens: int, length: AnswerLength, wait: Wait | None
) -> Times:
    """Return how long an answer will take at one deployment.

    Args:
        past: Earlier answers there.
        prompt_tokens: Of the request, as the deployment counts them.
        length: Of the answer.
        wait: What its pace predicts, or None.
    """
    ttft_s = _first_token_s(past, prompt_tokens, wait)
    speeds = [
        answer.output_tokens / (answer.total_s - answer.ttft_s)
        for answer in past
        if answer.output_tokens > 1 and answer.total_s > answer.ttft_s
    ]
    total_s = None
    if ttft_s is not None and len(speeds) >= LEAST_PAST:
        speed, tokens = spread(speeds), length.tokens
        total_s = Spread(
            ttft_s.low + tokens.low / speed.high,
            ttft_s.expected + tokens.expected / speed.expected,
            ttft_s.high + tokens.high / speed.low,
        )
    return Times(ttft_s, total_s, len(past), paced=wait is not None)


def cost(
    prompt_tokens: int, length: AnswerLength, max_tokens: int, price: Price, *, cache_marks: bool
) -> Cost:
    """Return what a request will cost at a price.

    Args:
        prompt_tokens: As estimated.
        length: Of the answer.
        max_tokens: What the request allows.
        price: Of the model.
        cache_marks: The request has `cache_control` marks (Anthropic's docs, *Prompt caching*).
    """

    def at(output_tokens: float, *, read: bool = False, for_an_hour: bool = False) -> int:
        prompt = "input_tokens"
        if cache_marks:
            written = "cache_write_1h_tokens" if for_an_hour else "cache_write_5m_tokens"
            prompt = "cache_read_tokens" if read else written
        counts = TokenCounts(**{prompt: prompt_tokens}, output_tokens=round(output_tokens))
        return cost_microusd(counts, price)

    tokens = length.tokens
    return Cost(
        low_microusd=at(tokens.low, read=True),
        expected_microusd=at(tokens.expected),
        high_microusd=at(tokens.high),
        at_most_microusd=at(max_tokens, for_an_hour=True),
    )


def asked_model(
    deployment: Deployment,
    requested_model: str,
    asks: str | None,
    roster: Roster,
    deployments: Mapping[str, Deployment],
) -> str:
    """Return the model that a deployment's upstream would be asked for.

    Args:
        deployment: Whose upstream it is.
        requested_model: By the client.
        asks: What the plan says of this deployment (`Plan.asks`).
        roster: By which requested models are read.
        deployments: Likewise.

    Raises:
        UnknownAgent: The requested model names an agent that there is not.
    """
    model = deployment.upstream_model
    if deployment.side is not Side.CLAUDE or model != ANY_UPSTREAM_MODEL:
        return model
    if asks is not None:
        return asks
    if is_claude_model(requested_model, roster, deployments):
        return requested_model
    return deployment.base_model or requested_model


def confidence(past: int) -> str:
    """Return in a word how much so many earlier requests say: none, low, fair or good."""
    if past < LEAST_PAST:
        return "none"
    if past < FAIR_FROM:
        return "low"
    return "fair" if past < GOOD_FROM else "good"


def _first_token_s(
    past: Sequence[PastAnswer], prompt_tokens: int, wait: Wait | None
) -> Spread | None:
    if wait is not None:
        return Spread(wait.total_s, wait.total_s, wait.total_s)
    alike = [
        answer.ttft_s
        for answer in past
        if answer.prompt_tokens <= LIKE_LENGTH * prompt_tokens
        and prompt_tokens <= LIKE_LENGTH * answer.prompt_tokens
    ]
    if len(alike) < LEAST_PAST:
        alike = [answer.ttft_s for answer in past]
    return spread(alike) if len(alike) >= LEAST_PAST else None


def _at(ordered: Sequence[float], share: float) -> float:
    """Return the value at a share (0 to 1) of the way through, between two if it falls there."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
