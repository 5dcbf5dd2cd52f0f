"""Rows on their way to the database, through a bounded queue and one thread.

The thread imports SQLAlchemy, opens the database and commits in batches; a request pays for putting
a row into a queue. While the database is slow, locked, full, refused or gone, requests are served
as ever: rows wait in memory up to a limit, what comes beyond is dropped and counted, one line in
the log says so, and the thread tries again until it works.
"""

from __future__ import annotations

import logging
import threading
from queue import Empty, SimpleQueue
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from ccproxy.outcome import LearnedRatio
    from ccproxy.rows import RequestRow, SpentSum
    from routing.budget_book import BudgetScope

    Row: TypeAlias = LearnedRatio | RequestRow
    """Everything that can be put; `ccproxy.ledger.writers` says where each kind goes."""

WAITING_LIMIT: Final = 10_000
"""Rows that may wait for the database."""
BATCH_S: Final = 0.2
"""How long rows are gathered before they are committed; so much can be lost in a crash."""
BATCH_ROWS: Final = 1000
"""At most so many are in one transaction."""
RETRY_S: Final = 5.0
"""Pause before a database that failed is opened again."""
OPEN_AFTER_S: Final = 1.0
"""Pause before the first opening: its imports (0.3 s of CPU) must not slow the first answer."""
TIDY_EVERY_S: Final = 3600.0
"""How often it is looked for rows that are too old."""
TIDY_ROWS: Final = 1000
"""So many requests, and attempts, are thrown away in one transaction: some 10 ms."""

_log = logging.getLogger(__name__)


class LedgerDownError(Exception):
    """The database cannot be used now; the message is for people and holds no password."""


class Database(Protocol):
    """An open database; used by the thread alone."""

    def write(self, rows: Sequence[Row]) -> None:
        """Commit rows, all or none.

        Raises:
            LedgerDownError: The database is at fault; the rows may be written later.
            ValueError: A row is.
        """
        ...

    def learned_ratios(self) -> Sequence[LearnedRatio]:
        """Return what was saved of token ratios.

        Raises:
            LedgerDownError: The database cannot be read.
        """
        ...

    def spent_since(
        self, scope: BudgetScope, since_ms: int, until_ms: int
    ) -> Mapping[str, SpentSum]:
        """Return what was spent in a while; see `ledger.spending`.

        Raises:
            LedgerDownError: The database cannot be read.
        """
        ...

    def throw_away(self, before_ms: int, limit: int) -> int:
        """Delete the oldest requests and attempts before a time, at most `limit` of each.

        Returns how many rows are gone.

        Raises:
            LedgerDownError: The database cannot be used.
        """
        ...

    def close(self) -> None:
        """Let go of it. Never raises."""
        ...


class Ledger:
    """Takes rows at no cost and writes them when it can."""

    def __init__(
        self,
        open_database: Callable[[], Database],
        *,
        report: Callable[[str], None] = _log.warning,
        waiting_limit: int = WAITING_LIMIT,
        batch_s: float = BATCH_S,
        retry_s: float = RETRY_S,
        open_after_s: float = OPEN_AFTER_S,
        keep_s: float | None = None,
        tidy_every_s: float = TIDY_EVERY_S,
    ) -> None:
        """Open nothing before `start`.

        Args:
            open_database: Called in the thread, again after every failure; raises
                `LedgerDownError`.
            report: Called in the thread, once when an outage begins and once when it ends.
            waiting_limit: Rows that may wait.
            batch_s: How long rows are gathered.
            retry_s: Pause before another opening.
            open_after_s: Pause before the first opening.
            keep_s: Age at which single requests and attempts are thrown away; None: never.
            tidy_every_s: How often it is looked for such.
        """
        self._open_database = open_database
        self._report = report
        self._waiting_limit = waiting_limit
        self._batch_s = batch_s
        self._retry_s = retry_s
        self._open_after_s = open_after_s
        self._keep_s = keep_s
        self._tidy_every_s = tidy_every_s
        self._tidy_at = 0.0
        self._on_ratios: Callable[[Sequence[LearnedRatio]], None] | None = None
        self._on_open: Callable[[Database], None] | None = None
        self._queue: SimpleQueue[Row | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        # Each of these is written by one thread only.
        self._refused = 0
        self._lost = 0
        self._written = 0
        self._batch: list[Row] = []
        self._database: Database | None = None
        self._error: str | None = None

    @property
    def dropped(self) -> int:
        """Rows that are not in the database and never will be."""
        return self._refused + self._lost

    @property
    def written(self) -> int:
        """Rows that were committed."""
        return self._written

    @property
    def waiting(self) -> int:
        """Rows that wait in memory."""
        return self._queue.qsize() + len(self._batch)

    @property
    def error(self) -> str | None:
        """Why nothing is written at the moment, or None."""
        return self._error

    def status(self) -> dict[str, Any]:
        """Return `{"state", "error", "written", "waiting", "dropped"}` as JSON-ready data.

        The state is `opening` at first, then `up` or `down`.
        """
        state = "down" if self._error else "opening" if self._database is None else "up"
        return {
            "state": state,
            "error": self._error,
            "written": self.written,
            "waiting": self.waiting,
            "dropped": self.dropped,
        }

    def put(self, row: Row) -> None:
        """Take a row; never blocks, never raises."""
        if self._closing.is_set() or self.waiting >= self._waiting_limit:
            self._refused += 1
        else:
            self._queue.put(row)

    def start(
        self,
        on_ratios: Callable[[Sequence[LearnedRatio]], None] | None = None,
        on_open: Callable[[Database], None] | None = None,
    ) -> None:
        """Start the thread.

        Args:
            on_ratios: Called in the thread, once, with the saved ratios.
            on_open: Called in the thread with the open database, before anything is written; again
                after the next opening where it raises what reading raises.
        """
        self._on_ratios, self._on_open = on_ratios, on_open
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits and stop; blocks for at most `timeout_s`, e.g. where a disk hangs."""
        self._queue.put(None)  # first: who sees `closing` may count on it
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._serve()
        except Exception as error:  # noqa: BLE001 - it is logged, with its traceback
            # Only a bug gets here; the proxy serves on, and /health says why nothing is written.
            self._error = f"stopped by {type(error).__name__}: {error}"
            _log.exception("ledger: the writer stopped; nothing is written until a restart")

    def _serve(self) -> None:
        self._closing.wait(self._open_after_s)
        is_open = True
        while is_open:
            if not self._is_usable():
                is_open = not self._closing.wait(self._retry_s)
                continue
            if not self._batch:
                is_open = self._gather()
            if self._batch and not self._write_batch():
                # The batch stays; the database is opened again.
                is_open = not self._closing.wait(self._retry_s)
            elif is_open:
                self._tidy()
        self._give_up()

    def _is_usable(self) -> bool:
        """Return whether the database is open, after opening it if it is not."""
        if self._database is not None:
            return True
        if self._closing.is_set() and not self._batch and self._queue.qsize() <= 1:
            return False  # nothing but the end is waiting
        try:
            database = self._open_database()
        except LedgerDownError as error:
            self._note_outage(error)
            return False
        self._database = database
        self._hand_out_ratios(database)
        self._let_read(database)
        if not self._batch:
            # Otherwise writing it will tell: opening says little of a disk that is full.
            self._note_recovery()
        return True

    def _hand_out_ratios(self, database: Database) -> None:
        on_ratios = self._on_ratios
        if on_ratios is None:
            return
        try:
            ratios = database.learned_ratios()
        except (LedgerDownError, ValueError) as error:
            self._report(f"ledger: what was learned of token counts cannot be read: {error}")
            return
        self._on_ratios = None
        on_ratios(ratios)

    def _let_read(self, database: Database) -> None:
        on_open = self._on_open
        if on_open is None:
            return
        try:
            on_open(database)
        except (LedgerDownError, ValueError) as error:
            self._report(f"ledger: what was spent before the start cannot be read: {error}")
            return
        self._on_open = None

    def _gather(self) -> bool:
        """Wait for rows and take them over; returns False once the end has come."""
        try:
            rows = [self._queue.get(timeout=self._tidy_in_s())]
        except Empty:
            return True
        if self._queue.qsize() < BATCH_ROWS:
            # The pause spares the event loop a change of threads for every row.
            self._closing.wait(self._batch_s)
        while len(rows) < BATCH_ROWS:
            try:
                rows.append(self._queue.get_nowait())
            except Empty:
                break
        self._batch = [row for row in rows if row is not None]
        return None not in rows

    def _write_batch(self) -> bool:
        """Return whether the batch is dealt with: committed, or found to be at fault."""
        database = self._database
        if database is None:
            return False
        try:
            database.write(self._batch)
            self._written += len(self._batch)
        except LedgerDownError as error:
            self._note_outage(error)
            return False
        except ValueError as error:
            self._write_one_by_one(database, error)
        self._batch = []
        self._note_recovery()
        return True

    def _tidy_in_s(self) -> float | None:
        return None if self._keep_s is None else max(0.0, self._tidy_at - monotonic())

    def _tidy(self) -> None:
        """Throw some old rows away if it is time, and say when it is again."""
        if self._keep_s is None or self._database is None or monotonic() < self._tidy_at:
            return
        self._tidy_at = monotonic() + self._tidy_every_s
        try:
            gone = self._database.throw_away(round((time() - self._keep_s) * 1000), TIDY_ROWS)
        except LedgerDownError as error:
            self._note_outage(error)
            return
        if gone >= TIDY_ROWS:  # there may be more; rows that wait come in between
            self._tidy_at = monotonic() + self._batch_s

    def _write_one_by_one(self, database: Database, error: ValueError) -> None:
        """Write what can be written of a batch in which one odd row is; the rest is lost."""
        lost = 0
        for row in self._batch:
            try:
                database.write([row])
                self._written += 1
            except (ValueError, LedgerDownError) as cause:
                lost += 1
                error = ValueError(str(cause))
        self._lost += lost
        if lost:
            self._report(f"ledger: {lost} rows were lost, they cannot be written: {error}")

    def _note_outage(self, error: LedgerDownError) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._error is None:
            self._report(
                f"ledger: {error}; requests are served on, and at most {self._waiting_limit} rows "
                "wait in memory"
            )
        self._error = str(error)

    def _note_recovery(self) -> None:
        if self._error is not None:
            self._error = None
            self._report(f"ledger: written again; {self.dropped} rows were lost since the start")

    def _give_up(self) -> None:
        """Count what was not written, and close."""
        lost, self._batch = len(self._batch), []
        while True:
            try:
                lost += self._queue.get_nowait() is not None
            except Empty:
                break
        self._lost += lost
        if lost:
            self._report(f"ledger: {lost} rows were lost at the end")
        if self._database is not None:
            self._database.close()
