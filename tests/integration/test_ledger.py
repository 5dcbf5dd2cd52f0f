"""The ledger of a running proxy: on the way, in /health, in the metrics, and what survives."""

import asyncio
import sqlite3
from contextlib import closing

from ccproxy.ledger.database import open_database
from ccproxy.outcome import LearnedRatio
from tests.support.http_wire import ask
from tests.support.messages import CLAUDE, turn
from tests.support.proxy import running_proxy
from tests.support.waiting import until

ROW = LearnedRatio("qwen-coder", "ollama_chat/qwen2.5-coder:32b-instruct", 1.5, 40, 1.0)


def at(path):
    return {"ledger": {"url": f"sqlite:///{path}"}}


async def get(proxy, path):
    return await ask(proxy.base_url, path, method="GET", headers=proxy.headers)


async def ledger_of(proxy):
    return (await get(proxy, "/health")).json()["ledger"]


async def ledger_becomes(proxy, state):
    """Return what /health says of the ledger once it is in this state."""
    async with asyncio.timeout(20):
        while (said := await ledger_of(proxy))["state"] != state:
            pass  # the next question is the wait
    return said


async def test_what_was_learned_survives_a_restart(tmp_path):
    """A saved ratio counts for its deployment as soon as the database is open."""
    database = open_database(f"sqlite:///{tmp_path / 'l.db'}")
    database.write([ROW])
    database.close()
    async with running_proxy(changes=at(tmp_path / "l.db")) as proxy:
        assert (await ledger_of(proxy))["state"] == "opening"
        await ledger_becomes(proxy, "up")
        ratios = proxy.proxy.token_ratios
        await until(lambda: ratios.calibrated("qwen-coder", 1000) == 1500)

        assert 1000 == ratios.calibrated("qwen-quality", 1000)


async def test_a_newer_database_stops_nothing(tmp_path):
    """Requests are served without the ledger; /health and the metrics say why (issue 4)."""
    path = tmp_path / "l.db"
    open_database(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0107'")
    async with running_proxy(changes=at(path)) as proxy:
        said = await ledger_becomes(proxy, "down")
        answer = await ask(
            proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=CLAUDE)
        )
        metrics = (await get(proxy, "/metrics")).body.decode()

    assert 200 == answer.status
    assert said["error"].startswith(f"{path} was written by a newer ccproxy: its schema is 0107")
    assert "ccproxy_ledger_up 0.0" in metrics
