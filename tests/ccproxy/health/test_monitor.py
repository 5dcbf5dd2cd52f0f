from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from ccproxy.demo.ollama_models import default_fleet
from ccproxy.demo.ollama_server import SimulatedOllama
from ccproxy.health.board import HealthBoard
from ccproxy.health.monitor import OllamaMonitor, ollama_backend
from ccproxy.ports import ModelFacts
from ccproxy.upstreams.ollama import OllamaControl, OllamaModel, ResidentModel
from routing.breaker import Lease
from routing.failures import FailureClass
from routing.health import HealthRules, HealthState
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

BASE = "http://127.0.0.1:11434"
NEVER_S = 3600.0
ON_DEMAND = HealthRules(
    interval_s=NEVER_S,
    doubtful_s=0.001,
    down_first_s=0.001,
    down_longest_s=0.001,
    apart_s=0,
    dwell_s=0,
    jitter_share=0,
)
"""Asked only when a test wants it, or something is wrong; then at once."""


@dataclass
class Backend:
    """A backend at the monitor's port whose answers the test sets; counts what it is asked."""

    pulled: tuple[OllamaModel, ...] = (OllamaModel("qwen3:8b", "d1"),)
    facts: ModelFacts = field(default_factory=lambda: ModelFacts(present=True, supports_tools=True))
    down: bool = False
    looks: int = 0
    show_fails: bool = False
    ps_fails: bool = False
    loaded: tuple[ResidentModel, ...] = ()
    release: str = "0.33.0"
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None
    listing: asyncio.Event | None = None
    ask: Callable[[], None] = print
    """Has it asked at once, as a request that finds its model missing does."""

    async def version(self) -> str:
        self.asked.append("version")
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise ConnectionError("it is down")
        return self.release

    async def models(self) -> tuple[OllamaModel, ...]:
        self.asked.append("models")
        if self.listing is not None:
            await self.listing.wait()
        return self.pulled

    async def resident(self) -> tuple[ResidentModel, ...]:
        self.asked.append("resident")
        self.looks += 1
        if self.ps_fails:
            raise ValueError("no such path")
        return self.loaded

    async def show(self, model: str) -> ModelFacts:
        self.asked.append(f"show {model}")
        if self.show_fails:
            raise ValueError("odd answer")
        return self.facts


def monitor_of(backend: Backend, model: str = "qwen3:8b", **options) -> OllamaMonitor:
    board = HealthBoard((ollama_backend(BASE),), {"q": BASE}, health_rules=ON_DEMAND)
    backend.ask = lambda: board.report("q", Lease(0), FailureClass.MODEL_MISSING)
    return OllamaMonitor({BASE: backend}, {BASE: [model]}, board, **options)


@asynccontextmanager
async def monitored(backend: Backend, model: str = "qwen3:8b") -> AsyncIterator[OllamaMonitor]:
    monitor = monitor_of(backend, model)
    monitor.start()
    try:
        yield monitor
    finally:
        await monitor.aclose()


async def look(backend: Backend) -> None:
    """Have everything looked at once more."""
    done = backend.looks + 1
    backend.ask()
    await until(lambda: backend.looks >= done)
    await asyncio.sleep(0)


def model_row(monitor: OllamaMonitor) -> dict[str, object]:
    return monitor.rows({})[BASE]["models"][0]


async def test_nothing_is_known_before_the_first_round() -> None:
    """Before anybody asked, facts and what is loaded are unknown, not false."""
    monitor = monitor_of(Backend())

    assert monitor.is_loaded(BASE, "qwen3:8b") is None
    assert model_row(monitor)["state"] == "unknown"
    assert monitor.facts(BASE, "qwen3:8b") is None


async def test_show_is_asked_once_per_digest() -> None:
    """Each round asks version and tags; show only when the digest is new."""
    backend = Backend()
    async with monitored(backend) as monitor:
        await monitor.wait_facts(BASE, "qwen3:8b")
        await look(backend)
        backend.pulled = (OllamaModel("qwen3:8b", "d2"),)
        backend.facts = replace(backend.facts, supports_thinking=True)
        await look(backend)

        assert backend.asked.count("show qwen3:8b") == 2
        assert backend.asked.count("version") == 3
        facts = monitor.facts(BASE, "qwen3:8b")
        assert facts is not None
        assert facts.supports_thinking


async def test_a_model_that_is_not_pulled_is_known_to_be_absent() -> None:
    """A model that tags does not list is absent; once pulled it is shown (conformance 236)."""
    backend = Backend(pulled=())
    async with monitored(backend) as monitor:
        assert await monitor.wait_facts(BASE, "qwen3:8b") == ModelFacts(present=False)
        backend.pulled = (OllamaModel("qwen3:8b", "d1"),)
        await look(backend)

        assert monitor.facts(BASE, "qwen3:8b") == backend.facts


async def test_a_model_that_was_absent_is_looked_for_again() -> None:
    """Once it is pulled the next request finds it, without an interval between (236)."""
    backend = Backend(pulled=())
    async with monitored(backend) as monitor:
        await monitor.wait_facts(BASE, "qwen3:8b")
        backend.pulled = (OllamaModel("qwen3:8b", "d1"),)
        await asyncio.sleep(2 * ON_DEMAND.doubtful_s)

        assert await monitor.wait_facts(BASE, "qwen3:8b") == backend.facts


async def test_absent_models_are_not_looked_for_at_every_request() -> None:
    """Requests for a model that nobody pulled bring a look per pause in doubt at most."""
    backend = Backend(pulled=())
    board = HealthBoard(
        (ollama_backend(BASE),), {}, health_rules=replace(ON_DEMAND, doubtful_s=1, down_longest_s=1)
    )
    monitor = OllamaMonitor({BASE: backend}, {BASE: ["qwen3:8b"]}, board)
    monitor.start()
    for _ in range(50):
        assert await monitor.wait_facts(BASE, "qwen3:8b") == ModelFacts(present=False)
    await monitor.aclose()

    assert backend.asked.count("version") == 1


@pytest.mark.parametrize("name", ["qwen-fast", "Qwen-Fast:latest"])
async def test_names_are_compared_like_ollama_does(name: str) -> None:
    """`x` is `x:latest`, and case does not count (conformance 164)."""
    backend = Backend(pulled=(OllamaModel("qwen-fast:latest", "d"),))
    async with monitored(backend, name) as monitor:
        await monitor.wait_facts(BASE, name)

        assert monitor.facts(f"{BASE}/", "QWEN-FAST") == backend.facts


async def test_a_remote_stub_is_remote_whichever_answer_says_so() -> None:
    """Tags alone may reveal a stub; that counts (conformance 239)."""
    backend = Backend(pulled=(OllamaModel("qwen3:8b", "d1", remote=True),))
    async with monitored(backend) as monitor:
        facts = await monitor.wait_facts(BASE, "qwen3:8b")

        assert facts is not None
        assert facts.remote


@pytest.mark.parametrize(("listed", "expected"), [(True, True), (False, None)])
async def test_what_an_old_digest_was_does_not_hide_what_a_new_one_may_be(
    listed: bool,
    expected: bool | None,
) -> None:
    """If show fails after a new digest, the listing's "remote" counts, and its silence is none."""
    backend = Backend(facts=ModelFacts(present=True, remote=False))
    async with monitored(backend) as monitor:
        await monitor.wait_facts(BASE, "qwen3:8b")
        backend.show_fails = True
        backend.pulled = (OllamaModel("qwen3:8b", "d2", remote=listed),)
        await look(backend)

        facts = monitor.facts(BASE, "qwen3:8b")
        assert facts is not None
        assert expected is facts.remote


async def test_a_model_is_present_once_it_is_listed() -> None:
    """If show fails for a model that was pulled just now, it is no longer absent."""
    backend = Backend(pulled=())
    async with monitored(backend) as monitor:
        await monitor.wait_facts(BASE, "qwen3:8b")
        backend.show_fails = True
        backend.pulled = (OllamaModel("qwen3:8b", "d1"),)
        await look(backend)

        assert monitor.facts(BASE, "qwen3:8b") == ModelFacts(present=True)


async def test_facts_outlive_their_backend() -> None:
    """What a model is does not change because its server is down; where it is, is not known."""
    backend = Backend()
    async with monitored(backend) as monitor:
        await monitor.wait_facts(BASE, "qwen3:8b")
        backend.down = True
        backend.ask()
        await until(lambda: not monitor.is_up(BASE))
        row = model_row(monitor)

        assert monitor.facts(BASE, "qwen3:8b") == backend.facts
        assert (row["state"], row["why"]) == ("unknown", "its backend does not answer")
        backend.down = False
        await until(lambda: monitor.is_up(BASE))
        assert model_row(monitor)["state"] == "present"


async def test_a_backend_that_never_answered_has_no_facts() -> None:
    """Whoever waits for them is let go as soon as it failed to answer (conformance 237)."""
    async with monitored(Backend(down=True)) as monitor, asyncio.timeout(2):
        assert await monitor.wait_facts(BASE, "qwen3:8b", timeout_s=60) is None


async def test_a_model_that_comes_and_goes_is_told_with_its_times() -> None:
    """`/health` has where a model is, since when, why, and what was before."""
    backend = Backend(pulled=())
    loaded = ResidentModel("qwen3:8b", "d1", 9000, 6000, 8192, "")
    async with monitored(backend) as monitor:
        await monitor.wait_facts(BASE, "qwen3:8b")
        backend.pulled = (OllamaModel("qwen3:8b", "d1"),)
        await look(backend)
        backend.loaded = (loaded,)
        await look(backend)
        await look(backend)
        row = model_row(monitor)

    assert [each["state"] for each in row["transitions"]] == ["absent", "present", "resident"]
    assert (row["state"], row["why"]) == ("resident", "in /api/ps")
    assert row["since"] == pytest.approx(row["transitions"][-1]["at"], abs=1)


async def test_only_the_last_changes_of_a_model_are_kept() -> None:
    """A model that is loaded and unloaded all day does not fill the memory."""
    backend = Backend()
    async with monitored(backend) as monitor:
        for number in range(20):
            is_loaded = number % 2
            backend.loaded = (ResidentModel("qwen3:8b", "d1", 1, 1, 1, ""),) * is_loaded
            await look(backend)

        assert len(model_row(monitor)["transitions"]) == 8


async def test_a_failing_show_says_nothing_of_the_backend() -> None:
    """If show fails the model is present with unknown capabilities, and show is tried again."""
    backend = Backend(show_fails=True)
    async with monitored(backend) as monitor:
        first = await monitor.wait_facts(BASE, "qwen3:8b")
        error = monitor.rows({})[BASE]["last_error"]
        backend.show_fails = False
        await look(backend)

        assert first == ModelFacts(present=True)
        assert error == "odd answer"
        assert monitor.is_up(BASE)
        assert monitor.facts(BASE, "qwen3:8b") == backend.facts
        assert monitor.rows({})[BASE]["last_error"] is None


async def test_waiting_for_facts_ends_at_its_timeout() -> None:
    """A silent backend costs the first request the timeout and no more."""
    backend = Backend(gate=asyncio.Event())
    async with monitored(backend) as monitor:
        async with asyncio.timeout(2):
            assert await monitor.wait_facts(BASE, "qwen3:8b", timeout_s=0.02) is None


async def test_only_the_first_waits_for_a_listing_that_hangs() -> None:
    """Before any look has succeeded; what it says in the end is known at once."""
    backend = Backend(listing=asyncio.Event())
    async with monitored(backend) as monitor, asyncio.timeout(2):
        await until(lambda: "models" in backend.asked)
        together = [monitor.wait_facts(BASE, "qwen3:8b", timeout_s) for timeout_s in (0.02, 60)]
        first = await asyncio.gather(*together)
        later = await monitor.wait_facts(BASE, "qwen3:8b", timeout_s=60)
        backend.listing.set()
        await until(lambda: monitor.facts(BASE, "qwen3:8b") is not None)

        assert (first, later) == ([None, None], None)
        assert await monitor.wait_facts(BASE, "qwen3:8b", timeout_s=60) == backend.facts


async def test_unwatched_names_are_unknown_without_waiting() -> None:
    """A backend or model nobody watches is unknown at once."""
    async with monitored(Backend()) as monitor:
        assert await monitor.wait_facts(BASE, "other:1b", timeout_s=60) is None
        assert await monitor.wait_facts("http://127.0.0.1:1", "qwen3:8b", timeout_s=60) is None


async def test_watches_a_real_server_for_free() -> None:
    """Against an Ollama on a socket: facts, outage and recovery, and not one model loaded."""
    sim = SimulatedOllama(speed=math.inf)
    pauses = {"doubtful_s": 0.05, "down_first_s": 0.05, "down_longest_s": 0.05}
    rules = replace(ON_DEMAND, interval_s=0.2, **pauses)
    async with sim.serve() as base:
        control = OllamaControl(base)
        names = [model.name for model in default_fleet()]
        board = HealthBoard((ollama_backend(base),), {}, health_rules=rules)
        monitor = OllamaMonitor({base: control}, {base: names}, board)
        monitor.start()
        facts = await monitor.wait_facts(base, "qwen2.5vl:7b", timeout_s=5)
        await sim.refuse()
        await until(lambda: board.backends[base].state is HealthState.DOWN)
        await sim.resume()
        await until(lambda: monitor.is_up(base))
        row = monitor.rows({})[base]
        await monitor.aclose()
        await control.aclose()

        assert facts is not None
        assert (facts.supports_vision, facts.supports_tools) == (True, False)
        assert (row["version"], row["last_error"]) == ("0.33.0", None)
        assert {model["present"] for model in row["models"]} == {True}
        assert (sim.loads, sim.generations) == (0, [])


async def test_what_is_loaded_is_shown_with_its_effective_context() -> None:
    """A loaded model has its context and its share of the GPU (conformance 233)."""
    loaded = ResidentModel("qwen3:8b", "d1", 9000, 6000, 8192, "2026-11-21T11:00:00Z")
    backend = Backend(loaded=(loaded,))
    async with monitored(backend) as monitor:
        await monitor.wait_facts(BASE, "qwen3:8b")
        await look(backend)
        seen = model_row(monitor)["loaded"]
        backend.loaded = ()
        await look(backend)

        assert seen == {
            "size_bytes": 9000,
            "size_vram_bytes": 6000,
            "context_tokens": 8192,
            "expires_at": "2026-11-21T11:00:00Z",
        }
        assert model_row(monitor)["loaded"] is None


async def test_a_model_that_has_just_answered_is_loaded() -> None:
    """Whatever the last look said: the request that it answered may have loaded it since.

    The next look is newer; of a server that does not answer nothing is said.
    """
    backend = Backend()
    async with monitored(backend) as monitor:
        await monitor.wait_facts(BASE, "qwen3:8b")
        before = monitor.is_loaded(BASE, "qwen3:8b")
        monitor.answered(f"{BASE}/", "Qwen3:8B")
        since = monitor.is_loaded(BASE, "qwen3:8b")
        await look(backend)
        looked = monitor.is_loaded(BASE, "qwen3:8b")
        monitor.answered(BASE, "qwen3:8b")
        backend.down = True
        backend.ask()
        await until(lambda: not monitor.is_up(BASE))

        assert (before, since, looked) == (False, True, False)
        assert monitor.is_loaded(BASE, "qwen3:8b") is None


async def test_an_answer_of_somebody_nobody_watches_is_no_news() -> None:
    """Other models and addresses may answer as they like."""
    monitor = monitor_of(Backend())

    monitor.answered(BASE, "other:1b")
    monitor.answered("http://127.0.0.1:1", "qwen3:8b")

    assert monitor.is_loaded(BASE, "other:1b") is None


async def test_nothing_is_loaded_at_a_backend_that_is_down() -> None:
    """What was in memory is not said of a server that does not answer; what models are, is."""
    loaded = ResidentModel("qwen3:8b", "d1", 9000, 6000, 8192, "2026-11-21T11:00:00Z")
    backend = Backend(loaded=(loaded,))
    async with monitored(backend) as monitor:
        await monitor.wait_facts(BASE, "qwen3:8b")
        backend.down = True
        backend.ask()
        await until(lambda: not monitor.is_up(BASE))
        row = model_row(monitor)

        assert (row["loaded"], row["present"]) == (None, True)


async def test_a_failing_ps_says_nothing_of_the_backend() -> None:
    """An Ollama that cannot say what is loaded is reachable, and its models are known."""
    backend = Backend(ps_fails=True)
    async with monitored(backend) as monitor:
        facts = await monitor.wait_facts(BASE, "qwen3:8b")
        await look(backend)

        assert (facts, monitor.is_up(BASE)) == (backend.facts, True)
        assert monitor.rows({})[BASE]["last_error"] == "no such path"
        assert monitor.is_loaded(BASE, "qwen3:8b") is None


async def test_the_size_of_the_weights_comes_with_the_listing() -> None:
    """`/api/show` has no size; `/api/tags` has."""
    backend = Backend(pulled=(OllamaModel("qwen3:8b", "d1", size_bytes=5000),))
    async with monitored(backend) as monitor:
        facts = await monitor.wait_facts(BASE, "qwen3:8b")

        assert facts == replace(backend.facts, weights_bytes=5000)


async def test_a_version_that_may_cut_prompts_is_reported_once() -> None:
    """The log hears of it when it is first seen, `/health` has it until it is replaced (199)."""
    backend, reports = Backend(release="0.12.5"), []
    monitor = monitor_of(backend, report=reports.append)
    monitor.start()
    await monitor.wait_facts(BASE, "qwen3:8b")
    await look(backend)
    warned = monitor.rows({})[BASE]["warning"]
    backend.release = "0.33.0"
    await look(backend)
    await monitor.aclose()

    assert reports == [warned]
    assert "0.12.5" in warned
    assert monitor.rows({})[BASE]["warning"] is None
