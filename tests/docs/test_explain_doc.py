"""docs/explain.md: every command with an output is run, and prints what the page shows."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STEP = re.compile(r"```sh\n((?:(?!```).)*)```\n```text\n(.*?)```", re.DOTALL)
STEPS = STEP.findall((ROOT / "docs/explain.md").read_text())
VERSION = re.compile(r"version [0-9a-f]{6,12}…?")


def words(text: str) -> list[list[str]]:
    """Return lines of words, without what differs between machines and edits of the table."""
    text = text.replace(str(ROOT), "…")
    return [VERSION.sub("version …", line).split() for line in text.strip().splitlines()]


@pytest.mark.parametrize(("command", "shown"), STEPS, ids=range(len(STEPS)))
def test_a_command_prints_what_the_page_shows(tmp_path, command, shown):
    """In an empty home, with a key for Claude; warnings are left out."""
    environment = {
        "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "ANTHROPIC_API_KEY": "a-key",
    }

    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip

    printed = words(done.stdout) + words(done.stderr)
    assert words(shown) == [line for line in printed if line[:1] != ["warning:"]]


def test_the_page_has_its_examples():
    """The blocks are found, so that the test above is not empty."""
    assert len(STEPS) == 6
