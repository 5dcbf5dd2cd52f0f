"""`ccproxy usage`, `export` and `ledger vacuum`, on a ledger that the real writer made."""

import csv
import io
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from tests.support.command_line import CONFIG, command_line
from tests.support.sample_ledger import write_sample_ledger
from tests.support.tools import ROOT

PERIOD = ("--since", "2026-11-01", "--until", "2026-11-30")


@pytest.fixture
def empty(tmp_path, monkeypatch, capsys):
    ccproxy = command_line(tmp_path, monkeypatch, capsys)
    (tmp_path / "ccproxy.yaml").write_text(CONFIG + "ledger: {url: 'sqlite:///l.db'}\n")
    return ccproxy


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    file = tmp_path_factory.mktemp("written") / "l.db"
    write_sample_ledger(f"sqlite:///{file}")
    return file


@pytest.fixture
def ccproxy(empty, written):
    shutil.copy(written, empty.folder)
    return empty


def test_by_agent(ccproxy):
    """The dearest first, a total below; what is not known of a cost is said, not hidden."""
    result = ccproxy("usage", *PERIOD)
    rows = {line[0]: " ".join(line[1:]) for line in result.lines()}

    assert result.code == 0
    assert list(rows) == ["agent", "chief-architect", "debugger", "total"]
    assert rows["chief-architect"].startswith("2 1,010 2,020 9,000 120k $0.1230 + ?")
    assert rows["debugger"].startswith("6 1 35,000 2,700 4,000 60,000 $0.0840")
    assert rows["total"].startswith("8 1 36,010 4,720 13,000 180k $0.2070 + ?")
    assert "?: what 1 of the requests cost is not known" in result.err


def test_for_programs(ccproxy):
    """JSON has every sum, in whole microdollars, with the total; CSV a line for each row."""
    told = ccproxy("usage", *PERIOD, "--by", "route", "--by", "day", "--json").json()
    table = ccproxy("usage", *PERIOD, "--by", "route", "--csv").out
    rows = list(csv.DictReader(io.StringIO(table)))

    assert told["by"] == ["route", "day"]
    assert [(row["route"], row["day"], row["requests"]) for row in told["rows"]] == [
        ("claude", "2026-11-02", 2),
        ("local", "2026-11-02", 3),
        ("claude", "2026-11-03", 3),
    ]
    assert told["total"]["cost_microusd"] == 207_000
    assert (told["total"]["unpriced"], told["total"]["would_cost_microusd"]) == (1, 55_500)
    assert [(row["route"], row["cost_microusd"]) for row in rows] == [
        ("claude", "207000"),
        ("local", "0"),
    ]


def test_no_name_runs_in_a_spreadsheet(ccproxy):
    """A client chose the model's name; in CSV it is a text."""
    rows = ccproxy("usage", *PERIOD, "--by", "requested_model", "--csv").out.splitlines()
    assert rows[2].startswith("'=NOW(),") or rows[2].startswith("'=NOW()")
    exported = ccproxy("export", *PERIOD).out
    assert ",'=NOW()," in exported


def test_limits_and_times(ccproxy):
    """--where limits, several times; a time without requests is said to be empty."""
    result = ccproxy(
        "usage", *PERIOD, "--where", "agent=debugger", "--where", "route=claude", "--json"
    )
    assert result.json()["total"]["requests"] == 3
    result = ccproxy(
        "usage", "--since", "2026-11-02T14:30", "--until", "2026-11-02T20:30", "--json"
    )
    assert result.json()["total"]["requests"] == 2
    result = ccproxy("usage", "--since", "2026-12-01", "--until", "2026-12-02")
    assert (result.code, result.out) == (0, "")
    assert "Nothing was recorded" in result.err


@pytest.mark.parametrize(
    "command", ["usage", "usage top", "usage failed", "usage savings", "export"]
)
def test_a_limit_that_nothing_ever_met(ccproxy, command):
    """A mistyped name is told from one without traffic in that time; other names are not mentioned."""
    where = ("--where", "agent=debuger", "--where", "route=local")
    unknown = ccproxy(*command.split(), *PERIOD, *where)
    quiet = ccproxy(*command.split(), "--since", "2026-12-01", "--where", "agent=debugger")
    found = ccproxy(*command.split(), *PERIOD, "--where", "agent=debugger")

    note = "note: no request of the ledger has agent=debuger, of any time. Did you mean 'debugger'?"
    assert (0, note) == (unknown.code, unknown.err.splitlines()[0])
    assert unknown.err.count("note:") == 1
    assert "note:" not in quiet.err + found.err


def test_savings(ccproxy):
    """A range in words, and the numbers it is made of."""
    text = ccproxy("usage", "savings", *PERIOD).out
    told = ccproxy("usage", "savings", *PERIOD, "--json").json()

    assert "Saved $0.04 to $0.11" in text
    assert (told["compared"], told["low_microusd"], told["high_microusd"]) == (3, 36_000, 108_000)
    assert told["text"] + "\n" == text


def test_top(ccproxy):
    """The most of what is asked for, and no more of them than asked for."""
    rows = ccproxy("usage", "top", *PERIOD, "--limit", "1", "--json").json()["rows"]
    assert [(row["agent"], row["principal"]) for row in rows] == [("chief-architect", "ci")]
    rows = ccproxy("usage", "top", *PERIOD, "--by", "agent", "--order", "requests", "--json").json()
    assert [row["requests"] for row in rows["rows"]] == [6, 2]


def test_failed(ccproxy):
    """What failed where, and the requests it befell, the latest first."""
    result = ccproxy("usage", "failed", *PERIOD)
    told = ccproxy("usage", "failed", *PERIOD, "--json").json()

    assert ["overloaded", "qwen-coder", "2", "2"] == result.lines()[1][:4]
    assert [(each["request_id"], each["ending"]) for each in told["requests"]] == [
        ("req_6", "failed"),
        ("req_5", "completed"),
    ]
    assert [(each["result"], each["attempts"]) for each in told["attempts"]] == [
        ("overloaded", 2),
        ("connect_error", 1),
    ]


def test_export(ccproxy):
    """Every request, oldest first, one line each, in both forms; attempts likewise."""
    lines = [
        json.loads(line)
        for line in ccproxy("export", *PERIOD, "--format", "jsonl").out.splitlines()
    ]
    rows = list(csv.DictReader(io.StringIO(ccproxy("export", *PERIOD).out)))
    attempts = ccproxy("export", *PERIOD, "--attempts", "--format", "jsonl").out.splitlines()

    assert [line["request_id"] for line in lines] == [f"req_{number}" for number in range(8)]
    assert [row["request_id"] for row in rows] == [line["request_id"] for line in lines]
    assert (lines[7]["cost_microusd"], rows[7]["cost_microusd"]) == (None, "")
    assert (lines[4]["cache_write_1h_tokens"], lines[4]["agent"]) == (9000, "chief-architect")
    assert len(attempts) == 10
    assert "id" not in lines[0]
    assert "dimension_id" not in lines[0]


@pytest.mark.parametrize("option", ["-o", "--out", "--output"])
def test_export_to_a_file(ccproxy, option):
    """A new file is written; one that is there is never written over."""
    file = ccproxy.folder / "out.csv"
    assert ccproxy("export", *PERIOD, option, str(file)).code == 0
    before = file.read_text()
    result = ccproxy("export", *PERIOD, option, str(file))

    assert len(before.splitlines()) == 9
    assert result.code == 2
    assert file.read_text() == before


def test_a_reader_may_stop(ccproxy):
    """`ccproxy export | head -1` ends quietly."""
    with subprocess.Popen(
        [sys.executable, "-m", "ccproxy", "export", "--since", "2026-11-01", "--format", "jsonl"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        said = process.stderr.read()
        code = process.wait(50)
    assert (code, said) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("usage", "--since", "yesterday"), "--since: 'yesterday' is no time"),
        (("usage", "--since", "2026-11-02", "--until", "2026-11-01"), "must be after --since"),
        (("usage", "--where", "agent"), "write NAME=VALUE"),
        (("usage", "--where", "colour=red"), "write NAME=VALUE with one of agent, category"),
        (("usage", "--by", "colour"), "colour"),
        (("usage", "--json", "--csv"), "exclude each other"),
        (("usage", "--json", "savings"), "options stand behind savings"),
        (("ledger", "vacuum", "--keep-days", "1"), "32"),
    ],
)
def test_wrong_usage(empty, arguments, complaint):
    """Exit code 2, and what is wrong."""
    result = empty(*arguments)
    assert result.code == 2
    assert complaint in result.err


@pytest.mark.parametrize("arguments", [("usage",), ("export",), ("ledger", "vacuum")])
def test_without_a_ledger(empty, arguments):
    """Exit code 1, where it was looked for, and nothing is made."""
    result = empty(*arguments)
    assert result.code == 1
    assert f"error: there is no ledger at {empty.folder / 'l.db'}" in result.err
    assert not (empty.folder / "l.db").exists()


def test_vacuum(ccproxy):
    """What is older than `ledger.keep_days` goes, sums stay, and the file is told of."""
    with closing(sqlite3.connect(ccproxy.folder / "l.db")) as connection, connection:
        connection.execute("UPDATE requests SET at_ms = 0 WHERE request_id < 'req_3'")
        connection.execute("UPDATE attempts SET at_ms = 0 WHERE request_id < 'req_3'")
        connection.execute("UPDATE requests SET at_ms = 9e12 WHERE at_ms > 0")
        connection.execute("UPDATE attempts SET at_ms = 9e12 WHERE at_ms > 0")
    told = ccproxy("ledger", "vacuum", "--json").json()
    text = ccproxy("ledger", "vacuum").out

    assert told["deleted_rows"] == 6
    assert told["after_bytes"] <= told["before_bytes"]
    assert text.startswith("0 rows thrown away")
    assert ccproxy("usage", *PERIOD, "--json").json()["total"]["requests"] == 8
