"""Handing what happened to everyone who wants to hear of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ccproxy.outcome import Outcome
    from ccproxy.ports import OutcomeSink

_log = logging.getLogger(__name__)

Told = ParamSpec("Told")


@dataclass(frozen=True, slots=True)
class Sinks:
    """Hands each outcome to several sinks."""

    sinks: Sequence[OutcomeSink]

    def record(self, outcome: Outcome) -> None:
        """Hand it on."""
        for sink in self.sinks:
            try:
                sink.record(outcome)
            except Exception:  # noqa: BLE001 - told, with its traceback
                # One that has a bug must not keep the others from it, nor cost the request.
                _log.exception(
                    "%s failed", type(sink).__name__, extra={"request_id": outcome.request_id}
                )


def to_each(*consumers: Callable[Told, object]) -> Callable[Told, None]:
    """Return what tells each consumer, in order; one that raises keeps the later ones from it."""

    def tell(*args: Told.args, **named: Told.kwargs) -> None:
        for consumer in consumers:
            consumer(*args, **named)

    return tell
