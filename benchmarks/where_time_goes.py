"""A profile of the serving process under load, by part of the program.

cProfile makes calls dearer than they are, so shares say more than times.

Run: `python -m benchmarks.where_time_goes` (10 s); writes `results/where_time_goes.txt`.
"""

from __future__ import annotations

import cProfile
import gc
import io
import os
import pstats
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvicorn
import uvloop

from benchmarks.contenders import CLAUDE_MODEL, REPOSITORY, Contender, make_home, running_upstream
from benchmarks.measure import Counts, claude_requests, claude_round
from benchmarks.processes import SERVER_CORE, Gauge, free_port, start, stopping, wait_for_port
from ccproxy.app import build_proxy
from ccproxy.config.settings import load_settings
from ccproxy.observability.logs import RequestLog
from ccproxy.serve import server_config

if TYPE_CHECKING:
    from types import FrameType

PARTS: Final = (
    "aiohttp",
    "uvicorn",
    "prometheus_client",
    "ccproxy/observability",
    "ccproxy/upstreams",
    "ccproxy/pipeline",
    "ccproxy/api",
    "ccproxy/auth",
    "ccproxy/wire",
    "/routing/",
    "/asyncio/",
)
RESULT: Final = REPOSITORY / "benchmarks/results/where_time_goes.txt"


def serve(config: Path, port: int) -> None:
    """Serve under cProfile until SIGTERM, then write the result."""
    server = uvicorn.Server(
        server_config(
            build_proxy(load_settings(config, os.environ), sinks=[RequestLog()]).app,
            "127.0.0.1",
            port,
        )
    )

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    gc.collect()
    gc.freeze()
    profile = cProfile.Profile(time.process_time)  # waiting is no work
    try:
        profile.runcall(uvloop.run, server.serve())
    except KeyboardInterrupt:
        RESULT.write_text(described(profile))


def described(profile: cProfile.Profile) -> str:
    """Return shares by part, then the dearest functions by their own time."""
    text = io.StringIO()
    stats = pstats.Stats(profile, stream=text)
    shares: Counter[str] = Counter()
    for (file, _, name), (_, _, own_s, _, _) in stats.stats.items():  # type: ignore[attr-defined]
        part = next((part for part in PARTS if part in file), "elsewhere")
        if "uvloop" not in file and name != "<method 'poll' of 'select.epoll' objects>":
            shares[part] += own_s
    total_s = sum(shares.values())
    lines = [f"{share / total_s:6.1%} {part.strip('/')}" for part, share in shares.most_common()]
    stats.strip_dirs().sort_stats("tottime").print_stats(40)
    return "\n".join(lines) + "\n" + text.getvalue()


def main() -> None:
    """Load one server for a few seconds."""
    with tempfile.TemporaryDirectory() as folder, running_upstream() as upstream_port:
        home = make_home(Path(folder) / "home", upstream_port, paced_model=None)
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.where_time_goes", str(home.config), str(port)]
        process = start(command, core=SERVER_CORE, cwd=REPOSITORY)
        with stopping(process):
            wait_for_port(port, process)
            contender = Contender("ccproxy", port, Gauge(process.pid))
            counts = Counts(json=4000, ttft=100, large=20, streams=2, events=2)
            claude_round(contender, claude_requests(home.token, CLAUDE_MODEL), counts)
    print(RESULT.read_text())


if __name__ == "__main__":
    if len(sys.argv) == 3:
        serve(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        main()
