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
LARGE = 32 * KIB * KIB
GONE = asyncio.Event()
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
    """Answer once the body is there, with its length; `/early` before, `/names` with its headers."""
    if scope["path"] == "/flood":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(64):
            await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    if scope["path"] == "/large":
        headers = [(b"content-length", b"%d" % LARGE)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(LARGE)})
        return
    if scope["path"] == "/until-gone":
        await receive()  # the request
        await send({"type": "http.response.start", "status": 200, "headers": []})
        assert (await receive())["type"] == "http.disconnect"
        GONE.set()
        return
    if scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"some", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    length, more = 0, scope["path"] != "/early"
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    names = b" ".join(name for name, _ in scope["headers"])
    text = names if scope["path"] == "/names" else str(length).encode()
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


@pytest.mark.parametrize(
    ("lines", "ended", "status"), [(256, True, 200), (257, True, 431), (15_000, False, 431)]
)
async def test_headers_are_counted(lines, ended, status):
    """Each takes far more memory than its bytes: more than 256 are a 431, however short they are."""
    raw = b"GET / HTTP/1.1\r\n" + b"a:\r\n" * lines + (b"\r\n" if ended else b"")
    async with serving() as base_url, wire(base_url) as connection:
        connection.writer.write(raw)

        assert status == (await connection.read_answer()).status


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


STREAM = b"GET /stream HTTP/1.1\r\nhost: p\r\n\r\n"


async def started(connection):
    """Begin an answer that does not end by itself."""
    connection.writer.write(STREAM)
    await connection.read_head()
    assert b"some" == await connection.read_chunk()


async def test_who_asks_nothing_makes_room():
    """Where all places are taken, the one is let go that has been idle for the longest."""
    async with serving(most_connections=3) as base_url, wire(base_url) as busy:
        await started(busy)
        async with wire(base_url) as silent, wire(base_url) as used:
            used.writer.write(HELLO)
            assert 200 == (await used.read_answer()).status
            for _ in range(3):
                async with wire(base_url) as newcomer:
                    newcomer.writer.write(HELLO)
                    assert 200 == (await newcomer.read_answer()).status
                    with contextlib.suppress(ConnectionResetError):
                        assert b"" == await silent.reader.read()
            busy.abort()


async def test_connections_are_bounded():
    """One more than are being answered is told so (529) and let go; a free place is given on."""
    async with serving(most_connections=2) as base_url, wire(base_url) as first:
        await started(first)
        async with wire(base_url) as second:
            await started(second)
            async with wire(base_url) as third:
                refused = await third.read_answer()
                assert (529, "overloaded_error") == (refused.status, refused.error["type"])
                assert "close" == refused.header("connection")
                assert b"" == await third.reader.read()
            second.abort()
        async with asyncio.timeout(10):
            while True:  # the server hears of the end a moment later
                async with wire(base_url) as fourth:
                    fourth.writer.write(HELLO)
                    if (await fourth.read_answer()).status == 200:
                        break
        first.abort()


async def test_in_a_flood_of_connections_nobody_is_talked_to(monkeypatch):
    """Far beyond the limit a connection is cut: telling each would keep them all open."""
    monkeypatch.setattr("ccproxy.api.http_protocol.MOST_REFUSED", 0)
    async with serving(most_connections=1) as base_url, wire(base_url) as first:
        await started(first)
        async with wire(base_url) as second:
            with contextlib.suppress(ConnectionResetError):
                assert b"" == await second.reader.read()
        first.abort()


INNER = b"GET /inner HTTP/1.1\r\nhost: p\r\n\r\n"


@pytest.mark.parametrize(
    "wish",
    [b"upgrade: h2c\r\nconnection: Upgrade, HTTP2-Settings\r\nhttp2-settings: AAMAAABk",
     b"upgrade: websocket\r\nconnection: upgrade",
     b"connection: keep-alive, upgrade\r\nupgrade: h2c\r\nupgrade: foo/2"],
    ids=["h2c", "websocket", "two"],
)  # fmt: skip
@pytest.mark.parametrize("in_chunks", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("pause_s", [None, 0.02], ids=["at once", "in two pieces"])
async def test_a_wish_for_another_protocol_is_ignored(wish, in_chunks, pause_s):
    """The request is served as HTTP/1.1, with its body, which is never read as a request."""
    framing = b"transfer-encoding: chunked" if in_chunks else b"content-length: %d" % len(INNER)
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER) if in_chunks else INNER
    answers = []
    async with serving() as base_url, wire(base_url) as connection:
        for path in (b"/length", b"/names"):
            head = b"POST %b HTTP/1.1\r\nhost: p\r\nx-a: 1\r\n%b\r\n%b\r\n\r\n"
            connection.writer.write(head % (path, wish, framing))
            if pause_s is not None:
                await asyncio.sleep(pause_s)
            connection.writer.write(body + HELLO)
            answers += [await connection.read_answer(), await connection.read_answer()]

    length, after_it, names, after_them = (answer.body for answer in answers)
    assert {200} == {answer.status for answer in answers}
    assert (b"%d" % len(INNER), b"0", b"0") == (length, after_it, after_them)
    assert b"x-a" in names.split()
    assert not {b"upgrade", b"http2-settings"} & {*names.split()}


@pytest.mark.parametrize("wish", [b"", b"connection: upgrade\r\nupgrade: h2c\r\n"])
async def test_no_tunnel_is_made(wish):
    """CONNECT is refused, with or without a wish for another protocol."""
    async with serving() as base_url, wire(base_url) as connection:
        connection.writer.write(b"CONNECT h:1 HTTP/1.1\r\nhost: h:1\r\n%b\r\n" % wish + HELLO)

        assert_refusal(await connection.read_answer(), 400)
        assert b"" == await connection.reader.read()


CHUNKED = b" HTTP/1.1\r\nhost: p\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"


async def test_what_comes_behind_a_body_is_no_header():
    """A trailer is neither a credential nor anything else that is said of a request."""
    async with serving() as base_url, wire(base_url) as connection:
        connection.writer.write(b"POST /names" + CHUNKED + b"x-api-key: secret\r\n\r\n")

        assert b"host transfer-encoding" == (await connection.read_answer()).body


@pytest.mark.parametrize("piece", [b"x-a: " + b"a" * KIB + b"\r\n", b"a: b\r\n" * 100, b"x" * KIB])
@pytest.mark.parametrize("path", [b"/length", b"/early"])
async def test_what_comes_behind_a_body_is_bounded(piece, path):
    """Trailers without an end are refused, or unheard where the request was answered."""
    async with serving() as base_url, wire(base_url) as connection:
        connection.writer.write(b"POST " + path + CHUNKED + b"x-b: ")
        if path == b"/early":
            assert 200 == (await connection.read_answer()).status
        with contextlib.suppress(ConnectionError):
            for _ in range(4 * KIB):
                connection.writer.write(piece)
                await connection.writer.drain()
        if path == b"/length":
            assert_refusal(await connection.read_answer(), 431)
        with contextlib.suppress(ConnectionError):
            assert b"" == await connection.reader.read()


@pytest.mark.parametrize(("sent", "served"), [(17, 17), (40, 0)])
async def test_few_requests_may_wait_for_the_answer_before_theirs(sent, served):
    """One that is answered and 16 that wait; more end the connection."""
    async with serving() as base_url, wire(base_url) as connection:
        connection.writer.write(HELLO * sent)
        answers = 0
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while answers < sent:
                answers += (await connection.read_answer()).status == 200

    assert answers <= 17
    assert answers >= served


async def test_an_answer_on_its_way_is_not_cut_to_make_room():
    """Its client reads slowly; whoever comes meanwhile takes another place, or hears 529."""
    async with (
        serving(most_connections=2) as base_url,
        wire(base_url, read_limit_bytes=1024) as reader,
    ):
        reader.writer.write(b"GET /large HTTP/1.1\r\nhost: p\r\n\r\n")
        _, headers = await reader.read_head()
        for _ in range(3):
            async with wire(base_url) as newcomer:
                newcomer.writer.write(HELLO)
                assert 200 == (await newcomer.read_answer()).status

        assert len(await reader.reader.readexactly(int(dict(headers)["content-length"]))) == LARGE


async def test_whoever_leaves_is_told_of_though_more_was_asked():
    """The request that is answered hears that its client is gone; those behind it are dropped."""
    GONE.clear()
    async with serving() as base_url:
        async with wire(base_url) as connection:
            connection.writer.write(b"GET /until-gone HTTP/1.1\r\nhost: p\r\n\r\n" + HELLO)
            await connection.read_head()
            connection.abort()
        async with asyncio.timeout(5):
            await GONE.wait()


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
