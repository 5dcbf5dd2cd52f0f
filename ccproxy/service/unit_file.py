"""A service as systemd reads it. Sources: systemd.service(5), systemd.exec(5), systemd.unit(5)."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from ccproxy.service.spec import EXIT_TIMEOUT_S, OPEN_FILES, THROTTLE_S, UMASK

if TYPE_CHECKING:
    from ccproxy.service.spec import ServiceSpec

_FOR_EVERYBODY: Final = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
"""
"""System call filters. A user's own manager may set these without user namespaces, which Debian and
Ubuntu let be switched off; with those that follow, a unit would not start there."""
_FOR_THE_SYSTEM: Final = """\
ProtectSystem=full
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
CapabilityBoundingSet=
"""


def unit_file(spec: ServiceSpec) -> bytes:
    """Return the unit of a service: of the system if it has a user, else of a user's manager."""
    is_system = spec.user is not None
    after = "After=network-online.target\nWants=network-online.target\n" if is_system else ""
    user = f"User={spec.user}\n" if is_system else ""
    variables = "".join(
        f"Environment={_quoted(f'{name}={value}')}\n" for name, value in spec.environment.items()
    )
    hardening = _FOR_EVERYBODY + (_FOR_THE_SYSTEM if is_system else "")
    command = " ".join(_quoted(part).replace("$", "$$") for part in spec.command)
    return f"""\
[Unit]
Description=ccproxy, one base URL for a fleet of Claude agents
{after}# It is tried again for as long as it is wanted.
StartLimitIntervalSec=0

[Service]
Type=exec
{user}ExecStart={command}
WorkingDirectory={_without_specifiers(str(spec.folder))}
{variables}Restart=always
RestartSec={THROTTLE_S}
TimeoutStopSec={EXIT_TIMEOUT_S}
LimitNOFILE={OPEN_FILES}
UMask={UMASK:04o}
{hardening}
[Install]
WantedBy={"multi-user" if is_system else "default"}.target
""".encode()


def command_of(data: bytes) -> tuple[str, ...]:
    """Return what a unit of ours runs; empty if it says nothing."""
    text = _value(data, "ExecStart").replace("$$", "$").replace("%%", "%")
    try:
        return tuple(shlex.split(text))
    except ValueError:
        return ()


def user_of(data: bytes) -> str | None:
    """Return whom a unit of ours runs as, if it says so."""
    return _value(data, "User") or None


def _value(data: bytes, key: str) -> str:
    for line in data.decode(errors="replace").splitlines():
        if line.startswith(f"{key}="):
            return line.partition("=")[2]
    return ""


def _quoted(text: str) -> str:
    """Return a text as one word of a line that systemd splits."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_without_specifiers(escaped)}"'


def _without_specifiers(text: str) -> str:
    """Return a text in which `%` is only that."""
    return text.replace("%", "%%")
