"""Which variables of the shell a service is given, and which never."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ccproxy.service.problems import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SECRET_NAME: Final = re.compile(
    r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH|HEADERS|COOKIE|WEBHOOK|DSN", re.IGNORECASE
)
_SECRET_VALUE: Final = re.compile(r"\bsk-|\bccp_|://[^/@\s]*:[^/@\s]+@|-----BEGIN |^Bearer ")
"""Keys of Anthropic and others, our own tokens, URLs with a password, PEM files."""


def passed_on(names: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the named variables, to be written into a service's definition.

    Raises:
        ServiceError: One is not set, or looks like a secret: a property list or unit is no place
            for one, since every user of the machine can read it.
    """
    found = {}
    for name in names:
        value = environ.get(name)
        if not value:
            raise ServiceError(f"--env {name}: the variable is not set here")
        if _SECRET_NAME.search(name) or _SECRET_VALUE.search(value):
            raise ServiceError(
                f"--env {name}: this looks like a secret, and every user of this machine can read "
                "a service's definition. Keep it in a file of mode 0600 or in the Keychain and "
                "refer to it in ccproxy.yaml, see docs/service.md"
            )
        found[name] = value
    return found
