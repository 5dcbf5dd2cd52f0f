"""The doctor's looks at what is outside, on real sockets."""

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from ccproxy.config.settings import load_settings
from ccproxy.doctor.claude import look_at_claude
from ccproxy.doctor.jwt_issuer import check_issuer, look_at_issuer
from ccproxy.doctor.port import Listener, look_at_port
from tests.support.certificates import self_signed_certificate, server_tls
from tests.support.issuer import AUDIENCE, ISSUER, ec_jwk, key_set, rsa_jwk


@asynccontextmanager
async def answering(raw, tls=None, then=b"", every_s=0.0):
    """Answer whatever is asked with these bytes, and go on with others; gives the port."""

    async def serve(reader, writer):
        await reader.read(4096)
        writer.write(raw)
        with suppress(OSError):
            while then and not reader.at_eof():
                writer.write(then)
                await writer.drain()
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), every_s)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def reply(status, date=None, body=b"{}"):
    told = "" if date is None else f"date: {format_datetime(date, usegmt=True)}\r\n"
    head = f"HTTP/1.1 {status} x\r\n{told}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def deployments(tmp_path, api_base, *keys):
    """Return Claude deployments, one for each key."""
    lines = [
        f"- {{model_name: c{index}, litellm_params: {{model: anthropic/claude-x, "
        f"api_base: '{api_base}', api_key: {key}}}}}"
        for index, key in enumerate(keys)
    ]
    file = tmp_path / "ccproxy.yaml"
    file.write_text("\n".join(["model_list:", *lines]))
    return load_settings(file, {}).deployments


@pytest.mark.parametrize(
    ("body", "listener"),
    [
        (b'{"service": "ccproxy"}', Listener.CCPROXY),
        (b'{"service": "other"}', Listener.SOMEBODY_ELSE),
        (b"[]", Listener.SOMEBODY_ELSE),
        (b"<html>", Listener.SOMEBODY_ELSE),
    ],
)
async def test_who_has_the_port(body, listener):
    """Only what says that it is ccproxy counts as ours."""
    async with answering(reply(200, body=body)) as port:
        look = await look_at_port("127.0.0.1", port)

    assert look.listener is listener


async def test_a_host_that_this_machine_does_not_have():
    """Nobody can listen there: it is neither free nor another program's."""
    look = await look_at_port("::1%no-such-interface", 8081)

    assert look.listener is Listener.CANNOT_BE
    assert look.reason


async def test_a_port_that_nobody_has():
    """A refused connection is a free port, also where the proxy would listen on every address."""
    async with answering(b"") as port:
        pass

    assert (await look_at_port("0.0.0.0", port)).listener is Listener.NOBODY


async def test_what_claude_says(tmp_path):
    """One question for each key; status and clock are noted, whatever the status."""
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    async with answering(reply(401, hour_ago)) as port:
        own = deployments(tmp_path, f"http://127.0.0.1:{port}", "sk-a", "sk-a", "sk-b")
        looks = await look_at_claude(own)

    assert [(look.deployments, look.status) for look in looks] == [
        (("c0", "c1"), 401),
        (("c2",), 401),
    ]
    assert looks[0].clock_off_by_s == pytest.approx(3600, abs=30)


@pytest.mark.parametrize(
    ("raw", "status", "problem"),
    [
        (b"HTTP/1.1 200 x\r\ncontent-length: 99\r\n\r\n{", 200, ""),
        (b"HTTP/1.1 200 x\r\nx-slow: ", None, "no answer within 0.3 s"),
    ],
)
async def test_a_claude_that_takes_its_time(raw, status, problem, tmp_path):
    """Its head is enough; one that sends that byte by byte is given up in good time."""
    async with answering(raw, then=b"a", every_s=0.02) as port:
        own = deployments(tmp_path, f"http://127.0.0.1:{port}", "sk-a")
        (look,) = await look_at_claude(own, ask_for_s=0.3)

    assert (look.status, look.problem) == (status, problem)


async def test_a_claude_that_is_not_there(tmp_path):
    """It is noted, and never raised; no key is in what is noted."""
    async with answering(b"") as port:
        pass
    (look,) = await look_at_claude(deployments(tmp_path, f"http://127.0.0.1:{port}", "sk-secret"))

    assert (look.status, look.is_tls) == (None, False)
    assert "sk-secret" not in repr(look)


async def test_a_certificate_that_nobody_vouches_for(tmp_path):
    """An unknown certificate is told apart from a Claude that is away (conformance 277)."""
    tls = server_tls(self_signed_certificate(tmp_path, "localhost"))
    async with answering(reply(200), tls=tls) as port:
        own = deployments(tmp_path, f"https://localhost:{port}", "sk-a")
        (look,) = await look_at_claude(own)

    assert (look.status, look.is_tls) == (None, True)
    assert "certificate" in look.problem.lower()


def settings_with_keys_at(tmp_path, **source):
    file = tmp_path / "ccproxy.yaml"
    lines = "".join(f"    {name}: '{value}'\n" for name, value in source.items())
    told = f"    issuer: {ISSUER}\n    audience: {AUDIENCE}\n    algorithms: [ES256]\n"
    models = "model_list:\n- {model_name: q, litellm_params: {model: ollama_chat/q:7b}}\n"
    file.write_text(f"{models}auth:\n  jwt:\n{told}{lines}")
    return load_settings(file, {})


async def keys_at(tmp_path, **source):
    """Return what the doctor says of a place of keys: level, what is so, what to do."""
    look = await look_at_issuer(settings_with_keys_at(tmp_path, **source).jwt)
    return [(each.level.value, each.what, each.fix) for each in check_issuer(look)]


async def test_keys_of_an_issuer(tmp_path):
    """They are fetched as the proxy fetches them; a set of no use is an error that says why."""
    async with answering(reply(200, body=key_set(ec_jwk("one"), ec_jwk("two")))) as port:
        good = f"http://127.0.0.1:{port}/keys"
        assert await keys_at(tmp_path, jwks_url=good) == [("ok", f"{good} has 2 keys", "")]
    async with answering(reply(200, body=key_set(rsa_jwk("one")))) as port:
        ((level, what, _),) = await keys_at(tmp_path, jwks_url=f"http://127.0.0.1:{port}/keys")
        assert (level, "ES256" in what) == ("error", True), what
    ((level, what, fix),) = await keys_at(tmp_path, jwks_url=good)
    assert (level, what, fix) == ("error", f"{good}: ConnectError", f"curl -sS {good}")


async def test_keys_in_a_file(tmp_path):
    """Their file is read; one that is not there is told."""
    file = tmp_path / "keys.json"
    missing = ("error", f"{file}: No such file or directory", f"ls -l {file}")
    assert await keys_at(tmp_path, jwks_file=file) == [missing]
    file.write_bytes(key_set(ec_jwk("one")))
    assert await keys_at(tmp_path, jwks_file=file) == [("ok", f"{file} has 1 key", "")]


async def test_without_keys_to_fetch(tmp_path):
    """Nothing is said where no set is configured."""
    assert await look_at_issuer(None) is None
    assert list(check_issuer(None)) == []


async def test_an_issuer_that_this_machine_trusts(tmp_path, monkeypatch):
    """As with Claude, `SSL_CERT_FILE` adds an authority; without it, the certificate is blamed."""
    certificate = self_signed_certificate(tmp_path, "localhost")
    keys = reply(200, body=key_set(ec_jwk("one")))
    async with answering(keys, tls=server_tls(certificate)) as port:
        place = f"https://localhost:{port}/keys"
        ((level, what, _),) = await keys_at(tmp_path, jwks_url=place)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        trusted = await keys_at(tmp_path, jwks_url=place)

    assert level == "error"
    assert "certificate" in what.lower()
    assert trusted == [("ok", f"{place} has 1 key", "")]
