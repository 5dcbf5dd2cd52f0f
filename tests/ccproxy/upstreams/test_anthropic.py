"""Bytes to Claude and back, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import orjson
import pytest

from ccproxy.demo.claude import SimulatedClaude
from ccproxy.demo.claude_faults import Fault, FaultKind
from ccproxy.ports import AttemptFailed, BytesReply, ForwardedRequest
from ccproxy.upstreams.anthropic import AnthropicUpstream
from routing.failures import FailureClass
from tests.support.certificates import self_signed_certificate, server_tls
from tests.support.raw_upstream import raw_upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
BODY = (
    b'{ "model": "claude-sonnet-5-5",\n\t"max_tokens" : 1e2, "unknown\\u0041": [1.50, "\xc3\xa4"],'
    b'"messages":[{"role":"user","content":"one two three four five"}]'
)
JSON_BODY = BODY + b"}"
STREAM_BODY = BODY + b',"stream":true}'
HEADERS = [
    (b"host", b"proxy.example"),
    (b"authorization", b"Bearer proxy-token"),
    (b"anthropic-version", b"2023-06-01"),
    (b"anthropic-beta", b"a-1,b-2"),
    (b"anthropic-beta", b"c-3"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (b"content-type", b"application/json"),
    (b"content-length", b"9999"),
    (b"x-claude-code-session-id", b"s"),
    (b"cookie", b"a=b"),
    (b"x-forwarded-for", b"10.0.0.1"),
    (b"x-ccproxy-agent", b"python-specialist"),
]


def _post(body: bytes, path: str = "/v1/messages", query: bytes = b"beta=true") -> ForwardedRequest:
    return ForwardedRequest("POST", path, query, HEADERS, body)


async def _read(reply: BytesReply) -> bytes:
    try:
        return b"".join([chunk async for chunk in reply.chunks()])
    finally:
        await reply.aclose()


@asynccontextmanager
async def _upstream(base_url: str, **options: float) -> AsyncIterator[AnthropicUpstream]:
    upstream = AnthropicUpstream(base_url, "sk-upstream", **options)
    try:
        yield upstream
    finally:
        await upstream.aclose()


@asynccontextmanager
async def _claude(
    *faults: Fault, **options: float
) -> AsyncIterator[tuple[SimulatedClaude, AnthropicUpstream]]:
    claude = SimulatedClaude(speed=0)
    claude.faults.extend(faults)
    async with claude.serve() as base_url, _upstream(base_url, **options) as upstream:
        yield claude, upstream


# --- the request -------------------------------------------------------------------------------


async def test_the_head_on_the_wire_is_the_clients_and_nothing_else() -> None:
    """No header is added, re-cased, merged or reordered by the HTTP client (258, 264, 266)."""
    async with raw_upstream(OK) as raw, _upstream(raw.base_url) as upstream:
        await _read(await upstream.send(_post(JSON_BODY)))

    assert [
        b"POST /v1/messages?beta=true HTTP/1.1",
        b"Host: " + raw.base_url.removeprefix("http://").encode(),
        b"anthropic-version: 2023-06-01",
        b"anthropic-beta: a-1,b-2",
        b"anthropic-beta: c-3",
        b"accept-encoding: gzip, deflate, br, zstd",
        b"content-type: application/json",
        b"x-claude-code-session-id: s",
        b"x-api-key: sk-upstream",
        b"Content-Length: %d" % len(JSON_BODY),
    ] == raw.heads[0].split(b"\r\n")
    assert [JSON_BODY] == raw.bodies


async def test_a_request_without_headers_gets_no_defaults() -> None:
    """User-Agent, Accept, Accept-Encoding and Content-Type stay absent if the client sent none."""
    async with raw_upstream(OK) as raw, _upstream(raw.base_url) as upstream:
        await _read(await upstream.send(ForwardedRequest("GET", "/v1/models", b"", [], b"")))

    names = {line.partition(b":")[0].lower() for line in raw.heads[0].split(b"\r\n")[1:]}
    assert {b"host", b"x-api-key"} == names


@pytest.mark.parametrize(
    ("prefix", "path", "query", "expected"),
    [
        ("", "/v1/models/a%2Fb%3Ac", b"", b"/v1/models/a%2Fb%3Ac"),
        ("", "/v1/models/a%2fb:c", b"limit=1&x=%7e+%20", b"/v1/models/a%2fb:c?limit=1&x=%7e+%20"),
        ("/prefix", "/v1/messages", b"beta=true", b"/prefix/v1/messages?beta=true"),
        ("/prefix/", "/v1/messages", b"", b"/prefix/v1/messages"),
        ("", "/v1/x/../y//z", b"a=b?c=d&a=b", b"/v1/x/../y//z?a=b?c=d&a=b"),
    ],
)
async def test_path_and_query_keep_their_spelling(
    prefix: str, path: str, query: bytes, expected: bytes
) -> None:
    """Percent-encoding, dots, repeats and a base URL's prefix reach the wire as they are (002)."""
    async with raw_upstream(OK) as raw, _upstream(raw.base_url + prefix) as upstream:
        await _read(await upstream.send(ForwardedRequest("GET", path, query, [], b"")))

    assert b"GET " + expected + b" HTTP/1.1" == raw.heads[0].split(b"\r\n")[0]


async def test_a_large_and_a_compressed_body_arrive_unchanged() -> None:
    """30 MB, and a gzip body with its coding, have the same sha256 at both ends (258)."""
    async with _claude() as (claude, upstream):
        for body in (bytes(range(256)) * 120_000, gzip.compress(JSON_BODY)):
            await _read(await upstream.send(_post(body)))

            assert hashlib.sha256(body).hexdigest() == claude.requests[-1].body_sha256


@pytest.mark.parametrize("length", [None, b"300000"])
async def test_streamed_bodies_are_streamed_through(length: bytes | None) -> None:
    """An upload goes out piece by piece, with the client's length if it named one (278)."""

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            yield bytes([number]) * 100_000

    headers = [*HEADERS[:3], *([(b"content-length", length)] if length else [])]
    async with _claude() as (claude, upstream):
        request = ForwardedRequest("POST", "/v1/files", b"", headers, pieces())
        reply = await upstream.send(request)
        answer = orjson.loads(await _read(reply))

    assert answer["size_bytes"] == 300_000
    sent = dict(claude.requests[-1].headers)
    assert length == sent.get(b"content-length")
    assert (b"transfer-encoding" in sent) is (length is None)


# --- the answer --------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [JSON_BODY, STREAM_BODY], ids=["json", "sse"])
@pytest.mark.parametrize("coding", ["", "gzip", "deflate", "br", "zstd"])
async def test_answers_have_the_same_bytes_at_both_ends(body: bytes, coding: str) -> None:
    """sha256 of request and answer are equal on both sides, in every coding (258, 267, 268, 269)."""
    faults = [Fault(FaultKind.ENCODE, coding=coding)] if coding else []
    async with _claude(*faults) as (claude, upstream):
        reply = await upstream.send(_post(body))
        received = await _read(reply)
        record = claude.requests[-1]

    assert hashlib.sha256(body).hexdigest() == record.body_sha256
    assert hashlib.sha256(received).hexdigest() == record.response_sha256
    assert record.response_bytes == len(received) > 0
    assert coding.encode() == dict(reply.headers).get(b"content-encoding", b"")
    assert record.finished


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 413, 429, 500, 504, 529])
async def test_errors_are_replies_with_their_own_bytes(status: int) -> None:
    """Status, error body, request-id and retry-after arrive as Claude sent them (040, 064, 272)."""
    fault = Fault(FaultKind.STATUS, status=status, retry_after_s=7)
    async with _claude(fault) as (claude, upstream):
        reply = await upstream.send(_post(JSON_BODY))
        received = await _read(reply)

    headers = dict(reply.headers)
    assert status == reply.status
    assert hashlib.sha256(received).hexdigest() == claude.requests[-1].response_sha256
    assert b"7" == headers[b"retry-after"]
    assert orjson.loads(received)["request_id"].encode() == headers[b"request-id"]
    assert len(claude.requests) == 1


async def test_what_follows_message_stop_passes_and_the_connection_stays_good() -> None:
    """Comments and unknown events after the end are relayed; the next request works (269, 270)."""
    async with _claude(Fault(FaultKind.TRAILING)) as (claude, upstream):
        received = await _read(await upstream.send(_post(STREAM_BODY)))
        again = await upstream.send(_post(JSON_BODY))
        await _read(again)

    assert received.endswith(b": after the end\n\nevent: unheard_of\ndata: {}\n\n")
    assert again.status == 200
    assert len(claude.requests) == 2


async def test_trailers_do_not_disturb() -> None:
    """HTTP trailers after a chunked body end up nowhere and hang nothing (270)."""
    answer = (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n"
        b"2\r\nok\r\n0\r\nx-t: 1\r\n\r\n"
    )
    async with raw_upstream(answer) as raw, _upstream(raw.base_url) as upstream:
        for _ in range(2):
            reply = await upstream.send(_post(JSON_BODY))

            assert b"ok" == await _read(reply)
            assert [] == reply.headers
    assert raw.connections == 1


async def test_hop_by_hop_headers_and_cookies_stay_here() -> None:
    """No set-cookie or hop-by-hop header is in a reply, and no cookie comes back (045, 274)."""
    async with _claude(Fault(FaultKind.SET_COOKIE)) as (claude, upstream):
        first = await upstream.send(_post(JSON_BODY))
        await _read(first)
        await _read(await upstream.send(_post(JSON_BODY)))

    names = {name for name, _ in first.headers}
    assert not names & {b"set-cookie", b"transfer-encoding", b"connection"}
    assert b"content-length" in names
    assert b"cookie" not in dict(claude.requests[-1].headers)


async def test_redirects_are_relayed_not_followed() -> None:
    """A redirect is the client's to see; our key never goes to its target (275)."""
    async with _claude(Fault(FaultKind.REDIRECT)) as (claude, upstream):
        reply = await upstream.send(_post(JSON_BODY))
        await _read(reply)

    assert reply.status == 307
    assert dict(reply.headers)[b"location"] == b"http://127.0.0.1:9/elsewhere"
    assert len(claude.requests) == 1


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """`HTTP_PROXY` and friends don't reroute what carries our key."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with _claude() as (_, upstream):
        reply = await upstream.send(_post(JSON_BODY))
        await _read(reply)

    assert reply.status == 200


async def test_generous_headers() -> None:
    """A reply with a 60 kB header and 300 of them arrives whole."""
    many = b"".join(b"x-%d: v\r\n" % number for number in range(300))
    large = b"x-large: " + b"y" * 60_000 + b"\r\n"
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" + many + large + b"\r\nok"
    async with raw_upstream(answer) as raw, _upstream(raw.base_url) as upstream:
        reply = await upstream.send(_post(JSON_BODY))
        await _read(reply)

    assert len(reply.headers) == 302


async def test_connections_are_reused_and_not_limited() -> None:
    """Requests in turn share a connection; 120 at once each get their own (276)."""
    async with raw_upstream(OK) as raw, _upstream(raw.base_url) as upstream:
        for _ in range(5):
            await _read(await upstream.send(_post(JSON_BODY)))
        assert raw.connections == 1

    async with _claude() as (claude, upstream):
        claude.faults.append(Fault(FaultKind.DELAY, times=120, seconds=0.3))
        async with asyncio.timeout(10):
            replies = await asyncio.gather(*(upstream.send(_post(JSON_BODY)) for _ in range(120)))
        assert {200} == {reply.status for reply in replies}
        await asyncio.gather(*(_read(reply) for reply in replies))


# --- trouble -----------------------------------------------------------------------------------


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


async def test_unreachable_is_a_connect_error() -> None:
    """A refused connection is CONNECT_ERROR, and what the client is told has no address (065)."""
    async with _upstream(f"http://127.0.0.1:{_free_port()}") as upstream:
        with pytest.raises(AttemptFailed) as failed:
            await upstream.send(_post(JSON_BODY))

    assert FailureClass.CONNECT_ERROR == failed.value.failure
    assert "127.0.0.1" not in failed.value.message


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.CUT])
async def test_closed_before_an_answer_is_a_connect_error(kind: FaultKind) -> None:
    """An upstream that closes or resets instead of answering is CONNECT_ERROR; no resend (272)."""
    async with _claude(Fault(kind)) as (claude, upstream):
        with pytest.raises(AttemptFailed) as failed:
            await upstream.send(_post(JSON_BODY))

    assert FailureClass.CONNECT_ERROR == failed.value.failure
    assert len(claude.requests) == 1


async def test_tls_is_verified(tmp_path: Path) -> None:
    """A server whose certificate nobody vouches for gets no request, and so no key (277)."""
    tls = server_tls(self_signed_certificate(tmp_path, "localhost"))
    async with raw_upstream(OK, tls=tls) as raw:
        url = raw.base_url.replace("http://127.0.0.1", "https://localhost")
        async with _upstream(url) as upstream:
            with pytest.raises(AttemptFailed) as failed:
                await upstream.send(_post(JSON_BODY))

    assert FailureClass.CONNECT_ERROR == failed.value.failure
    assert "ertificate" in failed.value.detail
    assert [] == raw.heads


async def test_no_byte_in_time() -> None:
    """Silence after the request is TIMEOUT_FIRST_BYTE, and the upstream sees us leave (063)."""
    async with _claude(Fault(FaultKind.HANG), read_timeout_s=0.1) as (claude, upstream):
        with pytest.raises(AttemptFailed) as failed:
            await upstream.send(_post(JSON_BODY))
        async with asyncio.timeout(1):
            await claude.requests[-1].disconnected.wait()

    assert FailureClass.TIMEOUT_FIRST_BYTE == failed.value.failure


async def test_an_upstream_that_stops_reading_is_not_waited_for() -> None:
    """A body that cannot be sent runs into the first-byte timeout too."""
    async with (
        raw_upstream(OK, deaf=True) as raw,
        _upstream(raw.base_url, connect_timeout_s=0.1, read_timeout_s=0.1) as upstream,
    ):
        with pytest.raises(AttemptFailed) as failed:
            await upstream.send(_post(bytes(30_000_000)))

    assert FailureClass.TIMEOUT_FIRST_BYTE == failed.value.failure


async def _received_until_failure(reply: BytesReply) -> tuple[bytes, AttemptFailed]:
    received = b""
    try:
        async for chunk in reply.chunks():
            received += chunk
    except AttemptFailed as failed:
        return received, failed
    finally:
        await reply.aclose()
    pytest.fail(f"the stream ended cleanly after {len(received)} bytes")


@pytest.mark.parametrize("kind", [FaultKind.CUT, FaultKind.RESET])
@pytest.mark.parametrize("body", [JSON_BODY, STREAM_BODY], ids=["json", "sse"])
async def test_a_broken_body_is_a_broken_stream(kind: FaultKind, body: bytes) -> None:
    """FIN or RST inside the body is BROKEN_STREAM, never a clean end; what came before stays."""
    async with _claude(Fault(kind, after_bytes=200)) as (_, upstream):
        reply = await upstream.send(_post(body))
        received, failed = await _received_until_failure(reply)

    assert FailureClass.BROKEN_STREAM == failed.failure
    if kind is FaultKind.CUT:
        assert len(received) == 200


async def test_a_stall_is_a_timeout_between_bytes() -> None:
    """Silence inside the body is TIMEOUT_BETWEEN_BYTES, after everything that had arrived."""
    fault = Fault(FaultKind.STALL, after_bytes=200)
    async with _claude(fault, read_timeout_s=0.2) as (claude, upstream):
        reply = await upstream.send(_post(STREAM_BODY))
        received, failed = await _received_until_failure(reply)
        async with asyncio.timeout(1):
            await claude.requests[-1].disconnected.wait()

    assert FailureClass.TIMEOUT_BETWEEN_BYTES == failed.failure
    assert len(received) == 200


async def test_a_malformed_answer_is_not_relayed() -> None:
    """Bytes that are not HTTP are a failed attempt, not a reply."""
    async with (
        raw_upstream(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", close_after=True) as raw,
        _upstream(raw.base_url) as upstream,
    ):
        with pytest.raises(AttemptFailed) as failed:
            await upstream.send(_post(JSON_BODY))

    assert FailureClass.CONNECT_ERROR == failed.value.failure


async def test_broken_chunk_framing_is_a_broken_stream() -> None:
    """Nonsense between chunks breaks the stream instead of ending it."""
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n"
    async with raw_upstream(answer) as raw, _upstream(raw.base_url) as upstream:
        reply_or_failure: BytesReply | AttemptFailed
        try:
            reply_or_failure = await upstream.send(_post(JSON_BODY))
            _, failed = await _received_until_failure(reply_or_failure)
        except AttemptFailed as exc:
            failed = exc

    assert failed.failure in (FailureClass.BROKEN_STREAM, FailureClass.CONNECT_ERROR)


# --- leaving -----------------------------------------------------------------------------------


async def test_closing_an_unread_reply_closes_the_connection() -> None:
    """A client that leaves mid-stream frees the upstream within a second (159)."""
    async with _claude(Fault(FaultKind.STALL, after_bytes=200)) as (claude, upstream):
        reply = await upstream.send(_post(STREAM_BODY))
        await anext(aiter(reply.chunks()))
        await reply.aclose()
        async with asyncio.timeout(1):
            await claude.requests[-1].disconnected.wait()

        assert claude.open_streams == 0


async def test_cancelling_the_reader_closes_the_connection() -> None:
    """Cancelling the task that reads, then closing the reply, frees the upstream too (159)."""
    async with _claude(Fault(FaultKind.STALL, after_bytes=200)) as (claude, upstream):
        reply = await upstream.send(_post(STREAM_BODY))
        started = asyncio.Event()

        async def relay() -> None:
            try:
                async for _ in reply.chunks():
                    started.set()
            finally:
                await reply.aclose()

        task = asyncio.create_task(relay())
        await started.wait()
        task.cancel()
        async with asyncio.timeout(1):
            await claude.requests[-1].disconnected.wait()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_cancelling_send_closes_the_connection() -> None:
    """A client that leaves before the first byte frees the upstream within a second (159)."""
    async with _claude(Fault(FaultKind.HANG)) as (claude, upstream):
        task = asyncio.create_task(upstream.send(_post(JSON_BODY)))
        async with asyncio.timeout(5):
            await claude.arrived.wait()
        task.cancel()
        async with asyncio.timeout(1):
            await claude.requests[-1].disconnected.wait()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_reply_read_to_its_end_gives_its_connection_back() -> None:
    """Closing a finished reply keeps the connection for the next request."""
    async with raw_upstream(OK) as raw, _upstream(raw.base_url) as upstream:
        for _ in range(2):
            reply = await upstream.send(_post(JSON_BODY))
            await _read(reply)
            await reply.aclose()

    assert raw.connections == 1
