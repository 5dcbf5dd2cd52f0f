"""`GET /admin/usage`, `latency`, `failures` and `routes`: what the dashboard draws.

The ledger is read in threads, `MOST_READERS` at a time, so that no question of an operator's keeps
the event loop or the pool of threads from requests.
"""

from __future__ import annotations

import asyncio
from time import time
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qsl

import orjson
from fastapi import APIRouter, Request, Response

from ccproxy.api.messages import peer_of
from ccproxy.auth import require_scope
from ccproxy.ports import HistoryUnknownError
from ccproxy.wire.errors import ApiError, invalid_request
from ccproxy.wire.ids import mint_request_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ccproxy.auth import Authenticate

MOST_READERS: Final = 2
MOST_WAITING: Final = 20
DEFAULT_HOURS: Final = 24
MOST_HOURS: Final = 366 * 24
GROUPINGS: Final = (
    "route", "agent", "category", "model", "deployment", "tier", "principal", "project",
)  # fmt: skip


class Series(Protocol):
    """The ledger over time; every method blocks for seconds at most.

    Raises:
        HistoryUnknownError: From every method; the ledger cannot be read, or takes too long.
    """

    def usage(self, hours: int, by: str, now_s: float) -> dict[str, Any]:
        """Return what was used and saved, over time and by one of `GROUPINGS`."""
        ...

    def latency(self, hours: int, now_s: float) -> dict[str, Any]:
        """Return quantiles, by route over time and by deployment."""
        ...

    def failures(self, hours: int, now_s: float) -> dict[str, Any]:
        """Return what failed, over time and lately."""
        ...


class _Readers:
    """Lets a few questions at a time into threads."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(MOST_READERS)
        self._waiting = 0

    async def ask(self, question: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if self._waiting >= MOST_WAITING:
            message = f"{MOST_WAITING} questions to the ledger wait already; ask again in a while."
            raise ApiError(429, message, retry_after_s=5)
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(question)
        except HistoryUnknownError as error:
            # The words of a database; the client is an operator.
            raise ApiError(503, f"No figures: {error}.", should_retry=True) from error
        finally:
            self._waiting -= 1


def figures_router(
    authenticate: Authenticate,
    open_series: Callable[[], Series],
    routes: Callable[[], dict[str, Any]],
) -> APIRouter:
    """Return the endpoints, which need the scope `ops`.

    Of a query they take `hours` (1 to 8784, 24 by default), `usage` also `by` (`GROUPINGS`). 503
    says that the ledger cannot be read and why.

    Args:
        authenticate: Returns who sent these headers; raises `ApiError`.
        open_series: Called in a thread, for each question.
        routes: Returns where each agent's requests go now, JSON-ready; called in a thread.
    """
    router = APIRouter()
    readers = _Readers()

    def admitted(request: Request, keys: Collection[str]) -> dict[str, str]:
        require_scope(authenticate(request.scope["headers"], peer_of(request.scope)), "ops")
        return _query(request.scope["query_string"], keys)

    @router.get("/admin/usage")
    async def usage(request: Request) -> Response:
        """Return cost, tokens and savings, over time and told apart by one thing."""
        query = admitted(request, ("hours", "by"))
        hours, by = _hours(query), query.get("by", GROUPINGS[0])
        if by not in GROUPINGS:
            raise invalid_request(f"by: Input should be one of {', '.join(GROUPINGS)}")
        return _json(await readers.ask(lambda: open_series().usage(hours, by, time())))

    @router.get("/admin/latency")
    async def latency(request: Request) -> Response:
        """Return how long answers took, by route over time and by deployment."""
        hours = _hours(admitted(request, ("hours",)))
        return _json(await readers.ask(lambda: open_series().latency(hours, time())))

    @router.get("/admin/failures")
    async def failures(request: Request) -> Response:
        """Return what failed and what another deployment answered instead."""
        hours = _hours(admitted(request, ("hours",)))
        return _json(await readers.ask(lambda: open_series().failures(hours, time())))

    @router.get("/admin/routes")
    async def resolved(request: Request) -> Response:
        """Return where each agent's requests go, by the table in force and what is up now."""
        admitted(request, ())
        return _json(await asyncio.to_thread(routes))

    return router


def _query(raw: bytes, keys: Collection[str]) -> dict[str, str]:
    try:
        query = dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=9))
    except ValueError as error:
        raise invalid_request("the query has more than 9 parameters") from error
    for key in query:
        if key not in keys:
            known = f"; known are {', '.join(keys)}" if keys else ""
            raise invalid_request(f"{key[:40]}: no such parameter{known}")
    return query


def _hours(query: Mapping[str, str]) -> int:
    text = query.get("hours", str(DEFAULT_HOURS))
    hours = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    if not 1 <= hours <= MOST_HOURS:
        raise invalid_request(f"hours: Input should be a whole number from 1 to {MOST_HOURS}")
    return hours


def _json(payload: dict[str, Any]) -> Response:
    headers = {"request-id": mint_request_id(), "cache-control": "no-store"}
    return Response(orjson.dumps(payload), headers=headers, media_type="application/json")
