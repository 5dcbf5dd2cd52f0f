"""The generated part of docs/reliability.md: the table of failure classes.

    python -m tests.support.reliability

writes it anew, between its two markers; the rest of the page is written by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from routing.failures import CONSEQUENCES, Consequence, FailureClass

PAGE: Final = Path(__file__).parents[2] / "docs/reliability.md"
BEGIN: Final = "<!-- generated from routing/failures.py by `make docs` -->\n"
END: Final = "<!-- end of the generated part -->\n"
HEAD: Final = (
    "| failure class | falls back | retries | counts against | status | `error.type` "
    "| `x-should-retry` | `retry-after` |\n|---|---|---|---|---|---|---|---|\n"
)


def with_table(page: str) -> str:
    """Return the page with the table as the code has it.

    Raises:
        ValueError: A marker is missing.
    """
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{PAGE.name}: the markers of the generated table are missing")
    rows = (_row(failure, consequence) for failure, consequence in CONSEQUENCES.items())
    return f"{before}{BEGIN}\n{HEAD}{''.join(rows)}\n{END}{after}"


def _row(failure: FailureClass, consequence: Consequence) -> str:
    wait_s = consequence.retry_after_s
    cells = (
        f"`{failure}`",
        "yes" if consequence.fall_back else "no",
        str(consequence.retries),
        str(consequence.blame),
        str(consequence.status),
        f"`{consequence.error_type}`",
        str(consequence.should_retry).lower(),
        "" if wait_s is None else f"{wait_s} s",
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
