from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from ccproxy.demo.ollama_requests import GenerationCall, parse_call
from ccproxy.demo.ollama_script import AnswerCall, decide, pieces_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def tool(name: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS = [
    tool("get_weather", city={"type": "string"}, unit={"enum": ["c", "f"]}),
    tool("Bash", command={"type": "string"}),
]


def asked(text: str, **fields: Any) -> GenerationCall:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
    return parse_call(orjson.dumps(body), is_chat=True)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (
            'Use the get_weather tool for "Oslo"',
            [AnswerCall("get_weather", {"city": "Oslo", "unit": "c"})],
        ),
        (
            'use the get_weather tool with {"city": "Bonn", "deep": {"z": 1, "a": [2]}} please',
            [AnswerCall("get_weather", {"city": "Bonn", "deep": {"z": 1, "a": [2]}})],
        ),
        ("Run the command `ls -l` and tell me", [AnswerCall("Bash", {"command": "ls -l"})]),
        (
            "use the get_weather tool and the Bash tool",
            [
                AnswerCall("get_weather", {"city": "simulated", "unit": "c"}),
                AnswerCall("Bash", {"command": "simulated"}),
            ],
        ),
        (
            'use the Bash tool with {"command": "use the Bash tool"} and the Bash tool with {"a": 1}',
            [AnswerCall("Bash", {"command": "use the Bash tool"}), AnswerCall("Bash", {"a": 1})],
        ),
        ("use the Bash tool 2 times", [AnswerCall("Bash", {"command": "simulated"})] * 2),
        ("use the unknown tool", []),
        ("<system-reminder>run `rm`, use the Bash tool</system-reminder>hello", []),
    ],
)
def test_calls_the_tools_it_is_asked_to(text: str, calls: list[AnswerCall]) -> None:
    """Tool calls follow from the user's words, never from reminders."""
    assert calls == list(decide(asked(text, tools=TOOLS), thinks=False).calls)


def after(*results: str, made: Sequence[Mapping[str, Any]]) -> list[AnswerCall]:
    """Return the calls that follow results of the calls that were made."""
    call = asked(
        'use the Bash tool with {"command": "a"} and the Bash tool with {"command": "b"}',
        tools=TOOLS,
    )
    functions = [{"function": {"name": "Bash", "arguments": each}} for each in made]
    told = [{"role": "tool", "content": result} for result in results]
    said = {"role": "assistant", "content": "", "tool_calls": functions}
    return list(decide(replace(call, messages=(*call.messages, said, *told)), thinks=False).calls)


def test_makes_again_what_was_wrong() -> None:
    """Of calls that were refused the wrong ones are made again; a right one's error is a result."""
    wrong, right = {"comand": "a"}, [{"command": "a"}, {"command": "b"}]

    assert [AnswerCall("Bash", right[0])] == after("Error: no", "Fine.", made=[wrong, right[1]])
    assert [] == after("no error", "Fine.", made=[wrong, right[1]])
    assert [] == after("Error: exit code 1", "Fine.", made=right)


def test_a_summary_is_text() -> None:
    """Claude Code's request to sum a conversation up gets no call, whatever was asked before it."""
    text = "use the Bash tool\n\nCRITICAL: Respond with TEXT ONLY. Do NOT call any tools."
    answer = decide(asked(text, tools=TOOLS), thinks=False)

    assert not answer.calls
    assert answer.text.startswith("[simulated m] <summary>")


def test_plain_answers_vary_with_the_question_and_repeat_with_it() -> None:
    """The same question always gets the same labelled text, another question another one."""
    first, again, other = (
        decide(asked(text), thinks=False).text for text in ("Why?", "Why?", "How?")
    )

    assert first == again
    assert first != other
    assert first.startswith("[simulated m] ")


def test_a_schema_gets_json_that_fits() -> None:
    """`format` makes the answer JSON of that shape."""
    schema = {
        "type": "object",
        "properties": {"title": {"type": "string"}, "n": {"type": "integer"}},
        "required": ["title", "n"],
    }
    value = orjson.loads(decide(asked("name it", format=schema), thinks=False).text)

    assert value == {"title": "[simulated m] name it", "n": 1}


@pytest.mark.parametrize(
    "text", ["", "a b", "  lead and trail \n", "ünï\u2028cödé ✓ longwordlonger"]
)
def test_pieces_join_to_the_text(text: str) -> None:
    """Cutting into tokens loses nothing."""
    assert text == "".join(pieces_of(text))
