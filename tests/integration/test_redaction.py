"""Credentials leave no trace: whatever is written, answered or shown is searched for planted ones."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
from contextlib import ExitStack

import pytest

from ccproxy.auth import create_token
from ccproxy.cli.main import main
from ccproxy.config.settings import load_settings
from ccproxy.demo.claude_faults import Fault, FaultKind
from ccproxy.observability.logs import RequestLog, logging_to
from tests.support.http_wire import ask
from tests.support.issuer import AUDIENCE, ISSUER, SECRET, claims, signed
from tests.support.messages import turn
from tests.support.proxy import FORGIVING, running_proxy

PREFIX = "sk-ant-api03"
CLAUDE_KEY = f"{PREFIX}-planted-key-of-the-proxy"
DEAD_KEY = f"{PREFIX}-planted-key-of-the-dead"
OAUTH = "sk-ant-oat01-planted-login"
GUESS = "ccp_planted-guess"
HOOK = "planted-webhook-path"
QUERY = "planted-in-a-query"
ROUTING = {
    "version": 1,
    "active_profile": "p",
    "profiles": {
        "p": {
            "tiers": {
                "opus": {"route": ["claude-opus", "claude-sonnet"]},
                "sonnet": {"route": ["claude-sonnet"]},
                "haiku": {"route": ["claude-haiku", "claude-sonnet"]},
            },
            "default": {"route": ["claude-sonnet"]},
        }
    },
}
OPUS, SONNET, HAIKU = "claude-opus-4-6", "claude-sonnet-4-5", "claude-haiku-4-5"


def dead_address():
    """Return an address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def references(folder, document):
    """Write the proxy's secrets to files, and their places into the config."""
    hook = f"{dead_address()}/{HOOK}"
    for name, secret in {
        "claude": CLAUDE_KEY, "dead": DEAD_KEY, "hook": hook, "hs256": SECRET,
    }.items():  # fmt: skip
        path = folder / "secrets" / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text(secret)
        path.chmod(0o600)
        assert 0o600 == path.stat().st_mode & 0o777
    place = f"file/{folder}/secrets"
    # What only local models need would import LiteLLM.
    document["model_list"] = [
        entry for entry in document["model_list"] if entry["model_name"].startswith("claude-")
    ]
    for entry in document["model_list"]:
        params = entry["litellm_params"]
        params["api_key"] = f"{place}/claude"
        if entry["model_name"] == "claude-opus":
            entry["credentials"] = "client"
            del params["api_key"]
        elif entry["model_name"] == "claude-haiku":
            params |= {"api_base": dead_address(), "api_key": f"{place}/dead"}
    document["alerts"] = {"webhooks": [{"url": f"{place}/hook"}], "kinds": ["backend_down"]}
    document["auth"] = {
        "tokens_file": str(folder / "state/tokens.json"),
        "jwt": {
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "algorithms": ["HS256"],
            "hs256_secret": f"{place}/hs256",
        },
    }
    document["ledger"] = {"url": f"sqlite:///{folder}/state/ledger.db"}


def callers(token):
    """Return headers of every kind of caller, and which model each asks for."""
    good = signed(claims(scope="ops"), alg="HS256").decode()
    over = signed(claims(exp=1), alg="HS256").decode()
    version = {"anthropic-version": "2023-06-01"}
    own = {"x-ccproxy-token": token, "authorization": f"Bearer {OAUTH}"}
    secrets = [good, over, *good.split("."), over.split(".")[2]]
    return secrets, [
        (version | {"x-api-key": token}, SONNET),
        (version | {"x-api-key": token}, HAIKU),
        (version | {"authorization": f"Bearer {good}"}, SONNET),
        (version | {"authorization": f"Bearer {over}"}, SONNET),
        (version | {"x-api-key": GUESS}, SONNET),
        (version | {"authorization": f"Bearer {GUESS}.{GUESS}.x"}, SONNET),
        (version | own, OPUS),
        (version | own, SONNET),
        (own, OPUS),
        (version | {"x-api-key": token, "cookie": f"t={GUESS}"}, "no-such-model"),
    ]


async def exercised(proxy, headers_and_models):
    """Use the proxy in every way that could tell something; return all that was answered."""
    answers = []
    for path in (
        "/v1/messages",
        f"/v1/messages?beta=true&api_key={QUERY}",
        "/v1/messages/count_tokens",
    ):
        for headers, model in headers_and_models:
            answers.append(await ask(proxy.base_url, path, headers=headers, body=turn(model=model)))
    for status in (401, 500):
        proxy.claude.faults.append(Fault(FaultKind("status"), status=status))
        for headers, model in headers_and_models[-4:]:
            answers.append(
                await ask(proxy.base_url, "/v1/messages", headers=headers, body=turn(model=model))
            )
    for headers, _ in headers_and_models[:5]:
        for path in (
            "/health",
            "/metrics",
            "/admin/budgets",
            "/v1/models",
            "/v1/files",
            "/nowhere",
        ):
            answer = await ask(proxy.base_url, path, headers=headers, method="GET")
            answers.append(answer)
        answers.append(
            await ask(
                proxy.base_url,
                "/admin/explain",
                headers=headers,
                body=turn(model=OPUS, headers={"authorization": f"Bearer {OAUTH}"}),
            )
        )
    return answers


@pytest.fixture
def root_logger():
    """Return the root of all loggers, and put it back as it was."""
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    yield root
    root.setLevel(before[0])
    root.handlers[:] = before[1]


def run(command):
    """Run a command of ours in this process."""
    with pytest.raises(SystemExit):
        main(command)


async def test_no_credential_is_written_or_answered(tmp_path, caplog, capsys, root_logger):
    """After a run of every kind of caller, right and wrong, with faults, none is in any log, database, answer, header, metric or report."""
    log_file, written = tmp_path / "ccproxy.log", tmp_path / "state"
    with ExitStack() as stack:
        stream = stack.enter_context(logging_to(log_file, 2**24, 1))
        root_logger.addHandler(caplog.handler)
        root_logger.setLevel(logging.DEBUG)
        options = FORGIVING | {"routing": ROUTING, "sinks": (RequestLog(stream),)}
        async with running_proxy(
            **options, edit=lambda document: references(tmp_path, document)
        ) as proxy:
            token = create_token(proxy.tokens_file, "planted", ("ops",))
            secrets, asked = callers(token)
            answers = await exercised(proxy, asked)
            settings = load_settings(proxy.config_file, {})
            config = str(proxy.config_file)
            for command in (
                ("config", "check", config),
                ("secret", "list", "--config", config, "--json"),
                ("token", "list", "--config", config),
                ("usage", "--config", config, "--json"),
                ("alerts", "test", "--config", config),
            ):
                await asyncio.to_thread(run, command)
            shown = proxy.config_file.read_text()

    printed = capsys.readouterr()
    texts = {f"answer {index}": answer.body for index, answer in enumerate(answers)}
    texts |= {
        f"headers {index}": repr(answer.headers).encode() for index, answer in enumerate(answers)
    }
    texts |= {path.name: path.read_bytes() for path in written.rglob("*") if path.is_file()}
    texts["log"], texts["all that was logged"] = log_file.read_bytes(), caplog.text.encode()
    texts["printed"] = (printed.out + printed.err).encode()
    texts["repr"], texts["config"] = repr(settings).encode(), shown.encode()

    # It was worth searching.
    assert {200, 400, 401, 404} <= {answer.status for answer in answers}
    assert {"audit.jsonl", "decisions.jsonl", "ledger.db", "tokens.json"} <= set(texts)
    for place in ("audit.jsonl", "decisions.jsonl", "ledger.db", "log", "printed"):
        assert re.search(rb"planted|claude-sonnet", texts[place]), place
    planted = [
        CLAUDE_KEY,
        DEAD_KEY,
        OAUTH,
        GUESS,
        HOOK,
        SECRET,
        QUERY,
        token,
        proxy.token,
        *secrets,
    ]
    found = [
        (place, secret)
        for secret in planted
        for place, text in texts.items()
        if secret.encode() in text or json.dumps(secret)[1:-1].encode() in text
    ]
    assert [] == found
