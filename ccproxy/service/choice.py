"""Which of the system's managers a service belongs to on this machine."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ccproxy.service.launchd import Launchd
from ccproxy.service.problems import ServiceError
from ccproxy.service.spec import check_label
from ccproxy.service.systemd import Systemd

if TYPE_CHECKING:
    from ccproxy.service.manager import Manager

LAUNCH_DAEMONS: Final = Path("/Library/LaunchDaemons")
SYSTEM_UNITS: Final = Path("/etc/systemd/system")


@dataclass(frozen=True, slots=True)
class Managers:
    """The two ways in which a machine runs a service."""

    own: Manager
    """As one of a user: LaunchAgent, systemd user unit."""
    system: Manager
    """As one of the machine: LaunchDaemon, systemd system unit."""
    logs: Path | None
    """Folder for what services print, inside a home folder; None where the manager keeps it."""

    def installed(self, *, system: bool) -> Manager:
        """Return the one that is installed: the machine's if asked for or if only that is there."""
        is_system = system or (self.system.definition.exists() and not self.own.definition.exists())
        return self.system if is_system else self.own


def managers_here(label: str, uid: int, home: Path) -> Managers:
    """Return the managers of this machine.

    Args:
        label: The service's name, like `com.visiquate.ccproxy`.
        uid: The user whose own services are meant.
        home: That user's home folder.

    Raises:
        ServiceError: The label is none, or the machine has neither launchd nor systemd.
    """
    check_label(label)
    if (launchctl := shutil.which("launchctl")) is not None:
        file = f"{label}.plist"
        agents = home / "Library" / "LaunchAgents"
        return Managers(
            Launchd("LaunchAgent", label, f"gui/{uid}", agents / file, launchctl),
            Launchd("LaunchDaemon", label, "system", LAUNCH_DAEMONS / file, launchctl),
            Path("Library/Logs"),
        )
    if (systemctl := shutil.which("systemctl")) is not None:
        unit = f"{label.rpartition('.')[2] or label}.service"
        units = home / ".config" / "systemd" / "user"
        return Managers(
            Systemd(unit, units / unit, is_system=False, program=systemctl),
            Systemd(unit, SYSTEM_UNITS / unit, is_system=True, program=systemctl),
            None,
        )
    raise ServiceError(
        "this machine has neither launchctl (macOS) nor systemctl (Linux with systemd), so nothing "
        "here can run a service. Let your own supervisor run `ccproxy serve --config FILE`: it "
        "stays in the foreground, logs to stderr and stops on SIGTERM within 30 s"
    )
