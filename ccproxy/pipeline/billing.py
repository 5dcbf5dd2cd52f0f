"""What an answer is charged for, as its `usage` says it.

Rules:
1. Tokens written to the cache are five-minute ones unless the answer says which stay for an hour
   (Anthropic's docs, *Prompt caching*: `usage.cache_creation`).
2. `usage.iterations` names each sampling of an answer. What a compaction used is in there alone,
   and a prompt counts as long by one sampling, not by all of them together. Another model's
   sampling (an advisor's, a fallback's) cannot be charged by this model's prices.
3. `service_tier`, `inference_geo` and `speed` multiply prices unless they have their usual value.
   The Priority Tier is paid for by contract, so that what it costs is not known.
4. What is said in a way that is not understood makes the bill None: unknown, not free.

Source: `BetaUsage` of the anthropic SDK 2.11; Anthropic's docs, *Pricing* and *Service tiers*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from routing.pricing import Bill, TokenCounts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccproxy.outcome import Usage

_ONE_HOUR: Final = "ephemeral_1h_input_tokens"
_USUAL: Final = {
    "service_tier": ("standard",),
    "inference_geo": ("global", "not_available"),
    "speed": ("standard",),
}
"""Values that change no price, by field of `usage`; others are names of multipliers."""
_SAMPLINGS: Final = ("message", "compaction")
"""Types of iterations that may be the answering model's own."""


def bill_of(usage: Usage) -> Bill | None:
    """Return what an answer is charged for, or None (rule 4)."""
    said = usage.extra
    samplings = _samplings(usage)
    uses = said.get("server_tool_use") or {}
    multipliers = [
        said[name] for name, usual in _USUAL.items() if name in said and said[name] not in usual
    ]
    if samplings is None or not isinstance(uses, dict):
        return None
    is_understood = all(isinstance(name, str) for name in multipliers) and all(
        is_count(times) for times in uses.values()
    )
    return Bill(samplings, multipliers, uses) if is_understood else None


def token_counts(usage: Usage) -> TokenCounts:
    """Return all tokens of an answer, each in one place; what was not said counts as none."""
    first, *more = _samplings(usage) or (_top_level(usage),)
    for each in more:
        first = first.plus(each)
    return first


def count_in(said: object, name: str) -> int:
    """Return a count in a part of `usage`; what is no count is none."""
    return _count(said.get(name)) if isinstance(said, dict) else 0


def is_count(value: object) -> bool:
    """Return whether a value is a number of something."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _samplings(usage: Usage) -> tuple[TokenCounts, ...] | None:
    """Return the tokens of each sampling; None where not all of them are the model's own."""
    iterations = usage.extra.get("iterations")
    if not iterations:
        return (_top_level(usage),)
    if not isinstance(iterations, list) or not all(
        _is_own(each, usage.response_model) for each in iterations
    ):
        return None
    return tuple(map(_of_iteration, iterations))


def _is_own(iteration: object, model: str | None) -> bool:
    return (
        isinstance(iteration, dict)
        and iteration.get("type") in _SAMPLINGS
        and iteration.get("model") in (None, model)
    )


def _top_level(usage: Usage) -> TokenCounts:
    return _counts(
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_creation_input_tokens,
        usage.cache_read_input_tokens,
        usage.extra.get("cache_creation"),
    )


def _of_iteration(said: Mapping[str, Any]) -> TokenCounts:
    return _counts(
        said.get("input_tokens"),
        said.get("output_tokens"),
        said.get("cache_creation_input_tokens"),
        said.get("cache_read_input_tokens"),
        said.get("cache_creation"),
    )


def _counts(
    fresh: object, output: object, written: object, read: object, details: object
) -> TokenCounts:
    """Return what the fields of `usage` say; `details` is its `cache_creation`."""
    written_tokens = _count(written)
    one_hour = min(count_in(details, _ONE_HOUR), written_tokens) if details else 0
    return TokenCounts(
        _count(fresh), _count(output), written_tokens - one_hour, one_hour, _count(read)
    )


def _count(value: object) -> int:
    """Return a count; what is none counts as nothing."""
    return value if is_count(value) and isinstance(value, int) else 0
