"""`ccproxy agents list --prompts` and `ccproxy agents tag`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from routing.prompts import tag_line

ROOT = Path(__file__).parents[3]
SHIPPED_ROSTER = str(ROOT / "config" / "orchestra-config.json")


def ccproxy(*arguments: str) -> tuple[int, str, str]:
    """Run the command; return exit code, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "ccproxy", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """Return a folder with a roster of three agents and their files."""
    agents: list[dict[str, Any]] = []
    for slug, body in {"long": "You write code. " * 9, "short": "Help.", "gone": None}.items():
        agents.append({"name": slug, "model": "haiku", "agentFile": f"agents/{slug}.md"})
        if body is not None:
            (tmp_path / "agents").mkdir(exist_ok=True)
            (tmp_path / "agents" / f"{slug}.md").write_text(f"---\nname: {slug}\n---\n\n{body}\n")
    (tmp_path / "roster.json").write_text(json.dumps({"testAgents": agents}))
    return tmp_path


def test_list_says_who_can_be_recognised_and_why_not(fleet: Path) -> None:
    """Every agent has a line with the reason; the sum stands on stderr."""
    roster = str(fleet / "roster.json")
    code, out, err = ccproxy("agents", "list", "--prompts", "--roster", roster, "--json")
    rows = {row["slug"]: row for row in json.loads(out)}
    assert code == 0
    assert {slug: row["recognisable"] for slug, row in rows.items()} == {
        "long": True,
        "short": False,
        "gone": False,
    }
    assert rows["long"]["file"] == str(fleet / "agents" / "long.md")
    assert "5 of at least 64 characters" in rows["short"]["reason"]
    assert "there is no file agents/gone.md" in rows["gone"]["reason"]
    assert err == "1 of 3 agents can be recognised by their prompt\n"

    _, table, _ = ccproxy("agents", "list", "--prompts", "--roster", roster)
    assert [line.split()[:2] for line in table.splitlines()[1:]] == [
        ["long", "yes"],
        ["short", "no"],
        ["gone", "no"],
    ]


def test_agents_files_in_another_folder(fleet: Path) -> None:
    """`agents_folder` of the config is looked in; a roster given by hand knows nothing of it."""
    (fleet / "agents").rename(fleet / "elsewhere")
    config = fleet / "ccproxy.yaml"
    config.write_text(
        "roster: roster.json\nagents_folder: elsewhere\n"
        "model_list: [{model_name: q, litellm_params: {model: ollama_chat/qwen}}]\n"
    )
    command = ("agents", "list", "--prompts", "--json")

    rows = json.loads(ccproxy(*command, "--config", str(config))[1])
    assert [row["recognisable"] for row in rows] == [True, False, False]
    assert rows[0]["file"] == str(fleet / "elsewhere" / "long.md")
    rows = json.loads(ccproxy(*command, "--roster", str(fleet / "roster.json"))[1])
    assert not any(row["recognisable"] for row in rows)


def test_the_shipped_fleet_in_one_look() -> None:
    """Ten of 115 agents come with a prompt, and the list of agents itself is not longer for it."""
    code, out, err = ccproxy("agents", "list", "--prompts", "--roster", SHIPPED_ROSTER)
    assert (code, len(out.splitlines())) == (0, 116)
    assert err == "10 of 115 agents can be recognised by their prompt\n"


def test_tag_there_and_back(fleet: Path) -> None:
    """Dry by default; --write changes only what needs it, once; --undo restores every byte."""
    folder, roster = str(fleet / "agents"), str(fleet / "roster.json")
    files = {path: path.read_bytes() for path in (fleet / "agents").iterdir()}

    def changed() -> set[str]:
        return {path.stem for path, data in files.items() if path.read_bytes() != data}

    code, out, err = ccproxy("agents", "tag", folder, "--roster", roster)
    assert (code, changed()) == (0, set())
    assert f"+{tag_line('short')}" in out.splitlines()
    assert "long" not in out
    assert err == "1 tag, 1 unchanged; --write does it\n"

    code, out, err = ccproxy("agents", "tag", folder, "--roster", roster, "--write")
    assert (code, out, err) == (0, "", "1 tag, 1 unchanged\n")
    assert changed() == {"short"}
    assert ccproxy("agents", "tag", folder, "--roster", roster, "--write") == (
        0,
        "",
        "2 unchanged\n",
    )
    _, _, err = ccproxy("agents", "list", "--prompts", "--roster", roster)
    assert err == "2 of 3 agents can be recognised by their prompt\n"

    code, _, err = ccproxy("agents", "tag", folder, "--undo", "--write")
    assert (code, err, changed()) == (0, "1 untag, 1 unchanged\n", set())


def test_tag_names_what_a_person_must_look_at(fleet: Path) -> None:
    """A file of another's tag is a problem and exit code 1; a stranger's file is only skipped."""
    (fleet / "agents" / "gone.md").write_text(f"---\nname: gone\n---\n{tag_line('short')}\n")
    (fleet / "agents" / "notes.md").write_text("Notes.\n")
    roster = str(fleet / "roster.json")
    code, out, err = ccproxy("agents", "tag", str(fleet / "agents"), "--roster", roster, "--json")
    rows = {Path(row["file"]).stem: row["action"] for row in json.loads(out)}
    assert code == 1
    assert rows == {"gone": "problem", "long": "unchanged", "notes": "skipped", "short": "tag"}
    assert "tagged as short" in err


def test_tag_wants_a_folder(tmp_path: Path) -> None:
    """A folder that is not there is wrong usage."""
    code, _, _ = ccproxy("agents", "tag", str(tmp_path / "gone"))
    assert code == 2
