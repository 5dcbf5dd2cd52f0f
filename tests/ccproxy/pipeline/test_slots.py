"""How many requests one deployment serves at once."""

import asyncio

import pytest

from ccproxy.pipeline.slots import Occupancies, Slots
from ccproxy.ports import AttemptFailed
from routing.failures import FailureClass
from routing.pace import Occupancy


class Source:
    """An upstream's stream: gives one item, then waits for its gate."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.started = asyncio.Event()
        self.closed = False

    async def items(self):
        self.started.set()
        try:
            yield "first"
            await self.gate.wait()
            yield "last"
        finally:
            self.closed = True


async def drained(slots, source):
    return [item async for item in slots.admitted(source.items())]


async def test_without_a_limit_everybody_is_admitted():
    """No limit means no waiting."""
    slots, sources = Slots(None), [Source() for _ in range(50)]
    tasks = [asyncio.create_task(drained(slots, source)) for source in sources]

    for source in sources:
        await source.started.wait()
        source.gate.set()

    assert [["first", "last"]] * 50 == await asyncio.gather(*tasks)


async def test_the_next_waits_for_the_end_of_the_one_before():
    """With one slot the second starts when the first is over, not when it has begun (conformance 234)."""
    slots, first, second = Slots(1), Source(), Source()
    tasks = [asyncio.create_task(drained(slots, source)) for source in (first, second)]
    await first.started.wait()
    await asyncio.sleep(0)
    assert not second.started.is_set()

    first.gate.set()
    second.gate.set()

    assert [["first", "last"]] * 2 == await asyncio.gather(*tasks)


async def test_a_wait_without_end_becomes_a_refusal():
    """Nobody waits for ever: OVERLOADED, so that another deployment is tried (conformance 234)."""
    slots, first = Slots(1, queue_timeout_s=0.01), Source()
    holder = asyncio.create_task(drained(slots, first))
    await first.started.wait()

    with pytest.raises(AttemptFailed) as caught:
        await drained(slots, Source())

    assert FailureClass.OVERLOADED == caught.value.failure
    first.gate.set()
    await holder


@pytest.mark.parametrize("phase", ["waiting", "running", "between"])
async def test_a_slot_comes_back_whatever_happens(phase):
    """A cancelled wait, a cancelled answer, a closed stream: the slot is free again (conformance 285)."""
    slots, first = Slots(1), Source()
    if phase == "waiting":
        holder = asyncio.create_task(drained(slots, first))
        await first.started.wait()
        waiter = asyncio.create_task(drained(slots, Source()))
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        first.gate.set()
        await holder
    elif phase == "running":
        holder = asyncio.create_task(drained(slots, first))
        await first.started.wait()
        await asyncio.sleep(0)
        holder.cancel()
        await asyncio.gather(holder, return_exceptions=True)
    else:
        stream = slots.admitted(first.items())
        await anext(stream)
        await stream.aclose()

    last = Source()
    last.gate.set()
    async with asyncio.timeout(1):
        assert ["first", "last"] == await drained(slots, last)
    assert first.closed


async def test_what_goes_on_is_told_at_the_moment_of_the_question():
    """Who came after the first look is seen by the second: agents come in bursts."""
    slots, sources = {"qwen": Slots(1)}, [Source(), Source()]
    seen = Occupancies(slots, {"qwen": False}.get)
    assert (list(seen), len(seen)) == (["qwen"], 1)
    assert Occupancy(0, 0, 1, loaded=False) == seen["qwen"]

    tasks = [asyncio.create_task(drained(slots["qwen"], source)) for source in sources]
    await sources[0].started.wait()
    assert Occupancy(1, 1, 1, loaded=False) == seen["qwen"]

    for source in sources:
        source.gate.set()
    await asyncio.gather(*tasks)
    assert Occupancy(0, 0, 1, loaded=False) == seen["qwen"]
