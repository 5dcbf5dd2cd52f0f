"""Messages on their way to one channel."""

import asyncio
from collections import Counter

import pytest

from ccproxy.alerts.channel import NotDelivered
from ccproxy.alerts.message import Message
from ccproxy.alerts.outbox import DeliveryRules, Outbox
from routing.alerts import AlertKind, Phase

QUICK = DeliveryRules(first_pause_s=0.001, longest_pause_s=0.002, give_up_s=5)


def message(text="t"):
    return Message(AlertKind.TEST, "s", Phase.RAISED, text, "h", 0.0, 0.0)


class ScriptedChannel:
    """Fails as often as it is told to, then takes everything."""

    name = "ops"

    def __init__(self, *failures):
        self.failures = list(failures)
        self.tries = 0
        self.taken = []

    async def send(self, message):
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)
        self.taken.append(message.text)


async def run(channel, *texts, rules=QUICK, limit=100):
    """Return how often each end was counted, after everything was dealt with."""
    ends = Counter()
    outbox = Outbox(
        channel,
        count=lambda name, kind, end: ends.update([(name, str(kind), end)]),
        rules=rules,
        waiting_limit=limit,
    )
    for text in texts:
        outbox.put(message(text))
    task = asyncio.create_task(outbox.run())
    async with asyncio.timeout(5):
        await outbox.sent()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return {end: times for (_, _, end), times in ends.items()}


async def test_what_fails_is_tried_again_in_order():
    """The next message waits until the one before is delivered or given up."""
    channel = ScriptedChannel(NotDelivered("a"), NotDelivered("b"))
    assert await run(channel, "one", "two") == {"delivered": 2}
    assert (channel.tries, channel.taken) == (4, ["one", "two"])


async def test_what_is_final_is_not_tried_again(caplog):
    """It is counted and logged, and the next one goes out."""
    channel = ScriptedChannel(NotDelivered("a 404", is_final=True))
    assert await run(channel, "one", "two") == {"failed": 1, "delivered": 1}
    assert channel.taken == ["two"]
    assert "alerts: ops: not delivered (a 404): one" in caplog.text


@pytest.mark.parametrize(
    ("rules", "failure"),
    [
        (
            DeliveryRules(first_pause_s=0.001, longest_pause_s=0.001, give_up_s=0.02),
            NotDelivered("x"),
        ),
        (QUICK, NotDelivered("x", retry_after_s=60)),
    ],
)
async def test_it_is_given_up(rules, failure):
    """After its time; also where the other end names a longer pause than is left."""
    channel = ScriptedChannel(*[failure] * 1000)
    assert await run(channel, "one", rules=rules) == {"failed": 1}


async def test_a_mistake_of_ours_does_not_end_it(caplog):
    """Whatever a channel raises: the message is lost, the next one goes out, no text is logged."""
    channel = ScriptedChannel(ValueError("https://secret"))
    assert await run(channel, "one", "two") == {"failed": 1, "delivered": 1}
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


async def test_too_many_are_dropped(caplog):
    """Beyond the limit what comes is dropped, counted and logged; what waits is kept."""
    channel = ScriptedChannel()
    assert await run(channel, "one", "two", "three", limit=2) == {"dropped": 1, "delivered": 2}
    assert channel.taken == ["one", "two"]
    assert "dropped: three" in caplog.text
