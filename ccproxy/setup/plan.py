"""What `ccproxy init` was told and found out: everything that the written files follow from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ccproxy.setup.choice import ram_profile_gib

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccproxy.setup.choice import Choice, ChosenModel
    from ccproxy.setup.wishes import Role, Wishes
    from routing.types import Roster

DEFAULT_OLLAMA: Final = "http://127.0.0.1:11434"
KEY_VARIABLE: Final = "ANTHROPIC_API_KEY"
DEFAULT_KEY: Final = f"os.environ/{KEY_VARIABLE}"
KEYCHAIN_KEY: Final = "keychain/ccproxy/anthropic"
FILE_KEY: Final = "file/anthropic.key"
"""Beside the config file."""


class ProfileName(StrEnum):
    """Which of the written profiles is active."""

    BALANCED = "balanced"
    MAX_SAVINGS = "max-savings"
    CLAUDE_ONLY = "claude-only"
    LOCAL_ONLY = "local-only"


@dataclass(frozen=True, slots=True)
class SetupPlan:
    """One installation, before anything is written."""

    choice: Choice
    wishes: Wishes
    roster: Roster
    roster_path: str
    """As `ccproxy.yaml` names it."""
    ram_gib: float
    ollama_url: str = DEFAULT_OLLAMA
    key_reference: str | None = DEFAULT_KEY
    """Where Claude's key is; None for an installation without Claude."""
    claude_url: str | None = None
    """Where the Messages API is, if not at Anthropic."""
    profile: ProfileName = ProfileName.BALANCED
    port: int = 8081

    @property
    def ram_profile_gib(self) -> int:
        """Return the machine's size, as the capacity guide tells them apart."""
        return ram_profile_gib(self.ram_gib)

    @property
    def local(self) -> tuple[ChosenModel, ...]:
        """Return the local deployments."""
        return self.choice.models

    @property
    def has_claude(self) -> bool:
        """True if Claude is part of it."""
        return self.key_reference is not None

    def profiles(self) -> tuple[ProfileName, ...]:
        """Return the profiles that make sense with what there is."""
        if not self.local:
            return (ProfileName.CLAUDE_ONLY,) if self.has_claude else ()
        if not self.has_claude:
            return (ProfileName.LOCAL_ONLY,)
        return tuple(ProfileName)

    def name_of(self, role: Role) -> str | None:
        """Return the deployment that serves a role, if there is any local one."""
        model = self.choice.by_role(role)
        return None if model is None else model.role.value


def default_key(environ: Mapping[str, str], *, is_macos: bool) -> str:
    """Return where Claude's key is unless somebody says otherwise.

    A service has no variables of a shell, so the environment is it only where the key is there.
    """
    if environ.get(KEY_VARIABLE, "").strip():
        return DEFAULT_KEY
    return KEYCHAIN_KEY if is_macos else FILE_KEY
