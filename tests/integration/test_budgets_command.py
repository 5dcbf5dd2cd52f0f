"""`ccproxy budgets`: what was used, from a ledger that a proxy has written."""

import time

import pytest

from ccproxy.ledger.database import open_database
from ccproxy.rows import AttemptRow, Dimensions, RequestRow, Spent
from routing.pricing import TokenCounts
from tests.support.command_line import CONFIG, command_line
from tests.support.tools import ROOT

BUDGETS = """\
budgets:
  - {name: month, scope: total, counts: usd, window: month, limit: 2, on_reach: local_only}
  - {name: agents, scope: agent, value: "*", counts: requests, window: month, limit: 4, on_reach: warn}
  - {name: crowd, scope: principal, value: ci, counts: concurrency, limit: 3, on_reach: refuse}
"""


@pytest.fixture
def ccproxy(tmp_path, monkeypatch, capsys):
    run = command_line(tmp_path, monkeypatch, capsys)
    (tmp_path / "ccproxy.yaml").write_text(CONFIG + BUDGETS)
    (tmp_path / "pricing.yaml").write_bytes((ROOT / "config/pricing.yaml").read_bytes())
    return run


def written(folder, agent, cost):
    who = Dimensions(
        "messages", agent=agent, deployment="cloud", route="claude", upstream_model="m"
    )
    spent = Spent(TokenCounts(10, 20), cost_microusd=cost)
    row = RequestRow(
        request_id="req_1", at_ms=int(time.time() * 1000) - 1, dimensions=who, status=200, ending="completed", failure="",
        stream=False, table_version="", ttft_s=0.1, spent=spent, wasted_microusd=0,
        attempts=(AttemptRow(who, 0, "ok", 0.0, spent),),
    )  # fmt: skip
    database = open_database(f"sqlite:///{folder / 'ccproxy.db'}")
    database.write([row])
    database.close()


def test_the_ledger_tells(ccproxy, tmp_path):
    """Each budget with whose, how much of what, and what follows; as JSON like /admin/budgets."""
    for agent, cost in (("debugger", 500_000), ("debugger", 900_000), ("python-pro", 200_000)):
        written(tmp_path, agent, cost)

    rows = ccproxy("budgets").lines()[1:]
    assert ["month", "total", "$1.60", "$2.00", "80%"] == rows[0][:5]
    assert ["agents", "agent", "debugger", "2", "requests", "4", "requests", "50%"] == rows[1][:8]
    assert ["agents", "agent", "python-pro", "1", "request", "4", "requests", "25%"] == rows[2][:8]
    assert ["crowd", "principal", "ci", "-", "3", "requests", "-", "-", "refuse"] == rows[3]
    assert ["local_only", "warn", "warn", "refuse"] == [row[-1] for row in rows]
    told = ccproxy("budgets", "--json").json()
    assert (True, [0.8, 0.5, 0.0]) == (
        told["restored"],
        [each["used_ratio"] for each in told["budgets"]],
    )


def test_without_a_ledger_nothing_is_guessed(ccproxy):
    """There is no ledger yet, and the message says so; nothing is made."""
    said = ccproxy("budgets")

    assert 1 == said.code
    assert "there is no ledger at" in said.err


def test_without_budgets_there_is_nothing_to_tell(ccproxy, tmp_path):
    """No ledger is asked for."""
    (tmp_path / "ccproxy.yaml").write_text(CONFIG)

    said = ccproxy("budgets")
    assert (0, "") == (said.code, said.out)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "{name: a, scope: agent, value: debuger, counts: usd, window: day, limit: 1, on_reach: warn}",
            "warning: {folder}/ccproxy.yaml:15:29: budgets[0].value: there is no agent in the roster 'debuger', so nothing is counted. Did you mean 'debugger'?",
        ),
        (
            "{name: a, scope: principal, value: ci, counts: usd, window: day, limit: 1, on_reach: warn}",
            "there is no token 'ci', so nothing is counted.",
        ),
    ],
)
def test_names_that_nobody_has(ccproxy, tmp_path, line, message):
    """`config check` warns of a budget that would never count anything."""
    (tmp_path / "ccproxy.yaml").write_text(f"{CONFIG}budgets:\n  - {line}\n")

    said = ccproxy("config", "check")
    assert message.format(folder=tmp_path) in said.err


def test_money_needs_prices(ccproxy, tmp_path):
    """Without a price file a budget of dollars would count nothing, so it is refused."""
    (tmp_path / "pricing.yaml").unlink()

    said = ccproxy("config", "check")
    assert 1 == said.code
    assert f"error: {tmp_path}/pricing.yaml: has no prices, and a budget counts usd" in said.err
