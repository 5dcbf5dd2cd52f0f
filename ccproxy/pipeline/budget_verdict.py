"""What becomes of a plan, and what is said of it, when budgets have been asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ccproxy.pipeline.budget_words import told
from ccproxy.wire.notes import note
from routing.types import Privacy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from routing.budgets import Verdict
    from routing.types import Plan, TraceEntry

_CANDIDATE: Final = "candidate"
"""The kind of a step in a trace that is about a deployment."""


def narrowed(plan: Plan, verdict: Verdict) -> Plan:
    """Return what is left of a plan; its trace says which deployments a budget took out.

    What waits for an attempt to fail first may be tried at once where nothing else is left: the
    budget stands for the failure.

    Args:
        plan: As it was made.
        verdict: About it, no refusal.
    """
    if not verdict.skipped and verdict.local_only is None:
        return plan
    kept = verdict.kept
    only_after = {name: waits for name, waits in plan.only_after.items() if name in kept}
    if len(only_after) == len(kept):
        only_after = {}
    reasons = {name: told(reached) for name, reached in verdict.skipped.items()}
    return replace(
        plan,
        attempts=kept,
        privacy=plan.privacy if verdict.local_only is None else Privacy.LOCAL_ONLY,
        tell=lambda: tuple(_with_reasons(plan, reasons)),
        only_after=only_after,
        asks={name: model for name, model in plan.asks.items() if name in kept},
        late=tuple(name for name in plan.late if name in kept),
    )


def notes_of(verdict: Verdict) -> Iterator[str]:
    """Yield what the outcome says of budgets that were reached."""
    if verdict.refused is not None:
        yield note("budget_refused", verdict.refused.budget.name)
        return
    for name in dict.fromkeys(each.budget.name for each in verdict.warned):
        yield note("budget_reached", name)
    if verdict.local_only is not None:
        yield note("budget_local_only", verdict.local_only.budget.name)
    others = [each for each in verdict.skipped.values() if each is not verdict.local_only]
    for name in dict.fromkeys(each.budget.name for each in others):
        yield note("budget_skipped", name)


def _with_reasons(plan: Plan, reasons: Mapping[str, str]) -> Iterator[TraceEntry]:
    for step in plan.trace:
        if step.kind == _CANDIDATE and step.kept and step.name in reasons:
            yield step._replace(kept=False, reason=reasons[step.name])
        else:
            yield step
