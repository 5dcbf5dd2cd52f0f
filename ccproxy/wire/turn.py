"""A local model's turn, held back and checked before a client acts on it. Pure.

Rules:
1. Text and thinking flow. From the first tool call on everything is held until the turn is over:
   a call is relayed only when every call of its turn is known to be allowed and valid.
2. With a forced call (`tool_choice` any or tool) or a wanted JSON answer everything is held from
   the start. Text beside a forced call is dropped, since Claude writes none there.
3. A call's name must be an offered one; a name that is an offered one but for letter case and
   punctuation, and of one tool only, is taken for it. Its input is checked and coerced by
   `wire.tool_arguments`.
4. Calls beyond `max_calls` are dropped unchecked.
5. A turn that the token limit cut off is not to blame: calls that are invalid then are dropped, a
   forced call may be missing, and JSON may be half; the client is told `max_tokens`.
6. Otherwise invalid calls, a missing forced call and a JSON answer that does not fit its schema are
   a `Complaint`: what the model is shown in its one repair turn. Of that turn only the calls, or
   the JSON, are used: its calls take the place of the invalid ones. Where nothing but calls of
   tools that do not exist was wrong, words are an answer to that, and are used as well.
7. Without any offered tool calls are let through, and the assembler tells them as text; beside a
   wanted JSON answer they are dropped.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from ccproxy.ports import ModelDelta, ToolCall
from ccproxy.wire.notes import note
from ccproxy.wire.structured import structured_answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ccproxy.wire.offered_tools import OfferedTools

MADE: Final = "made"
RECOVERED: Final = "recovered"
RENAMED: Final = "renamed"
COERCED: Final = "coerced"
INVALID: Final = "invalid"
NOT_OFFERED: Final = "not_offered"
MISSING: Final = "missing"
DROPPED: Final = "dropped"
UNCHECKED: Final = "unchecked"
REPAIRED: Final = "repaired"
LOST: Final = "lost"
"""What can be counted of a model's tool calls; docs/tool-calls.md says what each means."""

_PUNCTUATION: Final = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the request wants of the model's turn."""

    tools: OfferedTools
    """The tools it may call; possibly none."""
    demand: str = ""
    """What the model was told where it must call a tool; empty where it need not."""
    max_calls: int | None = None
    response_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Complaint:
    """What was wrong with a turn, as messages of the chat shape that follow the conversation."""

    messages: tuple[Mapping[str, Any], ...]


@dataclass(slots=True)
class _Held:
    """One held step of the answer: words, or one call and what is wrong with it."""

    delta: ModelDelta
    errors: tuple[str, ...] = ()
    is_offered: bool = True

    @property
    def call(self) -> ToolCall | None:
        return self.delta.tool_calls[0] if self.delta.tool_calls else None


@dataclass(slots=True)
class Turn:
    """One turn of a model as it comes in; used once.

    Attributes:
        counts: How often what happened to its tool calls.
        notes: `name=tool` for what was changed or left out.
        holds_all: Nothing is relayed before the turn is over; so it is for a repair turn.
    """

    wanted: Wanted
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    holds_all: bool = False
    _held: list[_Held] = field(default_factory=list)
    _texts: list[str] = field(default_factory=list)
    _calls: int = 0

    def __post_init__(self) -> None:
        """Hold everything where a call or JSON has to come of it (rule 2)."""
        demands = bool(self.wanted.demand) or self.wanted.response_schema is not None
        self.holds_all = self.holds_all or demands

    def take(self, delta: ModelDelta) -> ModelDelta | None:
        """Take a step of the answer; return what of it may be relayed at once."""
        words = replace(delta, tool_calls=()) if delta.tool_calls else delta
        if words.text:
            self._texts.append(words.text)
        passed = None
        if words.text or words.thinking:
            if self._held or self.holds_all:
                self._held.append(_Held(words))
            else:
                passed = words
        for call in delta.tool_calls:
            self._take_call(call)
        return passed

    def complaint(self, *, cut_off: bool) -> Complaint | None:
        """Return what is wrong with the turn, or None; asked once, when the turn is over.

        Args:
            cut_off: The model ran into its token limit (rule 5).
        """
        if cut_off:
            self._drop_invalid()
            return None
        if any(held.errors for held in self._held):
            return Complaint((self._said(), *self._results()))
        wanted = self.wanted
        if self._calls:
            return None
        if wanted.demand:
            self.counts[MISSING] += 1
            words = f"You answered without calling a tool. {wanted.demand}"
            return Complaint((self._said(), {"role": "user", "content": words}))
        if wanted.response_schema is not None:
            error = self._settle_json(wanted.response_schema)
            if error:
                words = f"{error} Answer again, with nothing but JSON that fits the schema."
                return Complaint((self._said(), {"role": "user", "content": words}))
        return None

    def mend(self, repair: Turn, *, cut_off: bool) -> bool:
        """Put what the repair turn did right in the place of what this turn did wrong.

        Returns False where the repair turn is wrong as well, or brought nothing.
        """
        wrong = [held for held in self._held if held.errors]
        is_right = not cut_off and repair.complaint(cut_off=False) is None
        if not wrong and self.wanted.response_schema is not None and is_right:
            self._held = repair._held
            self.notes.append("structured_output_repaired")
            return True
        words_do = bool(wrong) and not any(held.is_offered for held in wrong)
        kept = {_same(held.call) for held in self._held if held.call and not held.errors}
        mended = [
            held
            for held in repair._held
            if (_same(held.call) not in kept if held.call else words_do)
        ]
        if not is_right or not mended:
            self.counts[LOST] += 1
            return False
        self._replace_invalid(mended)
        for held in mended:
            if held.call is not None:
                self._count(REPAIRED, held.call.name)
        return True

    def release(self) -> Iterable[ModelDelta]:
        """Yield what was held, in order; the turn is known to be right, or was cut off."""
        forced = bool(self.wanted.demand)
        for held in self._held:
            if forced and held.delta.text:
                continue
            yield held.delta

    # --- calls ---------------------------------------------------------------------------------

    def _take_call(self, call: ToolCall) -> None:
        self.counts[MADE] += 1
        wanted = self.wanted
        if wanted.max_calls is not None and self._calls >= wanted.max_calls:
            self._count(DROPPED, call.name)
            return
        offered = wanted.tools.names
        if not offered:
            self._take_unasked_call(call)
            return
        self._calls += 1
        name = _offered_name(call.name, offered)
        if name is None:
            self.counts[NOT_OFFERED] += 1
            error = f"there is no tool of this name; the tools are: {', '.join(offered)}"
            self._held.append(_Held(ModelDelta(tool_calls=(call,)), (error,), is_offered=False))
            return
        if name != call.name:
            self._count(RENAMED, name)
            call = replace(call, name=name)
        checked = wanted.tools.check(call)
        if checked.errors:
            self.counts[INVALID] += 1
        elif checked.unchecked:
            self._count(UNCHECKED, name)
        elif checked.coerced:
            self._count(COERCED, name)
            call = replace(call, arguments=checked.arguments)
        self._held.append(_Held(ModelDelta(tool_calls=(call,)), checked.errors))

    def _take_unasked_call(self, call: ToolCall) -> None:
        if self.wanted.response_schema is not None:
            self._count(DROPPED, call.name)
        else:
            self._held.append(_Held(ModelDelta(tool_calls=(call,))))

    def _replace_invalid(self, mended: Sequence[_Held]) -> None:
        first = next((at for at, held in enumerate(self._held) if held.errors), len(self._held))
        before = [held for held in self._held[:first] if not held.errors]
        after = [held for held in self._held[first:] if not held.errors]
        self._held = [*before, *mended, *after]
        self._calls = sum(held.call is not None for held in self._held)

    def _drop_invalid(self) -> None:
        for held in self._held:
            if held.call is not None and held.errors:
                self._count(DROPPED, held.call.name)
        self._replace_invalid(())

    def _count(self, what: str, name: str) -> None:
        self.counts[what] += 1
        self.notes.append(note(f"tool_call_{what}", name))

    # --- structured output ---------------------------------------------------------------------

    def _settle_json(self, schema: Mapping[str, Any]) -> str:
        """Return what is wrong with the JSON answer; bring it to its plain form if nothing is."""
        text = "".join(self._texts)
        answer = structured_answer(text, schema)
        if answer.error:
            return answer.error
        if answer.text != text:
            self.notes.append("structured_output_unwrapped")
            thinking = [held for held in self._held if held.delta.thinking]
            thoughts = [_Held(replace(held.delta, text="")) for held in thinking]
            self._held = [*thoughts, _Held(ModelDelta(text=answer.text))]
        return ""

    # --- what the model is shown ---------------------------------------------------------------

    def _said(self) -> dict[str, Any]:
        """Return the turn as an assistant's message."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._texts)}
        calls = [
            {
                "id": _call_id(position, held),
                "type": "function",
                "function": {
                    "name": held.delta.tool_calls[0].name,
                    "arguments": dict(held.delta.tool_calls[0].arguments),
                },
            }
            for position, held in self._called()
        ]
        if calls:
            message["tool_calls"] = calls
        return message

    def _results(self) -> Iterable[dict[str, Any]]:
        for position, held in self._called():
            name = held.delta.tool_calls[0].name
            if held.errors:
                told = f"Error: {'; '.join(held.errors)}. The call was not made: make it again, "
                told += "corrected. Do not repeat the other calls."
            else:
                told = "Accepted. Do not repeat this call."
            yield {
                "role": "tool",
                "content": told,
                "tool_call_id": _call_id(position, held),
                "tool_name": name,
            }

    def _called(self) -> list[tuple[int, _Held]]:
        calls = [held for held in self._held if held.call is not None]
        return list(enumerate(calls))


def _call_id(position: int, held: _Held) -> str:
    return held.delta.tool_calls[0].id or f"call_{position}"


def _same(call: ToolCall) -> tuple[str, str]:
    return call.name, repr(call.arguments)


def _offered_name(name: str, offered: Sequence[str]) -> str | None:
    """Return the offered tool that a name means, or None."""
    if name in offered:
        return name
    folded = _PUNCTUATION.sub("", name.lower())
    meant = [each for each in offered if _PUNCTUATION.sub("", each.lower()) == folded]
    return meant[0] if len(meant) == 1 and folded else None
