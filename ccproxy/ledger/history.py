"""What earlier requests were like, for estimates and benchmarks; reads only, and a bounded part.

Of a large ledger the newest `LOOKED_AT` requests are looked at, whoever made them, and of those at
most `MOST` that fit: some tens of milliseconds, whatever the ledger's size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import ColumnElement, Select, func, select

from ccproxy.ledger.ledger import LedgerDownError
from ccproxy.ledger.reading import reading
from ccproxy.ledger.tables import dimensions, requests
from ccproxy.ledger.writers import load_ratios
from ccproxy.outcome import Ending
from ccproxy.ports import HistoryUnknownError
from routing.forecast import PastAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from ccproxy.outcome import LearnedRatio

T = TypeVar("T")

LOOKED_AT: Final = 200_000
MOST: Final = 1_000
MESSAGES: Final = "messages"

_PROMPT: Final[ColumnElement[int]] = (
    requests.c.input_tokens
    + requests.c.cache_write_5m_tokens
    + requests.c.cache_write_1h_tokens
    + requests.c.cache_read_tokens
)


class LedgerHistory:
    """Implements `ports.History`; every question opens and closes a connection."""

    def __init__(self, url: str) -> None:
        """Open nothing yet; `url` is an SQLAlchemy URL."""
        self._url = url

    def output_tokens(self, agent: str, request_class: str) -> Sequence[int]:
        """Return how long answers to an agent's requests of one class were, newest first.

        Raises:
            HistoryUnknownError: The ledger cannot be read.
        """
        question = _newest(requests.c.output_tokens).where(
            dimensions.c.agent == agent, dimensions.c.request_class == request_class
        )
        return [int(row[0]) for row in self._ask(question)]

    def answers(self, deployment: str) -> Sequence[PastAnswer]:
        """Return streamed answers of a deployment, newest first.

        Raises:
            HistoryUnknownError: The ledger cannot be read.
        """
        columns = (_PROMPT, requests.c.output_tokens, requests.c.ttft_s, requests.c.total_s)
        question = _newest(*columns).where(
            dimensions.c.deployment == deployment,
            requests.c.stream.is_(True),
            requests.c.ttft_s.is_not(None),
        )
        return [PastAnswer(*row) for row in self._ask(question)]

    def shapes(self, agent: str | None = None) -> Sequence[tuple[int, int]]:
        """Return prompt and output tokens of requests, newest first, of one agent or of all.

        Raises:
            HistoryUnknownError: The ledger cannot be read.
        """
        question = _newest(_PROMPT, requests.c.output_tokens)
        if agent is not None:
            question = question.where(dimensions.c.agent == agent)
        return [(int(prompt), int(output)) for prompt, output in self._ask(question)]

    def learned_ratios(self) -> Sequence[LearnedRatio]:
        """Return what was learned of the deployments' token counts.

        Raises:
            HistoryUnknownError: The ledger cannot be read.
        """
        return self._read(load_ratios)

    def _ask(self, question: Select[Any]) -> Sequence[Any]:
        return self._read(lambda connection: connection.execute(question).all())

    def _read(self, read: Callable[[Connection], T]) -> T:
        try:
            with reading(self._url) as connection:
                return read(connection)
        except LedgerDownError as error:
            raise HistoryUnknownError(str(error)) from error


def _newest(*columns: ColumnElement[Any]) -> Select[Any]:
    """Return a question about answered requests, newest first."""
    newest = select(func.max(requests.c.id)).scalar_subquery()
    return (
        select(*columns)
        .join(dimensions, dimensions.c.id == requests.c.dimension_id)
        .where(
            requests.c.id > newest - LOOKED_AT,
            requests.c.ending == Ending.COMPLETED,
            requests.c.status == 200,
            requests.c.output_tokens > 0,
            dimensions.c.endpoint == MESSAGES,
        )
        .order_by(requests.c.id.desc())
        .limit(MOST)
    )
