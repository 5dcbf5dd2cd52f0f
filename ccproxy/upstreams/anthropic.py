"""The Claude side: sends a client's bytes to Anthropic and relays the answer's bytes.

Rules:
1. Body, query, path and every end-to-end header go out as they came in; the credential is swapped,
   or is the client's own and nothing else, and `wire.headers` says which headers stay behind.
   Nothing is added by the HTTP client.
2. The answer's body is never decoded, redirects are not followed, cookies are not kept, proxies of
   the environment are not used, TLS certificates are verified (conformance 267, 274, 275, 277).
3. Nothing is retried here: what failed is classified and the pipeline decides.

The transport is aiohttp's client: at 50 concurrent requests httpx's own transport has 38 times its
p95 and 15 times its CPU, httpx with the aiohttp transport 3 times each
(benchmarks/results/transports.md).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.payload import BytesPayload, Payload
from multidict import CIMultiDict
from yarl import URL

from ccproxy.ports import AttemptFailed
from ccproxy.wire.headers import (
    request_headers_for_upstream,
    request_headers_with_own,
    response_headers_for_client,
)
from ccproxy.wire.our_tokens import OurTokens
from routing.candidates import NO_CREDENTIAL
from routing.failures import FailureClass

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ccproxy.ports import BytesReply, ForwardedRequest

_READ_BUFFER_BYTES: Final = 64 * 1024
"""Twice this is read ahead of a slow client, per stream."""
_HEADER_LINE_BYTES: Final = 64 * 1024
_HEADER_COUNT: Final = 512
_KEEP_ALIVE_S: Final = 60.0
_ADDED_BY_AIOHTTP: Final = frozenset({"User-Agent", "Accept", "Accept-Encoding", "Content-Type"})
_BROKEN: Final = (aiohttp.ClientError, HttpProcessingError, OSError, EOFError)


class AnthropicUpstream:
    """Anthropic's API, or anything else that speaks it, at one base URL: one account, or many."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        *,
        ours: OurTokens | None = None,
        connect_timeout_s: float = 10,
        read_timeout_s: float = 600,
    ) -> None:
        """Prepare; connections are opened when the first request needs one.

        Args:
            base_url: Scheme, host, port and optionally a path prefix, which is kept.
            api_key: Sent as `x-api-key` in place of whatever the client sent; None sends the
                client's own credentials, and no request without any.
            ours: Tells the tokens of this proxy, which are never sent; without it JWTs are not.
            connect_timeout_s: Name lookup, TCP and TLS together.
            read_timeout_s: Silence before the first byte, and between two reads of the body.
        """
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key.encode() if api_key is not None else None
        self._ours = ours or OurTokens()
        self._first_byte_s = connect_timeout_s + read_timeout_s
        self._timeout = aiohttp.ClientTimeout(
            total=None,
            connect=connect_timeout_s,
            sock_connect=connect_timeout_s,
            sock_read=read_timeout_s,
        )
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: ForwardedRequest) -> BytesReply:
        """Send and wait for status and headers; any HTTP status is a reply.

        Cancelling this closes the connection.

        Raises:
            AttemptFailed: CONNECT_ERROR when no answer could be had, TIMEOUT_FIRST_BYTE;
                CAPABILITY_MISSING where the client should have brought a credential.
        """
        if self._api_key is None and not request.own_credentials:
            raise AttemptFailed(
                FailureClass.CAPABILITY_MISSING, NO_CREDENTIAL, tells_of_deployment=False
            )
        session = self._session or self._open_session()
        is_streamed = not isinstance(request.body, bytes)
        # aiohttp's read timeout starts when the body is out; an upstream that stops reading it
        # would be waited for without end. A streamed upload takes as long as the client takes.
        limit_s = None if is_streamed else self._first_byte_s
        with_query = f"?{request.query.decode('latin-1')}" if request.query else ""
        with _as_attempt_failed(before_first_byte=True):
            async with asyncio.timeout(limit_s):
                response = await session.request(
                    request.method,
                    URL(f"{self._base_url}{request.path}{with_query}", encoded=True),
                    headers=self._headers(request, keep_length=is_streamed),
                    data=_payload(request.body),
                    allow_redirects=False,
                )
        return _Reply(response)

    async def aclose(self) -> None:
        """Close pooled connections; the next `send` would open new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _headers(self, request: ForwardedRequest, *, keep_length: bool) -> CIMultiDict[str]:
        headers: CIMultiDict[str] = CIMultiDict()
        if self._api_key is None:
            sent = request_headers_with_own(request.headers, request.own_credentials, self._ours)
        else:
            sent = request_headers_for_upstream(request.headers, self._api_key, self._ours)
        for name, value in sent:
            headers.add(name.decode("latin-1"), _text(value))
        if keep_length:
            for name, value in request.headers:
                if name.lower() == b"content-length":
                    headers["content-length"] = value.decode("latin-1")
        return headers

    def _open_session(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_ADDED_BY_AIOHTTP,
            auto_decompress=False,
            trust_env=False,
            timeout=self._timeout,
            read_bufsize=_READ_BUFFER_BYTES,
            max_line_size=_HEADER_LINE_BYTES,
            max_field_size=_HEADER_LINE_BYTES,
            max_headers=_HEADER_COUNT,
        )
        return self._session


class _Reply:
    """An answer whose status and headers have arrived."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Sequence[tuple[bytes, bytes]] = response_headers_for_client(
            response.raw_headers
        )

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; see `ports.BytesReply`."""
        content = self._response.content
        with _as_attempt_failed(before_first_byte=False):
            try:
                while chunk := await content.readany():
                    yield chunk
            except _BROKEN:
                # aiohttp reports a broken stream before it hands out what had arrived until then.
                if rest := b"".join(content._buffer):  # noqa: SLF001
                    yield rest
                raise

    async def aclose(self) -> None:
        """Give the connection back or, if the body was not read to its end, drop it at once."""
        response = self._response
        connection = response.connection
        if connection is not None and connection.protocol is not None:
            # An orderly close would first send what is left of a large request body.
            connection.protocol.abort()
        response.close()


class _Body(BytesPayload):
    """A body that is in memory anyway; aiohttp's own class warns above one MiB."""

    def __init__(self, value: bytes) -> None:
        Payload.__init__(self, value, content_type="application/octet-stream")
        self._size = len(value)


def _payload(body: bytes | AsyncIterator[bytes]) -> _Body | AsyncIterator[bytes] | None:
    if isinstance(body, bytes):
        return _Body(body) if body else None
    return body


def _text(value: bytes) -> str:
    """Return a header value such that aiohttp, which writes UTF-8, sends the same bytes.

    That cannot be had for a value that is not UTF-8: its Latin-1 text goes out as UTF-8.
    """
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


class _as_attempt_failed:  # noqa: N801 - used as a `with` statement, cheaper than a generator
    """Turns the HTTP client's exceptions into classified ones; cancellation passes through."""

    __slots__ = ("_before_first_byte",)

    def __init__(self, *, before_first_byte: bool) -> None:
        self._before_first_byte = before_first_byte

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: object
    ) -> None:
        if exc is None or not isinstance(exc, _BROKEN):
            return
        raise _classified(exc, before_first_byte=self._before_first_byte) from exc


def _classified(exc: BaseException, *, before_first_byte: bool) -> AttemptFailed:
    detail = f"{type(exc).__name__}: {exc}"
    if isinstance(exc, aiohttp.ConnectionTimeoutError):
        message = "Connecting to Claude took too long."
        return AttemptFailed(FailureClass.CONNECT_ERROR, message, detail=detail)
    if isinstance(exc, TimeoutError):
        if before_first_byte:
            message = "Claude did not answer in time."
            return AttemptFailed(FailureClass.TIMEOUT_FIRST_BYTE, message, detail=detail)
        message = "Claude stopped sending before its answer was complete."
        return AttemptFailed(FailureClass.TIMEOUT_BETWEEN_BYTES, message, detail=detail)
    if before_first_byte:
        message = "Claude could not be reached."
        return AttemptFailed(FailureClass.CONNECT_ERROR, message, detail=detail)
    message = "Claude's answer broke off before it was complete."
    return AttemptFailed(FailureClass.BROKEN_STREAM, message, detail=detail)
