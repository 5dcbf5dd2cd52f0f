"""Entries put into a routing file without disturbing the rest of it."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.config.routing_edit import COMMENT, CannotEdit, add_agents, own_agents

HEAD = "version: 1\nactive_profile: a\nprofiles:\n"
ROUTES = {"coder": ("qwen", "claude"), "clerk": ("qwen",)}
ADDED = f"      {COMMENT}\n      coder: {{route: [qwen, claude]}}\n      clerk: {{route: [qwen]}}\n"
TAIL = "    default: {route: [qwen]}\n  b: {extends: a}\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "  a:\n    agents:\n      x: {route: [q]}   # why\n\n      # of the default\n" + TAIL,
            "  a:\n    agents:\n      x: {route: [q]}   # why\n" + ADDED + "\n      # of the default\n" + TAIL,
        ),
        (
            "  a:\n    agents:\n      x:\n        # inside\n        route:\n          - q\n" + TAIL,
            "  a:\n    agents:\n      x:\n        # inside\n        route:\n          - q\n" + ADDED + TAIL,
        ),
        (
            "  a:\n    agents:\n      y: &w {route: [q]}\n      x: *w\n" + TAIL,
            "  a:\n    agents:\n      y: &w {route: [q]}\n      x: *w\n" + ADDED + TAIL,
        ),
        ("  a:\n    agents: {}  # none yet\n" + TAIL, "  a:\n    agents:  # none yet\n" + ADDED + TAIL),
        ("  a:\n    agents:\n" + TAIL, "  a:\n    agents:\n" + ADDED + TAIL),
        ("  a:\n    agents: ~\n" + TAIL, "  a:\n    agents:\n" + ADDED + TAIL),
        ("  a:\n    agents:\n      x: {route: [q]}", "  a:\n    agents:\n      x: {route: [q]}\n" + ADDED),
        (
            "  a:\n    default: {route: [q]}\n# end\n  b: {}\n",
            "  a:\n    default: {route: [q]}\n    agents:\n" + ADDED + "# end\n  b: {}\n",
        ),
    ],
    ids=["comments", "block entry", "alias", "empty map", "nothing", "null", "end of file", "no agents"],
)  # fmt: skip
def test_lines_are_put_where_they_belong(body, expected):
    """Behind the agents there are, or as a map of their own; nothing else moves."""
    assert add_agents(HEAD + body, "a", ROUTES) == HEAD + expected


def test_the_files_own_line_ends_are_kept():
    """A file from Windows stays one."""
    text = (HEAD + "  a:\n    agents: {}\n" + TAIL).replace("\n", "\r\n")

    edited = add_agents(text, "a", ROUTES)

    assert edited.count("\n") == edited.count("\r\n") == text.count("\n") + 3


@pytest.mark.parametrize(
    "body",
    [
        "  a: {default: {route: [q]}}\n",
        "  a:\n    agents: {x: {route: [q]}}\n",
        "  b: &b\n    default: {route: [q]}\n  a: *b\n",
        "  b:\n    agents: &g\n      x: {route: [q]}\n  a:\n    agents: *g\n",
        "  b: {}\n",
    ],
)
def test_what_cannot_be_edited_is_refused(body):
    """Maps on one line and aliases are left to people."""
    with pytest.raises(CannotEdit):
        add_agents(HEAD + body, "a", ROUTES)


def test_an_edit_that_would_change_something_else_is_refused():
    """An anchor that another profile uses would carry the entries there."""
    text = HEAD + "  a:\n    agents: &g\n      x: {route: [q]}\n  b:\n    agents: *g\n"

    with pytest.raises(CannotEdit, match="something else"):
        add_agents(text, "a", ROUTES)


def test_names_that_yaml_would_take_for_something_else():
    """They are quoted."""
    edited = add_agents(HEAD + "  a:\n    agents: {}\n" + TAIL, "a", {"no": ("1", "a, b", "on")})

    agents = yaml.safe_load(edited)["profiles"]["a"]["agents"]
    assert agents == {"no": {"route": ["1", "a, b", "on"]}}


def test_own_agents():
    """A profile's own entries with their lines, not those it inherits."""
    text = HEAD + "  a:\n    agents:\n      x: {}\n\n      y: {route: [q]}\n  b: {extends: a}\n"

    assert own_agents(text, "a") == {"x": 6, "y": 8}
    assert own_agents(text, "b") == {}


COMMENTS = st.sampled_from(["", "# note\n", "\n", "      # deep\n"])
ENTRIES = st.sampled_from(
    ["      x{n}: {{route: [q]}}\n", "      x{n}:\n        route: [q]  # why\n", "      x{n}:\n        route:\n        - q\n"]
)  # fmt: skip


@given(st.lists(st.tuples(COMMENTS, ENTRIES), max_size=4), COMMENTS, COMMENTS)
def test_whatever_the_layout_only_the_entries_are_new(entries, before, after):
    """The lines that were there are all there, in order, and the data has the new agents."""
    agents = "".join(note + entry.format(n=n) for n, (note, entry) in enumerate(entries))
    text = (
        f"{HEAD}  a:\n    agents:\n{agents}{before}    default: {{route: [q]}}\n{after}  b: {{}}\n"
    )

    edited = add_agents(text, "a", ROUTES)

    remaining = iter(edited.splitlines())
    assert all(line in remaining for line in text.splitlines())
    assert len(yaml.safe_load(edited)["profiles"]["a"]["agents"]) == len(entries) + 2
