"""From what a backend says of its models to what routing reckons with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from routing.fit import SeenModel

if TYPE_CHECKING:
    from ccproxy.ports import ModelFacts

_BYTES_PER_KIB: Final = 1024
_BYTES_PER_GIB: Final = 1024**3


def seen_model(facts: ModelFacts) -> SeenModel:
    """Return length and size of a model in routing's units."""
    weights, kv = facts.weights_bytes, facts.kv_bytes_per_token
    return SeenModel(
        trained_context_tokens=facts.trained_context_tokens,
        weights_gib=None if weights is None else weights / _BYTES_PER_GIB,
        kv_kib_per_token=None if kv is None else kv / _BYTES_PER_KIB,
    )
