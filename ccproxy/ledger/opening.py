"""Ways to the ledger at an SQLAlchemy URL; none imports SQLAlchemy before it is used."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ccproxy.ledger.ledger import OPEN_AFTER_S, Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccproxy.ledger.ledger import Database
    from ccproxy.ledger.series import LedgerSeries
    from ccproxy.ports import History

_S_PER_DAY: Final = 86_400

_log = logging.getLogger(__name__)


def ledger_at(
    url: str,
    report: Callable[[str], None] = _log.warning,
    *,
    open_after_s: float = OPEN_AFTER_S,
    keep_days: int | None = None,
) -> Ledger:
    """Return the ledger at an SQLAlchemy URL; nothing is imported or opened before `start`.

    Single requests and attempts are thrown away after `keep_days`; None: never.
    """

    def open_database() -> Database:
        # 0.25 s and 27 MB that neither a command nor the first answer pays for.
        from ccproxy.ledger.database import open_database as open_at  # noqa: PLC0415

        return open_at(url)

    keep_s = None if keep_days is None else keep_days * _S_PER_DAY
    return Ledger(open_database, report=report, open_after_s=open_after_s, keep_s=keep_s)


def history_at(url: str) -> History:
    """Return the history in the ledger at an SQLAlchemy URL; its questions open and close it."""
    from ccproxy.ledger.history import LedgerHistory  # noqa: PLC0415 - as above

    return LedgerHistory(url)


def series_at(url: str) -> LedgerSeries:
    """Return the ledger over time; it may be read in any thread."""
    from ccproxy.ledger.series import LedgerSeries  # noqa: PLC0415 - as above

    return LedgerSeries(url)
