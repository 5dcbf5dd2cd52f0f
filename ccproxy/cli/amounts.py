"""Numbers for people."""

from __future__ import annotations

from datetime import datetime
from typing import Final

_UNITS: Final = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))


def dollars(microusd: int) -> str:
    """Return `$12.34`, below a dollar `$0.0123`, and what is too little for that as it is."""
    if microusd < 0:
        return f"-{dollars(-microusd)}"
    if microusd >= 1_000_000:
        cents = (microusd + 5_000) // 10_000
        return f"${cents // 100:,}.{cents % 100:02}"
    if microusd == 0 or microusd >= 100:
        return f"${(microusd + 50) // 100 / 10_000:.4f}"
    return f"${microusd / 1_000_000:.6f}"


def cost(microusd: int, unpriced: int) -> str:
    """Return what is known of a cost; ` + ?` where something is not."""
    if not unpriced:
        return dollars(microusd)
    return f"{dollars(microusd)} + ?" if microusd else "?"


def counted(number: int) -> str:
    """Return `12,345`, and from 100,000 on three digits: `1.23M`."""
    if number < 100_000:
        return f"{number:,}"
    for size, unit in _UNITS:
        if number >= size:
            value = number / size
            digits = 2 if value < 10 else 1 if value < 100 else 0
            return f"{value:.{digits}f}{unit}"
    return str(number)


def seconds(total: float, of: int) -> str:
    """Return a mean in seconds; empty where there is none."""
    return f"{total / of:.2f} s" if of else ""


def per_second(number: int, in_s: float) -> str:
    """Return a rate; empty where there is none."""
    return f"{number / in_s:.1f}" if in_s > 0 and number else ""


def local_time(at_ms: int) -> str:
    """Return a moment in local time, to the second."""
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
