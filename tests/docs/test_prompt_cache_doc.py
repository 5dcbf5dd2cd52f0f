"""docs/prompt-cache.md and the figures in docs/performance.md are what the code and the run say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ccproxy.observability.metrics import Metrics
from ccproxy.pipeline.prefix_watch import LEAST_LOST_BYTES, LIMIT_BYTES, RECENT
from routing.pace import CLIENT_LIMIT_S, LEAST_READ_TOKENS, Wait

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/prompt-cache.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [
        f"gives up {LEAST_LOST_BYTES} bytes or more",
        f"{LIMIT_BYTES // 2**20} MiB of them at most",
        f"one of the last {RECENT} at that deployment",
        f"min({CLIENT_LIMIT_S:g} s, the route's deadline_s)",
        f"prompts of at least {LEAST_READ_TOKENS} tokens",
        Wait(0.0, 6.0, 40_600, 100.0).told(),
    ],
)
def test_the_rules_are_those_of_the_code(words: str) -> None:
    """Each number, and the words of a prediction, stand there as the code has them."""
    assert words in " ".join(PAGE.split())


def test_the_metrics_exist() -> None:
    """What ops are told to look at is there to be looked at."""
    names = {f"{family.name}_total" for family in Metrics().registry.collect()}

    assert {"ccproxy_prompt_tokens_total", "ccproxy_notes_total"} <= names
    assert "ccproxy_prompt_tokens_total{agent,deployment,kind}" in PAGE


def test_the_figures_are_those_of_the_run() -> None:
    """The tables round what the results file says."""
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    results = json.loads((ROOT / "benchmarks/results/prefix_cache.json").read_text())
    for _, turn in results["turns"].values():
        row = f"| {turn['reused']:,} | {turn['evaluated']:,} | {turn['prefill_s']:.3g} s |"
        assert row in page
        assert f"{row} {turn['ttft_s']:.0f} s |" in page
    for figures in results["conversation"].values():
        shares = figures["least_kept_share"], max(figures["kept_share"]), figures["read_share"]
        assert "| " + " | ".join(map(_percent, shares[:2])) + " |" in page
        assert f"| {shares[2]:.0%} |".replace("%", " %") in page


def _percent(share: float) -> str:
    return f"{share:.1%}".replace(".0%", "%").replace("%", " %")
