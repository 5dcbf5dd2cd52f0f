"""One request top to bottom with fakes at the ports: what is recorded, and what a bug looks like."""

import asyncio
import gzip
import json
import logging
from secrets import token_hex

import pytest

from ccproxy.auth import open_principal
from ccproxy.outcome import Ending, Usage
from ccproxy.pipeline.exchange import Exchange
from ccproxy.pipeline.request import WholeReply
from ccproxy.ports import AttemptFailed, ClientGone, Incoming
from ccproxy.wire.errors import ApiError
from routing.failures import FailureClass
from routing.table import compile_table
from routing.types import Deployment, Roster, Side
from tests.support.health import NotedHealth
from tests.support.messages import turn
from tests.support.routers import router_of

SECRET = "a-path-and-a-secret"


class Client:
    def __init__(self, body, *, gone=False):
        self.started = False
        self.last_sent_at = 0.0
        self.status = 0
        self.headers = []
        self.body = b""
        self._request_body = body
        self.gone = gone
        self.held_bytes = 0
        self.room_bytes = 2**40

    async def read_body(self, _limit_bytes):
        if self.gone:
            raise ClientGone
        return self._request_body

    def hold(self, size_bytes):
        self.held_bytes += size_bytes
        if self.held_bytes > self.room_bytes:
            raise ApiError(529, "no room")

    def watched(self):
        return self

    async def __aenter__(self):
        return None

    async def __aexit__(self, *_exc):
        return None

    async def start(self, status, headers):
        self.started, self.status, self.headers = True, status, dict(headers)

    async def send(self, chunk):
        self.body += chunk

    async def finish(self, chunk=b""):
        self.body += chunk


class Served:
    name = "d"
    side = Side.LOCAL

    def __init__(self, does):
        self.does = does

    def model_for(self, _request):
        return "m"

    async def open(self, _request):
        if isinstance(self.does, BaseException):
            raise self.does
        return self.does


class Broken(WholeReply):
    """A reply whose body breaks off, by a bug or by an upstream."""

    async def chunks(self):
        yield b"part"
        raise self.usage.extra["error"]


class Sink(list):
    def record(self, outcome):
        self.append(outcome)


def broken(error):
    return Broken(200, (), b"", Usage(extra={"error": error}))


def ok():
    return WholeReply(200, ((b"content-type", b"application/json"),), b"{}", Usage(output_tokens=3))


def router():
    deployments = {"d": Deployment("d", Side.LOCAL, leaves_host=False)}
    document = {
        "version": 1,
        "active_profile": "p",
        "profiles": {"p": {"default": {"route": ["d"]}}},
    }
    table, _ = compile_table(document, deployments, Roster())
    return router_of(table)


async def run(
    does,
    *,
    body=None,
    headers=((b"anthropic-version", b"2023-06-01"),),
    gone=False,
    health=None,
    room_bytes=2**40,
    **more,
):
    sink = Sink()
    exchange = Exchange(
        authenticate=lambda _headers, _peer="": open_principal(),
        router=router(),
        deployments={"d": Served(does)},
        sink=sink,
        health=health or NotedHealth(),
        **more,
    )
    raw = json.dumps(turn(model="d")).encode() if body is None else body
    client = Client(raw, gone=gone)
    client.room_bytes = room_bytes
    incoming = Incoming("POST", "/v1/messages", b"", headers, None)
    await exchange.serve(incoming, client, counting=False)
    return client, sink


CASES = {
    "served": ({"does": ok()}, 200, Ending.COMPLETED, ["d:ok"]),
    "no version": ({"does": ok(), "headers": ()}, 400, Ending.REFUSED, []),
    "no JSON": ({"does": ok(), "body": b"{"}, 400, Ending.REFUSED, []),
    "refused": ({"does": ApiError(400, "no")}, 400, Ending.REFUSED, ["d:client_fault"]),
    "failed": (
        {"does": AttemptFailed(FailureClass.OVERLOADED, "busy")},
        529,
        Ending.FAILED,
        ["d:overloaded"],
    ),
    "a bug": ({"does": KeyError(SECRET)}, 500, Ending.FAILED, ["d:unfinished"]),
    "a broken body": (
        {"does": broken(AttemptFailed(FailureClass.BROKEN_STREAM, "x"))},
        200,
        Ending.BROKEN,
        ["d:ok"],
    ),
    "a bug in the body": ({"does": broken(KeyError(SECRET))}, 200, Ending.BROKEN, ["d:ok"]),
    "gone": ({"does": ok(), "gone": True}, 0, Ending.CLIENT_GONE, []),
}


@pytest.mark.parametrize("name", CASES)
async def test_every_request_has_one_outcome(name, caplog):
    """Whatever happens there is exactly one, and it says what the client saw (design 2.8)."""
    caplog.set_level(logging.CRITICAL)
    request, status, ending, attempts = CASES[name]

    client, outcomes = await run(**request)

    assert 1 == len(outcomes)
    outcome = outcomes[0]
    assert (status, ending, attempts) == (outcome.status, outcome.ending, outcome.attempts)
    assert status == client.status
    assert outcome.total_s > 0


@pytest.mark.parametrize(("room_bytes", "status"), [(2**21, 529), (2**22, 200)])
async def test_what_is_unpacked_takes_room(room_bytes, status):
    """A packed body counts as what it becomes; where there is no room, nobody is asked."""
    plain = json.dumps(turn(token_hex(3 * 2**19), model="d")).encode()
    packed = {"content-encoding": "gzip", "anthropic-version": "2023-06-01"}
    headers = tuple((name.encode(), value.encode()) for name, value in packed.items())

    client, _ = await run(ok(), body=gzip.compress(plain), headers=headers, room_bytes=room_bytes)

    assert client.status == status
    assert len(plain) <= client.held_bytes <= len(plain) + 1000 or status == 529


async def test_what_is_parsed_takes_room():
    """Many small values take many times the memory of their text, and count as that."""
    body = turn(model="d", metadata={"x": [{"": 0}] * 100_000})
    client, _ = await run(ok(), body=json.dumps(body).encode())

    assert client.held_bytes > 20 * 2**20


async def test_a_bug_is_ours_and_says_nothing(caplog):
    """500 `api_error` with an id; the traceback is for the log alone (conformance 062)."""
    client, outcomes = await run(KeyError(SECRET))

    payload = json.loads(client.body)
    assert (500, "api_error") == (client.status, payload["error"]["type"])
    assert payload["request_id"] == outcomes[0].request_id
    assert SECRET not in client.body.decode()
    assert [True] == [SECRET in str(record.exc_info[1]) for record in caplog.records]


async def test_a_stop_before_the_answer():
    """A request that a stop cuts off hears 529, and the cancellation goes on (conformance 162)."""
    sink, client = Sink(), Client(json.dumps(turn(model="d")).encode())

    class Waiting(Served):
        def model_for(self, _request):
            return "m"

        async def open(self, _request):
            await asyncio.Event().wait()

    exchange = Exchange(
        authenticate=lambda _headers, _peer="": open_principal(),
        router=router(),
        deployments={"d": Waiting(None)},
        sink=sink,
        health=NotedHealth(),
    )
    incoming = Incoming("POST", "/", b"", ((b"anthropic-version", b"2023-06-01"),), None)
    task = asyncio.create_task(exchange.serve(incoming, client, counting=False))
    await asyncio.sleep(0.01)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert (529, "overloaded_error") == (client.status, json.loads(client.body)["error"]["type"])
    assert [Ending.FAILED] == [outcome.ending for outcome in sink]


class Closing(WholeReply):
    """A reply that says whether it was closed."""

    closed = False

    async def aclose(self):
        Closing.closed = True


async def test_an_answer_is_let_go_of_where_the_look_beside_it_ends_the_request():
    """Nobody relays it then: a client that leaves just there must not leave a model at work."""

    async def leave(_request, _plan, _outcome):
        raise ClientGone

    _, outcomes = await run(Closing(200, (), b"{}", Usage()), compare=leave)

    assert (Closing.closed, outcomes[0].ending) == (True, Ending.CLIENT_GONE)


class Long(WholeReply):
    """A reply that goes on after its first content, and notes what was told by then."""

    async def chunks(self):
        for told in self.usage.extra["told"]:
            yield b"piece"
            told.extend(self.usage.extra["health"].heard)


@pytest.mark.parametrize(("began", "told"), [(True, [("d", None)]), (False, [])])
async def test_a_trial_ends_when_the_content_begins(began, told):
    """A relayed answer of minutes does not keep a deployment from everybody else.

    What comes before its content is no answer yet: a stream may still end in an error event.
    """
    health, seen = NotedHealth(on_trial={"d"}), []
    extra = {"told": [seen], "health": health}

    await run(Long(200, (), b"", Usage(extra=extra), content_started=began), health=health)

    assert told == seen
    assert [("d", None)] == health.heard
    assert 0 == health.running
