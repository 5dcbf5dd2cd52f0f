"""The price file: dated prices of models, in dollars per million tokens.

It is `pricing.yaml` beside `ccproxy.yaml`. A model that is not in it has no price, which reports
say; it never counts as free.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from ccproxy.config.problems import ConfigError
from ccproxy.config.yaml_marks import read_marked
from routing.nearest import did_you_mean
from routing.pricing import NO_PRICES, Price, PriceList, Rates

if TYPE_CHECKING:
    from pathlib import Path

    from ccproxy.config.problems import ConfigProblem, KeyPath
    from ccproxy.config.settings import Settings
    from ccproxy.config.yaml_marks import MarkedDocument

FILE_NAME: Final = "pricing.yaml"
MICROUSD_PER_USD: Final = 1_000_000
RATE_KEYS: Final = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")
LONG_KEY: Final = "long"
ABOVE_KEY: Final = "above_input_tokens"
ROOT_KEYS: Final = ("version", "as_of", "source", "models")


def pricing_file(settings: Settings) -> Path:
    """Return where the prices of an installation are."""
    return settings.path.with_name(FILE_NAME)


def load_pricing(path: Path) -> PriceList:
    """Return the prices in a file.

    Raises:
        ConfigError: It cannot be read or used; every problem is listed.
    """
    return _Reader(read_marked(path)).read()


def prices_in(path: Path | None) -> PriceList:
    """Return the prices in a file, none where there is no file.

    Raises:
        ConfigError: It is there and cannot be used.
    """
    return NO_PRICES if path is None or not path.exists() else load_pricing(path)


class _Reader:
    """Reads one document and collects what is wrong with it."""

    def __init__(self, document: MarkedDocument) -> None:
        """Nothing is read yet."""
        self._document = document
        self._problems: list[ConfigProblem] = []

    def read(self) -> PriceList:
        """Return the prices, or raise `ConfigError` with every problem."""
        root = self._map(self._document.value, (), ROOT_KEYS)
        if root.get("version") != 1:
            self._refuse(("version",), "must be 1")
        as_of = root.get("as_of")
        if type(as_of) is not date:
            self._refuse(("as_of",), "must be the day of the prices, e.g. 2026-11-21")
        models = self._map(root.get("models"), ("models",), None)
        prices = {name: self._price(raw, ("models", name)) for name, raw in models.items()}
        if self._problems:
            self._problems.sort(key=lambda problem: (problem.line, problem.column))
            raise ConfigError(self._problems)
        return PriceList(str(as_of), prices)

    def _price(self, raw: object, path: KeyPath) -> Price:
        entries = self._map(raw, path, (*RATE_KEYS, LONG_KEY))
        rates = self._rates(entries, path)
        if LONG_KEY not in entries:
            return Price(rates)
        inside = (*path, LONG_KEY)
        long = self._map(entries[LONG_KEY], inside, (*RATE_KEYS, ABOVE_KEY))
        above = long.get(ABOVE_KEY)
        if type(above) is not int or above <= 0:
            self._refuse((*inside, ABOVE_KEY), "must be a whole number of tokens above 0")
            above = 1
        return Price(rates, above, self._rates(long, inside))

    def _rates(self, entries: dict[str, object], path: KeyPath) -> Rates:
        return Rates(*(self._rate(entries.get(key), (*path, key)) for key in RATE_KEYS))

    def _rate(self, raw: object, path: KeyPath) -> int:
        """Return microdollars per million tokens, exactly as the file says."""
        if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 <= raw < 1e6:
            self._refuse(path, "must be a price in dollars per million tokens, from 0")
            return 0
        # A float's shortest text is what was written in the file; binary fractions would drift.
        amount = Decimal(repr(raw)) * MICROUSD_PER_USD
        if amount != int(amount):
            self._refuse(path, "is finer than a microdollar per million tokens")
        return int(amount)

    def _map(self, raw: object, path: KeyPath, known: tuple[str, ...] | None) -> dict[str, object]:
        if not isinstance(raw, dict):
            self._refuse(path, "must be a map of `key: value`")
            return {}
        for key in raw:
            if known is not None and key not in known:
                hint = did_you_mean(str(key), known)
                self._refuse((*path, str(key)), f"unknown key {key!r}.{hint}")
            elif not isinstance(key, str):
                self._refuse((*path, str(key)), "must be a model's id; quote it")
        return raw

    def _refuse(self, path: KeyPath, message: str) -> None:
        self._problems.append(self._document.problem(path, message))
