"""What serving requests locally has saved: a range, and its words.

Rules:
1. Saved is what local answers would have cost at Claude, less what they cost themselves, less what
   attempts cost whose answer nobody got. What Claude served saved nothing.
2. It is told as a range. Where the range holds a loss, the words say so.
3. What could not be compared is told beside it, and counts for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MICROUSD_PER_CENT: Final = 10_000


@dataclass(frozen=True, slots=True)
class SavingsSums:
    """Sums over some requests, in microdollars."""

    compared: int
    """Local answers of which it is known what they would have cost."""
    would_low_microusd: int
    would_expected_microusd: int
    would_high_microusd: int
    cost_microusd: int
    """What these cost themselves, with their own failed attempts."""
    wasted_microusd: int = 0
    """What the failed attempts of all other requests cost."""
    uncompared: int = 0
    """Local answers of which it is not known what they would have cost."""
    unpriced: int = 0
    """Requests of which it is not known what they cost."""


@dataclass(frozen=True, slots=True)
class Savings:
    """Microdollars; below 0 is a loss. `low <= expected <= high`."""

    low_microusd: int
    expected_microusd: int
    high_microusd: int


def savings_of(sums: SavingsSums) -> Savings:
    """Return what was saved."""
    spent = sums.cost_microusd + sums.wasted_microusd
    return Savings(
        sums.would_low_microusd - spent,
        sums.would_expected_microusd - spent,
        sums.would_high_microusd - spent,
    )


def told(sums: SavingsSums) -> str:
    """Return the savings in sentences for people."""
    sentences = [_range(savings_of(sums)), _parts(sums)] if sums.compared else [_NOTHING]
    if sums.uncompared:
        left_out = _counted(sums.uncompared, "local answer")
        sentences.append(f"Left out: {left_out} that could not be compared.")
    if sums.unpriced:
        sentences.append(
            f"What {_counted(sums.unpriced, 'request')} cost is not known, so that the true saving "
            "is smaller."
        )
    return " ".join(sentences)


_NOTHING: Final = "Nothing can be said: no local answer could be compared with Claude."


def _range(saved: Savings) -> str:
    low, high = saved.low_microusd, saved.high_microusd
    is_loss = saved.expected_microusd < 0 <= high
    rule = f"{'a loss of ' if is_loss else ''}{_usd(abs(saved.expected_microusd))}"
    rather = f", {rule} as a rule"
    if low >= 0:
        return f"Saved {_from_to(low, high, rather)}."
    if high < 0:
        return f"Lost {_from_to(-high, -low, rather)}."
    return f"Between a loss of {_usd(-low)} and a saving of {_usd(high)}{rather}."


def _from_to(low: int, high: int, rather: str = "") -> str:
    """Return two amounts and what is between them; one alone where all are told alike."""
    first, last = _usd(low), _usd(high)
    return first if first == last else f"{first} to {last}{rather}"


def _parts(sums: SavingsSums) -> str:
    would = _from_to(sums.would_low_microusd, sums.would_high_microusd)
    text = (
        f"{_counted(sums.compared, 'local answer')} would have cost {would} at Claude and cost "
        f"{_usd(sums.cost_microusd)}"
    )
    if sums.wasted_microusd:
        return f"{text}; failed attempts of other requests cost {_usd(sums.wasted_microusd)}."
    return f"{text}."


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _usd(microusd: int) -> str:
    """Return an amount from 0, to the cent."""
    if 0 < microusd < MICROUSD_PER_CENT:
        return "less than $0.01"
    cents = (microusd + MICROUSD_PER_CENT // 2) // MICROUSD_PER_CENT
    return f"${cents // 100:,}.{cents % 100:02}"
