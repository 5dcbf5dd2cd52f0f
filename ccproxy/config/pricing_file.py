"""The price file: dated prices of models, in dollars per million tokens.

`fees` are dollars per use of a tool that Anthropic runs; `local` says what an hour of a local model
at work costs, if anything; `tokenizers` say how many tokens Claude counts where a local model
counts one.

It is `pricing.yaml` beside `ccproxy.yaml`. A model that is not in it has no price, which reports
say; it never counts as free.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from ccproxy.config.problems import ConfigError
from ccproxy.config.yaml_marks import read_marked
from routing.nearest import did_you_mean
from routing.pricing import NO_PRICES, PERMILLE, Price, PriceList, Rates, TokenRange

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
MULTIPLIER_KEYS: Final = ("batch", "us", "fast")
CACHE_FROM_KEY: Final = "cache_from_tokens"
TOKENIZER_KEY: Final = "tokenizer"
MODEL_KEYS: Final = (*RATE_KEYS, LONG_KEY, *MULTIPLIER_KEYS, CACHE_FROM_KEY, TOKENIZER_KEY)
LOCAL_KEYS: Final = ("watts", "usd_per_kwh", "usd_per_hour")
RANGE_KEYS: Final = ("low", "expected", "high")
ROOT_KEYS: Final = ("version", "as_of", "source", "models", "fees", "local", "tokenizers")
MOST_MULTIPLIER: Final = 100
FINE: Final = "is finer than a microdollar"
FINE_RATE: Final = f"{FINE} per million tokens"
FINE_TIMES: Final = "is finer than a thousandth"


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
        self._tokenizers: dict[str, TokenRange] = {}

    def read(self) -> PriceList:
        """Return the prices, or raise `ConfigError` with every problem."""
        root = self._map(self._document.value, (), ROOT_KEYS)
        if root.get("version") != 1:
            self._refuse(("version",), "must be 1")
        as_of = root.get("as_of")
        if type(as_of) is not date:
            self._refuse(("as_of",), "must be the day of the prices, e.g. 2026-11-21")
        ranges = self._map(root.get("tokenizers", {}), ("tokenizers",), None)
        self._tokenizers = {
            name: self._range(raw, ("tokenizers", name)) for name, raw in ranges.items()
        }
        fees = self._map(root.get("fees", {}), ("fees",), None)
        fees_microusd = {
            name: self._amount(raw, ("fees", name), "dollars per use", MICROUSD_PER_USD)
            for name, raw in fees.items()
        }
        local = self._local(root["local"]) if "local" in root else None
        models = self._map(root.get("models"), ("models",), None)
        prices = {name: self._price(raw, ("models", name)) for name, raw in models.items()}
        if self._problems:
            self._problems.sort(key=lambda problem: (problem.line, problem.column))
            raise ConfigError(self._problems)
        return PriceList(str(as_of), prices, fees_microusd, local)

    def _price(self, raw: object, path: KeyPath) -> Price:
        entries = self._map(raw, path, MODEL_KEYS)
        price = Price(
            self._rates(entries, path),
            multipliers_permille={
                key: self._multiplier(entries[key], (*path, key))
                for key in MULTIPLIER_KEYS
                if key in entries
            },
            cache_from_tokens=self._tokens(entries.get(CACHE_FROM_KEY, 0), (*path, CACHE_FROM_KEY)),
            token_range=self._tokenizer(entries.get(TOKENIZER_KEY), (*path, TOKENIZER_KEY)),
        )
        if LONG_KEY not in entries:
            return price
        inside = (*path, LONG_KEY)
        long = self._map(entries[LONG_KEY], inside, (*RATE_KEYS, ABOVE_KEY))
        above = long.get(ABOVE_KEY)
        if type(above) is not int or above <= 0:
            self._refuse((*inside, ABOVE_KEY), "must be a whole number of tokens above 0")
            above = 1
        return replace(price, long_above_tokens=above, long_rates=self._rates(long, inside))

    def _tokenizer(self, name: object, path: KeyPath) -> TokenRange | None:
        known = self._tokenizers.get(name) if isinstance(name, str) else None
        if name is not None and known is None:
            hint = did_you_mean(str(name), self._tokenizers)
            self._refuse(path, f"is not one of the `tokenizers` of this file.{hint}")
        return known

    def _tokens(self, raw: object, path: KeyPath) -> int:
        if type(raw) is not int or raw < 0:
            self._refuse(path, "must be a whole number of tokens, from 0")
            return 0
        return raw

    def _range(self, raw: object, path: KeyPath) -> TokenRange:
        entries = self._map(raw, path, RANGE_KEYS)
        before = len(self._problems)
        values = [self._multiplier(entries.get(key), (*path, key)) for key in RANGE_KEYS]
        if len(self._problems) == before and values != sorted(values):
            self._refuse(path, "must be in order: low, expected, high")
        return TokenRange(*values)

    def _multiplier(self, raw: object, path: KeyPath) -> int:
        return self._amount(raw, path, "a number of times", PERMILLE, below=MOST_MULTIPLIER)

    def _local(self, raw: object) -> int:
        """Return what an hour of a local model at work costs, in microdollars."""
        path = ("local",)
        entries = self._map(raw, path, LOCAL_KEYS)
        watts, per_kwh, per_hour = (
            self._amount(entries.get(key, 0), (*path, key), "a number", MICROUSD_PER_USD)
            for key in LOCAL_KEYS
        )
        per_kilo = 1000 * MICROUSD_PER_USD
        return per_hour + (watts * per_kwh + per_kilo // 2) // per_kilo

    def _rates(self, entries: dict[str, object], path: KeyPath) -> Rates:
        return Rates(*(self._rate(entries.get(key), (*path, key)) for key in RATE_KEYS))

    def _rate(self, raw: object, path: KeyPath) -> int:
        """Return microdollars per million tokens, exactly as the file says."""
        return self._amount(
            raw, path, "a price in dollars per million tokens", MICROUSD_PER_USD, fine=FINE_RATE
        )

    def _amount(
        self,
        raw: object,
        path: KeyPath,
        what: str,
        parts: int,
        *,
        below: float = 1e6,
        fine: str = FINE,
    ) -> int:
        """Return a number in whole parts of one, exactly as the file says."""
        if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 <= raw < below:
            self._refuse(path, f"must be {what}, from 0")
            return 0
        # A float's shortest text is what was written in the file; binary fractions would drift.
        amount = Decimal(repr(raw)) * parts
        if amount != int(amount):
            self._refuse(path, fine if parts == MICROUSD_PER_USD else FINE_TIMES)
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
                self._refuse((*path, str(key)), "must be a name; quote it")
        return raw

    def _refuse(self, path: KeyPath, message: str) -> None:
        self._problems.append(self._document.problem(path, message))
