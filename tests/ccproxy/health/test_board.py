"""The board: whose state an outcome changes, what people are told, who hears of changes."""

import logging
from dataclasses import dataclass, field

import pytest

from ccproxy.health.board import Backend, Changes, HealthBoard
from routing.breaker import BreakerRules, BreakerState
from routing.failures import CONSEQUENCES, Blame, FailureClass
from routing.health import HealthRules, HealthState

OLLAMA = "http://127.0.0.1:11434"
CLAUDE = "https://api.anthropic.com"
BACKENDS = (
    Backend(OLLAMA, "Ollama does not answer (down since {since})"),
    Backend(CLAUDE, "Claude cannot be reached from this host (offline since {since})"),
)
DEPLOYMENTS = {"coder": OLLAMA, "fast": OLLAMA, "claude": CLAUDE, "elsewhere": None}
ON_BACKEND = [failure for failure in FailureClass if CONSEQUENCES[failure].blame is Blame.BACKEND]
ON_DEPLOYMENT = [
    failure for failure in FailureClass if CONSEQUENCES[failure].blame is Blame.DEPLOYMENT
]
ON_NOBODY = [failure for failure in FailureClass if CONSEQUENCES[failure].blame is Blame.NOBODY]


@dataclass
class Watching:
    looks: int = 0
    asks: int = 0

    def look_again(self):
        self.looks += 1

    def ask_soon(self):
        self.asks += 1


@dataclass
class Desk:
    """A board with a clock of the test's own, and who hears of it."""

    now_s: float = 100.0
    changes: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self):
        def heard(name, state):
            self.changes.append((name, str(state)))

        self.board = HealthBoard(
            BACKENDS,
            DEPLOYMENTS,
            health_rules=HealthRules(),
            breaker_rules=BreakerRules(failures_to_open=3),
            changes=Changes(heard, heard),
            now=lambda: self.now_s,
            wall=lambda: 1_700_000_000 + self.now_s,
        )

    def ended(self, name, failure=None, times=1, **told):
        """Report attempts, one a second."""
        for _ in range(times):
            self.now_s += 1
            self.board.report(name, self.board.admit(name), failure, **told)


@pytest.fixture
def desk():
    return Desk()


def states(board):
    return (
        {address: health.state for address, health in board.backends.items()},
        {name: breaker.state for name, breaker in board.breakers.items()},
    )


@pytest.mark.parametrize("failure", ON_BACKEND)
def test_no_connection_takes_the_backend_down_and_no_breaker(failure, desk):
    """All deployments at the address are unavailable, the others are not."""
    desk.ended("coder")
    desk.now_s += 10
    desk.ended("coder", failure, times=3, why="connection refused")

    backends, breakers = states(desk.board)
    assert backends == {OLLAMA: HealthState.DOWN, CLAUDE: HealthState.UNKNOWN}
    assert set(breakers.values()) == {BreakerState.CLOSED}
    told = "Ollama does not answer (down since 2023-11-14T22:15:14Z)"
    assert dict(desk.board.unavailable()) == {"coder": told, "fast": told}
    assert desk.board.backends[OLLAMA].why == "connection refused"


@pytest.mark.parametrize("failure", ON_DEPLOYMENT)
def test_a_failure_of_the_deployment_opens_its_breaker_and_nothing_else(failure, desk):
    """The model beside it stays, and the backend is no worse for it."""
    desk.ended("coder")
    desk.ended("coder", failure, times=3, why="it was odd")

    backends, breakers = states(desk.board)
    assert backends[OLLAMA] is HealthState.UP
    assert [name for name, state in breakers.items() if state is BreakerState.OPEN] == ["coder"]
    assert desk.board.admit("coder") is None
    assert dict(desk.board.unavailable()) == {
        "coder": f"left alone for another 5 s after {failure}: it was odd"
    }


@pytest.mark.parametrize("failure", ON_NOBODY)
def test_what_is_nobodys_failure_changes_nothing(failure, desk):
    """Our configuration, the client's request and our bugs take nothing out of service."""
    desk.ended("coder", failure, times=30)

    assert desk.changes == []


def test_an_answer_is_good_for_both(desk):
    """The backend is up, and a trial that answers closes the breaker."""
    desk.ended("coder", FailureClass.BROKEN_STREAM, times=3)
    desk.now_s += 5
    assert dict(desk.board.unavailable()) == {}
    desk.ended("coder", times=2)

    assert desk.changes == [
        ("coder", "open"),
        ("coder", "half_open"),
        (OLLAMA, "up"),
        ("coder", "closed"),
    ]


def test_while_the_trials_run_nobody_else_is_sent_there(desk):
    """The plan passes it over as long as no further attempt would be admitted."""
    desk.ended("coder", FailureClass.BROKEN_STREAM, times=3)
    desk.now_s += 5
    leases = [desk.board.admit("coder") for _ in range(3)]
    assert leases[2] is None
    assert "being tried" in desk.board.unavailable()["coder"]

    desk.board.withdraw("coder", leases[0])
    assert "coder" not in desk.board.unavailable()
    assert desk.board.admit("coder") is not None


def test_without_an_address_no_connection_counts_against_the_breaker(desk):
    """Nobody could find out that it is back, so it is tried again after a while."""
    desk.ended("elsewhere", FailureClass.CONNECT_ERROR, times=3)
    assert "elsewhere" in desk.board.unavailable()

    desk.now_s += 5
    assert desk.board.admit("elsewhere") is not None


def test_what_asks_no_model_tells_of_the_backend_alone(desk):
    """Whether it could be reached; neither its answers nor its rate limits concern a breaker."""
    desk.board.reached("claude", None)
    desk.board.reached("claude", FailureClass.RATE_LIMIT)
    desk.board.reached("elsewhere", FailureClass.CONNECT_ERROR)
    seen = desk.board.backends[CLAUDE]
    up = (seen.state, seen.why, seen.successes, seen.failures)
    for _ in range(3):
        desk.now_s += 20
        desk.board.reached("claude", FailureClass.CONNECT_ERROR, why="refused")

    assert up == (HealthState.UP, "it answered", 1, 0)
    assert desk.board.backends[CLAUDE].why == "refused"
    assert [*desk.board.unavailable()] == ["claude"]
    assert {breaker.successes + breaker.failures for breaker in desk.board.breakers.values()} == {0}


def test_an_upstreams_own_wait_counts(desk):
    """A rate limit that names a long wait opens the breaker for that long."""
    desk.ended("claude", FailureClass.RATE_LIMIT, why="HTTP 429", wait_s=42)

    assert "for another 42 s after rate_limit" in desk.board.unavailable()["claude"]


def test_who_probes_hears_of_trouble_in_traffic(desk):
    """No connection: look again; a missing model: ask soon; a plain answer: nothing."""
    watching = Watching()
    desk.board.is_watched_by(OLLAMA, watching)
    desk.ended("coder")
    seen = [(watching.looks, watching.asks)]
    desk.ended("coder", times=5)
    seen.append((watching.looks, watching.asks))
    desk.ended("coder", FailureClass.CONNECT_ERROR)
    seen.append((watching.looks, watching.asks))
    desk.ended("coder", FailureClass.MODEL_MISSING)
    seen.append((watching.looks, watching.asks))

    assert seen == [(1, 0), (1, 0), (2, 0), (2, 1)]


def test_the_first_failure_of_all_is_a_reason_to_ask_no_more(desk):
    """A connection that breaks does not take away a backend of which nothing else is known."""
    watching = Watching()
    desk.board.is_watched_by(CLAUDE, watching)
    desk.ended("claude", FailureClass.CONNECT_ERROR, times=3)

    assert (watching.asks, desk.changes, dict(desk.board.unavailable())) == (3, [], {})

    desk.board.observe(CLAUDE, ok=False, why="refused")
    assert [*desk.board.unavailable()] == ["claude"]


def test_each_change_is_logged_and_counted_once(desk, caplog):
    """A warning for what is out of service, a line of information for what is back."""
    caplog.set_level(logging.INFO)
    desk.ended("coder", times=3)
    desk.ended("coder", FailureClass.CONNECT_ERROR, times=9, why="refused")
    desk.now_s += 9
    for _ in range(5):
        desk.now_s += 1
        desk.board.observe(OLLAMA, ok=True, why="version 0.33.0")
    desk.ended("coder", FailureClass.MALFORMED_OUTPUT, times=3, why="odd")

    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", f"backend {OLLAMA} is up: it answered"),
        ("WARNING", f"backend {OLLAMA} is down: refused"),
        ("INFO", f"backend {OLLAMA} is up: version 0.33.0"),
        ("WARNING", "coder is left alone for 5 s after malformed_output: odd"),
    ]
    assert [state for _, state in desk.changes] == ["up", "down", "up", "open"]


def test_times_are_told_as_unix_time_whatever_the_clock_of_the_rules(desk):
    """What a monotonic clock said is what the wall clock said at that moment."""
    desk.ended("coder")
    since_s = desk.board.backends[OLLAMA].since_s
    desk.now_s += 50

    assert desk.board.unix_s(since_s) == 1_700_000_101
    assert desk.board.unix_s(None) is None
