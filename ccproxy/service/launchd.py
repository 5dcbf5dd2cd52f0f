"""One service in the hands of launchd, driven by `launchctl`.

Sources: launchctl(1), launchd.plist(5) (macOS 14). What the manual pages leave out was taken from
what people met: `bootout` returns before the service is gone (36, or 0), a label that is still
being let go of makes `bootstrap` fail with 5 or 37 for about 5 s, and `kickstart -k` kills without
SIGTERM. So a restart is `bootout`, wait, `bootstrap`, and streams get their time to end.
"""

from __future__ import annotations

import re
import signal
import time
from typing import TYPE_CHECKING, Any, Final

from ccproxy.service.asking import Answer, ask, comes_true
from ccproxy.service.definition import read_definition
from ccproxy.service.logs import last_lines, size_of
from ccproxy.service.manager import RunState
from ccproxy.service.problems import ServiceError
from ccproxy.service.property_list import property_list, read_property_list

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ccproxy.service.asking import Patience
    from ccproxy.service.spec import ServiceSpec

NOT_THERE: Final = (3, 113)
"""No such process; Could not find service."""
NO_DOMAIN: Final = (112, 125)
"""Could not find domain; Domain does not support specified action."""
IN_PROGRESS: Final = 36
SETTLING: Final = (5, IN_PROGRESS, 37)
"""Input/output error; Operation now in progress; Operation already in progress."""

_ADVICE: Final = {
    1: "Not allowed: is this the user whose service it is, or root for a LaunchDaemon?",
    5: "launchd gives this code for many reasons: ask `plutil -lint {file}`, look whether it is "
    "still loaded (`launchctl print {target}`), and read "
    "`log show --last 5m --predicate 'process == \"launchd\"'`.",
    119: "It was disabled; `launchctl enable {target}` allows it again.",
    122: "{file} must belong to the one who loads it (root for a LaunchDaemon), with mode 0644.",
    134: "A LaunchAgent of this kind needs a session at the screen; install it with --daemon.",
}
_NOBODY_LOGGED_IN: Final = (
    "A LaunchAgent needs its user logged in at the screen (a login by SSH does not count). Log in "
    "there, let the machine log in by itself, or install with --daemon, which needs no login."
)
_FIELD: Final = re.compile(r"\t([a-z][a-z ]*) = (.*)")
"""A line of the service itself: those of its endpoints are indented further."""


class Launchd:
    """A LaunchAgent or LaunchDaemon."""

    def __init__(
        self, kind: str, label: str, domain: str, definition: Path, program: str = "launchctl"
    ) -> None:
        """Ask nothing yet.

        Args:
            kind: `LaunchAgent` or `LaunchDaemon`.
            label: The service's name, also that of the file.
            domain: `gui/<uid>` or `system`.
            definition: The property list.
            program: `launchctl`, by name or path.
        """
        self.kind = kind
        self.name = label
        self.definition = definition
        self._domain = domain
        self._program = program

    @property
    def needs_root(self) -> bool:
        """Anyone may look at the system domain; only root may change it."""
        return self._domain == "system"

    def render(self, spec: ServiceSpec) -> bytes:
        """Return the property list."""
        return property_list(spec)

    def command(self) -> Sequence[str]:
        """Return what the installed property list runs."""
        arguments = self._document().get("ProgramArguments")
        return [str(each) for each in arguments] if isinstance(arguments, list) else []

    def user(self) -> str | None:
        """Return `UserName`."""
        name = self._document().get("UserName")
        return name if isinstance(name, str) else None

    def state(self) -> RunState:
        """Return what `launchctl print` says."""
        answer = self._ask("print", self._target)
        if answer.code in (*NOT_THERE, *NO_DOMAIN):
            return RunState(loaded=False, state="not loaded")
        self._must(answer, "print")
        return state_in(answer.out)

    def load(self, patience: Patience) -> None:
        """Allow it (someone may have disabled it), and bootstrap it once its label is free."""
        self._must(self._ask("enable", self._target), "enable")
        deadline = time.monotonic() + patience.settle_s
        while True:
            answer = self._ask("bootstrap", self._domain, str(self.definition))
            if answer.code == 0 or (answer.code in SETTLING and self.state().loaded):
                return
            if answer.code not in SETTLING or time.monotonic() >= deadline:
                raise ServiceError(self._explained(answer, "bootstrap"))
            time.sleep(min(0.5, patience.settle_s))

    def unload(self, patience: Patience) -> None:
        """Boot it out, and wait until launchd has let go of it."""
        answer = self._ask("bootout", self._target)
        if answer.code in (*NOT_THERE, *NO_DOMAIN):
            return
        if answer.code not in (0, IN_PROGRESS) and self.state().loaded:
            raise ServiceError(self._explained(answer, "bootout"))
        if not comes_true(lambda: not self.state().loaded, patience.stop_s):
            raise ServiceError(
                f"{self.name} is still there {patience.stop_s:.0f} s after it was told to stop; "
                f"see `launchctl print {self._target}`"
            )

    def start_again(self) -> None:
        """Start it without waiting for the throttle."""
        self._must(self._ask("kickstart", self._target), "kickstart")

    def withdraw(self) -> None:
        """Remove the property list."""
        self.definition.unlink(missing_ok=True)

    def log_file(self) -> Path | None:
        """Return where its output goes, as the property list says."""
        path = self._document().get("StandardErrorPath")
        return self.definition.parent / path if isinstance(path, str) else None

    def log_command(self, lines: int, *, follow: bool) -> Sequence[str]:  # noqa: ARG002 - files
        """Return nothing: its log is a file."""
        return ()

    def log_mark(self) -> int:
        """Return the size of its log."""
        path = self.log_file()
        return size_of(path) if path is not None else 0

    def said_since(self, mark: int, lines: int) -> list[str]:
        """Return the last lines of its log."""
        path = self.log_file()
        return last_lines(path, lines, mark) if path is not None else []

    @property
    def _target(self) -> str:
        return f"{self._domain}/{self.name}"

    def _document(self) -> dict[str, Any]:
        return read_property_list(read_definition(self.definition) or b"")

    def _ask(self, *arguments: str) -> Answer:
        return ask((self._program, *arguments))

    def _must(self, answer: Answer, what: str) -> None:
        if answer.code:
            raise ServiceError(self._explained(answer, what))

    def _explained(self, answer: Answer, what: str) -> str:
        """Return what launchctl said, and what to do about it."""
        said = answer.error or f"exit code {answer.code}"
        advice = _NOBODY_LOGGED_IN if answer.code in NO_DOMAIN else _ADVICE.get(answer.code, "")
        words = advice.format(file=self.definition, target=self._target)
        return f"launchctl {what} {self._target}: {said}. {words}".rstrip()


def state_in(text: str) -> RunState:
    """Return what the output of `launchctl print` says of a service that is loaded.

    The manual calls this output no API; a line that is not there is a fact that is not known.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        if match := _FIELD.fullmatch(line):
            found.setdefault(match[1], match[2])
    pid, runs = found.get("pid", ""), found.get("runs", "")
    exit_code = found.get("last exit code", "").partition(":")[0]
    killed = re.search(r"(\d+)$", found.get("last terminating signal", ""))
    return RunState(
        loaded=True,
        state=found.get("state", "unknown"),
        pid=int(pid) if pid.isdecimal() else None,
        runs=int(runs) if runs.isdecimal() else 0,
        last_exit_code=int(exit_code) if re.fullmatch(r"-?\d+", exit_code) else None,
        last_signal=signal_name(int(killed[1])) if killed else None,
    )


def signal_name(number: int) -> str:
    """Return `SIGTERM` for 15."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
