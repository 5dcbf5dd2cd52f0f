"""Translated deployments, seen from the service: light, and without LiteLLM until one is served.

Importing LiteLLM costs 2 to 3 s and about 165 MB (measured with 1.105.3), so it happens once, in a
thread of its own, when the first deployment that needs it is started or asked. This module never
imports it.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Final, Protocol

from ccproxy.upstreams.litellm_boot import load
from ccproxy.upstreams.litellm_failures import failed
from routing.failures import FailureClass

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from ccproxy.ports import ModelCall, ModelDelta, ModelDone, ModelUpstream

    PriceRow = Mapping[str, object]

THREAD_NAME: Final = "import-litellm"
START_AFTER_S: Final = 1.5
"""Pause before an import that nobody waits for: it must not slow the first answers."""


@dataclass(frozen=True, slots=True)
class Target:
    """One translated deployment: what never differs between its requests.

    Any difference in runner options would make Ollama load the model again, so they are fixed here.
    """

    model: str
    """LiteLLM's name, e.g. `ollama_chat/qwen2.5-coder:32b`."""
    name: str
    """What clients call it; stands in `model: …` of a 404."""
    api_base: str | None = None
    """Without a trailing slash; None is the provider's own."""
    api_key: str | None = field(default=None, repr=False)
    num_ctx: int | None = None
    """Context in tokens (Ollama only)."""
    keep_alive: str | int | None = None
    """`"30m"`, seconds, or -1 (Ollama only); None is Ollama's 5 minutes."""
    timeout_s: float | None = None
    """Longest silence between two pieces of an answer; None waits for ever."""
    first_byte_timeout_s: float | None = None
    """From sending to the first byte: queue, model load and prefill. None waits for ever."""


class Provider(Protocol):
    """LiteLLM, imported and set up."""

    def connect(self, target: Target) -> ModelUpstream:
        """Return an upstream for one deployment; connects nowhere yet."""
        ...

    def prices(self) -> Mapping[str, PriceRow]:
        """Return the rows of LiteLLM's price map for Claude's models, by id.

        Rows are LiteLLM's own, e.g. `{"input_cost_per_token": 5e-06, "max_input_tokens": 200000}`.
        """
        ...


class LiteLLMRuntime:
    """The one import of LiteLLM in this process, shared by all translated deployments."""

    def __init__(
        self, load: Callable[[], Provider] = load, *, start_after_s: float = START_AFTER_S
    ) -> None:
        """Import nothing yet; `load` runs once, in a thread of its own."""
        self._load = load
        self._start_after_s = start_after_s
        self._wanted = Event()
        self._outcome: Future[Provider | Exception] | None = None
        self._lock = Lock()

    def start(self) -> None:
        """Begin the import in the background, once and after a pause; later calls do nothing."""
        self._started()

    async def ready(self) -> Provider:
        """Wait for the import, starting it if nobody did.

        Raises:
            AttemptFailed: CONNECT_ERROR where LiteLLM cannot be imported; another deployment
                may serve.
        """
        self._wanted.set()
        outcome = self._started()
        if not outcome.done():
            # `wait` leaves the future alone: one caller that gives up must not cancel the import.
            await asyncio.wait({asyncio.wrap_future(outcome)})
        result = outcome.result()
        if isinstance(result, Exception):
            raise failed(FailureClass.CONNECT_ERROR, f"litellm: {result!r}") from result
        return result

    def _started(self) -> Future[Provider | Exception]:
        with self._lock:
            if self._outcome is None:
                self._outcome = Future()
                Thread(
                    target=self._import, args=(self._outcome,), name=THREAD_NAME, daemon=True
                ).start()
            return self._outcome

    def _import(self, outcome: Future[Provider | Exception]) -> None:
        self._wanted.wait(self._start_after_s)
        try:
            outcome.set_result(self._load())
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for the import
            outcome.set_result(error)


class LiteLLMUpstream:
    """One translated deployment as a `ports.ModelUpstream`."""

    def __init__(self, runtime: LiteLLMRuntime, target: Target) -> None:
        """Keep both; LiteLLM is needed only when `stream` is first used."""
        self._runtime = runtime
        self._target = target
        self._upstream: ModelUpstream | None = None

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelDelta | ModelDone]:
        """See `ports.ModelUpstream.stream`."""
        if self._upstream is None:
            provider = await self._runtime.ready()
            # Looked at again: another request may have got here while this one waited.
            self._upstream = self._upstream or provider.connect(self._target)
        async with aclosing(self._upstream.stream(call)) as events:
            async for event in events:
                yield event

    async def aclose(self) -> None:
        """Close the HTTP client; streams that are still open break."""
        if self._upstream is not None:
            await self._upstream.aclose()
