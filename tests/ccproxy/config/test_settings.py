"""`ccproxy.yaml` as a whole."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from ccproxy.config.problems import ConfigError
from ccproxy.config.settings import load_settings, refuse_open_bind, routing_deployments
from routing.types import Side

if TYPE_CHECKING:
    from pathlib import Path

    from ccproxy.config.settings import DeploymentSettings, Settings

LOCAL = "model_list: [{model_name: q, litellm_params: {model: ollama_chat/qwen}}]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder."""
    return tmp_path


def load(folder: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    """Write a config file and load it."""
    path = folder / "ccproxy.yaml"
    path.write_text(dedent(text))
    return load_settings(path, environ or {})


def problems(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """Return the problems of a file that is refused, without its path."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text, environ)
    return [str(each).removeprefix(f"{folder}/ccproxy.yaml:") for each in caught.value.problems]


def warnings(settings: Settings) -> list[str]:
    """Return the warnings without the path of the file."""
    return [str(each).removeprefix(f"{settings.path}:") for each in settings.warnings]


def one(folder: Path, params: str, *, rest: str = "", key: str = "") -> DeploymentSettings:
    """Return the only deployment of a file."""
    text = f"model_list: [{{model_name: q, litellm_params: {params}}}]\n{rest}"
    return load(folder, text, {"KEY": key} if key else {}).deployments[0]


def test_a_full_file(folder: Path) -> None:
    """Every key arrives, converted and absolute."""
    settings = load(
        folder,
        """\
        server: {host: 0.0.0.0, port: 9000}
        auth: {mode: required, tokens_file: ~/t.json}
        roster: ../agents.json
        routing: /etc/routing.yaml
        model_list:
          - model_name: qwen-coder
            litellm_params:
              model: ollama_chat/qwen2.5-coder:32b-instruct
              api_base: http://127.0.0.1:11434/
              num_ctx: 16384
              keep_alive: 30m
              timeout: 120
              stream_timeout: 60.5
              max_parallel_requests: 2
            model_info:
              weights_gib: 18.5
              kv_kib_per_token: 256
              supports_tools: true
              supports_vision: false
              max_input_tokens: 16000
              max_output_tokens: 8000
          - model_name: claude
            litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: os.environ/KEY}
        ledger: {url: "sqlite:///l.db"}
        """,
        {"KEY": "sk-secret", "HOME": "/home/ops"},
    )
    assert (settings.host, settings.port, settings.auth_required) == ("0.0.0.0", 9000, True)
    assert str(settings.tokens_file) == "/home/ops/t.json"
    assert settings.roster_file == folder.parent / "agents.json"
    assert str(settings.routing_file) == "/etc/routing.yaml"
    assert settings.ledger_url == f"sqlite:///{folder}/l.db"
    assert settings.warnings == ()
    local, claude = settings.deployments
    assert (local.provider, local.upstream_model) == ("ollama_chat", "qwen2.5-coder:32b-instruct")
    assert (local.api_base, local.num_ctx) == ("http://127.0.0.1:11434", 16384)
    assert (local.keep_alive, local.timeout_s, local.stream_timeout_s) == ("30m", 120.0, 60.5)
    assert (local.max_parallel_requests, local.weights_gib) == (2, 18.5)
    assert (local.kv_kib_per_token, local.supports_tools) == (256.0, True)
    assert (local.supports_vision, local.supports_reasoning) == (False, None)
    assert (local.max_input_tokens, local.max_output_tokens) == (16000, 8000)
    assert (claude.api_base, claude.api_key) == ("https://api.anthropic.com", "sk-secret")
    assert {
        name: (each.name, each.side, each.leaves_host)
        for name, each in routing_deployments(settings).items()
    } == {
        "qwen-coder": ("qwen-coder", Side.LOCAL, False),
        "claude": ("claude", Side.CLAUDE, True),
    }
    assert "sk-secret" not in repr(settings)


def test_defaults(folder: Path) -> None:
    """A file needs no more than a deployment."""
    settings = load(folder, LOCAL)
    assert (settings.host, settings.port, settings.auth_required) == ("127.0.0.1", 8081, True)
    assert settings.tokens_file == folder / "tokens.json"
    assert settings.roster_file == folder / "orchestra-config.json"
    assert settings.routing_file == folder / "routing.yaml"
    assert settings.ledger_url == f"sqlite:///{folder}/ccproxy.db"
    deployment = settings.deployments[0]
    assert (deployment.api_base, deployment.num_ctx) == ("http://127.0.0.1:11434", 32768)
    assert (deployment.timeout_s, deployment.stream_timeout_s) == (600.0, 600.0)
    assert deployment.keep_alive is None


def test_one_timeout_is_for_both(folder: Path) -> None:
    """`timeout` alone also limits the first byte of a stream."""
    deployment = one(folder, "{model: ollama_chat/q, timeout: 90}")
    assert (deployment.timeout_s, deployment.stream_timeout_s) == (90.0, 90.0)


@pytest.mark.parametrize("mode", ["off", '"off"', "false"])
def test_auth_off_is_a_word_and_a_yaml_false(folder: Path, mode: str) -> None:
    """YAML reads a bare `off` as false, which means the same."""
    assert not load(folder, f"auth: {{mode: {mode}}}\n{LOCAL}").auth_required


def test_trusted_proxies(folder: Path) -> None:
    """They are addresses or networks, and nobody where nothing is said."""
    listed = "server: {trusted_proxies: [127.0.0.1, 10.1.2.3/8, '::1']}\n" + LOCAL

    assert ("127.0.0.1/32", "10.0.0.0/8", "::1/128") == load(folder, listed).trusted_proxies
    assert () == load(folder, LOCAL).trusted_proxies
    named = problems(folder, "server: {trusted_proxies: [localhost]}\n" + LOCAL)
    assert 1 == len(named)
    assert named[0].startswith(
        "1:28: server.trusted_proxies[0]: must be an IP address or a network"
    )
    for everybody in ("0.0.0.0/0", "::/0"):
        (said,) = problems(folder, f"server: {{trusted_proxies: ['{everybody}']}}\n" + LOCAL)
        assert f"{everybody!r} is everybody" in said


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "studio.local"])
def test_auth_off_needs_loopback(folder: Path, host: str) -> None:
    """Without tokens the proxy does not listen where others can reach it."""
    text = f"server: {{host: {host}}}\nauth: {{mode: off}}\n{LOCAL}"
    (problem,) = problems(folder, text)
    assert problem.startswith(f"2:8: auth.mode: {host} can be reached from other")
    assert refuse_open_bind(host, auth_required=True) is None
    assert refuse_open_bind("127.0.0.1", auth_required=False) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server: {}\n", "1:1: model_list: is required"),
        ("model_list: []\n", "1:1: model_list: must not be empty"),
        ("model_list: {}\n", "1:1: model_list: must be a list"),
        ("model_list: [q]\n", "1:14: model_list[0]: must be a map of `key: value`"),
        (f"sever: {{}}\n{LOCAL}", "1:1: sever: unknown key. Did you mean 'server'?"),
        (f"server: {{prot: 1}}\n{LOCAL}", "1:10: server.prot: unknown key. Did you mean 'port'?"),
        (f"server: 1\n{LOCAL}", "1:1: server: must be a map of `key: value`"),
        (f"server: {{port: true}}\n{LOCAL}", "1:10: server.port: must be a number"),
        (
            f"server: {{port: 70000}}\n{LOCAL}",
            "1:10: server.port: Input should be less than or equal to 65535",
        ),
        (
            f"server: {{host: 1}}\n{LOCAL}",
            "1:10: server.host: must be a text; quote it if it looks like a number",
        ),
        (
            f"auth: {{mode: on}}\n{LOCAL}",
            "1:8: auth.mode: Input should be 'required' or 'off'",
        ),
        (
            f"on_premises_hosts: ['a:1']\n{LOCAL}",
            (
                "1:21: on_premises_hosts[0]: must be a host name or an IP address without scheme and "
                "port, not 'a:1'"
            ),
        ),
        (
            f"ledger: {{url: l.db}}\n{LOCAL}",
            "1:10: ledger.url: must be sqlite:///path or postgresql://user:password@host/database",
        ),
        (
            "model_list: [{model_name: q, litellm_params: {model: ollama_chat/q}, tpm: 1}]\n",
            "1:70: model_list[0].tpm: unknown key.",
        ),
        (
            "model_list: [{model_name: q, litellm_params: {}}]\n",
            "1:30: model_list[0].litellm_params.model: is required",
        ),
        (
            "model_list: [{model_name: 'a,b', litellm_params: {model: ollama_chat/q}}]\n",
            (
                "1:15: model_list[0].model_name: may hold letters, digits and . _ : / @ + - and must "
                "begin with the former"
            ),
        ),
        (
            "model_list: [{model_name: agent/q, litellm_params: {model: ollama_chat/q}}]\n",
            (
                "1:15: model_list[0].model_name: must not begin with agent/, which clients use to name "
                "an agent"
            ),
        ),
        (
            f"{LOCAL.rstrip()[:-1]}, {{model_name: q, litellm_params: {{model: openai/q}}}}]\n",
            (
                "1:75: model_list[1].model_name: 'q' is already the name of the deployment in line 1; "
                "give each its own name and list both in a route"
            ),
        ),
    ],
)
def test_each_problem_names_place_and_fix(folder: Path, text: str, expected: str) -> None:
    """A bad file is one problem at line and column, with its key and what to do."""
    assert problems(folder, text) == [expected]


@pytest.mark.parametrize(
    ("text", "state"), [("", "is empty"), ("- a\n", "must be a map of `key: value`")]
)
def test_a_file_that_is_nothing_names_the_command_that_writes_one(folder, text, state):
    """A wheel brings no file to start from."""
    again = f"`ccproxy init --force --dir {folder}` writes a whole ccproxy.yaml"
    assert problems(folder, text) == [f"1:1: {state}; {again} and keeps a backup"]


@pytest.mark.parametrize(
    ("model", "base_model", "message"),
    [
        ("anthropic/*", "gpt-4", "must be an id of Claude's, such as claude-sonnet-5-5"),
        ("anthropic/*", "anthropic/claude-opus-5-5", "without a provider"),
        ("anthropic/*", "claude-*", "must be an id of Claude's"),
        (
            "anthropic/claude-opus-5-5",
            "claude-haiku-5-5",
            "is only for anthropic/*, and anthropic/",
        ),
        ("ollama_chat/q", "claude-haiku-5-5", "ollama_chat/q asks for its own; take it out"),
    ],
)
def test_a_base_model_is_an_id_of_claudes(
    folder: Path, model: str, base_model: str, message: str
) -> None:
    """`base_model` is for `anthropic/*`, and what Claude would not know is refused."""
    (problem,) = problems(
        folder,
        f"model_list: [{{model_name: q, litellm_params: {{model: {model}, api_key: k}}, "
        f"model_info: {{base_model: {base_model}}}}}]\n",
    )
    assert " model_list[0].model_info.base_model: " in problem
    assert message in problem


def test_a_base_model_is_kept(folder: Path) -> None:
    """What `anthropic/*` asks for in place of an id Claude does not have; none is no mistake."""
    deployments = load(
        folder,
        """\
        model_list:
          - model_name: a
            litellm_params: {model: anthropic/*, api_key: k}
            model_info: {base_model: claude-haiku-4-5-20251001}
          - {model_name: b, litellm_params: {model: anthropic/*, api_key: k}}
          - model_name: c
            litellm_params: {model: os.environ/MODEL}
            model_info: {base_model: claude-opus-5-5}
        """,
    ).deployments
    expected = ["claude-haiku-4-5-20251001", None, "claude-opus-5-5"]
    assert [each.base_model for each in deployments] == expected


P = "model_list[0].litellm_params"


@pytest.mark.parametrize(
    ("params", "key", "message"),
    [
        ("{model: ollama/qwen}", "model", "write ollama_chat/qwen"),
        ("{model: a-secret}", "model", "needs a provider in front; write ollama_chat/ before it"),
        ("{model: claude-3}", "model", "write anthropic/ before it"),
        ("{model: anthropic/}", "model", "must be <provider>/<model>"),
        ("{model: ollama_chat/*}", "model", "a wildcard is only possible as anthropic/*"),
        ("{model: anthropic/claude-*}", "model", "a wildcard is only possible as anthropic/*"),
        ("{model: ollama_chat/q, api_base: studio}", "api_base", "must be an address such as"),
        ("{model: ollama_chat/q, num_ctx: 0}", "num_ctx", "greater than 0"),
        ("{model: ollama_chat/q, num_ctx: many}", "num_ctx", "valid integer"),
        ("{model: ollama_chat/q, num_ctx: true}", "num_ctx", "must be a number"),
        ("{model: ollama_chat/q, timeout: -1}", "timeout", "greater than 0"),
        ("{model: ollama_chat/q, timeout: .inf}", "timeout", "finite number"),
        ("{model: ollama_chat/q, keep_alive: soon}", "keep_alive", "a duration such as 30m"),
        ("{model: ollama_chat/q, keep_alive: 1.5}", "keep_alive", "a duration such as 30m"),
        (
            "{model: anthropic/*, api_key: k, api_base: 'http://gate.example.com'}",
            "api_base",
            "would send credentials unencrypted",
        ),
        ("{model: anthropic/*, api_key: 'a secret'}", "api_key", "cannot stand in a header"),
    ],
)
def test_each_wrong_parameter(folder: Path, params: str, key: str, message: str) -> None:
    """A wrong parameter is one problem at its key, and its value is not shown if it is secret."""
    (problem,) = problems(folder, f"model_list: [{{model_name: q, litellm_params: {params}}}]\n")
    assert f" {P}.{key}: " in problem
    assert message in problem
    assert "secret" not in problem


def test_all_problems_at_once_in_the_order_of_the_file(folder: Path) -> None:
    """Shapes, contradictions and duplicates are reported together."""
    found = problems(
        folder,
        """\
        server: {prot: 1}
        model_list:
          - {model_name: a, litellm_params: {model: ollama/x}}
          - {model_name: a, litellm_params: {model: ollama_chat/x, num_ctx: no}}
          - model_name: b
        """,
    )
    assert [each.split(": ")[1] for each in found] == [
        "server.prot",
        "model_list[0].litellm_params.model",
        "model_list[1].model_name",
        "model_list[1].litellm_params.num_ctx",
        "model_list[2].litellm_params",
    ]


def test_unused_keys_of_litellm_are_warnings(folder: Path) -> None:
    """A LiteLLM config file can be brought along; what has no effect is said."""
    settings = load(
        folder,
        """\
        model_list:
          - model_name: q
            litellm_params: {model: ollama_chat/q, rpm: 5, num_ctxt: 1}
            model_info: {supports_function_calling: true}
        litellm_settings: {drop_params: true}
        general_settings:
        router_settings: {num_retries: 2}
        """,
    )
    assert warnings(settings) == [
        "3:44: model_list[0].litellm_params.rpm: has no effect here.",
        "3:52: model_list[0].litellm_params.num_ctxt: has no effect here. Did you mean 'num_ctx'?",
        (
            "4:18: model_list[0].model_info.supports_function_calling: has no effect here. "
            "Use 'supports_tools'."
        ),
        "5:20: litellm_settings.drop_params: a setting of LiteLLM's; it has no effect here",
        "7:19: router_settings.num_retries: a setting of LiteLLM's; it has no effect here",
    ]


def test_a_missing_variable_makes_only_its_deployment_unavailable(folder: Path) -> None:
    """The file loads with a warning, and the other deployments are usable."""
    settings = load(
        folder,
        """\
        model_list:
          - {model_name: c, litellm_params: {model: anthropic/*, api_key: os.environ/KEY}}
          - {model_name: d, litellm_params: {model: os.environ/MODEL}}
          - {model_name: q, litellm_params: {model: ollama_chat/q}}
        """,
    )
    assert [each.unavailable for each in settings.deployments] == [
        "environment variable KEY is not set",
        "environment variable MODEL is not set",
        None,
    ]
    assert warnings(settings) == [
        (
            "2:58: model_list[0].litellm_params.api_key: environment variable KEY is not set, so this "
            "deployment is unavailable"
        ),
        (
            "3:38: model_list[1].litellm_params.model: environment variable MODEL is not set, so this "
            "deployment is unavailable"
        ),
    ]
    assert routing_deployments(settings)["d"].leaves_host


def test_numbers_may_come_from_the_environment(folder: Path) -> None:
    """A variable's text is read as the number it is."""
    text = (
        "model_list: [{model_name: q, litellm_params: "
        "{model: ollama_chat/q, num_ctx: os.environ/N, keep_alive: os.environ/K}}]\n"
    )
    deployment = load(folder, text, {"N": "4096", "K": "-1"}).deployments[0]
    assert (deployment.num_ctx, deployment.keep_alive) == (4096, -1)


def test_claude_without_a_key_is_unavailable(folder: Path) -> None:
    """A Claude deployment that names no key at all loads with a warning."""
    settings = load(folder, "model_list: [{model_name: c, litellm_params: {model: anthropic/*}}]\n")
    assert settings.deployments[0].unavailable == "it has no api_key"
    assert len(settings.warnings) == 1


@pytest.mark.parametrize(
    ("params", "rest", "side", "leaves_host"),
    [
        ("{model: ollama_chat/q}", "", Side.LOCAL, False),
        ("{model: ollama_chat/q, api_base: 'http://localhost:1'}", "", Side.LOCAL, False),
        ("{model: ollama_chat/q, api_base: 'http://[::1]:1'}", "", Side.LOCAL, False),
        ("{model: ollama_chat/q, api_base: 'http://studio:1'}", "", Side.OTHER, True),
        (
            "{model: ollama_chat/q, api_base: 'http://studio:1'}",
            "on_premises_hosts: [STUDIO]",
            Side.LOCAL,
            False,
        ),
        ("{model: 'ollama_chat/glm-4.6:cloud'}", "", Side.OTHER, True),
        ("{model: 'ollama_chat/gpt-oss:120b-CLOUD'}", "", Side.OTHER, True),
        ("{model: ollama_chat/cloudy}", "", Side.LOCAL, False),
        ("{model: openai/gpt}", "", Side.OTHER, True),
        ("{model: openai/gpt, api_base: 'http://127.0.0.1:1'}", "", Side.LOCAL, False),
        ("{model: anthropic/*, api_key: k}", "", Side.CLAUDE, True),
        (
            "{model: anthropic/*, api_key: k, api_base: 'http://127.0.0.1:1'}",
            "",
            Side.CLAUDE,
            True,
        ),
        (
            "{model: anthropic/*, api_key: k, api_base: 'https://gate:1'}",
            "on_premises_hosts: [gate]",
            Side.CLAUDE,
            True,
        ),
    ],
)
def test_what_leaves_the_host(
    folder: Path, params: str, rest: str, side: Side, *, leaves_host: bool
) -> None:
    """Claude, Ollama's cloud models and hosts that are neither this one nor listed leave it."""
    text = f"model_list: [{{model_name: q, litellm_params: {params}}}]\n{rest}\n"
    deployment = routing_deployments(load(folder, text))["q"]
    assert (deployment.side, deployment.leaves_host) == (side, leaves_host)


def test_two_contexts_for_one_model_are_a_warning(folder: Path) -> None:
    """Deployments that make Ollama reload one model at every change are reported."""
    settings = load(
        folder,
        """\
        model_list:
          - {model_name: a, litellm_params: {model: ollama_chat/q, num_ctx: 4096}}
          - {model_name: b, litellm_params: {model: "ollama_chat/q:latest", num_ctx: 8192}}
          - {model_name: c, litellm_params: {model: ollama_chat/q, num_ctx: 4096}}
          - {model_name: d, litellm_params: {model: openai/q}}
        """,
    )
    (warning,) = warnings(settings)
    assert "a and b are the same Ollama model with different num_ctx" in warning


def test_several_hundred_deployments(folder: Path) -> None:
    """A large file loads, and each deployment keeps its place."""
    items = "".join(
        f"  - {{model_name: m{n}, litellm_params: {{model: 'ollama_chat/m{n}'}}}}\n"
        for n in range(500)
    )
    settings = load(folder, f"model_list:\n{items}")
    assert [each.name for each in settings.deployments] == [f"m{n}" for n in range(500)]


@pytest.mark.parametrize(("text", "strict"), [("", False), ("local: {strict: true}\n", True)])
def test_strict(folder: Path, text: str, *, strict: bool) -> None:
    """Validation for local models is lenient unless `local.strict` is on (conformance 113)."""
    assert load(folder, LOCAL + text).strict is strict


def test_the_agents_folder(folder: Path) -> None:
    """It is relative to the file, below home with `~`, and None where it is not said."""
    (folder / "agents").mkdir()
    written = load(folder, f"{LOCAL}agents_folder: agents\n")
    at_home = load(folder, f"{LOCAL}agents_folder: ~/agents\n", {"HOME": str(folder)})

    assert written.agents_folder == at_home.agents_folder == folder / "agents"
    assert load(folder, LOCAL).agents_folder is None


@pytest.mark.parametrize(("name", "why"), [("gone", "does not exist"), ("file", "is no folder")])
def test_an_agents_folder_that_is_none(folder: Path, name: str, why: str) -> None:
    """A folder that is not there is an error at its line; every agent would be unrecognised."""
    (folder / "file").write_text("")

    (problem,) = problems(folder, f"{LOCAL}agents_folder: {name}\n")

    assert problem.startswith("2:")
    assert f"{folder / name} {why}" in problem


def test_strict_is_a_boolean(folder: Path) -> None:
    """A word in place of true or false is refused by name."""
    (problem,) = problems(folder, LOCAL + "local: {strict: yes please}\n")

    assert "local.strict" in problem
