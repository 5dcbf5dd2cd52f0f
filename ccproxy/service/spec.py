"""What a service is, before launchd or systemd words are made of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ccproxy.service.problems import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DEFAULT_LABEL: Final = "com.visiquate.ccproxy"

THROTTLE_S: Final = 10
"""Between two starts of a program that keeps ending. Source: launchd.plist(5), its default."""
EXIT_TIMEOUT_S: Final = 30
"""From SIGTERM to SIGKILL: the 20 s that `ccproxy.serve` gives running streams, and 10 s for what
is queued for the ledger. A test compares the two."""
OPEN_FILES: Final = 8192
"""A client and its upstream are two; launchd's own limit is 256 (`launchctl limit maxfiles`)."""
UMASK: Final = 0o077
"""What the service writes, nobody else reads."""

_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters, and bytes of a path that are no UTF-8."""


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One service: what runs, where, and as whom.

    Raises:
        ServiceError: A text holds what no definition can carry safely.
    """

    label: str
    command: tuple[str, ...]
    """The program by its absolute path, and its arguments."""
    folder: Path
    """Its working directory, absolute; it must exist when the service starts."""
    log: Path | None = None
    """Where launchd sends what it prints, absolute; systemd has its journal."""
    user: str | None = None
    """Whom a service of the system runs as; None: a service of the user who installs it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables without secrets: a definition can be read by everybody."""

    def __post_init__(self) -> None:
        """Refuse what could break out of a line of a definition."""
        check_label(self.label)
        texts = (*self.command, str(self.folder), str(self.log), *self.environment.values())
        for text in texts:
            if _UNFIT.search(text):
                raise ServiceError(
                    f"{text!r} has a control character or is no UTF-8; no service can be given it"
                )


def check_label(label: str) -> None:
    """Refuse a label that is no plain name, since it becomes part of a file's name.

    Raises:
        ServiceError: It is none.
    """
    if not _LABEL.fullmatch(label):
        raise ServiceError(
            f"--label: {label!r} must be up to 100 letters, digits, dots, dashes and underscores, "
            f"beginning with a letter or digit, like {DEFAULT_LABEL}"
        )
