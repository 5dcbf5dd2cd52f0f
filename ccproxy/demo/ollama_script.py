"""What the simulated model answers, decided from the conversation alone.

The text that counts is the last user message without `<system-reminder>` blocks (clients and
proxies add those). In order:
1. It asks to `Respond with TEXT ONLY`, as Claude Code does when it compacts: a `<summary>`.
2. The conversation ends in tool results: a final text that quotes them; but a call whose result
   begins with `Error:` and that was not what 3 to 5 make of the text is made again, as they do.
3. `use the NAME tool` with an offered NAME: a call of it. With `with {JSON}` right after it those
   are the arguments, else the first `with {JSON}` there is, else they are made up from the tool's
   schema and quoted or backticked words. Several names, or `N times`, give parallel calls.
4. `run` or `execute` before backticks, and a tool that takes a `command` (e.g. `Bash`) is
   offered: a call with the backticked command.
5. `must call the tool NAME` or `must call one of the ... tools`: a call as in 3.
6. `format` asks for JSON: JSON that fits the schema.
7. `N words` (or tokens): a text of that many words.
8. Anything else: a short text that varies with the question and is the same every time.
Every text starts with `[simulated MODEL]`, because nobody shall mistake it for a model's.
With thinking switched on, a line of it comes first.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.demo.given_input import given_input

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccproxy.demo.ollama_requests import GenerationCall, JsonObject

_REMINDER: Final = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)
_USE_TOOL: Final = re.compile(
    r"\buse (?:the |an? )?`?([\w.:-]+)`? tool(?:,? (\d+) times)?", re.IGNORECASE
)
_ALSO_TOOL: Final = re.compile(r"\band (?:the |an? )?`?([\w.:-]+)`? tool", re.IGNORECASE)
_RUN_COMMAND: Final = re.compile(r"\b(?:run|execute)\b[^`]{0,200}`+([^`]+)`+", re.IGNORECASE)
_TEXT_ONLY: Final = "Respond with TEXT ONLY"
_SUMMARY: Final = "<summary>The task is under way; what was done so far is done.</summary>"
_WITH: Final = " with "
_FORCED: Final = re.compile(r"\bmust call (?:the tool ([\w-]+)|one of the (?:\w+ )?tools)")
_LENGTH: Final = re.compile(r"\b(\d{1,6}) (?:words|tokens)\b")
_QUOTED: Final = re.compile(r"`([^`]+)`|\"([^\"]+)\"")
_PIECE: Final = re.compile(r"\s*\S{1,12}|\s+")
_QUOTE_CHARS: Final = 400
_MAX_PARALLEL_CALLS: Final = 16
_OPENINGS: Final = (
    "Here is what I make of it.",
    "A short answer first, the reasons after it.",
    "Let me take this step by step.",
    "I looked at this from two sides.",
)
_MIDDLES: Final = (
    "The smallest change that works is usually the right one, and a test beside it keeps it so.",
    "I would name the invariant first, then the function that keeps it.",
    "Measure before you tune: the slow part is rarely where one expects it — naïve guesses fail.",
    "Split the decision from the effect, and both become easy to check. ✓",
)
_WORDS: Final = ("local", "models", "answer", "with", "steady", "words", "about", "agents")


@dataclass(frozen=True, slots=True)
class AnswerCall:
    """One tool call of an answer."""

    name: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer, before stop strings and limits cut it."""

    text: str = ""
    thinking: str = ""
    calls: tuple[AnswerCall, ...] = ()


def decide(call: GenerationCall, *, thinks: bool) -> Answer:
    """Return the answer to a call, following the module's numbered list."""
    text = last_user_text(call.messages)
    thinking = f"The user wants: {_excerpt(text, 80)} I will answer briefly." if thinks else ""
    results = _trailing_tool_results(call.messages)
    label = f"[simulated {call.model}]"
    if _TEXT_ONLY in text:  # (1)
        return Answer(f"{label} {_SUMMARY}", thinking)
    calls = _asked_calls(text, call.tools) or _shell_call(text, call.tools)  # (3), (4)
    calls = calls or _forced_call(text, call.tools)  # (5)
    if results:  # (2)
        calls = _corrected(calls, call.messages, results)
    if calls:
        return Answer("", thinking, calls)
    if results:
        quoted = " | ".join(_excerpt(result, _QUOTE_CHARS) for result in results)
        return Answer(f"{label} The tool returned: {quoted}", thinking)
    if call.format:  # (6)
        schema = call.format if isinstance(call.format, dict) else {"type": "object"}
        value = example(schema, (f"{label} {_excerpt(text, 40)}",))
        return Answer(orjson.dumps(value).decode(), thinking)
    length = _LENGTH.search(text)
    if length:  # (7)
        words = (_WORDS[index % len(_WORDS)] for index in range(int(length[1])))
        return Answer(f"{label} {' '.join(words)}", thinking)
    return Answer(f"{label} {_plain(text)}", thinking)  # (8)


def last_user_text(messages: Sequence[JsonObject]) -> str:
    """Return the last user message that says something besides reminders, or an empty string."""
    for message in reversed(messages):
        if message.get("role") == "user":
            text = _REMINDER.sub("", message.get("content") or "").strip()
            if text:
                return text
    return ""


def pieces_of(text: str) -> list[str]:
    """Cut a text into what the simulation generates one by one; joined they are the text."""
    return _PIECE.findall(text)


def example(schema: Any, words: Sequence[str] = ()) -> Any:  # noqa: ANN401 - JSON Schema in, JSON out
    """Return a value that fits a JSON Schema; strings take `words` in turn."""
    remaining = list(words)
    return _example(schema if isinstance(schema, dict) else {}, remaining)


def _example(schema: JsonObject, words: list[str]) -> Any:  # noqa: ANN401 - JSON
    if schema.get("enum"):
        return schema["enum"][0]
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        return _example(branches[0], words)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties") or {}
        wanted = schema.get("required") or list(properties)
        return {name: _example(properties.get(name) or {}, words) for name in wanted}
    if kind == "array":
        return [_example(schema["items"], words)] if isinstance(schema.get("items"), dict) else []
    constants: dict[str, Any] = {"integer": 1, "number": 1.5, "boolean": True, "null": None}
    if kind in constants:
        return constants[kind]
    return words.pop(0) if words else "simulated"


def _trailing_tool_results(messages: Sequence[JsonObject]) -> list[str]:
    """Return the tool results at the end; user messages of nothing but reminders don't count."""
    results: list[str] = []
    for message in reversed(messages):
        if message.get("role") == "tool":
            results.insert(0, message.get("content") or "(empty)")
            continue
        speaks = bool(_REMINDER.sub("", message.get("content") or "").strip())
        if results or speaks or message.get("role") not in ("user", "system"):
            break
    return results


def _function_of(tool: JsonObject) -> JsonObject:
    return tool.get("function") or {}


def _asked_calls(text: str, tools: Sequence[JsonObject]) -> tuple[AnswerCall, ...]:
    offered = {str(_function_of(tool).get("name", "")): _function_of(tool) for tool in tools}
    first = _USE_TOOL.search(text)
    if first is None:
        return ()
    words = [left or right for left, right in _QUOTED.findall(text)]
    words = [word for word in words if word not in offered]
    anywhere = given_input(text)
    calls: list[AnswerCall] = []
    read_up_to = 0
    for match in _tools_named(text, first.end()):
        name = match[1]
        if name not in offered or match.start() < read_up_to:
            continue
        own, read_up_to = _input_at(text, match.end())
        arguments = anywhere if own is None else own
        if arguments is None:
            arguments = example(offered[name].get("parameters"), words) or {}
        calls += [AnswerCall(name, arguments)] * int((match.re is _USE_TOOL and match[2]) or 1)
    return tuple(calls[:_MAX_PARALLEL_CALLS])


def _tools_named(text: str, first_ends: int) -> list[re.Match[str]]:
    named = [*_USE_TOOL.finditer(text), *_ALSO_TOOL.finditer(text, first_ends)]
    return sorted(named, key=lambda match: match.start())


def _input_at(text: str, position: int) -> tuple[JsonObject | None, int]:
    """Return the JSON object behind ` with ` at a position, and where it ends."""
    start = position + len(_WITH)
    if text[position:start] != _WITH or text[start : start + 1] != "{":
        return None, position
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
    except ValueError:
        return None, position
    return value, end


def _corrected(
    right: Sequence[AnswerCall], messages: Sequence[JsonObject], results: Sequence[str]
) -> tuple[AnswerCall, ...]:
    """Return the calls that were refused because they were not made as they should have been."""
    made: Sequence[JsonObject] = next(
        (message["tool_calls"] for message in reversed(messages) if message.get("tool_calls")), ()
    )
    functions = [item.get("function") or {} for item in made]
    return tuple(
        call
        for call, function, result in zip(right, functions, results, strict=False)
        if result.startswith("Error:")
        and (function.get("name"), function.get("arguments")) != (call.name, call.arguments)
    )


def _shell_call(text: str, tools: Sequence[JsonObject]) -> tuple[AnswerCall, ...]:
    commands = _RUN_COMMAND.findall(text)
    if not commands:
        return ()
    for tool in tools:
        function = _function_of(tool)
        parameters = function.get("parameters") or {}
        if "command" in (parameters.get("properties") or {}):
            arguments = {"command": commands[-1].strip()}
            if "description" in (parameters.get("properties") or {}):
                arguments["description"] = "Run the command from the prompt"
            return (AnswerCall(str(function.get("name", "")), arguments),)
    return ()


def _forced_call(text: str, tools: Sequence[JsonObject]) -> tuple[AnswerCall, ...]:
    forced = _FORCED.search(text)
    for tool in tools if forced else ():
        function = _function_of(tool)
        name = str(function.get("name", ""))
        if forced and forced[1] in (None, name):
            return (AnswerCall(name, example(function.get("parameters")) or {}),)
    return ()


def _plain(text: str) -> str:
    seed = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    opening = _OPENINGS[seed[0] % len(_OPENINGS)]
    middle = _MIDDLES[seed[1] % len(_MIDDLES)]
    return f'{opening} You asked: "{_excerpt(text, 60)}" {middle}'


def _excerpt(text: str, limit_chars: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit_chars else flat[: limit_chars - 1] + "…"
