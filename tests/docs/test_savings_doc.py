"""docs/savings.md says what the code does; its example is computed here by the code itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ccproxy.config.pricing_file import load_pricing
from ccproxy.wire.cache_layout import MOST_BLOCKS
from routing.counterfactual import claude_tokens, would_have_cost
from routing.pricing import TokenCounts
from routing.prompt_cache import (
    LOOKBACK_POSITIONS,
    MOST_ENTRIES,
    READABLE_AFTER_S,
    Block,
    Breakpoint,
    CacheLayout,
    PromptCache,
)
from routing.savings import SavingsSums, told

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/savings.md").read_text(encoding="utf-8")
WORDS = " ".join(PAGE.replace("\n> ", " ").split())
PRICE = load_pricing(ROOT / "config/pricing.yaml").find("claude-sonnet-5-5")

SYSTEM = 8000
"""Tokens of tools and system prompt, marked for an hour."""
TURNS = ((0, 10_000, 500), (60, 12_000, 500), (2760, 13_000, 800))
"""When each came, in seconds, how long its prompt was and its answer, as the local model counts."""


def rows() -> list[tuple[str, tuple[int, int, int]]]:
    """Return each turn as the page's table has it, and what it would have cost."""
    cache, found, ends = PromptCache(), [], [SYSTEM]
    for number, (at_s, prompt, output) in enumerate(TURNS, 1):
        ends.append(prompt)
        blocks = [Block(b"%d" % end, end) for end in ends]
        marks = [Breakpoint(0, 3600), Breakpoint(len(ends) - 1, 300)]
        use = cache.look("m", CacheLayout(prompt, blocks, marks), now_s=at_s)
        cache.ended(use, at_s + 20)
        local = TokenCounts(input_tokens=prompt, output_tokens=output)
        tokens = claude_tokens(use, use.simulated, local, PRICE.token_range.expected_permille)
        costs = would_have_cost(use, local, PRICE)
        counts = (
            prompt,
            tokens.cache_read_tokens,
            tokens.cache_write_1h_tokens,
            tokens.cache_write_5m_tokens,
            tokens.output_tokens,
        )
        money = " | ".join(f"${cost / 10**6:.4f}" for cost in costs)
        found.append((f"| {number} | {' | '.join(f'{n:,}' for n in counts)} | {money} |", costs))
    return found


@pytest.mark.parametrize("number", range(len(TURNS)))
def test_the_example_is_computed(number: int) -> None:
    """Tokens and money of each turn stand there as the code computes them."""
    assert rows()[number][0] in PAGE


def test_the_sum_is_told_in_the_words_of_the_code() -> None:
    """A thousand such conversations, and what else they cost."""
    low, expected, high = (1000 * sum(each) for each in zip(*(c for _, c in rows()), strict=True))
    sums = SavingsSums(3000, low, expected, high, 2_600_000, 1_300_000, uncompared=12)

    assert told(sums) in WORDS


@pytest.mark.parametrize(
    "words",
    [
        f"{LOOKBACK_POSITIONS} positions",
        f"{READABLE_AFTER_S:g} s after",
        f"{MOST_ENTRIES:,} entries",
        f"{MOST_BLOCKS:,} blocks",
    ],
)
def test_the_rules_are_those_of_the_code(words: str) -> None:
    """Each number stands there as the code has it."""
    assert words in WORDS


def test_the_ranges_are_those_of_the_price_file() -> None:
    """How many tokens Claude counts, by tokenizer."""
    ranges = yaml.safe_load((ROOT / "config/pricing.yaml").read_text())["tokenizers"]
    for name, known in ranges.items():
        assert f"| `{name}` | {known['low']} | {known['expected']} | {known['high']} |" in PAGE
