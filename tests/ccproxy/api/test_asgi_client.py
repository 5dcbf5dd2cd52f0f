"""The client's end of an exchange, against a scripted ASGI server."""

import asyncio

import pytest

from ccproxy.api.asgi_client import AsgiClient
from ccproxy.ports import ClientGone
from ccproxy.wire.errors import ApiError

GONE = {"type": "http.disconnect"}


def part(body, *, more=False):
    return {"type": "http.request", "body": body, "more_body": more}


class Server:
    """Gives the scripted messages, then waits as a server does until the client leaves."""

    def __init__(self, *messages):
        self.messages = list(messages)
        self.leave = asyncio.Event()
        self.sent = []

    async def receive(self):
        if self.messages:
            return self.messages.pop(0)
        await self.leave.wait()
        return GONE

    async def send(self, message):
        self.sent.append(message)

    def client(self, *, headers=(), timeout_s=5.0):
        return AsgiClient({"headers": list(headers)}, self.receive, self.send, timeout_s)


async def whole_body(client, *, streamed):
    if streamed:
        return b"".join([chunk async for chunk in client.body_chunks(3)])
    return await client.read_body(3)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "messages",
    [
        [part(b"abc")],
        [part(b"a", more=True), part(b"bc")],
        [part(b"", more=True), part(b"abc", more=True), part(b"")],
        [{"type": "http.request", "body": b"abc"}],
    ],
)
async def test_bodies_in_pieces(messages, streamed):
    """However a body is cut, it is the same body, whole or streamed (conformance 017)."""
    client = Server(*messages).client()

    assert b"abc" == await whole_body(client, streamed=streamed)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("headers", "messages", "status"),
    [
        ([(b"content-length", b"4")], [], 413),
        ([(b"content-length", b"9" * 30)], [], 413),
        ([], [part(b"abcd")], 413),
        ([], [part(b"ab", more=True), part(b"cd")], 413),
        ([], [part(b"ab", more=True)], 400),
        ([], [], 400),
    ],
)
async def test_bodies_that_are_refused(headers, messages, status, streamed):
    """Too large or too slow, declared or not (conformance 018, 019)."""
    client = Server(*messages).client(headers=headers, timeout_s=0.01)

    with pytest.raises(ApiError) as caught:
        await whole_body(client, streamed=streamed)

    assert status == caught.value.status


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("messages", [[GONE], [part(b"a", more=True), GONE]])
async def test_a_client_that_leaves_while_sending(messages, streamed):
    """That is nobody's error, and there is nobody to tell (conformance 159)."""
    client = Server(*messages).client()

    with pytest.raises(ClientGone):
        await whole_body(client, streamed=streamed)


async def test_leaving_cancels_what_runs():
    """What is watched hears of it as ClientGone, at once (conformance 159)."""
    server = Server(part(b"x"))
    client = server.client()
    await client.read_body(9)
    asyncio.get_running_loop().call_soon(server.leave.set)

    with pytest.raises(ClientGone):
        async with asyncio.timeout(1), client.watched():
            await asyncio.Event().wait()

    assert 0 == asyncio.current_task().cancelling()


async def test_cancelling_from_outside_stays_a_cancellation():
    """A server that stops is not a client that left (conformance 162)."""
    server = Server(part(b"x"))
    client = server.client()

    async def work():
        await client.read_body(9)
        async with client.watched():
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_leaving_after_the_end_is_no_news():
    """A client that has its answer may go (conformance 159)."""
    server = Server(part(b"x"))
    client = server.client()
    await client.read_body(9)

    async with client.watched():
        await client.start(200, [])
        await client.finish(b"done")
        server.leave.set()
        await asyncio.sleep(0.01)

    assert b"done" == server.sent[-1]["body"]


async def test_an_upload_and_the_watch_do_not_take_each_others_pieces():
    """While a body streams through, its reader alone hears the client; afterwards the watch does."""
    server = Server(part(b"a", more=True), part(b"b", more=True), part(b"c"))
    client = server.client()
    chunks = client.body_chunks(9)

    async def upload_and_wait():
        async with asyncio.timeout(1), client.watched():
            await asyncio.sleep(0.01)
            assert [b"a", b"b", b"c"] == [chunk async for chunk in chunks]
            server.leave.set()
            await asyncio.Event().wait()

    with pytest.raises(ClientGone):
        await upload_and_wait()


async def test_a_bug_inside_the_watch_is_passed_on():
    """Only cancellation is translated."""
    client = Server(part(b"x")).client()

    with pytest.raises(KeyError):
        async with client.watched():
            raise KeyError
