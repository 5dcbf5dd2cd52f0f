"""A whole proxy's audit log: who was refused, what operators did, and no credential."""

import orjson

from ccproxy.observability.audit_log import FILE_NAME
from ccproxy.observability.rotated_file import read_lines
from tests.support.http_wire import ask
from tests.support.messages import turn
from tests.support.proxy import running_proxy
from tests.support.waiting import until

SECRET = "ccp_not-a-token-of-anybody"


async def audited(act):
    """Return what is on record after `act(proxy)`, and the log's bytes."""
    async with running_proxy() as proxy:
        path = proxy.tokens_file.parent / FILE_NAME
        expected = await act(proxy)
        await until(lambda: len(list(read_lines(path))) >= expected)
        raw = path.read_bytes()
    lines = [orjson.loads(line) for line in raw.splitlines()]
    keys = ("event", "principal", "method", "path", "status")
    return [tuple(line[key] for key in keys) for line in lines], lines, raw


async def test_refusals_are_on_record_wherever_they_happen():
    """The pipeline's and the framework's: unknown tokens, missing scopes, forbidden agents."""

    async def act(proxy):
        limited = {"x-api-key": proxy.new_token("limited", agents=["code-reviewer"])}
        limited["anthropic-version"] = "2023-06-01"
        bad = {"x-api-key": SECRET, "anthropic-version": "2023-06-01"}
        await ask(proxy.base_url, f"/v1/messages?key={SECRET}", headers=bad, body=turn())
        await ask(proxy.base_url, "/v1/files", method="GET", headers=bad)
        await ask(proxy.base_url, "/metrics", method="GET", headers={})
        await ask(proxy.base_url, "/metrics", method="GET", headers=limited)
        await ask(proxy.base_url, "/admin/reload", headers=limited, body={})
        path = "/agents/rust-specialist/v1/messages"
        await ask(proxy.base_url, path, headers=limited, body=turn())
        await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn())
        return 6

    found, lines, raw = await audited(act)

    assert found == [
        ("refused", "", "POST", "/v1/messages", 401),
        ("refused", "", "GET", "/v1/files", 401),
        ("refused", "", "GET", "/metrics", 401),
        ("refused", "limited", "GET", "/metrics", 403),
        ("refused", "limited", "POST", "/admin/reload", 403),
        ("refused", "limited", "POST", "/v1/messages", 403),
    ]
    assert {line["peer"] for line in lines} == {"127.0.0.1"}
    assert all(line["request_id"].startswith("req_") for line in lines)
    assert SECRET.encode() not in raw


async def test_what_operators_do_is_on_record():
    """Reloads and the like with the result, by the token's name; reading leaves no trace."""

    async def act(proxy):
        reloaded = await ask(proxy.base_url, "/admin/reload", headers=proxy.headers, body={})
        assert reloaded.status == 200
        await ask(proxy.base_url, "/health", method="GET", headers=proxy.headers)
        await ask(proxy.base_url, "/metrics", method="GET", headers=proxy.headers)
        proxy.routing_file.write_text("]")
        await ask(proxy.base_url, "/admin/reload", headers=proxy.headers, body={})
        return 2

    found, _, raw = await audited(act)

    assert found == [
        ("admin", "test", "POST", "/admin/reload", 200),
        ("admin", "test", "POST", "/admin/reload", 409),
    ]
    assert b"ccp_" not in raw
