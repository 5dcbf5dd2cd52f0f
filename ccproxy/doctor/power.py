"""Whether the machine goes to sleep, and whether it comes back after a power cut.

Source: `man pmset`; `pmset -g` prints the settings in use, one a line. `SleepDisabled` (of `pmset
disablesleep 1`) is above `sleep`; newer systems say `powermode`, older ones `lowpowermode`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ccproxy.doctor.finding import error, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccproxy.doctor.finding import Finding

_SETTING: Final = re.compile(r"^\s*([A-Za-z]+)\s+(\d+)\b", re.MULTILINE)


def parse_pmset(text: str) -> dict[str, int]:
    """Return the numbers of `pmset -g` by their names."""
    return {name: int(value) for name, value in _SETTING.findall(text)}


def check_power(pmset: str | None) -> Iterator[Finding]:
    """Judge what `pmset -g` printed; None where it could not be run."""
    settings = parse_pmset(pmset or "")
    if not settings:
        yield warning(
            "power",
            "pmset -g says nothing",
            "whether this machine goes to sleep is not known",
            "pmset -g",
        )
        return
    sleeps = 0 if settings.get("SleepDisabled") else settings.get("sleep", 0)
    if sleeps:
        yield error(
            "power",
            f"the machine goes to sleep after {sleeps} minutes without a user",
            "agents then get no connection, and a working model is stopped",
            "sudo pmset -a sleep 0",
        )
    else:
        yield ok("power", "the machine never goes to sleep")
    low, slow = "low power mode is on", "models answer at a fraction of their pace"
    for name, wrong, what, means, value in (
        ("autorestart", 0, "the machine stays off after a power cut", "nobody is served", 1),
        ("lowpowermode", 1, low, slow, 0),
        ("powermode", 1, low, slow, 0),
        ("disksleep", None, "disks go to sleep", "loading a model first waits for its disk", 0),
    ):
        is_wrong = settings.get(name, 0) > 0 if wrong is None else settings.get(name) == wrong
        if is_wrong:
            yield warning("power", what, means, f"sudo pmset -a {name} {value}")
