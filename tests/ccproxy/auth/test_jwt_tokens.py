"""JSON Web Tokens: which are accepted, as whom, and everything that is not."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
import time

import pytest
from cryptography.hazmat.primitives import serialization
from jose import jwt

from ccproxy.auth import jwt_tokens
from ccproxy.auth.jwt_keys import (
    LONGEST_SET_BYTES,
    MOST_KEYS,
    KeysUnusableError,
    read_key_set,
    secret_key,
)
from ccproxy.auth.jwt_tokens import (
    LONGEST_TOKEN_BYTES,
    MOST_REMEMBERED,
    REMEMBERED_S,
    ClaimNames,
    FixedKeys,
    JwtRefused,
    JwtRules,
    JwtVerifier,
    KeysPending,
)
from ccproxy.auth.principal import Principal
from routing.types import Privacy
from tests.support.issuer import (
    AUDIENCE,
    ISSUER,
    SECRET,
    b64,
    claims,
    ec_jwk,
    key_set,
    p384_jwk,
    rsa_jwk,
    rsa_key,
    signed,
    unsigned,
)

PUBLIC = ("RS256", "ES256")
DEFAULT_NAMES = ClaimNames()


class ChangingKeys:
    """Keys that a test changes."""

    def __init__(self, current=None):
        self.current = current
        self.asked = 0
        self.pending = False

    def ask(self):
        self.asked += 1
        return self.pending


def verifier(*keys, algorithms=PUBLIC, names=DEFAULT_NAMES, clock=time.time):
    """Return a verifier for a set of public keys."""
    known = read_key_set(key_set(*(keys or (rsa_jwk("one"), ec_jwk("two")))), algorithms)
    return JwtVerifier(
        JwtRules(ISSUER, AUDIENCE, algorithms, 60, names), FixedKeys(known), clock=clock
    )


def with_secret():
    """Return a verifier of HS256."""
    rules = JwtRules(ISSUER, AUDIENCE, ("HS256",), 60)
    return JwtVerifier(rules, FixedKeys(secret_key(SECRET)))


def refused(checker, token):
    """Verify, expecting a refusal, and return it."""
    with pytest.raises(JwtRefused) as caught:
        checker.verify(token)
    return caught.value


def test_each_algorithm():
    """RS256 and ES256 by a published key, HS256 by a secret: the subject is who calls."""
    assert Principal("ada") == verifier().verify(signed())
    assert Principal("ada") == verifier().verify(signed(alg="ES256", name="two"))
    assert Principal("ada") == with_secret().verify(signed(alg="HS256"))


def test_cryptography_does_the_checking():
    """Nothing of ecdsa is even imported when tokens of every algorithm are checked."""
    code = (
        "import sys; from jose.backends import ECKey, RSAKey, HMACKey;"
        "print({each.__module__ for each in (ECKey, RSAKey, HMACKey)}, 'ecdsa' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "{'jose.backends.cryptography_backend'} False" == done.stdout.strip()
    for key in read_key_set(key_set(rsa_jwk("one"), ec_jwk("two")), PUBLIC).keys:
        assert "jose.backends.cryptography_backend" == type(key.key).__module__


def test_another_backend_is_refused(monkeypatch):
    """Where python-jose would check with something else, no key is accepted at all."""
    monkeypatch.setattr("ccproxy.auth.jwt_keys._BACKEND", "some.other")
    with pytest.raises(KeysUnusableError, match=r"python-jose\[cryptography\]"):
        read_key_set(key_set(ec_jwk("two")), PUBLIC)


PEM = (
    rsa_key("one")
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
)


def confused():
    """Return a token that is signed with a public key as if it were a secret."""
    message = unsigned({"alg": "HS256", "typ": "JWT", "kid": "one"}, claims())
    return message + b"." + b64(hmac.digest(PEM, message, hashlib.sha256)).encode()


FORGED = {
    "alg none": unsigned({"alg": "none"}, claims()) + b".",
    "alg None": unsigned({"alg": "None"}, claims()) + b".",
    "no alg": unsigned({"typ": "JWT"}, claims()) + b"." + b64(b"x").encode(),
    "alg no text": unsigned({"alg": ["RS256"]}, claims()) + b"." + b64(b"x").encode(),
    "public key as secret": confused(),
    "HS256 with the secret of another house": signed(alg="HS256", name="one"),
    "an algorithm that is not configured": signed(said="RS512"),
    "an RSA signature said to be ES256": signed(said="ES256"),
    "another key of the same name": signed(alg="ES256", name="one", kid="two"),
    "a key in the header": signed(name="mallory", kid=None, jwk=rsa_jwk("mallory")),
    "a key at an address": signed(name="mallory", jku="http://127.0.0.1:1/"),
    "crit": signed(crit=["exp"], exp=1),
    "crit that is empty": signed(crit=[]),
    "crit and b64": signed(crit=["b64"], b64=False),
    "kid no text": signed(kid=7),
    "kid too long": signed(kid="x" * 300),
    "kid of nobody": signed(kid="three"),
    "no signature": signed().rpartition(b".")[0] + b".",
    "a changed claim": b".".join(
        (signed().split(b".")[0], unsigned({}, claims(sub="root")).split(b".")[1], signed().split(b".")[2])
    ),
    "no JSON": b"e30x.e30x.e30x",
    "no base64": b"!.!.!",
    "a list for a header": unsigned([], claims()) + b".eA",
    "not ASCII": b"\xff.\xff.\xff",
    "nested deep": b64(b"[" * 5000).encode() + b".e30.e30",
    "too long": signed(claims(x="y" * LONGEST_TOKEN_BYTES)),
}  # fmt: skip


@pytest.mark.parametrize("case", FORGED)
def test_forged(case):
    """Whatever is not signed by a key of ours, as configured, is refused and nothing of it believed."""
    refusal = refused(verifier(), FORGED[case])
    assert not refusal.is_signed
    assert "ada" not in refusal.reason


def test_a_public_key_is_no_secret():
    """HS256 with a PEM, a certificate or an SSH key as its secret is refused, and so is a short one."""
    for text in (PEM.decode(), "ssh-rsa " + "A" * 40, "-----BEGIN CERTIFICATE-----\n" + "A" * 40):
        with pytest.raises(KeysUnusableError, match="HS256 needs a secret"):
            secret_key(text)
    with pytest.raises(KeysUnusableError, match="at least 32 bytes"):
        secret_key("x" * 31)
    refusal = refused(with_secret(), confused())
    assert "its signature is wrong" == refusal.reason
    assert refused(with_secret(), signed()).reason.startswith("its algorithm")


NOW = int(time.time())
WRONG = {
    "expired": claims(exp=NOW - 120),
    "no exp": claims(exp=None),
    "exp is a list": claims(exp=[NOW + 600]),
    "exp is null": b"null",
    "exp is infinite": float("inf"),
    "not yet": claims(nbf=NOW + 86_400),
    "nbf no number": claims(nbf="soon"),
    "iat is a map": claims(iat={}),
    "other issuer": claims(iss=ISSUER.rstrip("/")),
    "no issuer": claims(iss=None),
    "issuer is a list": claims(iss=[ISSUER]),
    "other audience": claims(aud="somebody"),
    "no audience": claims(aud=None),
    "audiences without us": claims(aud=["a", "b"]),
    "audience of numbers": claims(aud=[1]),
    "no subject": claims(sub=None),
    "subject no text": claims(sub=7),
    "subject with a line end": claims(sub="a\nb"),
    "subject empty": claims(sub=""),
    "subject too long": claims(sub="x" * 300),
    "agents no list": claims(agents={"a": 1}),
    "agents of numbers": claims(agents=[1]),
    "agents of nobody": claims(agents=[]),
    "agents blank": claims(agents=" "),
    "agents null": claims() | {"agents": None},
    "privacy null": claims() | {"privacy": None},
    "privacy unknown": claims(privacy="public"),
    "privacy no text": claims(privacy=True),
    "claims no map": ["x"],
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_claims(case):
    """A claim that is missing, wrong or not of its kind refuses a token however well it is signed."""
    body = WRONG[case]
    if case == "exp is null":
        body = claims() | {"exp": None}
    elif case == "exp is infinite":
        body = claims(exp=body)
    refused(verifier(), signed(body))


def test_leeway():
    """Clocks may be apart by as much as the configuration says, and no more."""
    for body in (claims(exp=int(time.time()) - 30), claims(nbf=int(time.time()) + 50)):
        assert "ada" == verifier().verify(signed(body)).name
    assert refused(verifier(), signed(claims(exp=int(time.time()) - 70))).is_signed


def test_huge_times_are_no_trouble():
    """Any number may stand for a time."""
    assert "ada" == verifier().verify(signed(claims(exp=10**400, iat=-1))).name


def test_claims_become_a_principal():
    """Agents, scopes, project and privacy are read, from a list or a text; unknown scopes are left alone."""
    body = claims(
        agents=["python-pro", "debugger"],
        scope="openid ops",
        project="apollo",
        privacy="local_only",
    )
    expected = Principal(
        "ada", frozenset({"ops"}), ("python-pro", "debugger"), Privacy.LOCAL_ONLY, project="apollo"
    )
    assert expected == verifier().verify(signed(body))
    assert Principal("ada", agents=("python-pro",)) == verifier().verify(
        signed(claims(agents="python-pro", scope=["admin"], aud=["x", AUDIENCE]))
    )
    names = ClaimNames("email", "urn:agents", "roles", "team", "where")
    body = claims(
        email="ada@example.com", roles=["ops"], team="t", agents=[], **{"urn:agents": "debugger"}
    )
    assert Principal("ada@example.com", frozenset({"ops"}), ("debugger",), project="t") == (
        verifier(names=names).verify(signed(body))
    )


def test_keys_are_chosen_by_their_name():
    """`kid` says which; without one there must be no choice, and a key alone without a name is meant."""
    both = verifier(rsa_jwk("one"), rsa_jwk("other"))
    assert "ada" == both.verify(signed()).name
    assert "ada" == both.verify(signed(name="other")).name
    refused(both, signed(kid=None))
    assert "ada" == verifier(rsa_jwk("one")).verify(signed(kid=None)).name
    assert "ada" == verifier(rsa_jwk("one", kid=None)).verify(signed(kid="anything")).name
    refused(verifier(rsa_jwk("one"), rsa_jwk("other", kid="one")), signed())


UNUSABLE = {
    "for encryption": rsa_jwk("one", use="enc"),
    "of another algorithm": rsa_jwk("one", alg="RS512"),
    "for other operations": rsa_jwk("one", key_ops=["encrypt"]),
    "operations no list": rsa_jwk("one", key_ops="verify"),
    "too short": rsa_jwk("one", 1024),
    "symmetric": {"kty": "oct", "k": b64(SECRET.encode()), "alg": "RS256", "kid": "one"},
    "another curve": p384_jwk("two"),
    "not on the curve": ec_jwk("two", y=b64(b"\1" * 32)),
    "half a key": {"kty": "RSA", "n": "AQAB"},
    "numbers for texts": rsa_jwk("one", n=7),
    "no map": "key",
    "no type": {"n": "AQAB", "e": "AQAB"},
    "even exponent": rsa_jwk("one", e="Ag"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_keys_that_are_not_used(case):
    """What is for something else, too weak or broken is left out of a set, and alone makes none."""
    with pytest.raises(KeysUnusableError, match="no usable key"):
        read_key_set(key_set(UNUSABLE[case]), PUBLIC)
    assert 1 == len(read_key_set(key_set(UNUSABLE[case], ec_jwk("good")), PUBLIC).keys)


def test_private_parts_are_not_read():
    """A set that gives its private keys away still only checks signatures."""
    key = read_key_set(key_set(rsa_jwk("one", d="AQAB", p="AQAB")), PUBLIC).keys[0].key
    assert key.is_public()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"{", "not JSON"),
        (b"[" * 10**5, "not JSON"),
        (b"[]", "no JWK set"),
        (b'{"keys": {}}', "no JWK set"),
        (b'{"keys": []}', "no usable key"),
        (b" " * (LONGEST_SET_BYTES + 1), "more than"),
        (json.dumps({"keys": [{}] * (MOST_KEYS + 1)}).encode(), "more than"),
    ],
)
def test_sets_that_are_none(document, words):
    """A set is bounded in bytes and keys, and what is none says so."""
    with pytest.raises(KeysUnusableError, match=words):
        read_key_set(document, PUBLIC)


def test_unconfigured_algorithms_have_no_keys():
    """With RS256 alone an EC key of the set is not even read."""
    assert ["RS256"] == [
        key.algorithm
        for key in read_key_set(key_set(rsa_jwk("one"), ec_jwk("two")), ["RS256"]).keys
    ]


# --- remembered --------------------------------------------------------------------------------


@pytest.fixture
def checks(monkeypatch):
    """Count how often a signature is really checked."""
    made, decode = [], jwt.decode

    def counted(*args, **named):
        made.append(args[0])
        return decode(*args, **named)

    monkeypatch.setattr(jwt, "decode", counted)
    return made


def test_a_token_is_checked_once_in_a_while(checks):
    """The same token is looked up until `REMEMBERED_S` have passed or it has expired."""
    now = [time.time()]
    checker = verifier(clock=lambda: now[0])
    token = signed()
    for _ in range(5):
        checker.verify(token)
    assert 1 == len(checks)

    now[0] += REMEMBERED_S
    checker.verify(token)
    assert 2 == len(checks)

    short = signed(claims(exp=int(time.time()) + 5))
    checker.verify(short)
    now[0] += 66
    checker.verify(short)
    assert 4 == len(checks)


def test_new_keys_forget_what_was_checked_with_the_old_ones():
    """A token whose key was taken out of the set is refused at once."""
    keys = ChangingKeys(read_key_set(key_set(rsa_jwk("one")), PUBLIC))
    checker = JwtVerifier(JwtRules(ISSUER, AUDIENCE, PUBLIC), keys)
    token = signed()
    checker.verify(token)

    keys.current = read_key_set(key_set(rsa_jwk("other")), PUBLIC)

    refused(checker, token)
    assert 1 == keys.asked
    keys.pending = True
    with pytest.raises(KeysPending):
        checker.verify(token)
    keys.current = None
    with pytest.raises(KeysPending):
        checker.verify(token)


def test_little_is_remembered(monkeypatch):
    """However many tokens come, the memory has an end; refusals are not remembered at all."""
    monkeypatch.setattr(jwt_tokens, "MOST_REMEMBERED", 3)
    assert MOST_REMEMBERED >= 117
    checker = with_secret()
    for index in range(6):
        checker.verify(signed(claims(sub=f"a{index}"), alg="HS256"))
        refused(checker, signed(claims(sub=f"a{index}", aud="x"), alg="HS256"))
    assert 3 == len(checker._known)
