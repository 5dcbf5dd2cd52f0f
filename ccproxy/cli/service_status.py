"""What `ccproxy service status` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ccproxy.config.problems import ConfigError
from ccproxy.service.manager import RunState
from ccproxy.service.probe import ProxyProbe
from ccproxy.service.problems import ServiceError

if TYPE_CHECKING:
    from ccproxy.cli.service_parts import Installed


@dataclass(frozen=True, slots=True)
class Status:
    """A service and the proxy in it, at one moment."""

    name: str
    kind: str
    definition: str
    is_installed: bool
    run: RunState
    config: str | None
    problem: str | None
    """Why the proxy could not be asked."""
    url: str | None
    is_live: bool
    is_ready: bool
    logs: tuple[str, ...]

    @property
    def is_running(self) -> bool:
        """Whether it has a process and the proxy answers."""
        return self.run.pid is not None and self.is_live

    def as_json(self) -> dict[str, object]:
        """Return all of it for programs."""
        return {
            "name": self.name,
            "kind": self.kind,
            "definition": self.definition,
            "installed": self.is_installed,
            "running": self.is_running,
            "loaded": self.run.loaded,
            "state": self.run.state,
            "pid": self.run.pid,
            "runs": self.run.runs,
            "last_exit_code": self.run.last_exit_code,
            "last_signal": self.run.last_signal,
            "config": self.config,
            "url": self.url,
            "live": self.is_live,
            "ready": self.is_ready,
            "problem": self.problem,
            "logs": list(self.logs),
        }

    def rows(self) -> list[tuple[str, str]]:
        """Return it for people, what to do next included."""
        where = self.definition if self.is_installed else "not installed: ccproxy service install"
        rows = [("service", f"{self.name} ({self.kind})"), ("defined in", where)]
        rows += [("state", self._state()), ("last exit", self._ending())]
        if self.config is not None:
            rows.append(("settings", self.config))
        rows.append(("proxy", self._proxy()))
        return rows + [("log", log) for log in self.logs]

    def _state(self) -> str:
        pid = f", pid {self.run.pid}" if self.run.pid is not None else ""
        times = "once" if self.run.runs == 1 else f"{self.run.runs} times"
        return f"{self.run.state}{pid}" + (f", started {times}" if self.run.runs else "")

    def _ending(self) -> str:
        if self.run.last_signal is not None:
            return self.run.last_signal
        return "none" if self.run.last_exit_code is None else f"code {self.run.last_exit_code}"

    def _proxy(self) -> str:
        if self.url is None:
            return self.problem or "unknown"
        if not self.is_live:
            return f"{self.url} does not answer"
        return f"{self.url} answers, {'ready' if self.is_ready else 'not ready: no route works'}"


def status_of(found: Installed) -> Status:
    """Ask the manager and the proxy; one that does not answer is a fact like others."""
    manager = found.manager
    try:
        run = manager.state()
    except ServiceError as error:
        run = RunState(loaded=False, state=f"unknown: {error}")
    problem, probe, named = None, None, None
    try:
        settings = found.settings()
    except ConfigError as error:
        problem = str(error.problems[0])
    else:
        if settings is not None:
            probe = ProxyProbe(settings.host, settings.port)
            named = settings.log_file.path if settings.log_file is not None else None
    is_live = probe is not None and probe.is_live()
    journal = " ".join(manager.log_command(50, follow=False))
    logs = [str(each) for each in (manager.log_file() or journal, named) if each]
    return Status(
        name=manager.name,
        kind=manager.kind,
        definition=str(manager.definition),
        is_installed=manager.definition.exists(),
        run=run,
        config=str(found.config) if found.config is not None else None,
        problem=problem,
        url=probe.url if probe is not None else None,
        is_live=is_live,
        is_ready=probe is not None and is_live and probe.is_ready(),
        logs=tuple(logs),
    )
