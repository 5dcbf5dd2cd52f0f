"""Keeps what is known of every backend and deployment.

Implements `ports.DeploymentHealth` and `ports.BackendHealth`; `routing.health` and
`routing.breaker` decide. Rules:

1. A backend is an address, with one `Health` for all deployments there. A deployment has a
   `Breaker` of its own.
2. What an attempt says goes where `routing.failures` puts the blame; an answer goes to both.
3. No connection to a deployment whose address nobody knows counts against its breaker: there is
   nothing that could be asked whether it is back.
4. Of a backend that nobody has observed yet, traffic that fails is only a reason to ask: the first
   observation decides, and one connection that breaks must not take Claude away.
5. Each change of state is logged and counted once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from time import monotonic, time
from typing import TYPE_CHECKING, Final, Protocol

from routing.breaker import DEFAULT_RULES as BREAKER_RULES
from routing.breaker import NEVER_OPENED, BreakerState, Verdict, admit, admits, reported, verdict_of
from routing.breaker import wait_s as open_for_s
from routing.failures import FailureClass
from routing.health import DEFAULT_RULES as HEALTH_RULES
from routing.health import UNKNOWN, HealthState, observation_of, observed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from routing.breaker import Breaker, BreakerRules, Lease
    from routing.health import Health, HealthRules

_log = logging.getLogger(__name__)

SINCE: Final = "{since}"
"""Where `Backend.when_down` has the time."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One address."""

    address: str
    """Base URL without a trailing slash."""
    when_down: str
    """What people are told while it is down, without the address; has `SINCE`."""


class Watching(Protocol):
    """Whoever probes a backend."""

    def look_again(self) -> None:
        """Reckon anew when the next probe is due: something else was observed."""
        ...

    def ask_soon(self) -> object:
        """Ask before the next probe would be due, or although none is: something is not known."""
        ...


@dataclass(frozen=True, slots=True)
class Changes:
    """Who hears of changes of state; each is called with a name and the new state."""

    of_backend: Callable[[str, str], object]
    of_breaker: Callable[[str, str], object]


def _nobody(_name: str, _state: str) -> None:
    """Tell nobody."""


UNTOLD: Final = Changes(_nobody, _nobody)


class HealthBoard:
    """What is known now, by name; everything answers at once."""

    def __init__(
        self,
        backends: Iterable[Backend],
        deployments: Mapping[str, str | None],
        *,
        health_rules: HealthRules = HEALTH_RULES,
        breaker_rules: BreakerRules = BREAKER_RULES,
        changes: Changes = UNTOLD,
        now: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        """Begin without any knowledge.

        Args:
            backends: Every address that somebody can ask whether it is there.
            deployments: Name -> address of its backend, or None.
            health_rules: For the backends.
            breaker_rules: For the deployments.
            changes: Hears of changes.
            now: Seconds by any clock, best a monotonic one.
            wall: Unix time in seconds.
        """
        self.health_rules = health_rules
        self.breaker_rules = breaker_rules
        self._backends = {each.address: each for each in backends}
        self._addresses = dict(deployments)
        self._health = dict.fromkeys(self._backends, UNKNOWN)
        self._breakers = dict.fromkeys(self._addresses, NEVER_OPENED)
        self._watching: dict[str, Watching] = {}
        self._changes = changes
        self.now = now
        self._wall = wall

    # --- ports.DeploymentHealth -----------------------------------------------------------------

    def admit(self, deployment: str) -> Lease | None:
        """Return leave to make one attempt; None where the deployment is to be left alone."""
        breaker, lease = admit(self._breakers[deployment], self.now(), self.breaker_rules)
        self._keep_breaker(deployment, breaker)
        return lease

    def report(
        self,
        deployment: str,
        lease: Lease,
        failure: FailureClass | None,
        *,
        why: str = "",
        wait_s: float | None = None,
    ) -> None:
        """Take note of how an attempt ended; see `ports.DeploymentHealth`."""
        address = self._addresses[deployment]
        ok = observation_of(failure)
        verdict = verdict_of(failure)
        if address is None:
            verdict = Verdict.FAILURE if ok is False else verdict
        elif ok is not None:
            self.reached(deployment, failure, why=why)
        elif failure is FailureClass.MODEL_MISSING and address in self._watching:
            self._watching[address].ask_soon()
        self._settle(deployment, lease, verdict, f"{failure}: {why}", wait_s)

    def withdraw(self, deployment: str, lease: Lease) -> None:
        """Take a lease back whose attempt says nothing of the deployment."""
        self._settle(deployment, lease, Verdict.NOTHING, "", None)

    # --- ports.BackendHealth --------------------------------------------------------------------

    def reached(self, deployment: str, failure: FailureClass | None, *, why: str = "") -> None:
        """Take note of how a request ended that asked no model; see `ports.BackendHealth`."""
        address, ok = self._addresses[deployment], observation_of(failure)
        if address is not None and ok is not None:
            self._hear(address, ok=ok, why=why or str(failure or "it answered"))

    # --- for those who probe --------------------------------------------------------------------

    def is_watched_by(self, address: str, watching: Watching) -> None:
        """Remember who probes a backend."""
        self._watching[address] = watching

    def observe(self, address: str, *, ok: bool, why: str) -> None:
        """Take note of whether a backend answered, in words for people."""
        before = self._health[address]
        health = observed(before, ok=ok, now_s=self.now(), why=why, rules=self.health_rules)
        self._health[address] = health
        if health.state is before.state:
            return
        self._changes.of_backend(address, health.state)
        level = logging.INFO if health.state is HealthState.UP else logging.WARNING
        _log.log(level, "backend %s is %s: %s", address, health.state, health.why)

    # --- for everybody --------------------------------------------------------------------------

    @property
    def backends(self) -> Mapping[str, Health]:
        """What is known of each backend, by address."""
        return self._health

    @property
    def breakers(self) -> Mapping[str, Breaker]:
        """What is known of each deployment, by name."""
        return self._breakers

    def address(self, deployment: str) -> str | None:
        """Return where a deployment is; None where nobody knows, or nobody knows of it."""
        return self._addresses.get(deployment)

    def why_not(self, deployment: str) -> str | None:
        """Return why a deployment is to be left alone now; see `ports.BackendHealth`."""
        address = self._addresses.get(deployment)
        if address is not None and (health := self._health[address]).state is HealthState.DOWN:
            return self._backends[address].when_down.replace(SINCE, self._text(health.since_s))
        breaker = self._breakers.get(deployment)
        if breaker is None or breaker.state is BreakerState.CLOSED:
            return None
        now_s = self.now()
        if admits(breaker, now_s, self.breaker_rules):
            return None
        if left_s := open_for_s(breaker, now_s):
            return f"left alone for another {ceil(left_s)} s after {breaker.why}"
        return "left alone until it is known whether it works again; it is being tried"

    def unavailable(self) -> Mapping[str, str]:
        """Return a view of who is to be left alone, and why: it is true whenever it is asked."""
        return _Unavailable(self, self._addresses)

    def unix_s(self, at_s: float | None) -> float | None:
        """Return a time by `now` as Unix time."""
        return None if at_s is None else self._wall() - (self.now() - at_s)

    # --- inside ---------------------------------------------------------------------------------

    def _hear(self, address: str, *, ok: bool, why: str) -> None:
        """Take note of what traffic says of a backend."""
        was = self._health[address].state
        if was is HealthState.UNKNOWN and not ok and address in self._watching:
            self._watching[address].ask_soon()
            return
        self.observe(address, ok=ok, why=why)
        if address in self._watching and (not ok or self._health[address].state is not was):
            self._watching[address].look_again()

    def _settle(
        self, deployment: str, lease: Lease, verdict: Verdict, why: str, wait_s: float | None
    ) -> None:
        breaker = reported(
            self._breakers[deployment],
            lease,
            verdict,
            now_s=self.now(),
            why=why,
            upstream_wait_s=wait_s,
            rules=self.breaker_rules,
        )
        self._keep_breaker(deployment, breaker)

    def _keep_breaker(self, deployment: str, breaker: Breaker) -> None:
        before = self._breakers[deployment]
        self._breakers[deployment] = breaker
        if breaker.state is before.state:
            return
        self._changes.of_breaker(deployment, breaker.state)
        if breaker.state is BreakerState.OPEN:
            wait = ceil(open_for_s(breaker, self.now()))
            _log.warning("%s is left alone for %d s after %s", deployment, wait, breaker.why)
        else:
            _log.info("breaker of %s is %s: %s", deployment, breaker.state, breaker.why)

    def _text(self, at_s: float | None) -> str:
        unix_s = self.unix_s(at_s)
        if unix_s is None:
            return "a time that is not known"
        return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Unavailable(Mapping[str, str]):
    """Asks the board at each look: a breaker's time runs out between two of them."""

    def __init__(self, board: HealthBoard, deployments: Mapping[str, object]) -> None:
        self._board = board
        self._deployments = deployments

    def __getitem__(self, deployment: str) -> str:
        why = self._board.why_not(deployment)
        if why is None:
            raise KeyError(deployment)
        return why

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._deployments if self._board.why_not(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)
