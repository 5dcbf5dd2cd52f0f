"""HTTP/1.1 as uvicorn speaks it, with bounds on what comes before an app sees a request.

uvicorn keeps headers of any length, waits for their end for ever, and answers in plain text; a
request that wishes for another protocol loses its body, which is then read as the next request.
Rules:
1. The request line and headers of one request are at most `HEAD_LIMIT_BYTES`, and `MOST_HEADERS`
   lines: 431.
2. They have arrived `HEAD_TIMEOUT_S` after their first byte: 408. The body has a limit of its own.
3. A connection on which nothing was ever asked is idle like one whose request was answered.
4. What is refused here is refused in Anthropic's shape, and the connection ends. An answer that is
   under way is never written into: then the connection just ends.
5. As many connections as `uvicorn.Config.limit_concurrency` says may be open. For the next one that
   is let go which has asked nothing for the longest; where all are being answered it hears 529.
6. A client that takes nothing of its answer for `UNREAD_S` is let go, and so is what it waits for.
7. `Upgrade` is ignored. What comes behind a body is no header, and is bounded as a head is.
8. At most `MOST_PIPELINED` requests of a connection wait for the answers before theirs.

A request that arrives whole costs no timer and no look at its bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ccproxy.api.refusals import error_response
from ccproxy.api.upgrade import head_without_upgrade, wants_upgrade
from ccproxy.wire.errors import ApiError

if TYPE_CHECKING:
    import asyncio

    from uvicorn import Config
    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

HEAD_LIMIT_BYTES: Final = 64 * 1024
"""As Node's and nginx's order of magnitude (16 and 32 KiB); Claude Code sends about 2 KiB."""
_WHAT_TO_CHECK: Final = (
    "A path must be percent-encoded ASCII, and a body has one content-length or one "
    "transfer-encoding."
)
MOST_HEADERS: Final = 256
"""Each takes 100 bytes besides its own; Claude Code sends 25."""
_NO_HTTP: Final = "Invalid HTTP request received."
_HEAD_IS: Final = "Request line and headers are"
LINGER_S: Final = 2.0
"""How long a refused client may go on sending, unheard, so that it gets to read why."""
MOST_PIPELINED: Final = 16
"""No client of ours does it; without a bound 1 MB of tiny requests takes 80 MB of memory."""
MOST_REFUSED: Final = 100
"""Connections beyond the limit that are told so at once; in a flood the others are just cut."""
UNREAD_S: Final = 300.0
"""Far more than a client's pause between two reads; one that went to sleep holds a model longer."""


class _Stop(Exception):
    """Stops the parser, which reports it as an error of its own."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """One client's connection."""

    HEAD_TIMEOUT_S: ClassVar[float] = 30.0
    UNREAD_S: ClassVar[float] = UNREAD_S

    _in_head = False
    """A request has begun whose headers are not complete."""
    _head_bytes = 0
    """Of the chunks that belong to the head, as far as they are known to be nothing else."""
    _chunk_is_shared = False
    """The chunk that is being parsed also holds the end of an earlier request."""
    _head_is_too_large = False
    _in_message = False
    """A request has begun whose last byte has not come."""
    _framing_bytes = 0
    """What came since its head, or since the last piece of its body, and is neither."""
    _served: RequestResponseCycle | None = None
    """The request that is answered, or was last."""
    _idle_since_s = 0.0
    """When it was opened, or its latest answer complete; by the loop's clock."""
    is_refused = False
    """It was told why, and waits for its end."""
    _timer: asyncio.TimerHandle | None = None
    """Runs out when a head has taken too long, and at the end of lingering."""
    _unread_timer: asyncio.TimerHandle | None = None

    def __init__(self, config: Config, *args: Any, **more: Any) -> None:  # noqa: ANN401 - uvicorn's
        """Take over uvicorn's limit, which it would keep to in plain text."""
        super().__init__(config, *args, **more)
        self._most_connections = self.limit_concurrency
        self.limit_concurrency = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start; the idle time counts from here (rule 3)."""
        super().connection_made(transport)
        self._idle_since_s = self.loop.time()
        most = self._most_connections
        if most is not None and len(self.connections) > most and not self._found_room(most):
            return
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _found_room(self, most: int) -> bool:
        """Return whether this connection may stay, among more than `most` (rule 5)."""
        everybody = [each for each in self.connections if isinstance(each, BoundedHttpProtocol)]
        staying = [each for each in everybody if not each.is_refused]
        if len(staying) <= most:
            return True
        idle = [each for each in staying if each is not self and not each.is_needed]
        if idle:
            oldest = min(idle, key=lambda each: each._idle_since_s)  # noqa: SLF001 - of this class
            oldest.is_refused = True
            oldest.transport.abort()
            return True
        if len(everybody) - len(staying) >= MOST_REFUSED:
            self.is_refused = True
            self.transport.abort()
        else:
            self._refuse(_too_many(most))
        return False

    def pause_writing(self) -> None:
        """Start to wait for a client that does not read (rule 6)."""
        super().pause_writing()
        self._unread_timer = self.loop.call_later(self.UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on; the client reads."""
        super().resume_writing()
        self._stop_unread_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; no timer outlives the connection, and nothing is done for nobody."""
        self._stop_timer()
        self._stop_unread_timer()
        self.pipeline.clear()
        if self._served is not None:
            # uvicorn tells the newest request, which may be one that waits behind it.
            self.cycle = self._served
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Serve a request, and remember which."""
        self._served = cycle
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, unless the connection only waits for its end."""
        if self.is_refused:
            return
        if not self._in_head:
            self._head_bytes = 0
            self._chunk_is_shared = False
        self._head_bytes += len(data)
        self._framing_bytes += len(data)
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except HttpParserError:
            self.logger.warning(_NO_HTTP)
            self.send_400_response(_NO_HTTP)
        if self.is_refused:
            return
        if self._in_head:
            self._bound_head()
        elif self._in_message and self._framing_bytes > HEAD_LIMIT_BYTES:
            self._refuse(_too_large("What came behind the body is"))
        elif self.is_busy:
            self._stop_timer()
        else:
            # Empty lines, or the rest of a body that nobody waits for: data, and no request.
            self._start_timer()

    def _parse(self, data: bytes) -> None:
        """Feed the parser, which stops behind each head that wishes for another protocol."""
        rest = memoryview(data)
        while rest:
            try:
                self.parser.feed_data(rest)
            except HttpParserUpgrade as stopped:
                rest = rest[stopped.args[0] :]
                self._begin_anew_without_upgrade()
            else:
                return

    def _begin_anew_without_upgrade(self) -> None:
        """Have a new parser read the same head again, and then its body (rule 7)."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        head = head_without_upgrade(method, self.url, version, self.headers)
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(head)

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        self._in_head = self._in_message = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; what comes behind a body is none (rule 7; RFC 9110, 6.5.1)."""
        if not self._in_head:
            return
        if len(self.headers) >= MOST_HEADERS:
            self._head_is_too_large = True
            raise _Stop
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._framing_bytes = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """Start the request, unless its head is too large (rule 1)."""
        # Only where much has come at once need the head itself be measured.
        if self._head_bytes > HEAD_LIMIT_BYTES and self._measured_head() > HEAD_LIMIT_BYTES:
            self._head_is_too_large = True
            raise _Stop
        if self.parser.should_upgrade():
            if not wants_upgrade(self.headers):  # it is CONNECT, which asks for a tunnel
                raise _Stop
            return
        if len(self.pipeline) >= MOST_PIPELINED:
            raise _Stop
        super().on_headers_complete()
        self._in_head = False
        self._framing_bytes = 0

    def on_message_complete(self) -> None:
        """Note that what follows in this chunk is another request's."""
        if self._in_head:
            return  # the parser takes a head that asks for another protocol for all there is
        self._in_message = False
        self._chunk_is_shared = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, and read no more of them while others wait (rule 8)."""
        super().on_response_complete()
        self._idle_since_s = self.loop.time()
        if self.pipeline:
            self.flow.pause_reading()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser could not read; uvicorn calls this with its own words."""
        if self._head_is_too_large:
            self._refuse(_too_large(_HEAD_IS))
        else:
            self._refuse(ApiError(400, f"{msg} {_WHAT_TO_CHECK}", should_retry=False))

    @property
    def is_needed(self) -> bool:
        """Return whether a request is being answered, or its answer is still on its way."""
        return self.is_busy or self.transport.get_write_buffer_size() > 0

    @property
    def is_busy(self) -> bool:
        """Return whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _measured_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _bound_head(self) -> None:
        """Hold a head that is still arriving to rules 1 and 2."""
        if self._chunk_is_shared:
            # How much of the chunk is head is not known; a chunk is at most 256 KiB.
            self._head_bytes = 0
            self._chunk_is_shared = False
        if self._head_bytes > HEAD_LIMIT_BYTES:
            self._refuse(_too_large(_HEAD_IS))
        else:
            self._start_timer()

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.HEAD_TIMEOUT_S, self._time_is_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _time_is_up(self) -> None:
        self._timer = None
        if self.is_busy:
            if self._in_head:  # nothing more of it is read before the answer is complete
                self._start_timer()
        elif self._in_head:
            message = f"The request's headers did not arrive within {self.HEAD_TIMEOUT_S:g} s."
            self._refuse(ApiError(408, message))
        else:
            self.transport.close()

    def _refuse(self, error: ApiError) -> None:
        """Answer with an error and end the connection (rule 4)."""
        self.is_refused = True
        self._stop_timer()
        is_answered = self._in_message and not self._in_head and not self.is_busy
        if self.is_busy:
            cycle = self.cycle
            if self._in_head or self.pipeline or cycle.response_started or not cycle.more_body:
                self.transport.close()
                return
            # The app is told that its client is gone, and what it still says goes nowhere.
            cycle.disconnected = True
            cycle.waiting_for_100_continue = False
            cycle.message_event.set()
        if not is_answered:
            self.transport.write(_raw_response(error))
        # Closed with bytes unread, the kernel would send a reset, which overtakes the answer.
        self.transport.write_eof()
        self.flow.resume_reading()
        self._timer = self.loop.call_later(LINGER_S, self.transport.abort)


def _too_large(what_is: str) -> ApiError:
    message = f"{what_is} larger than {HEAD_LIMIT_BYTES} bytes, or more than {MOST_HEADERS} lines."
    return ApiError(431, message, should_retry=False)


def _too_many(most: int) -> ApiError:
    message = f"{most} connections are open, which is the most there may be. Try again in a moment."
    return ApiError(529, message, retry_after_s=2)


def _raw_response(error: ApiError) -> bytes:
    response = error_response(error)
    headers = [*response.raw_headers, (b"connection", b"close")]
    lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return STATUS_LINE[error.status] + lines + b"\r\n" + bytes(response.body)
