"""When a backend is asked: as often as the rules say, however much traffic there is."""

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ccproxy.health.board import Backend, HealthBoard
from ccproxy.health.watcher import Watcher
from routing.breaker import Lease
from routing.failures import FailureClass
from routing.health import HealthRules, HealthState
from tests.support.sizes import count
from tests.support.waiting import until

HERE = "http://127.0.0.1:1"
FAR_S = 3600.0
RULES = HealthRules(
    failures_to_down=3,
    dwell_s=0,
    apart_s=0,
    interval_s=FAR_S,
    doubtful_s=0.02,
    down_first_s=0.02,
    down_longest_s=0.02,
    jitter_share=0,
    probe_timeout_s=0.05,
)


@dataclass
class Asked:
    """A backend that answers as the test wants, and notes when it was asked."""

    answers: bool = True
    hangs: bool = False
    at_s: list[float] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def __call__(self):
        self.at_s.append(asyncio.get_running_loop().time())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await (asyncio.Event().wait() if self.hangs else asyncio.sleep(0))
        finally:
            self.at_once -= 1
        if not self.answers:
            raise ConnectionRefusedError("refused")
        return "fine"

    @property
    def times(self):
        return len(self.at_s)


@asynccontextmanager
async def watched(asked, rules=RULES, **options):
    board = HealthBoard((Backend(HERE, "down since {since}"),), {"q": HERE}, health_rules=rules)
    watcher = Watcher(board, HERE, asked, **options)
    watcher.start()
    try:
        yield board, watcher
    finally:
        await watcher.aclose()


def state(board):
    return board.backends[HERE].state


def traffic(board, *, ok, times=1):
    for _ in range(times):
        board.report("q", Lease(0), None if ok else FailureClass.CONNECT_ERROR, why="refused")


async def test_the_first_probe_is_at_once():
    """What nobody has observed is known after one probe, and then left for the interval."""
    async with watched(Asked()) as (board, watcher):
        await until(lambda: state(board) is HealthState.UP)

        assert board.backends[HERE].why == "fine"
        assert FAR_S - 1 < watcher.next_probe_s() <= FAR_S
        assert watcher.probes == 1


async def test_trouble_in_traffic_is_looked_into_at_once():
    """A failed connection does not wait for the interval; a probe that answers makes it good."""
    asked = Asked()
    async with watched(asked) as (board, _):
        await until(lambda: asked.times == 1)
        await asyncio.sleep(RULES.doubtful_s)
        traffic(board, ok=False)
        await until(lambda: asked.times == 2, timeout_s=0.5)

        assert state(board) is HealthState.UP


async def test_any_amount_of_trouble_brings_one_probe_per_pause():
    """However many requests fail, probes come one at a time, and no faster than in doubt."""
    rules = HealthRules(
        failures_to_down=10**6, of_last=10**6, dwell_s=0, apart_s=0,
        interval_s=FAR_S, doubtful_s=0.02, jitter_share=0,
    )  # fmt: skip
    asked = Asked()
    async with watched(asked, rules) as (board, _):
        await until(lambda: asked.times == 1)
        for _ in range(count(quick=30, ci=30, full=300)):
            traffic(board, ok=False, times=20)
            board.report("q", Lease(0), FailureClass.MODEL_MISSING)
            await asyncio.sleep(0.005)

    assert asked.times > 3
    pauses_s = [later - at for at, later in zip(asked.at_s, asked.at_s[1:], strict=False)]
    assert min(pauses_s) >= rules.doubtful_s * 0.95
    assert asked.most_at_once == 1


async def test_answers_in_traffic_cause_no_probe():
    """While all is well the rate is that of the interval, whatever goes through."""
    asked = Asked()
    async with watched(asked) as (board, _):
        await until(lambda: asked.times == 1)
        for _ in range(10):
            traffic(board, ok=True, times=100)
            await asyncio.sleep(0.005)

        assert asked.times == 1


async def test_what_is_down_is_asked_no_sooner_for_being_wanted():
    """Its pause grows by the rules, whoever asks for it meanwhile."""
    rules = HealthRules(
        interval_s=FAR_S, doubtful_s=0.01, down_first_s=FAR_S, down_longest_s=FAR_S, apart_s=0
    )
    asked = Asked(answers=False)
    async with watched(asked, rules) as (board, watcher):
        await until(lambda: state(board) is HealthState.DOWN)
        traffic(board, ok=False, times=20)
        board.report("q", Lease(0), FailureClass.MODEL_MISSING)
        await asyncio.sleep(0.05)

        assert (asked.times, watcher.next_probe_s() > FAR_S - 1) == (1, True)


async def test_a_probe_that_hangs_is_a_failure_after_its_time():
    """It is given up, and said to have been too slow."""
    asked = Asked(hangs=True)
    async with watched(asked) as (board, _):
        await until(lambda: state(board) is HealthState.DOWN)

        assert board.backends[HERE].why == "no answer within 0.05 s"


async def test_a_standstill_of_our_own_is_not_the_backends_silence():
    """If this process is blocked for longer than a probe may take, the answer still counts."""

    async def asked():
        await asyncio.sleep(0.001)
        time.sleep(2 * RULES.probe_timeout_s)  # noqa: ASYNC251 - that is the standstill
        await asyncio.sleep(0.001)
        return "fine"

    async with watched(asked) as (board, _):
        await until(lambda: state(board) is not HealthState.UNKNOWN)

        assert board.backends[HERE].why == "fine"


async def test_what_follows_a_probe_ends_when_the_next_is_due():
    """A listing that hangs does not keep the backend from being asked whether it is there."""
    rules = HealthRules(interval_s=0.03, doubtful_s=0.03, apart_s=0, jitter_share=0)
    asked = Asked()
    async with watched(asked, rules, then=asyncio.Event().wait) as (board, _):
        await until(lambda: asked.times >= 3)

        assert state(board) is HealthState.UP


async def test_one_that_rests_is_asked_only_in_trouble():
    """Nobody asks before traffic failed; while it is down probes find out that it is back."""
    asked = Asked(answers=False)
    async with watched(asked, rests=True) as (board, watcher):
        traffic(board, ok=True)
        await asyncio.sleep(0.05)
        assert (asked.times, watcher.next_probe_s()) == (0, None)

        traffic(board, ok=False, times=RULES.failures_to_down)
        assert state(board) is HealthState.DOWN
        await until(lambda: asked.times >= 2)
        asked.answers = True
        await until(lambda: state(board) is HealthState.UP)
        asked_until_up = asked.times
        await asyncio.sleep(0.1)

        assert (asked.times, watcher.next_probe_s()) == (asked_until_up, None)


async def test_one_that_rests_is_asked_once_when_the_first_request_fails():
    """The probe is the first observation: one connection that broke was no outage."""
    asked = Asked()
    async with watched(asked, rests=True) as (board, watcher):
        traffic(board, ok=False, times=5)
        await until(lambda: state(board) is HealthState.UP)
        await asyncio.sleep(0.05)

        assert (asked.times, watcher.next_probe_s()) == (1, None)


async def test_one_that_rests_is_asked_until_doubt_is_gone():
    """One failed request brings probes until it counts no more, and it never was down."""
    asked = Asked()
    async with watched(asked, rests=True) as (board, watcher):
        traffic(board, ok=True)
        traffic(board, ok=False)
        await until(lambda: asked.times and watcher.next_probe_s() is None)

        assert asked.times == RULES.of_last
        assert [each.state for each in board.backends[HERE].transitions] == [HealthState.UP]
