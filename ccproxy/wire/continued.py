"""Claude's stream as the rest of a response that has begun with a `message_start` of ours.

Rules:
1. Whole frames are handed on, each up to its blank line: a ping of ours may stand between any two.
2. The `message_start` frame is left out: a second one makes an SDK throw (conformance 132). What
   its usage says of the input is put into the usage of `message_delta` where that lacks it.
3. An `error` event before any content is not handed on: another attempt may still answer.
4. Every other byte is the upstream's own, comments included; lines may end in LF, CRLF or CR.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.ports import AttemptFailed
from ccproxy.wire.errors import ERROR_TYPES, error_type_for
from ccproxy.wire.spans import find_member, root, splice
from ccproxy.wire.sse import SseDecoder
from routing.failures import FailureClass, classify_status

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_FRAME_BYTES: Final = 8 * 1024 * 1024
"""Of a frame that has not ended; the largest carry a page that a server tool fetched."""

_INPUT_COUNTS: Final = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
)
"""What SDKs take over from `message_delta` (conformance 146)."""
_FRAME_END: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LONGEST_END_BYTES: Final = 4


class ContinuedStream:
    """Takes the bytes of one stream, without content coding, and gives those to relay."""

    def __init__(self) -> None:
        """Begin at the beginning of the upstream's stream."""
        self.started = False
        """True once anything but pings and comments was handed on: nobody else may answer then."""
        self._unfinished = bytearray()
        self._searched_bytes = 0
        self._after_cr = False
        self._relayed_last = True
        self._input_usage: dict[str, Any] = {}

    def feed(self, chunk: bytes) -> bytes:
        """Return the frames that this chunk completes.

        Raises:
            AttemptFailed: The upstream told an error before any content, in its own words;
                MALFORMED_OUTPUT, a frame without an end.
        """
        pieces = []
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk.startswith(b"\n"):  # the second half of a CRLF that was cut in two
                pieces.append(b"\n" if self._relayed_last else b"")
                chunk = chunk[1:]
        self._unfinished += chunk
        pieces.extend(map(self._relayed, self._whole_frames()))
        return b"".join(pieces)

    def finish(self) -> bytes:
        """Return what stands behind the last whole frame; the upstream's stream has ended.

        Raises:
            AttemptFailed: BROKEN_STREAM, it ended without any content.
        """
        if not self.started:
            raise AttemptFailed(
                FailureClass.BROKEN_STREAM, "Claude's answer ended before it had begun."
            )
        return bytes(self._unfinished)

    def _whole_frames(self) -> list[bytes]:
        data = self._unfinished
        frames = []
        start, search_from = 0, self._searched_bytes
        while found := _FRAME_END.search(data, search_from):
            frames.append(bytes(data[start : found.end()]))
            start = search_from = found.end()
        self._after_cr = start > 0 and start == len(data) and frames[-1].endswith(b"\r")
        del data[:start]
        self._searched_bytes = max(0, len(data) - _LONGEST_END_BYTES + 1)
        if len(data) > MAX_FRAME_BYTES:
            message = "Claude's answer has a part that is too large."
            raise AttemptFailed(FailureClass.MALFORMED_OUTPUT, message)
        return frames

    def _relayed(self, frame: bytes) -> bytes:
        """Return what is handed on of a frame."""
        self._relayed_last = True
        if self.started and b"message_delta" not in frame:
            return frame
        event = next(iter(SseDecoder().feed(frame)), None)
        if event is None or event.event == "ping":
            return frame
        if not self.started:
            if event.event == "error":
                raise claudes_error(event.data)
            if event.event == "message_start":
                self._relayed_last = False
                self._note_usage(_member(_json_object(event.data), "message"))
                return b""
            self.started = True
        return self._completed(frame, event.data) if event.event == "message_delta" else frame

    def _note_usage(self, message: Mapping[str, Any]) -> None:
        usage = _member(message, "usage")
        self._input_usage = {name: usage[name] for name in _INPUT_COUNTS if name in usage}

    def _completed(self, frame: bytes, data: bytes) -> bytes:
        """Return a `message_delta` frame with the counts that it lacks, else unchanged."""
        usage = _json_object(data).get("usage")
        at = frame.find(data)
        if not isinstance(usage, dict) or at < 0:  # not there: data of several lines
            return frame
        counts = self._input_usage.items()
        missing = {name: count for name, count in counts if usage.get(name) is None}
        span = find_member(data, "usage", root(data))
        if not missing or span is None:
            return frame
        whole = splice(data, span, orjson.dumps({**usage, **missing}))
        return frame[:at] + whole + frame[at + len(data) :]


def claudes_error(envelope: bytes, status: int | None = None) -> AttemptFailed:
    """Return the failure that Claude's error envelope tells, with its own type and words.

    Args:
        envelope: The JSON of an error event or an error answer; anything else is tolerated.
        status: The answer's HTTP status; None for an event, whose type stands for one.
    """
    error = _member(_json_object(envelope), "error")
    told_type, message = error.get("type"), error.get("message")
    if status is None:
        status = next((code for code, name in ERROR_TYPES.items() if name == told_type), 500)
    return AttemptFailed(
        classify_status(status) or FailureClass.OVERLOADED,
        message if isinstance(message, str) else f"Claude answered with HTTP {status}.",
        error_type=told_type if isinstance(told_type, str) else error_type_for(status),
    )


def _json_object(data: bytes) -> Mapping[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _member(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}
