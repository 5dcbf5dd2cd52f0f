"""What a conversation that was served locally would have cost at Claude, over real sockets."""

import json
import sqlite3
from collections import Counter
from contextlib import closing
from decimal import ROUND_HALF_UP, Decimal

import pytest
import yaml

from ccproxy.demo.ollama_faults import Fault, FaultKind
from ccproxy.wire.estimate import text_units
from tests.support.http_wire import ask, wire
from tests.support.messages import CLAUDE, LOCAL, MIXED, turn
from tests.support.proxy import FORGIVING, REPOSITORY, running_proxy
from tests.support.waiting import until

FILE = yaml.safe_load((REPOSITORY / "config/pricing.yaml").read_text())
RATES = FILE["models"][MIXED]
TIMES = {
    name: Decimal(str(times)) for name, times in FILE["tokenizers"][RATES["tokenizer"]].items()
}
FIVE_MINUTES = {"type": "ephemeral"}
ONE_HOUR = {"type": "ephemeral", "ttl": "1h"}
BILLING = "x-anthropic-billing-header: cc_version=2.1.329.{}; cc_entrypoint=cli;"
SYSTEM = {"type": "text", "text": "Mind the rules of the house. " * 250}
QUESTIONS = ("What is in the file? " * 20, "And in the other one? " * 30, "Thank you. " * 60)
ANSWER = "It has a list of names. " * 40


@pytest.fixture
async def path(tmp_path):
    return tmp_path / "ledger.db"


def running(path):
    return running_proxy(changes={"ledger": {"url": f"sqlite:///{path}"}}, **FORGIVING)


def rows(path, columns):
    statement = f"SELECT {columns} FROM requests ORDER BY id"  # noqa: S608 - of this file
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(statement).fetchall()
    except sqlite3.OperationalError:  # not there yet
        return []


def would_cost(path):
    names = ("would_cost_low", "would_cost", "would_cost_high")
    return rows(path, ", ".join(f"{name}_microusd" for name in names))


def conversation(turns):
    """Return a conversation's request as Claude Code makes it: the mark moves to its last block."""
    messages = []
    for number in range(turns):
        if messages:
            messages[-1]["content"] = messages[-1]["content"][0]["text"]  # older ones are texts
            messages.append({"role": "assistant", "content": [{"type": "text", "text": ANSWER}]})
        question = {"type": "text", "text": QUESTIONS[number], "cache_control": FIVE_MINUTES}
        messages.append({"role": "user", "content": [question]})
    billing = {"type": "text", "text": BILLING.format(turns)}
    system = [billing, {**SYSTEM, "cache_control": ONE_HOUR}]
    return turn(model=MIXED, messages=messages, system=system, stream=turns % 2 == 0)


def ends(turns):
    """Return where each block of a conversation ends, in fiftieths of an estimated token."""
    texts = [SYSTEM["text"], QUESTIONS[0]]
    for question in QUESTIONS[1:turns]:
        texts += [ANSWER, question]
    total, found = 0, []
    for text in texts:
        block = json.dumps({"type": "text", "text": text}, separators=(",", ":"))
        total += text_units(block.encode())
        found.append(total // 50)
    return found


def cost(counted, times, prompt_ends):
    """Return what a prompt costs that ends so: read, for an hour, for five minutes, all of it."""
    prompt, output = (int(number * times) for number in counted)
    parts = [prompt * end // prompt_ends[-1] for end in prompt_ends]
    sizes = [end - start for start, end in zip([0, *parts], parts, strict=False)]
    names = ("cache_read", "cache_write_1h", "cache_write_5m", "input")
    amounts = [Decimal(str(RATES[name])) * size for name, size in zip(names, sizes, strict=True)]
    amount = sum(amounts) + Decimal(str(RATES["output"])) * output
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


async def test_three_turns_with_the_cache_that_claude_would_have_had(path):
    """The first writes the prompt, each next one reads all of the one before and writes the rest.

    Computed here from what Ollama counted, from the price file and from the blocks' lengths
    (conformance 106, 167).
    """
    async with running(path) as proxy:
        for number in (1, 2, 3):
            answer = await ask(
                proxy.base_url, "/v1/messages", headers=proxy.headers, body=conversation(number)
            )
            assert (answer.status, answer.header("x-ccproxy-route")) == (200, "local")
            await until(lambda number=number: len(rows(path, "id")) == number)
        counted = [each.counted for each in proxy.ollama.requests if each.counted]

    system = ends(1)[0]
    expected = []
    for number, tokens in enumerate(counted, 1):
        last = ends(number)[-1]
        read = ends(number - 1)[-1] if number > 1 else 0
        cached = [read, max(read, system), last, last]
        missed = [0, system, last, last]
        expected.append(
            (
                cost(tokens, TIMES["low"], cached),
                cost(tokens, TIMES["expected"], cached),
                cost(tokens, TIMES["high"], missed),
            )
        )
    assert len(counted) == 3
    assert would_cost(path) == expected
    assert rows(path, "cost_microusd, wasted_microusd") == [(0, 0)] * 3
    assert expected[1][1] < expected[0][1] / 2  # the cache is worth something


async def test_what_is_not_compared(path):
    """Claude's own answers, counting, a refusal, a local model that failed; who left halfway is."""
    async with running(path) as proxy:

        async def send(body, where="/v1/messages"):
            await ask(proxy.base_url, where, headers=proxy.headers, body=body)

        await send(turn(model=CLAUDE))
        await send(turn(model=MIXED, max_tokens=None), "/v1/messages/count_tokens")
        proxy.ollama.faults.append(Fault(FaultKind.HTML_500, times=9))
        await send(turn(model=MIXED))
        proxy.ollama.faults.clear()
        await send(turn(model=LOCAL, max_tokens=-1))
        proxy.ollama.faults.append(Fault(FaultKind.STALL, after_records=5))
        async with wire(proxy.base_url) as connection:
            body = turn("Give me 80 words.", MIXED, stream=True)
            await connection.send("POST", "/v1/messages", proxy.headers, body)
            await connection.read_head()
            await connection.read_chunk()
        await until(lambda: len(rows(path, "id")) == 5)

    compared = Counter(rows(path, "ending, status, would_cost_microusd > 0"))
    assert compared == {
        ("completed", 200, None): 3,
        ("refused", 400, None): 1,
        ("client_gone", 200, 1): 1,
    }


async def test_a_name_of_ours_is_compared_with_the_claude_of_its_tier(path):
    """`agent/python-pro` is of the tier haiku, whose Claude deployment asks for a model."""
    async with running(path) as proxy:
        await ask(
            proxy.base_url,
            "/v1/messages",
            headers=proxy.headers,
            body=turn(model="agent/python-pro"),
        )
        await until(lambda: len(rows(path, "id")) == 1)
        (counted,) = [each.counted for each in proxy.ollama.requests if each.counted]

    price = {
        name: Decimal(str(FILE["models"]["claude-haiku-5-5"][name])) for name in ("input", "output")
    }
    prompt, output = counted  # at least as many at Claude
    least = price["input"] * prompt + price["output"] * output
    assert would_cost(path)[0][0] == least.quantize(Decimal(1), ROUND_HALF_UP)
