"""`ccproxy doctor`, with nothing but a config file beside it."""

import asyncio
import shlex

import pytest

from tests.support.command_line import command_line
from tests.support.raw_upstream import raw_upstream

CONFIG = """\
server: {host: 127.0.0.1, port: 0}
auth: {tokens_file: tokens.json}
roster: roster.json
model_list:
  - model_name: coder
    litellm_params: {model: "ollama_chat/qwen2.5-coder:7b-instruct", num_ctx: 8192, api_base: "URL"}
    model_info: {weights_gib: 4.36, kv_kib_per_token: 56}
  - model_name: writer
    litellm_params: {model: "ollama_chat/qwen2.5:3b-instruct", num_ctx: 8192, api_base: "URL"}
  - model_name: cloud
    litellm_params: {model: anthropic/*, api_key: "file/my key", api_base: "http://127.0.0.1:9"}
    model_info: {base_model: claude-sonnet-5-5}
ledger: {url: "sqlite:///ccproxy.db"}
"""


@pytest.fixture
def ccproxy(tmp_path, monkeypatch, capsys):
    """The command, and an installation whose upstreams are all down."""
    command = command_line(tmp_path, monkeypatch, capsys)
    tmp_path.chmod(0o700)
    for file, text in (("ccproxy.yaml", CONFIG.replace("URL", "http://127.0.0.1:9")), ("my key", "sk-made-up")):  # fmt: skip
        (tmp_path / file).write_text(text)
        (tmp_path / file).chmod(0o600)
    return command


def findings(result, *checks):
    """Return what is not in order, of some checks."""
    found = result.json()["findings"]
    return [each for each in found if each["level"] != "ok" and each["check"] in checks]


def test_a_key_that_others_can_read(ccproxy):
    """It is told once, in place of a config file that could not be read for it, and --fix ends it."""
    (ccproxy.folder / "my key").chmod(0o644)
    before = ccproxy("doctor", "--json")
    fixed = ccproxy("doctor", "--json", "--fix")

    (found,) = findings(before, "config", "secrets")
    assert (found["check"], found["fixable"]) == ("secrets", True)
    assert found["fix"] == f"chmod 600 '{ccproxy.folder / 'my key'}'"
    assert findings(fixed, "config", "secrets") == []
    assert "port" in {each["check"] for each in fixed.json()["findings"]}


def test_the_commands_are_about_the_given_file(ccproxy, monkeypatch):
    """They say which installation they act on, quoted, but for the one in the home folder."""
    (ccproxy.folder / "my key").unlink()
    found = ccproxy("doctor", "--json")
    monkeypatch.delenv("CCPROXY_CONFIG")
    config = ccproxy.folder / "a folder" / "ccproxy.yaml"
    config.parent.mkdir()
    for file in ("ccproxy.yaml", "routing.yaml", "roster.json"):
        (config.parent / file).write_bytes((ccproxy.folder / file).read_bytes())
    given = ccproxy("doctor", "--json", "--config", str(config))

    (plain,), (secret,) = findings(found, "secrets"), findings(given, "secrets")
    assert shlex.split(plain["fix"]) == [
        *("ccproxy", "secret", "set", "--config", f"{ccproxy.folder}/ccproxy.yaml", "file/my key")
    ]
    assert shlex.split(secret["fix"]) == [
        *("ccproxy", "secret", "set", "--config", str(config), "file/my key")
    ]
    (tokens,) = findings(given, "tokens")
    assert tokens["fix"] == f"ccproxy token create --config {shlex.quote(str(config))} NAME"


def test_no_config_file(ccproxy, monkeypatch):
    """There is nothing to edit: `ccproxy init` writes one, there where one was asked for."""
    monkeypatch.setenv("CCPROXY_CONFIG", "")
    (ccproxy.folder / "empty").mkdir()
    monkeypatch.setenv("HOME", str(ccproxy.folder / "empty"))
    (found,) = findings(ccproxy("doctor", "--json"), "config")
    missing = ccproxy.folder / "empty" / "ccproxy.yaml"
    (asked_for,) = findings(ccproxy("doctor", "--json", "--config", str(missing)), "config")

    assert found["fix"] == "ccproxy init"
    assert asked_for["fix"] == f"ccproxy init --dir {missing.parent}"


def test_a_broken_tokens_file(ccproxy):
    """It is told once, with a way out that does not need the file."""
    tokens = ccproxy.folder / "tokens.json"
    tokens.write_text("{")
    tokens.chmod(0o600)
    (found,) = findings(ccproxy("doctor", "--json"), "config", "tokens")

    again = f"ccproxy token create --config {ccproxy.folder / 'ccproxy.yaml'} NAME"
    assert f"rm {tokens}, then: {again}" in found["fix"]


def test_a_home_that_is_not_there(ccproxy, monkeypatch):
    """The disk is that of the nearest folder above it; everything else is looked at as ever."""
    monkeypatch.setenv("HOME", str(ccproxy.folder / "gone" / "home"))
    found = ccproxy("doctor", "--json").json()["findings"]

    assert {"disk", "models", "port"} <= {each["check"] for each in found}


def test_the_memory_that_the_routing_table_names(ccproxy):
    """What `init --memory` was told counts, and not the machine's share alone."""
    text = ccproxy.routing.read_text()
    ccproxy.routing.write_text(text.replace("version: 1", "version: 1\nmemory_gib: 2"))
    result = ccproxy("doctor", "--json")
    (found,) = findings(result, "models")
    (memory,) = (e["what"] for e in result.json()["findings"] if e["check"] == "memory")

    assert memory.endswith(" 2.0 GiB of it for models")
    assert found["what"] == "coder takes 5.1 GiB, and models can have 2.0 GiB here"


async def test_what_an_ollama_says_gives_no_orders(ccproxy):
    """Control characters of an answer do not reach the terminal."""
    answer = b'{"version": "0.33.0\\u001b[31mX", "models": []}'
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(answer)
    async with raw_upstream(head + answer) as ollama:
        (ccproxy.folder / "ccproxy.yaml").write_text(CONFIG.replace("URL", ollama.base_url))
        told = await asyncio.to_thread(ccproxy, "doctor")

    assert "Ollama 0.33.0\ufffd[31mX" in told.out
    assert "\x1b" not in told.out
