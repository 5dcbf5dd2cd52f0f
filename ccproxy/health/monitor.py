"""Watches local backends without costing them anything.

`/api/version` is the probe: it says whether an Ollama is there (`watcher`, `routing.health`). What
it has is looked at after each probe that was answered (`inventory`). None of these questions loads
a model or generates a token. What is learned is read synchronously by whoever plans a request.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from ccproxy.health.board import Backend
from ccproxy.health.inventory import Inventory, ModelState
from ccproxy.health.ollama_version import version_warning
from ccproxy.health.watcher import Watcher
from routing.health import HealthState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ccproxy.health.backend import BackendControl
    from ccproxy.health.board import HealthBoard
    from ccproxy.health.inventory import Known
    from ccproxy.ports import ModelFacts

WHEN_DOWN: Final = "Ollama does not answer (down since {since})"


def ollama_backend(api_base: str) -> Backend:
    """Return what the board is told of an Ollama."""
    return Backend(_key(api_base), WHEN_DOWN)


class OllamaMonitor:
    """Keeps the latest facts of every local backend and of the models we route to."""

    def __init__(
        self,
        controls: Mapping[str, BackendControl],
        models: Mapping[str, Collection[str]],
        board: HealthBoard,
        *,
        jitter: Callable[[], float] = float,
        report: Callable[[str], object] = str,
    ) -> None:
        """Prepare to watch; `start` begins.

        Args:
            controls: One per `api_base`; they stay the caller's to close.
            models: The models of interest, per `api_base`.
            board: Keeps whether they answer; has an `ollama_backend` for each.
            jitter: From 0 to 1, drawn for each pause, so that proxies don't march in step.
            report: Is told, once per version, what a backend cannot be trusted with.
        """
        self._board = board
        self._ollamas = {
            _key(api_base): _Ollama(
                board,
                _key(api_base),
                control,
                Inventory(control, models.get(api_base, ()), board.now),
                jitter=jitter,
                report=report,
            )
            for api_base, control in controls.items()
        }

    def start(self) -> None:
        """Begin to watch, in tasks of the running loop; the first probe starts at once."""
        for each in self._ollamas.values():
            each.watcher.start()

    async def aclose(self) -> None:
        """Stop watching."""
        await asyncio.gather(*(each.watcher.aclose() for each in self._ollamas.values()))

    def facts(self, api_base: str, model: str) -> ModelFacts | None:
        """Return the latest facts of a model at once; None if nothing is known yet."""
        known = self._known(api_base, model)
        return known.facts if known is not None else None

    def is_loaded(self, api_base: str, model: str) -> bool | None:
        """Return whether a model is in memory; None if nobody could look.

        It is if it was when last looked, or has answered since.
        """
        known = self._known(api_base, model)
        if known is None or not self.is_up(api_base):
            return None
        return known.is_loaded

    def answered(self, api_base: str, model: str) -> None:
        """Hear that a model has answered just now; those that nobody watches don't matter."""
        ollama = self._ollamas.get(_key(api_base))
        if ollama is not None:
            ollama.inventory.answered(model)

    def is_up(self, api_base: str) -> bool:
        """Return whether a backend is known to answer; False if nobody watches it."""
        health = self._board.backends.get(_key(api_base))
        return health is not None and health.state is HealthState.UP

    async def wait_facts(
        self, api_base: str, model: str, timeout_s: float = 1.0
    ) -> ModelFacts | None:
        """Return the facts of a model, waiting for the first look at it if there was none yet.

        A model that was not there is looked for again, if that may be done at once: it may have
        been pulled meanwhile. Gives up when a look brought nothing, or after `timeout_s`; from then
        on nobody waits for that look.
        """
        ollama = self._ollamas.get(_key(api_base))
        known = self._known(api_base, model)
        if ollama is None or known is None:
            return None
        is_absent = known.facts is not None and known.facts.present is False
        if is_absent and ollama.watcher.ask_soon():
            ollama.looked_at.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await ollama.looked_at.wait()
        except TimeoutError:
            ollama.looked_at.set()  # Not every request is to pay for a listing that hangs.
        return self.facts(api_base, model)

    def next_probe_s(self, api_base: str) -> float | None:
        """Return in how many seconds a backend is asked again; None if nobody watches it."""
        ollama = self._ollamas.get(api_base)
        return ollama.watcher.next_probe_s() if ollama is not None else None

    def probes(self) -> dict[str, int]:
        """Return how often each backend was asked whether it is there, by `api_base`."""
        return {api_base: each.watcher.probes for api_base, each in self._ollamas.items()}

    def rows(self, busy: Mapping[tuple[str, str], int]) -> dict[str, dict[str, Any]]:
        """Return what `/health` says of each Ollama besides its state, JSON-ready, by `api_base`.

        Each is `{"version", "warning", "last_error", "models": [...]}`, and each model `{"model",
        "state", "since", "why", "transitions", "busy", "loaded"}` with the fields of `ModelFacts`;
        `loaded` is None or `{"size_bytes", "size_vram_bytes", "context_tokens", "expires_at"}`.
        Times are Unix seconds, unknowns are None.

        Args:
            busy: How many requests each model is serving for us, by `api_base` and tagged name.
        """
        return {
            api_base: self._row(api_base, each, busy) for api_base, each in self._ollamas.items()
        }

    def _known(self, api_base: str, model: str) -> Known | None:
        ollama = self._ollamas.get(_key(api_base))
        return ollama.inventory.known(model) if ollama is not None else None

    def _row(
        self, api_base: str, ollama: _Ollama, busy: Mapping[tuple[str, str], int]
    ) -> dict[str, Any]:
        health = self._board.backends[api_base]
        models = []
        for name, known in ollama.inventory.models.items():
            row = {"model": name, "busy": busy.get((api_base, name), 0)}
            row |= known.row(self._board.unix_s)
            if health.state is HealthState.DOWN:
                since = self._board.unix_s(health.since_s)
                row |= {"state": ModelState.UNKNOWN, "since": since, "loaded": None}
                row["why"] = "its backend does not answer"
            models.append(row)
        return {
            "version": ollama.version,
            "warning": ollama.warning,
            "last_error": ollama.inventory.last_error,
            "models": models,
        }


class _Ollama:
    """One Ollama, watched."""

    def __init__(
        self,
        board: HealthBoard,
        api_base: str,
        control: BackendControl,
        inventory: Inventory,
        *,
        jitter: Callable[[], float],
        report: Callable[[str], object],
    ) -> None:
        self.inventory = inventory
        self.version: str | None = None
        self.warning: str | None = None
        """What people should know about this version."""
        self.looked_at = asyncio.Event()
        """Whether nobody is to wait for a look: it is over, or somebody has waited in vain."""
        self._control = control
        self._report = report
        self.watcher = Watcher(board, api_base, self._ask, then=self._look, jitter=jitter)

    async def _ask(self) -> str:
        try:
            version = await self._control.version()
        except BaseException:
            self.looked_at.set()
            raise
        if version != self.version:
            self.version, self.warning = version, version_warning(version)
            if self.warning is not None:
                self._report(self.warning)
        return f"it is version {version}"

    async def _look(self) -> None:
        await self.inventory.take()
        self.looked_at.set()


def _key(api_base: str) -> str:
    return api_base.rstrip("/")
