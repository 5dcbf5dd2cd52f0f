"""How much a request may think, where the routing table limits it.

Toward Claude the wish is edited as byte ranges of the client's body; toward a local model in a copy
of the parsed one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.wire.spans import Span, cut_ranges, find_member, items, root, splice, without
from routing.policies import ThinkingMode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from routing.policies import ThinkingPolicy

_OFF: Final = b'{"type":"disabled"}'
_CLEARS_THINKING: Final = "clear_thinking"
"""Start of the types of context edits that Claude accepts only while thinking is on."""


def limit_thinking(body: bytes, policy: ThinkingPolicy) -> bytes:
    """Return a Messages body within the policy; the same object where nothing has to change.

    Capped is `budget_tokens`, however the number is written; adaptive thinking names none and
    stays. Stripped means switched off, and context edits that need thinking are cut.
    """
    if policy.mode is ThinkingMode.KEEP:
        return body
    thinking = find_member(body, "thinking", root(body))
    if thinking is None:
        return body
    wish = orjson.loads(body[thinking.start : thinking.end])
    if policy.mode is ThinkingMode.STRIP:
        if not _is_on(wish):
            return body
        return _without_thinking_edits(splice(body, thinking, _OFF))
    if not _exceeds(wish, policy):
        return body
    budget = find_member(body, "budget_tokens", thinking.start)
    assert budget is not None  # noqa: S101 - `_exceeds` has read it
    return splice(body, budget, b"%d" % (policy.max_budget_tokens or 0))


def limited_body(body: Mapping[str, Any], policy: ThinkingPolicy) -> Mapping[str, Any]:
    """Return a parsed Messages body within the policy; the same object if it already is."""
    wish = body.get("thinking")
    if policy.mode is ThinkingMode.STRIP and _is_on(wish):
        return {**body, "thinking": {"type": "disabled"}}
    if policy.mode is ThinkingMode.CAP and isinstance(wish, dict) and _exceeds(wish, policy):
        return {**body, "thinking": {**wish, "budget_tokens": policy.max_budget_tokens}}
    return body


def _is_on(wish: object) -> bool:
    return isinstance(wish, dict) and wish.get("type") in ("enabled", "adaptive")


def _exceeds(wish: object, policy: ThinkingPolicy) -> bool:
    budget = _as_number(wish.get("budget_tokens")) if isinstance(wish, dict) else None
    most = policy.max_budget_tokens
    return budget is not None and most is not None and budget > most


def _as_number(value: object) -> float | None:
    """Return a number in any spelling: whoever reads `9e3` or `"9000"` as 9000 would think so long.

    Claude may read more than the integer it asks for (conformance 102).
    """
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return value if isinstance(value, int | float) else None


def _without_thinking_edits(body: bytes) -> bytes:
    management = find_member(body, "context_management", root(body))
    if management is None or body[management.start] != ord("{"):
        return body
    edits = find_member(body, "edits", management.start)
    if edits is None or body[edits.start] != ord("["):
        return body
    spans = list(items(body, edits.start))
    cut = {index for index, span in enumerate(spans) if _clears_thinking(body, span)}
    return without(body, sorted(cut_ranges(spans, cut)))


def _clears_thinking(body: bytes, span: Span) -> bool:
    edit = orjson.loads(body[span.start : span.end])
    return isinstance(edit, dict) and str(edit.get("type")).startswith(_CLEARS_THINKING)
