"""Takes out of a history what only a local model put there, before Claude sees it.

Claude answers 400 to thinking whose signature it did not issue (conformance 262), so blocks that
carry our marker are cut, as byte ranges of the original: everything else stays as the client
spelled it. Other traces that Claude would refuse (tool ids outside its alphabet, empty text
blocks; conformance 263) are never produced by the local side in the first place.
"""

from __future__ import annotations

from typing import Final

import orjson

from ccproxy.wire.signature import LOCAL_SIGNATURE
from ccproxy.wire.spans import Span, cut_ranges, find_member, items, root, without

_MARKER: Final = LOCAL_SIGNATURE.encode()


def strip_local_blocks(body: bytes) -> tuple[bytes, int]:
    """Return the body without locally signed thinking, and how many blocks were cut.

    An assistant message left empty by that goes too; two user messages in a row are fine, Claude
    merges them (conformance 079). Without the marker the same object comes back.

    Args:
        body: A valid Messages request, as bytes.
    """
    if _MARKER not in body:
        return body, 0
    start = root(body)
    messages = find_member(body, "messages", start) if body[start] == ord("{") else None
    if messages is None or body[messages.start] != ord("["):
        return body, 0
    spans = list(items(body, messages.start))
    cut_count = 0
    dropped: set[int] = set()
    ranges: list[Span] = []
    for index, message in enumerate(spans):
        if body.find(_MARKER, *message) < 0:
            continue
        blocks, local = _local_blocks(body, message)
        cut_count += len(local)
        if local and len(local) == len(blocks) and _role(body, message) == "assistant":
            dropped.add(index)
        else:
            ranges.extend(cut_ranges(blocks, local))
    ranges.extend(cut_ranges(spans, dropped))
    return without(body, sorted(ranges)), cut_count


def _local_blocks(body: bytes, message: Span) -> tuple[list[Span], set[int]]:
    """Return the spans of a message's blocks and the indexes of those that are ours."""
    content = find_member(body, "content", message.start)
    if content is None or body[content.start] != ord("["):
        return [], set()
    blocks = list(items(body, content.start))
    return blocks, {index for index, block in enumerate(blocks) if _is_local(body, block)}


def _is_local(body: bytes, block: Span) -> bool:
    if body.find(_MARKER, *block) < 0:
        return False
    value = orjson.loads(body[block.start : block.end])
    return (
        isinstance(value, dict)
        and value.get("type") == "thinking"
        and value.get("signature") == LOCAL_SIGNATURE
    )


def _role(body: bytes, message: Span) -> object:
    role = find_member(body, "role", message.start)
    return None if role is None else orjson.loads(body[role.start : role.end])
