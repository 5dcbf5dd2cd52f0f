"""What is held of a turn: words in few pieces, nothing behind a stop sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from ccproxy.ports import ModelDelta, ToolCall
from ccproxy.wire.stops import StopMatcher
from ccproxy.wire.turn_calls import MadeCall
from ccproxy.wire.turn_steps import TurnSteps

if TYPE_CHECKING:
    from collections.abc import Iterable

CALL = MadeCall(ToolCall(None, "a", {}))


def held(stop_sequences: Iterable[str], steps: Iterable[ModelDelta | MadeCall]) -> TurnSteps:
    taken = TurnSteps(stop_sequences)
    for step in steps:
        if isinstance(step, MadeCall):
            taken.add_call(step)
        else:
            taken.add_words(step)
    return taken


@given(
    st.lists(st.sampled_from(["", "E", "N", "D", "END", "x", "NE"]), max_size=8),
    st.sets(st.sampled_from(["END", "ND", "xE", "EE"])),
)
def test_text_ends_with_its_stop_sequence(pieces: list[str], sequences: set[str]) -> None:
    """However a text comes, it ends with the sequence that stops it, or is whole."""
    before, matched = StopMatcher(sequences).feed("".join(pieces))

    steps = held(sequences, [ModelDelta(text=piece) for piece in pieces])

    assert (before + matched if matched else "".join(pieces)) == steps.text
    assert bool(matched) == steps.stopped


def test_nothing_comes_behind_a_stop_sequence() -> None:
    """What the model says or calls after a stop sequence does not exist."""
    steps = held(
        ["END"],
        [ModelDelta("Hm.", "a EN"), ModelDelta(" ", "D b"), CALL, ModelDelta("So.", "c")],
    )

    assert [ModelDelta("Hm."), ModelDelta(text="a EN"), ModelDelta(" "), ModelDelta(text="D")] == [
        *steps.deltas()
    ]


def test_stop_sequences_do_not_reach_across_blocks() -> None:
    """A call or a thought between two halves of a stop sequence keeps them apart."""
    for between in (CALL, ModelDelta(thinking="Hm.")):
        steps = held(["END"], [ModelDelta(text="EN"), between, ModelDelta(text="D")])

        assert not steps.stopped
        assert "END" == steps.text
