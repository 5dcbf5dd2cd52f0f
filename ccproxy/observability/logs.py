"""Structured logs: one JSON line per finished request on stderr, no content, no credential."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from typing import BinaryIO

    from ccproxy.ports import Outcome

_EXTRAS: Final = ("request_id", "url")
"""What a line may carry besides its words; given as `extra`."""
_LINE: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z


def configure_logging() -> None:
    """Send the proxy's and the server's log lines to stderr as JSON; call once per process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    handler.addFilter(_is_worth_a_line)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("ccproxy").setLevel(logging.INFO)


class RequestLog:
    """Implements `ports.OutcomeSink` as one log line per request.

    The line is written without `logging`, whose record and handlers would cost three times as much.
    """

    def __init__(self, stream: BinaryIO | None = None) -> None:
        """`stream` is stderr unless given."""
        self._stream = sys.stderr.buffer if stream is None else stream

    def record(self, outcome: Outcome) -> None:
        """Write the line."""
        usage = outcome.usage
        line = {
            "request_id": outcome.request_id,
            "endpoint": outcome.endpoint,
            "principal": outcome.principal,
            "agent": outcome.agent,
            "agent_source": outcome.agent_source,
            "requested_model": outcome.requested_model[:128],
            "attempts": outcome.attempts,
            "route": outcome.route,
            "status": outcome.status,
            "ending": outcome.ending,
            "stream": outcome.stream,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "prompt_tokens": outcome.prompt_tokens,
            "ttft_s": outcome.ttft_s and round(outcome.ttft_s, 4),
            "total_s": round(outcome.total_s, 4),
            "notes": outcome.notes,
            "event": "request",
            "level": "info",
            "timestamp": datetime.now(UTC),
        }
        self._stream.write(orjson.dumps(line, default=str, option=_LINE))
        self._stream.flush()


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "event": record.getMessage(),
            "logger": record.name,
            "level": record.levelname.lower(),
            "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
        }
        for name in _EXTRAS:
            if value := getattr(record, name, None):
                line[name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Leave out what the server says when a broken upstream body made us cut the connection."""
    return "returned without completing response" not in record.getMessage()
