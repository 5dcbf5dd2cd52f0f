"""A simulated Claude: the Messages API over real sockets, without a model behind it.

Speaks JSON and SSE with tools, thinking and signatures, count_tokens, models and rate-limit
headers; refuses what Claude refuses; and breaks on demand. Every answer says that it is simulated.
Serves `make run` on a machine without a key, the tests and the benchmarks.

Control, besides the Python interface: `POST /_sim/faults` (see `claude_faults`), `GET /_sim/log`,
`POST /_sim/reset`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import orjson

from ccproxy.demo.asgi_server import LoopbackServer
from ccproxy.demo.claude_answers import answer, input_usage
from ccproxy.demo.claude_checks import check_headers, check_request, what_breaks_is_refused
from ccproxy.demo.claude_exchange import Exchange
from ccproxy.demo.claude_faults import Fault, FaultKind, fault_from_json, take_fault
from ccproxy.demo.claude_frames import frames, message_json
from ccproxy.demo.claude_models import BadPageError, model_info, models_page
from ccproxy.demo.claude_record import RecordedRequest, log_entry, noting_usage
from ccproxy.wire.errors import ApiError, error_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from ccproxy.demo.claude_exchange import Message, Receive, Send

    Handler = Callable[[Exchange, RecordedRequest, str], Awaitable[None]]

FIRST_BYTE_S: Final = 0.4
EVENT_PAUSE_S: Final = 0.012
"""About 80 pieces a second, at speed 1."""
_KEPT_RECORDS: Final = 1000
_FIRST_BYTE_FAULTS: Final = frozenset(
    {FaultKind.STATUS, FaultKind.HTML, FaultKind.DELAY, FaultKind.HANG, FaultKind.REDIRECT}
)
_JSON: Final = (b"content-type", b"application/json")
_RATE_LIMITS: Final = (
    (b"requests", 4000, 3999),
    (b"input-tokens", 2_000_000, 1_999_000),
    (b"output-tokens", 400_000, 399_000),
    (b"tokens", 2_400_000, 2_398_000),
)


class SimulatedClaude:
    """One Claude, its log and its faults."""

    def __init__(self, speed: float = 1.0) -> None:
        """Prepare.

        Args:
            speed: 1 is about a real Claude's pace; 1000 is for tests; 0 means no waiting at all.
        """
        self._speed = speed
        self._number = 0
        self._cached_prefixes: set[bytes] = set()
        self._server: LoopbackServer | None = None
        self._background: set[asyncio.Task[None]] = set()
        self.requests: deque[RecordedRequest] = deque(maxlen=_KEPT_RECORDS)
        """The latest requests to `/v1/…`, oldest first."""
        self.faults: list[Fault] = []
        """Pending trouble; the first that matches a request meets it."""
        self.open_streams = 0
        """SSE answers that are being sent right now."""
        self.arrived = asyncio.Event()
        """Set when a request's body is complete; whoever waits again clears it."""

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[str]:
        """Serve on loopback while the block runs; gives the base URL without a trailing slash."""
        self._server = LoopbackServer(self.app, port)
        await self._server.start()
        try:
            yield self._server.base_url
        finally:
            for task in self._background:
                task.cancel()
            await self._server.aclose()

    def reset(self) -> None:
        """Forget requests, faults and cached prompts."""
        self.requests.clear()
        self.faults.clear()
        self._cached_prefixes.clear()

    async def app(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["path"].startswith("/_sim/"):
            await self._control(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve_request(scope, receive, send)

    async def _serve_request(self, scope: Message, receive: Receive, send: Send) -> None:
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        record = RecordedRequest(
            method=scope["method"],
            path=raw_path.partition(b"?")[0].decode("latin-1"),
            query=scope["query_string"],
            headers=[(bytes(name), bytes(value)) for name, value in scope["headers"]],
        )
        if record.path.startswith("/v1/"):
            self.requests.append(record)
        body = await _read_body(receive)
        if body is None:
            record.disconnected.set()
            return
        record.body = body
        self.arrived.set()
        exchange = Exchange(scope, send, record, take_fault(self.faults, record.path))
        responder = asyncio.create_task(self._respond(exchange, record))
        watcher = asyncio.create_task(_watch(receive, record, responder))
        try:
            await asyncio.wait({responder})
            if not responder.cancelled():
                watcher.cancel()
                responder.result()
        except asyncio.CancelledError:
            responder.cancel()
            watcher.cancel()
            raise

    async def _respond(self, exchange: Exchange, record: RecordedRequest) -> None:
        self._number += 1
        request_id = f"req_sim{self._number:024d}"
        fault = exchange.fault
        try:
            if fault is not None and fault.kind in _FIRST_BYTE_FAULTS:
                await self._trouble(exchange, fault, request_id)
                if fault.kind is not FaultKind.DELAY:
                    return
            await self._handler(record)(exchange, record, request_id)
        except ApiError as error:
            await self._error(exchange, error, request_id)

    def _handler(self, record: RecordedRequest) -> Handler:
        """Return what serves a path.

        Raises:
            ApiError: 404 and 405, as in conformance 008 and 009.
        """
        routes: dict[str, tuple[str, Handler]] = {
            "/v1/messages": ("POST", self._messages),
            "/v1/messages/count_tokens": ("POST", self._count_tokens),
            "/v1/models": ("GET", self._models),
            "/v1/files": ("POST", self._files),
        }
        if record.path in ("/", "/api/hello"):
            return self._hello
        if record.path.startswith("/v1/models/"):
            return self._model
        if record.path not in routes:
            raise ApiError(404, "Not found")
        method, handler = routes[record.path]
        if record.method != method:
            raise ApiError(405, "Method Not Allowed", headers=(("allow", method),))
        return handler

    async def _messages(self, exchange: Exchange, record: RecordedRequest, request_id: str) -> None:
        check_headers(record.headers)
        body = _parsed(record.body)
        check_request(body, record.headers)
        with what_breaks_is_refused():
            usage = input_usage(body, self._cached_prefixes)
            said = answer(body, self._number, usage)
        message_id = f"msg_sim{self._number:021d}"
        await self._pause(FIRST_BYTE_S)
        if body.get("stream") is not True:
            message = message_json(said, message_id)
            await self._json(exchange, 200, message, request_id)
            record.usage = message["usage"]
            return
        self.open_streams += 1
        try:
            headers = [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-cache"),
                *self._headers(exchange, request_id),
            ]
            pause_s = EVENT_PAUSE_S / self._speed if self._speed else 0.0
            await exchange.answer_stream(
                headers, noting_usage(frames(said, message_id), record), pause_s
            )
        finally:
            self.open_streams -= 1

    async def _count_tokens(
        self, exchange: Exchange, record: RecordedRequest, request_id: str
    ) -> None:
        check_headers(record.headers)
        body = _parsed(record.body)
        check_request(body, record.headers, counting=True)
        with what_breaks_is_refused():
            counted = {"input_tokens": input_usage(body, set())["input_tokens"]}
        await self._json(exchange, 200, counted, request_id)

    async def _models(self, exchange: Exchange, record: RecordedRequest, request_id: str) -> None:
        check_headers(record.headers)
        try:
            page = models_page(record.query)
        except BadPageError as exc:
            raise ApiError(400, str(exc), should_retry=False) from exc
        await self._json(exchange, 200, page, request_id)

    async def _model(self, exchange: Exchange, record: RecordedRequest, request_id: str) -> None:
        check_headers(record.headers)
        model_id = unquote(record.path.removeprefix("/v1/models/"))
        info = model_info(model_id)
        if info is None:
            raise ApiError(404, f"model: {model_id}", should_retry=False)
        await self._json(exchange, 200, info, request_id)

    async def _files(self, exchange: Exchange, record: RecordedRequest, request_id: str) -> None:
        check_headers(record.headers)
        uploaded = {
            "type": "file",
            "id": f"file_sim{self._number:020d}",
            "size_bytes": len(record.body),
            "filename": "simulated",
        }
        await self._json(exchange, 200, uploaded, request_id)

    async def _hello(self, exchange: Exchange, _record: RecordedRequest, _request_id: str) -> None:
        await exchange.answer_whole(200, [(b"content-type", b"text/plain")], b"simulated Claude\n")

    async def _trouble(self, exchange: Exchange, fault: Fault, request_id: str) -> None:
        match fault.kind:
            case FaultKind.DELAY:
                await asyncio.sleep(fault.seconds)
            case FaultKind.HANG:
                await asyncio.Event().wait()  # until the caller leaves
            case FaultKind.HTML:
                page = b"<html><body><h1>Bad gateway</h1> [simulated]</body></html>"
                await exchange.answer_whole(fault.status, [(b"content-type", b"text/html")], page)
            case FaultKind.REDIRECT:
                headers = [(b"location", b"http://127.0.0.1:9/elsewhere")]
                await exchange.answer_whole(307, headers, b"")
            case _:
                message = fault.message or f"[simulated] status {fault.status}"
                error = ApiError(fault.status, message, retry_after_s=fault.retry_after_s)
                await self._error(exchange, error, request_id)

    async def _error(self, exchange: Exchange, error: ApiError, request_id: str) -> None:
        headers = [_JSON, *self._headers(exchange, request_id)]
        if error.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % error.retry_after_s))
        if error.should_retry is not None:
            headers.append((b"x-should-retry", b"true" if error.should_retry else b"false"))
        headers.extend((name.encode(), value.encode()) for name, value in error.headers)
        await exchange.answer_whole(error.status, headers, error_body(error, request_id))

    async def _json(self, exchange: Exchange, status: int, value: Any, request_id: str) -> None:  # noqa: ANN401
        headers = [_JSON, *self._headers(exchange, request_id)]
        await exchange.answer_whole(status, headers, orjson.dumps(value))

    def _headers(self, exchange: Exchange, request_id: str) -> list[tuple[bytes, bytes]]:
        reset_at = datetime.now(UTC) + timedelta(seconds=30)
        reset = reset_at.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
        headers = [
            (b"request-id", request_id.encode()),
            (b"anthropic-organization-id", b"00000000-5151-4151-8151-000000000000"),
            (b"x-simulated", b"claude"),
        ]
        for what, limit, remaining in _RATE_LIMITS:
            prefix = b"anthropic-ratelimit-" + what
            headers.append((prefix + b"-limit", b"%d" % limit))
            headers.append((prefix + b"-remaining", b"%d" % remaining))
            headers.append((prefix + b"-reset", reset))
        if exchange.fault is not None and exchange.fault.kind is FaultKind.SET_COOKIE:
            headers.append((b"set-cookie", b"__cf_bm=simulated; path=/; HttpOnly"))
        return headers

    async def _pause(self, seconds: float) -> None:
        if self._speed:
            await asyncio.sleep(seconds / self._speed)

    # --- control ---------------------------------------------------------------------------

    async def _control(self, scope: Message, receive: Receive, send: Send) -> None:
        status, value = 200, {"ok": True}
        match scope["method"], scope["path"]:
            case "POST", "/_sim/faults":
                status, value = self._add_faults(await _read_body(receive) or b"")
            case "POST", "/_sim/reset":
                self.reset()
            case "GET", "/_sim/log":
                value = self._log()
            case _:
                status, value = 404, {"ok": False}
        body = orjson.dumps(value)
        headers = [_JSON, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _add_faults(self, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            value = orjson.loads(body)
            faults = [
                fault_from_json(one) for one in (value if isinstance(value, list) else [value])
            ]
        except (ValueError, TypeError) as exc:
            return 400, {"ok": False, "error": str(exc)}
        for fault in faults:
            if fault.kind is FaultKind.REFUSE:
                task = asyncio.get_running_loop().create_task(self.refuse(fault.seconds))
                self._background.add(task)
                task.add_done_callback(self._background.discard)
            else:
                self.faults.append(fault)
        return 200, {"ok": True, "pending": len(self.faults)}

    async def refuse(self, seconds: float) -> None:
        """Refuse connections for so long; open ones are reset."""
        if self._server is not None:
            await self._server.refuse()
            await asyncio.sleep(seconds)
            await self._server.resume()

    async def hang(self, seconds: float) -> None:
        """Accept no connection for so long, and don't refuse any either."""
        if self._server is not None:
            await self._server.hang()
            await asyncio.sleep(seconds)
            await self._server.resume()

    def _log(self) -> dict[str, Any]:
        return {
            "simulated": "claude",
            "open_streams": self.open_streams,
            "requests": [log_entry(record) for record in self.requests],
        }


def _parsed(body: bytes) -> Any:  # noqa: ANN401 - JSON
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise ApiError(
            400, f"The request body is not valid JSON: {exc}", should_retry=False
        ) from exc


async def _read_body(receive: Receive) -> bytes | None:
    """Return the whole body, or None if the caller left while sending it."""
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


async def _watch(receive: Receive, record: RecordedRequest, responder: asyncio.Task[None]) -> None:
    """Note that the caller left, and stop answering."""
    while (await receive())["type"] != "http.disconnect":
        pass
    if not record.finished:
        responder.cancel()
        await asyncio.wait({responder})
        record.disconnected.set()


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
