"""The share of requests that their first choice did not serve, over the last minutes.

Pure: a ring of buckets, so that its size does not depend on the traffic. Rules:

1. The rate is told only of `least_requests` or more: one of two is no rate.
2. It is high from `above` on, and again well once it is at or below three quarters of that, or once
   nothing fell back in the whole window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

BUCKETS: Final = 20
WELL_AGAIN: Final = 0.75


@dataclass(frozen=True, slots=True)
class FallbackRules:
    """When the rate is high.

    Raises:
        ValueError: A share that is none, or no window.
    """

    above: float = 0.2
    window_s: float = 900.0
    least_requests: int = 20

    def __post_init__(self) -> None:
        """Check what the rest relies on."""
        if not (0 < self.above <= 1 and self.window_s > 0 and self.least_requests > 0):
            raise ValueError("needs 0 < above <= 1, and window_s and least_requests above 0")


@dataclass(frozen=True, slots=True)
class _Bucket:
    number: int
    """Since the clock's zero."""
    requests: int = 0
    fallbacks: int = 0


@dataclass(frozen=True, slots=True)
class FallbackRate:
    """What was counted; begins empty and well."""

    rules: FallbackRules
    buckets: tuple[_Bucket, ...] = ()
    """Those with requests, oldest first; `BUCKETS` at most."""
    is_high: bool = False

    def counted(self, *, fell_back: bool, now_s: float) -> FallbackRate:
        """Return it with one more request."""
        number = self._number(now_s)
        kept = self._kept(number)
        last = kept[-1] if kept and kept[-1].number >= number else _Bucket(number)
        before = kept[:-1] if kept and kept[-1] is last else kept
        more = replace(last, requests=last.requests + 1, fallbacks=last.fallbacks + int(fell_back))
        return replace(self, buckets=(*before, more))

    def judged(self, now_s: float) -> FallbackRate:
        """Return it with `is_high` as of now."""
        kept = replace(self, buckets=self._kept(self._number(now_s)))
        requests, fallbacks = kept.requests, kept.fallbacks
        if requests >= self.rules.least_requests:
            limit = self.rules.above * (WELL_AGAIN if self.is_high else 1.0)
            share = fallbacks / requests
            return replace(kept, is_high=share > limit if self.is_high else share >= limit)
        return replace(kept, is_high=self.is_high and fallbacks > 0)

    @property
    def requests(self) -> int:
        """In the window, as of the last call."""
        return sum(bucket.requests for bucket in self.buckets)

    @property
    def fallbacks(self) -> int:
        """Of those, the ones that another deployment than the first was asked for."""
        return sum(bucket.fallbacks for bucket in self.buckets)

    def _number(self, now_s: float) -> int:
        return int(now_s // (self.rules.window_s / BUCKETS))

    def _kept(self, number: int) -> tuple[_Bucket, ...]:
        return tuple(bucket for bucket in self.buckets if bucket.number > number - BUCKETS)
