"""`ccproxy routes import-roster` as people and scripts use it."""

import json

import pytest
import yaml

from tests.support.command_line import ROUTING, command_line

CODER, WRITER = "qwen2.5-coder:32b-instruct", "qwen2.5:32b-instruct"


def agent(name, tier, wish, phase):
    return {"name": name, "model": tier, "ccproxyMapping": {"ollama": wish, "phase": phase}}


ROSTER = {
    "architect": {"name": "Chief Architect", "model": "opus"},
    "codingAgents": [
        agent("Python Pro", "haiku", WRITER, "Phase 1 - Light"),
        agent("Debugger", "sonnet", CODER, "Phase 2 - Coding"),
        agent("Tester", "sonnet", WRITER, 2),
        agent("Poet", "sonnet", "llama3", 2),
    ],
    "securityAgents": [agent("Security Auditor", "sonnet", CODER, 2)],
}


@pytest.fixture
def ccproxy(tmp_path, monkeypatch, capsys):
    run = command_line(tmp_path, monkeypatch, capsys)
    (tmp_path / "roster.json").write_text(json.dumps(ROSTER))
    return run


def added(text):
    return [line[1:].strip() for line in text.splitlines() if line.startswith("+ ")]


def test_the_change_is_shown(ccproxy):
    """A diff on stdout, remarks on stderr, and the file as it was."""
    result = ccproxy("routes", "import-roster")

    assert result.code == 0
    assert added(result.out)[1:] == [
        "python-pro: {route: [writer, coder]}",
        "tester: {route: [writer, coder, cloud]}",
    ]
    assert "2 entries; --write puts them into the file." in result.err
    assert ccproxy.routing.read_text() == ROUTING


def test_what_cannot_be_followed_is_said(ccproxy):
    """A wish that no deployment serves, and an agent that has an entry already."""
    result = ccproxy("routes", "import-roster")

    assert "no deployment serves llama3, which 1 agents wish (poet)" in result.err
    assert (
        "security-auditor has an entry in line 13; to follow its wish "
        f"({CODER}) give it the route [cloud, coder, writer]"
    ) in result.err


def test_writing(ccproxy):
    """The entries are in the file, comments too, and the table that comes of it is followed."""
    result = ccproxy("routes", "import-roster", "--write")

    text = ccproxy.routing.read_text()
    assert result.code == 0
    assert "      # It stays here.\n      security-auditor:" in text
    assert yaml.safe_load(text)["profiles"]["day"]["agents"]["tester"] == {
        "route": ["writer", "coder", "cloud"]
    }
    routes = {row["agent"]: row["route"] for row in ccproxy("routes", "show", "--json").json()}
    assert routes["tester"] == ["writer", "coder", "cloud"]


def test_writing_twice(ccproxy):
    """What has been followed is not asked for again."""
    ccproxy("routes", "import-roster", "--write")
    text = ccproxy.routing.read_text()

    result = ccproxy("routes", "import-roster", "--write")

    assert (result.code, result.out) == (0, "")
    assert "Nothing to add." in result.err
    assert ccproxy.routing.read_text() == text


@pytest.mark.parametrize(("phase", "agents"), [("1", ["python-pro"]), ("2", ["tester"]), ("3", [])])
def test_one_phase(ccproxy, phase, agents):
    """--phase takes the agents of that phase, however the roster writes it."""
    result = ccproxy("routes", "import-roster", "--phase", phase)

    assert [line.partition(":")[0] for line in added(result.out)[1:]] == agents


def test_another_profile(ccproxy):
    """--profile adds to that one, by its own routes."""
    result = ccproxy("routes", "import-roster", "--profile", "night", "--phase", "2", "--write")

    assert result.code == 0
    night = yaml.safe_load(ccproxy.routing.read_text())["profiles"]["night"]
    assert night["agents"]["tester"] == {"route": ["writer", "coder"]}


def test_a_file_that_cannot_be_edited(ccproxy):
    """The lines to paste and their place are printed; --write fails and leaves the file alone."""
    table = "version: 1\nactive_profile: a\nprofiles: {a: {default: {route: [coder]}}}\n"
    ccproxy.routing.write_text(table)

    shown = ccproxy("routes", "import-roster", "--phase", "1")
    written = ccproxy("routes", "import-roster", "--phase", "1", "--write")

    assert (shown.code, written.code) == (0, 1)
    assert shown.out == "      python-pro: {route: [writer, coder]}\n"
    assert "Put these lines under profiles.a.agents." in shown.err
    assert ccproxy.routing.read_text() == table


@pytest.mark.parametrize("arguments", [["--phase", "two"], ["--profile", "noon"]])
def test_wrong_usage(ccproxy, arguments):
    """Exit code 2, and nothing is written."""
    assert ccproxy("routes", "import-roster", *arguments, "--write").code == 2
    assert ccproxy.routing.read_text() == ROUTING
