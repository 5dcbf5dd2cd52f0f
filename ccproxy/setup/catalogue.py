"""The qwen models that `ccproxy init` chooses from, with what their memory follows from.

Sizes are those of the registry's default quantisation (Q4_K_M) of each tag; layers, heads and
widths are of the model's own `config.json`. Source: registry.ollama.ai, and Qwen's model cards
`Qwen/Qwen2.5-Coder-*-Instruct`, `Qwen/Qwen2.5-*-Instruct`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GB_PER_GIB: Final = 2**30 / 1e9


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One model of the registry; see `setup.arithmetic` for what it needs."""

    name: str
    """As `ollama pull` takes it."""
    family: str
    """E.g. `qwen2.5-coder`: models of one family stand in for each other."""
    size_gb: float
    """Of the download, in GB, which is also the weights' memory."""
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    """Values per head; keys and values are equally wide."""
    width: int
    """Of the embedding."""
    vocabulary: int
    trained_context_tokens: int = 32768

    @property
    def weights_gib(self) -> float:
        """Memory of the weights."""
        return self.size_gb / GB_PER_GIB


def _qwen(family: str) -> tuple[ModelCard, ...]:
    """Return one family, the largest first; the coder and the general models are built alike."""

    def card(size: str, size_gb: float, *shape: int) -> ModelCard:
        return ModelCard(f"{family}:{size}-instruct", family, size_gb, *shape)

    return (
        card("32b", 19.85, 64, 40, 8, 128, 5120, 152064),
        card("14b", 8.99, 48, 40, 8, 128, 5120, 152064),
        card("7b", 4.68, 28, 28, 4, 128, 3584, 152064),
        card("3b", 1.93, 36, 16, 2, 128, 2048, 151936),
    )


CODER: Final = _qwen("qwen2.5-coder")
GENERAL: Final = _qwen("qwen2.5")
CATALOGUE: Final = {card.name: card for card in (*CODER, *GENERAL)}
"""By name."""
