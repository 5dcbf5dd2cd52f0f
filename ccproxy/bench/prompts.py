"""Requests of stated sizes, made of common words in an order that nobody has read before.

The same seed makes the same requests. Each begins with a line of its own, so that no two share a
prefix, but for the turns of one conversation.
"""

from __future__ import annotations

import random
from functools import cache
from importlib.resources import files
from math import floor
from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.estimate import estimate_input_tokens

if TYPE_CHECKING:
    from ccproxy.bench.profiles import Profile

_TOOLS: Final = (
    ("read_file", "Reads a file and returns its text.", ("path",)),
    ("edit_file", "Replaces a text in a file by another.", ("path", "old_text", "new_text")),
    ("run_command", "Runs a command in the project's folder.", ("command",)),
    ("search_text", "Finds lines that match a pattern.", ("pattern", "folder")),
    ("list_files", "Lists the files of a folder.", ("folder",)),
    ("write_note", "Keeps a note for later turns.", ("title", "text")),
    ("fetch_page", "Fetches a page of the documentation.", ("address",)),
    ("ask_person", "Asks the person a question.", ("question",)),
)
MOST_TOOLS: Final = len(_TOOLS)
_SENTENCE_WORDS: Final = (6, 16)
_MARK: Final = {"cache_control": {"type": "ephemeral"}}
_LINE_TOKENS: Final = 15.0
_SIZE_STEPS: Final = 6
"""How often a text's length is corrected to come near the size that was asked for."""


def conversation(profile: Profile, key: str) -> list[dict[str, Any]]:
    """Return the requests of one task, without their model; each turn contains the one before.

    Args:
        profile: What they ask for.
        key: Tells tasks apart; the same makes the same requests.
    """
    maker = _Maker(profile, key)
    body = maker.first()
    bodies = [body]
    for turn in range(1, profile.turns):
        body = maker.next(body, turn)
        bodies.append(body)
    if profile.cached:
        return [_marked(each) for each in bodies]
    return bodies


@cache
def _words() -> tuple[str, ...]:
    return tuple((files("ccproxy.bench") / "words.txt").read_text().split())


class _Maker:
    """Makes the requests of one task."""

    def __init__(self, profile: Profile, key: str) -> None:
        self._profile = profile
        self._key = key
        self._random = random.Random(key)  # noqa: S311 - it has to come again

    def first(self) -> dict[str, Any]:
        """Return the first request, of the profile's size by our estimate."""
        profile = self._profile
        # One word of a sentence more than the answer may have tokens, so that it ends at its limit.
        wish = f"Write about {profile.output_tokens} words on all of this, without a stop."
        if profile.forced:
            wish = f"Use the {_TOOLS[0][0]} tool now, with a path that fits the text above."
        tools = [_tool(*each) for each in _TOOLS[: profile.tools]]
        case = f"Case {self._random.getrandbits(64):016x}."
        system = f"{case} You are a careful assistant of a software team."

        def body(text: str) -> dict[str, Any]:
            made: dict[str, Any] = {
                "max_tokens": profile.output_tokens,
                "system": [{"type": "text", "text": system}],
                "messages": [{"role": "user", "content": [_text(f"{text}\n\n{wish}")]}],
            }
            if tools:
                made["tools"] = tools
            if profile.forced:
                made["tool_choice"] = {"type": "any"}
            return made

        return body(self._filler(profile.input_tokens, lambda text: _size(body(text))))

    def next(self, before: dict[str, Any], turn: int) -> dict[str, Any]:
        """Return the request after one more tool call and its result."""
        call_id = f"toolu_bench{self._random.getrandbits(40):010x}{turn:02d}"
        name, _, inputs = _TOOLS[turn % max(1, self._profile.tools)]
        call = {
            "type": "tool_use",
            "id": call_id,
            "name": name,
            "input": {each: " ".join(self._draw(2)) for each in inputs},
        }

        def body(text: str) -> dict[str, Any]:
            result = {"type": "tool_result", "tool_use_id": call_id, "content": [_text(text)]}
            said = [_text(" ".join(self._opening(turn))), call]
            messages = [
                *before["messages"],
                {"role": "assistant", "content": said},
                {"role": "user", "content": [result]},
            ]
            return {**before, "messages": messages}

        wanted = _size(before) + self._profile.result_tokens
        return body(self._filler(wanted, lambda text: _size(body(text))))

    def _filler(self, wanted_tokens: int, size: Any) -> str:  # noqa: ANN401 - a function of a text
        """Return a text with which a request has about so many tokens; empty where it has more."""
        lines: list[str] = []
        empty = size("")
        missing, per_line = wanted_tokens - empty, _LINE_TOKENS
        for _ in range(_SIZE_STEPS):
            more = floor(missing / per_line)
            if more == 0:
                break
            if more > 0:
                lines += [self._line() for _ in range(more)]
            else:
                del lines[more:]
            found = size("\n".join(lines))
            per_line = max(1.0, (found - empty) / max(1, len(lines)))
            missing = wanted_tokens - found
        text = "\n".join(lines)
        while size(longer := f"{text} {self._draw(1)[0]}") <= wanted_tokens:
            text = longer
        return text

    def _line(self) -> str:
        if self._profile.text == "code":
            first, second, third, fourth = self._draw(4)
            return f"    {first}_{second} = {third}.{fourth}({self._random.randrange(1000)})"
        words = self._draw(self._random.randint(*_SENTENCE_WORDS))
        return " ".join(words).capitalize() + "."

    def _draw(self, count: int) -> list[str]:
        return self._random.choices(_words(), k=count)

    def _opening(self, turn: int) -> list[str]:
        return random.Random(f"{self._key} {turn}").choices(_words(), k=12)  # noqa: S311 - as above


def _size(body: dict[str, Any]) -> int:
    return estimate_input_tokens(body)


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _tool(name: str, description: str, inputs: tuple[str, ...]) -> dict[str, Any]:
    properties = {each: {"type": "string", "description": f"The {each} to use."} for each in inputs}
    schema = {"type": "object", "properties": properties, "required": list(inputs)}
    return {"name": name, "description": description, "input_schema": schema}


def _marked(body: dict[str, Any]) -> dict[str, Any]:
    """Return a request with cache marks as an agent sets them; the given one stays as it is."""
    *system, last_system = body["system"]
    *messages, last = body["messages"]
    *blocks, last_block = last["content"]
    return {
        **body,
        "system": [*system, last_system | _MARK],
        "messages": [*messages, last | {"content": [*blocks, last_block | _MARK]}],
    }
