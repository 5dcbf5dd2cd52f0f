"""Where the agents' own prompts come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ccproxy.config.agent_files import (
    MAX_FILE_BYTES,
    LoadedPrompts,
    front_matter_name,
    load_prompts,
    split_front_matter,
)
from ccproxy.config.roster import load_roster
from routing.prompts import PromptIndex

CONFIG = Path(__file__).parents[3] / "config"


def load(folder: Path, *agents: dict[str, Any], agents_folder: Path | None = None) -> LoadedPrompts:
    """Write a roster of these agents into a folder and load its prompts."""
    roster = folder / "roster.json"
    entries = [{"name": "A", "model": "haiku"} | agent for agent in agents]
    roster.write_text(json.dumps({"testAgents": entries}))
    return load_prompts(load_roster(roster), roster, agents_folder)


@pytest.mark.parametrize("key", ["agentFile", "agent_file"])
def test_a_file_beside_the_roster(key: str, tmp_path: Path) -> None:
    """A relative path is relative to the roster, and front matter is no part of the prompt."""
    file = tmp_path / "agents" / "a.md"
    file.parent.mkdir()
    file.write_text("---\nname: a\nmodel: haiku\n---\n\nYou are a.\n")
    loaded = load(tmp_path, {key: "agents/a.md"})
    assert loaded.prompts == {"a": "\nYou are a.\n"}
    assert (loaded.missing, loaded.files) == ({}, {"a": file})


@pytest.mark.parametrize("written", ["a.md", "sub/a.md", ".claude/agents/a.md"])
def test_a_file_in_the_agents_folder(written: str, tmp_path: Path) -> None:
    """What is not beside the roster is looked for in the agents' folder, also by its bare name."""
    agents_folder = tmp_path / "elsewhere"
    agents_folder.mkdir()
    (agents_folder / "a.md").write_text("You are a.")
    assert load(tmp_path, {"agentFile": written}, agents_folder=agents_folder).prompts == {
        "a": "You are a."
    }


def test_an_absolute_path(tmp_path: Path) -> None:
    """An absolute path is taken as it is."""
    file = tmp_path / "x.md"
    file.write_text("You are a.")
    assert load(tmp_path, {"agentFile": str(file)}).prompts == {"a": "You are a."}


def test_text_in_the_roster_wins(tmp_path: Path) -> None:
    """An inline prompt counts before a file, which then need not exist."""
    loaded = load(tmp_path, {"agentFile": "gone.md", "prompt": "You are a."})
    assert (loaded.prompts, loaded.missing, loaded.files) == ({"a": "You are a."}, {}, {})


def test_entries_of_one_agent_complete_each_other(tmp_path: Path) -> None:
    """Two entries with one slug are merged, their prompts too."""
    assert load(tmp_path, {}, {"prompt": "You are a."}).prompts == {"a": "You are a."}


@pytest.mark.parametrize(
    ("agent", "reason"),
    [
        ({}, "neither `agentFile` nor `prompt`"),
        ({"agentFile": "gone.md"}, "there is no file gone.md"),
        ({"agentFile": "~nobody-here/a.md"}, "there is no file"),
        ({"agentFile": "x" * 5000}, "there is no file"),
        ({"agentFile": "a\0b"}, "there is no file"),
        ({"agentFile": "."}, "directory"),
        ({"agentFile": "latin.md"}, "latin.md is not UTF-8 text"),
        ({"agentFile": "large.md"}, "large.md has more than"),
    ],
)
def test_what_cannot_be_had_has_a_reason(
    agent: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    """No prompt is never an error; the reason is kept, and one remark sums them up."""
    (tmp_path / "latin.md").write_bytes("é".encode("latin-1"))
    (tmp_path / "large.md").write_text("x" * (MAX_FILE_BYTES + 1))
    loaded = load(tmp_path, agent)
    assert loaded.prompts == {}
    assert reason in loaded.missing["a"].lower() or reason in loaded.missing["a"]
    assert (loaded.remark() or "").startswith("1 of 1 agents have no prompt")


def test_a_prompt_of_another_type_is_a_warning(tmp_path: Path) -> None:
    """The fleet may use the key for something of its own."""
    roster = tmp_path / "roster.json"
    agent = {"name": "A", "model": "haiku", "prompt": {"file": "x"}}
    roster.write_text(json.dumps({"testAgents": [agent]}, indent=1))
    loaded = load_roster(roster)
    assert [str(warning) for warning in loaded.warnings] == [
        f"{roster}:6:4: testAgents[0].prompt: ignored: expected text, not an object."
    ]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("", "")),
        ("Body", ("", "Body")),
        ("---\nname: a\n---\nBody\n", ("name: a", "Body\n")),
        ("---\r\nname: a\r\n---\r\nBody", ("name: a", "Body")),
        ("---\nname: a\nx: y\n---", ("name: a\nx: y", "")),
        ("---\n---\nBody", ("", "Body")),
        ("---  \nname: a\n---  \n\nBody", ("name: a", "\nBody")),
        ("---\nname: a\nBody", ("", "---\nname: a\nBody")),
        ("---\na: b---c\n---\nBody\n---\nmore", ("a: b---c", "Body\n---\nmore")),
        ("----\nBody\n---\n", ("", "----\nBody\n---\n")),
        ("\n---\nname: a\n---\n", ("", "\n---\nname: a\n---\n")),
    ],
)
def test_front_matter_is_cut(text: str, parts: tuple[str, str]) -> None:
    """Only a closed block at the very start is front matter."""
    assert split_front_matter(text) == parts


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("---\nname: code-reviewer\n---\n", "code-reviewer"),
        ('---\nname: "Code Reviewer"\r\n---\n', "Code Reviewer"),
        ("---\ndescription: Use when: name: x\nname: a\n---\n", "a"),
        ("---\ndescription: x\n---\nname: b", None),
        ("---\nname:\n---\n", None),
        ("name: a", None),
    ],
)
def test_the_name_of_a_file(text: str, name: str | None) -> None:
    """`name` is read from the front matter alone, even if that is bad YAML."""
    assert front_matter_name(text) == name


def test_ten_agents_of_ours_are_recognised_by_their_files() -> None:
    """Each shipped agent file belongs to the agent of its name, who is recognised by it alone."""
    roster_file = CONFIG / "orchestra-config.json"
    loaded = load_roster(roster_file)
    prompts = load_prompts(loaded, roster_file)
    index = PromptIndex.build(prompts.prompts, loaded.roster.agents)
    assert set(prompts.files) == {file.stem for file in (CONFIG / "agents").glob("*.md")}
    assert len(prompts.files) == 10
    for slug, file in prompts.files.items():
        text = file.read_text()
        assert front_matter_name(text) == file.stem == slug
        assert 40 <= len(text.splitlines()) <= 120
        found = index.find([f"{split_front_matter(text)[1].strip()}\n\nNotes of the client."])
        assert (found.matches, found.near) == ((slug,), ())
    assert len(prompts.missing) == 105
    assert "105 of 115" in (prompts.remark() or "")
