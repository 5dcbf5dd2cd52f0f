"""The environment variables that an Ollama of this machine was started with, as far as one can see.

Ollama does not tell its settings over HTTP. Where they come from:
- macOS: the property list that starts it, and behind that `launchctl getenv` (Ollama docs/faq.md).
  That of `brew services` is written anew at each start of that service; one of one's own, as
  docs/service.md has it, stays as it is;
- Linux: the systemd unit, `systemctl show ollama --property=Environment`.
"""

from __future__ import annotations

import plistlib
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.parsers.expat import ExpatError

from ccproxy.setup.arithmetic import KvCacheType, Runner

if TYPE_CHECKING:
    from collections.abc import Mapping

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
DAEMONS: Final = Path("/Library/LaunchDaemons")
AGENTS: Final = "Library/LaunchAgents"
"""In the home folder."""
OWN_PLIST: Final = "com.visiquate.ollama.plist"
"""As in docs/service.md; among the daemons, or among the agents."""
BREW_PLIST: Final = f"{AGENTS}/homebrew.mxcl.ollama.plist"
"""In the home folder."""
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
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
    by_brew: frozenset[str] = frozenset()
    """Names that `brew services` sets by itself, against which that command can do nothing."""
    own_plist: Path | None = None
    """The property list of one's own that starts it; whatever is set elsewhere, this counts."""
    is_seen: bool = True
    """False where nothing can be seen, which does not say that nothing is set."""

    def number(self, name: str) -> int | None:
        """Return a whole number, or None where it is not set or none."""
        value = self.values.get(name, "").strip()
        return int(value) if value.isascii() and value.isdigit() else None

    @property
    def flash_attention(self) -> bool | None:
        """None where it is not said: then it depends on the model."""
        return _go_bool(self.values.get(FLASH_ATTENTION, ""))

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
        has_flash = not self.is_seen or self.flash_attention is True
        return Runner(self.kv_cache, has_flash, parallel, self.is_seen)

    def to_set(self, name: str, value: object) -> str:
        """Return what a person does to give a variable another value."""
        if self.own_plist is not None:
            return (
                f"in {self.own_plist}, EnvironmentVariables: {name} = {value}; then load it again"
            )
        if name in self.by_brew:
            return (
                f"brew services stop ollama, which sets {name} itself at each start; then the app, "
                f"or a LaunchAgent of your own that runs `{name}={value} ollama serve`"
            )
        return f"{self.how_to_set.format(name=name, value=value)}, then restart Ollama"


NOTHING_SEEN: Final = OllamaEnvironment(is_seen=False)


def read_environment(
    run: RunCommand, *, is_macos: bool, home: Path, daemons: Path = DAEMONS
) -> OllamaEnvironment:
    """Look where Ollama's settings would be on this system."""
    if not is_macos:
        return parse_unit(run(_SHOW_UNIT) or "")
    found = {name: (run(("launchctl", "getenv", name)) or "").strip() for name in NAMES}
    values = {name: value for name, value in found.items() if value}
    # A daemon has nothing of what is set for a user's session.
    for path, inherited in ((daemons / OWN_PLIST, {}), (home / AGENTS / OWN_PLIST, values)):
        if (own := _variables_in(path)) is not None:
            return OllamaEnvironment(inherited | own, str(path), own_plist=path)
    brewed = _variables_in(home / BREW_PLIST)
    source = "launchctl" if brewed is None else "launchctl and brew services"
    return OllamaEnvironment(
        values | (brewed or {}),
        source,
        "launchctl setenv {name} {value}",
        frozenset(brewed or ()),
        # An Ollama of a terminal has that terminal's variables, which nobody else sees.
        is_seen=bool(values) or brewed is not None,
    )


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


def _go_bool(text: str) -> bool | None:
    """Return what Ollama makes of a switch; None where it is not set.

    Source: its envconfig, `BoolWithDefault`: Go's `strconv.ParseBool`, and true for anything else.
    """
    value = text.strip(" \t\n\r\"'")
    if not value:
        return None
    return value not in _FALSE


def _variables_in(path: Path) -> dict[str, str] | None:
    """Return what a property list sets; None where there is none."""
    try:
        content = plistlib.loads(path.read_bytes())
    except (OSError, ValueError, ExpatError):
        return None
    variables = content.get("EnvironmentVariables") if isinstance(content, dict) else None
    known = variables if isinstance(variables, dict) else {}
    return {name: str(known[name]) for name in NAMES if known.get(name)}
