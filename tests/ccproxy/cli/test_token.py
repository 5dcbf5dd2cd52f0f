"""`ccproxy token`: limits of tokens, rotation, last use."""

from __future__ import annotations

import json
import time
from datetime import datetime

import pytest

from ccproxy.auth import KeyRing
from ccproxy.auth.last_used import FILE_NAME
from tests.support.command_line import command_line


@pytest.fixture
def ccproxy(tmp_path, monkeypatch, capsys):
    return command_line(tmp_path, monkeypatch, capsys)


@pytest.fixture(autouse=True)
def kolkata(monkeypatch):
    """Local time is half past five where UTC has midnight."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def changed(ccproxy, **entry):
    """Let the tokens file's first entry be another one."""
    file = ccproxy.folder / "state/tokens.json"
    document = json.loads(file.read_text())
    document["tokens"][0] |= entry
    file.write_text(json.dumps(document))


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
    assert (None, None, None) == tuple(
        listed[1][key] for key in ("requests_per_minute", "expires_at", "last_used_at")
    )
    ring = KeyRing(state / "tokens.json")
    assert 60 == ring.verify([(b"x-api-key", made["token"].encode())]).requests_per_minute
    ci, free = ccproxy("token", "list").lines()[1:]
    assert ["60/min", *local(made["expires_at"]), "2027-01-15", "13:30:00"] == ci[3:8]
    assert local(made["created_at"]) == ci[8:]
    assert "never" in free


def local(utc):
    """Day and time of a moment of JSON, as tables have them."""
    return datetime.fromisoformat(utc).astimezone().strftime("%Y-%m-%d %H:%M:%S").split()


def test_a_day_as_the_end(ccproxy):
    """It is good until that day is over here; JSON says when that is in UTC."""
    made = ccproxy("token", "create", "ci", "--expires", "2099-01-31", "--json").json()

    assert "2099-01-31T18:30:00+00:00" == made["expires_at"]
    assert ["2099-02-01", "00:00:00"] == ccproxy("token", "list").lines()[1][3:5]


def test_json_has_always_the_same_keys(ccproxy):
    """What a token lacks is null or empty; `create` and `rotate` add the token itself."""
    bare = ccproxy("token", "create", "bare", "--json").json()
    full = ccproxy(
        "token", "create", "full", "--agents", "debugger", "--scope", "ops", "--local-only",
        "--rate", "9", "--expires", "9d", "--json",
    ).json()  # fmt: skip
    rotated = ccproxy("token", "rotate", "full", "--json").json()
    listed = ccproxy("token", "list", "--json").json()

    keys = {"name", "scopes", "agents", "privacy", "requests_per_minute", "created_at"}
    keys |= {"expires_at", "former_until", "last_used_at"}
    assert [keys, keys] == [set(each) for each in listed]
    assert keys | {"token"} == set(bare) == set(full)
    assert keys | {"token", "overlap_s"} == set(rotated)
    limits = ("scopes", "agents", "privacy", "requests_per_minute", "created_at", "expires_at")
    assert [full[key] for key in limits] == [rotated[key] for key in limits]
    assert (["ops"], ["debugger"], "local_only", 9) == tuple(full[key] for key in limits[:4])


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        ({"created_at": "long ago"}, "long ago"),
        ({"expires_at": "9999-12-31T23:00:00+00:00"}, "9999-12-31T23:00:00+00:00"),
    ],
)
def test_no_local_time(ccproxy, entry, shown):
    """A moment that has none is shown as it was written into the tokens file."""
    ccproxy("token", "create", "ci")
    changed(ccproxy, **entry)

    assert shown in ccproxy("token", "list").out


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
    assert [] == ccproxy("token", "list", "--json").json()[0]["former_until"]
    log = (ccproxy.folder / "state/audit.jsonl").read_text()
    assert 2 == log.count("token rotate ci")
    assert not [token for token in (old, new, last["token"]) if token in log]


def test_rotating_says_when_the_old_one_ends(ccproxy):
    """Where the old token expires before the overlap is over, that is told in its place."""
    made = ccproxy("token", "create", "ci", "--expires", "1h", "--json").json()
    done = ccproxy("token", "rotate", "ci", "--overlap", "24h")
    again = ccproxy("token", "rotate", "ci", "--overlap", "2h", "--expires", "9d", "--json").json()
    last = ccproxy("token", "rotate", "ci", "--overlap", "2h", "--json").json()

    assert f"is good until it expires, {' '.join(local(made['expires_at']))}." in done.err
    assert "24h" not in done.err
    assert 0 < again["overlap_s"] <= 3600
    assert 7200 == last["overlap_s"]


def test_rotating_what_has_expired(ccproxy):
    """The old token is not said to be good: it is refused already."""
    ccproxy("token", "create", "ci", "--expires", "1h")
    changed(ccproxy, expires_at="2026-01-01T00:00:00+00:00")

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
    changed(ccproxy, expires_at="2026-01-01T00:00:00+00:00")
    assert "2026-01-01 05:30:00 (expired)" in ccproxy("token", "list").out
