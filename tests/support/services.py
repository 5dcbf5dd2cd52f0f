"""A machine with a stand-in for launchd or systemd, and the real `ccproxy service` on it."""

from __future__ import annotations

import marshal
import os
import socket
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccproxy.service import choice
from tests.support import service_standin_process as process
from tests.support.command_line import CONFIG, CommandLine, Result, command_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

UID = 501
"""Whoever runs the tests, the commands believe to be the first user of a Mac."""
LABEL = "com.visiquate.ccproxy"
STANDIN = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
    "import service_standin; service_standin"
)


@dataclass(frozen=True)
class Machine:
    """A home folder with a configuration, and the tools of the system on the PATH."""

    folder: Path
    """The home folder."""
    state: Path
    """What the stand-in knows."""
    port: int
    run: CommandLine

    def __call__(self, *arguments: str) -> Result:
        """Run `ccproxy service` in this process."""
        return self.run("service", *arguments)

    @property
    def plist(self) -> Path:
        """Where a LaunchAgent is defined."""
        return self.folder / "Library" / "LaunchAgents" / f"{LABEL}.plist"

    @property
    def unit(self) -> Path:
        """Where a user's unit is defined."""
        return self.folder / ".config" / "systemd" / "user" / "ccproxy.service"

    @property
    def config(self) -> Path:
        """The settings."""
        return self.folder / "ccproxy.yaml"

    @property
    def calls(self) -> list[list[str]]:
        """Every call of a tool so far."""
        calls = self.state / "calls"
        return [line.split() for line in calls.read_text().splitlines()] if calls.exists() else []

    def verbs(self) -> list[str]:
        """Return the subcommands called so far that change something."""
        words = [[each for each in call[1:] if not each.startswith("-")] for call in self.calls]
        return [verb for verb, *_ in words if verb not in {"print", "show"}]

    def service(self, name: str = LABEL) -> dict[str, Any] | None:
        """Return what the stand-in has loaded under a name."""
        return process.known(str(self.state), name)

    def has_habits(self, **habits: object) -> None:
        """Let the stand-in behave differently."""
        (self.state / "habits").write_bytes(marshal.dumps(habits))


@contextmanager
def machine(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    captured: pytest.CaptureFixture[str],
    *tools: str,
) -> Iterator[Machine]:
    """Yield a machine that has these tools and no others; what was started on it ends."""
    programs, state, home = folder / "bin", folder / "state", folder / "home"
    for each in (programs, state, home):
        each.mkdir()
    for tool in tools:
        write_standin(programs, tool)
    run = command_line(home, monkeypatch, captured)
    port = free_port()
    (home / "ccproxy.yaml").write_text(CONFIG.replace("8081", str(port)))
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("CCPROXY_STANDIN", str(state))
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.delenv("STANDIN_PROGRAM", raising=False)
    # Neither what this machine has is in a test's way, nor could a broken refusal write there.
    monkeypatch.setattr(choice, "LAUNCH_DAEMONS", folder / "LaunchDaemons")
    monkeypatch.setattr(choice, "SYSTEM_UNITS", state / "system")
    monkeypatch.setattr(os, "getuid", lambda: UID)
    monkeypatch.setattr(os, "geteuid", lambda: UID)
    try:
        yield Machine(home, state, port, run)
    finally:
        process.kill_all(str(state))


def write_standin(programs: Path, tool: str) -> None:
    """Put the stand-in of a tool into a folder of programs."""
    program = programs / tool
    program.write_text(f"#!{sys.executable} -IS\n{STANDIN}.main({tool!r}, *sys.argv[1:])\n")
    program.chmod(0o755)


def free_port() -> int:
    """Return a port at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
