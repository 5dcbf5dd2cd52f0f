"""What the ledger says was used and spent, against what the upstreams themselves wrote down."""

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from decimal import ROUND_HALF_UP, Decimal

import pytest
import yaml

from ccproxy.demo.claude_faults import Fault, FaultKind
from ccproxy.demo.ollama_faults import Fault as OllamaFault
from ccproxy.demo.ollama_faults import FaultKind as OllamaFaultKind
from tests.support.http_wire import ask, wire
from tests.support.messages import CLAUDE, LOCAL, MIXED, turn
from tests.support.proxy import FORGIVING, REPOSITORY, running_proxy
from tests.support.sizes import count
from tests.support.waiting import until

ROUNDS = count(quick=3, ci=8, full=84)
"""Of twelve requests each."""
PROMPTS = 2
"""That are cached."""
PRICES = yaml.safe_load((REPOSITORY / "config/pricing.yaml").read_text())["models"]
LONG = "Give me 80 words."


def marked(text):
    """Return a system prompt that is to be cached."""
    return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]


class Work:
    """Sends one request of each kind, and counts them."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.sent = 0

    async def ask(self, body, *, status=200, path="/v1/messages"):
        self.sent += 1
        answer = await ask(self.proxy.base_url, path, headers=self.proxy.headers, body=body)
        assert answer.status == status, answer.body
        return answer

    async def leave(self, body):
        """Send a request whose answer stalls, and go after its first bytes."""
        self.sent += 1
        async with wire(self.proxy.base_url) as connection:
            await connection.send("POST", "/v1/messages", self.proxy.headers, body)
            await connection.read_head()
            await connection.read_chunk()

    async def undisturbed(self, number):
        cached = marked(f"Prompt {number % PROMPTS}. " + "Rules. " * 400)
        await asyncio.gather(
            self.ask(turn(f"a{number}", CLAUDE)),
            self.ask(turn(f"b{number}", CLAUDE, stream=True)),
            self.ask(turn(f"e{number}", LOCAL)),
            self.ask(turn(f"f{number}", LOCAL, stream=True)),
            self.ask(turn(f"j{number}", CLAUDE, max_tokens=None), path="/v1/messages/count_tokens"),
            self.ask(turn(f"k{number}", LOCAL, max_tokens=-1), status=400),
        )
        # The first of them writes the cache, later ones read it.
        await self.ask(turn(f"c{number}", CLAUDE, system=cached, stream=True))

    async def disturbed(self, number):
        ollama, claude = self.proxy.ollama, self.proxy.claude
        ollama.faults.append(OllamaFault(OllamaFaultKind.HTML_500, times=9))
        await self.ask(turn(f"g{number}", MIXED, stream=number % 2 == 0))
        ollama.faults.clear()
        claude.faults.append(Fault(FaultKind.STATUS, status=529))
        await self.ask(turn(f"h{number}", CLAUDE))
        claude.faults.append(Fault(FaultKind.CUT, after_bytes=1500))
        await self.ask(turn(LONG, CLAUDE, stream=True))
        claude.faults.append(Fault(FaultKind.STALL, after_bytes=1500))
        await self.leave(turn(LONG, CLAUDE, stream=True))
        ollama.faults.append(OllamaFault(OllamaFaultKind.STALL, after_records=5))
        await self.leave(turn(LONG, LOCAL, stream=True))


@pytest.mark.timeout(600)
async def test_the_ledger_says_what_the_upstreams_say(tmp_path):
    """To the token and the microdollar: streams, caches, failures, fallbacks, clients that left."""
    path = tmp_path / "ledger.db"
    changes = {"ledger": {"url": f"sqlite:///{path}"}}
    async with running_proxy(changes=changes, **FORGIVING) as proxy:
        work = Work(proxy)
        for number in range(ROUNDS):
            await work.undisturbed(number)
            await work.disturbed(number)
        await until(lambda: rows(path, "SELECT count(*) FROM requests") == [(work.sent,)])
        billed = [each for each in proxy.claude.requests if each.usage and "count" not in each.path]
        counted = [each.counted for each in proxy.ollama.requests if each.counted]

    expected = Counter(map(charged, billed))
    assert Counter(rows(path, AT_CLAUDE)) == expected
    assert Counter(rows(path, AT_HOME)) == Counter(counted)
    assert (len(billed), len(counted)) == (ROUNDS * 7, ROUNDS * 2)
    assert any(written for _, _, _, written, *_ in expected)
    assert any(read for *_, read, _ in expected) is (ROUNDS > PROMPTS)

    total_microusd = sum(cost * times for (*_, cost), times in expected.items())
    assert rows(path, "SELECT sum(requests), sum(cost_microusd), sum(unpriced) FROM hourly") == [
        (work.sent, total_microusd, 0)
    ]
    assert rows(path, "SELECT sum(cost_microusd) FROM requests") == [(total_microusd,)]


AT_CLAUDE = """
    SELECT response_model, input_tokens, output_tokens, cache_write_5m_tokens,
           cache_write_1h_tokens, cache_read_tokens, cost_microusd
    FROM attempts JOIN dimensions ON dimensions.id = dimension_id
    WHERE route = 'claude' AND input_tokens > 0
"""
AT_HOME = """
    SELECT input_tokens, output_tokens
    FROM requests JOIN dimensions ON dimensions.id = dimension_id
    WHERE route = 'local' AND ending = 'completed' AND endpoint = 'messages'
"""


def rows(path, statement):
    """Return what the ledger has; None while it is not there yet."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(statement).fetchall()
    except sqlite3.OperationalError:
        return None


def charged(record):
    """Return model, tokens and price of one answer, computed from the upstream's own notes."""
    usage = record.usage
    model = yaml.safe_load(record.body)["model"]
    rates = PRICES[model]
    tokens = (
        usage["input_tokens"],
        usage["output_tokens"],
        usage["cache_creation_input_tokens"],
        0,
        usage["cache_read_input_tokens"],
    )
    names = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")
    microusd = sum(
        Decimal(str(rates[name])) * number for name, number in zip(names, tokens, strict=True)
    )
    return (model, *tokens, int(microusd.quantize(Decimal(1), ROUND_HALF_UP)))
