"""Tag lines in agent files, and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.config.agent_files import split_front_matter
from ccproxy.config.agent_tags import (
    TagAction,
    TagChange,
    add_tag,
    plan_tags,
    plan_undo,
    remove_tag,
)
from routing.prompts import PromptIndex, tag_line
from tests.support.fleet import fleet_prompts

AGENTS = ["coder", "clerk", "twin-a", "twin-b"]
KNOWN = fleet_prompts(["coder"])
INDEX = PromptIndex.build(KNOWN, AGENTS)
TAG = tag_line("coder")


def agent_file(name: str, body: str) -> str:
    """Return an agent file."""
    return f"---\nname: {name}\ndescription: x\nmodel: haiku\n---\n\n{body}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"{TAG}\n"),
        ("Body\n", f"Body\n{TAG}\n"),
        ("Body", f"Body\n{TAG}"),
        ("Body\r\n", f"Body\r\n{TAG}\r\n"),
        ("One\r\nBody", f"One\r\nBody\r\n{TAG}"),
        ("One\r\nBody\n", f"One\r\nBody\n{TAG}\n"),
        ("Body\n\n\n", f"Body\n\n\n{TAG}\n"),
        ("Body\r", f"Body\r\n{TAG}"),
    ],
)
def test_a_tag_is_one_line_at_the_end(before: str, after: str) -> None:
    """The file keeps its style of line ends, also that of having none at the end."""
    assert add_tag(before.encode(), "coder") == after.encode()
    assert remove_tag(after.encode()) == before.encode()


FILES = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"\r", b"a", b"---", b" ", b"\xff", TAG.encode()]), max_size=8
).map(b"".join)


@given(FILES | st.binary())
def test_every_byte_comes_back(data: bytes) -> None:
    """Taking the tag out restores any file, whatever its bytes."""
    tagged = add_tag(data, "coder")
    assert tagged != data
    assert remove_tag(tagged) == data


@given(FILES)
def test_only_our_own_last_line_is_removed(data: bytes) -> None:
    """A file that does not end as we write a tag stays as it is."""
    restored = remove_tag(data)
    assert restored == data or add_tag(restored, "coder") == data


def plan(folder: Path, *, every: bool = False) -> dict[str, TagChange]:
    """Return the plan for a folder by file name."""
    return {each.path.name: each for each in plan_tags(folder, INDEX, AGENTS, every=every)}


def write(changes: dict[str, TagChange] | list[TagChange]) -> None:
    """Carry out all changes."""
    for change in changes.values() if isinstance(changes, dict) else changes:
        if change.before != change.after:
            change.write()


@pytest.mark.parametrize(
    ("text", "action", "reason"),
    [
        (agent_file("coder", KNOWN["coder"]), TagAction.UNCHANGED, "its prompt recognises it"),
        (agent_file("Coder", "Short."), TagAction.TAG, "recognises nobody"),
        (agent_file("coder", f"Short.\n\n{TAG}"), TagAction.UNCHANGED, "it is tagged"),
        (agent_file("clerk", KNOWN["coder"]), TagAction.TAG, "recognises coder"),
        (agent_file("clerk", f"Short.\n{TAG}"), TagAction.PROBLEM, "tagged as coder"),
        (agent_file("codre", "Short."), TagAction.SKIPPED, "Did you mean 'coder'?"),
        ("# Read me\n", TagAction.SKIPPED, "no front matter"),
        ("---\ndescription: no name\n---\nShort.", TagAction.SKIPPED, "file is not in the roster"),
    ],
)
def test_only_what_needs_it_is_tagged(
    text: str, action: TagAction, reason: str, tmp_path: Path
) -> None:
    """An agent that is recognised, tagged or not of this fleet is left alone, with the reason."""
    (tmp_path / "file.md").write_text(text)
    change = plan(tmp_path)["file.md"]
    assert change.action is action
    assert reason in change.reason
    assert (change.before != change.after) == (action is TagAction.TAG)


def test_a_file_without_a_name_is_named_by_itself(tmp_path: Path) -> None:
    """Without `name` the file's name counts."""
    (tmp_path / "clerk.md").write_text("---\nmodel: haiku\n---\nShort.")
    assert plan(tmp_path)["clerk.md"].slug == "clerk"


def test_a_file_that_is_no_text_is_a_problem(tmp_path: Path) -> None:
    """It is named and left alone."""
    (tmp_path / "clerk.md").write_bytes(b"---\nname: clerk\n---\n\xff")
    assert plan(tmp_path)["clerk.md"].action is TagAction.PROBLEM
    assert plan_undo(tmp_path)[0].action is TagAction.PROBLEM


def test_every_agent_of_the_folder_is_recognised_then(tmp_path: Path) -> None:
    """Short and identical prompts are told apart once they are tagged; a second run does nothing."""
    bodies = {"coder": KNOWN["coder"], "clerk": "Be brief.", "twin-a": "Same.", "twin-b": "Same."}
    for slug, body in bodies.items():
        (tmp_path / f"{slug}.md").write_text(agent_file(slug, body))
    write(plan(tmp_path))

    for slug in bodies:
        body = split_front_matter((tmp_path / f"{slug}.md").read_text())[1]
        assert INDEX.find([f"{body.strip()}\n\nNotes"]).chosen == slug
    assert {change.action for change in plan(tmp_path).values()} == {TagAction.UNCHANGED}


def test_all_means_all(tmp_path: Path) -> None:
    """On demand, agents that are recognised anyway are tagged too."""
    (tmp_path / "coder.md").write_text(agent_file("coder", KNOWN["coder"]))
    assert plan(tmp_path, every=True)["coder.md"].action is TagAction.TAG


def test_the_way_back(tmp_path: Path) -> None:
    """Undo restores the bytes, the mode and a link, and needs no roster."""
    real = tmp_path / "real.txt"
    before = agent_file("clerk", "Short.").replace("\n", "\r\n").encode()
    real.write_bytes(before)
    real.chmod(0o640)
    (tmp_path / "sub").mkdir()
    link = tmp_path / "sub" / "clerk.md"
    link.symlink_to(real)

    write(plan(tmp_path))
    assert real.read_bytes() != before
    write(plan_undo(tmp_path))

    assert real.read_bytes() == before
    assert real.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert plan_undo(tmp_path)[0].action is TagAction.UNCHANGED
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["clerk.md", "real.txt", "sub"]


def test_a_tag_that_somebody_moved_is_left_to_a_person(tmp_path: Path) -> None:
    """Undo takes out only what is where we write it."""
    (tmp_path / "coder.md").write_text(agent_file("coder", f"{TAG}\nBody."))
    assert plan_undo(tmp_path)[0].action is TagAction.PROBLEM


def test_the_diff_shows_the_line(tmp_path: Path) -> None:
    """The diff is what `diff -u` would say, with one line added."""
    (tmp_path / "clerk.md").write_text(agent_file("clerk", "Short."))
    lines = plan(tmp_path)["clerk.md"].diff().split("\n")
    assert [line for line in lines if line.startswith(("+", "-"))][2:] == [f"+{tag_line('clerk')}"]
