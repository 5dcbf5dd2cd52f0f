"""Claude Code itself, run headless against a base URL.

Source: behaviour of `@anthropic-ai/claude-code` 2.1.329. It needs no login and no network besides
the base URL. `IS_SANDBOX=1` lets it run as root; `CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1`
keeps its telemetry, update check and start-up ping at home.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.programs import run_program
from tests.support.tools import claude_code_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ClaudeCodeRun:
    """What one run of Claude Code did."""

    exit_code: int
    events: Sequence[JsonObject]
    """The stream-json events in order, e.g. `{"type": "assistant", "message": {...}}`."""
    stderr: str

    @property
    def result(self) -> JsonObject:
        """The closing event: `{"type": "result", "is_error": bool, "result": str, ...}`.

        Raises:
            AssertionError: The run ended without one.
        """
        assert self.events, f"no events; stderr: {self.stderr[-2000:]}"
        assert self.events[-1].get("type") == "result", f"no result: {self.events[-1]}"
        return self.events[-1]

    def blocks(self, speaker: str, kind: str) -> list[JsonObject]:
        """Return content blocks of one type, of `assistant` or `user` messages, in order."""
        return [block for block in self._blocks(speaker) if block.get("type") == kind]

    def _blocks(self, speaker: str) -> Iterator[JsonObject]:
        for event in self.events:
            if event.get("type") == speaker:
                content = event["message"]["content"]
                yield from content if isinstance(content, list) else ()


async def run_claude_code(
    prompt: str,
    *,
    base_url: str,
    token: str,
    folder: Path,
    model: str | None = None,
    agent_files: Sequence[Path] = (),
    extra_arguments: Sequence[str] = (),
    extra_environment: Mapping[str, str] | None = None,
    timeout_s: float = 50.0,
) -> ClaudeCodeRun:
    """Give Claude Code one prompt and return what it did.

    Args:
        prompt: What the user types.
        base_url: Of the proxy; a path prefix such as `/agents/NAME` is kept.
        token: Sent as `Authorization: Bearer`.
        folder: An empty folder; home and working directory are made below it.
        model: Sent verbatim; None leaves the choice to Claude Code.
        agent_files: Copied to `.claude/agents/` in the working directory.
        extra_arguments: Further command-line arguments.
        extra_environment: Further variables.
        timeout_s: Seconds until the run is killed and fails.

    Raises:
        AssertionError: It did not end in time, or printed something that is no event.
    """
    environment = client_environment(folder / "home", base_url, token, model)
    work = working_folder(folder, agent_files)
    ended = await run_program(
        [
            installed_program(),
            "-p",
            prompt,
            "--output-format",
            "stream-json",
            "--verbose",
            *extra_arguments,
        ],
        environment={**environment, **(extra_environment or {})},
        folder=work,
        timeout_s=timeout_s,
    )
    events = [event_of(line) for line in filter(None, ended.stdout.splitlines())]
    return ClaudeCodeRun(ended.exit_code, events, ended.stderr)


def installed_program() -> Path:
    """Return the native program.

    Raises:
        AssertionError: It is missing, and the test does not say that it needs it.
    """
    program = claude_code_program()
    assert program is not None, "mark the test with needs('claude-code')"
    return program


def working_folder(folder: Path, agent_files: Sequence[Path] = ()) -> Path:
    """Make `home` and `work` below an empty folder, give `work` its agents, and return it."""
    work = folder / "work"
    (folder / "home").mkdir(parents=True)
    work.mkdir()
    for file in agent_files:
        agents = work / ".claude/agents"
        agents.mkdir(parents=True, exist_ok=True)
        (agents / file.name).write_bytes(file.read_bytes())
    return work


def client_environment(home: Path, base_url: str, token: str, model: str | None) -> dict[str, str]:
    """Return the variables of a run that reaches nothing but the base URL."""
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "IS_SANDBOX": "1",
        "ANTHROPIC_BASE_URL": base_url,
        "ANTHROPIC_AUTH_TOKEN": token,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "1",
        "NO_PROXY": "*",
    }
    return environment if model is None else {**environment, "ANTHROPIC_MODEL": model}


def event_of(line: str) -> JsonObject:
    """Return the stream-json event on a line.

    Raises:
        AssertionError: There is none.
    """
    try:
        event = json.loads(line)
    except ValueError:
        raise AssertionError(f"Claude Code printed no event: {line[:500]}") from None
    assert isinstance(event, dict), line[:500]
    return event
