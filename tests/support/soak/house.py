"""The proxy of a soak: a process of its own, and what can be told of it from the outside."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psutil
import yaml

from ccproxy.auth import create_token
from ccproxy.observability.decision_log import FILE_NAME
from tests.support.http_wire import ask
from tests.support.proxy import REPOSITORY
from tests.support.soak.server import INSIDE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

LEDGER_NAME: Final = "ccproxy.db"
START_S: Final = 60.0
STOP_S: Final = 30.0
GRACE_S: Final = 2
_LOOK_EVERY_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class House:
    """A running proxy and its files."""

    base_url: str
    token: str
    """With the scope `ops`."""
    folder: Path
    process: asyncio.subprocess.Process
    log: Path
    """What it wrote to stdout and stderr."""

    @property
    def decisions(self) -> Path:
        """The newest file of recorded decisions."""
        return self.folder / FILE_NAME

    @property
    def ledger(self) -> Path:
        """The ledger's database."""
        return self.folder / LEDGER_NAME

    @property
    def headers(self) -> dict[str, str]:
        """The least a Messages request must carry."""
        return {"x-api-key": self.token, "anthropic-version": "2023-06-01"}

    def rss_bytes(self) -> int:
        """Return the resident memory of the proxy."""
        rss: int = psutil.Process(self.process.pid).memory_info().rss
        return rss

    async def inside(self) -> dict[str, Any]:
        """Return what lives in the proxy (`server.Inside`), and how many trials of breakers run."""
        answer = await ask(self.base_url, INSIDE, method="GET")
        assert answer.status == 200, self.log.read_text(errors="replace")[-2000:]
        health = await ask(self.base_url, "/health", method="GET", headers=self.headers)
        return {**answer.json(), "trials": _trials(health.json())}

    async def limit_descriptors(self, count: int) -> None:
        """Let the proxy open no more than so many files and sockets; 0 takes the limit back."""
        answer = await ask(self.base_url, f"{INSIDE}?{count}")
        assert answer.status == 200, answer.body

    async def finished_requests(self) -> int:
        """Return how many outcomes of Messages and count_tokens requests the proxy has counted."""
        page = await ask(self.base_url, "/metrics", method="GET", headers=self.headers)
        lines = page.body.decode().splitlines()
        counted = [line for line in lines if line.startswith("ccproxy_requests_total{")]
        return sum(int(float(line.rpartition(" ")[2])) for line in counted)

    async def ended_by(self, number: signal.Signals) -> int:
        """Send it a signal, and return its exit code once it has ended."""
        self.process.send_signal(number)
        async with asyncio.timeout(STOP_S):
            return await self.process.wait()


@asynccontextmanager
async def running_house(
    folder: Path,
    document: Mapping[str, Any],
    table: Mapping[str, Any],
    *,
    grace_s: int = GRACE_S,
) -> AsyncIterator[House]:
    """Run the proxy while the block runs, and end it with the block if nobody has.

    Args:
        folder: For its files.
        document: Its `ccproxy.yaml`, but for the place of the routing table.
        table: Its `routing.yaml`.
        grace_s: For running streams, after a stop signal.
    """
    routing, config, log = folder / "routing.yaml", folder / "ccproxy.yaml", folder / "proxy.log"
    routing.write_text(yaml.safe_dump(dict(table)))
    config.write_text(yaml.safe_dump({**document, "routing": str(routing)}))
    token = create_token(folder / "tokens.json", "soak", scopes=("ops",), agents=())
    port = free_port()
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.soak", str(config), str(port), str(grace_s)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=REPOSITORY,
            env={"HOME": str(folder), "PYTHONPATH": str(REPOSITORY)},
        )
    house = House(f"http://127.0.0.1:{port}", token, folder, process, log)
    try:
        await _answering(house)
        yield house
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _trials(health: Any) -> int:
    """Return how many trials there are, wherever they stand."""
    if isinstance(health, dict):
        own: int = health.get("trials", 0)
        return own + sum(map(_trials, health.values()))
    return sum(map(_trials, health)) if isinstance(health, list) else 0


def free_port() -> int:
    """Return a port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _answering(house: House) -> None:
    async with asyncio.timeout(START_S):
        while True:
            if house.process.returncode is not None:
                raise AssertionError(f"the proxy ended at once: {house.log.read_text()[-2000:]}")
            try:
                await ask(house.base_url, "/health/live", method="GET")
            except OSError:
                await asyncio.sleep(_LOOK_EVERY_S)
            else:
                return
