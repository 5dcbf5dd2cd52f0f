from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from ccproxy.demo.ollama_memory import Lease, Memory
from ccproxy.demo.ollama_models import SimModel
from ccproxy.demo.ollama_requests import OllamaError, RunnerOptions

GIB = 2**30
SMALL = SimModel("small:latest", 4.0, 0.0)
OTHER = SimModel("other:latest", 4.0, 0.0)
THIRD = SimModel("third:latest", 4.0, 0.0)
CTX = RunnerOptions(num_ctx=4096)


@dataclass
class Clock:
    """Loads that last until the test lets them finish."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def pause(self, seconds: float) -> None:
        assert seconds > 0
        self.begun.set()
        await self.gate.wait()


def memory(
    gib: float = 8.5, *, parallel: int = 1, max_queue: int = 512, clock: Clock | None = None
) -> Memory:
    open_clock = Clock()
    open_clock.gate.set()
    return Memory(int(gib * GIB), parallel, max_queue, (clock or open_clock).pause)


async def use(
    machine: Memory, model: SimModel, options: RunnerOptions = CTX, prompt: str = ""
) -> Lease:
    lease = await machine.acquire(model, options, prompt)
    machine.release(lease, prompt, 300)
    return lease


async def test_a_loaded_model_is_not_loaded_again() -> None:
    """Requests with equal runner options share one load."""
    machine = memory()
    loads = [(await use(machine, SMALL)).load_s for _ in range(3)]

    assert loads == [SMALL.load_s, 0.0, 0.0]
    assert machine.loads == 1


@pytest.mark.parametrize(
    "options",
    [
        RunnerOptions(num_ctx=8192),
        RunnerOptions(num_ctx=4096, shift=False),
        RunnerOptions(num_ctx=4096, num_batch=1024),
        RunnerOptions(num_ctx=4096, use_mmap=False),
    ],
)
async def test_other_runner_options_reload(options: RunnerOptions) -> None:
    """A request that differs in a runner option makes the model load again (conformance 232)."""
    machine = memory()
    await use(machine, SMALL)
    await use(machine, SMALL, options)

    assert machine.loads == 2
    assert machine.residents[SMALL.name].options == options


async def test_the_least_recently_used_idle_model_is_evicted() -> None:
    """Room is made by unloading the idle model that was used longest ago."""
    machine = memory()
    for model in (SMALL, OTHER, SMALL, THIRD):
        await use(machine, model)

    assert set(machine.residents) == {SMALL.name, THIRD.name}
    assert machine.evictions == 1


async def test_a_busy_model_is_waited_for_not_evicted() -> None:
    """A model that answers stays; who needs its memory waits until it is idle."""
    machine = memory(5.0)
    busy = await machine.acquire(SMALL, CTX, "")
    waiting = asyncio.create_task(machine.acquire(OTHER, CTX, ""))
    await asyncio.sleep(0)

    assert (machine.waiting, set(machine.residents)) == (1, {SMALL.name})
    machine.release(busy, "", 300)
    lease = await asyncio.wait_for(waiting, 1)
    assert lease.resident.model is OTHER
    assert set(machine.residents) == {OTHER.name}


async def test_slots_are_bounded_and_the_queue_too() -> None:
    """With all slots taken requests wait; beyond the queue's length they get 503 (234)."""
    machine = memory(max_queue=1)
    first = await machine.acquire(SMALL, CTX, "")
    second = asyncio.create_task(machine.acquire(SMALL, CTX, ""))
    await asyncio.sleep(0)
    with pytest.raises(OllamaError, match="maximum pending requests exceeded") as refused:
        await machine.acquire(SMALL, CTX, "")

    assert refused.value.status == 503
    machine.release(first, "", 300)
    assert (await asyncio.wait_for(second, 1)).slot is first.slot


async def test_two_requests_for_an_unloaded_model_load_it_once() -> None:
    """Who arrives during a load waits for it instead of starting another."""
    clock = Clock()
    machine = memory(parallel=2, clock=clock)
    both = [asyncio.create_task(machine.acquire(SMALL, CTX, "")) for _ in range(2)]
    await clock.begun.wait()
    clock.gate.set()
    leases = await asyncio.wait_for(asyncio.gather(*both), 1)

    assert machine.loads == 1
    assert leases[0].slot is not leases[1].slot


async def test_a_load_whose_client_left_is_taken_back() -> None:
    """Cancelling a load frees the memory and lets the next one in."""
    clock = Clock()
    machine = memory(5.0, clock=clock)
    left = asyncio.create_task(machine.acquire(SMALL, CTX, ""))
    await clock.begun.wait()
    waiting = asyncio.create_task(machine.acquire(OTHER, CTX, ""))
    await asyncio.sleep(0)
    left.cancel()
    clock.gate.set()

    assert (await asyncio.wait_for(waiting, 1)).resident.model is OTHER


async def test_a_model_that_never_fits_is_an_error() -> None:
    """Weights and KV cache beyond the budget are refused with both figures."""
    big = SimModel("big:latest", 4.0, kv_kib_per_token=1024)
    with pytest.raises(OllamaError, match=r"system memory \(36.0 GiB\) .* \(8.5 GiB\)"):
        await memory().acquire(big, RunnerOptions(num_ctx=32768), "")


async def test_keep_alive_zero_unloads_when_idle() -> None:
    """`keep_alive: 0` unloads the model as soon as nobody uses it."""
    machine = memory()
    lease = await machine.acquire(SMALL, CTX, "")
    machine.unload(SMALL.name)

    assert SMALL.name in machine.residents
    machine.release(lease, "", 0)
    assert SMALL.name not in machine.residents


async def test_a_request_gets_the_slot_that_remembers_its_prefix() -> None:
    """With several free slots the one with the longest common prefix is taken."""
    machine = memory(parallel=2)
    first = await machine.acquire(SMALL, CTX, "")
    second = await machine.acquire(SMALL, CTX, "")
    machine.release(first, "about cats", 300)
    machine.release(second, "about dogs", 300)
    third = await machine.acquire(SMALL, CTX, "about dogs and more")

    assert third.slot is second.slot
