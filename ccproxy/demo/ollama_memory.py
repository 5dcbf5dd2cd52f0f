"""Which models are loaded: the memory budget, loading, eviction, slots and the waiting queue.

How one request gets its slot, as in Ollama's scheduler (server/sched.go):
1. The model is loaded with the same runner options: take a free slot, else wait.
2. It is loaded with other options: wait until it is idle, unload it, go on with 3.
3. It is not loaded: one load at a time; evict idle models, least recently used first, until it
   fits; if only busy ones are left, wait for them; if it can never fit, fail.
More than `max_queue` waiting requests: the next one fails at once.

Times are given by the caller's `pause`; `keep_alive` is measured on the loop's clock, unscaled.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ccproxy.demo.ollama_models import SimModel, common_prefix_chars
from ccproxy.demo.ollama_requests import OllamaError, RunnerOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass(slots=True)
class Slot:
    """One parallel sequence of a loaded model and the prompt its KV cache still holds."""

    cached_prompt: str = ""
    busy: bool = False


@dataclass(slots=True)
class Resident:
    """One loaded, or loading, model."""

    model: SimModel
    options: RunnerOptions
    slots: list[Slot]
    size_bytes: int
    ready: bool = False
    used_at: int = 0
    """Rank of the last use; the smallest is evicted first."""
    expires_at: float = 0.0
    """Loop time after which it is unloaded, if idle."""

    @property
    def is_idle(self) -> bool:
        """True if it is loaded and no request uses it."""
        return self.ready and not any(slot.busy for slot in self.slots)


@dataclass(frozen=True, slots=True)
class Lease:
    """A slot held by one request, to be given back with `Memory.release`."""

    resident: Resident
    slot: Slot
    load_s: float
    """Seconds of loading this request had to wait for, before scaling."""


@dataclass(slots=True)
class Memory:
    """Everything that is loaded on the simulated machine."""

    budget_bytes: int
    parallel: int
    max_queue: int
    pause: Callable[[float], Awaitable[None]]
    residents: dict[str, Resident] = field(default_factory=dict)
    loads: int = 0
    """Models loaded so far, reloads included."""
    evictions: int = 0
    """Models unloaded to make room."""
    waiting: int = 0
    _uses: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def acquire(self, model: SimModel, options: RunnerOptions, prompt: str) -> Lease:
        """Return a slot of `model`, loading and evicting as the module says.

        Raises:
            OllamaError: 503 when the queue is full, 500 when the model can never fit.
        """
        self.expire()
        lease = None if self.waiting else self._try_slot(model, options, prompt)
        if lease is not None:
            return lease
        if self.waiting >= self.max_queue:
            raise OllamaError(
                503, "server busy, please try again.  maximum pending requests exceeded"
            )
        self.waiting += 1
        try:
            return await self._wait_for_slot(model, options, prompt)
        finally:
            self.waiting -= 1

    def release(self, lease: Lease, prompt: str, keep_alive_s: float) -> None:
        """Give a slot back; its cache now holds `prompt`. A `keep_alive_s` of 0 unloads."""
        lease.slot.busy = False
        lease.slot.cached_prompt = prompt
        self.renew(lease.resident, keep_alive_s)

    def renew(self, resident: Resident, keep_alive_s: float) -> None:
        """Note a use of `resident`; with 0 it is unloaded as soon as it is idle."""
        self._uses += 1
        resident.used_at = self._uses
        resident.expires_at = asyncio.get_running_loop().time() + keep_alive_s
        self.expire()
        self._signal()

    def unload(self, name: str) -> None:
        """Unload a model as soon as it is idle; nothing happens if it is not loaded."""
        resident = self.residents.get(name)
        if resident is not None:
            self.renew(resident, 0.0)

    def expire(self) -> None:
        """Unload idle models whose `keep_alive` has passed."""
        if not self.residents:
            return
        now = asyncio.get_running_loop().time()
        for name, resident in list(self.residents.items()):
            if resident.is_idle and resident.expires_at <= now:
                del self.residents[name]

    async def _wait_for_slot(self, model: SimModel, options: RunnerOptions, prompt: str) -> Lease:
        while True:
            lease = self._try_slot(model, options, prompt)
            if lease is not None:
                return lease
            current = self.residents.get(model.name)
            if current is not None and current.options != options and current.is_idle:
                del self.residents[model.name]  # (2)
                current = None
            if current is None and self._make_room(model, options):
                return await self._load(model, options)
            # An event per change: whoever waits has seen everything before the clear.
            self._changed.clear()
            await self._changed.wait()

    def _try_slot(self, model: SimModel, options: RunnerOptions, prompt: str) -> Lease | None:
        resident = self.residents.get(model.name)
        if resident is None or not resident.ready or resident.options != options:
            return None
        free = [slot for slot in resident.slots if not slot.busy]
        if not free:
            return None
        slot = free[0]
        if len(free) > 1:
            slot = max(free, key=lambda slot: common_prefix_chars(slot.cached_prompt, prompt))
        slot.busy = True
        return Lease(resident, slot, 0.0)

    def _make_room(self, model: SimModel, options: RunnerOptions) -> bool:
        """Evict until `model` fits; False if it has to wait for a load or a busy model."""
        if any(not resident.ready for resident in self.residents.values()):
            return False
        needed = model.resident_bytes(options.num_ctx, self.parallel)
        if needed > self.budget_bytes:
            raise OllamaError(
                500,
                f"model requires more system memory ({needed / 2**30:.1f} GiB)"
                f" than is available ({self.budget_bytes / 2**30:.1f} GiB)",
            )
        idle = sorted(
            (resident for resident in self.residents.values() if resident.is_idle),
            key=lambda resident: resident.used_at,
        )
        while sum(r.size_bytes for r in self.residents.values()) + needed > self.budget_bytes:
            if not idle:
                return False
            del self.residents[idle.pop(0).model.name]
            self.evictions += 1
        return True

    async def _load(self, model: SimModel, options: RunnerOptions) -> Lease:
        resident = Resident(
            model,
            options,
            [Slot() for _ in range(self.parallel)],
            model.resident_bytes(options.num_ctx, self.parallel),
        )
        resident.slots[0].busy = True
        self.residents[model.name] = resident
        self.loads += 1
        try:
            await self.pause(model.load_s)
        except BaseException:
            self.residents.pop(model.name, None)
            raise
        else:
            resident.ready = True
            return Lease(resident, resident.slots[0], model.load_s)
        finally:
            self._signal()

    def _signal(self) -> None:
        self._changed.set()
