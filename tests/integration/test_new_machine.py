"""From nothing to a served request, as docs/install.md has it, against the simulators."""

import asyncio
import io
import json
import math
import shlex

import httpx
import pytest

from ccproxy.cli.main import main
from ccproxy.demo.claude import SimulatedClaude
from ccproxy.demo.ollama_models import SimModel
from ccproxy.demo.ollama_server import SimulatedOllama
from ccproxy.setup.arithmetic import KvCacheType, kv_kib_per_token
from ccproxy.setup.catalogue import CATALOGUE
from tests.support.command_line import Result
from tests.support.services import machine
from tests.support.tools import ROOT
from tests.support.waiting import until_found

KEY = "sk-ant-of-a-new-machine"
ABOUT_THE_MACHINE = {"cores", "memory", "disk", "macos", "power", "ollama settings"}
"""Checks whose answer is that of the machine that runs the test."""
TURN = {
    "model": "claude-haiku-5-5",
    "max_tokens": 32,
    "messages": [{"role": "user", "content": "Name a prime."}],
}


@pytest.fixture
def ccproxy(tmp_path, monkeypatch, capsys):
    """The command line of a user whose home is empty."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.delenv("CCPROXY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        captured = capsys.readouterr()
        return Result(int(caught.value.code or 0), captured.out, captured.err)

    return in_a_thread(run)


def in_a_thread(run):
    """Return the command as a coroutine: it has an event loop of its own, the simulators the test's."""
    return lambda *arguments: asyncio.to_thread(run, *arguments)


class Terminal(io.StringIO):
    """Somebody who answers."""

    def isatty(self):
        return True


def registry():
    """Return what can be pulled, as big as it really is."""
    return [
        SimModel(card.name, card.weights_gib, kv_kib_per_token(card, KvCacheType.F16))
        for card in CATALOGUE.values()
    ]


def errors(result):
    return [each for each in result.json()["findings"] if each["level"] == "error"]


def doubts(result):
    """Return what is not in order and is not about the machine."""
    findings = result.json()["findings"]
    return [
        each
        for each in findings
        if each["level"] != "ok" and each["check"] not in ABOUT_THE_MACHINE
    ]


async def test_a_new_machine_serves(tmp_path, monkeypatch, capfd):
    """`init`, the key, `models pull`, a clean `doctor`, `service install`: an agent is served."""
    ollama = SimulatedOllama(models=(), speed=math.inf)
    ollama.offer(*registry())
    claude = SimulatedClaude()
    async with ollama.serve() as ollama_url, claude.serve() as claude_url:
        with machine(tmp_path, monkeypatch, capfd, "launchctl") as mini:
            monkeypatch.delenv("CCPROXY_CONFIG")
            monkeypatch.setenv("STANDIN_PROGRAM", "real")
            (mini.folder / "ccproxy.yaml").unlink()
            ccproxy = in_a_thread(mini.run)
            where = ("--ollama", ollama_url, "--claude", claude_url, "--port", str(mini.port))
            made = await ccproxy("init", "--yes", "--json", "--key-from", "file/key", *where)
            tokens = {each["name"]: each for each in made.json()["tokens"]}
            monkeypatch.setattr("sys.stdin", io.StringIO(KEY))
            kept = await ccproxy("secret", "set", "file/key")
            before = await ccproxy("doctor", "--json")
            pulled = await ccproxy("models", "pull")
            verified = await ccproxy("models", "verify")
            after = await ccproxy("doctor", "--json")
            checked = await ccproxy("routes", "check", "--offline")
            asked_of_claude = [each.path for each in claude.requests]
            installed = await ccproxy("service", "install", "--env", "STANDIN_PROGRAM")
            assert installed.code == 0, installed.err
            async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
                answer = await client.post(
                    f"http://127.0.0.1:{mini.port}/agents/python-specialist/v1/messages",
                    json=TURN,
                    headers={
                        "x-api-key": tokens["agents"]["token"],
                        "anthropic-version": "2023-06-01",
                    },
                )
                opened = {
                    name: await client.get(
                        f"http://127.0.0.1:{mini.port}/admin/budgets",
                        headers={"x-api-key": each["token"]},
                    )
                    for name, each in tokens.items()
                }
            status = await ccproxy("service", "status", "--json")
            while_serving = await ccproxy("doctor", "--json")

            async def logs():  # lines are written a moment after what they tell of
                shown = await ccproxy("service", "logs")
                return shown if answer.headers["request-id"] in shown.out else None

            logged = await until_found(logs)
            removed = await ccproxy("service", "uninstall")

    ran = (made, kept, pulled, verified, checked, installed, status, logged, removed)
    assert [0] * len(ran) == [each.code for each in ran], [each.err for each in ran]
    assert {each["check"] for each in errors(before)} == {"models"}
    assert doubts(after) == []
    assert after.json()["ok"]
    assert set(asked_of_claude) == {"/v1/models"}
    assert ollama.loads == 1, "only the request loads a model, never the doctor"
    assert answer.status_code == 200
    assert answer.headers["x-ccproxy-route"] == "local"
    assert {"agents": [], "ops": ["ops"]} == {name: t["scopes"] for name, t in tokens.items()}
    assert {"agents": 403, "ops": 200} == {name: each.status_code for name, each in opened.items()}
    assert "logging.file" not in installed.err, "the log's size is bounded from the start"
    assert (mini.folder / ".ccproxy/ccproxy.log").stat().st_mode & 0o777 == 0o600
    assert doubts(while_serving) == []
    said = [each["what"] for each in while_serving.json()["findings"] if each["check"] == "port"]
    assert said == [f"ccproxy answers on 127.0.0.1:{mini.port}"]
    assert KEY not in json.dumps([each.out + each.err for each in (*ran, after, while_serving)])


async def test_init_overwrites_nothing(ccproxy, tmp_path):
    """A second init with other choices refuses, unless told to replace, and then keeps the old files."""
    first = await ccproxy("init", "--yes", "--ram", "32", "--ollama", "127.0.0.1:9")
    same = await ccproxy("init", "--yes", "--ram", "32", "--ollama", "127.0.0.1:9")
    config = tmp_path / ".ccproxy" / "ccproxy.yaml"
    before = config.read_bytes()
    refused = await ccproxy("init", "--yes", "--ram", "64", "--ollama", "127.0.0.1:9")
    kept = config.read_bytes()
    forced = await ccproxy(
        "init", "--yes", "--force", "--json", "--ram", "64", "--ollama", "127.0.0.1:9"
    )
    backup = next(iter((tmp_path / ".ccproxy").glob("ccproxy.yaml.*.bak")))

    assert (first.code, same.code, refused.code, forced.code) == (0, 0, 1, 0)
    assert "unchanged: " in same.err
    assert "--force replaces them" in refused.err
    assert kept == before
    assert backup.read_bytes() == before
    assert forced.json()["tokens"] == [], "those of the first one stay in force"
    shown = [line.split() for line in first.out.splitlines() if "ccp_" in line]
    assert [name for name, _ in shown] == ["agents", "ops"]
    assert "ccp_" not in same.out + refused.out + first.err
    audit = (tmp_path / ".ccproxy" / "audit.jsonl").read_text()
    assert audit.count("token create agents") == audit.count("token create ops --scope ops") == 1
    assert "agents --scope" not in audit
    assert forced.json()["models"][0]["made_of"] == "qwen2.5-coder:32b-instruct"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--key-from", "sk-ant-pasted"), 2, "not the key itself"),
        (("--key-from", "file/"), 2, "names nothing"),
        (("--ollama", "not a url"), 2, "--ollama: must be an address"),
        (("--ollama", "http://[::1"), 2, "--ollama: must be an address"),
        (("--claude", "http://gateway.example"), 2, "--claude: would send credentials unencrypted"),
        (("--ram", "inf"), 2, "--ram: must be from 1"),
        (("--memory", "1e308"), 2, "--memory: must be from 0.1"),
        (("--dir", "a-file"), 2, "is no folder"),
        (("--token", " "), 1, "printable characters"),
        (("--token", "ops"), 2, "is the operator's"),
        (("--memory", "1", "--key-from", "none"), 1, "nothing could serve"),
        (("--key-from", "none", "--profile", "claude-only"), 1, "local-only"),
    ],
)
async def test_what_init_refuses(options, code, said, ccproxy, tmp_path):
    """It says why and writes nothing; a key that was pasted is not repeated."""
    (tmp_path / "a-file").touch()
    result = await ccproxy("init", "--yes", "--ollama", "127.0.0.1:9", *options)

    assert result.code == code
    assert said in result.err
    assert "sk-ant" not in result.err
    assert not (tmp_path / ".ccproxy").exists()


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [("{", 0o600, "is not JSON"), ('{"version": 1, "tokens": []}', 0o644, "chmod 600")],
)
async def test_init_beside_tokens_that_cannot_be_used(content, mode, said, ccproxy, tmp_path):
    """It says what to do about them, and writes nothing."""
    tokens = tmp_path / ".ccproxy" / "tokens.json"
    tokens.parent.mkdir()
    tokens.write_text(content)
    tokens.chmod(mode)
    result = await ccproxy("init", "--yes", "--ollama", "127.0.0.1:9")

    assert (result.code, list(tokens.parent.iterdir())) == (1, [tokens])
    assert said in result.err
    assert tokens.read_text() == content


async def test_init_leaves_tokens_alone(ccproxy, tmp_path):
    """A token of either name that is there stays, with its scopes, and only the other is made; an empty name makes none."""
    where = ("--yes", "--json", "--ollama", "127.0.0.1:9", "--key-from", "none")
    none = await ccproxy("init", *where, "--token", "")
    config = str(tmp_path / ".ccproxy" / "ccproxy.yaml")
    await ccproxy("token", "create", "ops", "--config", config)
    made = await ccproxy("init", *where, "--token", "fleet")
    listed = await ccproxy("token", "list", "--json", "--config", config)

    assert none.json()["tokens"] == []
    assert [(each["name"], each["scopes"]) for each in made.json()["tokens"]] == [("fleet", [])]
    assert {each["name"]: each["scopes"] for each in listed.json()} == {"ops": [], "fleet": []}


async def test_the_next_steps_are_about_the_new_files(ccproxy, tmp_path):
    """Where commands would find another config file, the steps that init names say which."""
    plain = await ccproxy("init", "--yes", "--ollama", "127.0.0.1:9", "--key-from", "file/a.key")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "ccproxy.yaml").write_text("")
    beside = await ccproxy("init", "--yes", "--ollama", "127.0.0.1:9", "--key-from", "file/a.key")
    new = tmp_path / ".ccproxy" / "ccproxy.yaml"

    assert "\n  ccproxy secret set file/a.key\n  ccproxy doctor\n" in plain.err
    assert f"\n  ccproxy doctor --config {new}\n" in beside.err


async def test_init_again_with_another_key(ccproxy, tmp_path):
    """The command that it names for that is about the same installation, and changes nothing else."""
    roster, folder = tmp_path / "it's mine.json", tmp_path / "my files"
    roster.write_text(json.dumps({"codingAgents": [{"name": "Debugger", "model": "sonnet"}]}))
    options = ("--roster", str(roster), "--port", "9191", "--ram", "64", "--ollama", "127.0.0.1:9")
    first = await ccproxy("init", "--yes", "--dir", str(folder), *options)
    before = (folder / "ccproxy.yaml").read_text()
    steps = [line.strip() for line in first.err.splitlines() if "file/anthropic.key" in line]
    (again, *options), store = (shlex.split(step)[1:] for step in steps)
    second = await ccproxy(again, *options)

    assert (first.code, second.code) == (0, 0)
    assert store[:3] == ["secret", "set", "file/anthropic.key"]
    assert store[-2:] == ["--config", str(folder / "ccproxy.yaml")]
    after = (folder / "ccproxy.yaml").read_text()
    assert after == before.replace("os.environ/ANTHROPIC_API_KEY", "file/anthropic.key") != before
    assert not (tmp_path / ".ccproxy").exists()


async def test_init_without_a_terminal(ccproxy, tmp_path):
    """Without anybody to answer it asks nothing and writes nothing."""
    result = await ccproxy("init")

    assert (result.code, (tmp_path / ".ccproxy").exists()) == (2, False)
    assert "--yes" in result.err


async def test_init_by_questions(ccproxy, tmp_path, monkeypatch):
    """At a terminal it asks, proposes what it found, and writes what was answered."""
    answers = ["", "48", "127.0.0.1:9", "-", "file/a.key", "local-only"]
    monkeypatch.setattr("sys.stdin", Terminal("\n".join([*answers, ""])))
    monkeypatch.setattr("getpass.getpass", lambda _: KEY)
    result = await ccproxy("init", "--json", "--dir", str(tmp_path / "here"))

    assert result.code == 0
    assert result.out.partition("{")[0].count(": ") >= len(answers)
    assert result.out.count("claude-only") == 1, "a question tells its answers once"
    made = json.loads("{" + result.out.partition("{")[2])
    assert (made["ram_profile_gib"], made["profile"]) == (48, "local-only")
    assert (tmp_path / "here" / "a.key").read_text().strip() == KEY
    assert KEY not in result.out + result.err


async def test_init_without_claude_by_questions(ccproxy, tmp_path, monkeypatch):
    """What is proposed fits the answers before: Enter is enough, and nothing of Claude is written."""
    answers = ["", "48", "127.0.0.1:9", "", "none", ""]
    monkeypatch.setattr("sys.stdin", Terminal("\n".join([*answers, ""])))
    result = await ccproxy("init", "--dir", str(tmp_path / "here"))

    assert (result.code, "Traceback" in result.err) == (0, False)
    assert "active_profile: local-only" in (tmp_path / "here" / "routing.yaml").read_text()
    assert "claude-opus" not in (tmp_path / "here" / "ccproxy.yaml").read_text()


async def test_init_asks_again(ccproxy, tmp_path, monkeypatch):
    """An answer that cannot be used is told so at its question, and does not end the others."""
    (tmp_path / "a-file").touch()
    wrong = {
        "a-file": "is no folder",
        "-3": "from 1 to",
        "abc": "must be an address",
        "24": "cannot read the roster",
        "nope": "not the key itself",
        "bogus": "'bogus' is none of balanced",
    }
    right = ["here", "48", "127.0.0.1:9", "-", "os.environ/ANTHROPIC_API_KEY", "balanced"]
    answers = [each for pair in zip(wrong, right, strict=True) for each in pair]
    monkeypatch.setattr("sys.stdin", Terminal("\n".join([*answers, ""])))
    result = await ccproxy("init")

    told = [line for line in result.out.splitlines() if "Error: " in line]
    assert (result.code, len(told)) == (0, len(wrong)), result.err
    assert all(said in line for said, line in zip(wrong.values(), told, strict=True))
    assert (tmp_path / "here" / "ccproxy.yaml").exists()


async def test_init_stopped_at_the_last_question(ccproxy, tmp_path, monkeypatch):
    """Nothing was changed, as it says: the key that was given is not stored either."""
    answers = ["", "48", "127.0.0.1:9", "-", "file/a.key"]
    monkeypatch.setattr("sys.stdin", Terminal("\n".join([*answers, ""])))
    monkeypatch.setattr("getpass.getpass", lambda _: KEY)
    result = await ccproxy("init", "--dir", str(tmp_path / "here"))

    assert result.code == 1
    assert "Active profile" in result.out
    assert "nothing was changed" in result.err
    assert not (tmp_path / "here").exists()


async def test_the_doctor_with_everything_down(ccproxy, tmp_path):
    """Nothing answers, nothing is configured: the doctor still says what is so, and how to go on."""
    nothing = await ccproxy("doctor")
    await ccproxy("init", "--yes", "--ollama", "127.0.0.1:9", "--claude", "http://127.0.0.1:9")
    config = tmp_path / ".ccproxy" / "ccproxy.yaml"
    jwt = "{issuer: i, audience: a, algorithms: [ES256], jwks_url: 'https://127.0.0.1:9/keys'}"
    config.write_text(config.read_text().replace("auth:\n", f"auth:\n  jwt: {jwt}\n"))
    config.chmod(0o666)
    down = await ccproxy("doctor", "--json")
    fixed = await ccproxy("doctor", "--fix", "--json")

    assert nothing.code == 1
    assert "not found; looked for" in nothing.out
    assert {each["check"] for each in errors(down)} == {"files", "jwt", "ollama"}
    assert {each["check"] for each in errors(fixed)} == {"jwt", "ollama"}
    assert fixed.json()["fixed"] == [f"{config}: mode 0666 is 0644 now"]


async def test_the_doctor_and_a_roster_of_ones_own(ccproxy, tmp_path):
    """A roster of one's own is used where it is, and everything about it lints clean."""
    roster = tmp_path / "mine é 😀.json"
    agents = [
        {"name": "Debugger", "model": "sonnet", "ccproxyMapping": {"ollama": "llama3:70b"}},
        {"name": "Typist", "model": "haiku", "ccproxyMapping": {"ollama": "tiny"}},
    ]
    roster.write_text(json.dumps({"codingAgents": agents}))
    await ccproxy("init", "--yes", "--ollama", "127.0.0.1:9", "--roster", str(roster))
    strict = await ccproxy("routes", "check", "--strict", "--offline")

    assert (strict.code, strict.err) == (0, "")
    config = (tmp_path / ".ccproxy" / "ccproxy.yaml").read_text()
    assert f'roster: "{roster}"' in config
    assert 'stands_in_for: ["llama3:70b"' in config
    assert 'stands_in_for: ["tiny"]' in config


def test_what_init_copies_is_what_is_shipped(tmp_path):
    """The files that a wheel brings along are those of config/."""
    from ccproxy.setup.shipped import PRICES, ROSTER, shipped_file  # noqa: PLC0415

    assert [shipped_file(name).read_bytes() for name in (PRICES, ROSTER)] == [
        (ROOT / "config" / name).read_bytes() for name in (PRICES, ROSTER)
    ]
