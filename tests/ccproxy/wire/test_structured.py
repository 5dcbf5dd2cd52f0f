"""Answers that have to be JSON."""

import time

import pytest

from ccproxy.wire.structured import StructuredAnswer, structured_answer

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
OURS = '{"a": 1}'
DEEP = "[" * 101 + "]" * 101

FENCED = {
    "plain": f"```\n{OURS}\n```",
    "language": f"```json\n{OURS}\n```",
    "other signs in the language": f"```application/x-json5+v2\n{OURS}\n```",
    "language with blanks": f"``` json \n{OURS}\n```",
    "language in braces": f"```{{.json}}\n{OURS}\n```",
    "language in brackets": f"```json [strict]\n{OURS}\n```",
    "no line break at the end": f"```json\n{OURS}```",
    "CRLF": f"```json\r\n{OURS}\r\n```\r\n",
    "one line": f"```{OURS}```",
    "one line with a language": f"```json {OURS}```",
    "longer fence": f"````json\n{OURS}\n````",
    "blanks around": f"\n\n  ```json\n\n{OURS}\n\n  ```  \n",
}


@pytest.mark.parametrize("text", FENCED.values(), ids=FENCED.keys())
def test_a_fence_is_taken_off(text):
    """One code fence around the JSON goes, however it is written (conformance 196)."""
    assert StructuredAnswer(OURS) == structured_answer(text, SCHEMA)


@pytest.mark.parametrize("blank", ["\u2028", "\x0b", "\u00a0", " \u3000\n"])
def test_what_json_does_not_take_for_blank_goes(blank):
    """A parser of the client's would refuse the whole answer for it."""
    assert StructuredAnswer(OURS) == structured_answer(f"{blank}{OURS}{blank}", SCHEMA)


def test_json_that_begins_on_the_line_of_the_fence():
    """JSON of several lines may share its first one with the fence."""
    assert '{\n"a": 1\n}' == structured_answer('```json {\n"a": 1\n}```', SCHEMA).text
    assert '{\n"a": 1\n}' == structured_answer('```{\n"a": 1\n}\n```', SCHEMA).text


def test_json_that_is_no_container():
    """A number or a text is JSON too, and may hold a fence."""
    assert "5" == structured_answer("```json\n5\n```", {}).text
    assert '"```json\\n5```"' == structured_answer('"```json\\n5```"', {}).text


def test_json_without_a_fence_stays_to_the_character():
    """Blanks around it are the model's."""
    assert StructuredAnswer(f" {OURS}\n") == structured_answer(f" {OURS}\n", SCHEMA)


REFUSED = {
    "no JSON": ("Sure!", "Your answer is not valid JSON: "),
    "words around": (f"Here: {OURS}", "Your answer is not valid JSON: "),
    "broken in a fence": (
        '```json\n{"a": 1,}\n```',
        "Your answer is not valid JSON: trailing comma",
    ),
    "broken without a language": ('```\n{"a": 1,}\n```', "Your answer is not valid JSON: trailing"),
    "only a fence": ("```\n```", "Your answer is not valid JSON: "),
    "half a fence": (f"```json\n{OURS}", "Your answer is not valid JSON: "),
    "NaN": ('{"a": NaN}', "Your answer is not valid JSON: "),
    "missing": ("{}", "Your answer does not fit the schema: a: is required."),
    "too deep": (DEEP, "Your answer does not fit the schema: it is nested more than 100 levels"),
    "far too deep": ("[" * 90_000 + "]" * 90_000, "Your answer is not valid JSON: "),
    "wrong beside a surrogate": ('{"b": "\ud800"}', "Your answer does not fit the schema: a: is "),
}


@pytest.mark.parametrize(("text", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_wrong_is_said(text, error):
    """The model is told in one sentence; its text stays."""
    answer = structured_answer(text, SCHEMA)

    assert text == answer.text
    assert answer.error.startswith(error)
    answer.error.encode()


@pytest.mark.parametrize("odd", ['"\\ud800"', '"\ud800"', "1" * 40, f"-{10**40}"])
def test_odd_values_are_json(odd):
    """Lone surrogates and integers beyond 64 bits do not make an answer invalid."""
    text = f'{{"a": 1, "b": {odd}}}'

    assert StructuredAnswer(text) == structured_answer(text, SCHEMA)


def test_a_schema_that_cannot_be_applied():
    """The answer passes, and why it was not held against the schema is kept."""
    answer = structured_answer("{}", {"properties": []})

    assert ("", True) == (answer.error, "cannot be applied" in answer.unchecked)


SLOW = ("```json\n" + "\n" * 50_000 + "x", "```" * 50_000, "```\n" + "\n " * 50_000 + "x```")


@pytest.mark.parametrize("text", SLOW, ids=range(len(SLOW)))
def test_taking_off_a_fence_is_quick(text):
    """The time is linear in the text."""
    started = time.process_time()

    structured_answer(text, {})

    assert time.process_time() - started < 5
