"""The first bytes of a connection: what is no HTTP, too much of it, or too slow."""

import asyncio
import contextlib
import logging
import socket

import pytest
import uvicorn

from ccproxy.api.http_protocol import BoundedHttpProtocol
from ccproxy.serve import server_config
from tests.support.http_wire import wire

KIB = 1024
HELLO = b"GET /hello HTTP/1.1\r\nhost: p\r\n\r\n"


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Hide that uvicorn warns of every invalid request."""
    caplog.set_level(logging.ERROR)


class Impatient(BoundedHttpProtocol):
    """Waits a moment instead of half a minute."""

    HEAD_TIMEOUT_S = 0.1
    UNREAD_S = 0.1


async def app(scope, receive, send):
    """Answer once the body is there, with its length; `/gate` waits until somebody opens it."""
    if scope["path"] == "/flood":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(64):
            await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    if scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"some", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    text = str(length).encode()
    headers = [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


@contextlib.asynccontextmanager
async def serving(protocol=None, keep_alive_s=None, **more):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = server_config(app, "127.0.0.1", 0, grace_s=1, **more)
        config.lifespan = "off"
        config.http = protocol or config.http
        config.timeout_keep_alive = keep_alive_s or config.timeout_keep_alive
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


def assert_refusal(answer, status):
    assert status == answer.status
    assert "application/json" == answer.header("content-type")
    assert "close" == answer.header("connection")
    assert "invalid_request_error" == answer.error["type"]
    assert answer.header("request-id") == answer.json()["request_id"]
    assert answer.header("request-id").startswith("req_")


@pytest.mark.parametrize(
    "raw",
    [
        "GET /ä HTTP/1.1\r\nhost: p\r\n\r\n".encode(),
        b"POST /a HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /a HTTP/1.1\r\ncontent-length: -3\r\n\r\n",
        b"POST /a HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
    ],
    ids=["path", "CL+TE", "CL", "two CL", "TLS", "header", "chunk"],
)
async def test_what_is_no_http_gets_the_envelope(raw):
    """A byte stream that cannot be read is a 400 in Anthropic's shape, and the end (046, 292)."""
    async with serving() as base_url, wire(base_url) as connection:
        connection.writer.write(raw)

        assert_refusal(await connection.read_answer(), 400)
        assert b"" == await connection.reader.read()


@pytest.mark.parametrize("ended", [False, True], ids=["unfinished", "finished"])
@pytest.mark.parametrize("lines", [1, 40], ids=["one header", "many headers"])
@pytest.mark.parametrize("pieces", [1, 7])
async def test_a_head_is_bounded(ended, lines, pieces):
    """More than 64 KiB of request line and headers are a 431, whether they end or not."""
    line = b"x-a: " + b"a" * (80 * KIB // lines) + b"\r\n"
    raw = b"GET / HTTP/1.1\r\n" + line * lines + (b"\r\n" if ended else b"")
    async with serving() as base_url, wire(base_url) as connection:
        for start in range(0, len(raw), len(raw) // pieces):
            connection.writer.write(raw[start : start + len(raw) // pieces])
            await asyncio.sleep(0.002)

        assert_refusal(await connection.read_answer(), 431)
        assert b"" == await connection.reader.read()


async def test_a_long_request_line_counts():
    """The path and query are part of the bound (431)."""
    async with serving() as base_url, wire(base_url) as connection:
        connection.writer.write(b"GET /?" + b"q" * 80 * KIB)

        assert_refusal(await connection.read_answer(), 431)


async def test_what_is_sent_after_a_refusal_is_not_kept():
    """A client that goes on with 64 MiB of headers reads its 431, and nothing grows meanwhile."""
    async with serving() as base_url, wire(base_url) as connection:
        connection.writer.write(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                connection.writer.write(b"x-a: " + b"a" * KIB * KIB + b"\r\n")
                await connection.writer.drain()

        assert_refusal(await connection.read_answer(), 431)


@pytest.mark.parametrize("pieces", [1, 5])
async def test_a_head_within_the_bound_is_served(pieces):
    """60 KiB of headers and a body of any length are a request like others, also pipelined."""
    body = b"b" * 300 * KIB
    head = b"POST / HTTP/1.1\r\nx-a: %b\r\ncontent-length: %d\r\n\r\n" % (
        b"a" * 60 * KIB,
        len(body),
    )
    raw = (head + body) * 3
    async with serving() as base_url, wire(base_url) as connection:
        for start in range(0, len(raw), len(raw) // pieces):
            connection.writer.write(raw[start : start + len(raw) // pieces])
            await asyncio.sleep(0.002)
        answers = [await connection.read_answer() for _ in range(3)]

    assert [(200, b"307200")] * 3 == [(answer.status, answer.body) for answer in answers]


@pytest.mark.parametrize("before", [b"", HELLO], ids=["first", "second"])
async def test_half_a_head_is_a_408(before):
    """Headers that do not end in time are given up, on a new and on a used connection (019)."""
    async with serving(Impatient) as base_url, wire(base_url) as connection:
        if before:
            connection.writer.write(before)
            assert 200 == (await connection.read_answer()).status
        connection.writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: p\r\nx-a: 1")

        assert_refusal(await connection.read_answer(), 408)
        assert b"" == await connection.reader.read()


async def test_a_drip_does_not_start_the_clock_anew():
    """Time counts from the first byte of the head, however many pieces follow."""
    async with serving(Impatient) as base_url, wire(base_url) as connection:
        connection.writer.write(b"GET / HTTP/1.1\r\n")

        async def drip():
            while True:
                connection.writer.write(b"x-a: 1\r\n")
                await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        assert_refusal(await connection.read_answer(), 408)
        dripping.cancel()


@pytest.mark.parametrize("sent", [b"", b"\r\n\r\n"], ids=["nothing", "empty lines"])
async def test_a_connection_that_asks_nothing_is_closed(sent):
    """Who connects and sends no request is let go without a word."""
    async with serving(Impatient, keep_alive_s=0.1) as base_url, wire(base_url) as connection:
        connection.writer.write(sent)
        async with asyncio.timeout(5):
            assert b"" == await connection.reader.read()


async def test_the_clock_is_only_for_heads():
    """A request whose head arrived in pieces may take its time for the body and for the answer."""
    async with serving(Impatient) as base_url, wire(base_url) as connection:
        for piece in (b"POST / HTTP/1.1\r\n", b"content-length: 4\r\n", b"\r\n", b"ab"):
            connection.writer.write(piece)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        connection.writer.write(b"cd")

        assert b"4" == (await connection.read_answer()).body


@pytest.mark.parametrize(
    "second", [b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"GET /ab HTTP/1.1\r\nx-a: 1"]
)
async def test_an_answer_under_way_is_never_written_into(second):
    """Trouble with the next request does not put an error into the answer to this one."""
    async with serving(Impatient) as base_url, wire(base_url) as connection:
        connection.writer.write(b"GET /stream HTTP/1.1\r\nhost: p\r\n\r\n")
        await connection.read_head()
        assert b"some" == await connection.read_chunk()
        connection.writer.write(second)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                assert b"" == await connection.reader.read(1)


async def test_connections_are_bounded():
    """One more than may be open is told so (529) and let go; a place that comes free is given on."""
    async with serving(most_connections=2) as base_url, wire(base_url) as first:
        async with wire(base_url) as second, wire(base_url) as third:
            refused = await third.read_answer()
            assert (529, "overloaded_error") == (refused.status, refused.error["type"])
            assert "close" == refused.header("connection")
            assert b"" == await third.reader.read()
            for connection in (first, second):
                connection.writer.write(HELLO)
                assert 200 == (await connection.read_answer()).status
        async with asyncio.timeout(10):
            while True:  # the server hears of both ends a moment later
                async with wire(base_url) as fourth:
                    fourth.writer.write(HELLO)
                    if (await fourth.read_answer()).status == 200:
                        break


async def test_in_a_flood_of_connections_nobody_is_talked_to(monkeypatch):
    """Far beyond the limit a connection is cut: telling each would keep them all open."""
    monkeypatch.setattr("ccproxy.api.http_protocol.MOST_REFUSED", 0)
    async with serving(most_connections=1) as base_url, wire(base_url) as first:
        first.writer.write(HELLO)
        assert 200 == (await first.read_answer()).status
        async with wire(base_url) as second:
            with contextlib.suppress(ConnectionResetError):
                assert b"" == await second.reader.read()


async def test_a_client_that_does_not_read_is_let_go():
    """An answer that nobody takes is given up, or whoever makes it would wait for ever."""
    async with serving(Impatient) as base_url, wire(base_url, read_limit_bytes=1024) as connection:
        connection.writer.write(b"GET /flood HTTP/1.1\r\nhost: p\r\n\r\n")
        await asyncio.sleep(0.5)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await connection.reader.readexactly(64 * 2**20)


async def test_a_client_that_reads_slowly_is_served():
    """The clock of an unread answer starts anew whenever something of it is taken."""

    class Patient(BoundedHttpProtocol):
        UNREAD_S = 0.4

    async with serving(Patient) as base_url, wire(base_url) as connection:
        connection.writer.write(b"GET /flood HTTP/1.1\r\nhost: p\r\n\r\n")
        for _ in range(6):
            await connection.reader.readexactly(10 * 2**20)
            await asyncio.sleep(0.1)
