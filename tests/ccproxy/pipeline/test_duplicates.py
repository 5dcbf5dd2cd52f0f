"""Whose turn is whose, and that one at a time is served."""

import asyncio
from time import time

import pytest

from ccproxy.outcome import Ending, Outcome
from ccproxy.pipeline.duplicates import REPEATED_NOTE, Duplicates, TakenOver, turn_of
from ccproxy.pipeline.prefix_watch import Conversation

WHO = Conversation("alice", "s", "a", "turn")
BODY = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi \ud83d"}]}


class Client:
    def __init__(self):
        self.gone = False


class Serving:
    """Requests of one turn, each served until its gate opens."""

    def __init__(self):
        self.duplicates = Duplicates()
        self.running = self.most_at_once = 0
        self.gate = asyncio.Event()
        self.served = []

    async def serve(self, name, *, route="local", ttft_s=None, gone=False):
        outcome = Outcome(name, "messages", time())
        client = Client()
        client.gone = gone
        try:
            async with self.duplicates.alone(("alice", "s", "a", b"1"), client, outcome):
                outcome.route, outcome.ttft_s = route, ttft_s
                self.running += 1
                self.most_at_once = max(self.most_at_once, self.running)
                try:
                    await self.gate.wait()
                    self.served.append(name)
                finally:
                    await asyncio.sleep(0)  # an upstream takes a moment to be released
                    self.running -= 1
        except TakenOver:
            assert outcome.ending is Ending.TAKEN_OVER
            return f"{name} given up"
        return f"{name} {' '.join(outcome.notes)}".strip()


async def started(serving, *names, **how):
    tasks = []
    for name in names:
        tasks.append(asyncio.create_task(serving.serve(name, **how)))
        await asyncio.sleep(0)
    return tasks


@pytest.mark.parametrize("pauses", [0, 1, 5])
async def test_one_at_a_time(pauses):
    """Whoever came before is given up, also one that still waits; the last is served alone."""
    serving = Serving()
    tasks = []
    for name in "abcd":
        tasks += await started(serving, name)
        for _ in range(pauses):
            await asyncio.sleep(0)
    serving.gate.set()

    told = await asyncio.gather(*tasks)
    assert [*("a given up", "b given up", "c given up"), f"d {REPEATED_NOTE}"] == told
    assert (1, ["d"], 0) == (serving.most_at_once, serving.served, len(serving.duplicates))


@pytest.mark.parametrize(
    ("how", "given_up"),
    [
        ({}, True),
        ({"route": "claude"}, False),
        ({"ttft_s": 1.0}, False),
        ({"ttft_s": 1.0, "gone": True}, True),
        ({"route": "claude", "gone": True}, False),
    ],
)
async def test_who_gives_way(how, given_up):
    """One that runs locally and has told nothing, or nobody listens to; never one at Claude."""
    serving = Serving()
    first = await started(serving, "a", **how)
    second = await started(serving, "b")
    await asyncio.sleep(0)
    serving.gate.set()

    told = await asyncio.gather(*first, *second)
    assert (["a given up", f"b {REPEATED_NOTE}"] if given_up else ["a", "b"]) == told


async def test_the_servers_own_cancellation_gets_through():
    """A stop of the server is no repeated turn, even when both come together."""
    serving = Serving()
    (first,) = await started(serving, "a")
    (second,) = await started(serving, "b")
    first.cancel()

    with pytest.raises(asyncio.CancelledError):
        await first
    serving.gate.set()
    assert f"b {REPEATED_NOTE}" == await second


@pytest.mark.parametrize(
    ("conversation", "body", "same"),
    [
        (WHO, BODY, True),
        (WHO, {**BODY, "stream": False}, True),
        (WHO, {key: value for key, value in BODY.items() if key != "stream"}, True),
        (WHO._replace(request_class="title"), BODY, True),
        (WHO, {**BODY, "max_tokens": 5}, False),
        (WHO._replace(principal="bob"), BODY, False),
        (WHO._replace(session_id="t"), BODY, False),
        (WHO._replace(agent_id=""), BODY, False),
    ],
)
def test_what_is_the_same(conversation, body, same):
    """Principal, session, agent and every part of the body but `stream`."""
    assert same == (turn_of(WHO, BODY) == turn_of(conversation, body))


def test_nobodys_turn():
    """Without a session id nothing is the same as anything."""
    assert turn_of(WHO._replace(session_id=""), BODY) is None
