"""Installing, starting and stopping a service, and what follows when it does not start."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ccproxy.service.asking import Patience, comes_true
from ccproxy.service.definition import read_definition, write_definition
from ccproxy.service.manager import RunState
from ccproxy.service.problems import ServiceError, StartFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccproxy.service.manager import Manager
    from ccproxy.service.probe import ProxyProbe
    from ccproxy.service.spec import ServiceSpec

_GONE: Final = RunState(loaded=False, state="not loaded")
LAST_WORDS: Final = 15
"""Lines of the log that are shown after a failed start."""
_NEWS_EVERY_S: Final = 5.0
_STATE_EVERY_S: Final = 0.5
"""A question to the manager is a process; one to the proxy is cheap."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service, the proxy in it, and whom to tell what goes on."""

    manager: Manager
    proxy: ProxyProbe
    say: Callable[[str], None]
    """Told each step that takes its time."""
    patience: Patience
    owner: tuple[int, int] | None = None
    """User and group of the definition; by default whoever runs this."""


def install(service: Service, spec: ServiceSpec) -> str:
    """Define the service as `spec` says and start it; what runs already is replaced.

    Returns what was done: `installed`, `upgraded`, or, where it was installed just so, `restarted`
    or `started`. Code and settings may be newer than a process, so none is left as it is.

    Raises:
        ServiceError: It could not be done. What was installed before is installed and running
            again, if it ran; a first install leaves nothing behind.
        OSError: A file could not be written.
    """
    manager = service.manager
    wanted = manager.render(spec)
    previous = read_definition(manager.definition)
    if previous == wanted:
        return restart(service) if manager.state().loaded else start(service)
    was_loaded = manager.state().loaded
    if was_loaded:
        service.say(f"Stopping {manager.name} to replace it")
        manager.unload(service.patience)
    try:
        write_definition(manager.definition, wanted, service.owner)
        _start(service, _GONE)
    except BaseException:
        _roll_back(service, previous, was_loaded=was_loaded)
        raise
    return "installed" if previous is None else "upgraded"


def start(service: Service) -> str:
    """Start what is installed; returns `started`, or `unchanged` if it runs.

    Raises:
        ServiceError: Nothing is installed, or it does not come to serve.
    """
    must_be_installed(service.manager)
    state = service.manager.state()
    if state.pid is not None and service.proxy.is_live():
        return "unchanged"
    _start(service, state)
    return "started"


def stop(manager: Manager, patience: Patience, say: Callable[[str], None]) -> str:
    """Stop it until the next login or boot; returns `stopped`, or `unchanged` if it does not run.

    Raises:
        ServiceError: It does not stop.
    """
    if not manager.state().loaded:
        return "unchanged"
    say(f"Stopping {manager.name}; running streams may end first")
    manager.unload(patience)
    return "stopped"


def restart(service: Service) -> str:
    """Stop it and start it, and return `restarted`.

    Raises:
        ServiceError: Nothing is installed, or it does not come to serve.
    """
    must_be_installed(service.manager)
    stop(service.manager, service.patience, service.say)
    _start(service, _GONE)
    return "restarted"


def uninstall(manager: Manager, patience: Patience, say: Callable[[str], None]) -> str:
    """Stop it and remove its definition; returns `removed`, or `unchanged` if there is none.

    Raises:
        ServiceError: It does not stop.
    """
    is_defined = read_definition(manager.definition) is not None
    try:
        stopped = stop(manager, patience, say)
    except ServiceError:
        if is_defined:
            raise
        stopped = "unchanged"  # no manager can be asked, and there is nothing to remove
    if not is_defined:
        return "unchanged" if stopped == "unchanged" else "removed"
    manager.withdraw()
    return "removed"


def must_be_installed(manager: Manager) -> None:
    """Refuse what needs a definition.

    Raises:
        ServiceError: There is none.
    """
    if read_definition(manager.definition) is None:
        raise ServiceError(
            f"{manager.name} is not installed ({manager.definition} does not exist); "
            "`ccproxy service install` does that"
        )


def _start(service: Service, before: RunState) -> None:
    """Start what was like that and wait until the proxy answers; raises `StartFailed`."""
    manager, proxy = service.manager, service.proxy
    if before.pid is None and proxy.is_taken():
        raise StartFailed(
            f"something else listens at {proxy.url}, so {manager.name} was not started. A proxy "
            f"started by hand? `lsof -nP -iTCP:{proxy.port} -sTCP:LISTEN` shows it; stop it first"
        )
    mark = manager.log_mark()
    if not before.loaded:
        manager.load(service.patience)
    elif before.pid is None:
        manager.start_again()
    # Starts before it was loaded are not its present ones.
    _wait_until_live(service, before.runs if before.loaded else 0, mark)


def _wait_until_live(service: Service, earlier_runs: int, mark: int) -> None:
    manager, proxy, wait_s = service.manager, service.proxy, service.patience.start_s
    service.say(f"Waiting for {proxy.url}/health/live, up to {wait_s:.0f} s")
    began_s = told_s = time.monotonic()
    while (now_s := time.monotonic()) < began_s + wait_s:
        left_s = began_s + wait_s - now_s
        is_live = comes_true(proxy.is_live, min(_STATE_EVERY_S, left_s))
        state = manager.state()
        if is_live and state.pid is not None:
            return
        if _has_died(state, earlier_runs):
            how = _ending(state)
            break
        if now_s - told_s >= _NEWS_EVERY_S:
            told_s = now_s
            service.say(f"Still waiting after {now_s - began_s:.0f} s")
    else:
        how = f"did not answer within {wait_s:.0f} s"
    raise StartFailed(f"{manager.name} {how}.{_last_words(service, mark)}")


def _has_died(state: RunState, earlier_runs: int) -> bool:
    """Return whether it ended since then: it is down, or was started more than once."""
    started = state.runs - earlier_runs
    return started > 1 or (state.pid is None and state.has_ended and started > 0)


def _ending(state: RunState) -> str:
    """Return how it ended, for people."""
    if state.last_signal is not None:
        return f"was ended by {state.last_signal}"
    if state.last_exit_code is None:
        return "ended and was started again"
    return f"ended with exit code {state.last_exit_code}"


def _last_words(service: Service, mark: int) -> str:
    lines = service.manager.said_since(mark, LAST_WORDS)
    if not lines:
        return " It has printed nothing; `ccproxy service logs` shows what it logged before."
    return "".join(["\nIts last lines:", *(f"\n  {line}" for line in lines)])


def _roll_back(service: Service, previous: bytes | None, *, was_loaded: bool) -> None:
    """Put back what was installed before, and say how that went."""
    manager, say = service.manager, service.say
    say("It does not start; going back to what was installed before")
    try:
        manager.unload(service.patience)
        if previous is None:
            manager.withdraw()
            say("Nothing is installed")
            return
        write_definition(manager.definition, previous, service.owner)
        if was_loaded:
            _start(service, _GONE)
        say(f"The service as it was is installed again{' and runs' if was_loaded else ''}")
    except (ServiceError, OSError) as failure:
        say(f"Going back failed as well: {failure}")
