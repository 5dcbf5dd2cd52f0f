"""A service as launchd reads it. Source of every key: launchd.plist(5), macOS 14."""

from __future__ import annotations

import plistlib
from typing import TYPE_CHECKING, Any
from xml.parsers.expat import ExpatError

from ccproxy.service.spec import EXIT_TIMEOUT_S, OPEN_FILES, THROTTLE_S, UMASK

if TYPE_CHECKING:
    from ccproxy.service.spec import ServiceSpec


def property_list(spec: ServiceSpec) -> bytes:
    """Return the property list of a service, as XML."""
    document: dict[str, Any] = {
        "Label": spec.label,
        "ProgramArguments": list(spec.command),
        "WorkingDirectory": str(spec.folder),
        "RunAtLoad": True,
        # However it ends; `bootout` is what stops it.
        "KeepAlive": True,
        "ThrottleInterval": THROTTLE_S,
        "ExitTimeOut": EXIT_TIMEOUT_S,
        # Else launchd may slow down its CPU and disk as those of something in the background.
        "ProcessType": "Interactive",
        "SoftResourceLimits": {"NumberOfFiles": OPEN_FILES},
        "HardResourceLimits": {"NumberOfFiles": OPEN_FILES},
        # A property list knows no octal: 63 is 077.
        "Umask": UMASK,
    }
    if spec.log is not None:
        document |= {"StandardOutPath": str(spec.log), "StandardErrorPath": str(spec.log)}
    if spec.user is not None:
        document["UserName"] = spec.user
    if spec.environment:
        document["EnvironmentVariables"] = dict(spec.environment)
    return plistlib.dumps(document, sort_keys=False)


def read_property_list(data: bytes) -> dict[str, Any]:
    """Return what a property list says; empty if it is none."""
    try:
        document = plistlib.loads(data)
    except (plistlib.InvalidFileException, ExpatError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
