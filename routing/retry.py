"""What to do after a failed attempt: another deployment at once, the same again, or give up.

Asked only as long as nothing of an answer was relayed. First match wins:

1. A failure that ends the plan (`Consequence.fall_back` is false): give up.
2. The deadline has passed, or the attempts are used up: give up.
3. A rate limit names a wait of at most `longest_wait_s`, another deployment is left, and none was
   waited for yet: retry after that wait. For a moment's pause nobody should be served by another
   model. With nobody else left the client waits itself, as it would at Claude (conformance 272).
4. Another deployment is left: fall back, without a pause (design 5).
5. The class allows no more retries at the same deployment: give up.
6. The upstream wants to be left alone for longer than a client should be kept waiting, or the pause
   would not end before the deadline: give up. The client is told to come again.
7. Retry after a random part of a pause that doubles each time ("full jitter"), or after what the
   upstream named, if that is longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf, isfinite
from typing import Final

from routing.failures import CONSEQUENCES, FailureClass

_LARGEST_EXPONENT: Final = 64


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How much is tried for one request; docs/reliability.md has the sources."""

    attempts: int = 5
    """Of all deployments, retries included. Ours; Google's SRE book has 3 at one service."""
    first_pause_s: float = 0.5
    """The Anthropic SDK's."""
    longest_pause_s: float = 8.0
    """The Anthropic SDK's; as long as our patience with a stream that has not begun (design 5)."""
    longest_wait_s: float = 5.0
    """Of a `retry-after` that is waited for here; ours, shorter than that patience."""


DEFAULT_RULES: Final = RetryRules()


class GiveUpReason(StrEnum):
    """Why nothing more is tried."""

    FINAL = "final"
    """No other deployment could do better."""
    DEADLINE = "deadline"
    ATTEMPTS = "attempts"
    """The request's attempts are used up."""
    NOTHING_LEFT = "nothing_left"
    """No other deployment, and no retry of this one."""
    LONG_WAIT = "long_wait"
    """The upstream asks for a longer pause than is waited for here."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try the same deployment again."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class FallBack:
    """Try the next deployment, at once."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Tell the client."""

    reason: GiveUpReason


def after_failure(
    failure: FailureClass,
    *,
    retries_done: int,
    attempts_done: int,
    others_left: bool,
    jitter: float,
    retry_after_s: float | None = None,
    remaining_s: float | None = None,
    rules: RetryRules = DEFAULT_RULES,
) -> Retry | FallBack | GiveUp:
    """Return what to do next.

    Args:
        failure: Of the latest attempt.
        retries_done: How often its deployment was tried again already.
        attempts_done: Of the request, the failed one included.
        others_left: A deployment that was not tried yet may be (its breaker admits, say).
        jitter: Random, from 0 to 1.
        retry_after_s: What the upstream named, if anything.
        remaining_s: Until the request's deadline; None where there is none.
        rules: How much is tried.
    """
    consequence = CONSEQUENCES[failure]
    if not consequence.fall_back:
        return GiveUp(GiveUpReason.FINAL)
    if remaining_s is not None and remaining_s <= 0:
        return GiveUp(GiveUpReason.DEADLINE)
    if attempts_done >= rules.attempts:
        return GiveUp(GiveUpReason.ATTEMPTS)
    wait_s = retry_after_s if retry_after_s is not None and isfinite(retry_after_s) else 0.0
    if others_left:
        is_short = 0 < wait_s <= rules.longest_wait_s and wait_s < (remaining_s or inf)
        waits = failure is FailureClass.RATE_LIMIT and is_short and retries_done == 0
        return Retry(wait_s) if waits else FallBack()
    if retries_done >= consequence.retries:
        return GiveUp(GiveUpReason.NOTHING_LEFT)
    if wait_s > rules.longest_wait_s:
        return GiveUp(GiveUpReason.LONG_WAIT)
    delay_s = max(wait_s, pause_s(retries_done, jitter, rules))
    if remaining_s is not None and delay_s >= remaining_s:
        return GiveUp(GiveUpReason.DEADLINE)
    return Retry(delay_s)


def pause_s(retries_done: int, jitter: float, rules: RetryRules = DEFAULT_RULES) -> float:
    """Return the pause before the next retry: a random part of one that doubles each time.

    Args:
        retries_done: At the same deployment.
        jitter: Random, from 0 to 1.
        rules: Its length.
    """
    exponent = min(retries_done, _LARGEST_EXPONENT)
    return jitter * min(rules.first_pause_s * 2.0**exponent, rules.longest_pause_s)
