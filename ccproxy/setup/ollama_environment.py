"""The environment variables that an Ollama of this machine was started with, as far as one can see.

Ollama does not tell its settings over HTTP. Where they come from:
- macOS: `launchctl getenv` (Ollama docs/faq.md), and the property list of `brew services`;
- Linux: the systemd unit, `systemctl show ollama --property=Environment`.
"""

from __future__ import annotations

import plistlib
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from xml.parsers.expat import ExpatError

from ccproxy.setup.arithmetic import KvCacheType, Runner

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ccproxy.setup.commands import RunCommand

KEEP_ALIVE: Final = "OLLAMA_KEEP_ALIVE"
FLASH_ATTENTION: Final = "OLLAMA_FLASH_ATTENTION"
KV_CACHE_TYPE: Final = "OLLAMA_KV_CACHE_TYPE"
NUM_PARALLEL: Final = "OLLAMA_NUM_PARALLEL"
MAX_LOADED_MODELS: Final = "OLLAMA_MAX_LOADED_MODELS"
CONTEXT_LENGTH: Final = "OLLAMA_CONTEXT_LENGTH"
NAMES: Final = (
    MAX_LOADED_MODELS,
    NUM_PARALLEL,
    KEEP_ALIVE,
    FLASH_ATTENTION,
    KV_CACHE_TYPE,
    CONTEXT_LENGTH,
)
BREW_PLIST: Final = "Library/LaunchAgents/homebrew.mxcl.ollama.plist"
"""In the home folder."""
_SHOW_UNIT: Final = ("systemctl", "show", "ollama", "--property=Environment,LoadState")


@dataclass(frozen=True, slots=True)
class OllamaEnvironment:
    """What was found."""

    values: Mapping[str, str] = field(default_factory=dict)
    """By name; what is not set is not in it."""
    source: str = ""
    """Where it was found; empty where nothing can be seen of Ollama's environment."""
    how_to_set: str = ""
    """A command with `{name}` and `{value}` in it that sets one of them."""

    def number(self, name: str) -> int | None:
        """Return a whole number, or None where it is not set or none."""
        value = self.values.get(name, "").strip()
        return int(value) if value.isascii() and value.isdigit() else None

    @property
    def flash_attention(self) -> bool | None:
        """None where it is not said: then it depends on the model."""
        value = self.values.get(FLASH_ATTENTION, "").strip().lower()
        return value in ("1", "true", "t") if value else None

    @property
    def kv_cache(self) -> KvCacheType:
        """The type in force: without flash attention a quantised one is not used."""
        value = self.values.get(KV_CACHE_TYPE, "").strip().lower()
        is_known = value in list(KvCacheType) and self.flash_attention is True
        return KvCacheType(value) if is_known else KvCacheType.F16

    def runner(self) -> Runner:
        """Return how Ollama runs its models with these settings.

        Flash attention that is not said counts as off, as it is for qwen2 models (Ollama's
        `GGML.FlashAttention`); where nothing can be seen at all, it counts as on, as `init` asks.
        """
        parallel = self.number(NUM_PARALLEL) or 1
        has_flash = not self.source or self.flash_attention is True
        return Runner(self.kv_cache, has_flash, parallel)


NOTHING_SEEN: Final = OllamaEnvironment()


def read_environment(run: RunCommand, *, is_macos: bool, home: Path) -> OllamaEnvironment:
    """Look where Ollama's settings would be on this system."""
    if not is_macos:
        return parse_unit(run(_SHOW_UNIT) or "")
    found = {name: (run(("launchctl", "getenv", name)) or "").strip() for name in NAMES}
    values = {name: value for name, value in found.items() if value}
    brewed = _of_brew(home / BREW_PLIST)
    source = "launchctl" if brewed is None else "launchctl and brew services"
    return OllamaEnvironment(values | (brewed or {}), source, "launchctl setenv {name} {value}")


def parse_unit(text: str) -> OllamaEnvironment:
    """Return what `systemctl show` says of the unit; nothing where there is none."""
    lines = dict(line.partition("=")[::2] for line in text.splitlines())
    if lines.get("LoadState") != "loaded":
        return NOTHING_SEEN
    try:
        words = shlex.split(lines.get("Environment", ""))
    except ValueError:
        words = []
    pairs = (word.partition("=") for word in words)
    values = {name: value for name, _, value in pairs if name in NAMES and value}
    how = "sudo systemctl edit ollama   # [Service] Environment={name}={value}"
    return OllamaEnvironment(values, "systemd", how)


def _of_brew(path: Path) -> dict[str, str] | None:
    try:
        content = plistlib.loads(path.read_bytes())
    except (OSError, ValueError, ExpatError):
        return None
    variables = content.get("EnvironmentVariables") if isinstance(content, dict) else None
    known = variables if isinstance(variables, dict) else {}
    return {name: str(known[name]) for name in NAMES if known.get(name)}
