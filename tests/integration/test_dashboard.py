"""The dashboard's page and what it reads, asked over sockets; test_dashboard_page drives it in a browser."""

import asyncio
import json
import re
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from ccproxy.api.dashboard import FOLDER, read_assets
from ccproxy.api.live import MOST_VIEWERS
from ccproxy.auth import revoke_token
from tests.support.http_wire import ask, wire
from tests.support.messages import LOCAL, MIXED, turn
from tests.support.proxy import running_proxy
from tests.support.waiting import until_found

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIGURES = ("usage", "latency", "failures", "routes", "budgets")
DATA = [f"/admin/{name}" for name in (*FIGURES, "live")]
ASSETS = sorted(f"/dashboard/{name}" for name in read_assets() if name != "index.html")


def bearer(token):
    return {"authorization": f"Bearer {token}"}


async def get(proxy, path, **headers):
    return await ask(proxy.base_url, path, method="GET", headers=headers)


async def figures(proxy, path):
    async def told():
        answer = await ask(proxy.base_url, path, method="GET", headers=bearer(proxy.token))
        # A proxy that has only just started makes its ledger after a second.
        assert answer.status in (200, 503), answer.body
        return answer.json() if answer.status == 200 else None

    return await until_found(told)


@asynccontextmanager
async def live(proxy, token=None):
    """Look at the live stream; gives its status and a function that returns the next snapshot."""
    async with wire(proxy.base_url) as connection:
        await connection.send("GET", "/admin/live", bearer(token or proxy.token))
        status, _ = await connection.read_head()

        async def snapshot():
            chunk = await connection.read_chunk()
            return json.loads(chunk) if chunk else None

        yield status, snapshot


@pytest.mark.parametrize("path", ["/dashboard", *ASSETS])
async def test_the_page_is_open_and_strict(path, proxy):
    """The page and its files need no token, may load nothing from elsewhere, and are kept by ETag."""
    answer = await get(proxy, path)
    policy = answer.header("content-security-policy")
    again = await get(proxy, path, **{"if-none-match": f'"other", W/{answer.header("etag")}'})
    head = await ask(proxy.base_url, path, method="HEAD")

    assert 200 == answer.status
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert ("no-cache", "nosniff", "no-referrer") == tuple(
        answer.header(name)
        for name in ("cache-control", "x-content-type-options", "referrer-policy")
    )
    assert (304, b"") == (again.status, again.body)
    assert (200, b"", answer.header("etag")) == (head.status, head.body, head.header("etag"))


async def test_the_page_needs_only_what_the_policy_allows(proxy):
    """No inline script or style, no address of another host, and every file that it names exists."""
    html = (await get(proxy, "/dashboard")).body.decode()
    ours = [html, *(file.read_text() for file in FOLDER.glob("*.[jc]s*"))]

    assert [] == re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", html)
    assert [] == [
        url
        for text in ours
        for url in re.findall(r"https?://(?!www\.w3\.org/2000/svg)[^\s\"']+", text)
    ]
    assert [] == [
        text for text in ours if re.search(r"innerHTML|outerHTML|insertAdjacent|eval\(", text)
    ]
    for name in re.findall(r'(?:src|href)="([^"#]+)"', html):
        assert 200 == (await get(proxy, f"/{name}")).status, name


@pytest.mark.parametrize("path", ["/dashboard", "/dashboard/app.js"])
async def test_a_token_in_the_url_is_refused(path, proxy):
    """Whoever puts a token into the page's URL is told not to, and that it may have leaked."""
    answer = await get(proxy, f"{path}?token={proxy.token}")

    assert (400, "invalid_request_error") == (answer.status, answer.error["type"])
    assert "revoke" in answer.error["message"]
    assert proxy.token not in answer.body.decode()


@pytest.mark.parametrize("path", DATA)
async def test_data_needs_a_token_in_a_header(path, proxy):
    """Without a token 401, without the scope ops 403; one in the URL counts for nothing."""
    nobody = await get(proxy, path)
    in_url = await get(proxy, f"{path}?token={proxy.token}")
    client = await get(proxy, path, **bearer(proxy.new_token(f"client-{path.rpartition('/')[2]}")))

    assert (401, 401, 403) == (nobody.status, in_url.status, client.status)
    assert "--scope ops" in client.error["message"]


@pytest.mark.parametrize(
    "path", ["/dashboard/", "/dashboard/../app.py", "/dashboard/vendor/README.md"]
)
async def test_nothing_else_is_served(path, proxy):
    """Only the page's own files are there, by their exact names."""
    assert 404 == (await get(proxy, path)).status


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("hours=0", "hours"),
        ("hours=9999", "hours"),
        ("&".join(f"hours={n}" for n in range(1, 11)), "more than 9"),
        ("hours=x", "hours"),
        ("by=request_id", "by"),
        ("since=1", "no such parameter"),
    ],
)
async def test_questions_are_checked(query, said, proxy):
    """What cannot be meant is refused with its name."""
    answer = await get(proxy, f"/admin/usage?{query}", **bearer(proxy.token))

    assert 400 == answer.status
    assert said in answer.error["message"]


async def test_figures_tell_what_happened(proxy):
    """A request and a fallback show in usage, latency and failures as what they were."""
    path = "/agents/code-reviewer/v1/messages"
    await ask(proxy.base_url, path, headers=proxy.headers, body=turn(model=LOCAL))
    proxy.ollama.add_fault("busy")
    await ask(proxy.base_url, path, headers=proxy.headers, body=turn(model=MIXED))

    async def written():
        told = await figures(proxy, "/admin/usage?by=agent")
        groups = [g for g in told["groups"] if g["name"] == "code-reviewer"]
        return groups[0] if groups and groups[0]["requests"] > 1 else None

    group = await until_found(written)
    latency = await figures(proxy, "/admin/latency?hours=1")
    failures = await figures(proxy, "/admin/failures?hours=1")

    assert (2, 1) == (group["requests"], group["fallbacks"])
    assert group["cost_microusd"] > 0
    assert group["would_cost_microusd"] > 0
    assert {"qwen-coder", "claude-sonnet"} == {d["deployment"] for d in latency["deployments"]}
    assert "qwen-coder:overloaded claude-sonnet:ok" in [
        " ".join(f"{a['deployment']}:{a['result']}" for a in row["attempts"])
        for row in failures["requests"]
    ]


async def test_routes_are_those_in_force(proxy):
    """Every agent has its route, and what each caller who is not recognised would get."""
    told = await figures(proxy, "/admin/routes")

    routes = {row["agent"]: row["route"] for row in told["agents"]}
    assert 115 == len(routes)
    assert ["qwen-quality", "qwen-coder"] == routes["security-auditor"]
    assert 4 == len(told["unknown"])


async def test_live_shows_who_is_running(proxy):
    """A request in flight shows with its agent, deployment and age, and is gone when it is over."""
    proxy.ollama.add_fault("hang")
    path = "/agents/code-reviewer/v1/messages"
    request = asyncio.create_task(
        ask(proxy.base_url, path, headers=proxy.headers, body=turn(model=LOCAL, stream=True))
    )
    await proxy.ollama.generation(0)
    async with live(proxy) as (status, snapshot):
        first = await snapshot()
        request.cancel()
        async with asyncio.timeout(8):
            while (last := await snapshot())["in_flight"]["requests"]:
                pass

    assert 200 == status
    (group,) = first["in_flight"]["groups"]
    assert ("code-reviewer", LOCAL, "local", 1, 0) == tuple(
        group[key] for key in ("agent", "deployment", "route", "requests", "answering")
    )
    assert group["oldest_s"] >= 0
    busy = {row["deployment"]: row["busy"] for row in first["deployments"]}
    assert (1, 0) == (busy[LOCAL], busy["qwen-quality"])
    assert last["at_s"] > first["at_s"]
    assert b"transitions" not in json.dumps(first).encode()


async def test_a_revoked_token_sees_no_more(proxy):
    """A stream ends, properly, soon after its token was revoked."""
    token = proxy.new_token("viewer", scopes=("ops",))
    async with live(proxy, token) as (_, snapshot):
        await snapshot()
        revoke_token(proxy.tokens_file, "viewer")
        async with asyncio.timeout(6):
            while await snapshot() is not None:
                pass


async def test_so_many_may_look_at_once(proxy):
    """One viewer too many is told so; a viewer who left makes room."""
    async with AsyncExitStack() as looking:
        for _ in range(MOST_VIEWERS - 1):
            status, _ = await looking.enter_async_context(live(proxy))
            assert 200 == status
        async with live(proxy) as (_, snapshot):
            assert await snapshot()
            refused = await get(proxy, "/admin/live", **bearer(proxy.token))

        async def admitted():
            async with live(proxy) as (status, _):
                return status == 200 or None

        await until_found(admitted)

    assert (429, "rate_limit_error") == (refused.status, refused.error["type"])


async def test_views_end_when_the_server_stops():
    """A server that begins to stop ends the live streams instead of waiting for their viewers."""
    async with running_proxy() as proxy, live(proxy) as (_, snapshot):
        assert await snapshot()
        proxy.proxy.end_views()
        assert None is await snapshot()


async def test_a_ledger_that_cannot_be_read(tmp_path):
    """Without its ledger the proxy says why there are no figures; what is live still shows."""
    (tmp_path / "ledger.db").mkdir()
    changes = {"ledger": {"url": f"sqlite:///{tmp_path / 'ledger.db'}"}}
    async with running_proxy(changes=changes) as proxy:
        answer = await get(proxy, "/admin/usage", **bearer(proxy.token))
        async with live(proxy) as (_, snapshot):
            seen = await snapshot()

    assert 503 == answer.status
    assert answer.error["message"].startswith("No figures: ")
    assert 0 == seen["in_flight"]["requests"]
