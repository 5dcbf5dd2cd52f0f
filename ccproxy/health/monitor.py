"""Watches local backends without costing them anything.

One background task per Ollama asks `/api/version`, `/api/tags` and `/api/ps` every interval, and
`/api/show` once per model and digest. None of these loads a model or generates a token. What is
learned is kept here and read synchronously by whoever plans a request.

Rules:
1. A backend starts as unknown (`reachable` None); its first answer or failure decides.
2. One failed round does not make a reachable backend unreachable: it is asked again after
   `retry_s`, and only the second failure in a row counts. One good round makes it reachable.
3. An unreachable backend keeps the facts of its models: capabilities do not change because a
   server is down.
4. Nothing is raised out of a task; the last error is kept as text.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from ccproxy.health.ollama_version import version_warning
from ccproxy.ports import ModelFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ccproxy.health.backend import BackendControl, LoadedModel, PulledModel

_FAILURES_TO_UNREACHABLE: Final = 2


@dataclass(slots=True)
class _Known:
    """What was learned of one model, and of which digest."""

    facts: ModelFacts | None = None
    shown_digest: str | None = None
    loaded: LoadedModel | None = None


@dataclass(slots=True)
class _Backend:
    control: BackendControl
    models: dict[str, _Known]
    reachable: bool | None = None
    since: float | None = None
    version: str | None = None
    warning: str | None = None
    """What people should know about this version."""
    last_error: str | None = None
    failures: int = 0
    rounds: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    round_done: asyncio.Event = field(default_factory=asyncio.Event)


class OllamaMonitor:
    """Keeps the latest facts of every local backend and of the models we route to."""

    def __init__(
        self,
        controls: Mapping[str, BackendControl],
        models: Mapping[str, Collection[str]],
        *,
        now: Callable[[], float],
        interval_s: float = 10.0,
        retry_s: float = 1.0,
        jitter_s: Callable[[], float] = float,
        report: Callable[[str], object] = str,
    ) -> None:
        """Prepare to watch; `start` begins.

        Args:
            controls: One per `api_base`; they stay the caller's to close.
            models: The models of interest, per `api_base`.
            now: Unix time in seconds, for `since`.
            interval_s: Pause between rounds.
            retry_s: Pause after a first failure.
            jitter_s: Seconds to add to each pause, so that proxies don't march in step.
            report: Is told, once per version, what a backend cannot be trusted with.
        """
        self._backends = {
            _key(api_base): _Backend(
                control, {_tagged(name): _Known() for name in models.get(api_base, ())}
            )
            for api_base, control in controls.items()
        }
        self._now = now
        self._interval_s = interval_s
        self._retry_s = retry_s
        self._jitter_s = jitter_s
        self._report = report
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to watch, in tasks of the running loop; the first round starts at once."""
        self._tasks = [
            asyncio.create_task(self._watch(backend), name=f"ollama-monitor {api_base}")
            for api_base, backend in self._backends.items()
        ]

    async def aclose(self) -> None:
        """Stop watching."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def facts(self, api_base: str, model: str) -> ModelFacts | None:
        """Return the latest facts of a model at once; None if nothing is known yet."""
        backend = self._backends.get(_key(api_base))
        known = backend.models.get(_tagged(model)) if backend else None
        return known.facts if known else None

    def is_loaded(self, api_base: str, model: str) -> bool | None:
        """Return whether a model was in memory when last looked; None if nobody could look."""
        backend = self._backends.get(_key(api_base))
        known = backend.models.get(_tagged(model)) if backend else None
        if backend is None or known is None or not backend.reachable:
            return None
        return known.loaded is not None

    def reachable(self, api_base: str) -> bool | None:
        """Return whether a backend answers; None if nobody has asked yet, or nobody watches it."""
        backend = self._backends.get(_key(api_base))
        return backend.reachable if backend else None

    def states(self) -> dict[str, bool | None]:
        """Return whether each backend answers, by `api_base`; None if nobody has asked yet."""
        return {api_base: backend.reachable for api_base, backend in self._backends.items()}

    async def wait_facts(
        self, api_base: str, model: str, timeout_s: float = 1.0
    ) -> ModelFacts | None:
        """Return the facts of a model, waiting for the round that brings them if need be.

        Asks at once rather than at the next interval, and gives up when a whole round brought
        nothing or after `timeout_s`.
        """
        known = self.facts(api_base, model)
        backend = self._backends.get(_key(api_base))
        if known is not None or backend is None or _tagged(model) not in backend.models:
            return known
        # A round that runs already may have passed this model's turn: wait for a whole one.
        last_round = backend.rounds + 2
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while backend.rounds < last_round and self.facts(api_base, model) is None:
                    backend.wake.set()
                    await backend.round_done.wait()
        return self.facts(api_base, model)

    def refresh(self, api_base: str) -> None:
        """Start the next round now, e.g. because a request found its model missing."""
        backend = self._backends.get(_key(api_base))
        if backend is not None:
            backend.wake.set()

    async def next_round(self, api_base: str) -> None:
        """Wait until the round that runs, or the next one, is over; at once if unwatched."""
        backend = self._backends.get(_key(api_base))
        if backend is not None:
            await backend.round_done.wait()

    def snapshot(self) -> list[dict[str, Any]]:
        """Return everything for `/health`, JSON-ready.

        Each item is `{"api_base", "reachable", "since", "version", "warning", "last_error",
        "models": [...]}`, and each model `{"model", "loaded"}` with the fields of `ModelFacts`;
        `loaded` is None or `{"size_bytes", "size_vram_bytes", "context_tokens", "expires_at"}`.
        `since` is Unix seconds, unknowns are None.
        """
        return [
            {
                "api_base": api_base,
                "reachable": backend.reachable,
                "since": backend.since,
                "version": backend.version,
                "warning": backend.warning,
                "last_error": backend.last_error,
                "models": [_row(name, known) for name, known in backend.models.items()],
            }
            for api_base, backend in self._backends.items()
        ]

    async def _watch(self, backend: _Backend) -> None:
        while True:
            backend.wake.clear()
            try:
                backend.last_error = await self._observe(backend)
            except Exception as exc:  # noqa: BLE001 - the boundary of a background task, rule 4
                self._note_failure(backend, exc)
            else:
                self._note(backend, reachable=True)
                backend.failures = 0
            backend.rounds += 1
            backend.round_done.set()
            backend.round_done = asyncio.Event()
            doubtful = 0 < backend.failures < _FAILURES_TO_UNREACHABLE
            pause_s = (self._retry_s if doubtful else self._interval_s) + self._jitter_s()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await backend.wake.wait()

    async def _observe(self, backend: _Backend) -> str | None:
        """Run one round; returns what went wrong with a single model, or None."""
        error: str | None = None
        self._note_version(backend, await backend.control.version())
        pulled = {_tagged(model.name): model for model in await backend.control.models()}
        for name, known in backend.models.items():
            model = pulled.get(name)
            if model is None:
                known.facts, known.shown_digest = ModelFacts(present=False), None
            elif known.shown_digest != model.digest:
                error = await self._show(backend.control, known, model) or error
        return await self._look_at_memory(backend) or error

    async def _look_at_memory(self, backend: _Backend) -> str | None:
        """Learn what is loaded; a failure says nothing of the backend."""
        loaded: dict[str, LoadedModel] = {}
        error: str | None = None
        try:
            loaded = {_tagged(each.name): each for each in await backend.control.resident()}
        except Exception as exc:  # noqa: BLE001 - the boundary of a background task, rule 4
            error = _text(exc)
        for name, known in backend.models.items():
            known.loaded = loaded.get(name)
        return error

    def _note_version(self, backend: _Backend, version: str) -> None:
        if version != backend.version:
            backend.version, backend.warning = version, version_warning(version)
            if backend.warning is not None:
                self._report(backend.warning)

    async def _show(self, control: BackendControl, known: _Known, model: PulledModel) -> str | None:
        """Learn of one model; a failure says nothing of the backend and is tried again."""
        try:
            facts = await control.show(model.name)
        except Exception as exc:  # noqa: BLE001 - the boundary of a background task, rule 4
            # What an earlier digest was is not known of this one.
            known.facts = ModelFacts(present=True, remote=model.remote or None)
            return _text(exc)
        known.facts = replace(
            facts, remote=model.remote or facts.remote, weights_bytes=model.size_bytes
        )
        known.shown_digest = model.digest
        return None

    def _note_failure(self, backend: _Backend, exc: Exception) -> None:
        backend.failures += 1
        backend.last_error = _text(exc)
        if backend.reachable is None or backend.failures >= _FAILURES_TO_UNREACHABLE:
            self._note(backend, reachable=False)

    def _note(self, backend: _Backend, *, reachable: bool) -> None:
        if not reachable:
            for known in backend.models.values():
                known.loaded = None
        if backend.reachable is not reachable:
            backend.reachable = reachable
            backend.since = self._now()


def _text(exc: Exception) -> str:
    return str(exc) or type(exc).__name__


def _key(api_base: str) -> str:
    return api_base.rstrip("/")


def _tagged(model: str) -> str:
    """Return a model name as Ollama compares it: `x` is `x:latest`, case does not count."""
    lower = model.lower()
    return lower if ":" in lower.rpartition("/")[2] else f"{lower}:latest"


def _row(name: str, known: _Known) -> dict[str, Any]:
    loaded = known.loaded
    memory = None
    if loaded is not None:
        memory = {
            "size_bytes": loaded.size_bytes,
            "size_vram_bytes": loaded.size_vram_bytes,
            "context_tokens": loaded.context_tokens,
            "expires_at": loaded.expires_at,
        }
    return {"model": name, "loaded": memory, **asdict(known.facts or ModelFacts())}
