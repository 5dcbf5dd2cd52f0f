"""Bad habits of local models: right in what they mean, wrong in how they say it.

A habit is applied to a finished answer (`ollama_script`) just before it is sent, to the first
answer that it fits: one about calls waits for an answer with calls. Each is used once, in the order
in which they were named, or for good with `always`. What an answer was changed by stands in its
entry of `/_sim/log`, as `habit`.

`POST /_sim/habits` takes `{"habits": ["bare_json", ...], "always": false}`.

A model is not hopeless: shown a tool result that begins with `Error:` for a call that it had wrong,
it makes that call again as it should be, and only that one (`ollama_script`, rule 2).

Sources of the forms: docs/tool-calls.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.demo.ollama_script import Answer, AnswerCall

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ccproxy.demo.ollama_requests import GenerationCall, JsonObject

BEFORE: Final = "I will do that at once."
AFTER: Final = "That should do it."
THOUGHT: Final = "Nobody asked me to think, and still I do."


class Habit(StrEnum):
    """Everything that can be wrong with the way an answer is given."""

    # Calls written as text instead of made.
    BARE_JSON = "bare_json"
    FENCED_JSON = "fenced_json"
    TOOL_CALL_TAGS = "tool_call_tags"
    """JSON in `<tool_call>`."""
    FUNCTION_TAGS = "function_tags"
    """`<function=NAME><parameter=KEY>`, in `<tool_call>`."""
    HALF_OPEN_TAG = "half_open_tag"
    """A `<tool_call>` whose end is missing but for its first letters."""
    IN_A_ROW = "in_a_row"
    """Two calls or more as bare JSON, one on each line."""
    BETWEEN_WORDS = "between_words"
    """`<tool_call>` with a sentence before and one after it."""
    # Calls that are wrong.
    WRONG_TYPES = "wrong_types"
    """Numbers and booleans as strings, `"5"` for 5."""
    MISSING_ARGUMENT = "missing_argument"
    """The first call lacks its first required argument."""
    UNKNOWN_TOOL = "unknown_tool"
    """The first call is of a tool that nobody offered."""
    OTHER_LETTERS = "other_letters"
    """Names in lower case."""
    WORDS_INSTEAD = "words_instead"
    """A sentence about the call in its place."""
    # Other answers.
    FENCED_ANSWER = "fenced_answer"
    """JSON that was asked for by `format`, in a fence."""
    EXPLAINED_ANSWER = "explained_answer"
    """The same with a sentence before it."""
    THINKS_UNASKED = "thinks_unasked"
    """Thinking in its own field, though it was not switched on."""
    THINKS_ALOUD = "thinks_aloud"
    """Thinking in `<think>` at the beginning of the text."""


@dataclass(slots=True)
class Habits:
    """What a machine's models do wrong from now on."""

    once: list[Habit]
    always: list[Habit]

    def clear(self) -> None:
        """Let them behave."""
        self.once.clear()
        self.always.clear()

    def take(self, answer: Answer, call: GenerationCall) -> Habit | None:
        """Return the first habit that fits an answer; one that is meant once is forgotten."""
        for habit in self.once:
            if _fits(habit, answer, call):
                self.once.remove(habit)
                return habit
        return next((habit for habit in self.always if _fits(habit, answer, call)), None)


def habits_from_json(value: Any) -> tuple[list[Habit], bool]:  # noqa: ANN401 - JSON
    """Return the habits of a JSON object, and whether they are for good.

    Raises:
        ValueError: Another shape, or a habit that is not known; says which are.
    """
    names = value.get("habits") if isinstance(value, dict) else None
    always = value.get("always", False) if isinstance(value, dict) else None
    if not isinstance(names, list) or not isinstance(always, bool) or set(value) - _FIELDS:
        msg = 'habits are given as {"habits": [NAME, ...], "always": false}'
        raise ValueError(msg)
    try:
        return [Habit(name) for name in names], always
    except ValueError as exc:
        raise ValueError(f"{exc}; known are {', '.join(Habit)}") from exc


def with_habit(answer: Answer, habit: Habit, call: GenerationCall) -> Answer:
    """Return an answer as a model with this habit gives it; the habit has to fit it."""
    calls = answer.calls
    if habit in _FORMS:
        return replace(answer, text=_FORMS[habit](calls), calls=())
    first, *others = calls or (AnswerCall("", {}),)
    match habit:
        case Habit.WRONG_TYPES:
            wrong = tuple(replace(item, arguments=_as_strings(item.arguments)) for item in calls)
        case Habit.MISSING_ARGUMENT:
            missing = _required(first, call.tools)[0]
            left = {key: value for key, value in first.arguments.items() if key != missing}
            wrong = (replace(first, arguments=left), *others)
        case Habit.UNKNOWN_TOOL:
            wrong = (replace(first, name=f"perform_{first.name}_action"), *others)
        case Habit.OTHER_LETTERS:
            wrong = tuple(replace(item, name=item.name.lower()) for item in calls)
        case Habit.WORDS_INSTEAD:
            return replace(answer, text=f"I would call {first.name} now.", calls=())
        case Habit.FENCED_ANSWER:
            return replace(answer, text=f"```json\n{answer.text}\n```\n")
        case Habit.EXPLAINED_ANSWER:
            return replace(answer, text=f"{BEFORE}\n\n```json\n{answer.text}\n```\n")
        case Habit.THINKS_ALOUD:
            return replace(answer, text=f"<think>\n{THOUGHT}\n</think>\n\n{answer.text}")
        case _:
            return replace(answer, thinking=THOUGHT)
    return replace(answer, calls=wrong)


_FIELDS: Final = {"habits", "always"}


def _fits(habit: Habit, answer: Answer, call: GenerationCall) -> bool:
    calls = answer.calls
    match habit:
        case Habit.FENCED_ANSWER | Habit.EXPLAINED_ANSWER:
            return bool(call.format and answer.text)
        case Habit.THINKS_UNASKED | Habit.THINKS_ALOUD:
            return not answer.thinking
        case Habit.IN_A_ROW:
            return len(calls) > 1
        case Habit.WRONG_TYPES:
            return any(_as_strings(item.arguments) != item.arguments for item in calls)
        case Habit.MISSING_ARGUMENT:
            return bool(calls and _required(calls[0], call.tools))
        case Habit.OTHER_LETTERS:
            return any(item.name != item.name.lower() for item in calls)
        case _:
            return bool(calls)


def _required(call: AnswerCall, tools: Sequence[JsonObject]) -> list[str]:
    """Return the required arguments that a call has."""
    functions = [tool.get("function") or {} for tool in tools]
    schemas = [item.get("parameters") or {} for item in functions if item.get("name") == call.name]
    names = schemas[0].get("required") or [] if schemas else []
    return [name for name in names if name in call.arguments]


def _as_strings(arguments: JsonObject) -> JsonObject:
    return {
        key: _json(value) if isinstance(value, (bool, int, float)) else value
        for key, value in arguments.items()
    }


# --- forms -------------------------------------------------------------------------------------


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _bare(call: AnswerCall) -> str:
    return _json({"name": call.name, "arguments": call.arguments})


def _fenced(call: AnswerCall) -> str:
    return f"```json\n{_bare(call)}\n```"


def _tagged(call: AnswerCall) -> str:
    return f"<tool_call>\n{_bare(call)}\n</tool_call>"


def _functions(call: AnswerCall) -> str:
    parameters = "".join(
        f"<parameter={key}>\n{value if isinstance(value, str) else _json(value)}\n</parameter>\n"
        for key, value in call.arguments.items()
    )
    return f"<tool_call>\n<function={call.name}>\n{parameters}</function>\n</tool_call>"


def _each(form: Callable[[AnswerCall], str]) -> Callable[[Sequence[AnswerCall]], str]:
    return lambda calls: "\n".join(map(form, calls))


def _half_open(calls: Sequence[AnswerCall]) -> str:
    return _each(_tagged)(calls).removesuffix("l_call>")


def _between_words(calls: Sequence[AnswerCall]) -> str:
    return f"{BEFORE}\n\n{_each(_tagged)(calls)}\n\n{AFTER}"


_FORMS: Final = {
    Habit.BARE_JSON: _each(_bare),
    Habit.FENCED_JSON: _each(_fenced),
    Habit.TOOL_CALL_TAGS: _each(_tagged),
    Habit.FUNCTION_TAGS: _each(_functions),
    Habit.HALF_OPEN_TAG: _half_open,
    Habit.IN_A_ROW: _each(_bare),
    Habit.BETWEEN_WORDS: _between_words,
}
