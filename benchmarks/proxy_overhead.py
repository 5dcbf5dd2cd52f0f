"""What ccproxy costs: direct, nginx, ccproxy and LiteLLM alone, side by side in one run.

One upstream process that costs almost nothing (`fast_upstream`) answers everybody. Client and
upstream share one core, whatever is measured has the other. Every round measures all contenders,
beginning with another one each time; the figures are medians over rounds. "Added" is the
difference to going direct in the same round.

Run: `python -m benchmarks` (about 5 minutes), or `--rounds 1 --scale 0.1` for a first look.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from benchmarks.aims import table
from benchmarks.contenders import (
    CLAUDE_MODEL,
    PACED,
    QUICK,
    REPOSITORY,
    Contender,
    claude_side,
    make_home,
    running_bare_litellm,
    running_ccproxy,
    running_upstream,
    start_to_first_answer_s,
)
from benchmarks.measure import (
    EVENT_EVERY_US,
    Counts,
    claude_requests,
    claude_round,
    litellm_round,
    local_round,
    open_streams,
)
from benchmarks.processes import CAN_PIN, undisturbed
from benchmarks.raw_client import Connection, request_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Figures = dict[str, float]
    Rounds = dict[str, list[Figures]]

T = TypeVar("T")

RESULTS: Final = Path(__file__).parent / "results"
BEGIN_MARK: Final = "<!-- begin: written by `make bench` -->"
END_MARK: Final = "<!-- end -->"

ADDED: Final = ("json_p50_ms", "json_p99_ms", "ttft_p50_ms", "large_p50_ms")
DISTRIBUTIONS: Final = (
    "aiohttp",
    "fastapi",
    "httptools",
    "litellm",
    "orjson",
    "starlette",
    "uvicorn",
    "uvloop",
)


def claude_figures(folder: Path, upstream_port: int, rounds: int, counts: Counts) -> Rounds:
    """Measure the Claude side; memory and open streams come after all rounds."""
    home = make_home(folder / "claude", upstream_port, paced_model=None)
    requests = claude_requests(home.token, CLAUDE_MODEL)
    results: Rounds = {}
    with claude_side(folder, home, upstream_port) as contenders:
        by_name = {contender.name: contender for contender in contenders}
        for contender in contenders[1:]:
            _note_memory(results, contender, "rss_started_mb", requests.json())
        for number in range(rounds):
            for contender in _rotated(contenders, number):
                figures = claude_round(contender, requests, counts)
                results.setdefault(contender.name, []).append(figures)
                _progress(f"round {number + 1}", contender.name, figures)
        for name in ("nginx", "ccproxy"):
            if name in by_name:
                _note_memory(results, by_name[name], "rss_mb", requests.json())
                figures = open_streams(by_name[name], upstream_port, requests, counts.open_streams)
                results[name].append(figures)
                _progress("500 streams", name, figures)
    starts = [start_to_first_answer_s(home, requests.json()) for _ in range(counts.starts)]
    results["ccproxy"] += [{"start_s": start_s} for start_s in starts]
    return results


def local_figures(folder: Path, upstream_port: int, rounds: int, counts: Counts) -> Rounds:
    """Measure the local side: the fake Ollama itself, LiteLLM alone, ccproxy."""
    paced = f"paced-{counts.local_events}-{EVENT_EVERY_US}"
    home = make_home(folder / "local", upstream_port, paced_model=f"{paced}:latest")
    results: Rounds = {}
    with ExitStack() as stack:
        bare = stack.enter_context(running_bare_litellm(upstream_port))
        proxy = stack.enter_context(running_ccproxy(home, "ccproxy"))
        direct = Contender("direct", upstream_port, None)
        requests = {"ccproxy": _local_requests(home.token), "direct": _ollama_requests(paced)}
        warm = Connection(proxy.port)
        warm.exchange(requests["ccproxy"]["quick"])  # waits until LiteLLM is imported
        litellm_round(bare, paced, counts.scaled(0.01))
        for number in range(rounds):
            for name in _rotated(("direct", "LiteLLM alone", "ccproxy"), number):
                if name == "LiteLLM alone":
                    figures = litellm_round(bare, paced, counts)
                else:
                    contender = proxy if name == "ccproxy" else direct
                    figures = local_round(contender, requests[name], counts)
                results.setdefault(name, []).append(figures)
                _progress(f"local round {number + 1}", name, figures)
        _note_memory(results, proxy, "rss_mb", requests["ccproxy"]["quick"])
    return results


def _local_requests(token: str) -> dict[str, bytes]:
    """Return what a client sends to be served by Ollama."""

    def ask(model: str, *, stream: bool) -> bytes:
        base = claude_requests(token, model)
        body = {"model": model, "max_tokens": 1024, "stream": stream, "messages": _SAY_IT}
        return request_bytes("/v1/messages", base.headers, json.dumps(body).encode())

    return {
        "quick": ask(QUICK, stream=False),
        "quick_stream": ask(QUICK, stream=True),
        "paced": ask(PACED, stream=True),
    }


def _ollama_requests(paced: str) -> dict[str, bytes]:
    """Return what Ollama is sent for the same."""

    def ask(model: str) -> bytes:
        body = {"model": model, "stream": True, "messages": _SAY_IT, "options": {"num_ctx": 32768}}
        headers = {"content-type": "application/json"}
        return request_bytes("/api/chat", headers, json.dumps(body).encode())

    return {"quick": ask("quick"), "quick_stream": ask("quick"), "paced": ask(paced)}


_SAY_IT: Final = [{"role": "user", "content": "Say it. " * 40}]


def _note_memory(results: Rounds, contender: Contender, figure: str, request: bytes) -> None:
    """Note resident MB after one answer."""
    assert contender.gauge is not None
    connection = Connection(contender.port)
    connection.exchange(request)
    connection.close()
    rss_mb = contender.gauge.rss_bytes() / 2**20
    results.setdefault(contender.name, []).append({figure: rss_mb})


def _rotated(items: Sequence[T], by: int) -> list[T]:
    first = by % len(items)
    return [*items[first:], *items[:first]]


def _progress(step: str, name: str, figures: Mapping[str, float]) -> None:
    shown = ", ".join(f"{figure} {value:.4g}" for figure, value in figures.items())
    print(f"{step}: {name}: {shown}", file=sys.stderr, flush=True)


def medians(rounds: Sequence[Figures]) -> Figures:
    """Return the median of every figure over the rounds that have it."""
    names = dict.fromkeys(name for figures in rounds for name in figures)
    return {
        name: statistics.median(figures[name] for figures in rounds if name in figures)
        for name in names
    }


def with_added(results: Rounds) -> dict[str, Figures]:
    """Return medians by contender, with what each adds to going direct in the same round."""
    summary = {name: medians(rounds) for name, rounds in results.items()}
    direct = results["direct"]
    for name, rounds in results.items():
        for figure in ADDED:
            measured = [figures[figure] for figures in rounds if figure in figures]
            floor = [figures[figure] for figures in direct if figure in figures]
            if name != "direct" and measured:
                added = [mine - theirs for mine, theirs in zip(measured, floor, strict=True)]
                summary[name][f"added_{figure}"] = statistics.median(added)
    return summary


def side_by_side(summary: Mapping[str, Figures]) -> str:
    """Return all contenders of one side as Markdown, one row per figure."""
    names = list(summary)
    figures = dict.fromkeys(figure for values in summary.values() for figure in values)
    lines = [f"| figure | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
    for figure in figures:
        cells = [f"{v:.3g}" if (v := summary[n].get(figure)) is not None else "" for n in names]
        if figure == "rps":
            cells = [f"{v:,.0f}" if (v := summary[n].get(figure)) else "" for n in names]
        lines.append(f"| `{figure}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def said(*command: str) -> str:
    """Return the first line that a program says."""
    if shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        return "not installed"
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    return (
        (done.stdout or done.stderr).strip().splitlines()[0] if done.stdout or done.stderr else ""
    )


def commit() -> str:
    """Return which commit this is, and whether anything differs from it."""
    return said("git", "describe", "--always", "--dirty", "--exclude=*")


def surroundings(options: argparse.Namespace, counts: Counts) -> dict[str, object]:
    """Return machine, versions and commit."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "cpus": os.cpu_count(),
        "pinned": CAN_PIN,
        "load_1m_before": os.getloadavg()[0],
        "nginx": said("nginx", "-v"),
        "wrk": said("wrk", "-v"),
        "rounds": options.rounds,
        "counts": {name: getattr(counts, name) for name in counts.__slots__},
        "versions": {name: importlib.metadata.version(name) for name in DISTRIBUTIONS},
    }


def tables(summary: Mapping[str, Mapping[str, Figures]]) -> str:
    """Return the aims and all contenders side by side as Markdown."""
    aims = {**summary["claude"]["ccproxy"]}
    local = summary.get("local", {}).get("ccproxy", {})
    aims |= {f"local_{figure}": value for figure, value in local.items()}
    parts = [table(aims)]
    for side, values in summary.items():
        parts += [f"{side.capitalize()} side, medians over rounds:", side_by_side(values)]
    return "\n\n".join(parts) + "\n"


def update_document(document: Path, content: str) -> None:
    """Replace what stands between the two marks of `docs/performance.md`."""
    before, begin, rest = document.read_text().partition(BEGIN_MARK)
    _, end, after = rest.partition(END_MARK)
    if begin and end:
        document.write_text(f"{before}{begin}\n\n{content}\n{end}{after}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables, write `proxy_overhead.{json,md}`, update docs/performance.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="do this share of everything")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--skip-local", action="store_true", help="leave LiteLLM out")
    options = parser.parse_args(arguments)
    counts = Counts().scaled(options.scale) if options.scale != 1 else Counts()
    document = surroundings(options, counts)
    runs: dict[str, Rounds] = {}
    with (
        undisturbed(),
        tempfile.TemporaryDirectory() as folder,
        running_upstream() as upstream_port,
    ):
        runs["claude"] = claude_figures(Path(folder), upstream_port, options.rounds, counts)
        if not options.skip_local:
            runs["local"] = local_figures(Path(folder), upstream_port, options.rounds, counts)
    summary = {side: with_added(results) for side, results in runs.items()}
    page = tables(summary)
    options.out.mkdir(parents=True, exist_ok=True)
    results = {"surroundings": document, "medians": summary, "rounds": runs}
    (options.out / "proxy_overhead.json").write_text(json.dumps(_rounded(results), indent=1) + "\n")
    head = f"# What ccproxy costs\n\n`{document}`\n\n"
    (options.out / "proxy_overhead.md").write_text(head + page)
    if options.out == RESULTS and options.scale == 1 and not options.skip_local:
        origin = f"Commit {document['commit']}, {document['at']}, {options.rounds} rounds."
        update_document(REPOSITORY / "docs/performance.md", f"{origin}\n\n{page}")
    print(page)


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value
