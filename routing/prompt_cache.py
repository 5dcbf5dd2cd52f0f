"""The prompt cache that Claude would have had: what a prompt would have read and written.

Rules (Anthropic's docs, *Prompt caching*, 2026-11):
1. A breakpoint writes one entry, for all of the prompt up to the end of its block: tools, system
   prompt and messages, in this order. A prompt reads the longest entry that it begins with.
2. An entry is looked for at the block of each breakpoint and at blocks before it, 20 positions in
   all; a run of tool calls, or of their results, is one position. Then at the breakpoint before.
3. An entry lives for 5 minutes or an hour after it was last used. Reading it uses it.
4. What is shorter than the model's least length is neither written nor read.
5. Up to four breakpoints count, of each model apart. Who asks does not matter: everybody behind one
   proxy uses one account.

Where what happened here cannot tell what would have happened there, the simulation takes what is
cheaper for Claude, so that nothing is claimed to be saved which may not have been:
6. An entry can be read `READABLE_AFTER_S` after the request that wrote it arrived, or once that is
   answered, as if Claude had begun to answer by then; whether a local model had does not matter.
7. An entry counts as used until the answer has ended. A local answer may take longer than Claude's,
   and what an agent does after it would have been done so much earlier.

Nothing of a prompt is in here: a digest, a length and two times for each entry.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FIVE_MINUTES_S: Final = 300
ONE_HOUR_S: Final = 3600
MOST_BREAKPOINTS: Final = 4
LOOKBACK_POSITIONS: Final = 20
READABLE_AFTER_S: Final = 2.0
MOST_ENTRIES: Final = 20_000
"""Of all models together; about 6 MB, and most requests add one."""


class Block(NamedTuple):
    """One block of a prompt: a tool, or a content block."""

    digest: bytes
    """Of the prompt from its beginning to this block's end."""
    end_tokens: int
    """Tokens from the prompt's beginning to this block's end."""
    continues_run: bool = False
    """It and the block before it are both tool calls, or both tool results."""


class Breakpoint(NamedTuple):
    """A block that `cache_control` marks."""

    block: int
    """Its place among the blocks, from 0."""
    ttl_s: int


@dataclass(frozen=True, slots=True)
class CacheLayout:
    """A prompt as the cache sees it."""

    total_tokens: int
    """Estimated; only their proportions count."""
    blocks: Sequence[Block] = ()
    """Up to the last breakpoint."""
    breakpoints: Sequence[Breakpoint] = ()
    """In order, `MOST_BREAKPOINTS` at most."""
    left_out_tokens: int = 0
    """What a local model reads besides the total, and Claude would not have read."""


@dataclass(frozen=True, slots=True)
class CacheSplit:
    """How a prompt is charged: where each part ends, in tokens from the prompt's beginning.

    Read to `read`, then written for an hour, then written for 5 minutes, then neither.
    """

    read: int = 0
    one_hour: int = 0
    """At least `read`."""
    five_minutes: int = 0
    """At least `one_hour`."""


@dataclass(frozen=True, slots=True)
class CacheUse:
    """What a prompt would have read and written."""

    total_tokens: int
    left_out_tokens: int
    best: CacheSplit
    """Every entry that it begins with was still there, however old, short or far away."""
    simulated: CacheSplit
    worst: CacheSplit
    """No entry was there."""
    keys: Sequence[_Key] = ()
    """The entries it used."""


@dataclass(frozen=True, slots=True)
class _Entry:
    readable_s: float
    used_s: float
    ttl_s: int

    def is_alive(self, now_s: float) -> bool:
        return self.readable_s <= now_s < self.used_s + self.ttl_s


_Key = tuple[str, bytes]
"""Model and digest."""


class PromptCache:
    """The entries of all models, within a bound; the longest unused go first."""

    def __init__(self, most_entries: int = MOST_ENTRIES) -> None:
        """Begin with none."""
        self._most_entries = most_entries
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()

    def __len__(self) -> int:
        """Return how many entries are kept, expired ones included."""
        return len(self._entries)

    def look(
        self, model: str, layout: CacheLayout, *, now_s: float, least_tokens: int = 0
    ) -> CacheUse:
        """Return what a prompt reads and writes, and remember what it writes.

        Args:
            model: Whose cache it is.
            layout: The prompt.
            now_s: When its request arrived; any clock that does not go back.
            least_tokens: The model's least length, in the layout's tokens.
        """
        blocks = layout.blocks
        kept = [
            each for each in layout.breakpoints if blocks[each.block].end_tokens >= least_tokens
        ]
        hit = self._hit(model, layout, kept, now_s)
        shared = self._longest_known(model, layout)
        keys = [(model, blocks[each.block].digest) for each in kept]
        for key, each in zip(keys, kept, strict=True):
            self._write(key, each.ttl_s, now_s)
        if hit is not None:
            keys.append((model, hit.digest))
            self._use(keys[-1], now_s)
        while len(self._entries) > self._most_entries:
            self._entries.popitem(last=False)
        return CacheUse(
            layout.total_tokens,
            layout.left_out_tokens,
            best=_split(layout, layout.breakpoints, shared),
            simulated=_split(layout, kept, hit),
            worst=_split(layout, layout.breakpoints, None),
            keys=keys,
        )

    def ended(self, use: CacheUse, now_s: float) -> None:
        """Take note that an answer has ended (rules 6 and 7)."""
        for key in use.keys:
            known = self._entries.get(key)
            if known is not None and known.readable_s > now_s:
                self._entries[key] = replace(known, readable_s=now_s)
            self._use(key, now_s)

    def _hit(
        self, model: str, layout: CacheLayout, kept: Sequence[Breakpoint], now_s: float
    ) -> Block | None:
        """Return where the entry ends that is read, or None (rule 2)."""
        for each in reversed(kept):
            for block in _looked_at(layout.blocks, each.block):
                entry = self._entries.get((model, block.digest))
                if entry is not None and entry.is_alive(now_s):
                    return block
        return None

    def _longest_known(self, model: str, layout: CacheLayout) -> Block | None:
        """Return where the longest entry ends that was ever written, as far as is known."""
        ends = (
            block for block in reversed(layout.blocks) if (model, block.digest) in self._entries
        )
        return next(ends, None)

    def _write(self, key: _Key, ttl_s: int, now_s: float) -> None:
        known = self._entries.get(key)
        if known is None or known.used_s + known.ttl_s <= now_s:
            self._entries[key] = _Entry(now_s + READABLE_AFTER_S, now_s, ttl_s)
        elif known.ttl_s < ttl_s:
            self._entries[key] = replace(known, ttl_s=ttl_s)
        self._use(key, now_s)

    def _use(self, key: _Key, now_s: float) -> None:
        known = self._entries.get(key)
        if known is None:
            return
        if known.used_s < now_s:
            self._entries[key] = replace(known, used_s=now_s)
        self._entries.move_to_end(key)


def _looked_at(blocks: Sequence[Block], index: int) -> Iterator[Block]:
    """Yield the blocks at which an entry is looked for, from a breakpoint's backwards."""
    positions = 1
    while True:
        yield blocks[index]
        positions += not blocks[index].continues_run
        index -= 1
        if index < 0 or positions > LOOKBACK_POSITIONS:
            return


def _split(layout: CacheLayout, breakpoints: Sequence[Breakpoint], hit: Block | None) -> CacheSplit:
    read = hit.end_tokens if hit is not None else 0
    ends = [(layout.blocks[each.block].end_tokens, each.ttl_s) for each in breakpoints]
    one_hour = max((end for end, ttl_s in ends if ttl_s == ONE_HOUR_S), default=0)
    last = max((end for end, _ in ends), default=0)
    return CacheSplit(read, max(read, one_hour), max(read, one_hour, last))
