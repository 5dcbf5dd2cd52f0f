"""Work that grows with the body, kept off the event loop where the body is large.

A thread costs 0.1 ms and keeps other streams flowing: unpacking lets go of the interpreter, and
Python code gives way every 5 ms. Only one call of orjson blocks all the same, about 3 ms per MB
(conformance 297).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccproxy.ports import Incoming

Result = TypeVar("Result")
Params = ParamSpec("Params")

LARGE_BYTES: Final = 1024 * 1024
"""From here on the work takes longer than the thread costs many times over."""


def unpacked_bytes(incoming: Incoming, raw_body: bytes) -> int:
    """Return how large a body may be once it is unpacked, as far as that can be told."""
    return LARGE_BYTES if incoming.header(b"content-encoding") else len(raw_body)


async def off_loop(
    size_bytes: int,
    work: Callable[Params, Result],
    *args: Params.args,
    **kwargs: Params.kwargs,
) -> Result:
    """Return what `work` returns, called in a thread if the body is large."""
    if size_bytes < LARGE_BYTES:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
