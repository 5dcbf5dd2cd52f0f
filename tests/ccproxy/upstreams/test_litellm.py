"""The import of LiteLLM as a thing that happens once, elsewhere, and can be waited for."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from ccproxy.ports import AttemptFailed, ModelCall, ModelDelta, ModelDone
from ccproxy.upstreams.litellm import THREAD_NAME, LiteLLMRuntime, LiteLLMUpstream, Target
from routing.failures import FailureClass

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from ccproxy.upstreams.litellm import PriceRow

TARGET = Target("ollama_chat/q", "q")


class Echo:
    """An upstream that says one word and remembers how it was left."""

    def __init__(self) -> None:
        """Begin open."""
        self.is_closed = False
        self.left_early = False

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelDelta | ModelDone]:
        """Say the first message."""
        try:
            yield ModelDelta(text=call.messages[0]["content"])
            yield ModelDone("stop")
        except GeneratorExit:
            self.left_early = True
            raise

    async def aclose(self) -> None:
        """Remember it."""
        self.is_closed = True


class EchoProvider:
    """A provider of echoes, instead of LiteLLM."""

    def __init__(self) -> None:
        """Know no target yet."""
        self.connected: list[tuple[Target, Echo]] = []

    def connect(self, target: Target) -> Echo:
        """Return an echo and remember it."""
        self.connected.append((target, Echo()))
        return self.connected[-1][1]

    def prices(self) -> Mapping[str, PriceRow]:
        """Return no prices."""
        return {}


class Loader:
    """An import that takes until it is let go."""

    def __init__(self, outcome: EchoProvider | Exception) -> None:
        """Hold."""
        self.go = threading.Event()
        self.threads: list[threading.Thread] = []
        self._outcome = outcome

    def __call__(self) -> EchoProvider:
        """Wait, then return or raise."""
        self.threads.append(threading.current_thread())
        self.go.wait()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


async def test_everybody_gets_the_one_provider() -> None:
    """However many start it or wait for it, LiteLLM is imported once, off the event loop."""
    provider = EchoProvider()
    loader = Loader(provider)
    runtime = LiteLLMRuntime(loader)
    runtime.start()
    runtime.start()
    waiting = [asyncio.create_task(runtime.ready()) for _ in range(5)]
    loader.go.set()

    assert [provider] * 5 == await asyncio.gather(*waiting)
    assert provider is await runtime.ready()
    assert [(THREAD_NAME, True)] == [(one.name, one.daemon) for one in loader.threads]


async def test_giving_up_does_not_stop_the_import() -> None:
    """A request that is cancelled while it waits leaves the import to the others."""
    provider = EchoProvider()
    loader = Loader(provider)
    runtime = LiteLLMRuntime(loader)
    impatient = asyncio.create_task(runtime.ready())
    patient = asyncio.create_task(runtime.ready())
    await asyncio.sleep(0)
    impatient.cancel()

    with pytest.raises(asyncio.CancelledError):
        await impatient
    loader.go.set()
    assert provider is await patient


async def test_a_failed_import_fails_each_attempt() -> None:
    """Each attempt says so without the reason, which is for the log."""
    loader = Loader(ImportError("/somewhere/secret"))
    loader.go.set()
    runtime = LiteLLMRuntime(loader)

    for _ in range(2):
        with pytest.raises(AttemptFailed) as broken:
            await runtime.ready()

        assert FailureClass.CONNECT_ERROR is broken.value.failure
        assert "secret" not in broken.value.message
        assert "secret" in broken.value.detail


async def test_an_upstream_connects_once_and_streams() -> None:
    """The deployment is made known at its first call, and closed with the upstream."""
    provider = EchoProvider()
    loader = Loader(provider)
    loader.go.set()
    upstream = LiteLLMUpstream(LiteLLMRuntime(loader), TARGET)
    call = ModelCall(messages=[{"role": "user", "content": "hi"}])

    for _ in range(2):
        assert [ModelDelta(text="hi"), ModelDone("stop")] == [
            event async for event in upstream.stream(call)
        ]
    await upstream.aclose()

    [(target, echo)] = provider.connected
    assert TARGET is target
    assert echo.is_closed


async def test_closing_a_stream_closes_the_one_beneath() -> None:
    """A client that leaves is felt by the upstream at once (conformance 159)."""
    provider = EchoProvider()
    loader = Loader(provider)
    loader.go.set()
    events = LiteLLMUpstream(LiteLLMRuntime(loader), TARGET).stream(
        ModelCall(messages=[{"role": "user", "content": "hi"}])
    )
    await anext(events)
    await events.aclose()

    assert provider.connected[0][1].left_early


async def test_an_unused_upstream_imports_nothing() -> None:
    """Making and closing an upstream needs no LiteLLM."""
    loader = Loader(EchoProvider())

    await LiteLLMUpstream(LiteLLMRuntime(loader), TARGET).aclose()

    assert [] == loader.threads


def test_a_key_is_not_shown() -> None:
    """A deployment can be printed or logged without its credential."""
    assert "sk-secret" not in repr(Target("openai/x", "x", api_key="sk-secret"))
