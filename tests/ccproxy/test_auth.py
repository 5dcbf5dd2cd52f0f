"""Tokens: creating, storing, revoking and verifying them."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ccproxy.auth import (
    CHECK_INTERVAL_S,
    KeyRing,
    Principal,
    TokenError,
    create_token,
    list_tokens,
    open_principal,
    require_scope,
    revoke_token,
)
from ccproxy.auth.presented import MOST_TOKENS
from ccproxy.wire.errors import ApiError
from routing.types import Privacy

if TYPE_CHECKING:
    from pathlib import Path


class SteppedClock:
    """A monotonic clock that moves when told to."""

    def __init__(self) -> None:
        """Start at an arbitrary time."""
        self.now_s = 1000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now_s

    def pass_interval(self) -> None:
        """Move far enough for the ring to look at its file again."""
        self.now_s += CHECK_INTERVAL_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the tokens file goes; it does not exist yet."""
    return tmp_path / "tokens.json"


def write_document(path: Path, document: object) -> None:
    """Write a tokens file by hand, with the mode it needs."""
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    path.chmod(0o600)


def bearer(token: str, scheme: str = "Bearer") -> tuple[bytes, bytes]:
    """Return an Authorization header."""
    return (b"authorization", f"{scheme} {token}".encode())


def refused(ring: KeyRing, *headers: tuple[bytes, bytes]) -> ApiError:
    """Verify, expecting a refusal, and return it."""
    with pytest.raises(ApiError) as caught:
        ring.verify(headers)
    return caught.value


# --- verifying ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_bearer_is_accepted_in_any_case(path: Path, scheme: str) -> None:
    """A valid token in `Authorization` is accepted whatever the case of its scheme (conformance 022)."""
    token = create_token(path, "laptop", ["ops"], ["python-pro"])

    principal = KeyRing(path).verify([bearer(token, scheme)])

    assert principal == Principal("laptop", frozenset({"ops"}), ("python-pro",))


@pytest.mark.parametrize("name", [b"x-api-key", b"X-Api-Key"])
def test_x_api_key_is_accepted(path: Path, name: bytes) -> None:
    """A valid token in `x-api-key` is accepted whatever the case of the name (conformance 022)."""
    token = create_token(path, "laptop")

    assert KeyRing(path).verify([(name, token.encode())]).name == "laptop"


@pytest.mark.parametrize("valid_first", [True, False])
def test_one_valid_header_of_two_is_enough(path: Path, *, valid_first: bool) -> None:
    """With both headers present, either one being valid is enough (conformance 023)."""
    token = create_token(path, "laptop")
    key, auth = (token, "sk-other") if valid_first else ("sk-other", token)

    principal = KeyRing(path).verify([(b"x-api-key", key.encode()), bearer(auth)])

    assert principal.name == "laptop"


def test_the_api_key_names_the_principal_when_both_headers_are_valid(path: Path) -> None:
    """Two different valid tokens: the one in `x-api-key` says who is calling."""
    first, second = create_token(path, "first"), create_token(path, "second")

    principal = KeyRing(path).verify([bearer(second), (b"x-api-key", first.encode())])

    assert principal.name == "first"


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"x-api-key", b""),),
        ((b"x-api-key", b"ccp_wrong"),),
        ((b"authorization", b""),),
        ((b"authorization", b"Bearer"),),
        ((b"authorization", b"Bearer   "),),
        ((b"authorization", b"Basic dXNlcjpwYXNz"),),
        ((b"x-api-key", b"\xff\xfe\x00\x80"),),
        ((b"authorization", b"Bearer \xe4\xf6\xfc"),),
        ((b"authorization", b"\xff\xff"),),
        ((b"\xff", b"\xff"),),
    ],
    ids=repr,
)
def test_anything_else_is_a_401(path: Path, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    """A missing, wrong or garbled credential is a 401 in Anthropic's words (conformance 024)."""
    create_token(path, "laptop")

    error = refused(KeyRing(path), *headers)

    assert (error.status, error.error_type) == (401, "authentication_error")
    assert error.message == "invalid x-api-key"


def test_of_many_tokens_only_the_first_count(path: Path) -> None:
    """What one request may cost has an end: its headers have room for thousands of tokens."""
    valid = (b"x-api-key", create_token(path, "laptop").encode())
    guesses = [(b"x-api-key", b"guess-%d" % number) for number in range(MOST_TOKENS)]

    assert KeyRing(path).verify([*guesses[1:], valid]).name == "laptop"
    refused(KeyRing(path), *guesses, valid)


def test_a_valid_token_in_another_scheme_is_refused(path: Path) -> None:
    """Only the Bearer scheme carries a token."""
    token = create_token(path, "laptop")

    assert refused(KeyRing(path), bearer(token, "Token")).status == 401


def test_the_stored_hash_is_not_a_token(path: Path) -> None:
    """Whoever reads the file cannot authenticate with what it holds."""
    create_token(path, "laptop")
    digest = list_tokens(path)[0].sha256

    assert refused(KeyRing(path), (b"x-api-key", digest.encode())).status == 401


def test_a_missing_file_accepts_nobody(path: Path) -> None:
    """Without a tokens file the ring loads, and every token is refused."""
    assert refused(KeyRing(path), bearer("ccp_x")).status == 401


# --- edits while the service runs --------------------------------------------------------------


def test_a_created_token_works_without_a_restart(path: Path) -> None:
    """A token created while the service runs is accepted at once, without waiting for a look."""
    ring = KeyRing(path, clock=SteppedClock())
    assert refused(ring, bearer("ccp_x")).status == 401

    token = create_token(path, "later")

    assert ring.verify([bearer(token)]).name == "later"


def test_a_revoked_token_stops_working_without_a_restart(path: Path) -> None:
    """A token revoked while the service runs is refused, and the others still work."""
    gone, stays = create_token(path, "gone"), create_token(path, "stays")
    clock = SteppedClock()
    ring = KeyRing(path, clock=clock)
    revoke_token(path, "gone")
    clock.pass_interval()

    assert refused(ring, bearer(gone)).status == 401
    assert ring.verify([bearer(stays)]).name == "stays"


@pytest.mark.parametrize("damage", ["{", '{"version": 2, "tokens": []}', "[]", "\x00"])
def test_a_broken_edit_keeps_the_old_tokens_and_is_reported_once(path: Path, damage: str) -> None:
    """A file broken by an edit changes nothing but the reported problem, until it is mended."""
    token = create_token(path, "laptop")
    good = path.read_text()
    clock = SteppedClock()
    reports: list[str] = []
    ring = KeyRing(path, clock=clock, report=reports.append)
    write_document(path, damage)

    for _ in range(3):
        clock.pass_interval()
        assert ring.verify([bearer(token)]).name == "laptop"
    assert len(reports) == 1
    assert str(path) in reports[0]
    assert ring.problem is not None

    write_document(path, good)
    clock.pass_interval()
    assert ring.verify([bearer(token)]).name == "laptop"
    assert ring.problem is None


def test_a_file_opened_to_others_is_reported_while_running(path: Path) -> None:
    """A chmod alone is noticed: the tokens stay in force and the problem says what to run."""
    token = create_token(path, "laptop")
    clock = SteppedClock()
    ring = KeyRing(path, clock=clock)
    path.chmod(0o644)
    clock.pass_interval()

    assert ring.verify([bearer(token)]).name == "laptop"
    assert ring.problem is not None
    assert f"chmod 600 {path}" in ring.problem


def test_a_removed_file_takes_its_tokens_with_it(path: Path) -> None:
    """Removing the file locks everybody out rather than leaving old tokens in force."""
    token = create_token(path, "laptop")
    clock = SteppedClock()
    reports: list[str] = []
    ring = KeyRing(path, clock=clock, report=reports.append)
    path.unlink()
    clock.pass_interval()

    assert refused(ring, bearer(token)).status == 401
    assert len(reports) == 1


# --- the file ----------------------------------------------------------------------------------


def test_the_file_holds_hashes_only_and_is_private(path: Path) -> None:
    """The created file has the documented shape and mode 0600, and the token is nowhere in it."""
    token = create_token(path, "laptop", ["ops"], ["debugger", "python-pro"])
    content = path.read_text()
    document = json.loads(content)

    assert token.startswith("ccp_")
    assert len(token) == len("ccp_") + 43
    assert token.removeprefix("ccp_") not in content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert document["version"] == 1
    created_at = document["tokens"][0].pop("created_at")
    assert created_at.endswith("+00:00")
    assert document["tokens"] == [
        {
            "name": "laptop",
            "sha256": hashlib.sha256(token.encode()).hexdigest(),
            "scopes": ["ops"],
            "agents": ["debugger", "python-pro"],
        }
    ]


def test_nothing_but_the_file_is_left_behind(path: Path) -> None:
    """Neither a lock file nor a temporary file stays in the folder."""
    create_token(path, "one")
    create_token(path, "two")
    revoke_token(path, "one")

    assert [entry.name for entry in path.parent.iterdir()] == ["tokens.json"]


def test_creations_at_once_lose_nothing(path: Path) -> None:
    """Sixteen creations at the same time all end up in the file."""
    names = [f"token-{number:02}" for number in range(16)]
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lambda name: create_token(path, name), names))

    assert sorted(token.name for token in list_tokens(path)) == names


def test_a_missing_folder_is_made_for_the_owner_only(tmp_path: Path) -> None:
    """The first token may be created before its folder exists."""
    path = tmp_path / "state" / "tokens.json"
    create_token(path, "laptop")

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_linked_file_stays_a_link(tmp_path: Path) -> None:
    """A tokens file reached through a symbolic link is replaced where it really lies."""
    real = tmp_path / "real.json"
    link = tmp_path / "link.json"
    link.symlink_to(real)
    create_token(link, "laptop")

    assert link.is_symlink()
    assert [token.name for token in list_tokens(real)] == ["laptop"]


@pytest.mark.parametrize("user", [0, 501])
def test_a_file_that_root_edits_stays_its_owners(
    path: Path, user: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the service of another user could not read its tokens after `sudo ccproxy token`."""
    create_token(path, "first")
    owner, given = path.stat(), []
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "fchown", lambda _file, *whose: given.append(whose))

    create_token(path, "second")

    assert given == ([(owner.st_uid, owner.st_gid)] if user == 0 else [])


def test_a_taken_name_is_refused(path: Path) -> None:
    """A second token of the same name is refused, naming the way out; the first still works."""
    token = create_token(path, "laptop")
    with pytest.raises(TokenError, match=r"already.*ccproxy token revoke 'laptop'"):
        create_token(path, "laptop")

    assert KeyRing(path).verify([bearer(token)]).name == "laptop"


@pytest.mark.parametrize("name", ["", " laptop", "lap\ntop", "x" * 65, "\udc80"], ids=repr)
def test_an_unusable_name_is_refused(path: Path, name: str) -> None:
    """Names that would garble a log line are refused before anything is written."""
    with pytest.raises(TokenError, match="printable"):
        create_token(path, name)

    assert not path.exists()


def test_an_unknown_scope_is_refused(path: Path) -> None:
    """A scope that nothing checks is a mistake, and the known ones are named."""
    with pytest.raises(TokenError, match=r"'root'.*Known scopes: ops"):
        create_token(path, "laptop", ["root"])

    assert not path.exists()


def test_revoking_an_unknown_name_names_the_known_ones(path: Path) -> None:
    """A typo in `revoke` changes nothing and shows what could have been meant."""
    create_token(path, "laptop")
    with pytest.raises(TokenError, match=r"'latpop'.*Known names: laptop"):
        revoke_token(path, "latpop")

    assert len(list_tokens(path)) == 1


def test_revoking_without_a_file_is_refused(path: Path) -> None:
    """There is nothing to revoke where there is no file, and none is created."""
    with pytest.raises(TokenError, match="nothing to revoke"):
        revoke_token(path, "laptop")

    assert not path.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_file_open_to_others_is_refused(path: Path, mode: int) -> None:
    """A group or world accessible file is not loaded and not extended; the error says chmod."""
    create_token(path, "laptop")
    path.chmod(mode)

    with pytest.raises(TokenError, match=f"chmod 600 {path}"):
        KeyRing(path)
    with pytest.raises(TokenError, match="chmod 600"):
        create_token(path, "second")


ENTRY = {"name": "a", "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("{", ":1:2: the tokens file is not JSON"),
        ("\ufffe\x00", "not JSON"),
        pytest.param("[" * 100_000, "not JSON", id="nesting bomb"),
        ([], "expected"),
        ({"version": 1}, "expected"),
        ({"version": 2, "tokens": []}, "version"),
        ({"version": 1, "tokens": [7]}, "tokens.0"),
        ({"version": 1, "tokens": [ENTRY, {**ENTRY, "name": ""}]}, r"tokens\.1\.name"),
        ({"version": 1, "tokens": [{**ENTRY, "sha256": "z" * 64}]}, r"tokens\.0\.sha256"),
        ({"version": 1, "tokens": [{**ENTRY, "sha256": "ab"}]}, r"tokens\.0\.sha256"),
        ({"version": 1, "tokens": [{**ENTRY, "agents": None}]}, r"tokens\.0\.agents"),
        ({"version": 1, "tokens": [{**ENTRY, "agents": "a"}]}, r"tokens\.0\.agents"),
        ({"version": 1, "tokens": [{**ENTRY, "agent": ["a"]}]}, r"tokens\.0\.agent: unknown key"),
        ({"version": 1, "tokens": [{**ENTRY, "scopes": [1]}]}, r"tokens\.0\.scopes"),
        ({"version": 1, "tokens": [{**ENTRY, "privacy": "local"}]}, r"tokens\.0\.privacy"),
        ({"version": 1, "tokens": [{**ENTRY, "privacy": None}]}, r"tokens\.0\.privacy"),
    ],
)
def test_a_file_in_another_shape_is_refused(path: Path, document: object, expected: str) -> None:
    """A damaged file is an error that names file and place, never a narrower or wider check."""
    write_document(path, document)

    with pytest.raises(TokenError, match=expected) as caught:
        KeyRing(path)
    assert str(path) in str(caught.value)


def test_privacy_is_stored_where_it_is_a_limit(path: Path) -> None:
    """A `local_only` token stays so; other entries are as they are in files of older programs."""
    private = create_token(path, "private", privacy=Privacy.LOCAL_ONLY)
    public = create_token(path, "public")
    revoked = create_token(path, "revoked")
    revoke_token(path, "revoked")
    ring = KeyRing(path)

    assert ring.verify([bearer(private)]).privacy is Privacy.LOCAL_ONLY
    assert ring.verify([bearer(public)]).privacy is Privacy.ANY
    assert refused(ring, bearer(revoked)).status == 401
    first, second = json.loads(path.read_text())["tokens"]
    assert first.pop("privacy") == "local_only"
    assert set(first) == set(second) == {"name", "sha256", "scopes", "agents", "created_at"}


def test_a_token_pasted_as_its_hash_is_not_echoed(path: Path) -> None:
    """An error about the hash does not repeat what stands there."""
    write_document(path, {"version": 1, "tokens": [{**ENTRY, "sha256": "ccp_secret"}]})

    with pytest.raises(TokenError) as caught:
        KeyRing(path)
    assert "ccp_secret" not in str(caught.value)


# --- scopes ------------------------------------------------------------------------------------


def test_a_missing_scope_is_a_403(path: Path) -> None:
    """A valid token without the scope is refused with `permission_error` and the way out."""
    token = create_token(path, "laptop")
    principal = KeyRing(path).verify([bearer(token)])

    with pytest.raises(ApiError, match="--scope ops") as caught:
        require_scope(principal, "ops")
    assert (caught.value.status, caught.value.error_type) == (403, "permission_error")


def test_the_scope_opens_the_door(path: Path) -> None:
    """A token with the scope, and everybody where auth is off, passes."""
    token = create_token(path, "laptop", ["ops"])

    require_scope(KeyRing(path).verify([bearer(token)]), "ops")
    require_scope(open_principal(), "ops")
    assert open_principal().agents == ()
