"""The generated part of docs/metrics.md: the table of all metrics.

    python -m tests.support.metrics_page

writes it anew, between its two markers; the rest of the page is written by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.exposed import PROCESS, exposed_metrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support.exposed import Exposed

PAGE: Final = Path(__file__).parents[2] / "docs/metrics.md"
BEGIN: Final = "<!-- generated from what a proxy registers by `make docs` -->\n"
END: Final = "<!-- end of the generated part -->\n"
HEAD: Final = "| metric | type | labels | what it says |\n|---|---|---|---|\n"


def with_table(page: str, metrics: Iterable[Exposed]) -> str:
    """Return the page with the table of these metrics.

    Raises:
        ValueError: A marker is missing.
    """
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{PAGE.name}: the markers of the generated table are missing")
    rows = (_row(each) for each in metrics if not each.name.startswith(PROCESS))
    return f"{before}{BEGIN}\n{HEAD}{''.join(rows)}\n{END}{after}"


def _row(metric: Exposed) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |\n"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), exposed_metrics()), "utf-8")
