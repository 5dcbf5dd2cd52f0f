"""Whether a model fits what is asked of it: the context it was trained for, its machine's memory.

Rules:
1. What the config file says of a model counts; where it says nothing, what was seen does.
2. What is not known is no reason against a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from routing.types import Deployment

KIB_PER_GIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SeenModel:
    """What an upstream says of a model; None means unknown."""

    trained_context_tokens: int | None = None
    weights_gib: float | None = None
    kv_kib_per_token: float | None = None


UNSEEN: Final = SeenModel()


def beyond_training(deployment: Deployment, seen: SeenModel | None) -> str | None:
    """Return why the pinned context is too long for the model, or None.

    Ollama shortens such a context with no more than a line in its log (conformance 233), so what
    we believe fits would not.
    """
    pinned = deployment.num_ctx
    if pinned is None:
        return None
    trained = deployment.trained_context_tokens
    if trained is None and seen is not None:
        trained = seen.trained_context_tokens
    if trained is None or pinned <= trained:
        return None
    return f"num_ctx {pinned} is above what the model was trained for ({trained})"


def size_gib(deployment: Deployment, seen: SeenModel = UNSEEN) -> float | None:
    """Return weights and KV cache of one full context; None where the weights are not known."""
    weights = _weights_gib(deployment, seen)
    if weights is None:
        return None
    return weights + _kv_kib(deployment, seen) * (deployment.num_ctx or 0) / KIB_PER_GIB


def size_told(deployment: Deployment, seen: SeenModel = UNSEEN) -> str:
    """Return the arithmetic of one model, e.g. `18.5 GiB + 256 KiB x 32768 tokens = 26.5 GiB`."""
    return (
        f"{_weights_gib(deployment, seen) or 0:.3g} GiB + {_kv_kib(deployment, seen):g} KiB x "
        f"{deployment.num_ctx or 0} tokens = {size_gib(deployment, seen) or 0:.1f} GiB"
    )


def too_big(deployment: Deployment, seen: SeenModel, memory_gib: float) -> str | None:
    """Return the arithmetic of a model that does not fit its machine alone, or None."""
    size = size_gib(deployment, seen)
    if size is None or size <= memory_gib:
        return None
    return f"{size_told(deployment, seen)}, and its machine has {memory_gib:.3g} GiB for models"


def _weights_gib(deployment: Deployment, seen: SeenModel) -> float | None:
    stated = deployment.weights_gib
    return seen.weights_gib if stated is None else stated


def _kv_kib(deployment: Deployment, seen: SeenModel) -> float:
    stated = deployment.kv_kib_per_token
    return (seen.kv_kib_per_token if stated is None else stated) or 0.0
