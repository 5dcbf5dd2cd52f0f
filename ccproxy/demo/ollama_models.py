"""The simulated machine's models, and how the simulation counts tokens.

One token is four bytes of UTF-8. That is coarse, deterministic and cheap, and close to what
qwen's tokenizer makes of English and code.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

BYTES_PER_TOKEN: Final = 4
IMAGE_TOKENS: Final = 768
"""What Ollama reckons for one image when it checks the context. Source: Ollama server/prompt.go."""


@dataclass(frozen=True, slots=True)
class SimModel:
    """One model and what it costs to run."""

    name: str
    """With its tag, e.g. `qwen3:8b`."""
    weights_gib: float = 5.0
    kv_kib_per_token: float = 128.0
    trained_context_tokens: int = 32768
    capabilities: tuple[str, ...] = ("completion", "tools")
    """Of `completion`, `tools`, `vision`, `thinking`."""
    load_s: float = 3.0
    prefill_tokens_per_s: float = 600.0
    decode_tokens_per_s: float = 30.0
    architecture: str = "qwen2"
    parameter_size: str = "32.8B"
    native_chat: bool = False
    """Chat runs in llama.cpp's own server: tool calls arrive in the `done` record, and an
    overflow is reported as llama.cpp's JSON inside Ollama's `error` string. Source: Ollama
    server/routes.go `handleNativeChat`."""
    remote_host: str = ""
    """Not empty for a stub whose inference runs elsewhere."""
    remote_model: str = ""
    made_with: tuple[tuple[str, object], ...] = ()
    """Parameters of the recipe that made it of another model."""

    @property
    def digest(self) -> str:
        """64 hex digits that change with everything `/api/show` says."""
        return hashlib.sha256(repr(self).encode()).hexdigest()

    @property
    def weights_bytes(self) -> int:
        """Size on disk and, without a context, in memory."""
        return int(self.weights_gib * 2**30)

    def resident_bytes(self, num_ctx: int, parallel: int) -> int:
        """Memory of the loaded model with `parallel` slots of `num_ctx` tokens."""
        return self.weights_bytes + int(self.kv_kib_per_token * 1024) * num_ctx * parallel


def default_fleet() -> tuple[SimModel, ...]:
    """Return the models of the demo; rates as one expects of a 32 GB Apple machine."""
    return (
        SimModel(
            "qwen2.5-coder:32b-instruct",
            19.8,
            256,
            32768,
            load_s=6.0,
            prefill_tokens_per_s=220,
            decode_tokens_per_s=11,
        ),
        SimModel(
            "qwen2.5:32b-instruct",
            19.8,
            256,
            32768,
            load_s=6.0,
            prefill_tokens_per_s=220,
            decode_tokens_per_s=11,
        ),
        SimModel(
            "qwen-fast:latest",
            4.7,
            56,
            32768,
            load_s=1.5,
            parameter_size="7.6B",
            prefill_tokens_per_s=900,
            decode_tokens_per_s=48,
        ),
        SimModel(
            "qwen3:8b",
            5.2,
            144,
            40960,
            ("completion", "tools", "thinking"),
            load_s=1.7,
            prefill_tokens_per_s=800,
            decode_tokens_per_s=42,
            architecture="qwen3",
            parameter_size="8.2B",
        ),
        SimModel(
            "qwen2.5vl:7b",
            6.0,
            56,
            125952,
            ("completion", "vision"),
            load_s=2.0,
            prefill_tokens_per_s=700,
            decode_tokens_per_s=40,
            architecture="qwen25vl",
            parameter_size="8.3B",
        ),
    )


def of_weight(name: str, weights_gib: float) -> SimModel:
    """Return a model of that many GiB, as fast as those of the fleet for its size.

    What bounds them is how many GiB of weights the machine reads in a second.
    """
    like = default_fleet()[0]
    lighter = like.weights_gib / weights_gib
    return SimModel(
        name,
        weights_gib,
        load_s=like.load_s / lighter,
        prefill_tokens_per_s=like.prefill_tokens_per_s * lighter,
        decode_tokens_per_s=like.decode_tokens_per_s * lighter,
        parameter_size=f"{float(like.parameter_size.rstrip('B')) / lighter:.1f}B",
    )


def normalised(name: str) -> str:
    """Return a model name as Ollama compares it: lower case, `latest` if it has no tag."""
    lower = name.lower()
    return lower if ":" in lower.rpartition("/")[2] else f"{lower}:latest"


def count_tokens(text: str) -> int:
    """Return the simulated token count of a text, at least 1 unless it is empty."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return -(-size // BYTES_PER_TOKEN)


def common_prefix_chars(left: str, right: str) -> int:
    """Return how many leading characters two texts share, in O(n) of memcmp."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
