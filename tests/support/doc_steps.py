"""Pages of `docs/` that show commands with their outputs: the commands are run.

A step is a block of `sh` that a block of `text` follows.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from tests.support.tools import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CHECKOUT: Final = "ccproxy"
"""Its folder in the home folder, as docs/install.md has it."""
_STEP: Final = re.compile(r"```sh\n((?:(?!```).)*)```\n```text\n(.*?)```", re.DOTALL)


def steps_of(page: str) -> list[tuple[str, str]]:
    """Return the commands of a page, e.g. `explain.md`, each with what is shown below it."""
    return _STEP.findall((ROOT / "docs" / page).read_text())


def new_checkout(home: Path) -> Path:
    """Return a checkout with settings and state of its own; all else is that of the tests."""
    folder = home / CHECKOUT
    shutil.copytree(ROOT / "config", folder / "config", dirs_exist_ok=True)
    for each in ROOT.iterdir():
        if each.name != ".ccproxy" and not (folder / each.name).exists():
            (folder / each.name).symlink_to(each)
    return folder


def run_step(command: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a checkout in an empty home, with a key for Claude; gives up after 50 s."""
    environment = {
        "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "ANTHROPIC_API_KEY": "a-key",
    }
    return subprocess.run(
        ["bash", "-c", command],
        cwd=new_checkout(home),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
