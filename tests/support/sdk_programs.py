"""The SDK programs of tests/clients, run against a base URL; each answers with one JSON object."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.programs import run_program
from tests.support.tools import ROOT, SDK0, node_program

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CLIENTS = ROOT / "tests" / "clients"
_TIMEOUT_S = 50.0


@dataclass(frozen=True, slots=True)
class SdkProgram:
    """One way of running one program of tests/clients."""

    name: str
    tools: tuple[str, ...]
    """What `needs` must say."""
    script: str
    client: str
    """How the program's own account of its SDK begins: the version that is meant to run."""
    python_path: Path | None = None
    """A folder with another version of the SDK, before the installed one."""

    def _interpreter(self) -> str | Path:
        if self.script.endswith(".py"):
            return sys.executable
        node = node_program()
        assert node is not None, "mark the test with needs('node')"
        return node

    async def run(self, base_url: str, api_key: str, model: str) -> Mapping[str, Any]:
        """Run the program's turns and return what it saw.

        Raises:
            AssertionError: It failed; the message has its stderr.
        """
        asked = json.dumps({"base_url": base_url, "api_key": api_key, "model": model})
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "NO_PROXY": "*"}
        if self.python_path is not None:
            environment["PYTHONPATH"] = str(self.python_path)
        ended = await run_program(
            [self._interpreter(), CLIENTS / self.script, asked],
            environment=environment,
            folder=CLIENTS,
            timeout_s=_TIMEOUT_S,
        )
        assert ended.exit_code == 0, f"{self.name}: {ended.stderr[-3000:]}"
        answer: Mapping[str, Any] = json.loads(ended.stdout)
        return answer


SDK_PROGRAMS = (
    SdkProgram("anthropic", (), "sdk_turns.py", "anthropic 2."),
    SdkProgram("anthropic-0", ("sdk0",), "sdk_turns.py", "anthropic 0.125.0", SDK0),
    SdkProgram("typescript", ("node",), "sdk_turns.mjs", "@anthropic-ai/sdk 1.11.0"),
)
