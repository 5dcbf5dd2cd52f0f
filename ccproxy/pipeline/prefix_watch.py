"""What the local models have read, conversation by conversation, and what broke a prefix.

Rules:
1. A conversation is what one client agent of one session asks in one request class. Where the
   client sends no session id it is known by its system prompt and its first message.
2. A prefix is broken where a conversation's new prompt gives up `LEAST_LOST_BYTES` or more of the
   one before. Less is a turn that asked for a tool in words, or a reminder that the client took
   back, and costs a second.
3. A prompt counts as read when it is sent: a model keeps it also when its answer was cut off.
4. Prompts are kept in memory alone, `limit_bytes` of them, the longest unused go first. What is
   told of them is a place and a number.

Used on the event loop alone. To compare costs microseconds: equal bytes are compared by `memcmp`.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from ccproxy.wire.prompt_prefix import NOTHING_SHARED, shared_prefix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ccproxy.wire.prompt_prefix import SharedPrefix

LIMIT_BYTES: Final = 32 * 1024 * 1024
"""A conversation of 30,000 tokens has about 120 kB: room for some 250 of them."""
LEAST_LOST_BYTES: Final = 2048
"""About 500 tokens."""
RECENT: Final = 8
"""Prompts of one deployment that it may still hold in part: more slots are rare on one machine."""


class Conversation(NamedTuple):
    """Who asks; see rule 1."""

    principal: str = ""
    session_id: str = ""
    agent_id: str = ""
    request_class: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a prompt before it is read."""

    total_bytes: int
    held_bytes: int = 0
    """The most that it shares with a prompt that its model may still hold."""
    place: str = ""
    """Where the conversation's prefix broke, as `SharedPrefix.place`; empty where it did not."""

    def unread_tokens(self, prompt_tokens: int) -> int:
        """Return what is left to read of a prompt of so many tokens, at least 1."""
        left = self.total_bytes - self.held_bytes
        return max(1, round(prompt_tokens * left / max(1, self.total_bytes)))


@dataclass(slots=True)
class _Read:
    """The prompt that a conversation sent last."""

    parts: tuple[bytes, ...]
    size_bytes: int
    tokens: int


_Key = tuple[str, Conversation]


class PrefixWatch:
    """The prompts that were sent last, within a limit of memory."""

    def __init__(
        self, slots: Mapping[str, int] | None = None, *, limit_bytes: int = LIMIT_BYTES
    ) -> None:
        """Begin with nothing read.

        Args:
            slots: How many prompts each deployment holds at once; 1 where it is not said, as
                `OLLAMA_NUM_PARALLEL` is by default (conformance 234).
            limit_bytes: Of all prompts together.
        """
        self._slots = dict(slots or {})
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self._read: OrderedDict[_Key, _Read] = OrderedDict()
        self._latest: dict[str, OrderedDict[Conversation, None]] = {}

    @property
    def size_bytes(self) -> int:
        """How much is kept."""
        return self._size_bytes

    def look(
        self,
        deployment: str,
        conversation: Conversation,
        parts: tuple[bytes, ...],
        prompt_tokens: int,
    ) -> Seen:
        """Return what a deployment knows of a prompt, and remember that it is sent it.

        Args:
            deployment: Who is asked.
            conversation: Whose prompt it is.
            parts: The prompt, of `prompt_parts`.
            prompt_tokens: Its tokens, calibrated.
        """
        key = deployment, _known_by(conversation, parts)
        size_bytes = sum(map(len, parts))
        held_bytes = max(
            (shared_prefix(read.parts, parts).shared_bytes for read in self._recent(deployment)),
            default=0,
        )
        before = self._read.get(key)
        shared = NOTHING_SHARED if before is None else shared_prefix(before.parts, parts)
        self._keep(key, _Read(parts, size_bytes, prompt_tokens))
        return Seen(size_bytes, held_bytes, _broken_at(shared))

    def read_tokens(self, conversation: Conversation) -> dict[str, int]:
        """Return what each deployment has read of a conversation and should still hold.

        By deployment, in tokens; those that have read others since, as many as they have slots,
        are left out, and so is a conversation that has no session id.
        """
        if not conversation.session_id:
            return {}
        found: dict[str, int] = {}
        for deployment, latest in self._latest.items():
            slots = self._slots.get(deployment, 1)
            if conversation in islice(reversed(latest), slots):
                read = self._read.get((deployment, conversation))
                if read is not None:
                    found[deployment] = read.tokens
        return found

    def _recent(self, deployment: str) -> list[_Read]:
        latest = self._latest.get(deployment, ())
        reads = (self._read.get((deployment, whose)) for whose in latest)
        return [read for read in reads if read is not None]

    def _keep(self, key: _Key, read: _Read) -> None:
        before = self._read.pop(key, None)
        if before is not None:
            self._size_bytes -= before.size_bytes
        deployment, conversation = key
        latest = self._latest.setdefault(deployment, OrderedDict())
        latest[conversation] = None
        latest.move_to_end(conversation)
        if len(latest) > RECENT:
            latest.popitem(last=False)
        if read.size_bytes > self._limit_bytes:
            return
        self._read[key] = read
        self._size_bytes += read.size_bytes
        while self._size_bytes > self._limit_bytes:
            _, oldest = self._read.popitem(last=False)
            self._size_bytes -= oldest.size_bytes


def _broken_at(shared: SharedPrefix) -> str:
    return shared.place if shared.lost_bytes >= LEAST_LOST_BYTES else ""


def _known_by(conversation: Conversation, parts: Sequence[bytes]) -> Conversation:
    """Return the conversation, without a session id known by how it begins (rule 1)."""
    if conversation.session_id:
        return conversation
    start = hashlib.blake2b(parts[0], digest_size=16)
    for message in parts[2:3]:
        start.update(message)
    return conversation._replace(session_id=f"begins {start.hexdigest()}")
