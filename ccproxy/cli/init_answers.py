"""What an installation is to be, as the options of `ccproxy init` say it."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ccproxy.cli.init_checks import LEAST_RAM_GIB, folder_of, gib_of, key_of, of_option, ollama_of

if TYPE_CHECKING:
    from pathlib import Path

    from ccproxy.setup.arithmetic import Runner
    from ccproxy.setup.installation import Wanted
    from ccproxy.setup.machine import Machine

AGENTS_TOKEN: Final = "agents"  # noqa: S105 - its name, not its value
DEFAULT_PORT: Final = 8081


class Profile(StrEnum):
    """The values of `ccproxy.setup.plan.ProfileName`, which help must not wait for."""

    BALANCED = "balanced"
    MAX_SAVINGS = "max-savings"
    CLAUDE_ONLY = "claude-only"
    LOCAL_ONLY = "local-only"


class KvCache(StrEnum):
    """The values of `ccproxy.setup.arithmetic.KvCacheType`."""

    F16 = "f16"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"


@dataclass
class Answers:
    """What is wanted, by options or by a person's answers, neither checked yet."""

    folder: Path
    ram_gib: float
    ollama: str
    roster: Path | None
    key: str
    profile: Profile | None = None
    memory_gib: float | None = None
    claude: str | None = None
    kv_cache: KvCache | None = None
    parallel: int | None = None
    port: int = DEFAULT_PORT
    token: str = AGENTS_TOKEN
    secret: str = field(default="", repr=False)
    """Claude's key, to be stored where `key` says; empty to store none."""

    def wanted(self, machine: Machine, seen: Runner) -> Wanted:
        """Return what they come to on a machine whose Ollama runs as `seen`.

        Raises:
            BadParameter: One cannot be used; exit code 2.
        """
        from ccproxy.setup.arithmetic import KvCacheType, Runner
        from ccproxy.setup.installation import Wanted
        from ccproxy.setup.plan import ProfileName

        folder = of_option("--dir", folder_of, self.folder)
        is_this_machine = self.ram_gib == machine.ram_gib
        return Wanted(
            folder,
            of_option("--ram", lambda given: gib_of(given, LEAST_RAM_GIB), self.ram_gib),
            # With flash attention, which `doctor` asks for: without it everything takes more.
            Runner(
                seen.kv_cache if self.kv_cache is None else KvCacheType(self.kv_cache),
                flash_attention=True,
                parallel=self.parallel or seen.parallel,
            ),
            memory_gib=self.memory_gib or (machine.wired_limit_gib if is_this_machine else None),
            roster=self.roster,
            ollama_url=of_option("--ollama", ollama_of, self.ollama),
            key_reference=of_option(
                "--key-from", lambda given: key_of(given, folder, os.environ), self.key
            ),
            claude_url=self.claude,
            profile=None if self.profile is None else ProfileName(self.profile),
            port=self.port,
        )

    def profiles(self, machine: Machine, seen: Runner) -> tuple[str, ...]:
        """Return the profiles that make sense with the other answers, the usual one first.

        Raises:
            BadParameter: One of the others cannot be used; exit code 2.
            ConfigError: The roster cannot be used, or nothing could serve.
        """
        from ccproxy.setup.installation import make_plan

        plan = make_plan(replace(self, profile=None).wanted(machine, seen))
        return tuple(map(str, plan.profiles()))

    def options_beside(self, usual: Answers) -> str:
        """Return the options that say the same where `usual` is proposed; not where the key is."""
        mine, theirs = self._options(), usual._options()
        given = [(name, value) for name, value in mine.items() if value != theirs[name]]
        return "".join(
            f" {name} {shlex.quote(value)}" for name, value in given if value is not None
        )

    def _options(self) -> dict[str, str | None]:
        numbers = {"--ram": self.ram_gib, "--memory": self.memory_gib}
        return {
            "--dir": str(self.folder.expanduser().absolute()),
            **{name: None if gib is None else f"{gib:g}" for name, gib in numbers.items()},
            "--ollama": self.ollama,
            "--roster": None if self.roster is None else str(self.roster.absolute()),
            "--claude": self.claude,
            "--profile": self.profile,
            "--kv-cache": self.kv_cache,
            "--parallel": None if self.parallel is None else str(self.parallel),
            "--port": str(self.port),
            "--token": self.token,
        }
