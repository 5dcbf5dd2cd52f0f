"""Fifty agents in trouble for twenty minutes: what `make soak` runs.

Run: `python -m benchmarks.soak [--minutes N] [--agents N] [--seed N] [--faults-per-s X]`. A proxy
in a process of its own, in front of a simulated Ollama and Claude of which something fails every
second; tests/support/soak says what is checked. Exits 1 where anything was not as it must be.

The whole of the twenty minutes writes `results/soak.json` and the figures in docs/reliability.md;
a shorter run only prints, unless `--out` names a file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.contenders import REPOSITORY
from benchmarks.proxy_overhead import commit
from tests.support.soak.soak import Plan, run_soak

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.support.soak.soak import Report

MINUTES: Final = 20.0
RECOVERY_S: Final = 120.0
"""After the last fault: breakers may be open for a minute, backends down for half of one."""
RESULT: Final = Path(__file__).parent / "results/soak.json"
DOCUMENT: Final = REPOSITORY / "docs/reliability.md"
BEGIN_MARK: Final = "<!-- begin: written by `make soak` -->"
END_MARK: Final = "<!-- end: written by `make soak` -->"


def result_of(report: Report) -> dict[str, Any]:
    """Return everything worth keeping, JSON-ready."""
    plan = report.plan
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "cpus": os.cpu_count(),
        "minutes": round(plan.duration_s / 60, 2),
        "agents": plan.agents,
        "seed": plan.seed,
        "faults_per_s": plan.faults_per_s,
        "problems": report.problems,
        **report.figures,
    }


def table(result: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    kinds = result["kinds"]
    errors = sum(count for kind, count in kinds.items() if kind.startswith("error "))
    faults = result["faults"]
    rows = [
        ("requests, each with exactly one outcome", f"{result['requests']:,}"),
        ("faults ordered, of so many kinds", f"{sum(faults.values()):,}, {len(faults)}"),
        ("answered, right to the letter", f"{kinds['answered']:,}"),
        ("of these by another deployment than the first", f"{result['served_by_fallback']:,}"),
        ("clients that left", f"{kinds['left']:,}"),
        ("told of a failure: a status, or an error event", f"{errors:,}"),
        ("cut off where no error event fits", f"{kinds.get('cut', 0):,}"),
        ("wrong, hung or lost", f"{len(result['problems'])}"),
        ("the longest, with a deadline of 4 s", f"{result['longest_s']:.2f} s"),
        ("p50, p99", f"{result['p50_s']:.2f} s, {result['p99_s']:.2f} s"),
        (
            "`local_only` requests answered here, sent elsewhere",
            f"{result['local_only_at_home']:,}, {result['local_only_elsewhere']}",
        ),
        ("tasks before, after", _pair(result["tasks"])),
        ("descriptors before, after", _pair(result["descriptors"])),
        (
            "resident memory after a quarter of the time, at the end",
            _pair(result["rss_mib"], "MiB"),
        ),
        ("everything serves again after the last fault within", f"{result['recovered_after_s']} s"),
    ]
    return "\n".join(["| figure | measured |", "|---|---:|", *(f"| {a} | {b} |" for a, b in rows)])


def _pair(values: Sequence[float], unit: str = "") -> str:
    return ", ".join(f"{value:,} {unit}".strip() for value in values)


def update_document(result: Mapping[str, Any]) -> None:
    """Replace what stands between the two marks."""
    before, begin, rest = DOCUMENT.read_text().partition(BEGIN_MARK)
    _, end, after = rest.partition(END_MARK)
    if begin and end:
        head = (
            f"Commit {result['commit']}, {result['at']}: {result['minutes']:g} minutes, "
            f"{result['agents']} agents, {result['faults_per_s']:g} fault a second, "
            f"seed {result['seed']}."
        )
        DOCUMENT.write_text(f"{before}{begin}\n\n{head}\n\n{table(result)}\n\n{end}{after}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults-per-s", type=float, default=1.0)
    parser.add_argument("--out", type=Path, help="where to write the results")
    options = parser.parse_args(arguments)
    # The simulators' sockets are reset on purpose; asyncio warns of each write after it.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    plan = Plan(
        duration_s=options.minutes * 60,
        agents=options.agents,
        seed=options.seed,
        faults_per_s=options.faults_per_s,
        recovery_s=RECOVERY_S,
    )
    report = asyncio.run(run_soak(plan))
    result = result_of(report)
    is_whole = options.minutes >= MINUTES and not report.problems
    out = options.out or (RESULT if is_whole else None)
    if out is not None:
        out.write_text(json.dumps(result, indent=1) + "\n")
    if is_whole and options.out is None:
        update_document(result)
    print(table(result))
    if report.problems:
        print("\n".join(["", "Not as it must be:", *report.problems]), file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
