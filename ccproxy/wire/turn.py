"""A local model's turn, held back and checked before a client acts on it. Pure.

What flows and what is held:
1. Text and thinking flow. From the first tool call on everything is held until the turn is over:
   a call is relayed only when every call of its turn is known to be allowed and valid.
2. With a forced call (`tool_choice` any or tool) or a wanted JSON answer everything is held from
   the start. Text beside a forced call is dropped, since Claude writes none there; it is not
   looked at for stop sequences either.
3. A stop sequence in held text ends the turn behind it: what the model said or called after that
   does not exist. In text that flows it is the assembler's to find.

What is right, when the turn is over (`settle`):
4. Calls, by the rules of `turn_calls`. Without any offered tool they are let through, and the
   assembler tells them as text; beside a wanted JSON answer they are dropped.
5. A turn that the token limit cut off is not to blame, nor is one that a stop sequence ended for
   the words it lacks: JSON may be half, and at the token limit invalid calls are dropped and a
   forced call may be missing; the client is told `max_tokens`.
6. Otherwise invalid calls, a forced call that is missing, JSON that does not fit its schema and
   a turn without call or word after an unclosed `<think>` are a `Complaint`: what the model is
   shown in its one repair turn.
7. A JSON answer is one text, with the thinking before it.

What a repair turn may bring (`mend`); its thinking is not used, and it must end by itself:
8. Calls: each takes the place of a wrong one, of the same tool first. They must be right; repeats
   of a call that was right, and words beside calls, are ignored. A wrong call that nothing takes
   the place of is dropped.
9. Nothing new, where another call of the first turn was right: the wrong ones are dropped.
10. Words, where there was nothing wrong but calls of tools that do not exist, or a `<think>`: they
    take the place of all words that were held. JSON, where that is wanted; it must fit.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ccproxy.ports import ModelDelta
from ccproxy.wire.normalise_content import SEPARATOR
from ccproxy.wire.notes import note
from ccproxy.wire.repair import UNCLOSED, about_calls, about_words
from ccproxy.wire.structured import structured_answer
from ccproxy.wire.turn_calls import (
    DROPPED,
    INVALID,
    LOST,
    MADE,
    MISSING,
    NOT_OFFERED,
    RECOVERED,
    REPAIRED,
    MadeCall,
    SortedCalls,
    heirs,
    judged,
    sort_calls,
    without_repeats,
)
from ccproxy.wire.turn_steps import TurnSteps

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ccproxy.ports import ToolCall
    from ccproxy.wire.offered_tools import OfferedTools


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the request wants of the model's turn."""

    tools: OfferedTools
    """The tools it may call; possibly none."""
    demand: str = ""
    """What the model was told where it must call a tool; empty where it need not."""
    max_calls: int | None = None
    response_schema: Mapping[str, Any] | None = None
    stop_sequences: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Complaint:
    """What was wrong with a turn, as messages of the chat shape that follow the conversation."""

    messages: tuple[Mapping[str, Any], ...]


@dataclass(slots=True)
class Turn:
    """One turn of a model as it comes in; used once.

    Attributes:
        counts: How often what happened to its tool calls, in the words of `turn_calls`; gained when
            the turn is settled and when it is mended.
        notes: `name=tool` for what was changed or left out.
        holds_all: Nothing is relayed before the turn is over; so it is for a repair turn, whose
            counts and notes are its own until `mend` takes over what holds for both.
        unclosed: What the model thought behind a `<think>` in its text that it never closed.
    """

    wanted: Wanted
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    holds_all: bool = False
    unclosed: str | None = None
    _held: TurnSteps = field(init=False)
    _relayed: list[str] = field(default_factory=list)
    """The text that flowed, where a complaint about a later call may have to show it."""
    _has_relayed: bool = False
    """Words that are not all whitespace."""
    _wrong: list[MadeCall] = field(default_factory=list)
    _is_missing: bool = False
    """A forced call was not made."""

    def __post_init__(self) -> None:
        """Hold everything where a call or JSON has to come of it (rule 2)."""
        wanted = self.wanted
        demands = bool(wanted.demand) or wanted.response_schema is not None
        self.holds_all = self.holds_all or demands
        self._held = TurnSteps(() if wanted.demand else wanted.stop_sequences)

    @property
    def stopped(self) -> bool:
        """True once a stop sequence was found in held text: the rest need not be read."""
        return self._held.stopped

    def take(self, delta: ModelDelta) -> ModelDelta | None:
        """Take a step of the answer; return what of it may be relayed at once."""
        passed = None
        if self._held or self.holds_all:
            self._held.add_words(delta)
        elif delta.thinking or delta.text:
            passed = ModelDelta(delta.thinking, delta.text)
            self._has_relayed = self._has_relayed or bool(delta.text.strip())
            if delta.text and self.wanted.tools.names:
                self._relayed.append(delta.text)
        for call in delta.tool_calls:
            self.take_call(call)
        return passed

    def take_call(self, call: ToolCall, *, is_recovered: bool = False) -> None:
        """Take one call.

        Args:
            call: As the model made it.
            is_recovered: It was written as text.
        """
        tools = self.wanted.tools
        made = judged(call, tools, is_recovered=is_recovered) if tools.names else MadeCall(call)
        self._held.add_call(made)

    def settle(self, *, cut_off: bool) -> Complaint | None:
        """Decide what counts, and return what is wrong, or None; once, when the turn is over.

        Args:
            cut_off: The model ran into its token limit (rule 5).
        """
        wanted, held = self.wanted, self._held
        calls = self._sorted_calls(held.calls, wanted.max_calls)
        half = held.last_call if cut_off else None
        self._tally(calls, [each for each in calls.wrong if each is not half])
        self._drop(calls.dropped)
        if cut_off:
            self._drop(calls.wrong)
        elif calls.wrong:
            self._wrong = calls.wrong
            return Complaint(about_calls(self._said(), held.calls, wanted.tools.names))
        if calls.kept:
            return None
        if cut_off or self.stopped:
            if wanted.response_schema is not None:
                held.say_only(held.text)
            return None
        told = self._complaint_about_words()
        return Complaint(about_words(self._said(), told)) if told else None

    def mend(self, repair: Turn, *, cut_off: bool) -> bool:
        """Put what the repair turn brought in the place of what this turn did wrong.

        Returns False where the repair turn is wrong as well, or brought nothing.

        Args:
            repair: A turn that holds all; it is not settled.
            cut_off: The repair turn ran into its token limit.
        """
        if cut_off or not self._take_over(repair):
            self.give_up()
            return False
        self.notes.extend(repair.notes)
        return True

    def give_up(self) -> None:
        """Count the calls that no repair turn brought."""
        if lost := len(self._wrong) or int(self._is_missing):
            self.counts[LOST] += lost

    def release(self) -> Iterator[ModelDelta]:
        """Yield what was held, in order, neighbouring words in one piece; the turn is settled."""
        if self.wanted.demand:
            self._held.drop_text()
        return self._held.deltas()

    def _said(self) -> str:
        """Return the turn's text as the model wrote it."""
        thought = "" if self.unclosed is None else f"<think>{self.unclosed}"
        return "".join((thought, *self._relayed, self._held.text))

    # --- what is right -------------------------------------------------------------------------

    def _sorted_calls(self, calls: Sequence[MadeCall], room: int | None) -> SortedCalls:
        wanted = self.wanted
        if wanted.tools.names:
            return sort_calls(calls, room)
        if wanted.response_schema is not None:
            return SortedCalls([], [], list(calls))
        return SortedCalls(list(calls), [], [])

    def _complaint_about_words(self) -> str:
        """Return what the model is told of a turn without calls; empty if nothing is wrong."""
        wanted, told = self.wanted, ""
        if self.unclosed is not None and not (self._has_relayed or self._held.text.strip()):
            told = UNCLOSED
        if wanted.demand:
            self._is_missing = True
            self.counts[MISSING] += 1
            return f"{told or 'You answered without calling a tool.'} {wanted.demand}"
        if wanted.response_schema is not None:
            error = self._settle_json(self._held.text, wanted.response_schema)
            if not error:
                return ""
            return f"{told or error} Answer again, with nothing but JSON that fits the schema."
        return told and f"{told} Answer now, without <think>."

    def _settle_json(self, text: str, schema: Mapping[str, Any]) -> str:
        """Make a JSON text the answer; return what is wrong with it, and change nothing then."""
        answer = structured_answer(text, schema)
        if not answer.error:
            if answer.text != text:
                self.notes.append("structured_output_unwrapped")
            if answer.unchecked:
                self.notes.append("structured_output_unchecked")
            self._held.say_only(answer.text)
        return answer.error

    # --- what a repair turn brought ------------------------------------------------------------

    def _take_over(self, repair: Turn) -> bool:
        wrong = set(self._wrong)
        kept = [each for each in self._held.calls if each not in wrong]
        limit = self.wanted.max_calls
        room = None if limit is None else limit - len(kept)
        brought = self._sorted_calls(without_repeats(repair._held.calls, kept), room)
        if brought.wrong:
            return False
        if brought.kept:
            self._replace_wrong(brought.kept)
        elif not (self._words_do() and self._answer_in_words(repair, has_calls=bool(kept))):
            if not kept:
                return False
            self._drop(self._wrong)
        self._drop(brought.dropped)
        return True

    def _words_do(self) -> bool:
        """Return whether the model may answer its complaint in words (rule 10)."""
        return not self.wanted.demand and not any(each.is_offered for each in self._wrong)

    def _replace_wrong(self, brought: Sequence[MadeCall]) -> None:
        if not self._wrong:
            self._held.drop_text()
        found, others = heirs(self._wrong, brought)
        self._held.replace(found, others)
        self._drop([each for each in self._wrong if each not in found])
        for each in brought:
            self._count(REPAIRED, each)
            self._count_recovered(each)
            self._count_changes(each)

    def _answer_in_words(self, repair: Turn, *, has_calls: bool) -> bool:
        """Put the repair turn's words in the place of what was held; False if they are none."""
        text, schema = repair._held.text, self.wanted.response_schema
        if schema is not None and not has_calls:
            if repair.stopped:
                self._held.say_only(text)
            elif self._settle_json(text, schema):
                return False
            self.notes.append("structured_output_repaired")
        elif text.strip():
            glue = SEPARATOR if self._has_relayed else ""
            self._held.say_instead(text, self._wrong, glue=glue)
            if not self._wrong:
                self.notes.append("unclosed_thinking_repaired")
        else:
            return False
        self._drop(self._wrong)
        return True

    # --- what is counted -----------------------------------------------------------------------

    def _tally(self, calls: SortedCalls, wrong: Sequence[MadeCall]) -> None:
        """Count a turn's calls, of the wrong ones those that the model is to blame for."""
        for each in (*calls.kept, *calls.dropped, *wrong):
            self.counts[MADE] += 1
            self._count_recovered(each)
        for each in wrong:
            self.counts[INVALID if each.is_offered else NOT_OFFERED] += 1
        for each in calls.kept:
            self._count_changes(each)

    def _count_recovered(self, made: MadeCall) -> None:
        if made.is_recovered:  # the filter that found it has noted it
            self.counts[RECOVERED] += 1

    def _count_changes(self, made: MadeCall) -> None:
        for change in made.changes:
            self._count(change, made)

    def _drop(self, calls: Collection[MadeCall]) -> None:
        """Take calls out of the turn."""
        for each in calls:
            self._count(DROPPED, each)
        self._held.drop(calls)

    def _count(self, what: str, made: MadeCall) -> None:
        self.counts[what] += 1
        self.notes.append(note(f"tool_call_{what}", made.call.name))
