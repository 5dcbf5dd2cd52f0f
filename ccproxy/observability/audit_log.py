"""Who was refused and what operators did, in a file for the owner only.

Rules:
1. A line says when, who, from where, what, and what came of it. It never holds a credential: no
   header and no query is looked at, and what looks like a token in a path is left out.
2. Anybody can make refusals: at most `REFUSALS_PER_MINUTE` are written; the rest are counted in the
   next line that is. What operators do is always written.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Final

import orjson

from ccproxy.observability.line_writer import LineWriter
from ccproxy.observability.rotated_file import RotatedFile
from ccproxy.outcome import PATH_LIMIT, Ending

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccproxy.outcome import Origin, Outcome

FILE_NAME: Final = "audit.jsonl"
"""In the state folder, beside the tokens file."""
FILE_MAX_BYTES: Final = 16 * 1024 * 1024
"""A line takes about 250 bytes."""
OLDER_FILES: Final = 8
REFUSALS_PER_MINUTE: Final = 120
REFUSED_STATUSES: Final = frozenset({401, 403})

_LIKE_A_TOKEN: Final = re.compile(r"(?:ccp_|sk-)[^/]*|[A-Za-z0-9_~+=.-]{40,}")
"""Our own tokens, Anthropic's keys, and whatever is as long as these."""
_LINE: Final = orjson.OPT_UTC_Z

_log = logging.getLogger(__name__)


class AuditLog:
    """Implements `ports.OutcomeSink` for refusals; everything else is told by `refused`, `done`."""

    def __init__(self, writer: LineWriter, now: Callable[[], float] = monotonic) -> None:
        """`now` is in monotonic seconds."""
        self._writer = writer
        self._now = now
        self._refused_at: deque[float] = deque(maxlen=REFUSALS_PER_MINUTE)
        self._unlisted = 0

    @property
    def dropped(self) -> int:
        """Lines since the start that are in no file although they should be."""
        return self._writer.dropped

    @property
    def written(self) -> int:
        """Lines since the start that are in a file."""
        return self._writer.written

    def start(self) -> None:
        """Begin to write; for the proxy's start."""
        self._writer.start()

    def close(self) -> None:
        """Write what waits, within two seconds; for the proxy's end, in a thread."""
        self._writer.close()

    def record(self, outcome: Outcome) -> None:
        """Take note of a request if it was refused here; an upstream's own refusal is none."""
        if outcome.status in REFUSED_STATUSES and outcome.ending is Ending.REFUSED:
            self.refused(
                outcome.origin, outcome.status, outcome.request_id, principal=outcome.principal
            )

    def refused(self, origin: Origin, status: int, request_id: str, *, principal: str = "") -> None:
        """Take note of refused access.

        Args:
            origin: Where it came from.
            status: 401 or 403.
            request_id: The client was told the same.
            principal: The token's name; empty where there was none.
        """
        now = self._now()
        recent = self._refused_at
        if len(recent) == REFUSALS_PER_MINUTE and now - recent[0] < 60:
            self._unlisted += 1
            return
        recent.append(now)
        self._put("refused", origin, status, request_id, principal)

    def done(self, origin: Origin, status: int, request_id: str, *, principal: str) -> None:
        """Take note of what an operator did; `status` says whether it worked."""
        self._put("admin", origin, status, request_id, principal)

    def _put(
        self, event: str, origin: Origin, status: int, request_id: str, principal: str
    ) -> None:
        line: dict[str, object] = {
            "timestamp": datetime.now(UTC),
            "event": event,
            "principal": principal,
            "peer": origin.peer,
            "method": origin.method,
            "path": without_tokens(origin.path),
            "status": status,
            "request_id": request_id,
        }
        if self._unlisted:
            line["refusals_not_listed"], self._unlisted = self._unlisted, 0
        self._writer.put(orjson.dumps(line, option=_LINE))


def without_tokens(path: str) -> str:
    """Return a path without what looks like a credential, cut off where it is too long."""
    return _LIKE_A_TOKEN.sub("***", path)[:PATH_LIMIT]


def note_command(path: Path, user: str, command: str) -> None:
    """Take note of what somebody changed on the command line, beside a proxy that may be running.

    Args:
        path: The log.
        user: Of the operating system.
        command: What was done, e.g. `token create ci`; no credential.

    Raises:
        OSError: It cannot be written.
    """
    line = {
        "timestamp": datetime.now(UTC),
        "event": "command",
        "principal": user,
        "command": command[:PATH_LIMIT],
    }
    file = _file(path)
    try:
        file.append(orjson.dumps(line, option=_LINE) + b"\n")
    finally:
        file.close()


def _file(path: Path) -> RotatedFile:
    return RotatedFile(path, max_bytes=FILE_MAX_BYTES, older=OLDER_FILES)


def audit_log(path: Path, report: Callable[[str], None] = _log.warning) -> AuditLog:
    """Return a log that writes to `path`; nothing is opened before `start`."""
    return AuditLog(LineWriter(_file(path), report=report))
