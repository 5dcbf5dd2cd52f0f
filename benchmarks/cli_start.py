"""What the command line costs before it does anything: help, version, the Tab key, a small answer.

Run: `.venv/bin/python -m benchmarks.cli_start [--rounds N] [--out FILE]`. Each round starts every
command once, in turn, so that what the machine does meanwhile is done to all of them; the first
round, from a cold disk, is left out. Prints one JSON object. `cpu_ms` is user and system time of
the process (`wait4`), `wall_ms` start to end; the aim is for `ccproxy --help` (issue 7).
`python` is the interpreter that does nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

CCPROXY = str(Path(sys.executable).with_name("ccproxy"))
CONFIG = Path(__file__).parents[1] / "config/ccproxy.yaml"
AIM_WALL_MS = 300
TAB = {"_CCPROXY_COMPLETE": "complete_zsh"}
COMMANDS: dict[str, tuple[list[str], dict[str, str]]] = {
    "python": ([sys.executable, "-c", "pass"], {}),
    "--help": ([CCPROXY, "--help"], {}),
    "routes check --help": ([CCPROXY, "routes", "check", "--help"], {}),
    "--version": ([CCPROXY, "--version"], {}),
    "wrong usage": ([CCPROXY, "rout"], {}),
    "Tab: a command": ([CCPROXY], TAB | {"_TYPER_COMPLETE_ARGS": "ccproxy ro"}),
    "Tab: an agent": ([CCPROXY], TAB | {"_TYPER_COMPLETE_ARGS": "ccproxy explain --agent de"}),
    "agents list": ([CCPROXY, "agents", "list", "--json"], {}),
}


def measure(rounds: int) -> dict[str, dict[str, float]]:
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):
        for name, (command, more) in COMMANDS.items():
            sample = one(command, more)
            if number:
                samples[name].append(sample)
    return {name: summary(each) for name, each in samples.items()}


def one(command: list[str], more: dict[str, str]) -> tuple[float, float]:
    environ = os.environ | {"CCPROXY_CONFIG": str(CONFIG)} | more
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, _, usage = os.wait4(process.pid, 0)
    return (usage.ru_utime + usage.ru_stime) * 1000, (time.perf_counter() - began) * 1000


def summary(samples: list[tuple[float, float]]) -> dict[str, float]:
    cpu, wall = ([each[index] for each in samples] for index in (0, 1))
    return {
        "cpu_ms": round(statistics.median(cpu), 1),
        "wall_ms": round(statistics.median(wall), 1),
        "wall_ms_most": round(max(wall), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    machine = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load_1m": round(os.getloadavg()[0], 2),
    }
    document = {
        "machine": machine,
        "rounds": asked.rounds,
        "aim_wall_ms": AIM_WALL_MS,
        "commands": measure(asked.rounds),
    }
    text = json.dumps(document, indent=1)
    print(text)
    if asked.out is not None:
        asked.out.write_text(f"{text}\n")


if __name__ == "__main__":
    main()
