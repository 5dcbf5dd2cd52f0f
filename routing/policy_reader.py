"""Reading the policies of one entry, rule or profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from routing.policies import MICRO, NO_POLICIES, OnOverflow, Policies, ThinkingMode, ThinkingPolicy

if TYPE_CHECKING:
    from routing.diagnostics import Diagnostics, Path

POLICY_KEYS: Final = ("deadline_s", "max_cost_usd_per_request", "thinking", "on_overflow")
THINKING_KEYS: Final = ("max_budget_tokens",)
THINKING_WORDS: Final = (ThinkingMode.KEEP.value, ThinkingMode.STRIP.value)


def read_policies(body: Mapping[str, object], path: Path, found: Diagnostics) -> Policies:
    """Return what `body` says under the policy keys; other keys are not looked at."""
    if body.keys().isdisjoint(POLICY_KEYS):
        return NO_POLICIES
    deadline_s = cost_usd = None
    if "deadline_s" in body:
        deadline_s = found.number(body["deadline_s"], (*path, "deadline_s"))
    if "max_cost_usd_per_request" in body:
        here = (*path, "max_cost_usd_per_request")
        cost_usd = found.number(body["max_cost_usd_per_request"], here, zero=True)
    return Policies(
        deadline_s=deadline_s,
        max_cost_microusd=None if cost_usd is None else round(cost_usd * MICRO),
        thinking=_read_thinking(body, path, found),
        on_overflow=_read_on_overflow(body, path, found),
    )


def _read_thinking(
    body: Mapping[str, object], path: Path, found: Diagnostics
) -> ThinkingPolicy | None:
    """Return the thinking policy, or None where there is none."""
    if "thinking" not in body:
        return None
    here = (*path, "thinking")
    raw = body["thinking"]
    if isinstance(raw, str) and raw in THINKING_WORDS:
        return ThinkingPolicy(ThinkingMode(raw))
    if not isinstance(raw, Mapping):
        found.refuse(here, f"must be keep, strip or {{max_budget_tokens: N}}, not {raw!r}")
        return None
    entries = found.mapping(raw, here, THINKING_KEYS, "key")
    if "max_budget_tokens" not in entries:
        found.refuse(here, "needs max_budget_tokens")
        return None
    most = found.whole_number(entries["max_budget_tokens"], (*here, "max_budget_tokens"))
    return ThinkingPolicy(ThinkingMode.CAP, most)


def _read_on_overflow(
    body: Mapping[str, object], path: Path, found: Diagnostics
) -> OnOverflow | None:
    """Return what an overflow does, or None where nothing is said."""
    if "on_overflow" not in body:
        return None
    raw = body["on_overflow"]
    if not isinstance(raw, str) or raw not in tuple(OnOverflow):
        found.refuse((*path, "on_overflow"), f"must be {' or '.join(OnOverflow)}, not {raw!r}")
        return None
    return OnOverflow(raw)
