"""The wheel alone: installed without the checkout around it, all of it works."""

import asyncio
import contextlib
import http.client
import json
import os
import re
import subprocess
import textwrap

import pytest

from ccproxy import __version__
from tests.support.http_wire import ask
from tests.support.messages import CLAUDE, turn
from tests.support.service_standin_process import kill_all
from tests.support.services import UID, free_port, write_standin
from tests.support.tools import ROOT
from tests.support.wheel import install_wheel

START_S = 30
IN_TURN = """\
import contextlib, io, json, os, sys
from ccproxy.cli.main import main
os.getuid = os.geteuid = lambda: {uid}
results = []
for arguments in json.loads(sys.stdin.read()):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
    results.append([code, out.getvalue(), err.getvalue()])
print(json.dumps([results, sys.path]))
"""
"""One process for many commands, since each would import the same."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel's environment; at the end nothing that ran in it has opened a file of ours."""
    found = install_wheel(tmp_path_factory.mktemp("wheel"))
    yield found
    assert set() == found.opened_in_the_checkout()


def run(installed, *command, stdin="", **environ):
    done = subprocess.run(
        command, cwd=installed.working_folder, env={**installed.environ, **environ},
        input=stdin, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


def in_turn(installed, commands, **environ):
    """Run commands and return their exit codes and outputs, and `sys.path`."""
    script = IN_TURN.format(uid=UID)
    command = (str(installed.python), "-c", script)
    done = run(installed, *command, stdin=json.dumps(commands), **environ)
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


def test_it_knows_itself(installed):
    """The installed command says its version, the commit it was built of, and where it is."""
    done = run(installed, str(installed.command), "--version")
    facts = dict(re.findall(r"^  (\S.*?)  +(\S.*)$", done.stdout, re.MULTILINE))

    assert f"ccproxy {__version__}" == done.stdout.splitlines()[0]
    assert facts["installed in"].startswith(str(installed.folder))
    if (ROOT / ".git").exists():
        assert re.fullmatch(r"[0-9a-f]{12}(-dirty)?", facts["commit"])


COMMANDS = (
    ("init", "--yes", "--ram", "32", "--ollama", "http://127.0.0.1:9"),
    ("config", "check"),
    ("agents", "list", "--json"),
    ("routes", "check", "--offline"),
    ("routes", "show", "--json"),
    ("models", "list", "--json"),
    ("token", "list", "--json"),
    ("explain", "--agent", "debugger", "--json"),
    ("config", "schema"),
    ("doctor", "--json"),  # finds that there is no Ollama
)


@pytest.fixture(scope="module")
def results(installed):
    """What commands said after each other, from `init` on, and where Python looked for modules."""
    found, path = in_turn(installed, COMMANDS)
    return dict(zip(COMMANDS, found, strict=True)), path


def test_an_installation_from_nothing(installed, results):
    """`init`, `doctor` and what asks about agents and routes run on what the wheel brings along."""
    said, path = results
    files = {each.name for each in (installed.home / ".ccproxy").iterdir()}
    findings = json.loads(said["doctor", "--json"][1])["findings"]

    assert [] == [command for command in COMMANDS[:-1] if said[command][0] != 0]
    assert {"ccproxy.yaml", "routing.yaml", "orchestra-config.json", "pricing.yaml"} <= files
    assert 115 == len(json.loads(said["agents", "list", "--json"][1]))
    tokens = json.loads(said["token", "list", "--json"][1])
    assert [("agents", []), ("ops", ["ops"])] == [(each["name"], each["scopes"]) for each in tokens]
    assert "model_list" in json.loads(said["config", "schema"][1])["properties"]
    assert {"config", "disk", "ollama"} <= {each["check"] for each in findings}
    assert str(ROOT) not in path


async def test_a_demo_serves_an_agent(installed, results):
    """`demo --port 0` takes a free port and names it; an agent with its token of `init` is served."""
    token = re.search(r"^agents +(ccp_\S+)$", results[0][COMMANDS[0]][1], re.MULTILINE)[1]
    process = await asyncio.create_subprocess_exec(
        installed.command, "demo", "--port", "0",
        cwd=installed.working_folder, env=installed.environ,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(START_S):
            base_url = (await heard(process, r"^ccproxy on (http://127\.0\.0\.1:\d+)$"))[1]
            await heard(process, r"^Token `local`, shown this once\.")
            headers = {"x-api-key": token, "anthropic-version": "2023-06-01"}
            # Claude's side: a local model would wait for LiteLLM's import, which takes seconds.
            body = turn(model=CLAUDE)
            answer = await ask(base_url, "/v1/messages", headers=headers, body=body)
    finally:
        process.terminate()
        await process.communicate()

    assert 200 == answer.status, answer
    assert not base_url.endswith((":0", ":8081"))


async def heard(process, pattern):
    """Return the first match of a line on stderr."""
    said = ""
    while line := (await process.stderr.readline()).decode():
        said += line
        if found := re.search(pattern, line.rstrip()):
            return found
    raise AssertionError(said)


def test_a_service_of_it(installed, tmp_path):
    """`service install` starts the environment's own interpreter, and the dashboard is served."""
    state, programs = tmp_path / "state", tmp_path / "bin"
    state.mkdir()
    programs.mkdir()
    write_standin(programs, "systemctl")
    port = free_port()
    config = tmp_path / "ccproxy.yaml"
    # Without a translated deployment LiteLLM is not imported, which takes seconds.
    config.write_text(
        textwrap.dedent(f"""\
            server: {{host: 127.0.0.1, port: {port}}}
            auth: {{mode: required, tokens_file: tokens.json}}
            model_list: [{{model_name: cloud, litellm_params: {{model: anthropic/*, api_key: k}}}}]
            """)
    )
    (tmp_path / "routing.yaml").write_text(
        "version: 1\nactive_profile: a\nprofiles: {a: {default: {route: [cloud]}}}\n"
    )
    (tmp_path / "orchestra-config.json").write_text(
        '{"codingAgents": [{"name": "A", "model": "haiku"}]}'
    )
    install = ("service", "install", "--config", str(config), "--env", "STANDIN_PROGRAM")
    tools = {"PATH": str(programs), "CCPROXY_STANDIN": str(state), "STANDIN_PROGRAM": "real"}
    try:
        ((code, out, err),), _ = in_turn(installed, [install], **tools)
        unit = (installed.home / ".config/systemd/user/ccproxy.service").read_text()

        assert (0, True) == (code, f"http://127.0.0.1:{port} answers" in out), err
        assert str(installed.python.parent) in unit
        assert str(ROOT) not in unit
        page = fetched(port, "/dashboard")
        assert "<script" in page
        assert fetched(port, "/dashboard/app.js")
    finally:
        kill_all(str(state))


def fetched(port, path):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
        client.request("GET", path)
        answer = client.getresponse()
        if answer.status in {301, 307, 308}:
            return fetched(port, answer.getheader("location"))
        assert 200 == answer.status, path
        return answer.read().decode()


def test_the_watch_sees(installed):
    """A file of the repository that is opened is noted; else what the fixture asserts holds always."""
    seen = str(ROOT / "README.md")
    run(installed, str(installed.python), "-c", f"open({seen!r}).close()")

    assert {seen} == installed.opened_in_the_checkout()
    os.truncate(installed.folder / "opened", 0)
