"""What the deployments' own token counts have taught, and who hears of it.

One object of this lives as long as the proxy. Preflight, `message_start`, count_tokens and the
room that routing sees at a candidate all ask it (routing through a snapshot that may be a second
old), so that all agree about one deployment. What is asked before a deployment is chosen, such as
`min_input_tokens` of a rule, takes the plain estimate.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Final

from ccproxy.outcome import LearnedRatio
from ccproxy.wire.notes import note
from routing.calibration import UNKNOWN_RATIO, is_truncated, learned, restored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ccproxy.wire.estimate import PromptEstimate
    from routing.calibration import TokenRatio

SAVED_STEP: Final = 0.01
"""A ratio is saved when it has moved so far since it was last saved, and at its first sample."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a model's count says of one answer."""

    truncated: bool = False
    """The model did not read the whole prompt."""
    notes: tuple[str, ...] = ()
    """For `x-ccproxy-notes`, the log and the metrics; empty if all is well."""


_ALL_WELL: Final = Verdict()


def _forget(_saved: LearnedRatio) -> None:
    """Save nowhere."""


def _ignore(_deployment: str) -> None:
    """Count nowhere."""


class TokenRatios:
    """The ratio of each deployment; used on the event loop alone."""

    def __init__(
        self,
        models: Mapping[str, str],
        *,
        save: Callable[[LearnedRatio], None] = _forget,
        on_truncation: Callable[[str], None] = _ignore,
        now: Callable[[], float] = time,
    ) -> None:
        """Begin with nothing learned.

        Args:
            models: The model of each translated deployment, by deployment name. What was learned
                of another model under the same name does not count; a model that is pulled anew
                keeps its ratio, which then adapts.
            save: Called with what should outlive the process; must not block.
            on_truncation: Called with the deployment's name when a prompt was cut.
            now: Unix time, seconds.
        """
        self._models = dict(models)
        self._save = save
        self._on_truncation = on_truncation
        self._now = now
        self._known: dict[str, TokenRatio] = {}
        self._saved: dict[str, float] = {}

    def calibrated(self, deployment: str, estimated_tokens: int) -> int:
        """Return the tokens of a prompt as this deployment will count them; at least 1."""
        return self._known.get(deployment, UNKNOWN_RATIO).tokens(estimated_tokens)

    def learn(
        self,
        deployment: str,
        estimate: PromptEstimate,
        counted_tokens: int | None,
        *,
        request_id: str,
    ) -> Verdict:
        """Learn from an answer, and raise the alarm if its prompt was cut.

        Args:
            deployment: Who answered.
            estimate: Of the prompt that was sent, not calibrated.
            counted_tokens: The model's own count; None or 0 where it gave none.
            request_id: For the log.
        """
        if not counted_tokens or counted_tokens < 0:
            return _ALL_WELL
        known = self._known.get(deployment, UNKNOWN_RATIO)
        exact = not estimate.image_tokens
        if is_truncated(known, estimate.tokens, counted_tokens, exact=exact):
            return self._alarm(
                deployment, known.tokens(estimate.tokens), counted_tokens, request_id
            )
        better = learned(known, estimate.tokens, counted_tokens, exact=exact)
        if better is not known:
            self._known[deployment] = better
            self._save_if_moved(deployment, better)
        return _ALL_WELL

    def snapshot(self) -> dict[str, TokenRatio]:
        """Return what is known now, by deployment; those without a count are left out."""
        return dict(self._known)

    def restore(self, rows: Iterable[LearnedRatio]) -> None:
        """Take over what an earlier process learned, but for what is known better by now."""
        for row in rows:
            if self._models.get(row.deployment) != row.model:
                continue
            earlier = restored(row.ratio, row.samples)
            known = self._known.get(row.deployment, UNKNOWN_RATIO)
            if earlier.samples > known.samples:
                self._known[row.deployment] = earlier
                self._saved[row.deployment] = earlier.ratio

    def _save_if_moved(self, deployment: str, known: TokenRatio) -> None:
        model = self._models.get(deployment)
        saved = self._saved.get(deployment)
        if model is None or (saved is not None and abs(known.ratio - saved) < SAVED_STEP):
            return
        self._saved[deployment] = known.ratio
        self._save(
            LearnedRatio(deployment, model, known.ratio, known.samples, updated_at_s=self._now())
        )

    def _alarm(self, deployment: str, expected: int, counted: int, request_id: str) -> Verdict:
        self._on_truncation(deployment)
        _log.warning(
            "%s read %d tokens of a prompt of about %d: it was cut on the way. Is the model loaded "
            "with a smaller context than num_ctx (`ollama ps`)? Ollama 0.30 without its "
            "corrections counts so low as well when most of a prompt is in its cache.",
            deployment,
            counted,
            expected,
            extra={"request_id": request_id},
        )
        return Verdict(truncated=True, notes=(note("truncation_seen", f"{counted}:{expected}"),))
