"""Tokens that end, are rotated, limited and remembered, and addresses that fail too often."""

from __future__ import annotations

import asyncio
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from ccproxy.auth import (
    Gate,
    KeyRing,
    Principal,
    TokenError,
    create_token,
    list_tokens,
    revoke_token,
    rotate_token,
)
from ccproxy.auth import failed_logins as limits
from ccproxy.auth.failed_logins import (
    MOST_FAILURES,
    MOST_LOOPBACK_FAILURES,
    WINDOW_S,
    FailedLogins,
)
from ccproxy.auth.jwt_keys import secret_key
from ccproxy.auth.jwt_tokens import FixedKeys, JwtRules, JwtVerifier
from ccproxy.auth.last_used import FILE_NAME, LastUsed, read_last_used
from ccproxy.auth.tokens_file import MOST_RETIRING
from ccproxy.pipeline.token_rates import TokenRates
from ccproxy.wire.errors import ApiError
from tests.support.issuer import AUDIENCE, ISSUER, SECRET, signed
from tests.support.waiting import until

NOW = datetime.now(UTC)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.json"


def key(token):
    return [(b"x-api-key", token.encode())]


def ring_at(path, moment):
    """Return a ring whose wall clock shows a moment."""
    return KeyRing(path, wall_clock=moment.timestamp)


def refusal(ring, token):
    with pytest.raises(ApiError) as caught:
        ring.verify(key(token))
    assert 401 == caught.value.status
    return caught.value.message


def test_a_token_ends(path):
    """Until its moment it is good, from then on refused with a reason, which only its holder is told."""
    end = NOW + timedelta(hours=1)
    token = create_token(path, "guest", expires_at=end)
    assert "guest" == ring_at(path, end - timedelta(seconds=1)).verify(key(token)).name
    told = refusal(ring_at(path, end + timedelta(seconds=1)), token)
    assert told.startswith("invalid x-api-key: the token 'guest' has expired")
    assert token not in told
    assert "invalid x-api-key" == refusal(ring_at(path, end), "ccp_guess")


def test_an_expired_token_beside_a_good_jwt(path):
    """One valid token is enough (conformance 023); without one the reason is that of the expired."""
    ended = create_token(path, "guest", expires_at=NOW - timedelta(hours=1)).encode()
    rules = JwtRules(ISSUER, AUDIENCE, ("HS256",))
    gate = Gate(KeyRing(path), JwtVerifier(rules, FixedKeys(secret_key(SECRET))))
    for jwt, told in ((signed(alg="HS256"), "ada"), (b"a.b.c", "the token 'guest' has expired")):
        headers = [(b"x-api-key", ended), (b"authorization", b"Bearer " + jwt)]
        try:
            name = gate.verify(headers).name
        except ApiError as refused:
            name = refused.message
        assert told in name


def test_rotating(path):
    """The new token has name and limits of the old one, which is good until the overlap is over."""
    old = create_token(path, "ci", ["ops"], ["debugger"], requests_per_minute=7)
    running = KeyRing(path)
    new = rotate_token(path, "ci", timedelta(hours=2)).token

    expected = Principal("ci", frozenset({"ops"}), ("debugger",), requests_per_minute=7)
    assert expected == running.verify(key(new)) == running.verify(key(old))
    later = ring_at(path, NOW + timedelta(hours=3))
    assert expected == later.verify(key(new))
    refusal(later, old)
    assert new not in path.read_text()
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)

    newest = rotate_token(path, "ci", timedelta()).token
    for gone in (old, new):
        refusal(KeyRing(path), gone)
    assert expected == KeyRing(path).verify(key(newest))
    revoke_token(path, "ci")
    refusal(KeyRing(path), newest)


def test_revoking_ends_former_tokens_too(path):
    """Nothing of a name is left when it is revoked."""
    old = create_token(path, "ci")
    rotate_token(path, "ci")
    revoke_token(path, "ci")
    refusal(KeyRing(path), old)


def test_rotating_prolongs_nothing(path):
    """An old token ends no later than it would have; one that has ended needs a new expiry."""
    end = NOW + timedelta(hours=5)
    old = create_token(path, "ci", expires_at=end)
    new, former_until = rotate_token(
        path, "ci", timedelta(days=1), expires_at=NOW + timedelta(days=9)
    )
    assert end.replace(microsecond=0) == former_until
    later = ring_at(path, end + timedelta(minutes=1))
    refusal(later, old)
    assert "ci" == later.verify(key(new)).name

    create_token(path, "over", expires_at=NOW - timedelta(seconds=9))
    with pytest.raises(TokenError, match="--expires"):
        rotate_token(path, "over")
    assert rotate_token(path, "over", expires_at=NOW + timedelta(days=1)).former_until is None


def test_former_tokens_are_few(path):
    """Each costs every request a comparison, so there is an end to them, and a way out."""
    create_token(path, "ci")
    for _ in range(MOST_RETIRING):
        rotate_token(path, "ci")
    with pytest.raises(TokenError, match="--overlap 0"):
        rotate_token(path, "ci")
    rotate_token(path, "ci", timedelta())
    assert () == list_tokens(path)[0].retiring
    with pytest.raises(TokenError, match="no token named 'no'"):
        rotate_token(path, "no")


def test_many_edit_at_once(path):
    """Creating, rotating and revoking in many processes loses nothing."""
    for index in range(4):
        create_token(path, f"a{index}")
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(rotate_token, path, f"a{index}") for index in range(2)]
        jobs += [pool.submit(revoke_token, path, f"a{index}") for index in range(2, 4)]
        jobs += [pool.submit(create_token, path, f"b{index}") for index in range(4)]
        assert not [job.exception() for job in jobs if job.exception()]
    tokens = {token.name: token for token in list_tokens(path)}
    assert {"a0", "a1", "b0", "b1", "b2", "b3"} == set(tokens)
    assert [1, 1] == [len(tokens[name].retiring) for name in ("a0", "a1")]


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("expires_at", "tomorrow"),
        ("expires_at", "2027-01-31T00:00:00"),
        ("expires_at", 7),
        ("requests_per_minute", 0),
        ("requests_per_minute", True),
        ("requests_per_minute", "9"),
        ("retiring", None),
        ("retiring", ["x"]),
        ("retiring", [{"sha256": "00"}]),
        ("retiring", [{"sha256": "a" * 64}]),
    ],
)
def test_a_limit_that_cannot_be_read(path, limit, value):
    """It refuses the file, and names the key: left out, a token would be good for more."""
    create_token(path, "ci")
    document = json.loads(path.read_text())
    document["tokens"][0][limit] = value
    path.write_text(json.dumps(document))
    with pytest.raises(TokenError, match=f"tokens.0.{limit}"):
        list_tokens(path)


# --- last use ----------------------------------------------------------------------------------


async def test_last_use_is_written_beside_the_requests(path):
    """Nothing is written while requests are served; soon after it is, once, and kept over restarts."""
    one, two = create_token(path, "one"), create_token(path, "two")
    ring, now = KeyRing(path), [1000.0]
    used = LastUsed(path, lambda: ring.names, clock=lambda: now[0])
    gate = Gate(ring, last_used=used)
    for _ in range(100):
        gate.verify(key(one))
    assert not (path.parent / FILE_NAME).exists()

    await used.flush()
    file = path.parent / FILE_NAME
    assert {"one": 1000} == read_last_used(path)
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    before = file.stat().st_mtime_ns
    await used.flush()
    assert before == file.stat().st_mtime_ns

    now[0] = 2000.0
    gate.verify(key(two))
    revoke_token(path, "one")
    async with LastUsed(path, lambda: ring.names).running():
        pass
    ring._refresh()
    await used.flush()
    assert {"two": 2000} == read_last_used(path)


async def test_last_use_is_kept_while_it_runs(path):
    """Every now and then, and at the end."""
    token = create_token(path, "one")
    ring, now = KeyRing(path), [1.0]
    used = LastUsed(path, lambda: ring.names, clock=lambda: now[0], write_every_s=0.01)
    gate = Gate(ring, last_used=used)
    async with gate.running():
        gate.verify(key(token))
        await until(lambda: read_last_used(path) == {"one": 1})
        now[0] = 2.0
        await asyncio.sleep(0)
        gate.verify(key(token))
    assert {"one": 2} == read_last_used(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", *(b'{"last_used": %s}' % each for each in (b"1", b'{"a": "x"}', b'{"a": 1e18}'))],
)
def test_a_broken_record_of_uses_is_none(path, content):
    """It is for people only, and stands in nobody's way."""
    (path.parent / FILE_NAME).write_bytes(content)
    assert {} == read_last_used(path)


# --- rate --------------------------------------------------------------------------------------


def test_a_rate():
    """So many requests in a minute of the clock, then 429 until the next; others are not concerned."""
    now = [6000.0]
    rates = TokenRates(lambda: now[0])
    ci, free = Principal("ci", requests_per_minute=3), Principal("free")
    for _ in range(3):
        rates.take(ci)
    now[0] += 48
    for _ in range(2):
        with pytest.raises(ApiError) as caught:
            rates.take(ci)
        assert (429, 12) == (caught.value.status, caught.value.retry_after_s)
        assert "token rate of ci is used up: 3 requests" in caught.value.message
    rates.take(free)
    rates.take(Principal("other", requests_per_minute=1))
    now[0] += 12
    rates.take(ci)
    rates.take(Principal("ci", requests_per_minute=9))


# --- too many failures -------------------------------------------------------------------------


class Door:
    """A gate with one token, and a clock of its own."""

    def __init__(self, path):
        self.now, self.told = 0.0, []
        self.token = create_token(path, "good")
        self.failed = FailedLogins(self.told.append, clock=lambda: self.now)
        self.gate = Gate(KeyRing(path), failed=self.failed)

    def knock(self, peer, token="ccp_wrong"):  # noqa: S107
        try:
            return self.gate.verify(key(token), peer).name
        except ApiError as refused:
            self.wait_s = refused.retry_after_s
            return refused.status


def test_an_address_that_fails_too_often(path):
    """After its limit it hears 429 with the time to wait, until the window is over; told once in each."""
    door = Door(path)
    assert [401] * MOST_FAILURES == [door.knock("192.0.2.1") for _ in range(MOST_FAILURES)]
    assert [] == door.told
    door.now = 20.0
    assert [429, 429] == [door.knock("192.0.2.1") for _ in range(2)]
    assert WINDOW_S - 20 == door.wait_s
    assert 1 == len(door.told)
    assert "192.0.2.1" in door.told[0]
    assert 401 == door.knock("192.0.2.2")
    door.now = WINDOW_S
    assert 401 == door.knock("192.0.2.1")


def test_a_valid_token_is_never_refused(path):
    """Whatever others did from the same address, and it makes nobody's failures forgotten."""
    door = Door(path)
    for _ in range(MOST_FAILURES + 5):
        door.knock("192.0.2.1")
    assert "good" == door.knock("192.0.2.1", door.token)
    assert 429 == door.knock("192.0.2.1")


def test_how_addresses_are_counted(path):
    """This machine has more room; an IPv6 network is one; IPv4 in IPv6 is IPv4; no address is not counted."""
    door = Door(path)
    assert {401} == {door.knock("127.0.0.1") for _ in range(MOST_LOOPBACK_FAILURES)}
    assert 429 == door.knock("127.0.0.1")
    assert 401 == door.knock("::1")
    assert {401} == {door.knock(f"2001:db8::{index:x}") for index in range(MOST_FAILURES)}
    assert 429 == door.knock("2001:db8::ffff")
    assert 401 == door.knock("2001:db8:0:1::1")
    assert {401} == {door.knock("::ffff:192.0.2.9") for _ in range(MOST_FAILURES)}
    assert 429 == door.knock("192.0.2.9")
    assert {401} == {door.knock("") for _ in range(2 * MOST_LOOPBACK_FAILURES)}
    assert {401, 429} == {door.knock(f"\x1b[{index}") for index in range(MOST_FAILURES + 1)}
    assert "\x1b" not in "".join(door.told)


def test_the_memory_for_failures_has_an_end(path, monkeypatch):
    """Whoever has not failed for the longest time is forgotten first."""
    monkeypatch.setattr(limits, "MOST_PEERS", 3)
    door = Door(path)
    for _ in range(MOST_FAILURES + 1):
        door.knock("192.0.2.1")
    for index in range(2, 4):
        door.knock(f"192.0.2.{index}")
    assert 429 == door.knock("192.0.2.1")
    door.knock("192.0.2.4")
    assert 3 == len(door.failed._by_peer)
    assert 429 == door.knock("192.0.2.1")
    assert "192.0.2.2" not in door.failed._by_peer
