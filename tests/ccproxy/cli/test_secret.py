"""`ccproxy secret`: stored outside the config file, and never shown."""

from __future__ import annotations

import io
import json
import stat

import pytest

from ccproxy.cli.main import main
from tests.support.command_line import CONFIG

VALUE = "sk-ant-v3ry-s3cret"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command in a folder with a config file; returns exit code, stdout, stderr."""
    (tmp_path / "ccproxy.yaml").write_text(CONFIG.replace("sk-test", "file/keys/claude"))
    monkeypatch.setenv("CCPROXY_CONFIG", str(tmp_path / "ccproxy.yaml"))

    def run(*arguments, given=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        with pytest.raises(SystemExit) as ended:
            main(["secret", *arguments])
        printed = capsys.readouterr()
        assert VALUE not in printed.out + printed.err
        return ended.value.code or 0, printed.out, printed.err

    return run


def test_from_missing_to_stored_to_removed(run, tmp_path):
    """`list` says what is missing, `set` reads it from standard input, `delete` removes it; none shows it."""
    code, out, _ = run("list", "--json")
    assert 1 == code
    assert [
        {
            "key": "model_list[2].litellm_params.api_key",
            "reference": "file/keys/claude",
            "problem": f"{tmp_path}/keys/claude does not exist",
        }
    ] == json.loads(out)

    code, out, err = run("set", "file/keys/claude", given=VALUE + "\n")
    assert (0, "") == (code, out)
    assert "In ccproxy.yaml write: file/keys/claude" in err
    assert VALUE == (tmp_path / "keys/claude").read_text().strip()
    assert 0o600 == stat.S_IMODE((tmp_path / "keys/claude").stat().st_mode)

    code, out, _ = run("list")
    assert 0 == code
    assert out.splitlines()[1].split() == [
        "model_list[2].litellm_params.api_key",
        "file/keys/claude",
        "ok",
    ]

    assert 0 == run("delete", "file/keys/claude")[0]
    assert not (tmp_path / "keys/claude").exists()


def test_a_problem_is_one_line(run):
    """What cannot be stored or removed exits 1 with a reason and no traceback."""
    for arguments, words in (
        (("set", "os.environ/KEY"), "error: os.environ/KEY is in the environment of whoever"),
        (("delete", "file/none"), "none does not exist"),
    ):
        code, _, err = run(*arguments, given=VALUE)
        assert 1 == code
        assert words in err
        assert "Traceback" not in err
