"""Values that a config file names instead of holding them: where they are, never what they are.

`os.environ/NAME` (as in LiteLLM), `file/PATH` and `keychain/SERVICE/ACCOUNT`. What is behind the
latter two is a secret; `ccproxy.config.secrets` reads and stores them.
"""

from __future__ import annotations

from typing import Final

ENVIRONMENT_REFERENCE: Final = "os.environ/"
"""LiteLLM's prefix for a value that is read from the environment."""
FILE_REFERENCE: Final = "file/"
"""What follows is a path as everywhere in the file: `file/~/x`, `file//etc/x`, `file/x`."""
KEYCHAIN_REFERENCE: Final = "keychain/"
SECRET_REFERENCES: Final = (ENVIRONMENT_REFERENCE, FILE_REFERENCE, KEYCHAIN_REFERENCE)
"""How a reference to a secret begins."""


def referenced_variable(value: object) -> str | None:
    """Return the variable's name if `value` is a reference to the environment, else None."""
    if isinstance(value, str) and value.startswith(ENVIRONMENT_REFERENCE):
        return value.removeprefix(ENVIRONMENT_REFERENCE)
    return None


def is_reference(value: object) -> bool:
    """Return whether `value` says where a secret is."""
    return isinstance(value, str) and value.startswith(SECRET_REFERENCES)
