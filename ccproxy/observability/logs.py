"""Structured logs: JSON lines on stderr or in a file, no content, no credential.

Every finished request is one line; whatever else is said of a request carries its `request_id`.
"""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

import orjson

from ccproxy.observability.line_writer import LineWriter
from ccproxy.observability.rotated_file import RotatedFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ccproxy.outcome import Outcome

_EXTRAS: Final = ("request_id", "url")
"""What a line may carry besides its words; given as `extra`."""
_LINE: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z


class Stream(Protocol):
    """Where lines go."""

    def write(self, data: bytes, /) -> object:
        """Take one whole line with its end."""
        ...

    def flush(self) -> object:
        """Hand over what was taken."""
        ...


class FileStream:
    """A `Stream` into a file of bounded size, written by a thread of its own."""

    def __init__(self, writer: LineWriter) -> None:
        """Take a writer that has started."""
        self._writer = writer

    def write(self, data: bytes, /) -> None:
        """Take one whole line; never waits for the disk."""
        self._writer.put(data.removesuffix(b"\n"))

    def flush(self) -> None:
        """Do nothing: the thread writes within the fifth of a second."""


@contextmanager
def logging_to(path: Path | None, max_bytes: int = 0, keep: int = 0) -> Iterator[Stream]:
    """Send log lines to a file, or to stderr where there is none, while the block runs.

    Args:
        path: The file. That its lines are lost, e.g. on a full disk, is said on stderr.
        max_bytes: From there on a new file is begun.
        keep: Older files that stay beside it.
    """
    if path is None:
        configure_logging(sys.stderr.buffer)
        yield sys.stderr.buffer
        return
    file = RotatedFile(path, max_bytes=max_bytes, older=keep)
    writer = LineWriter(file, report=_say_on_stderr)
    writer.start()
    _say_on_stderr(f"log lines go to {path}")
    stream = FileStream(writer)
    configure_logging(stream)
    try:
        yield stream
    finally:
        configure_logging(sys.stderr.buffer)
        writer.close()


def configure_logging(stream: Stream | None = None) -> None:
    """Send the proxy's and the server's log lines to a stream as JSON; stderr unless given."""
    handler = _LineHandler(sys.stderr.buffer if stream is None else stream)
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

    def __init__(self, stream: Stream | None = None) -> None:
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


def _say_on_stderr(text: str) -> None:
    sys.stderr.write(f"{text}\n")


class _LineHandler(logging.Handler):
    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._stream.write(self.format(record).encode() + b"\n")
            self._stream.flush()
        except Exception:  # noqa: BLE001 - as every handler of the library
            self.handleError(record)


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
