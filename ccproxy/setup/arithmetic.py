"""How much memory a model needs, and how much of a machine's memory models can have.

A loaded model is its weights, a KV cache for every context that is open at once, and the buffers
of one evaluation:

    weights + KV per token x context x parallel + buffers

Before Ollama loads a model beside others it makes room, and is careful about it: weights and KV
cache, at f16 whatever is set, must be at most `LOAD_SHARE` of what is free beyond `RESERVE_GIB`, or
it unloads another model first. Two that fit only just would throw each other out all day.

Sources: the KV cache of llama.cpp (a key and a value of each KV head in every layer; q8_0 takes 34
bytes for 32 values); the buffers as Ollama reckons them for qwen2 (`GraphSize` in fs/ggml/ggml.go):
without flash attention a score for every head and every token of the context, with it what the
vocabulary needs; how it makes room: `llamaServerLoadHeadroomPercent`, `llamaServerDeviceReserve`
and `PredictServerVRAM` of its server and llm packages, version 0.32. Older ones want less.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from routing.fit import KIB_PER_GIB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ccproxy.setup.catalogue import ModelCard

BYTES_PER_GIB: Final = 2**30
BATCH_TOKENS: Final = 512
"""Tokens of a prompt that are evaluated at once. Source: Ollama's default `num_batch`."""
_SCORE_BYTES: Final = 4

GPU_SHARE: Final = 2 / 3
GPU_SHARE_FROM_36_GIB: Final = 3 / 4
"""Of the memory of an Apple machine, what macOS lets its GPU have. Source: Metal's
`recommendedMaxWorkingSetSize`, as llama.cpp prints it: 10.67 GiB of 16, 16 of 24, 21.33 of 32, 27
of 36, 36 of 48, 48 of 64, 72 of 96. `sysctl iogpu.wired_limit_mb` overrides it."""
_LARGE_GIB: Final = 36
LOAD_SHARE: Final = 0.8
RESERVE_GIB: Final = 1.5
"""0.5 GiB for Metal, and 1 GiB that Ollama always leaves."""


class KvCacheType(StrEnum):
    """How exact keys and values are kept; `OLLAMA_KV_CACHE_TYPE`."""

    F16 = "f16"
    """Ollama's default."""
    Q8_0 = "q8_0"
    """About half of that; Ollama uses it only with flash attention."""
    Q4_0 = "q4_0"
    """About a quarter; qwen2's answers suffer (Ollama docs/faq.md)."""

    @property
    def bytes_per_value(self) -> float:
        """Memory of one value."""
        return {KvCacheType.F16: 2.0, KvCacheType.Q8_0: 34 / 32, KvCacheType.Q4_0: 18 / 32}[self]


@dataclass(frozen=True, slots=True)
class Runner:
    """How Ollama runs its models here."""

    kv_cache: KvCacheType = KvCacheType.F16
    flash_attention: bool = True
    parallel: int = 1
    """Contexts of each model that are open at once; `OLLAMA_NUM_PARALLEL`."""
    is_seen: bool = True
    """False where nothing of Ollama's settings can be seen, and the others are what is usual."""


@dataclass(frozen=True, slots=True)
class Load:
    """A model, as it is in memory and as Ollama reckons with it before."""

    resident_gib: float
    predicted_gib: float
    """Weights and KV caches at f16."""


def stay_together(loads: Iterable[Load], room_gib: float) -> bool:
    """Return whether all of them stay loaded, once each has been asked for twice.

    The largest may be loaded only after it has thrown out the others; those that come back then
    must find room.
    """
    used_gib = 0.0
    for load in sorted(loads, key=lambda each: each.resident_gib, reverse=True):
        free_gib = room_gib - used_gib
        if load.resident_gib > free_gib:
            return False
        if used_gib and load.predicted_gib > LOAD_SHARE * (free_gib - RESERVE_GIB):
            return False
        used_gib += load.resident_gib
    return True


def model_memory_gib(ram_gib: float, wired_limit_mib: int = 0) -> float:
    """Return what models can have of a machine's memory.

    Args:
        ram_gib: All of it.
        wired_limit_mib: `iogpu.wired_limit_mb`; 0 is macOS's own share, and no more than there is
            can be had.
    """
    if wired_limit_mib > 0:
        return min(wired_limit_mib / 1024, ram_gib)
    share = GPU_SHARE_FROM_36_GIB if ram_gib >= _LARGE_GIB else GPU_SHARE
    return ram_gib * share


def kv_kib_per_token(card: ModelCard, kv_cache: KvCacheType) -> float:
    """Return what each token of context costs."""
    values = card.layers * card.kv_heads * card.head_width * 2
    return values * kv_cache.bytes_per_value / 1024


def buffers_gib(card: ModelCard, context_tokens: int, *, flash_attention: bool) -> float:
    """Return what one evaluation needs besides weights and KV cache."""
    words = card.width + card.vocabulary
    if flash_attention:
        return _SCORE_BYTES * BATCH_TOKENS * words / BYTES_PER_GIB
    scores = 1 + 2 * card.width + context_tokens * (1 + card.heads)
    return _SCORE_BYTES * BATCH_TOKENS * max(words, scores) / BYTES_PER_GIB


def resident_gib(card: ModelCard, context_tokens: int, runner: Runner) -> float:
    """Return the memory of a loaded model of the catalogue."""
    kv_kib = kv_kib_per_token(card, runner.kv_cache)
    buffers = buffers_gib(card, context_tokens, flash_attention=runner.flash_attention)
    return card.weights_gib + kv_gib(kv_kib, context_tokens, runner.parallel) + buffers


def load_of(card: ModelCard, context_tokens: int, runner: Runner) -> Load:
    """Return both sizes of a model of the catalogue."""
    kv_kib = kv_kib_per_token(card, KvCacheType.F16)
    predicted = card.weights_gib + kv_gib(kv_kib, context_tokens, runner.parallel)
    return Load(resident_gib(card, context_tokens, runner), predicted)


def kv_gib(kv_kib: float, context_tokens: int, parallel: int) -> float:
    """Return the memory of the KV caches of one model."""
    return kv_kib * context_tokens * parallel / KIB_PER_GIB
