"""`ccproxy routes versions` and `rollback` as people and scripts use them."""

import asyncio
import io
import json
from functools import partial

import pytest
import yaml

from ccproxy.cli.main import main
from ccproxy.config.live import LiveRouting
from ccproxy.config.loading import load_files, routing_files
from ccproxy.config.settings import load_settings
from ccproxy.config.versions import version_store
from tests.support.routing_folder import ROSTER, routing_text

SETTINGS = {
    "auth": {"tokens_file": "state/tokens.json"},
    "roster": "roster.json",
    "routing": "routing.yaml",
    "model_list": [
        {
            "model_name": name,
            "litellm_params": {"model": f"ollama_chat/{name}", "num_ctx": 8192},
        }
        for name in ("qwen", "qwen-fast")
    ],
}


@pytest.fixture
def config(tmp_path, monkeypatch):
    path = tmp_path / "ccproxy.yaml"
    path.write_text(yaml.safe_dump(SETTINGS))
    (tmp_path / "roster.json").write_text(json.dumps(ROSTER))
    (tmp_path / "routing.yaml").write_text(routing_text("qwen"))
    monkeypatch.setenv("CCPROXY_CONFIG", str(path))
    return path


def served(config, *deployments):
    """What a proxy leaves behind under which the file was edited like this; its last version."""
    settings = load_settings(config, {})
    files = routing_files(settings)
    for deployment in deployments:
        files.routing_file.write_text(routing_text(deployment))
        live = LiveRouting(partial(load_files, files), versions=version_store(settings))
        asyncio.run(live.reload())
    return live.loaded


@pytest.fixture
def ccproxy(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return run


def test_versions_for_programs(ccproxy, config):
    """Newest first, with the version of the table, the time, and which one lies in the files."""
    last = served(config, "qwen", "qwen-fast")

    code, out, _err = ccproxy("routes", "versions", "--json")
    rows = json.loads(out)

    assert code == 0
    assert [row["present"] for row in rows] == [True, False]
    assert rows[0]["version"] == last.version
    assert rows[0]["table_version"] == last.table.version
    assert set(rows[0]) == {"version", "table_version", "saved_at", "present", "routing_file"}


def test_versions_for_people(ccproxy, config):
    """One line each; the one in the files is marked."""
    last = served(config, "qwen", "qwen-fast")

    _code, out, err = ccproxy("routes", "versions")
    marked = [line for line in out.splitlines() if "now in the files" in line]

    assert len(marked) == 1
    assert last.version in marked[0]
    assert "2 versions in" in err


def test_no_versions_yet(ccproxy, config):
    """Before the first start the list is empty, which is no error."""
    code, out, err = ccproxy("routes", "versions")

    assert (code, out) == (0, "")
    assert "0 versions in" in err


def test_rollback_shows_what_it_does(ccproxy, config):
    """The difference on stdout, what happened on stderr, the file as it was before."""
    served(config, "qwen", "qwen-fast")

    code, out, err = ccproxy("routes", "rollback", "--yes")

    assert code == 0
    assert "-    default: {route: [qwen-fast]}\n+    default: {route: [qwen]}" in out
    assert "again" in err
    assert config.with_name("routing.yaml").read_text() == routing_text("qwen")


@pytest.mark.parametrize(
    ("answer", "code", "expected"),
    [("y\n", 0, "qwen"), ("n\n", 1, "qwen-fast"), ("", 1, "qwen-fast")],
)
def test_rollback_asks(ccproxy, config, monkeypatch, answer, code, expected):
    """Only a yes does it; a no and an empty stdin leave the file alone."""
    served(config, "qwen", "qwen-fast")
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))

    assert ccproxy("routes", "rollback")[0] == code
    assert config.with_name("routing.yaml").read_text() == routing_text(expected)


def test_rollback_to_a_version(ccproxy, config):
    """A version that is not the last can be named."""
    first = served(config, "qwen")
    served(config, "qwen-fast")
    config.with_name("routing.yaml").write_text(routing_text("qwen-fast", comment="x"))

    assert ccproxy("routes", "rollback", first.version[:6], "-y")[0] == 0
    assert config.with_name("routing.yaml").read_text() == routing_text("qwen")


def test_rollback_to_where_one_is(ccproxy, config):
    """Nothing to do is said, and is no error."""
    last = served(config, "qwen")

    code, out, err = ccproxy("routes", "rollback", last.version)

    assert (code, out) == (0, "")
    assert "already" in err


def test_rollback_refuses_what_does_not_fit_any_more(ccproxy, config):
    """A version with a deployment that is gone is refused with its place, and nothing is written."""
    served(config, "qwen", "qwen-fast")
    document = {**SETTINGS, "model_list": SETTINGS["model_list"][1:]}
    config.write_text(yaml.safe_dump(document))

    code, _out, err = ccproxy("routes", "rollback", "--yes")

    assert code == 1
    assert "there is no deployment 'qwen'" in err
    assert config.with_name("routing.yaml").read_text() == routing_text("qwen-fast")


def test_rollback_names_a_file_it_kept(ccproxy, config):
    """A broken file that is rolled back over is kept, and one is told where."""
    served(config, "qwen")
    config.with_name("routing.yaml").write_text("version: 1\n")

    code, _out, err = ccproxy("routes", "rollback", "--yes")

    assert code == 0
    assert str(config.with_name("state") / "routing-versions" / "replaced.routing.yaml") in err


def test_rollback_without_versions(ccproxy, config):
    """Where nothing was kept the answer says who keeps versions."""
    code, _out, err = ccproxy("routes", "rollback", "--yes")

    assert code == 1
    assert "keeps one at its start" in err
