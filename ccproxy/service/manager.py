"""What launchd and systemd have in common, as the commands need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ccproxy.service.asking import Patience
    from ccproxy.service.spec import ServiceSpec


@dataclass(frozen=True, slots=True)
class RunState:
    """What the manager says of a service at one moment."""

    loaded: bool
    """The manager has it and starts it, now or again."""
    state: str
    """In the manager's own word: `running`, `spawn scheduled`, `active (running)`."""
    pid: int | None = None
    runs: int = 0
    """How often it was started since it was loaded."""
    last_exit_code: int | None = None
    """None: it has not ended since then, or not by itself."""
    last_signal: str | None = None
    """What ended it, if it was a signal."""

    @property
    def has_ended(self) -> bool:
        """Whether it ended since it was loaded."""
        return self.last_exit_code is not None or self.last_signal is not None


class Manager(Protocol):
    """One service in the hands of launchd or systemd.

    Every method but the first three may raise `ServiceError`.
    """

    @property
    def kind(self) -> str:
        """What it is called: `LaunchAgent`, `systemd user unit`."""
        ...

    @property
    def name(self) -> str:
        """The service's label or unit."""
        ...

    @property
    def definition(self) -> Path:
        """The file that defines it; it may not exist."""
        ...

    @property
    def needs_root(self) -> bool:
        """Whether only root may change it."""
        ...

    def render(self, spec: ServiceSpec) -> bytes:
        """Return the definition of a service."""
        ...

    def command(self) -> Sequence[str]:
        """Return what the installed definition runs; empty if there is none."""
        ...

    def user(self) -> str | None:
        """Return whom the installed definition runs as, if it says so."""
        ...

    def state(self) -> RunState:
        """Return how it is."""
        ...

    def load(self, patience: Patience) -> None:
        """Hand over the definition and start it, now and at every boot (or login)."""
        ...

    def unload(self, patience: Patience) -> None:
        """Stop it and return when it is gone; nothing if it does not run."""
        ...

    def start_again(self) -> None:
        """Start what is loaded and does not run, without waiting for its pause to end."""
        ...

    def withdraw(self) -> None:
        """Remove the definition, after `unload`."""
        ...

    def log_file(self) -> Path | None:
        """Return the file with what it prints; None where the manager keeps that."""
        ...

    def log_command(self, lines: int, *, follow: bool) -> Sequence[str]:
        """Return the command that shows what it printed; empty where that is a file."""
        ...

    def log_mark(self) -> int:
        """Return a mark for `said_since`."""
        ...

    def said_since(self, mark: int, lines: int) -> list[str]:
        """Return at most that many of the last lines printed since the mark."""
        ...
