"""How far our token estimates are off for a model, learned from the model's own counts.

A ratio multiplies the estimate. Rules:

1. It starts at 1 and stays within `LOWEST_RATIO` and `HIGHEST_RATIO`.
2. Only a plausible count is learned from: the estimate has `LEAST_LEARNED_TOKENS` or more and no
   image in it, and count / estimate is within the bounds and not below `FAR_BELOW` of the ratio.
3. It follows a higher quotient at once (a quarter of the way) and a lower one slowly (a 32nd): a
   count may be low for reasons that are not the vocabulary, it cannot be high for any; and where
   the two are mixed up, an estimate too high costs a little room, one too low costs the prompt.
   It thus settles near the upper end of what a model's counts show for the texts it is sent.
4. A count below `TRUNCATED_BELOW` of the calibrated estimate says that the model did not read the
   whole prompt, if that has `LEAST_ALARMING_TOKENS` or more and no image in it.

Why a low count proves little: Ollama 0.30 reported only what was not in its cache until that was
corrected (ollama/ollama pull request 16428; conformance 219), and very old ones did so as well.
Most such counts are so low that rule 2 passes them over, and rule 3 gives the rest little weight.
Rule 4 cannot tell them from a cut prompt; the log line says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

LOWEST_RATIO: Final = 0.6
HIGHEST_RATIO: Final = 1.8
"""Counts of current models lie within these for ordinary text (see `ccproxy/wire/estimate`)."""
LEAST_LEARNED_TOKENS: Final = 256
"""Shorter prompts tell of a model's chat template, e.g. its own system prompt, not of its words."""
FAR_BELOW: Final = 0.75
"""Of the ratio; texts of different kinds differ by less (0.9 to 1.4 times the true count)."""
UP_SHARE: Final = 1 / 4
DOWN_SHARE: Final = 1 / 32
TRUNCATED_BELOW: Final = 0.5
"""Of the calibrated estimate. Of 1100 texts of all kinds none was estimated at more than 1.6 times
its true count (`ccproxy/wire/estimate`); dropped messages (conformance 228) leave much less."""
LEAST_ALARMING_TOKENS: Final = 1024
"""What is shorter fits every context: Ollama's own defaults begin at 4096 (conformance 227)."""


@dataclass(frozen=True, slots=True)
class TokenRatio:
    """What is known of one model: true tokens per estimated one, and from how many counts."""

    ratio: float = 1.0
    samples: int = 0

    def tokens(self, estimated_tokens: int) -> int:
        """Return the calibrated estimate: deterministic, at least 1, never less for more."""
        return max(1, ceil(estimated_tokens * self.ratio))


UNKNOWN_RATIO: Final = TokenRatio()


def learned(
    known: TokenRatio, estimated_tokens: int, counted_tokens: int, *, exact: bool = True
) -> TokenRatio:
    """Return what is known after one more answer; the very same object if it taught nothing.

    Args:
        known: Before.
        estimated_tokens: Of the prompt, not calibrated.
        counted_tokens: What the model says it read.
        exact: No image is in the prompt; their tokens are guesses, and nothing is learned of them.
    """
    if not exact or estimated_tokens < LEAST_LEARNED_TOKENS:
        return known
    quotient = counted_tokens / estimated_tokens
    if not LOWEST_RATIO <= quotient <= HIGHEST_RATIO or quotient < FAR_BELOW * known.ratio:
        return known
    share = UP_SHARE if quotient > known.ratio else DOWN_SHARE
    return TokenRatio(known.ratio + share * (quotient - known.ratio), known.samples + 1)


def is_truncated(
    known: TokenRatio, estimated_tokens: int, counted_tokens: int, *, exact: bool = True
) -> bool:
    """Return whether so low a count means that a part of the prompt was dropped (rule 4).

    Args:
        known: Before this answer.
        estimated_tokens: Of the prompt, not calibrated.
        counted_tokens: What the model says it read.
        exact: No image is in the prompt.
    """
    expected = known.tokens(estimated_tokens)
    return (
        exact and expected >= LEAST_ALARMING_TOKENS and counted_tokens < TRUNCATED_BELOW * expected
    )


def restored(ratio: float, samples: int) -> TokenRatio:
    """Return what was known earlier, within the bounds whatever was stored."""
    if not LOWEST_RATIO <= ratio <= HIGHEST_RATIO or samples < 1:
        return UNKNOWN_RATIO
    return TokenRatio(ratio, samples)
