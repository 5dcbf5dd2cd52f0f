"""A simulated Ollama: the real wire protocol on a real socket, without a model behind it.

Endpoints as in Ollama v0.33: `GET /`, `/api/version`, `/api/tags`, `/api/ps`; `POST /api/chat`,
`/api/generate`, `/api/show`, `/api/pull`, `/api/create`; `DELETE /api/delete`. Every answer carries
the header `x-simulated`, and every generated text says that it is simulated.

It behaves like one machine: a memory budget with loading and eviction (`ollama_memory`), prompt
and token rates, slots with a bounded queue, contexts that overflow (`ollama_prompt`), a KV prefix
per slot. What it answers follows from the conversation (`ollama_script`) or from the next script
given to `answer_with`. Trouble is ordered by `add_fault` (`ollama_faults`), answers that are badly
said by `misbehave` (`ollama_habits`).

For tests and tools on the same port, as JSON:
- `GET /_sim/log`: `{"requests": [...], "open_streams", "loads", "evictions", "resident"}`.
- `POST /_sim/faults`: one fault or a list of them; see `ollama_faults`.
- `POST /_sim/habits`: bad habits of the model; see `ollama_habits`.
- `POST /_sim/reset`: forget requests, faults, habits, scripts and counters, unload everything,
  bring deleted models back.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.demo.asgi_server import LoopbackServer
from ccproxy.demo.ollama_faults import (
    SERVER_FAULTS,
    Fault,
    FaultKind,
    fault_from_json,
    take_fault,
)
from ccproxy.demo.ollama_generate import Generator, Step
from ccproxy.demo.ollama_habits import Habit, Habits, habits_from_json
from ccproxy.demo.ollama_listing import process, show, tag
from ccproxy.demo.ollama_memory import Memory
from ccproxy.demo.ollama_models import SimModel, default_fleet, normalised
from ccproxy.demo.ollama_pull import Downloads
from ccproxy.demo.ollama_requests import JsonObject, OllamaError
from ccproxy.demo.ollama_trouble import answer_with_fault
from ccproxy.demo.ollama_wire import DELIVERY_S, Exchange, SimRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from ccproxy.demo.ollama_wire import Receive, Scope, Send

VERSION: Final = "0.33.0"
_GENERATING: Final = ("/api/chat", "/api/generate")


class SimulatedOllama:
    """One simulated machine that runs Ollama; see the module.

    Attributes:
        requests: Everything that was asked, oldest first, `/_sim/` excepted.
        open_streams: Requests to `/api/chat` and `/api/generate` not yet finished.
    """

    def __init__(
        self,
        models: Iterable[SimModel] | None = None,
        memory_gib: float = 28.0,
        speed: float = 1.0,
        *,
        num_parallel: int = 1,
        max_queue: int = 512,
        default_num_ctx: int = 4096,
        tags_capabilities: bool = True,
        keep_requests: bool = True,
    ) -> None:
        """Describe the machine; nothing runs yet.

        Args:
            models: What is pulled; the demo's fleet by default.
            memory_gib: For weights and KV caches.
            speed: All simulated times are divided by it; `math.inf` takes none at all.
            num_parallel: Slots per model (`OLLAMA_NUM_PARALLEL`).
            max_queue: Waiting requests before 503 (`OLLAMA_MAX_QUEUE`).
            default_num_ctx: For requests without one (`OLLAMA_CONTEXT_LENGTH`).
            tags_capabilities: False lists models as older versions do, without capabilities.
            keep_requests: False keeps no request, for long benchmarks.
        """
        fleet = default_fleet() if models is None else tuple(models)
        self._catalogue = {normalised(model.name): model for model in fleet}
        self.models = dict(self._catalogue)
        self.downloads = Downloads(dict(self._catalogue), self.models, self.pause)
        self.speed = speed
        self.default_num_ctx = default_num_ctx
        self.requests: list[SimRequest] = []
        self.open_streams = 0
        self.faults: list[Fault] = []
        self.scripts: list[tuple[Step, ...]] = []
        self.habits = Habits([], [])
        self.memory = Memory(int(memory_gib * 2**30), num_parallel, max_queue, self.pause)
        self._tags_capabilities = tags_capabilities
        self._keep_requests = keep_requests
        self._numbers = 0
        self._changed = asyncio.Event()
        self._generator = Generator(self)
        self._server: LoopbackServer | None = None
        self._timers: set[asyncio.Task[None]] = set()

    # --- for tests and the demo -----------------------------------------------------------------

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[str]:
        """Serve on a loopback port while the block runs; gives the base URL."""
        self._server = LoopbackServer(self.app, port)
        await self._server.start()
        try:
            yield self._server.base_url
        finally:
            for timer in self._timers:
                timer.cancel()
            await self._server.aclose()
            self._server = None

    @property
    def loads(self) -> int:
        """Model loads so far, reloads included."""
        return self.memory.loads

    @property
    def evictions(self) -> int:
        """Models unloaded to make room for others."""
        return self.memory.evictions

    @property
    def generations(self) -> list[SimRequest]:
        """The requests to `/api/chat` and `/api/generate`, oldest first."""
        return [request for request in self.requests if request.path in _GENERATING]

    def add_fault(self, kind: FaultKind | str, **settings: Any) -> None:  # noqa: ANN401
        """Order trouble for the next matching requests; `settings` are the fields of `Fault`."""
        self.faults.append(Fault(FaultKind(kind), **settings))

    def misbehave(self, *habits: Habit | str, always: bool = False) -> None:
        """Give the next answers that they fit these habits, one each; or all, `always`."""
        names = [Habit(habit) for habit in habits]
        (self.habits.always if always else self.habits.once).extend(names)

    def answer_with(self, *steps: Step) -> None:
        """Fix the answer to the next generating request that has none yet.

        A step is a record (`model`, `created_at` and `done: false` are filled in), raw bytes,
        real seconds to wait, or an `asyncio.Event` to wait for. Nothing is added: without a
        record with `done: true` the answer has no end.
        """
        self.scripts.append(steps)

    def offer(self, *models: SimModel) -> None:
        """Put models into the registry, to be pulled."""
        self.downloads.registry.update((normalised(model.name), model) for model in models)

    async def refuse(self) -> None:
        """Stop: open connections are reset, new ones refused, until `resume`."""
        await self._running.refuse()

    async def hang(self) -> None:
        """Accept no connection any more, and don't refuse them either, until `resume`."""
        await self._running.hang()

    async def resume(self) -> None:
        """Be there again after `refuse` or `hang`."""
        await self._running.resume()

    async def generation(self, index: int = 0) -> SimRequest:
        """Wait for the generating request of that index (0 is the first) and return it."""
        while len(self.generations) <= index:
            await self._next_change()
        return self.generations[index]

    async def idle(self) -> None:
        """Wait until no generating request is open."""
        while self.open_streams:
            await self._next_change()

    async def outages_over(self) -> None:
        """Wait until every outage ordered over HTTP has passed."""
        while self._timers:
            await asyncio.wait(self._timers)

    def reset(self) -> None:
        """Forget what was asked and ordered; unload; bring deleted models back."""
        self.requests.clear()
        self.faults.clear()
        self.scripts.clear()
        self.habits.clear()
        self._numbers = 0
        self.models.clear()
        self.models.update(self._catalogue)
        self.downloads.kept_quarters.clear()
        for name in list(self.memory.residents):
            self.memory.unload(name)
        self.memory.loads = self.memory.evictions = 0

    def find(self, name: str) -> SimModel:
        """Return a pulled model.

        Raises:
            OllamaError: 404.
        """
        model = self.models.get(normalised(name))
        if model is None:
            raise OllamaError(404, f"model '{name}' not found")
        return model

    async def pause(self, seconds: float) -> None:
        """Let simulated seconds pass."""
        await asyncio.sleep(seconds / self.speed if math.isfinite(self.speed) else 0)

    # --- the server -----------------------------------------------------------------------------

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI request."""
        if scope["type"] != "http":
            return
        self._numbers += 1
        request = SimRequest(self._numbers, scope["method"], scope["path"], list(scope["headers"]))
        exchange = Exchange(scope, receive, send, request)
        request.raw = await exchange.read_body()
        request.body = _json_or_none(request.raw)
        if self._keep_requests and not request.path.startswith("/_sim/"):
            self.requests.append(request)
        await self._serve(exchange)

    async def _serve(self, exchange: Exchange) -> None:
        request, generating = exchange.request, exchange.request.path in _GENERATING
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - ASGI apps run in tasks
        watcher = asyncio.create_task(exchange.watch(task))
        self.open_streams += generating
        self._notify()
        try:
            await self._answer(exchange)
        except asyncio.CancelledError:
            if not request.disconnected.is_set():
                raise
            task.uncancel()
        finally:
            watcher.cancel()
            self.open_streams -= generating
            request.finished.set()
            self._notify()

    async def _answer(self, exchange: Exchange) -> None:
        request = exchange.request
        model = str((request.body or {}).get("model", "")) if _is_object(request.body) else ""
        if not request.path.startswith("/_sim/"):
            exchange.fault = take_fault(self.faults, request.path, model)
        try:
            if exchange.fault is not None:
                request.fault = exchange.fault.kind
                if exchange.fault.kind is FaultKind.DELETE_MODEL:
                    self.models.pop(normalised(model), None)
                if await answer_with_fault(exchange, exchange.fault):
                    return
            await self._route(exchange)
        except OllamaError as error:
            await exchange.json(error.status, {"error": error.message, **error.extra})

    async def _route(self, exchange: Exchange) -> None:
        request = exchange.request
        method = "GET" if request.method == "HEAD" else request.method
        match (method, request.path):
            case ("POST", "/api/chat" | "/api/generate"):
                await self._generator.serve(exchange, is_chat=request.path == "/api/chat")
            case ("GET", "/"):
                await exchange.reply(200, b"Ollama is running", b"text/plain; charset=utf-8")
            case ("GET", "/api/version"):
                await exchange.json(200, {"version": VERSION})
            case ("GET", "/api/tags"):
                await exchange.json(200, {"models": self._tags()})
            case ("GET", "/api/ps"):
                await exchange.json(200, {"models": self._resident()})
            case ("POST", "/api/show"):
                await exchange.json(200, show(self.find(_model_name(request.body))))
            case ("POST", "/api/pull" | "/api/create"):
                await self.downloads.serve(exchange, _model_name(request.body))
            case ("DELETE", "/api/delete"):
                model = self.find(_model_name(request.body))
                del self.models[normalised(model.name)]
                self.memory.unload(model.name)
                await exchange.reply(200, b"")
            case _ if request.path.startswith("/_sim/"):
                await self._control(exchange, method)
            case _:
                await exchange.reply(404, b"404 page not found", b"text/plain")

    async def _control(self, exchange: Exchange, method: str) -> None:
        match (method, exchange.request.path):
            case ("GET", "/_sim/log"):
                await exchange.json(200, self._log())
            case ("POST", "/_sim/reset"):
                self.reset()
                await exchange.json(200, {"ok": True})
            case ("POST", "/_sim/faults"):
                await self._order_faults(exchange)
            case ("POST", "/_sim/habits"):
                await self._order_habits(exchange)
            case _:
                known = ", ".join(f"/_sim/{name}" for name in ("log", "faults", "habits", "reset"))
                await exchange.json(404, {"error": f"known: {known}"})

    async def _order_habits(self, exchange: Exchange) -> None:
        try:
            habits, always = habits_from_json(exchange.request.body)
        except ValueError as exc:
            raise OllamaError(400, str(exc)) from exc
        self.misbehave(*habits, always=always)
        await exchange.json(200, {"ok": True, "pending": len(self.habits.once)})

    async def _order_faults(self, exchange: Exchange) -> None:
        body = exchange.request.body
        try:
            faults = [
                fault_from_json(item) for item in (body if isinstance(body, list) else [body])
            ]
        except (ValueError, TypeError) as exc:
            raise OllamaError(400, str(exc)) from exc
        self.faults += [fault for fault in faults if fault.kind not in SERVER_FAULTS]
        await exchange.json(200, {"ok": True, "pending": len(self.faults)})
        for fault in faults:
            if fault.kind in SERVER_FAULTS:
                timer = asyncio.create_task(self._outage(fault))
                self._timers.add(timer)
                timer.add_done_callback(self._timers.discard)

    async def _outage(self, fault: Fault) -> None:
        await asyncio.sleep(DELIVERY_S)  # who ordered it shall read the answer
        if fault.kind is FaultKind.HANG_ACCEPT:
            await self.hang()
        else:
            await self.refuse()
        await asyncio.sleep(fault.seconds)
        await self.resume()

    @property
    def _running(self) -> LoopbackServer:
        if self._server is None:
            msg = "the simulated Ollama is not served by its own `serve()`"
            raise RuntimeError(msg)
        return self._server

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _next_change(self) -> None:
        await self._changed.wait()

    def _log(self) -> JsonObject:
        return {
            "requests": [request.to_json() for request in self.requests],
            "open_streams": self.open_streams,
            "loads": self.loads,
            "evictions": self.evictions,
            "resident": self._resident(),
        }

    def _tags(self) -> list[JsonObject]:
        return [
            tag(model, with_capabilities=self._tags_capabilities) for model in self.models.values()
        ]

    def _resident(self) -> list[JsonObject]:
        self.memory.expire()
        clock_s = asyncio.get_running_loop().time()
        residents = self.memory.residents.values()
        return [process(resident, clock_s) for resident in residents if resident.ready]


def _is_object(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, dict)


def _json_or_none(raw: bytes) -> Any:  # noqa: ANN401 - JSON
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def _model_name(body: Any) -> str:  # noqa: ANN401 - JSON
    name = (body.get("model") or body.get("name")) if isinstance(body, dict) else None
    if not isinstance(name, str) or not name:
        raise OllamaError(400, "model is required")
    return name
