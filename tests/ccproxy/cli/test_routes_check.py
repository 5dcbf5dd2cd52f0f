"""`ccproxy routes check` as people and scripts use it."""

import json

import pytest

from tests.support.command_line import CONFIG, ROSTER, ROUTING, command_line

BROKEN = """\
version: 1
active_profile: day
profiles:
  day:
    agents:
      debuger: {route: [coder]}
    rules:
      - {name: a, when: {max_input_tokens: 10}, route: [codr]}
  night: {extends: noon}
"""


@pytest.fixture
def ccproxy(tmp_path, monkeypatch, capsys):
    return command_line(tmp_path, monkeypatch, capsys)


def test_a_good_table(ccproxy):
    """One line says what there is; nothing else is said."""
    result = ccproxy("routes", "check", "--strict")

    assert (result.code, result.err) == (0, "")
    assert (
        "routing.yaml: 0 errors, 0 warnings; 2 profiles, day is active with 1 rules" in result.out
    )


def test_all_problems_at_once(ccproxy):
    """Each with file, line, column, key and the nearest name."""
    ccproxy.routing.write_text(BROKEN)

    result = ccproxy("routes", "check")

    assert result.code == 1
    lines = [line.removeprefix(f"error: {ccproxy.routing}:") for line in result.err.splitlines()]
    for line, (place, hint) in zip(
        lines,
        [
            ("6:7: profiles.day.agents.debuger: ", "Did you mean 'debugger'?"),
            ("8:57: profiles.day.rules[0].route[0]: ", "Did you mean 'coder'?"),
            ("9:11: profiles.night.extends: ", "'noon'"),
        ],
        strict=True,
    ):
        assert line.startswith(place)
        assert hint in line


def test_problems_for_programs(ccproxy):
    """The same as JSON, with line and column as numbers."""
    ccproxy.routing.write_text(BROKEN)

    result = ccproxy("routes", "check", "--json")

    assert (result.code, result.json()["ok"]) == (1, False)
    first = result.json()["errors"][0]
    assert (first["file"], first["line"], first["column"]) == (str(ccproxy.routing), 6, 7)


@pytest.mark.parametrize(("arguments", "code"), [((), 0), (("--strict",), 1)])
def test_warnings_are_errors_only_if_wanted(ccproxy, arguments, code):
    """What makes only some requests unservable fails a strict check alone."""
    ccproxy.routing.write_text(ROUTING.replace("[cloud, writer]", "[cloud]"))

    result = ccproxy("routes", "check", *arguments)

    assert result.code == code
    assert "warning: " in result.err
    assert "every deployment of its route leaves the host" in result.err


def test_the_roster_is_looked_at(ccproxy):
    """Duplicate slugs and other tiers are about agents, so they belong here."""
    twice = ROSTER | {"otherAgents": [{"name": "Debugger", "model": "opus"}]}
    (ccproxy.folder / "roster.json").write_text(json.dumps(twice))

    result = ccproxy("routes", "check")

    assert result.code == 1
    assert "the agent debugger has tier opus here, but sonnet at" in result.err


def test_what_is_about_other_files_is_left_to_config_check(ccproxy):
    """A missing key makes no table wrong, not even strictly; `config check` tells it."""
    config = CONFIG.replace("sk-test", "os.environ/NO_SUCH_KEY")
    (ccproxy.folder / "ccproxy.yaml").write_text(config)

    assert ccproxy("routes", "check", "--strict").code == 0
    assert ccproxy("config", "check", "--strict").code == 1


def test_another_file(ccproxy):
    """A file that is not in force is checked against the same deployments and agents."""
    (ccproxy.folder / "next.yaml").write_text(BROKEN)

    result = ccproxy("routes", "check", "next.yaml")

    assert result.code == 1
    assert "next.yaml:6:7:" in result.err
    assert str(ccproxy.routing) not in result.err


def test_a_file_that_is_not_there(ccproxy):
    """Its name is in the complaint."""
    result = ccproxy("routes", "check", "next.yaml")

    assert result.code == 1
    assert "next.yaml: cannot be read" in result.err


def test_settings_that_cannot_be_read(ccproxy):
    """Without deployments nothing can be checked, and why is told."""
    (ccproxy.folder / "ccproxy.yaml").write_text("model_list: 5\n")

    result = ccproxy("routes", "check")

    assert result.code == 1
    assert "ccproxy.yaml:1:" in result.err
