"""One service in the hands of systemd, driven by `systemctl` and `journalctl`.

Sources: systemctl(1), org.freedesktop.systemd1(5), journalctl(1).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from ccproxy.service.asking import TOOL_S, Answer, ask
from ccproxy.service.definition import read_definition
from ccproxy.service.launchd import signal_name
from ccproxy.service.logs import harmless
from ccproxy.service.manager import RunState
from ccproxy.service.problems import ServiceError
from ccproxy.service.unit_file import command_of, unit_file, user_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ccproxy.service.asking import Patience
    from ccproxy.service.spec import ServiceSpec

_SHOWN: Final = (
    "LoadState,ActiveState,SubState,MainPID,NRestarts,ExecMainCode,ExecMainStatus,InvocationID"
)
_NOT_LOADED: Final = 5
"""Exit code of `systemctl` for a unit that it does not know. Source: systemctl(1), LSB."""
_EXITED, _KILLED, _DUMPED = "1", "2", "3"
"""`ExecMainCode`: CLD_EXITED, CLD_KILLED, CLD_DUMPED of sigaction(2)."""


class Systemd:
    """A unit of the system, or of the manager of whoever runs this."""

    def __init__(
        self, unit: str, definition: Path, *, is_system: bool, program: str = "systemctl"
    ) -> None:
        """Ask nothing yet.

        Args:
            unit: Its name, with `.service`.
            definition: The unit file.
            is_system: Whether it is one of the system.
            program: `systemctl`, by name or path.
        """
        self.kind = "systemd system unit" if is_system else "systemd user unit"
        self.name = unit
        self.definition = definition
        self._is_system = is_system
        self._program = program

    @property
    def needs_root(self) -> bool:
        """Only root may change units of the system."""
        return self._is_system

    def render(self, spec: ServiceSpec) -> bytes:
        """Return the unit file."""
        return unit_file(spec)

    def command(self) -> Sequence[str]:
        """Return what the installed unit runs."""
        return command_of(read_definition(self.definition) or b"")

    def user(self) -> str | None:
        """Return `User=`."""
        return user_of(read_definition(self.definition) or b"")

    def state(self) -> RunState:
        """Return what `systemctl show` says."""
        answer = self._must(self._ask("show", self.name, f"--property={_SHOWN}"), "show")
        return state_in(answer.out)

    def load(self, patience: Patience) -> None:  # noqa: ARG002 - systemctl waits by itself
        """Have it read, started at boot (or login), and started now."""
        self._must(self._ask("daemon-reload"), "daemon-reload")
        self._must(self._ask("enable", "--quiet", self.name), "enable")
        # Refused for a unit that has not failed, which is as well.
        self._ask("reset-failed", self.name)
        self._must(self._ask("start", self.name), "start")

    def unload(self, patience: Patience) -> None:
        """Stop it; systemctl returns when it is gone."""
        answer = self._ask("stop", self.name, timeout_s=max(TOOL_S, patience.stop_s))
        if answer.code != _NOT_LOADED:
            self._must(answer, "stop")

    def start_again(self) -> None:
        """Start it without waiting for `RestartSec`."""
        self._must(self._ask("restart", self.name), "restart")

    def withdraw(self) -> None:
        """Let it no longer be started at boot, and remove the unit file."""
        self._must(self._ask("disable", "--quiet", self.name), "disable")
        self.definition.unlink(missing_ok=True)
        self._must(self._ask("daemon-reload"), "daemon-reload")

    def log_file(self) -> Path | None:
        """Return nothing: its log is the journal."""
        return None

    def log_command(self, lines: int, *, follow: bool) -> Sequence[str]:
        """Return the call of `journalctl`; `cat` because our lines have their own time."""
        which = ("--unit",) if self._is_system else ("--user", "--unit")
        command = ("journalctl", *which, self.name, "--output=cat", f"--lines={lines}")
        return (*command, "--follow") if follow else (*command, "--no-pager")

    def log_mark(self) -> int:
        """Return the present time, in whole seconds."""
        return int(time.time())

    def said_since(self, mark: int, lines: int) -> list[str]:
        """Return the last lines of the journal; none where it cannot be read."""
        command = (*self.log_command(lines, follow=False), "--quiet", f"--since=@{mark}")
        try:
            answer = ask(command)
        except ServiceError:
            return []
        return [harmless(line) for line in answer.out.splitlines()[-lines:]]

    def _ask(self, *arguments: str, timeout_s: float = TOOL_S) -> Answer:
        scope = () if self._is_system else ("--user",)
        return ask((self._program, *scope, "--no-ask-password", *arguments), timeout_s)

    def _must(self, answer: Answer, what: str) -> Answer:
        if answer.code:
            said = answer.error or f"exit code {answer.code}"
            raise ServiceError(f"systemctl {what} {self.name}: {said}. {_advice(said)}".rstrip())
        return answer


def state_in(text: str) -> RunState:
    """Return what the output of `systemctl show` says."""
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    active, sub = found.get("ActiveState", "unknown"), found.get("SubState", "")
    pid, status = found.get("MainPID", ""), found.get("ExecMainStatus", "")
    restarts, code = found.get("NRestarts", ""), found.get("ExecMainCode", "")
    number = int(status) if status.isdecimal() else 0
    return RunState(
        loaded=active not in {"inactive", "failed"},
        state=f"{active} ({sub})" if sub else active,
        pid=int(pid) if pid.isdecimal() and pid != "0" else None,
        # It counts only what it did by itself; the first start was asked for.
        runs=int(restarts) + 1 if restarts.isdecimal() and found.get("InvocationID") else 0,
        last_exit_code=number if code == _EXITED else None,
        last_signal=signal_name(number) if code in (_KILLED, _DUMPED) else None,
    )


def _advice(said: str) -> str:
    """Return what to do about what systemctl says."""
    if "bus" in said:
        return (
            "A user's services need a login of that user (by SSH is enough; `su` and `sudo` are "
            "none). Log in as the user, or install with --daemon."
        )
    if "authentication" in said or "denied" in said.lower():
        return "Run it with sudo."
    return ""
