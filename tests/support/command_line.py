"""The command line in this process, and a folder with a small configuration for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ccproxy.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
server: {host: 127.0.0.1, port: 8081}
auth: {mode: required, tokens_file: state/tokens.json}
roster: roster.json
model_list:
  - model_name: coder
    litellm_params: {model: ollama_chat/qwen2.5-coder:32b-instruct, num_ctx: 8192,
      api_base: "http://127.0.0.1:9"}
  - model_name: writer
    litellm_params: {model: ollama_chat/qwen2.5:32b-instruct, num_ctx: 8192,
      api_base: "http://127.0.0.1:9"}
  - model_name: cloud
    litellm_params: {model: anthropic/*, api_key: sk-test}
    model_info: {base_model: claude-sonnet-5-5}
"""
ROUTING = """\
version: 1
active_profile: day
profiles:
  day:
    rules:
      - {name: long, when: {min_input_tokens: 500}, route: [cloud]}
    tiers:
      opus: {route: [cloud]}
      sonnet: {route: [coder, cloud]}
      haiku: {route: [coder]}
    agents:
      # It stays here.
      security-auditor: {route: [cloud, writer], privacy: local_only}
    default: {route: [coder]}
  night:
    extends: day
    tiers:
      sonnet: {route: [coder], deadline_s: 600}
"""
ROSTER = {
    "architect": {"name": "Chief Architect", "model": "opus"},
    "codingAgents": [
        {"name": "Python Pro", "model": "haiku"},
        {"name": "Debugger", "model": "sonnet-4.5"},
    ],
    "securityAgents": [{"name": "Security Auditor", "model": "sonnet"}],
}


@dataclass(frozen=True)
class Result:
    """What a run of the command left."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return stdout as JSON."""
        return json.loads(self.out)

    def lines(self) -> list[list[str]]:
        """Return stdout as lines of words."""
        return [line.split() for line in self.out.splitlines()]


@dataclass(frozen=True)
class CommandLine:
    """A configuration, and the command that finds it."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def routing(self) -> Path:
        """The routing file."""
        return self.folder / "routing.yaml"

    def __call__(self, *arguments: str) -> Result:
        """Run `ccproxy` in this process, through its entry point."""
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        captured = self.capsys.readouterr()
        return Result(int(caught.value.code or 0), captured.out, captured.err)


def command_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """Write the configuration to `folder`, and make it the one that is found."""
    (folder / "ccproxy.yaml").write_text(CONFIG)
    (folder / "routing.yaml").write_text(ROUTING)
    (folder / "roster.json").write_text(json.dumps(ROSTER))
    monkeypatch.setenv("CCPROXY_CONFIG", str(folder / "ccproxy.yaml"))
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    return CommandLine(folder, capsys)
