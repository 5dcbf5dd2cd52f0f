"""The copy to the client, against a client that only remembers."""

import asyncio
from time import monotonic

import pytest

from ccproxy.outcome import Ending, Outcome, Usage
from ccproxy.pipeline.deadline import Deadline
from ccproxy.pipeline.relay import relay
from ccproxy.ports import AttemptFailed, ClientGone
from ccproxy.wire.events import PING
from routing.failures import FailureClass
from tests.support.waiting import until


class Client:
    def __init__(self, gone_after=None):
        self.sent = []
        self.started = False
        self.finished = False
        self.last_sent_at = monotonic()
        self._gone_after = gone_after

    async def start(self, status, headers):
        self.started = True
        self.sent.append((status, list(headers)))

    async def send(self, chunk):
        if self._gone_after is not None and len(self.sent) > self._gone_after:
            raise ClientGone
        self.last_sent_at = monotonic()
        self.sent.append(chunk)

    async def finish(self, chunk=b""):
        self.finished = True
        if chunk:
            self.sent.append(chunk)


class Reply:
    """Plays steps: bytes to give, an event to wait for, an exception to raise."""

    status = 200
    content_started = True

    def __init__(self, *steps, needs_pings=False, failure=None):
        self.steps = steps
        self.needs_pings = needs_pings
        self.failure = failure
        self.closed = 0
        self.usage = Usage(output_tokens=5)

    async def chunks(self):
        for step in self.steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
            else:
                yield step

    def farewell(self, *_words):
        return b"farewell"

    async def aclose(self):
        self.closed += 1


def new_outcome():
    outcome = Outcome("req_1", "messages", 0.0, deployment="d")
    outcome.attempt_begins()
    outcome.attempt_ended("ok")
    return outcome


async def test_a_whole_copy():
    """Headers, every chunk as it is, the end; the reply is released and its usage noted."""
    client, reply, outcome = Client(), Reply(b"a", b"b"), new_outcome()

    await relay(reply, client, [(b"x", b"y")], outcome)

    assert [(200, [(b"x", b"y")]), b"a", b"b"] == client.sent
    assert client.finished
    assert 1 == reply.closed
    assert (Ending.COMPLETED, 5) == (outcome.ending, outcome.usage.output_tokens)
    assert outcome.ttft_s is not None


@pytest.mark.parametrize(
    ("status", "content_at", "expected"), [(200, 2, 1), (200, 9, 0), (529, 0, 0)]
)
async def test_the_first_content_is_told_once(status, content_at, expected):
    """With the chunk that it came in; what comes before, and an error, is none."""

    class Slowly(Reply):
        given = 0

        @property
        def content_started(self):
            return self.given >= content_at

        async def chunks(self):
            async for chunk in super().chunks():
                self.given += 1
                yield chunk

    told, outcome, reply = [], new_outcome(), Slowly(b"a", b"b", b"c")
    reply.status = status
    client = Client()

    await relay(reply, client, [], outcome, on_content=lambda: told.append(len(client.sent)))

    assert [content_at] * expected == told
    assert (outcome.ttft_s is not None) == bool(expected)


@pytest.mark.parametrize("needs_pings", [False, True])
async def test_pings_are_for_streams_of_ours(needs_pings):
    """Only a reply that asks for pings gets them, as many as the silence is long (conformance 151)."""
    gate = asyncio.Event()
    client, reply = Client(), Reply(b"a", gate, b"b", needs_pings=needs_pings)
    task = asyncio.create_task(relay(reply, client, [], new_outcome(), 0.01))
    if needs_pings:
        await until(lambda: task.done() or client.sent.count(PING) >= 3)
    gate.set()
    await task

    assert needs_pings == (PING in client.sent)
    assert b"b" == client.sent[-1]
    sent = len(client.sent)
    await asyncio.sleep(0.03)
    assert sent == len(client.sent), "a ping after the end"


async def test_a_body_that_cannot_be_mended():
    """It is left unfinished, so that the server cuts the connection (conformance 268)."""
    failure = AttemptFailed(FailureClass.BROKEN_STREAM, "x")
    client, reply, outcome = Client(), Reply(b"a", failure), new_outcome()

    with pytest.raises(AttemptFailed):
        await relay(reply, client, [], outcome)

    assert not client.finished
    assert (Ending.BROKEN, 1) == (outcome.ending, reply.closed)


async def test_a_mended_stream_is_not_a_success():
    """A stream that ended in an error event is counted as broken (design 2.8)."""
    outcome = new_outcome()

    await relay(Reply(b"a", failure=FailureClass.BROKEN_STREAM), Client(), [], outcome)

    assert Ending.BROKEN == outcome.ending


async def test_an_error_answer_is_complete():
    """Claude's own error, relayed to its end, is no broken stream."""
    outcome, reply = new_outcome(), Reply(b"{}", failure=FailureClass.RATE_LIMIT)
    reply.status = 429

    await relay(reply, Client(), [], outcome)

    assert Ending.COMPLETED == outcome.ending


async def test_a_client_that_left():
    """The reply is released all the same (conformance 159)."""
    reply = Reply(b"a", b"b", b"c")

    with pytest.raises(ClientGone):
        await relay(reply, Client(gone_after=1), [], new_outcome())

    assert 1 == reply.closed


@pytest.mark.parametrize("end", ["stop", "deadline", "bug"])
async def test_the_upstream_goes_before_the_farewell(end):
    """A client that is slow to take its last event does not keep the upstream busy (conformance 162)."""

    class SlowClient(Client):
        async def finish(self, chunk=b""):
            assert 1 == reply.closed
            await super().finish(chunk)

    last = RuntimeError("x") if end == "bug" else asyncio.Event()
    client, reply, outcome = SlowClient(), Reply(b"a", last), new_outcome()
    deadline = Deadline(0.05 if end == "deadline" else None, monotonic())
    task = asyncio.create_task(relay(reply, client, [], outcome, deadline=deadline))
    await until(lambda: task.done() or len(client.sent) >= 2)
    if end == "stop":
        task.cancel()

    with pytest.raises((asyncio.CancelledError, AttemptFailed, RuntimeError)):
        await task
    assert b"farewell" == client.sent[-1]
    assert (1, Ending.BROKEN) == (reply.closed, outcome.ending)


async def test_a_stop():
    """A cancelled relay says farewell, once, and goes (conformance 162)."""
    client, reply, outcome = Client(), Reply(b"a", asyncio.Event()), new_outcome()
    task = asyncio.create_task(relay(reply, client, [], outcome))
    await until(lambda: task.done() or len(client.sent) >= 2)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert b"farewell" == client.sent[-1]
    assert client.finished
    assert (1, Ending.BROKEN) == (reply.closed, outcome.ending)
