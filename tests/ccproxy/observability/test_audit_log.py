"""Refused access and what operators did, as lines."""

import stat

import orjson
import pytest

from ccproxy.observability.audit_log import REFUSALS_PER_MINUTE, AuditLog, audit_log, without_tokens
from ccproxy.outcome import Ending, Origin, Outcome

ORIGIN = Origin("192.0.2.7", "POST", "/v1/messages", "")


class Lines:
    """A writer that keeps what it gets."""

    def __init__(self):
        self.lines = []

    def put(self, line):
        self.lines.append(orjson.loads(line))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def outcome(status, ending=Ending.REFUSED):
    return Outcome("req_1", "messages", 0.0, ORIGIN, principal="ops", status=status, ending=ending)


def test_a_refusal_says_who_what_and_from_where():
    """The time is there too, and the request id that the client was told."""
    lines = Lines()
    AuditLog(lines).record(outcome(403))

    (line,) = lines.lines
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "refused",
        "principal": "ops",
        "peer": "192.0.2.7",
        "method": "POST",
        "path": "/v1/messages",
        "status": 403,
        "request_id": "req_1",
    }


@pytest.mark.parametrize(
    "served",
    [outcome(200, Ending.COMPLETED), outcome(400), outcome(404), outcome(401, Ending.COMPLETED)],
    ids=["served", "invalid", "not found", "an upstream's own 401"],
)
def test_nothing_else_is_a_refusal(served):
    """What an upstream refuses says nothing of who may use this proxy."""
    lines = Lines()
    AuditLog(lines).record(served)

    assert lines.lines == []


def test_a_flood_of_refusals_does_not_fill_the_file():
    """So many a minute are written; the next line says how many were not. Admins always are."""
    lines, clock = Lines(), Clock()
    audit = AuditLog(lines, clock)
    for _ in range(REFUSALS_PER_MINUTE + 30):
        audit.refused(ORIGIN, 401, "req_1")
    audit.done(ORIGIN, 200, "req_2", principal="ops")
    audit.refused(ORIGIN, 401, "req_3")
    clock.now = 60.0
    audit.refused(ORIGIN, 401, "req_4")

    written = [(line["request_id"], line.get("refusals_not_listed")) for line in lines.lines]
    assert written[:REFUSALS_PER_MINUTE] == [("req_1", None)] * REFUSALS_PER_MINUTE
    assert written[REFUSALS_PER_MINUTE:] == [("req_2", 30), ("req_4", 1)]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v1/messages", "/v1/messages"),
        ("/agents/ccp_x7-y/v1/messages", "/agents/***/v1/messages"),
        ("/v1/sk-ant-api03-abc/messages", "/v1/***/messages"),
        ("/v1/files/" + "a" * 40, "/v1/files/***"),
        ("/" + "a/" * 200, ("/" + "a/" * 200)[:256]),
    ],
)
def test_a_credential_in_a_path_is_left_out(path, shown):
    """A base URL with a key in it is a common mistake."""
    assert without_tokens(path) == shown


def test_the_file_is_for_its_owner(tmp_path):
    """Mode 0600, one line each, counted once written."""
    audit = audit_log(tmp_path / "audit.jsonl")
    audit.start()
    audit.record(outcome(401))
    audit.close()

    file = tmp_path / "audit.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert orjson.loads(file.read_bytes())["status"] == 401
    assert (audit.written, audit.dropped) == (1, 0)
