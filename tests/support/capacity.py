"""The generated part of docs/models.md: which models fit which machine.

    python -m tests.support.capacity

writes it anew, between its two markers, from the arithmetic that `ccproxy init` chooses by.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ccproxy.setup.arithmetic import (
    KvCacheType,
    Runner,
    buffers_gib,
    kv_kib_per_token,
    model_memory_gib,
    resident_gib,
)
from ccproxy.setup.catalogue import CODER
from ccproxy.setup.choice import CONTEXTS_TOKENS, RAM_PROFILES_GIB, choose
from ccproxy.setup.wishes import DEFAULT_MODELS, Wishes

PAGE: Final = Path(__file__).parents[2] / "docs/models.md"
BEGIN: Final = "<!-- generated from the arithmetic of `ccproxy init` by `make docs` -->\n"
END: Final = "<!-- end of the generated part -->\n"
WISHES: Final = Wishes({role: (model,) for role, model in DEFAULT_MODELS.items()})
"""Those of the shipped roster."""
_RUNNERS: Final = {
    "f16": Runner(),
    "q8_0": Runner(KvCacheType.Q8_0),
    "f16, 2 parallel": Runner(parallel=2),
}


def with_guide(page: str) -> str:
    """Return the page with the guide as the arithmetic has it.

    Raises:
        ValueError: A marker is missing.
    """
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{PAGE.name}: the markers of the generated guide are missing")
    return f"{before}{BEGIN}\n{_machines()}\n{_models()}\n{END}{after}"


def _machines() -> str:
    lines = [
        "| memory | for models | KV cache | chosen | context | together |",
        "|---|---|---|---|---|---|",
    ]
    for ram_gib in RAM_PROFILES_GIB:
        for name, runner in _RUNNERS.items():
            choice = choose(WISHES, ram_gib=ram_gib, runner=runner)
            chosen = " + ".join(f"{each.role} {_size(each.card.name)}" for each in choice.models)
            context = f"{choice.models[0].num_ctx:,}" if choice.models else ""
            lines.append(
                f"| {ram_gib} GiB | {model_memory_gib(ram_gib):.1f} GiB | {name} | {chosen or 'none'} "
                f"| {context} | {choice.resident_gib:.1f} GiB |"
            )
    return "\n".join(lines) + "\n"


def _models() -> str:
    longest = CONTEXTS_TOKENS[0]
    lines = [
        "| model | weights | KV per token, f16 | q8_0 | buffers | without flash attention | whole, f16 | q8_0 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for card in CODER:
        f16, q8_0 = (kv_kib_per_token(card, kind) for kind in (KvCacheType.F16, KvCacheType.Q8_0))
        flash, plain = (buffers_gib(card, longest, flash_attention=on) for on in (True, False))
        sizes = (resident_gib(card, longest, _RUNNERS[name]) for name in ("f16", "q8_0"))
        told = " | ".join(f"{size:.1f} GiB" for size in sizes)
        lines.append(
            f"| {_size(card.name)} | {card.weights_gib:.2f} GiB | {f16:g} KiB | {q8_0:g} KiB | "
            f"{flash:.2f} GiB | {plain:.2f} GiB | {told} |"
        )
    return "\n".join(lines) + "\n"


def _size(name: str) -> str:
    return name.partition(":")[2].removesuffix("-instruct")


if __name__ == "__main__":
    PAGE.write_text(with_guide(PAGE.read_text(encoding="utf-8")), "utf-8")
