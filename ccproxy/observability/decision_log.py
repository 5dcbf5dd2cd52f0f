"""The decisions of late, in a file of bounded size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ccproxy.observability.decisions import decision_line, from_line
from ccproxy.observability.line_writer import LineWriter
from ccproxy.observability.rotated_file import RotatedFile, read_lines
from routing.identify import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ccproxy.observability.decisions import Decision
    from ccproxy.outcome import Outcome
    from routing.types import AgentMatch, Plan, RequestFacts

FILE_NAME: Final = "decisions.jsonl"
"""In the state folder, beside the tokens file."""
FILE_MAX_BYTES: Final = 32 * 1024 * 1024
"""A decision takes about 1 KiB, more with many tools."""
OLDER_FILES: Final = 3


class DecisionLog:
    """Takes note of every decision, at the cost of some microseconds."""

    def __init__(self, writer: LineWriter, report: Callable[[str], None]) -> None:
        """`report` is told of a decision that cannot be written, on the event loop."""
        self._writer = writer
        self._report = report
        self._unwritable = 0

    @property
    def dropped(self) -> int:
        """Decisions since the start that are in no file although they should be."""
        return self._writer.dropped + self._unwritable

    @property
    def written(self) -> int:
        """Decisions since the start that are in a file."""
        return self._writer.written

    def start(self) -> None:
        """Begin to write; for the proxy's start."""
        self._writer.start()

    def close(self) -> None:
        """Write what waits, within two seconds; for the proxy's end, in a thread."""
        self._writer.close()

    def record(
        self,
        outcome: Outcome,
        facts: RequestFacts,
        match: AgentMatch,
        plan: Plan | None,
        *,
        table_version: str,
        body_bytes: int = 0,
    ) -> None:
        """Take note of a finished request; called on the event loop, never blocks.

        Args:
            outcome: Finished.
            facts: What was decided on; of its content only what has been computed is looked at.
            match: Who called; `routing.identify.UNKNOWN` where that ended in an error.
            plan: None where none came about.
            table_version: Of the table that was in force.
            body_bytes: Length of the request's JSON.
        """
        try:
            line = decision_line(
                outcome, facts, match, plan, table_version=table_version, body_bytes=body_bytes
            )
        except TypeError as error:  # an odd name must not cost the request
            self._unwritable += 1
            self._report(f"{outcome.request_id}: the decision cannot be written: {error}")
            return
        self._writer.put(line)


@dataclass(frozen=True, slots=True)
class DecisionSink:
    """Implements `ports.OutcomeSink`: what never came to a decision is in no log of them."""

    log: DecisionLog

    def record(self, outcome: Outcome) -> None:
        """Take note of a finished request."""
        routed = outcome.routed
        if routed is not None:
            self.log.record(
                outcome,
                routed.facts,
                routed.match or UNKNOWN,
                routed.plan,
                table_version=routed.table_version,
                body_bytes=routed.body_bytes,
            )


def decision_log(path: Path, report: Callable[[str], None]) -> DecisionLog:
    """Return a log that writes to `path`; nothing is opened before `start`."""
    file = RotatedFile(path, max_bytes=FILE_MAX_BYTES, older=OLDER_FILES)
    return DecisionLog(LineWriter(file, report=report), report)


def read_decisions(
    path: Path, since: float = 0.0, *, on_bad_line: Callable[[str], None] = lambda _why: None
) -> Iterator[Decision]:
    """Yield recorded decisions in the order in which their requests ended.

    Args:
        path: The newest file; older ones beside it are read first. A missing one is empty.
        since: Unix time, seconds; requests that arrived earlier are left out.
        on_bad_line: Told of every line that is no decision, e.g. one that a crash has torn.

    Raises:
        OSError: A file cannot be read.
    """
    for line in read_lines(path, modified_since=since):
        if not line:
            continue
        try:
            decision = from_line(line)
        except ValueError as error:
            on_bad_line(str(error))
            continue
        if decision.at >= since:
            yield decision
