"""What the ledger costs: a request on its way to it, a row in it, and a month's report out of it.

Run: `.venv/bin/python -m benchmarks.ledger [--rows N] [--keep FOLDER]`.

1. On the request path: requests end at `PER_SECOND`, each at its moment, as the event loop of a
   busy proxy ends them; `Account.record`, which makes the row and puts it into the queue, is timed
   while the ledger's thread writes what came before; so is the `put` alone, which is what the
   ledger adds: budgets and metrics need the row as well. How late the next moment came is timed
   too, with the ledger and without: it is what that thread costs the loop, which shares an
   interpreter.
2. The writer: the thread's time for a row, in batches as large as this pace makes them.
3. The report: an SQLite file with N requests of the shipped roster's agents over 30 days, a tenth
   through the ledger's own writer and each of these ten times over by SQL, sums included. `ccproxy
   usage --by agent` for all of them is timed as a command in a process of its own, beside `ccproxy
   --version`, which is the start of a command and no more.

With `--keep` the file of part 3 stays in a folder, and the next run takes it from there. Prints one
JSON object and writes `benchmarks/results/ledger.json`.
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
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from benchmarks.proxy_overhead import commit
from ccproxy.bench.machine import machine
from ccproxy.config.pricing_file import load_pricing
from ccproxy.config.roster import load_roster
from ccproxy.ledger.database import open_database
from ccproxy.ledger.ledger import BATCH_S
from ccproxy.ledger.opening import ledger_at
from ccproxy.ledger.schema import SUMS
from ccproxy.outcome import Ending, Outcome, Usage
from ccproxy.pipeline.account import Account, request_row
from routing.counterfactual import Comparison
from routing.prompt_cache import CacheSplit, CacheUse

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
PER_SECOND: Final = 1_000
"""Requests that end each second while the path is measured; docs/performance.md has what the proxy
serves at most."""
WRITTEN: Final = 50_000
MODELS: Final = ("claude-haiku-4-5", "claude-sonnet-5-5", "claude-opus-5-5")
LOCAL: Final = ("qwen-coder", "qwen-quality", "qwen-fast")
COMPARISON: Final = Comparison(
    "claude-sonnet-5-5",
    CacheUse(
        2000, 0, CacheSplit(1800, 1800, 2000), CacheSplit(900, 900, 2000), CacheSplit(0, 0, 2000)
    ),
)
"""A local answer is compared with Claude's, prompt cache and all, while it is accounted for."""


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
    if outcome.route == "local":
        outcome.comparison = COMPARISON
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


def fill(path: Path, rows: int, in_force: InForce) -> None:
    """Make a ledger of so many requests."""
    database = open_database(f"sqlite:///{path}")
    for number, batch in enumerate(month(rows // COPIES, in_force)):
        database.write(batch)
        if number % 100 == 0:
            sys.stderr.write(f"\r{number * BATCH:,} rows")
    database.close()
    sys.stderr.write(", and each of them ten times over\n")
    multiply(path)


def writer_us(folder: Path, in_force: InForce) -> dict[str, float]:
    """Return what a row takes of the ledger's thread, in microseconds: of a clock, and of CPU."""
    database = open_database(f"sqlite:///{folder / 'writer.db'}")
    size = round(PER_SECOND * BATCH_S)
    rows = [row for batch in month(WRITTEN, in_force) for row in batch]
    took_s, cpu_s = time.perf_counter(), time.thread_time()
    for start in range(0, WRITTEN, size):
        database.write(rows[start : start + size])
    took_s, cpu_s = time.perf_counter() - took_s, time.thread_time() - cpu_s
    database.close()
    return {"wall": round(took_s / WRITTEN * 1e6, 1), "cpu": round(cpu_s / WRITTEN * 1e6, 1)}


def multiply(path: Path) -> None:
    """Make every request that is there stand `COPIES` times, some milliseconds apart."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-1000000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL "
            "AND tbl_name IN ('requests', 'attempts')"
        ).fetchall()
        for name, _ in indexes:  # made at once at the end: in a tenth of the time
            connection.execute(f"DROP INDEX {name}")
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
        for _, sql in indexes:
            connection.execute(sql)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode=WAL")


def command_s(*arguments: str) -> float:
    """Return how long a command takes, in a process of its own; the median of several."""
    times = []
    for _ in range(REPORTS):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "ccproxy", *arguments],
            check=True,
            capture_output=True,
            cwd=ROOT,
        )
        times.append(time.perf_counter() - started)
    return round(statistics.median(times), 3)


def path_us(folder: Path, in_force: InForce, *, writes: bool) -> dict[str, Any]:
    """Return what a request pays, in microseconds; see part 1 above.

    Without `writes`, rows are made and thrown away.
    """
    ledger = ledger_at(f"sqlite:///{folder / 'path.db'}", open_after_s=0)
    put_us: list[float] = []

    def put(row: RequestRow) -> None:
        put_at = time.perf_counter()
        ledger.put(row)
        put_us.append((time.perf_counter() - put_at) * 1e6)

    account = Account(put if writes else lambda _: None, lambda: in_force)
    chance, agents = Random(2), sorted(in_force.roster.agents)
    outcomes = [outcome_of(chance, agents, time.time()) for _ in range(ON_THE_PATH)]
    gc.collect()
    gc.freeze()
    ledger.start()
    time.sleep(2)
    took_us: list[float] = []
    late_us: list[float] = []
    begun_at = time.perf_counter() + 0.01
    for number, outcome in enumerate(outcomes):
        due_at = begun_at + number / PER_SECOND
        ahead_s = due_at - time.perf_counter()
        if ahead_s > 0:
            time.sleep(ahead_s)
        started_at = time.perf_counter()
        account.record(outcome)
        took_us.append((time.perf_counter() - started_at) * 1e6)
        late_us.append((started_at - due_at) * 1e6)
    ledger.close(10)
    gc.unfreeze()
    return {
        "record": percentiles(took_us),
        "put": percentiles(put_us) if writes else None,
        "loop_late": percentiles(late_us),
        "written": ledger.written,
    }


def percentiles(values_us: list[float]) -> dict[str, float]:
    """Return the median, and the 99th and 99.9th percentiles."""
    cuts = statistics.quantiles(values_us, n=1000)
    return {name: round(cuts[at], 1) for name, at in (("p50", 499), ("p99", 989), ("p99.9", 998))}


def write_config(path: Path, database: Path) -> None:
    """Write a config file that names a ledger."""
    model = {"model_name": "claude", "litellm_params": {"model": "anthropic/*"}}
    config = {
        "roster": str(ROOT / "config/orchestra-config.json"),
        "routing": str(ROOT / "config/routing.yaml"),
        "model_list": [model],
        "ledger": {"url": f"sqlite:///{database}"},
    }
    path.write_text(json.dumps(config))


def report_of(folder: Path, rows: int, in_force: InForce) -> dict[str, Any]:
    """Return how long a month's report takes, from the file in a folder, or a new one there."""
    path, config = folder / f"ledger-{rows}.db", folder / "ccproxy.yaml"
    if not path.exists():
        unfinished = path.with_suffix(".part")
        fill(unfinished, rows, in_force)
        unfinished.rename(path)
        # The days go on while the file is kept; the report is about those it has.
        path.with_suffix(".day").write_text(time.strftime("%Y-%m-%d"))
    until = path.with_suffix(".day").read_text()
    since = (date.fromisoformat(until) - timedelta(days=DAYS)).isoformat()
    write_config(config, path)
    asked = ("usage", "--by", "agent", "--since", since, "--until", until, "--config", str(config))
    with closing(sqlite3.connect(path)) as connection:
        found, rows_of_sums = (
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("requests", "daily")
        )
    return {
        "rows": found,
        "sums_by_day": rows_of_sums,
        "file_mib": round(path.stat().st_size / 2**20),
        "usage_by_agent_s": command_s(*asked),
        "version_s": command_s("--version"),
    }


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--keep", type=Path, help="where the large file stays for the next run")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    in_force = InForce(
        load_pricing(ROOT / "config/pricing.yaml"),
        load_roster(ROOT / "config/orchestra-config.json").roster,
    )
    result: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "machine": machine(),
        "requests_per_s": PER_SECOND,
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        result["path_without_ledger_us"] = path_us(folder, in_force, writes=False)
        result["path_us"] = path_us(folder, in_force, writes=True)
        result["writer_us_per_row"] = writer_us(folder, in_force)
        if options.keep is not None:
            options.keep.mkdir(parents=True, exist_ok=True)
        result["report"] = report_of(options.keep or folder, options.rows, in_force)
    text = json.dumps(result, indent=1)
    options.out.write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
