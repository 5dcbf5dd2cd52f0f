"""What is held of a local model's turn: its words and its calls, in order. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal, TypeAlias

from ccproxy.ports import ModelDelta
from ccproxy.wire.stops import StopMatcher
from ccproxy.wire.turn_calls import MadeCall

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    _Kind: TypeAlias = Literal["text", "thinking", "call"]


@dataclass(frozen=True, slots=True, eq=False)
class _Words:
    """One piece of text or thinking."""

    words: str
    is_thinking: bool = False


class TurnSteps:
    """The steps that are held. Behind a stop sequence in their text nothing is taken any more."""

    def __init__(self, stop_sequences: Iterable[str]) -> None:
        """Hold nothing yet."""
        self.stopped = False
        """A stop sequence was found."""
        self._stops = _StopCut(stop_sequences)
        self._steps: list[_Words | MadeCall] = []

    def __bool__(self) -> bool:
        """Return whether anything is held."""
        return bool(self._steps)

    def add_words(self, delta: ModelDelta) -> None:
        """Take thinking, and text up to the end of a stop sequence in it."""
        if self.stopped:
            return
        if delta.thinking:
            if not delta.thinking.isspace():
                self._stops.restart()
            self._steps.append(_Words(delta.thinking, is_thinking=True))
        if delta.text:
            text, self.stopped = self._stops.cut(delta.text)
            self._steps.append(_Words(text))

    def add_call(self, call: MadeCall) -> None:
        """Take a call."""
        if not self.stopped:
            self._stops.restart()
            self._steps.append(call)

    @property
    def calls(self) -> list[MadeCall]:
        """The calls, in order."""
        return [step for step in self._steps if isinstance(step, MadeCall)]

    @property
    def last_call(self) -> MadeCall | None:
        """The call that ends the turn; None where it ends in words."""
        last = self._steps[-1] if self._steps else None
        return last if isinstance(last, MadeCall) else None

    @property
    def text(self) -> str:
        """All text in one."""
        return _joined(step for step in self._steps if _kind(step) == "text")

    def drop(self, calls: Iterable[MadeCall]) -> None:
        """Forget calls."""
        gone = set(calls)
        self._steps = [step for step in self._steps if step not in gone]

    def drop_text(self) -> None:
        """Forget all text."""
        self._steps = [step for step in self._steps if _kind(step) != "text"]

    def replace(self, heirs: Mapping[MadeCall, MadeCall], more: Iterable[MadeCall]) -> None:
        """Put other calls in the place of some, and more at the end."""
        self._steps = [
            heirs.get(step, step) if isinstance(step, MadeCall) else step for step in self._steps
        ]
        self._steps.extend(more)

    def say_only(self, text: str) -> None:
        """Keep nothing but the thinking, and a text behind it."""
        self._steps = [step for step in self._steps if _kind(step) == "thinking"]
        self._steps.append(_Words(text))

    def say_instead(self, text: str, calls: Collection[MadeCall], *, glue: str) -> None:
        """Put a text in the place of all text, where the first of the calls stands, else last.

        Args:
            text: Not empty.
            calls: Some that are held; they stay.
            glue: What joins the text to the words before the held ones, if no call stands between.
        """
        gone = set(calls)
        places = (place for place, step in enumerate(self._steps) if step in gone)
        place = next(places, len(self._steps))
        before = [step for step in self._steps[:place] if _kind(step) != "text"]
        behind = [step for step in self._steps[place:] if _kind(step) != "text"]
        if any(isinstance(step, MadeCall) for step in before):
            glue = ""
        self._steps = [*before, _Words(glue + text), *behind]

    def deltas(self) -> Iterator[ModelDelta]:
        """Yield the steps, neighbouring words of a kind in one piece, and each call alone."""
        for kind, group in groupby(self._steps, _kind):
            match kind:
                case "text":
                    yield ModelDelta(text=_joined(group))
                case "thinking":
                    yield ModelDelta(thinking=_joined(group))
                case "call":
                    for step in group:
                        if isinstance(step, MadeCall):
                            yield ModelDelta(tool_calls=(step.call,))


def _kind(step: _Words | MadeCall) -> _Kind:
    if isinstance(step, MadeCall):
        return "call"
    return "thinking" if step.is_thinking else "text"


def _joined(steps: Iterable[_Words | MadeCall]) -> str:
    return "".join(step.words for step in steps if isinstance(step, _Words))


class _StopCut:
    """Cuts text behind the first stop sequence in it."""

    def __init__(self, stop_sequences: Iterable[str]) -> None:
        self._sequences = tuple(stop_sequences)
        self.restart()

    def restart(self) -> None:
        """Forget what came: a stop sequence does not reach across a block of another kind."""
        self._matcher = StopMatcher(self._sequences)
        self._waiting_chars = 0

    def cut(self, text: str) -> tuple[str, bool]:
        """Return a text up to the end of a stop sequence in it, and whether there is one."""
        safe, matched = self._matcher.feed(text)
        if matched is None:
            self._waiting_chars += len(text) - len(safe)
            return text, False
        return text[: len(safe) + len(matched) - self._waiting_chars], True
