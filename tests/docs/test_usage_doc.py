"""The examples of docs/usage.md, run on the ledger they are of."""

import re

import pytest

from tests.support.command_line import CONFIG, command_line
from tests.support.sample_ledger import write_sample_ledger
from tests.support.tools import ROOT

TEXT = (ROOT / "docs/usage.md").read_text()
SHOWN = re.findall(r"```console\n\$ ccproxy ([^\n]+)\n(.*?)```", TEXT, re.DOTALL)
SAID = [
    line.partition(" > ")[0].split()[1:]
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("ccproxy ") and line != "ccproxy top"
]


@pytest.fixture
def ccproxy(tmp_path, monkeypatch, capsys):
    ccproxy = command_line(tmp_path, monkeypatch, capsys)
    (tmp_path / "ccproxy.yaml").write_text(CONFIG + "ledger: {url: 'sqlite:///l.db'}\n")
    write_sample_ledger(f"sqlite:///{tmp_path / 'l.db'}")
    return ccproxy


def test_what_is_shown_is_what_is_printed(ccproxy):
    """Every example with an output has that output."""
    assert len(SHOWN) == 5
    for arguments, output in SHOWN:
        result = ccproxy(*arguments.split())
        assert [line.rstrip() for line in result.out.splitlines()] == output.splitlines(), arguments


def test_the_other_examples_work(ccproxy):
    """Each ends with code 0 and says something."""
    assert len(SAID) == 4
    for arguments in SAID:
        result = ccproxy(*arguments)
        assert result.code == 0, (arguments, result.err)
        assert "error" not in result.err
