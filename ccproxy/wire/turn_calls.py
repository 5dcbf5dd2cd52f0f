"""The tool calls of one turn of a local model: what is wrong with each, and which count. Pure.

Rules:
1. A call's name must be an offered one; a name that is an offered one but for letter case and
   punctuation, and of one tool only, is taken for it. Its input is checked and coerced by
   `wire.tool_arguments`.
2. A call that was recovered from text and equals one that the model made properly is dropped:
   models say a call and make it.
3. Where the request limits the calls of a turn, the first ones that are right count, whatever
   stands before them; wrong ones are asked for again only while there is room.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ccproxy.wire.same_call import call_key
from ccproxy.wire.tool_names import offered_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ccproxy.ports import ToolCall
    from ccproxy.wire.offered_tools import OfferedTools

MADE: Final = "made"
RECOVERED: Final = "recovered"
RENAMED: Final = "renamed"
COERCED: Final = "coerced"
UNCHECKED: Final = "unchecked"
INVALID: Final = "invalid"
NOT_OFFERED: Final = "not_offered"
MISSING: Final = "missing"
REPAIRED: Final = "repaired"
LOST: Final = "lost"
DROPPED: Final = "dropped"
"""What is counted of a model's tool calls; docs/tool-calls.md says what each means."""


@dataclass(slots=True, eq=False)
class MadeCall:
    """One call that a model made, judged; equal to itself only."""

    call: ToolCall
    """As it may be relayed: its name and its input put right."""
    errors: tuple[str, ...] = ()
    """What is wrong with its input, for the model."""
    is_offered: bool = True
    is_recovered: bool = False
    """It was written as text."""
    changes: tuple[str, ...] = ()
    """`RENAMED`, `COERCED` or `UNCHECKED`."""

    @property
    def is_wrong(self) -> bool:
        """True where a client must not see it."""
        return bool(self.errors) or not self.is_offered


@dataclass(slots=True)
class SortedCalls:
    """The calls of one turn, each in one list, in the order in which they were made."""

    kept: list[MadeCall]
    wrong: list[MadeCall]
    dropped: list[MadeCall]


def judged(call: ToolCall, tools: OfferedTools, *, is_recovered: bool = False) -> MadeCall:
    """Return a call with what is wrong with it (rule 1)."""
    name = offered_name(call.name, tools.names)
    if name is None:
        return MadeCall(call, is_offered=False, is_recovered=is_recovered)
    changes = []
    if name != call.name:
        changes.append(RENAMED)
        call = replace(call, name=name)
    checked = tools.check(call)
    if checked.unchecked:
        changes.append(UNCHECKED)
    elif checked.coerced:
        changes.append(COERCED)
        call = replace(call, arguments=checked.arguments)
    return MadeCall(call, checked.errors, is_recovered=is_recovered, changes=tuple(changes))


def sort_calls(calls: Sequence[MadeCall], room: int | None) -> SortedCalls:
    """Return which calls count, which are wrong and which are dropped (rules 2 and 3).

    Args:
        calls: Of one turn, in order.
        room: How many may count; None for any number.
    """
    twice = _said_twice(calls)
    right = [each for each in calls if not each.is_wrong and each not in twice][:room]
    left = None if room is None else room - len(right)
    wrong = [each for each in calls if each.is_wrong and each not in twice][:left]
    dropped = set(calls).difference(right, wrong)
    return SortedCalls(right, wrong, [each for each in calls if each in dropped])


def without_repeats(calls: Iterable[MadeCall], of: Iterable[MadeCall]) -> list[MadeCall]:
    """Return the calls that are none of those."""
    known = _keys(of)
    return [each for each in calls if call_key(each.call) not in known]


def heirs(
    wrong: Iterable[MadeCall], brought: Iterable[MadeCall]
) -> tuple[Mapping[MadeCall, MadeCall], Sequence[MadeCall]]:
    """Return what takes the place of each wrong call, and what is left of what was brought.

    A call of the same tool goes first, in order; then whatever there is.
    """
    waiting: dict[str, deque[MadeCall]] = defaultdict(deque)
    wrong = list(wrong)
    for each in wrong:
        waiting[each.call.name].append(each)
    found: dict[MadeCall, MadeCall] = {}
    others = deque[MadeCall]()
    for each in brought:
        same = waiting[each.call.name]
        if same:
            found[same.popleft()] = each
        else:
            others.append(each)
    for each in wrong:
        if each not in found and others:
            found[each] = others.popleft()
    return found, tuple(others)


def _said_twice(calls: Iterable[MadeCall]) -> Collection[MadeCall]:
    recovered = [each for each in calls if each.is_recovered]
    if not recovered:
        return ()
    made = _keys(each for each in calls if not each.is_recovered)
    return {each for each in recovered if call_key(each.call) in made}


def _keys(calls: Iterable[MadeCall]) -> Collection[str]:
    return {call_key(each.call) for each in calls}
