"""Structured logs: one JSON line per finished request on stderr, no content, no credential."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import orjson
import structlog

if TYPE_CHECKING:
    from ccproxy.ports import Outcome


def configure_logging() -> None:
    """Send the proxy's and the server's log lines to stderr as JSON; call once per process."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(file=sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    handler.addFilter(_is_worth_a_line)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


class RequestLog:
    """Implements `ports.OutcomeSink` as one log line per request."""

    def __init__(self) -> None:
        """Bind the logger once; binding per request would cost more than the line."""
        self._log = structlog.get_logger("ccproxy.request")

    def record(self, outcome: Outcome) -> None:
        """Write the line."""
        usage = outcome.usage
        self._log.info(
            "request",
            request_id=outcome.request_id,
            endpoint=outcome.endpoint,
            principal=outcome.principal,
            agent=outcome.agent,
            agent_source=outcome.agent_source,
            requested_model=outcome.requested_model[:128],
            attempts=outcome.attempts,
            route=outcome.route,
            status=outcome.status,
            ending=outcome.ending,
            stream=outcome.stream,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            ttft_s=outcome.ttft_s and round(outcome.ttft_s, 4),
            total_s=round(outcome.total_s, 4),
            notes=outcome.notes,
        )


def _dumps(event: object, **_options: object) -> bytes:
    return orjson.dumps(event, default=str)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "event": record.getMessage(),
            "logger": record.name,
            "level": record.levelname.lower(),
            "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
        }
        if request_id := getattr(record, "request_id", None):
            line["request_id"] = request_id
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Leave out what the server says when a broken upstream body made us cut the connection."""
    return "returned without completing response" not in record.getMessage()
