"""The command line as people and scripts use it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ccproxy import __version__
from ccproxy.auth import KNOWN_SCOPES, KeyRing
from ccproxy.cli.main import main
from ccproxy.cli.token import Scope
from routing.types import Privacy
from tests.support.command_line import Result

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
SHIPPED_ROSTER = ROOT / "config" / "orchestra-config.json"

HEAVY = (
    "aiohttp", "anthropic", "asyncio", "fastapi", "httpx", "jose", "litellm", "ollama", "openai",
    "pydantic", "rich", "sqlalchemy", "starlette", "uvicorn", "yaml",
)  # fmt: skip

CONFIG = """\
server: {host: 127.0.0.1, port: 8081}
auth: {mode: required, tokens_file: tokens.json}
model_list:
  - model_name: coder
    litellm_params: {model: ollama_chat/qwen2.5-coder:32b-instruct, num_ctx: 8192}
  - model_name: cloud
    litellm_params: {model: anthropic/*, api_key: sk-test}
ledger: {url: "sqlite:///ccproxy.db"}
"""
ROUTING = """\
version: 1
active_profile: balanced
profiles:
  balanced:
    tiers:
      opus: {route: [cloud]}
      sonnet: {route: [coder, cloud]}
      haiku: {route: [coder]}
    agents:
      security-auditor: {route: [cloud, coder], privacy: local_only}
      stranded: {route: [cloud], privacy: local_only}
    default: {route: [coder]}
"""
ROSTER = {
    "architect": {"name": "Chief Architect", "model": "opus"},
    "codingAgents": [
        {"name": "Python Pro", "type": "python-pro", "model": "haiku"},
        {"name": "Debugger", "model": "sonnet-4.5"},
        {"name": "Stranded", "model": "sonnet"},
    ],
    "securityAgents": [{"name": "Security Auditor", "model": "sonnet"}],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that is the current one, with an empty home beside it."""
    home = tmp_path / "home"
    work = tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("CCPROXY_CONFIG", raising=False)
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def config(folder: Path) -> Path:
    """Return a config folder with the three files, where the commands find it."""
    path = folder / "config"
    path.mkdir()
    (path / "ccproxy.yaml").write_text(CONFIG)
    (path / "routing.yaml").write_text(ROUTING)
    (path / "orchestra-config.json").write_text(json.dumps(ROSTER, indent=2))
    return path


@pytest.fixture
def ccproxy(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Return a function that runs the command in this process, through its entry point."""

    def run(*arguments: str) -> Result:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        captured = capsys.readouterr()
        return Result(int(caught.value.code or 0), captured.out, captured.err)

    return run


# --- the command itself ------------------------------------------------------------------------


def test_help_imports_next_to_nothing() -> None:
    """`--help` imports no command, no configuration and no Rich (benchmarks/cli_start.py)."""
    script = (
        "import sys\n"
        "from ccproxy.cli.main import main\n"
        "try:\n    main(['--help'])\n"
        "finally:\n    sys.stderr.write(' '.join(sorted(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )

    loaded = set(done.stderr.split())
    ours = {name for name in loaded if name.split(".")[0] in {"ccproxy", "routing"}}
    assert ours == {
        "ccproxy", "ccproxy.cli", "ccproxy.cli.colours", "ccproxy.cli.help_page",
        "ccproxy.cli.main", "ccproxy.cli.output", "ccproxy.cli.shells", "ccproxy.cli.tree",
    }  # fmt: skip
    assert [name for name in HEAVY if name in loaded] == []


def test_it_runs_as_a_module() -> None:
    """`python -m ccproxy` is the command."""
    done = subprocess.run(
        [sys.executable, "-m", "ccproxy", "--version"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip

    assert done.stdout.splitlines()[0] == f"ccproxy {__version__}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("serve", "--port", "many"),
        ("serve", "--port", "70000"),
        ("token", "create"),
        ("token", "create", "x", "--scope", "root"),
        ("config", "schema", "tokens"),
        ("agents", "list", "--frob"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2(
    ccproxy: Callable[..., Result], config: Path, arguments: tuple[str, ...]
) -> None:
    """What no file could make right is wrong usage, told on stderr."""
    result = ccproxy(*arguments)

    assert (result.code, result.out) == (2, "")
    assert result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve",),
        ("run",),
        ("demo",),
        ("token", "list"),
        ("agents", "list"),
        ("routes", "show"),
        ("config", "check"),
    ],
    ids=" ".join,
)
def test_without_a_config_it_says_where_it_looked(
    ccproxy: Callable[..., Result], folder: Path, arguments: tuple[str, ...]
) -> None:
    """No config anywhere is a problem, and the sentence names the places and the way out."""
    result = ccproxy(*arguments)

    assert result.code == 1
    assert str(folder / "config" / "ccproxy.yaml") in result.err
    assert "--config" in result.err
    assert "Traceback" not in result.err


# --- serve -------------------------------------------------------------------------------------


def test_serve_reports_all_problems_and_does_not_start(
    ccproxy: Callable[..., Result], config: Path
) -> None:
    """Mistakes in two files are told in one go, with file and line, before anything is bound."""
    (config / "ccproxy.yaml").write_text(CONFIG.replace("port: 8081", "port: 8081, prot: 1"))
    (config / "routing.yaml").write_text(ROUTING.replace("[coder, cloud]", "[codr]"))
    result = ccproxy("serve", "--config", str(config / "ccproxy.yaml"))

    assert result.code == 1
    assert "ccproxy.yaml:1:" in result.err
    assert "prot" in result.err
    assert "routing.yaml:7:" in result.err
    assert "codr" in result.err


def test_serve_refuses_an_open_host_without_auth(
    ccproxy: Callable[..., Result], config: Path
) -> None:
    """`--host` cannot open a proxy to the network whose config has auth off."""
    (config / "ccproxy.yaml").write_text(CONFIG.replace("mode: required", "mode: off"))
    result = ccproxy("serve", "--host", "0.0.0.0")

    assert result.code == 1
    assert "auth.mode" in result.err


def test_serve_refuses_an_open_tokens_file(ccproxy: Callable[..., Result], config: Path) -> None:
    """A tokens file that others can read stops the start, and the error says chmod."""
    ccproxy("token", "create", "laptop")
    (config / "tokens.json").chmod(0o644)
    result = ccproxy("serve")

    assert result.code == 1
    assert f"chmod 600 {config / 'tokens.json'}" in result.err


# --- token -------------------------------------------------------------------------------------


def test_the_scopes_offered_are_those_that_exist() -> None:
    """`--scope` offers exactly the scopes that tokens can have."""
    assert {scope.value for scope in Scope} == KNOWN_SCOPES


def test_create_prints_the_token_alone(ccproxy: Callable[..., Result], config: Path) -> None:
    """Stdout is the token and nothing else; it authenticates, and the file is private."""
    result = ccproxy("token", "create", "laptop")
    token = result.out.strip()

    assert (result.code, result.out) == (0, f"{token}\n")
    principal = KeyRing(config / "tokens.json").verify([(b"x-api-key", token.encode())])
    assert (principal.name, principal.scopes, principal.agents) == ("laptop", frozenset(), ())
    assert stat.S_IMODE((config / "tokens.json").stat().st_mode) == 0o600
    assert token not in result.err


def test_create_as_json(ccproxy: Callable[..., Result], config: Path) -> None:
    """`--json` gives the token and what `list` tells of it, the agents of all options together."""
    result = ccproxy(
        "token", "create", "ci", "--agents", "python-pro, debugger", "--agents", "python-pro",
        "--scope", "ops", "--json",
    )  # fmt: skip
    value = result.json()
    token = value.pop("token")

    assert [value] == ccproxy("token", "list", "--json").json()
    assert (value["name"], value["scopes"]) == ("ci", ["ops"])
    assert value["agents"] == ["python-pro", "debugger"]
    principal = KeyRing(config / "tokens.json").verify([(b"x-api-key", token.encode())])
    assert principal.agents == ("python-pro", "debugger")
    assert principal.scopes == {"ops"}


def test_create_refuses_an_unknown_agent(ccproxy: Callable[..., Result], config: Path) -> None:
    """A typo in `--agents` creates nothing and names the nearest agent."""
    result = ccproxy("token", "create", "ci", "--agents", "debugger,pyton-pro")

    assert (result.code, result.out) == (1, "")
    assert "Did you mean 'python-pro'?" in result.err
    assert not (config / "tokens.json").exists()


def test_a_taken_name_is_a_problem(ccproxy: Callable[..., Result], config: Path) -> None:
    """A second token of one name is refused without output on stdout."""
    ccproxy("token", "create", "laptop")
    result = ccproxy("token", "create", "laptop")

    assert (result.code, result.out) == (1, "")
    assert "ccproxy token revoke 'laptop'" in result.err


@pytest.mark.parametrize("agents", ["", ",", " , ,"])
def test_a_limit_that_names_nobody_is_wrong_usage(
    agents: str, ccproxy: Callable[..., Result], config: Path
) -> None:
    """`--agents ""`, as an unset variable of a script gives it, makes no unlimited token."""
    result = ccproxy("token", "create", "ci", "--agents", agents)

    assert (result.code, result.out) == (2, "")
    assert "names no agent" in result.err
    assert not (config / "tokens.json").exists()


def test_tokens_are_listed_without_their_hashes(
    ccproxy: Callable[..., Result], config: Path
) -> None:
    """The list has names and limits, as a table and as JSON, and nothing to attack with."""
    ccproxy("token", "create", "ci [bold]", "--agents", "python-pro", "--scope", "ops")
    table, value = ccproxy("token", "list"), ccproxy("token", "list", "--json")
    digest = json.loads((config / "tokens.json").read_text())["tokens"][0]["sha256"]

    (row,) = value.json()
    assert row.pop("created_at")
    assert row == {
        "name": "ci [bold]",
        "scopes": ["ops"],
        "agents": ["python-pro"],
        "privacy": "any",
        "requests_per_minute": None,
        "expires_at": None,
        "former_until": [],
        "last_used_at": None,
    }
    assert "ci [bold]" in table.out
    assert digest not in table.out + table.err + value.out + value.err


def test_a_token_that_stays_on_the_host(ccproxy: Callable[..., Result], config: Path) -> None:
    """`--local-only` is stored, and told by `create` and `list`."""
    made = ccproxy("token", "create", "private", "--local-only", "--json")
    ccproxy("token", "create", "public")
    table, listed = ccproxy("token", "list"), ccproxy("token", "list", "--json").json()

    token = made.json()["token"]
    principal = KeyRing(config / "tokens.json").verify([(b"x-api-key", token.encode())])
    assert principal.privacy is Privacy.LOCAL_ONLY
    assert made.json()["privacy"] == "local_only"
    assert [each["privacy"] for each in listed] == ["local_only", "any"]
    private, public = (line for line in table.out.splitlines() if line.startswith("p"))
    assert "local_only" in private
    assert "local_only" not in public


def test_revoke(ccproxy: Callable[..., Result], config: Path) -> None:
    """A revoked token is gone; revoking it again is a problem."""
    ccproxy("token", "create", "laptop")

    assert ccproxy("token", "revoke", "laptop").code == 0
    assert ccproxy("token", "list", "--json").json() == []
    assert ccproxy("token", "revoke", "laptop").code == 1


# --- agents ------------------------------------------------------------------------------------


def test_agents_as_json(ccproxy: Callable[..., Result], folder: Path) -> None:
    """`--roster` needs no config; the fleet's 115 agents come as objects with the agreed keys."""
    result = ccproxy("agents", "list", "--roster", str(SHIPPED_ROSTER), "--json")
    agents = result.json()

    assert len(agents) == 115
    assert agents[0]["slug"] == "chief-architect"
    assert agents[0]["name"] == "Chief Architect"
    assert agents[0]["tier"] == "opus"
    assert agents[0]["category"] == "architect"
    assert {agent["tier"] for agent in agents} == {"opus", "sonnet", "haiku"}
    last_line = result.err.splitlines()[-1]
    assert last_line == "117 entries, 115 agents, 1/76/38 opus/sonnet/haiku"


def test_agents_as_a_table(ccproxy: Callable[..., Result], config: Path) -> None:
    """The table has one line per agent, in the order of the roster, none cut."""
    lines = ccproxy("agents", "list").out.splitlines()

    assert lines[0].split() == ["agent", "tier", "category", "type"]
    assert [line.split()[0] for line in lines[1:]] == [
        "chief-architect", "python-pro", "debugger", "stranded", "security-auditor",
    ]  # fmt: skip
    assert lines[2].split() == ["python-pro", "haiku", "codingAgents", "python-pro"]


def test_one_agent(ccproxy: Callable[..., Result], config: Path) -> None:
    """`show` prints one agent; an unknown one is a problem that names the nearest."""
    assert ccproxy("agents", "show", "debugger", "--json").json()["tier"] == "sonnet"
    assert "Debugger" in ccproxy("agents", "show", "debugger").out
    unknown = ccproxy("agents", "show", "debuger")
    assert (unknown.code, unknown.out) == (1, "")
    assert "Did you mean 'debugger'?" in unknown.err


def test_a_broken_roster_is_told_with_its_place(
    ccproxy: Callable[..., Result], folder: Path
) -> None:
    """A roster that is no JSON exits 1 with file, line and column."""
    (folder / "r.json").write_text('{\n  "architect": {,}\n}')
    result = ccproxy("agents", "list", "--roster", "r.json")

    assert (result.code, result.out) == (1, "")
    assert "r.json:2:17: not JSON" in result.err


# --- config ------------------------------------------------------------------------------------


def test_check_of_a_good_config(ccproxy: Callable[..., Result], config: Path) -> None:
    """A usable configuration exits 0 even with warnings, and 1 with `--strict`."""
    relaxed, strict = ccproxy("config", "check"), ccproxy("config", "check", "--strict")

    assert relaxed.code == 0
    assert "stranded" in relaxed.err
    assert "5 entries, 5 agents, 1/3/1 opus/sonnet/haiku" in relaxed.out
    assert strict.code == 1


def test_check_as_json(ccproxy: Callable[..., Result], config: Path) -> None:
    """`--json` lists every problem of every file with its place."""
    (config / "routing.yaml").write_text(ROUTING.replace("security-auditor", "security-audtor"))
    (config / "ccproxy.yaml").write_text(CONFIG.replace("num_ctx: 8192", "num_ctx: lots"))
    result = ccproxy("config", "check", str(config / "ccproxy.yaml"), "--json")
    value = result.json()

    assert (result.code, value["ok"]) == (1, False)
    assert [(Path(each["file"]).name, each["line"]) for each in value["errors"]] == [
        ("ccproxy.yaml", 5),
        ("routing.yaml", 10),
    ]
    assert "security-auditor" in value["errors"][1]["message"]


def test_which_file_is_checked(ccproxy: Callable[..., Result], config: Path) -> None:
    """It is named as an argument or by --config, not by both; by default it is found."""
    (config / "ccproxy.yaml").rename(config / "other.yaml")
    here = str(config / "other.yaml")

    assert ccproxy("config", "check", here).code == 0
    assert ccproxy("config", "check", "--config", here).code == 0
    both = ccproxy("config", "check", here, "--config", here)
    assert (both.code, both.out) == (2, "")
    assert "name one of them" in both.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("config check", "ccproxy init"),
        ("config check --config nope.yaml", "no such file (from --config)"),
        ("config check nope.yaml", "cannot be read: No such file"),
        ("routes check", "ccproxy init"),
        ("routes check --config nope.yaml", "no such file (from --config)"),
    ],
)
def test_check_of_a_missing_file(
    ccproxy: Callable[..., Result], folder: Path, words: str, message: str
) -> None:
    """It is an error as any other: in JSON too, and said of how it was named."""
    told, text = ccproxy(*words.split(), "--json"), ccproxy(*words.split())

    assert (told.code, told.json()["ok"], told.err) == (1, False, "")
    assert message in told.json()["errors"][0]["message"]
    assert (text.code, text.out.count("1 error")) == (1, 1)
    assert message in text.err


def test_check_of_a_broken_roster_still_reads_the_table(
    ccproxy: Callable[..., Result], config: Path
) -> None:
    """A roster without JSON in it does not hide that the table is no YAML."""
    (config / "orchestra-config.json").write_text("nope")
    (config / "routing.yaml").write_text("version: [")
    result = ccproxy("config", "check")

    assert result.code == 1
    assert "orchestra-config.json:1:1: not JSON" in result.err
    assert "routing.yaml:" in result.err


@pytest.mark.parametrize(("name", "key"), [("ccproxy", "model_list"), ("routing", "profiles")])
def test_schema(ccproxy: Callable[..., Result], folder: Path, name: str, key: str) -> None:
    """Each file's JSON Schema is printed without any config being there."""
    assert key in ccproxy("config", "schema", name).json()["properties"]


# --- routes ------------------------------------------------------------------------------------


def test_routes_as_json(ccproxy: Callable[..., Result], config: Path) -> None:
    """Each agent's route is what a request of it would get, privacy included."""
    by_agent = {row["agent"]: row for row in ccproxy("routes", "show", "--json").json()}

    assert by_agent["debugger"]["route"] == ["coder", "cloud"]
    assert by_agent["python-pro"]["route"] == ["coder"]
    assert by_agent["security-auditor"]["route"] == ["coder"]
    assert by_agent["security-auditor"]["privacy"] == "local_only"
    assert by_agent["security-auditor"]["skipped"][0].startswith("cloud: leaves the host")
    assert by_agent["stranded"]["route"] == []
    assert "local_only" in by_agent["stranded"]["problem"]


def test_routes_as_a_table(ccproxy: Callable[..., Result], config: Path) -> None:
    """The table shows the route in order, and why there is none where there is none."""
    lines = ccproxy("routes", "show").out.splitlines()

    assert lines[0].split() == ["agent", "tier", "category", "route", "privacy"]
    assert "coder > cloud" in lines[3]
    assert "none: cloud: leaves the host" in lines[4]


def test_output_into_a_closed_pipe_is_no_crash(config: Path) -> None:
    """`ccproxy agents list | head -1` leaves no traceback."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "ccproxy", "agents", "list"],
            stdout=closed, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip

    assert "Traceback" not in done.stderr
