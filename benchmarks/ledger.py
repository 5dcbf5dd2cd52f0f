"""What the ledger costs: a request on its way to it, a row in it, and a month's report out of it.

Run: `.venv/bin/python -m benchmarks.ledger [--rows N]`. On the request path, `Account.record` is
timed for each of 20,000 requests while the ledger's thread writes them. Then an SQLite file is
filled with N requests of the shipped roster's agents over 30 days: a tenth through the ledger's own
writer, which is timed, and each of these ten times over by SQL, sums included. `ccproxy usage --by
agent` for all of them is timed as a command in a process of its own. Prints one JSON object and
writes `benchmarks/results/ledger.json`.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from benchmarks.proxy_overhead import commit
from ccproxy.bench.machine import machine
from ccproxy.config.pricing_file import load_pricing
from ccproxy.config.roster import load_roster
from ccproxy.ledger.database import open_database
from ccproxy.ledger.opening import ledger_at
from ccproxy.ledger.tables import SUMS
from ccproxy.outcome import Ending, Outcome, Usage
from ccproxy.pipeline.account import Account, request_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccproxy.rows import RequestRow
    from routing.pricing import PriceList
    from routing.types import Roster

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "benchmarks/results/ledger.json"
DAYS: Final = 30
COPIES: Final = 10
BATCH: Final = 1000
REPORTS: Final = 7
ON_THE_PATH: Final = 20_000
PER_SECOND: Final = 2_000
"""Requests that end each second while the path is measured: what the proxy serves at most."""
MODELS: Final = ("claude-haiku-4-5", "claude-sonnet-5-5", "claude-opus-5-5")
LOCAL: Final = ("qwen-coder", "qwen-quality", "qwen-fast")


@dataclass(frozen=True)
class InForce:
    """Implements `account.InForce`."""

    prices: PriceList
    roster: Roster


def outcome_of(chance: Random, agents: list[str], at: float) -> Outcome:
    """Return a finished request: two of three local, one in fifty after a fallback."""
    outcome = Outcome(f"req_{chance.getrandbits(96):024x}", "messages", at)
    outcome.principal = f"team-{chance.randrange(4)}"
    outcome.agent, outcome.agent_source = chance.choice(agents), "prompt"
    outcome.requested_model = chance.choice(MODELS)
    outcome.request_class = "turn"
    outcome.status, outcome.stream, outcome.ending = 200, True, Ending.COMPLETED
    usage = Usage(chance.randrange(20, 4000), chance.randrange(10, 900))
    if chance.random() < 0.02:
        outcome.deployment, outcome.route = "qwen-coder", "local"
        outcome.attempt_begins().upstream_model = "qwen2.5-coder:32b"
        outcome.attempt_ended("overloaded")
    if chance.random() < 0.66:
        outcome.deployment, outcome.route = chance.choice(LOCAL), "local"
        outcome.attempt_begins().upstream_model = "qwen2.5-coder:32b"
    else:
        outcome.deployment, outcome.route = "claude-sonnet", "claude"
        outcome.attempt_begins().upstream_model = outcome.requested_model
        usage.response_model = outcome.requested_model
        usage.cache_read_input_tokens = chance.randrange(0, 60_000)
        usage.cache_creation_input_tokens = chance.randrange(0, 3000)
    outcome.attempt_ended("ok", usage)
    outcome.usage = usage
    outcome.ttft_s, outcome.total_s = chance.uniform(0.2, 4), chance.uniform(4, 40)
    return outcome


def month(rows: int, in_force: InForce) -> Iterator[list[RequestRow]]:
    """Yield batches of rows, evenly over the days before now."""
    chance, agents = Random(1), sorted(in_force.roster.agents)
    now = time.time()
    # Rows are made from some thousand outcomes: it is the writer that is waited for.
    models = [
        request_row(outcome_of(chance, agents, now), in_force.prices, "c") for _ in range(20_000)
    ]
    for start in range(0, rows, BATCH):
        yield [
            replace(
                models[chance.randrange(len(models))],
                request_id=f"req_{chance.getrandbits(96):024x}",
                at_ms=round((now - DAYS * 86_400 * (1 - number / rows)) * 1000),
            )
            for number in range(start, min(rows, start + BATCH))
        ]


def filled(path: Path, rows: int, in_force: InForce) -> float:
    """Fill a ledger; return microseconds of its writer per row."""
    database = open_database(f"sqlite:///{path}")
    spent_s = 0.0
    for number, batch in enumerate(month(rows, in_force)):
        started = time.perf_counter()
        database.write(batch)
        spent_s += time.perf_counter() - started
        if number % 500 == 0:
            sys.stderr.write(f"\r{number * BATCH:,} rows")
    database.close()
    sys.stderr.write("\n")
    return spent_s / rows * 1e6


def multiply(path: Path) -> None:
    """Make every request that is there stand `COPIES` times, some milliseconds apart."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in ("requests", "attempts"):
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = {name: name for name in names if name != "id"}
            values |= {"request_id": "request_id || copy", "at_ms": "at_ms + copy"}
            connection.execute(
                f"WITH RECURSIVE copies(copy) AS (SELECT 1 UNION ALL SELECT copy + 1 FROM copies "
                f"WHERE copy < {COPIES - 1}) INSERT INTO {table} ({', '.join(values)}) "
                f"SELECT {', '.join(values.values())} FROM {table}, copies"
            )
        for table in ("hourly", "daily"):
            times = ", ".join(f"{name} = {name} * {COPIES}" for name in SUMS)
            connection.execute(f"UPDATE {table} SET {times}")


def report_s(config: Path, *arguments: str) -> list[float]:
    """Return how long the command takes, each time in a process of its own."""
    times = []
    for _ in range(REPORTS):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "ccproxy", "usage", *arguments, "--config", str(config)],
            check=True,
            capture_output=True,
            cwd=ROOT,
        )
        times.append(time.perf_counter() - started)
    return times


def path_us(folder: Path, in_force: InForce) -> dict[str, float]:
    """Return what a request pays, in microseconds, while the thread writes what came before."""
    ledger = ledger_at(f"sqlite:///{folder / 'path.db'}")
    account = Account(ledger.put, lambda: in_force)
    chance, agents = Random(2), sorted(in_force.roster.agents)
    outcomes = [outcome_of(chance, agents, time.time()) for _ in range(ON_THE_PATH)]
    gc.collect()
    gc.freeze()
    ledger.start()
    time.sleep(2)
    times = []
    begun = time.perf_counter()
    for number, outcome in enumerate(outcomes):
        ahead_s = begun + number / PER_SECOND - time.perf_counter()
        if ahead_s > 0:
            time.sleep(ahead_s)
        started = time.perf_counter_ns()
        account.record(outcome)
        times.append((time.perf_counter_ns() - started) / 1000)
    ledger.close(10)
    gc.unfreeze()
    centiles = statistics.quantiles(times, n=100)
    return {"p50": round(centiles[49], 1), "p99": round(centiles[98], 1), "rows": ledger.written}


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    in_force = InForce(
        load_pricing(ROOT / "config/pricing.yaml"),
        load_roster(ROOT / "config/orchestra-config.json").roster,
    )
    where = machine()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        path = folder / "ccproxy.db"
        path_costs = path_us(folder, in_force)
        row_us = filled(path, options.rows // COPIES, in_force)
        multiply(path)
        config = folder / "ccproxy.yaml"
        config.write_text(
            json.dumps(
                {
                    "roster": str(ROOT / "config/orchestra-config.json"),
                    "routing": str(ROOT / "config/routing.yaml"),
                    "model_list": [{"model_name": "c", "litellm_params": {"model": "anthropic/*"}}],
                    "ledger": {"url": f"sqlite:///{path}"},
                }
            )
        )
        result: dict[str, Any] = {
            "commit": commit(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "machine": where,
            "rows": options.rows,
            "file_mib": round(path.stat().st_size / 2**20),
            "writer_us_per_row": round(row_us, 1),
            "request_path_us": path_costs,
            "usage_by_agent_s": round(statistics.median(report_s(config, "--by", "agent")), 3),
            "nothing_s": round(statistics.median(report_s(config, "--help")), 3),
        }
    text = json.dumps(result, indent=1)
    options.out.write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
