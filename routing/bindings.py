"""Which agent a client's agent turned out to be, remembered for its later turns.

Claude Code gives every agent it spawns a random id and sends it with each of the agent's requests
(`x-claude-code-agent-id`, 2.1.329). Once one request told who that is, the id tells it for those
that carry no signal of their own.

Rules:
1. A binding belongs to one principal: no other's requests ever find, make or change it.
2. Path, token, header, model and prompt bind. A binding does not bind itself, and a type is no
   evidence of its own.
3. A signal at least as trusted as the one that bound binds anew; a weaker one changes nothing.
4. A binding ends `ttl_s` after the last request that made or used it. At most `limit` are kept;
   the one unused for longest goes first.

One owner calls this from one task. It is changed in place, because a copy for every request would
cost more than the decision; given the same calls it always gives the same answers.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from routing.types import AgentSource

if TYPE_CHECKING:
    from routing.types import AgentMatch

DEFAULT_LIMIT: Final = 10_000
"""About 4 MB."""
DEFAULT_TTL_S: Final = 6 * 3600.0
"""An agent that said nothing for a working day's better half will not go on."""
MAX_ID_CHARS: Final = 200
"""Longer ids are no client's; they are not kept, so that memory stays bounded."""

_BINDING_SOURCES: Final = (
    AgentSource.PATH,
    AgentSource.TOKEN,
    AgentSource.HEADER,
    AgentSource.MODEL,
    AgentSource.PROMPT,
)
"""Most trusted first."""


@dataclass(frozen=True, slots=True)
class BindingKey:
    """One agent of one session of one principal's client."""

    principal: str
    session_id: str
    """`x-claude-code-session-id`; empty if the client sends none."""
    agent_id: str
    """`x-claude-code-agent-id`."""


def binding_key(principal: str, session_id: str | None, agent_id: str | None) -> BindingKey | None:
    """Return the key of a request; None where it has no agent id, or an id that is too long.

    A session's main thread has no agent id and is never bound: its session id also stands on the
    requests of all agents it spawns.
    """
    session_id = session_id or ""
    if not agent_id or max(len(agent_id), len(session_id)) > MAX_ID_CHARS:
        return None
    return BindingKey(principal, session_id, agent_id)


@dataclass(frozen=True, slots=True)
class _Binding:
    slug: str
    source: AgentSource
    ends_at: float


class Bindings:
    """The bindings in force. `now` is monotonic seconds and never runs backwards."""

    __slots__ = ("_bound", "_limit", "_ttl_s")

    def __init__(self, *, limit: int = DEFAULT_LIMIT, ttl_s: float = DEFAULT_TTL_S) -> None:
        """Start empty; `limit` is at least 1."""
        self._bound: OrderedDict[BindingKey, _Binding] = OrderedDict()
        self._limit = limit
        self._ttl_s = ttl_s

    def __len__(self) -> int:
        """Return how many are kept, including those that ended and were not asked for since."""
        return len(self._bound)

    def find(self, key: BindingKey | None, now: float) -> str | None:
        """Return the slug that `key` is bound to, and keep the binding alive."""
        if key is None:
            return None
        binding = self._live(key, now)
        if binding is None:
            return None
        self._keep(key, _Binding(binding.slug, binding.source, now + self._ttl_s))
        return binding.slug

    def learn(self, key: BindingKey | None, match: AgentMatch, now: float) -> bool:
        """Take in how a request was identified; return whether its agent id has a new meaning.

        Call it after the request was authorised, or a refused claim would be remembered.
        """
        if key is None or match.slug is None or match.source not in _BINDING_SOURCES:
            return False
        known = self._live(key, now)
        if known is not None and _rank(known.source) < _rank(match.source):
            return False
        self._keep(key, _Binding(match.slug, match.source, now + self._ttl_s))
        return known is None or known.slug != match.slug

    def _live(self, key: BindingKey, now: float) -> _Binding | None:
        binding = self._bound.get(key)
        if binding is not None and binding.ends_at <= now:
            del self._bound[key]
            return None
        return binding

    def _keep(self, key: BindingKey, binding: _Binding) -> None:
        self._bound[key] = binding
        self._bound.move_to_end(key)
        while len(self._bound) > self._limit:
            self._bound.popitem(last=False)


def _rank(source: AgentSource) -> int:
    return _BINDING_SOURCES.index(source)
