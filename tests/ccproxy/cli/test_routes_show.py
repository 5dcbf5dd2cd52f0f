"""`ccproxy routes show`: a row for each agent, for people, spreadsheets and programs."""

import csv
import io

import pytest

from tests.support.command_line import command_line


@pytest.fixture
def ccproxy(tmp_path, monkeypatch, capsys):
    return command_line(tmp_path, monkeypatch, capsys)


def test_csv(ccproxy):
    """One line each under a head, in the order of the roster; the route in one cell."""
    result = ccproxy("routes", "show", "--csv")
    rows = list(csv.DictReader(io.StringIO(result.out)))

    assert result.code == 0
    assert [row["agent"] for row in rows] == [
        "chief-architect", "python-pro", "debugger", "security-auditor",
    ]  # fmt: skip
    assert rows[2]["route"] == "coder > cloud"
    assert (rows[3]["privacy"], rows[3]["route"]) == ("local_only", "writer")
    assert rows[3]["skipped"].startswith("cloud: leaves the host")


def test_another_profile(ccproxy):
    """--profile shows what another profile would do; policies have a column where there are any."""
    result = ccproxy("routes", "show", "--profile", "night")

    assert result.code == 0
    assert result.lines()[0] == ["agent", "tier", "category", "route", "privacy", "policies"]
    assert ["debugger", "sonnet", "codingAgents", "coder", "any", "deadline", "600", "s"] in (
        result.lines()
    )
    assert "profile night" in result.err


def test_policies_for_programs(ccproxy):
    """Each policy is a value of its own."""
    rows = ccproxy("routes", "show", "--profile", "night", "--json").json()
    debugger = next(row for row in rows if row["agent"] == "debugger")

    assert debugger["deadline_s"] == 600
    assert (debugger["thinking"], debugger["on_overflow"]) == ("keep", "reroute")
    assert debugger["max_cost_microusd"] is None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--profile", "nite"], "there is no profile 'nite'. Did you mean 'night'?"),
        (["--profile", "weekend"], "there is no profile 'weekend'. There are: day, night."),
        (["--json", "--csv"], "exclude each other"),
    ],
)
def test_wrong_usage(ccproxy, arguments, complaint):
    """Exit code 2, and what is wrong."""
    result = ccproxy("routes", "show", *arguments)

    assert result.code == 2
    assert complaint in result.err
