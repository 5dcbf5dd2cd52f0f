"""`ccproxy token`: limits of tokens, rotation, last use."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest

from ccproxy.auth import KeyRing
from ccproxy.auth.last_used import FILE_NAME
from tests.support.command_line import command_line


@pytest.fixture
def ccproxy(tmp_path, monkeypatch, capsys):
    return command_line(tmp_path, monkeypatch, capsys)


def test_limits_are_stored_and_told(ccproxy):
    """`--expires` and `--rate` hold for the token, and `create` and `list` tell of them."""
    made = ccproxy("token", "create", "ci", "--expires", "30d", "--rate", "60", "--json").json()
    ccproxy("token", "create", "free")
    state = ccproxy.folder / "state"
    (state / FILE_NAME).write_text(json.dumps({"last_used": {"ci": 1_800_000_000}}))

    listed = ccproxy("token", "list", "--json").json()

    ends = datetime.fromisoformat(made["expires_at"])
    assert abs(ends.timestamp() - time.time() - 30 * 86400) < 60
    assert (60, made["expires_at"]) == (made["requests_per_minute"], listed[0]["expires_at"])
    assert "2027-01-15T08:00:00+00:00" == listed[0]["last_used_at"]
    assert {"name", "scopes", "agents", "created_at"} == set(listed[1])
    ring = KeyRing(state / "tokens.json")
    assert 60 == ring.verify([(b"x-api-key", made["token"].encode())]).requests_per_minute
    ci, free = (line.split() for line in ccproxy("token", "list").out.splitlines()[1:])
    assert ["60/min", made["expires_at"], "2027-01-15T08:00:00+00:00"] == ci[3:6]
    assert "never" in free


def test_rotating(ccproxy):
    """A new token alone on stdout; the old one is good for the overlap, or not at all."""
    old = ccproxy("token", "create", "ci").out.strip()
    done = ccproxy("token", "rotate", "ci", "--overlap", "2h")
    new = done.out.strip()
    ring = KeyRing(ccproxy.folder / "state/tokens.json")
    assert old != new
    assert ["ci", "ci"] == [ring.verify([(b"x-api-key", t.encode())]).name for t in (old, new)]
    assert "is good for 2h more" in done.err
    assert new not in done.err
    assert 1 == len(ccproxy("token", "list", "--json").json()[0]["former_until"])

    last = ccproxy("token", "rotate", "ci", "--overlap", "0", "--json").json()
    assert ("ci", 0) == (last["name"], last["overlap_s"])
    assert "former_until" not in ccproxy("token", "list", "--json").json()[0]
    log = (ccproxy.folder / "state/audit.jsonl").read_text()
    assert 2 == log.count("token rotate ci")
    assert not [token for token in (old, new, last["token"]) if token in log]


def test_rotating_says_when_the_old_one_ends(ccproxy):
    """Where the old token expires before the overlap is over, that is told in its place."""
    made = ccproxy("token", "create", "ci", "--expires", "1h", "--json").json()
    done = ccproxy("token", "rotate", "ci", "--overlap", "24h")
    again = ccproxy("token", "rotate", "ci", "--overlap", "2h", "--expires", "9d", "--json").json()
    last = ccproxy("token", "rotate", "ci", "--overlap", "2h", "--json").json()

    assert f"is good until it expires, {made['expires_at']}." in done.err
    assert "24h" not in done.err
    assert 0 < again["overlap_s"] <= 3600
    assert 7200 == last["overlap_s"]


def test_rotating_what_has_expired(ccproxy):
    """The old token is not said to be good: it is refused already."""
    ccproxy("token", "create", "ci", "--expires", "1h")
    file = ccproxy.folder / "state/tokens.json"
    document = json.loads(file.read_text())
    document["tokens"][0]["expires_at"] = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    file.write_text(json.dumps(document))

    done = ccproxy("token", "rotate", "ci", "--expires", "9d")

    assert "The old token of 'ci' is refused from now on." in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("create", "x", "--expires", "soon"), 2, "is no time"),
        (("create", "x", "--expires", "2001-01-01"), 2, "is over already"),
        (("create", "x", "--expires", "999999w"), 2, "is no time"),
        (("create", "x", "--rate", "0"), 2, "--rate"),
        (("rotate", "nobody"), 1, "there is no tokens file"),
        (("rotate", "x", "--overlap", "long"), 2, "is no span"),
    ],
)
def test_what_is_no_limit(arguments, code, words, ccproxy):
    """It is said, and no token is made: without its limit it would be good for more."""
    done = ccproxy("token", *arguments)
    assert code == done.code
    assert words in " ".join(done.err.split())
    assert not (ccproxy.folder / "state/tokens.json").exists()


def test_an_expired_token_is_listed_as_such(ccproxy):
    """Until somebody revokes or rotates it."""
    ccproxy("token", "create", "ci", "--expires", "1h")
    file = ccproxy.folder / "state/tokens.json"
    document = json.loads(file.read_text())
    document["tokens"][0]["expires_at"] = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    file.write_text(json.dumps(document))
    assert "2026-01-01T00:00:00+00:00 (expired)" in ccproxy("token", "list").out
