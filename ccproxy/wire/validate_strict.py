"""What Anthropic refuses although a local model could do without (`local.strict` in ccproxy.yaml).

By default these pass: agents replay empty blocks, and a client that is newer than this list of
fields should work. Strict, a program that is developed against local models learns here what
Claude would tell it. Conformance 080, 083, 106 and 113.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.errors import invalid_request
from ccproxy.wire.validate_blocks import SERVER_RESULT_BLOCKS
from ccproxy.wire.validate_shape import as_object, one_of, refuse, tag_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    Place = tuple[str, Mapping[str, Any]]

MAX_BREAKPOINTS: Final = 4
_TTLS: Final = ("5m", "1h")


def check_strictly(body: Mapping[str, Any], *, known: Collection[str]) -> None:
    """Check a body in which everything else is right.

    Args:
        body: The request; its shapes are checked already.
        known: The names of all top-level fields.

    Raises:
        ApiError: 400, as Anthropic words it.
    """
    for name in body:
        if name not in known:
            refuse(name[:64], "Extra inputs are not permitted")
    _check_system_places(body["messages"])
    for path, block in _blocks(body):
        if block.get("type") == "text" and block.get("text") == "":
            place = path.split(".")[0]
            raise invalid_request(f"{place}: text content blocks must be non-empty")
    _check_breakpoints(body)


def _check_system_places(messages: Sequence[Mapping[str, Any]]) -> None:
    """Check where system messages stand: after what the user or a server tool said (080).

    A run of them ends the conversation, or an assistant's turn follows.
    """
    before: Mapping[str, Any] = {}
    waiting: int | None = None
    for index, message in enumerate(messages):
        role = message["role"]
        if role != "system":
            if waiting is not None and role != "assistant":
                refuse(
                    f"messages.{waiting}",
                    "`system` messages must come last or before an `assistant` message",
                )
            before, waiting = message, None
        elif before["role"] == "user" or _ends_in_server_result(before):
            waiting = index
        else:
            refuse(
                f"messages.{index}",
                "`system` messages must follow a `user` message, or an"
                " `assistant` message that ends in the result of a server tool",
            )


def _ends_in_server_result(message: Mapping[str, Any]) -> bool:
    match message.get("content"):
        case [*_, {"type": str(kind)}]:
            return kind in SERVER_RESULT_BLOCKS
        case _:
            return False


def _check_breakpoints(body: Mapping[str, Any]) -> None:
    """Check every `cache_control`, and that there are at most four (106)."""
    found = 0
    for path, holder in (("", body), *_tools(body), *_blocks(body)):
        value = holder.get("cache_control")
        if value is None:
            continue
        found += 1
        where = f"{path}.cache_control".removeprefix(".")
        control = as_object(value, where)
        tag_of(control, where, ("ephemeral",))
        if control.get("ttl") is not None:
            one_of(control["ttl"], f"{where}.ttl", _TTLS)
    if found > MAX_BREAKPOINTS:
        raise invalid_request(
            f"A maximum of {MAX_BREAKPOINTS} blocks with cache_control may be provided."
            f" Found {found}."
        )


def _tools(body: Mapping[str, Any]) -> Iterator[Place]:
    for index, tool in enumerate(body.get("tools") or ()):
        yield f"tools.{index}", tool


def _blocks(body: Mapping[str, Any]) -> Iterator[Place]:
    """Yield every block of `system` and `messages` with its path, also those inside blocks."""
    yield from _within(body.get("system"), "system")
    for index, message in enumerate(body["messages"]):
        yield from _within(message.get("content"), f"messages.{index}.content")


def _within(content: object, path: str, levels: int = 3) -> Iterator[Place]:
    """Yield blocks, those of a result's or document's content, and those of a document in one."""
    if levels == 0 or not isinstance(content, list):
        return
    for index, block in enumerate(content):
        if not isinstance(block, dict):
            continue  # inside the result of a server tool, which nobody looks into
        where = f"{path}.{index}"
        yield where, block
        yield from _within(block.get("content"), f"{where}.{block.get('type')}.content", levels - 1)
        source = block.get("source")
        if isinstance(source, dict):
            yield from _within(
                source.get("content"), f"{where}.document.source.content", levels - 1
            )
