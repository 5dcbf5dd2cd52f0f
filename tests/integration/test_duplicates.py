"""A turn that is sent again while it still runs at a local model runs once (rules in ccproxy/pipeline/duplicates)."""

import asyncio

import pytest

from tests.support.grammar import check_stream
from tests.support.http_wire import ask, wire
from tests.support.messages import CLAUDE, turn
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_S = 0.2
PROXY_OPTIONS = {"patience_s": PATIENCE_S, "ping_after_s": 0.05}
DONE = {"done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2}
SESSION = {"x-claude-code-session-id": "s-1", "x-claude-code-agent-id": "a-1"}


def said(text):
    return {"message": {"role": "assistant", "content": text}}


def send(proxy, body=None, **headers):
    sent = (
        proxy.headers | SESSION | {name.replace("_", "-"): each for name, each in headers.items()}
    )
    request = ask(proxy.base_url, "/v1/messages", headers=sent, body=body or turn())
    return asyncio.create_task(request)


async def let_go(generation):
    async with asyncio.timeout(2):
        await generation.disconnected.wait()


@pytest.mark.parametrize("first_streams", [False, True])
@pytest.mark.parametrize("again_streams", [False, True])
async def test_the_later_one_is_served(first_streams, again_streams, proxy):
    """The model is let go of the first, whose client hears a 409 or an error event."""
    proxy.ollama.add_fault("hang")
    first = send(proxy, turn(stream=True) if first_streams else turn())
    waiting = await proxy.ollama.generation()
    if first_streams:
        await asyncio.wait({first}, timeout=PATIENCE_S * 2)
    again = await send(proxy, turn(stream=True) if again_streams else turn())
    told = await first
    await let_go(waiting)

    assert 200 == again.status
    assert "repeated_turn" in again.header("x-ccproxy-notes")
    assert 2 == len(proxy.ollama.generations)
    if first_streams:
        assert "conflict_error" == check_stream(told.body).error["type"]
    else:
        assert (409, "conflict_error") == (told.status, told.error["type"])
        assert "false" == told.header("x-should-retry")
    scraped = proxy.proxy.metrics.exposition()[0].decode()
    assert 'ending="taken_over"' in scraped


async def test_of_many_the_last_is_served(proxy):
    """However often a turn is sent again, one at a time runs, and the last one is answered."""
    proxy.ollama.add_fault("hang", times=3)
    sent = []
    for number in range(4):
        sent.append(send(proxy))
        await proxy.ollama.generation(number)
    answers = await asyncio.gather(*sent)

    assert [409, 409, 409, 200] == [answer.status for answer in answers]
    await proxy.ollama.idle()


async def test_a_burst_runs_at_most_once_at_a_time(proxy):
    """Who comes while another is still being let go of waits for that one, too."""
    proxy.ollama.add_fault("hang")
    first = send(proxy)
    await proxy.ollama.generation()
    answers = await asyncio.gather(*(send(proxy) for _ in range(5)))

    assert 409 == (await first).status
    assert [409] * 4 + [200] == sorted((answer.status for answer in answers), reverse=True)
    await proxy.ollama.idle()


OTHERS = {
    "another session": (turn(), {"x_claude_code_session_id": "s-2"}),
    "another agent": (turn(), {"x_claude_code_agent_id": "a-2"}),
    "another body": (turn("something else"), {}),
    "no session": (turn(), {"x_claude_code_session_id": ""}),
}


@pytest.mark.parametrize("name", OTHERS)
async def test_others_run_beside_it(name, proxy):
    """What differs in anything but `stream`, or names no session, is another turn."""
    body, headers = OTHERS[name]
    gate = asyncio.Event()
    proxy.ollama.answer_with(gate, said("first"), DONE)
    first = send(
        proxy, None if name != "no session" else body, **(headers if "no " in name else {})
    )
    await proxy.ollama.generation()
    other = send(proxy, body, **headers)
    await proxy.ollama.generation(1)
    gate.set()

    assert (200, 200) == ((await other).status, (await first).status)


async def test_another_principal_runs_beside_it(proxy):
    """Two tokens never share a turn."""
    gate = asyncio.Event()
    proxy.ollama.answer_with(gate, said("first"), DONE)
    first = send(proxy)
    await proxy.ollama.generation()
    other = send(proxy, x_api_key=proxy.new_token("other"))
    await proxy.ollama.generation(1)
    gate.set()

    assert (200, 200) == ((await other).status, (await first).status)


async def test_an_answer_that_has_begun_goes_on(proxy):
    """A client that has content keeps its answer; the same turn again is then another one."""
    gate = asyncio.Event()
    proxy.ollama.answer_with(said("one "), gate, said("two"), DONE)
    async with wire(proxy.base_url) as connection:
        await connection.send("POST", "/v1/messages", proxy.headers | SESSION, turn(stream=True))
        begun = await connection.read_until(b"text_delta")
        again = send(proxy)
        await proxy.ollama.generation(1)
        gate.set()
        rest = await connection.read_until(b"message_stop")

    assert 200 == (await again).status
    assert b"two" in begun + rest


async def test_a_client_that_left_in_the_middle(proxy):
    """An answer whose client is gone is let go before the same turn runs again."""
    gate = asyncio.Event()
    proxy.ollama.answer_with(said("one "), gate, said("two"), DONE)
    async with wire(proxy.base_url) as connection:
        await connection.send("POST", "/v1/messages", proxy.headers | SESSION, turn(stream=True))
        await connection.read_until(b"text_delta")
        connection.abort()
    again = send(proxy)
    await let_go(proxy.ollama.generations[0])
    gate.set()

    assert 200 == (await again).status


async def test_claude_may_be_asked_twice(proxy):
    """What Claude answers is Claude's business: nothing is joined or cancelled there."""
    first = send(proxy, turn(model=CLAUDE))
    again = send(proxy, turn(model=CLAUDE))

    assert [200, 200] == [(await each).status for each in (first, again)]
    await until(lambda: len(proxy.claude.requests) == 2)


async def test_counting_is_no_turn(proxy):
    """Tokens are counted as often as anybody likes."""
    body = turn(max_tokens=None)
    counts = await asyncio.gather(
        *(
            ask(
                proxy.base_url,
                "/v1/messages/count_tokens",
                headers=proxy.headers | SESSION,
                body=body,
            )
            for _ in range(3)
        )
    )

    assert [200] * 3 == [count.status for count in counts]
