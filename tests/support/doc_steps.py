"""Pages of `docs/` that show commands with their outputs: the commands are run.

A step is a block of `sh` that a block of `text` follows.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Final

from tests.support.tools import ROOT

if TYPE_CHECKING:
    from pathlib import Path

_STEP: Final = re.compile(r"```sh\n((?:(?!```).)*)```\n```text\n(.*?)```", re.DOTALL)


def steps_of(page: str) -> list[tuple[str, str]]:
    """Return the commands of a page, e.g. `explain.md`, each with what is shown below it."""
    return _STEP.findall((ROOT / "docs" / page).read_text())


def run_step(command: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in an empty home, with a key for Claude; gives up after 50 s."""
    environment = {
        "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "ANTHROPIC_API_KEY": "a-key",
    }
    return subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
