from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest

from ccproxy.demo.ollama_habits import AFTER, BEFORE, THOUGHT, Habit, with_habit
from ccproxy.demo.ollama_requests import GenerationCall, parse_call
from ccproxy.demo.ollama_script import Answer, AnswerCall, decide
from ccproxy.demo.ollama_server import SimulatedOllama

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BASH = {
    "type": "function",
    "function": {
        "name": "Bash",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string"}, "timeout": {"type": "number"}},
            "required": ["command"],
        },
    },
}
PROMPT = 'Use the Bash tool with {"command": "ls", "timeout": 5, "tty": false}'
TWICE = f"{PROMPT} and the Bash tool with {{}}"
RIGHT = AnswerCall("Bash", {"command": "ls", "timeout": 5, "tty": False})
BARE = '{"name":"Bash","arguments":{"command":"ls","timeout":5,"tty":false}}'
FUNCTIONS = (
    "<tool_call>\n<function=Bash>\n"
    "<parameter=command>\nls\n</parameter>\n<parameter=timeout>\n5\n</parameter>\n"
    "<parameter=tty>\nfalse\n</parameter>\n</function>\n</tool_call>"
)
SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}}


def asked(text: str, **fields: Any) -> GenerationCall:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
    return parse_call(orjson.dumps(body), is_chat=True)


def given(habit: Habit, text: str = PROMPT, **fields: Any) -> Answer:
    """Return the answer of a model with a habit."""
    call = asked(text, tools=[BASH], **fields)
    return with_habit(decide(call, thinks=False), habit, call)


@pytest.mark.parametrize(
    ("habit", "text"),
    [
        (Habit.BARE_JSON, BARE),
        (Habit.FENCED_JSON, f"```json\n{BARE}\n```"),
        (Habit.TOOL_CALL_TAGS, f"<tool_call>\n{BARE}\n</tool_call>"),
        (Habit.HALF_OPEN_TAG, f"<tool_call>\n{BARE}\n</too"),
        (Habit.BETWEEN_WORDS, f"{BEFORE}\n\n<tool_call>\n{BARE}\n</tool_call>\n\n{AFTER}"),
        (
            Habit.FUNCTION_TAGS,
            FUNCTIONS,
        ),
        (Habit.WORDS_INSTEAD, "I would call Bash now."),
    ],
)
def test_calls_become_text(habit: Habit, text: str) -> None:
    """A call that is written instead of made is text, and no call."""
    assert Answer(text) == given(habit)


def test_calls_in_a_row_have_a_line_each() -> None:
    """Two calls are two lines of JSON."""
    assert f'{BARE}\n{{"name":"Bash","arguments":{{}}}}' == given(Habit.IN_A_ROW, TWICE).text


@pytest.mark.parametrize(
    ("habit", "first"),
    [
        (Habit.WRONG_TYPES, ("Bash", {"command": "ls", "timeout": "5", "tty": "false"})),
        (Habit.MISSING_ARGUMENT, ("Bash", {"timeout": 5, "tty": False})),
        (Habit.UNKNOWN_TOOL, ("perform_Bash_action", RIGHT.arguments)),
        (Habit.OTHER_LETTERS, ("bash", RIGHT.arguments)),
    ],
)
def test_calls_become_wrong(habit: Habit, first: tuple[str, dict[str, Any]]) -> None:
    """A wrong call is still a call, and what is not said to be wrong of it stays right."""
    second = AnswerCall("bash" if habit is Habit.OTHER_LETTERS else "Bash", {})
    assert (AnswerCall(*first), second) == given(habit, TWICE).calls


def test_other_answers_become_wrong() -> None:
    """JSON gets a fence, with a sentence before it or not; thinking comes unasked, or in tags."""
    json = given(Habit.THINKS_UNASKED, "name it", format=SCHEMA)
    fence = f"```json\n{json.text}\n```\n"

    aloud = given(Habit.THINKS_ALOUD)

    assert THOUGHT == json.thinking
    assert (f"<think>\n{THOUGHT}\n</think>\n\n", (RIGHT,)) == (aloud.text, aloud.calls)
    assert fence == given(Habit.FENCED_ANSWER, "name it", format=SCHEMA).text
    assert f"{BEFORE}\n\n{fence}" == given(Habit.EXPLAINED_ANSWER, "name it", format=SCHEMA).text


@asynccontextmanager
async def served() -> AsyncIterator[tuple[SimulatedOllama, httpx.AsyncClient]]:
    sim = SimulatedOllama(speed=math.inf)
    async with sim.serve() as base, httpx.AsyncClient(base_url=base, trust_env=False) as client:
        yield sim, client


async def chat(client: httpx.AsyncClient, text: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    body = {"model": "qwen-fast", "messages": messages, "tools": [BASH], "stream": False, **fields}
    message: dict[str, Any] = (await client.post("/api/chat", json=body)).json()["message"]
    return message


async def test_each_habit_is_used_once_on_the_first_answer_it_fits() -> None:
    """Words take no habit of calls, and what was used stands in the log."""
    async with served() as (sim, client):
        sim.misbehave(Habit.IN_A_ROW, Habit.OTHER_LETTERS, "fenced_answer")
        await chat(client, "hello")
        lower = await chat(client, PROMPT)
        title = await chat(client, "name it", format=SCHEMA)
        rows = await chat(client, TWICE)
        right = await chat(client, PROMPT)
        log = (await client.get("/_sim/log")).json()["requests"]

    assert "bash" == lower["tool_calls"][0]["function"]["name"]
    assert title["content"].startswith("```json\n")
    assert 2 == rows["content"].count('{"name":"Bash"')
    assert "Bash" == right["tool_calls"][0]["function"]["name"]
    assert ["", "other_letters", "fenced_answer", "in_a_row", ""] == [one["habit"] for one in log]


async def test_habits_are_ordered_over_http() -> None:
    """A habit for good stays until the reset; what is no habit is refused with those there are."""
    async with served() as (_, client):
        order = {"habits": ["bare_json"], "always": True}
        assert 200 == (await client.post("/_sim/habits", json=order)).status_code
        texts = [(await chat(client, PROMPT))["content"] for _ in range(2)]
        await client.post("/_sim/reset")
        reset = await chat(client, PROMPT)
        refused = [
            await client.post("/_sim/habits", json=wrong)
            for wrong in ({"habits": ["rudeness"]}, ["bare_json"], {"habits": [], "often": True})
        ]

    assert [BARE, BARE] == texts
    assert "tool_calls" in reset
    assert [400] * 3 == [answer.status_code for answer in refused]
    assert "rudeness" in refused[0].text
    assert "bare_json" in refused[0].text
