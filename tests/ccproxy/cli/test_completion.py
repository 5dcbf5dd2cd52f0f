"""What the Tab key gives, in the words of each shell."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ccproxy.cli.tree import PLACES
from tests.support.command_line import CONFIG, command_line

COMMAND = Path(sys.executable).with_name("ccproxy")


@pytest.fixture(autouse=True)
def paris(monkeypatch):
    """Local time is an hour ahead of UTC in winter."""
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def folder(tmp_path, monkeypatch, capsys):
    command_line(tmp_path, monkeypatch, capsys)
    state = tmp_path / "state"
    state.mkdir()
    versions = state / "routing-versions"
    versions.mkdir()
    (versions / "20260301T120000.000000Z-e42e3249af23-77aa.routing.yaml").touch()
    (versions / "20260302T120000.000000Z-0b5d1c22ee90-77ab.routing.yaml").touch()
    (state / "tokens.json").write_text('{"tokens": [{"name": "laptop"}, {"name": "ci"}]}')
    return tmp_path


@pytest.fixture
def tab(folder, monkeypatch, capsys):
    """What fish is told for a line: values with the lines about them."""
    run = command_line(folder, monkeypatch, capsys)
    alerts = "alerts: {webhooks: [{name: hook, url: file/keys/hook}]}\n"
    (folder / "ccproxy.yaml").write_text(CONFIG + alerts)
    monkeypatch.setenv("_CCPROXY_COMPLETE", "complete_fish")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")

    def press(line):
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
        done = run()
        assert (0, "") == (done.code, done.err)
        return [each for each in done.out.splitlines() if each]

    return press


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("ccproxy rout", ["routes\tCheck, show and compare routing tables, and take edits back."]),
        ("ccproxy routes sh", ["show\tShow where each agent's requests go, as things are configured."]),
        ("ccproxy routes show --j", ["--json\tPrint JSON for programs."]),
        ("ccproxy export --format ", ["csv", "jsonl"]),
        ("ccproxy explain --agent deb", ["debugger\tDebugger, sonnet"]),
        ("ccproxy estimate x.json --model cl", ["cloud\tanthropic/*"]),
        ("ccproxy explain --principal ", ["laptop", "ci"]),
        ("ccproxy token revoke c", ["ci"]),
        ("ccproxy token create x --agents debugger,p", ["debugger,python-pro\tPython Pro, haiku"]),
        ("ccproxy agents show s", ["security-auditor\tSecurity Auditor, sonnet"]),
        ("ccproxy routes show --profile ", ["day\tactive", "night"]),
        ("ccproxy models verify wr", ["writer\tollama_chat/qwen2.5:32b-instruct"]),
        ("ccproxy models pull cl", []),
        ("ccproxy explain --health cl", [
            "claude=down\tall of Claude's", "claude=up\tall of Claude's",
            "cloud=down\tanthropic/*", "cloud=up\tanthropic/*",
        ]),
        ("ccproxy usage --where agent=d", ["agent=debugger\tDebugger, sonnet"]),
        ("ccproxy usage failed --where deployment=wr", ["deployment=writer\tollama_chat/qwen2.5:32b-instruct"]),
        ("ccproxy export --where principal=", ["principal=laptop", "principal=ci"]),
        ("ccproxy usage top --where tier=o", ["tier=opus"]),
        ("ccproxy usage --where route=", ["route=local", "route=claude", "route=other"]),
        ("ccproxy routes rollback e", ["e42e3249af23\tin force from 2026-03-01 13:00:00"]),
        ("ccproxy secret delete ", ["file/keys/hook\tfile keys/hook"]),
        ("ccproxy secret set f", ["file/keys/hook\tfile keys/hook"]),
        ("ccproxy bench --route wr", ["writer\tollama_chat/qwen2.5:32b-instruct"]),
        ("ccproxy bench --workload l", ["long-read", "ledger"]),
    ],
)  # fmt: skip
def test_values(tab, line, values):
    """Commands and options with what they are for, values from the files in force."""
    assert values == tab(line)


def test_the_config_of_the_line_counts(tab, folder, monkeypatch):
    """Behind `--config FILE` values are that file's."""
    monkeypatch.delenv("CCPROXY_CONFIG")

    assert [] == tab("ccproxy explain --agent deb")
    there = f"ccproxy explain --config {folder}/ccproxy.yaml --agent deb"
    assert ["debugger\tDebugger, sonnet"] == tab(there)


@pytest.mark.parametrize(
    "file", ["ccproxy.yaml", "routing.yaml", "roster.json", "state/tokens.json"]
)
@pytest.mark.parametrize("text", [None, "[", "[]", "7"])
def test_broken_files_complete_nothing(tab, folder, file, text):
    """Without a usable file there are no values, and no word about it while somebody types."""
    (folder / file).unlink()
    if text is not None:
        (folder / file).write_text(text)

    for line in (
        *("explain --agent ", "routes show --profile ", "token revoke ", "models pull "),
        *("explain --health ", "usage --where ", "routes rollback ", "secret delete "),
    ):
        tab(f"ccproxy {line}")


AS_ZSH_READS_IT = r"""
_arguments() { s=${1#*((}; eval "words=( ${s%))} )"; printf '%s\n' "${words[@]}"; }
eval "$1"
"""
"""Both evaluations, whose quotes bash reads alike; what is left is parted at bare colons."""


def test_zsh_quotes_what_it_evaluates(folder, monkeypatch, capsys):
    """Every line arrives whole, whatever is in it, for zsh evaluates them twice."""
    run = command_line(folder, monkeypatch, capsys)
    names = ['"it\'s"', "a:b", "$HOME", "`id`", "c\\d", "[x] (y)"]
    (folder / "state/tokens.json").write_text(
        json.dumps({"tokens": [{"name": name} for name in names]})
    )
    monkeypatch.setenv("_CCPROXY_COMPLETE", "complete_zsh")

    def read(line):
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
        script = ["bash", "--norc", "-c", AS_ZSH_READS_IT, "bash", run().out]
        done = subprocess.run(script, capture_output=True, text=True, check=True)
        parted = (re.split(r"(?<!\\):", each, maxsplit=1) for each in done.stdout.splitlines())
        return [[re.sub(r"\\(.)", r"\1", part) for part in each] for each in parted]

    assert [[place.name, place.summary] for place in PLACES] == read("ccproxy ")
    assert [[name] for name in names] == read("ccproxy token revoke ")


def test_bash_with_the_script_it_is_given(folder):
    """A real bash completes by the script that `--install-completion` installs."""
    script = (
        f'PATH={COMMAND.parent}:$PATH; eval "$(_CCPROXY_COMPLETE=source_bash ccproxy)"; '
        "COMP_WORDS=(ccproxy routes show --profile ni); COMP_CWORD=4; "
        '_ccproxy_completion ccproxy; echo "${COMPREPLY[*]}"; complete -p ccproxy'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True
    )

    assert [
        "night",
        "complete -o default -F _ccproxy_completion ccproxy",
    ] == done.stdout.splitlines()
    assert "" == done.stderr
