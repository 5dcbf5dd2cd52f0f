"""What a run may cost before it starts, and what it has cost so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx

from ccproxy.wire.estimate import estimate_input_tokens
from routing.forecast import answer_length, cost
from routing.pricing import FREE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccproxy.bench.routes import Route
    from routing.pricing import PriceList

ESTIMATE_PATH: Final = "/admin/estimate"
_NOT_OURS: Final = (404, 405)
_UNKNOWN: Final = 404
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_TIMEOUT_S: Final = 30.0


class CostUnknownError(Exception):
    """It cannot be said what a route costs; the message says why, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What one request, or a whole run, costs in microdollars."""

    expected_microusd: int = 0
    """The first attempt answers, as long as it may."""
    at_most_microusd: int = 0
    """The dearest attempt answers."""

    def __add__(self, other: Bound) -> Bound:
        return Bound(
            self.expected_microusd + other.expected_microusd,
            self.at_most_microusd + other.at_most_microusd,
        )


class Bounds:
    """Says what requests may cost: the proxy is asked, or the price list where there is none."""

    def __init__(self, prices: PriceList) -> None:
        """Take the prices of routes that lead to no proxy of ours."""
        self._prices = prices
        self._no_proxy: set[str] = set()

    async def of(self, route: Route, body: Mapping[str, Any]) -> Bound:
        """Return what one request may cost on a route; it is not sent.

        Raises:
            CostUnknownError: That cannot be said.
        """
        if route.free:
            return Bound()
        if route.base_url not in self._no_proxy:
            told = await self._estimate(route, body)
            if told is not None:
                return _bound(route, told)
            self._no_proxy.add(route.base_url)
        return self._by_price(route, body)

    async def _estimate(self, route: Route, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the proxy's own estimate; None where no proxy of ours answers."""
        question: dict[str, Any] = {**body, "model": route.model}
        if route.agent:
            question["headers"] = {"x-ccproxy-agent": route.agent}
        own_host = urlsplit(route.base_url).hostname in _LOOPBACK
        url = f"{route.base_url}{ESTIMATE_PATH}"
        try:
            async with httpx.AsyncClient(trust_env=not own_host, timeout=_TIMEOUT_S) as client:
                answer = await client.post(url, json=question, headers={"x-api-key": route.token})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise CostUnknownError(f"{route.label}: {url} does not answer: {reason}") from error
        if answer.status_code in _NOT_OURS:
            return None
        if answer.status_code != 200:
            raise CostUnknownError(_refusal(route, answer))
        told: dict[str, Any] = answer.json()
        return told

    def _by_price(self, route: Route, body: Mapping[str, Any]) -> Bound:
        price = self._prices.find(route.model)
        if price is None:
            raise CostUnknownError(
                f"{route.label}: {route.model} has no price in pricing.yaml; add one, or say "
                f"--free '{route.label}' if nobody bills it"
            )
        most = int(body["max_tokens"])
        found = cost(
            estimate_input_tokens(body),
            answer_length((), most),
            most,
            FREE if route.free else price,
            cache_marks="cache_control" in str(body),
        )
        return Bound(found.expected_microusd, found.at_most_microusd)


class Purse:
    """What has been spent. What is under way when the limit is reached may go beyond it."""

    def __init__(self, limit_microusd: int | None) -> None:
        """Begin with nothing spent; None is no limit."""
        self.limit_microusd = limit_microusd
        self.spent_microusd = 0
        self.unknown = 0
        """Answers whose cost is not known; they count with what they may cost at most."""

    @property
    def is_empty(self) -> bool:
        """Whether no further request may be sent."""
        return self.limit_microusd is not None and self.spent_microusd >= self.limit_microusd

    def pay(self, cost_microusd: int | None, at_most_microusd: int) -> None:
        """Take note of what one request cost."""
        if cost_microusd is None:
            self.unknown += bool(at_most_microusd)
            cost_microusd = at_most_microusd
        self.spent_microusd += cost_microusd


def _bound(route: Route, told: Mapping[str, Any]) -> Bound:
    attempts = [each for each in told["routes"] if each["position"] is not None]
    if not attempts:
        refused = told.get("refused") or {}
        if refused.get("status") == _UNKNOWN:
            raise CostUnknownError(f"{route.label}: {refused['message']}")
        return Bound()  # it will be refused, which costs nothing and is counted
    for attempt in attempts:
        if attempt["cost_microusd"] is None:
            raise CostUnknownError(
                f"{route.label}: {attempt['deployment']}: {attempt['price_unknown']}; add one to "
                f"the proxy's pricing.yaml, or say --free '{route.label}' if nobody bills it"
            )
    costs = [attempt["cost_microusd"]["at_most"] for attempt in attempts]
    return Bound(costs[0], max(costs))


def _refusal(route: Route, answer: httpx.Response) -> str:
    why = f"{route.label}: {route.base_url}{ESTIMATE_PATH} answers HTTP {answer.status_code}"
    if answer.status_code == 403:
        return f"{why}; its token needs the scope ops: ccproxy token create NAME --scope ops"
    return f"{why}, so nothing is known of its cost: {answer.text[:200]}"
