import asyncio

import pytest

from ccproxy.api.entrance import Entrance


def noting(name, seen):
    async def endpoint(scope, _receive, _send):
        seen.append((name, scope.get("path_params")))

    return endpoint


@pytest.mark.parametrize(
    ("path", "reached"),
    [
        ("/v1/messages", ("messages", None)),
        ("/v1/messages/count_tokens", ("counting", None)),
        ("/agents/coder/v1/messages", ("messages", {"slug": "coder"})),
        ("/agents/a b/v1/messages/count_tokens", ("counting", {"slug": "a b"})),
        ("/v1/messages/", ("rest", None)),
        ("/v1/models", ("rest", None)),
        ("/agents/coder/v1/models", ("rest", None)),
        ("/agents//v1/messages", ("rest", None)),
        ("/agents/a/b/v1/messages", ("rest", None)),
        ("/agents/coder", ("rest", None)),
        ("/agents/", ("rest", None)),
        ("", ("rest", None)),
    ],
)
async def test_who_serves_a_path(path, reached):
    """Messages and count_tokens, with or without an agent in front, and everything else."""
    seen = []
    endpoints = {
        "/v1/messages": noting("messages", seen),
        "/v1/messages/count_tokens": noting("counting", seen),
    }

    await Entrance(endpoints, noting("rest", seen))({"type": "http", "path": path}, None, None)

    assert seen == [reached]


async def test_the_lifespan_is_not_a_path():
    """What is no HTTP request goes to the framework."""
    seen = []

    await Entrance({}, noting("rest", seen))({"type": "lifespan"}, None, None)

    assert seen == [("rest", None)]


async def test_a_request_that_the_server_gives_up_ends_quietly():
    """When the grace after a stop signal is over nothing is raised that would be logged as a bug."""

    async def forever(_scope, _receive, _send):
        await asyncio.Event().wait()

    scope = {"type": "http", "path": "/v1/messages"}
    request = asyncio.create_task(Entrance({"/v1/messages": forever}, forever)(scope, None, None))
    await asyncio.sleep(0)
    request.cancel()

    assert None is await request
