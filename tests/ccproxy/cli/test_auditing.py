"""What commands leave in the audit log."""

import getpass
import json

import orjson
import pytest
import yaml

from ccproxy.cli.main import main
from ccproxy.config.loading import load_files, routing_files
from ccproxy.config.settings import load_settings
from ccproxy.config.versions import version_store
from tests.support.routing_folder import ROSTER, routing_text

SETTINGS = {
    "auth": {"tokens_file": "state/tokens.json"},
    "roster": "roster.json",
    "routing": "routing.yaml",
    "model_list": [{"model_name": "qwen", "litellm_params": {"model": "ollama_chat/qwen"}}],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "ccproxy.yaml").write_text(yaml.safe_dump(SETTINGS))
    (tmp_path / "roster.json").write_text(json.dumps(ROSTER))
    (tmp_path / "routing.yaml").write_text(routing_text("qwen"))
    monkeypatch.setenv("CCPROXY_CONFIG", str(tmp_path / "ccproxy.yaml"))
    return tmp_path


def run(*arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert not caught.value.code


def test_tokens_and_rollbacks_are_on_record(folder, capsys):
    """Who made or revoked which token, and who brought back which table; never a token."""
    settings = load_settings(folder / "ccproxy.yaml", {})
    files = routing_files(settings)
    loaded = load_files(files)
    version_store(settings).save(
        loaded.version, loaded.table.version, loaded.routing_bytes, loaded.roster_bytes, 1.0
    )
    files.routing_file.write_text("]")
    run("token", "create", "ci", "--scope", "ops")
    token = capsys.readouterr().out.strip()
    run("token", "list")
    run("token", "revoke", "ci")
    run("routes", "rollback", loaded.version, "--yes")

    raw = (folder / "state/audit.jsonl").read_bytes()
    lines = [orjson.loads(line) for line in raw.splitlines()]
    assert [line["command"] for line in lines] == [
        "token create ci --scope ops",
        "token revoke ci",
        f"routes rollback {loaded.version}",
    ]
    assert {(line["event"], line["principal"]) for line in lines} == {
        ("command", getpass.getuser())
    }
    assert token
    assert token.encode() not in raw


def test_a_command_does_its_work_where_the_log_cannot_be_written(folder, capsys):
    """It says so, and that is all."""
    (folder / "state/audit.jsonl").mkdir(parents=True)
    run("token", "create", "ci")

    said = capsys.readouterr()
    assert said.out.startswith("ccp_")
    assert "not in the audit log" in said.err
