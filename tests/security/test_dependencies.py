"""What the project is made of: no release known to be malicious, and a list of everything."""

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from packaging.version import Version

from tests.support.audit import LOCK, verdict
from tests.support.tools import AUDIT

ROOT = Path(__file__).parents[2]
STOLEN = ("1.82.7", "1.82.8")
"""Of litellm: uploaded by thieves in March 2026, to send credentials away (BerriAI/litellm#24512)."""
LEAST = {"litellm": "1.84", "python-jose": "3.5"}
"""Below these are known vulnerabilities (litellm's of 2026; CVE-2024-33663, 33664)."""
STARTERS = {"distutils-precedence.pth"}
"""Files whose code the interpreter runs at its start: setuptools' own."""


def locked():
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", LOCK.read_text(), re.MULTILINE))


def test_no_release_known_to_be_bad():
    """The lock, and whatever `pyproject.toml` allows, leave out what must never be installed."""
    versions = locked()

    assert versions["litellm"] not in STOLEN
    assert [] == [name for name, least in LEAST.items() if Version(versions[name]) < Version(least)]
    assert re.search(r'"litellm==[\d.]+"', (ROOT / "pyproject.toml").read_text()), "never float it"


def test_nothing_runs_at_every_start():
    """No package put a file where the interpreter runs it, as litellm 1.82.8 did."""
    folder = Path(sysconfig.get_paths()["purelib"])

    code = re.compile(r"^import[ \t]", re.MULTILINE)
    assert {file.name for file in folder.glob("*.pth") if code.search(file.read_text())} <= STARTERS


FINE = {"name": "a", "version": "1", "vulns": []}
HIT = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "code", "words"),
    [
        ([FINE], 0, "1 packages looked up, no known vulnerability"),
        ([FINE, HIT], 1, "b 2: CVE-1, mended in 3"),
        ([HIT, UNKNOWN], 1, "CVE-1"),
        ([FINE, UNKNOWN], 2, "NOT AUDITED: 1 of 2 packages could not be looked up (c"),
        (None, 2, "NOT AUDITED. pip-audit gave no report; it said:\nno route"),
    ],
)
def test_what_an_audit_came_to(packages, code, words):
    """What could not be looked up is a failure that says so, not a clean result."""
    report = None if packages is None else {"dependencies": packages}

    found = verdict(report, "no route\n")

    assert code == found.code
    assert words in found.text


@pytest.mark.needs("audit")
def test_the_bill_of_materials_is_whole(tmp_path):
    """`make sbom` lists every locked package with its version, its purl and its hashes."""
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(r"-m cyclonedx_py (requirements .*?--output-file)", makefile, re.DOTALL)
    arguments = recipe[1].replace("\\\n", " ").split()
    file = tmp_path / "sbom.json"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", *arguments, file, "--no-validate"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(AUDIT)},
        capture_output=True,
        check=True,
    )
    document = json.loads(file.read_text())

    listed = {each["name"]: each["version"] for each in document["components"]}
    assert locked() == listed
    assert "ccproxy" == document["metadata"]["component"]["name"]
    for each in document["components"]:
        assert each["purl"].startswith(f"pkg:pypi/{each['name']}@")
        assert each["externalReferences"][0]["hashes"]
