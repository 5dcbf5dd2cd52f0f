"""A JWK set that somebody else keeps: fetched beside the requests, and survived without."""

from __future__ import annotations

import asyncio

import pytest

from ccproxy.auth.jwks import ASKED_S, STALE_S, FetchFailedError, Jwks
from ccproxy.auth.jwt_keys import LONGEST_SET_BYTES
from ccproxy.auth.jwt_tokens import JwtRefused, JwtRules, JwtVerifier, KeysPending
from ccproxy.demo.asgi_server import running
from ccproxy.upstreams import jwks as fetching
from ccproxy.upstreams.jwks import JwksFile, JwksUrl
from tests.support.issuer import AUDIENCE, ISSUER, ec_jwk, key_set, signed
from tests.support.waiting import until

ES = ("ES256",)


class Issuer:
    """Gives out what a test says, and counts."""

    def __init__(self):
        self.answer = key_set(ec_jwk("one"))
        self.fetches = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def fetch(self):
        self.fetches += 1
        await self.may_answer.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Kept:
    """A set of an issuer's, with a clock of its own."""

    def __init__(self, refresh_s=3600.0):
        self.issuer, self.now, self.told = Issuer(), 1000.0, []
        self.jwks = Jwks(
            self.issuer.fetch,
            ES,
            refresh_s=refresh_s,
            report=self.told.append,
            clock=lambda: self.now,
        )
        self.verifier = JwtVerifier(JwtRules(ISSUER, AUDIENCE, ES), self.jwks)

    def verify(self, name="one"):
        return self.verifier.verify(signed(alg="ES256", name=name))


async def test_nobody_waits_for_the_first_fetch():
    """Until the keys are there a token is neither good nor bad; the loop goes on meanwhile."""
    kept = Kept()
    kept.issuer.may_answer.clear()
    with pytest.raises(KeysPending):
        kept.verify()
    async with kept.jwks.running():
        await until(lambda: kept.issuer.fetches == 1)
        with pytest.raises(KeysPending):
            kept.verify()
        kept.issuer.may_answer.set()
        await until(lambda: kept.jwks.current is not None)
        assert "ada" == kept.verify().name


async def test_a_new_key_is_fetched_when_it_is_seen():
    """An unknown kid asks for one fetch, and no more than one in `ASKED_S`, whatever names are made up."""
    kept = Kept()
    async with kept.jwks.running():
        await until(lambda: kept.jwks.current is not None)
        kept.issuer.answer = key_set(ec_jwk("two"))
        with pytest.raises(KeysPending):
            kept.verify("two")
        await until(lambda: kept.issuer.fetches == 2 and not kept.jwks._is_fetching)
        assert "ada" == kept.verify("two").name

        for name in ("three", "four", "one"):
            with pytest.raises(Exception, match="no key of that name"):
                kept.verify(name)
        assert 2 == kept.issuer.fetches
        kept.now += ASKED_S
        with pytest.raises(KeysPending):
            kept.verify("three")
        await until(lambda: kept.issuer.fetches == 3)


@pytest.mark.parametrize("trouble", [FetchFailedError("answered 500"), b"{}", b"<html>"])
async def test_old_keys_stay_when_a_fetch_fails(trouble):
    """Outages and nonsense change nothing, are told once, and end by themselves; but not for ever."""
    kept = Kept()
    assert await kept.jwks.refresh()
    before = kept.jwks.current
    kept.issuer.answer = trouble

    for _ in range(3):
        assert not await kept.jwks.refresh()

    assert kept.jwks.current is before
    assert 1 == len(kept.told)
    kept.now += STALE_S + 1
    assert kept.jwks.current is None
    kept.issuer.answer = key_set(ec_jwk("one"))
    assert await kept.jwks.refresh()
    assert kept.jwks.problem is None
    assert "ada" == kept.verify().name


@pytest.mark.parametrize("withdrawn", [b'{"keys": []}', key_set(ec_jwk("one") | {"use": "enc"})])
async def test_keys_that_are_withdrawn_are_gone(withdrawn):
    """A set that is in order and has no usable key ends what was found out with the former ones."""
    kept = Kept()
    former = key_set(ec_jwk("one"))
    assert await kept.jwks.refresh()
    assert "ada" == kept.verify().name
    kept.issuer.answer = withdrawn

    assert not await kept.jwks.refresh()

    assert kept.jwks.current is None
    kept.jwks.ask()
    await kept.jwks.refresh()
    with pytest.raises(JwtRefused, match="no keys"):
        kept.verify()
    assert 1 == len(kept.told)
    kept.issuer.answer = former
    assert await kept.jwks.refresh()
    assert "ada" == kept.verify().name


async def test_the_same_set_is_not_read_again():
    """A fetch that brings nothing new keeps what tokens were checked with."""
    kept = Kept()
    await kept.jwks.refresh()
    before = kept.jwks.current
    await kept.jwks.refresh()
    assert kept.jwks.current is before


async def test_it_is_fetched_again_and_again():
    """Without any token, after `refresh_s`."""
    kept = Kept(refresh_s=0.01)
    async with kept.jwks.running():
        await until(lambda: kept.issuer.fetches >= 3)


async def test_a_file(tmp_path):
    """A set may be in a file; one that is not there is told."""
    path = tmp_path / "jwks.json"
    with pytest.raises(FetchFailedError, match="No such file"):
        await JwksFile(path).fetch()
    path.write_bytes(key_set(ec_jwk("one")))
    assert path.read_bytes() == await JwksFile(path).fetch()
    path.write_bytes(b"x" * (2 * LONGEST_SET_BYTES))
    assert LONGEST_SET_BYTES + 1 == len(await JwksFile(path).fetch())


async def _issuer(scope, receive, send):
    """Answer by the path."""
    if scope["type"] != "http":
        return
    if scope["path"] == "/never":
        await asyncio.Event().wait()
    status = {"/moved": 302, "/broken": 500}.get(scope["path"], 200)
    headers = [(b"location", b"/good")] if status == 302 else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    body = key_set(ec_jwk("one"))
    if scope["path"] == "/endless":
        for _ in range(100):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    await send({"type": "http.response.body", "body": body})


async def test_an_address(monkeypatch):
    """It is fetched as it is: no redirect is followed, no other status taken, bytes and time have an end."""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with running(_issuer) as base:
        assert key_set(ec_jwk("one")) == await JwksUrl(f"{base}/good").fetch()
        for path, words in {
            "moved": "answered 302",
            "broken": "answered 500",
            "endless": "more than",
        }.items():
            with pytest.raises(FetchFailedError, match=words):
                await JwksUrl(f"{base}/{path}").fetch()
        monkeypatch.setattr(fetching, "TIMEOUT_S", 0.1)
        with pytest.raises(FetchFailedError, match=r"did not answer|Timeout"):
            await JwksUrl(f"{base}/never").fetch()
        monkeypatch.undo()
    with pytest.raises(FetchFailedError, match="ConnectError"):
        await JwksUrl(f"{base}/good").fetch()
