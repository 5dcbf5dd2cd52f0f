"""Waiting for what sends no signal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Found = TypeVar("Found")

_LOOK_EVERY_S = 0.005


async def until(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Return when the condition holds.

    Raises:
        TimeoutError: It did not within the time.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - plain attributes have no event to wait for
            await asyncio.sleep(_LOOK_EVERY_S)


async def until_found(look: Callable[[], Awaitable[Found | None]], timeout_s: float = 5.0) -> Found:
    """Return the first thing that looking brings.

    Raises:
        TimeoutError: Nothing came within the time.
    """
    async with asyncio.timeout(timeout_s):
        while (found := await look()) is None:  # noqa: ASYNC110 - what is looked at has none
            await asyncio.sleep(_LOOK_EVERY_S)
        return found


async def settled(value: Callable[[], int], quiet_s: float = 0.1, timeout_s: float = 5.0) -> int:
    """Return a growing value once it has not changed for `quiet_s`.

    Raises:
        TimeoutError: It never came to rest.
    """
    async with asyncio.timeout(timeout_s):
        last = value()
        while True:
            await asyncio.sleep(quiet_s)
            if value() == last:
                return last
            last = value()
