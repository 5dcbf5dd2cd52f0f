"""docs/benchmarks.md: every command with an output is run, and prints what the page shows."""

import re

import pytest

from ccproxy.bench.profiles import shipped_profiles
from tests.support.doc_steps import run_step, steps_of
from tests.support.tools import ROOT

PAGE = (ROOT / "docs/benchmarks.md").read_text()
STEPS = steps_of("benchmarks.md")
MEASURED = re.compile(r"\$?[\d.,]+\d\b|\b\d+\b")


def words(text: str, *, measured: bool) -> list[list[str]]:
    """Return lines of words; where it was measured, without the figures."""
    lines = [MEASURED.sub("…", line) if measured else line for line in text.splitlines()]
    return [line.split() for line in lines if line.strip()]


@pytest.mark.parametrize(("command", "shown"), STEPS, ids=range(len(STEPS)))
def test_a_command_prints_what_the_page_shows(tmp_path, command, shown):
    """In an empty home, with a key for Claude; what a run measures is another each time."""
    done = run_step(command, tmp_path)
    printed = (done.stdout + done.stderr).replace(str(tmp_path), "~")
    measured = "--simulate" in command

    assert done.returncode == 0, printed
    assert sorted(words(shown, measured=measured)) == sorted(words(printed, measured=measured))


def test_the_page_has_its_examples():
    """The blocks are found, so that the test above is not empty."""
    assert len(STEPS) == 4


def test_the_page_tells_of_every_profile():
    """With its tokens, and the shares of the mixed workload in their order."""
    profiles = shipped_profiles()
    rows = re.findall(r"^\| `([\w-]+)` \| ([\d,]+) \| ([\d,]+) \|", PAGE, re.MULTILINE)

    assert [
        (p.name, f"{p.input_tokens:,}", f"{p.output_tokens:,}") for p in profiles.profiles.values()
    ] == rows
    shares = ", ".join(str(profiles.workloads["mixed"][name]) for name, _, _ in rows)
    assert f"in the shares {shares}" in PAGE
