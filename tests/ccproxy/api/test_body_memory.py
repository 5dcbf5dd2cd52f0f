"""How much of the clients' bodies is held at once."""

import asyncio
import contextlib

import pytest

from ccproxy.api.body_memory import BodyMemory
from ccproxy.api.forward import ForwardEndpoint
from ccproxy.api.messages import MessagesEndpoint
from ccproxy.ports import ClientGone
from ccproxy.wire.errors import ApiError


class Service:
    """Reads the body of whoever comes, and keeps it until the test says so."""

    def __init__(self):
        self.reading = asyncio.Event()
        self.go_on = asyncio.Event()
        self.refused = []
        self.starts = True

    async def serve(self, _incoming, client, **_more):
        self.client = client
        try:
            await client.read_body(100)
        except ApiError as refusal:
            self.refused.append(refusal)
            return
        self.reading.set()
        await self.go_on.wait()
        if self.starts:
            await client.start(200, [])
            self.started.set()
            await asyncio.Event().wait()

    started = None
    client = None


def scope():
    return {
        "type": "http",
        "method": "POST",
        "path": "/v1/messages",
        "raw_path": b"/v1/messages",
        "query_string": b"",
        "headers": [],
    }


def sending(*pieces):
    messages = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    ]

    async def receive():
        return messages.pop(0)

    return receive


async def send_nowhere(message):
    pass


@pytest.fixture(params=["messages", "forward"])
def kind(request):
    return request.param


def endpoint(kind, service, memory):
    if kind == "messages":
        return MessagesEndpoint(service, counting=False, memory=memory)
    return ForwardEndpoint(service, memory=memory)


@pytest.mark.parametrize("pieces", [[b"123456"], [b"1234", b"56"]])
async def test_who_finds_no_room_comes_again(kind, pieces):
    """The body that does not fit beside the others is a 529; the others are not touched."""
    memory, service = BodyMemory(10), Service()
    served = endpoint(kind, service, memory)
    first = asyncio.create_task(served(scope(), sending(b"12345"), send_nowhere))
    await service.reading.wait()

    await served(scope(), sending(*pieces), send_nowhere)

    assert [529] == [refusal.status for refusal in service.refused]
    assert 2 == service.refused[0].retry_after_s
    assert 5 == memory.held_bytes
    service.starts = False
    service.go_on.set()
    await first
    assert 0 == memory.held_bytes


async def test_an_answer_that_begins_makes_room(kind):
    """A stream may last for minutes, and holds nothing of the request."""
    memory, service = BodyMemory(10), Service()
    service.started = asyncio.Event()
    served = endpoint(kind, service, memory)
    task = asyncio.create_task(served(scope(), sending(b"1234567890"), send_nowhere))
    service.go_on.set()
    await service.started.wait()

    assert 0 == memory.held_bytes
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert 0 == memory.held_bytes


async def test_an_end_without_an_answer_makes_room(kind):
    """Whatever ends a request gives back what it held."""
    memory, service = BodyMemory(10), Service()
    served = endpoint(kind, service, memory)
    task = asyncio.create_task(served(scope(), sending(b"1234567890"), send_nowhere))
    await service.reading.wait()
    assert 10 == memory.held_bytes
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    assert 0 == memory.held_bytes


async def test_what_is_unpacked_counts_too(kind):
    """In any thread, up to the same bound; after the end of a request nobody can hold for it."""
    memory, service = BodyMemory(10), Service()
    served = endpoint(kind, service, memory)
    task = asyncio.create_task(served(scope(), sending(b"1234"), send_nowhere))
    await service.reading.wait()
    hold = service.client.hold

    await asyncio.to_thread(hold, 6)
    assert 10 == memory.held_bytes
    with pytest.raises(ApiError) as caught:
        await asyncio.to_thread(hold, 1)
    assert 529 == caught.value.status
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    with pytest.raises(ClientGone):
        await asyncio.to_thread(hold, 1)
    assert 0 == memory.held_bytes
