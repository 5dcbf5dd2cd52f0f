"""An agent id that was identified once is known on later turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.bindings import MAX_ID_CHARS, BindingKey, Bindings, binding_key
from routing.types import AgentMatch, AgentSource

KEY = BindingKey("ops", "session", "a1")
BINDS = [
    AgentSource.PATH,
    AgentSource.TOKEN,
    AgentSource.HEADER,
    AgentSource.MODEL,
    AgentSource.PROMPT,
]


@pytest.mark.parametrize("source", list(AgentSource))
def test_only_evidence_binds(source: AgentSource) -> None:
    """Path, token, header, model and prompt bind; a binding, a type and nothing do not."""
    bindings = Bindings()
    assert bindings.learn(KEY, AgentMatch("coder", source), 0.0) == (source in BINDS)
    assert bindings.find(KEY, 1.0) == ("coder" if source in BINDS else None)


def test_an_unknown_agent_unbinds_nothing() -> None:
    """A turn without a signal leaves the binding as it is."""
    bindings = Bindings()
    bindings.learn(KEY, AgentMatch("coder", AgentSource.PROMPT), 0.0)
    assert not bindings.learn(KEY, AgentMatch(None, AgentSource.NONE), 1.0)
    assert bindings.find(KEY, 2.0) == "coder"


@pytest.mark.parametrize("first", BINDS)
@pytest.mark.parametrize("second", BINDS)
def test_a_signal_as_strong_binds_anew(first: AgentSource, second: AgentSource) -> None:
    """The later of two signals counts unless it is the weaker one."""
    bindings = Bindings()
    bindings.learn(KEY, AgentMatch("coder", first), 0.0)
    stronger = BINDS.index(second) <= BINDS.index(first)
    assert bindings.learn(KEY, AgentMatch("clerk", second), 1.0) == stronger
    assert bindings.find(KEY, 2.0) == ("clerk" if stronger else "coder")


@pytest.mark.parametrize(
    "other",
    [
        BindingKey("guest", "session", "a1"),
        BindingKey("ops", "other", "a1"),
        BindingKey("ops", "session", "a2"),
    ],
    ids=["principal", "session", "agent id"],
)
def test_a_binding_stays_with_its_key(other: BindingKey) -> None:
    """Another principal, session or agent id neither finds nor changes it."""
    bindings = Bindings()
    bindings.learn(KEY, AgentMatch("coder", AgentSource.PROMPT), 0.0)
    assert bindings.find(other, 1.0) is None
    bindings.learn(other, AgentMatch("clerk", AgentSource.PATH), 1.0)
    assert bindings.find(KEY, 2.0) == "coder"


def test_it_ends_after_its_last_use() -> None:
    """Each use keeps a binding for another `ttl_s`, and not longer."""
    bindings = Bindings(ttl_s=10.0)
    bindings.learn(KEY, AgentMatch("coder", AgentSource.PROMPT), 0.0)
    assert bindings.find(KEY, 9.0) == "coder"
    assert bindings.find(KEY, 18.0) == "coder"
    assert bindings.find(KEY, 28.0) is None
    assert len(bindings) == 0


def test_an_ended_binding_does_not_hold_against_a_weaker_signal() -> None:
    """What ended has no rank any more."""
    bindings = Bindings(ttl_s=10.0)
    bindings.learn(KEY, AgentMatch("coder", AgentSource.PATH), 0.0)
    assert bindings.learn(KEY, AgentMatch("clerk", AgentSource.PROMPT), 10.0)
    assert bindings.find(KEY, 11.0) == "clerk"


def test_the_least_recently_used_goes_first() -> None:
    """At the limit a new binding costs the one that was unused for longest."""
    bindings = Bindings(limit=2)
    keys = [BindingKey("ops", "session", name) for name in "abc"]
    for now, key in enumerate(keys[:2]):
        bindings.learn(key, AgentMatch("coder", AgentSource.PROMPT), float(now))
    bindings.find(keys[0], 2.0)
    bindings.learn(keys[2], AgentMatch("coder", AgentSource.PROMPT), 3.0)
    assert [bindings.find(key, 4.0) for key in keys] == ["coder", None, "coder"]


@pytest.mark.parametrize(
    ("session_id", "agent_id", "expected"),
    [
        ("s", "a", BindingKey("ops", "s", "a")),
        (None, "a", BindingKey("ops", "", "a")),
        ("s", None, None),
        ("s", "", None),
        ("s", "a" * (MAX_ID_CHARS + 1), None),
        ("s" * (MAX_ID_CHARS + 1), "a", None),
    ],
)
def test_only_an_agent_id_of_sane_length_is_a_key(
    session_id: str | None, agent_id: str | None, expected: BindingKey | None
) -> None:
    """The main thread, which has no agent id, is never bound; nor is an id made to fill memory."""
    assert binding_key("ops", session_id, agent_id) == expected
    bindings = Bindings()
    bindings.learn(expected, AgentMatch("coder", AgentSource.PATH), 0.0)
    assert bindings.find(expected, 1.0) == ("coder" if expected else None)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ops", "guest"]),
            st.integers(0, 6).map(str),
            st.sampled_from([*BINDS, None]),
            st.floats(0, 20),
        ),
        max_size=60,
    )
)
def test_it_stays_bounded_and_never_crosses_principals(steps) -> None:
    """Whatever comes, at most `limit` are kept, and each principal finds only its own agents."""
    bindings = Bindings(limit=4, ttl_s=15.0)
    now = 0.0
    for principal, agent_id, source, pause_s in steps:
        now += pause_s
        key = binding_key(principal, "session", agent_id)
        if source is not None:
            bindings.learn(key, AgentMatch(f"{principal}-agent", source), now)
        assert bindings.find(key, now) in {None, f"{principal}-agent"}
        assert len(bindings) <= 4
