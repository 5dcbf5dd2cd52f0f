"""What a request would come to on each route before it is sent: tokens, money, time.

`POST /admin/estimate` and `ccproxy estimate` ask in the words of `explain`. The routes are those of
the very decision that explain tells, so what is estimated is what would be done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ccproxy.ports import HistoryUnknownError
from routing.errors import UnknownAgent
from routing.forecast import answer_length, asked_model, confidence, cost, times
from routing.pace import IDLE, UNKNOWN_PACE, predicted_wait
from routing.pricing import FREE
from routing.types import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ccproxy.pipeline.explainer import Considered, Explainer
    from ccproxy.ports import History
    from routing.forecast import AnswerLength, Cost, PastAnswer, Spread, Times

_CANDIDATE: Final = "candidate"
"""The kind of a step in a trace that is about a deployment."""


class Estimator:
    """Answers what requests would come to."""

    def __init__(self, explainer: Explainer, history: Callable[[], History]) -> None:
        """`history` is asked for each question, in the thread that asks it."""
        self._explainer = explainer
        self._history = history

    def estimate(self, document: Mapping[str, Any]) -> dict[str, object]:
        """Return the estimate, JSON-ready.

        Always has `agent`, `request_class`, `requested_model`, `table_version`, `prices_as_of` (a
        day, or empty), `input_tokens` (not calibrated), `output_tokens` (`low`, `expected`, `high`,
        `at_most`, `from`: `history` or `max_tokens`, and `requests`, the number of earlier ones it
        rests on), `history` (null, or why there is none) and `routes`. A request that would be
        refused has `refused`, as of explain.

        A route has `deployment`, `side`, `position` (from 1 in the order of attempts; null where
        it would not be tried, and then `skipped` says why), `model`, `input_tokens` (calibrated),
        `cost_microusd` (`low`, `expected`, `high`, `at_most`; null where `price_unknown` says
        why), `ttft_s` and `total_s` (`low`, `expected`, `high`; null where nothing is known),
        `time_from` (`pace`, `history` or null), `requests` (earlier answers it rests on) and
        `confidence` (`none`, `low`, `fair`, `good`: of the shorter of both histories).

        Args:
            document: A question, as of `Explainer.explain`.

        Raises:
            ApiError: 400; the question cannot be understood.
        """
        considered = self._explainer.consider(document)
        told, state = considered.told, considered.state
        past = _Past(self._history)
        max_tokens = _max_tokens(considered)
        agent, request_class = str(told["agent"]), str(told["request_class"])
        length = answer_length(past.output_tokens(agent, request_class), max_tokens)
        return {
            "agent": agent,
            "request_class": request_class,
            "requested_model": told["requested_model"],
            "table_version": told["table_version"],
            "prices_as_of": state.table.prices.as_of,
            "input_tokens": _input_tokens(told),
            "output_tokens": {
                **_told_spread(length.tokens, 0),
                "at_most": max_tokens,
                "from": "history" if length.is_known else "max_tokens",
                "requests": length.past,
            },
            "routes": [
                _Route(considered, length, max_tokens, name, position, skipped).told(past)
                for name, position, skipped in _routes(told)
            ],
            "history": past.trouble,
            "refused": told["refused"],
        }


class _Past:
    """Earlier requests, or none of them and the reason."""

    def __init__(self, history: Callable[[], History]) -> None:
        """Ask nothing yet."""
        self._open = history
        self.trouble: str | None = None

    def output_tokens(self, agent: str, request_class: str) -> Sequence[int]:
        try:
            return self._open().output_tokens(agent, request_class)
        except HistoryUnknownError as error:
            self.trouble = str(error)
            return ()

    def answers(self, deployment: str) -> Sequence[PastAnswer]:
        if self.trouble is not None:
            return ()
        try:
            return self._open().answers(deployment)
        except HistoryUnknownError as error:
            self.trouble = str(error)
            return ()


class _Route:
    """One deployment that would serve a request, or that was looked at for it."""

    def __init__(
        self,
        considered: Considered,
        length: AnswerLength,
        max_tokens: int,
        name: str,
        position: int | None,
        skipped: str | None,
    ) -> None:
        """See `Estimator.estimate`."""
        self._considered = considered
        self._length = length
        self._max_tokens = max_tokens
        self._position = position
        self._skipped = skipped
        self._deployment = considered.state.table.deployments[name]

    def told(self, past: _Past) -> dict[str, object]:
        """Return it, JSON-ready."""
        deployment = self._deployment
        plain_tokens = _input_tokens(self._considered.told)
        prompt_tokens = self._considered.fleet.prompt_tokens(deployment.name, plain_tokens)
        found = self._times(past, prompt_tokens)
        model = self._model()
        priced = self._cost(model, prompt_tokens)
        return {
            "deployment": deployment.name,
            "side": deployment.side.value,
            "position": self._position,
            "skipped": self._skipped,
            "model": model,
            "input_tokens": prompt_tokens,
            "cost_microusd": None if priced is None else _told_cost(priced),
            "price_unknown": None if priced is not None else f"{model or 'it'} has no price",
            "ttft_s": None if found.ttft_s is None else _told_spread(found.ttft_s, 3),
            "total_s": None if found.total_s is None else _told_spread(found.total_s, 3),
            "time_from": None if found.ttft_s is None else "pace" if found.paced else "history",
            "requests": found.past,
            "confidence": confidence(min(found.past, self._length.past)),
        }

    def _times(self, past: _Past, prompt_tokens: int) -> Times:
        name, fleet = self._deployment.name, self._considered.fleet
        wait = predicted_wait(
            fleet.paces.get(name, UNKNOWN_PACE), fleet.occupancy.get(name, IDLE), prompt_tokens
        )
        return times(past.answers(name), prompt_tokens, self._length, wait)

    def _model(self) -> str:
        told, state = self._considered.told, self._considered.state
        attempts: Any = told["attempts"]
        asks = {attempt["deployment"]: attempt["asks"] for attempt in attempts}
        requested = str(told["requested_model"])
        try:
            return asked_model(
                self._deployment,
                requested,
                asks.get(self._deployment.name),
                state.roster,
                state.table.deployments,
            )
        except UnknownAgent:
            return requested

    def _cost(self, model: str, prompt_tokens: int) -> Cost | None:
        prices = self._considered.state.table.prices
        price = FREE if self._deployment.side is Side.LOCAL else prices.find(model)
        if price is None:
            return None
        marks = _has_cache_marks(self._considered.question.body)
        return cost(prompt_tokens, self._length, self._max_tokens, price, cache_marks=marks)


def _routes(told: Mapping[str, Any]) -> list[tuple[str, int | None, str | None]]:
    """Return name, position and why it was skipped: attempts first, then other candidates."""
    attempts = {each["deployment"]: each["position"] for each in told["attempts"]}
    skipped = {
        step["name"]: step["reason"]
        for step in told["trace"]
        if step["kind"] == _CANDIDATE and not step["kept"] and step["name"] not in attempts
    }
    return [
        *((name, position, None) for name, position in attempts.items()),
        *((name, None, reason) for name, reason in skipped.items()),
    ]


def _input_tokens(told: Mapping[str, Any]) -> int:
    return int(told["facts"]["input_tokens"])


def _max_tokens(considered: Considered) -> int:
    most = considered.question.body.get("max_tokens")
    return most if isinstance(most, int) and most > 0 else 0


def _has_cache_marks(body: Mapping[str, Any]) -> bool:
    """Return whether there is a `cache_control` anywhere; a body may be deeper than Python goes."""
    stack: list[Any] = [body]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if item.get("cache_control"):
                return True
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return False


def _told_spread(found: Spread, digits: int) -> dict[str, float]:
    def shown(value: float) -> float:
        return round(value, digits) if digits else round(value)

    return {
        "low": shown(found.low),
        "expected": shown(found.expected),
        "high": shown(found.high),
    }


def _told_cost(found: Cost) -> dict[str, int]:
    return {
        "low": found.low_microusd,
        "expected": found.expected_microusd,
        "high": found.high_microusd,
        "at_most": found.at_most_microusd,
    }
