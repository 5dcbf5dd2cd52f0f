"""What is known to be wrong with the versions in requirements.lock, told by pip-audit.

    python -m tests.support.audit PIP-AUDIT'S FOLDER

Exits with 0 where every package was looked up and none has a known vulnerability, 1 where one has,
and 2 where any could not be looked up: pip-audit itself calls that a success.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LOCK: Final = Path(__file__).parents[2] / "requirements.lock"
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an audit came to."""

    code: int
    """Exit code."""
    text: str


def verdict(report: Mapping[str, Any] | None, said: str) -> Verdict:
    """Return what pip-audit's JSON report means.

    Args:
        report: `{"dependencies": [{"name", "version", "vulns"} or {"name", "skip_reason"}]}`, or
            None where there was none.
        said: What pip-audit wrote on stderr.
    """
    if report is None:
        return Verdict(2, f"NOT AUDITED. pip-audit gave no report; it said:\n{said.strip()}")
    packages: Sequence[Mapping[str, Any]] = report["dependencies"]
    lines = [
        f"{each['name']} {each['version']}: {found['id']}, mended in "
        + (", ".join(found["fix_versions"]) or "no version yet")
        for each in packages
        for found in each.get("vulns", ())
    ]
    if lines:
        return Verdict(1, "\n".join([*lines, f"{len(lines)} known vulnerabilities."]))
    skipped = [each for each in packages if "skip_reason" in each]
    if skipped:
        names = ", ".join(each["name"] for each in skipped[:_SHOWN])
        return Verdict(
            2,
            f"NOT AUDITED: {len(skipped)} of {len(packages)} packages could not be looked up "
            f"({names} …). The advisory database is PyPI's JSON interface, which mirrors of PyPI "
            "do not have. Run this where pypi.org can be reached, or name another database: "
            "make audit ARGS='--vulnerability-service osv'.",
        )
    return Verdict(0, f"{len(packages)} packages looked up, no known vulnerability.")


def audited(folder: Path, arguments: Sequence[str]) -> Verdict:
    """Run pip-audit, which is installed in `folder`, over the lock."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--require-hashes"]
    command += ["--disable-pip", "--progress-spinner", "off", "--format", "json", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        report = None
    return verdict(report, done.stderr)


if __name__ == "__main__":
    result = audited(Path(sys.argv[1]), sys.argv[2:])
    sys.stdout.write(f"{result.text}\n")
    sys.exit(result.code)
