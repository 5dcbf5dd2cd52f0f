"""The tree as a whole: what lies at the top, and what must not stand in any file."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ccproxy.outcome import Ending
from routing.failures import FailureClass
from routing.types import AgentSource, Privacy, Side, Tier
from tests.support.tools import ROOT

TOP_LEVEL = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "benchmarks",
    "ccproxy",
    "config",
    "docs",
    "hatch_build.py",  # where hatchling looks for it
    "launchd",
    "pyproject.toml",
    "requirements.lock",
    "routing",
    "tests",
}
MADE_UP_USERS = "ops|you|me|NAME|USER"
MACHINE_PATH = re.compile(
    rf"(?<![\w.:/-])/(?:work|root|(?:home|Users)/(?!(?:{MADE_UP_USERS})\b)\w+)/"
)
REGISTRY = re.compile(
    r"files\.pythonhosted\.org|registry\.npmjs\.org|registry\.yarnpkg\.com|deb\.debian\.org"
    r"|--(?:extra-)?index-url|--find-links|--trusted-host"
)
LAST_CONFORMANCE_ITEM = 298


def tracked_files():
    answer = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in answer.stdout.split("\0") if name]


@pytest.fixture(scope="module")
def texts():
    """Every tracked text file that exists, with its content."""
    found = {}
    for file in tracked_files():
        try:
            found[file.relative_to(ROOT)] = file.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
    return found


def test_the_top_level_is_the_agreed_one():
    """A new room at the top is a decision, not an accident; dotfiles are free."""
    present = {file.relative_to(ROOT).parts[0] for file in tracked_files()}

    assert {name for name in present if not name.startswith(".")} == TOP_LEVEL


@pytest.mark.parametrize(
    ("pattern", "what"),
    [(MACHINE_PATH, "a path of one machine"), (REGISTRY, "a package registry's address")],
    ids=["paths", "registries"],
)
def test_no_file_ties_the_project_to_one_place(pattern, what, texts):
    """Nothing tracked names a developer's folder or the registry packages came from."""
    ties = [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in texts.items()
        if name.name != "test_tree.py"
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]

    assert [] == ties, what


def test_cited_conformance_items_exist(texts):
    """A test that claims a conformance item names one that there is."""
    cited = {
        (str(name), int(number))
        for name, text in texts.items()
        if name.parts[0] == "tests" and name.suffix == ".py"
        for citation in re.findall(r"\(conformance ([\d, and-]+)\)", text)
        for number in re.findall(r"\d+", citation)
    }

    assert set() == {
        (name, number) for name, number in cited if not 1 <= number <= LAST_CONFORMANCE_ITEM
    }
    assert cited, "no test cites a conformance item any more: has the form of citation changed?"


def test_every_dependency_is_locked_with_hashes():
    """requirements.lock pins every package to one version and at least one hash."""
    entries = re.split(r"\n(?=[a-zA-Z0-9])", (ROOT / "requirements.lock").read_text())

    assert len(entries) > 50
    assert [] == [
        entry.splitlines()[0]
        for entry in entries
        if "--hash=sha256:" not in entry or not re.match(r"[A-Za-z0-9._-]+==\S+", entry)
    ]


def test_the_lock_belongs_to_pyproject():
    """Every dependency of pyproject.toml is locked to a version that satisfies it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        Requirement(line)
        for group in [project["dependencies"], *project["optional-dependencies"].values()]
        for line in group
    ]
    locked = dict(
        re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    )

    assert [] == [
        str(requirement)
        for requirement in wanted
        if locked.get(canonicalize_name(requirement.name)) not in requirement.specifier
    ], "run `make lock`"


@pytest.mark.parametrize("words", [AgentSource, Ending, FailureClass, Privacy, Side, Tier])
def test_the_glossary_has_every_word_that_is_shown(words, texts):
    """What a header, the log or a metric may say is explained in docs/glossary.md."""
    explained = set(re.findall(r"`(\w+)`", texts[Path("docs/glossary.md")]))

    assert set() == {str(word) for word in words} - explained
