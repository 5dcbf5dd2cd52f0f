"""Whether models fit: what they were trained for, and the memory of their machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routing.capabilities import FleetSnapshot
from routing.errors import NoAttempt
from routing.fit import UNSEEN, SeenModel, beyond_training, size_gib, too_big
from routing.identify import UNKNOWN
from routing.plan import build_plan
from routing.table import compile_table
from routing.types import Deployment, RequestFacts, Roster, Side
from tests.support.routing_samples import table_of

LOCAL = Deployment("q", Side.LOCAL, leaves_host=False, num_ctx=65536)
CLAUDE = Deployment("claude", Side.CLAUDE, leaves_host=True, upstream_model="claude-sonnet-5-5")
TOO_LONG = "num_ctx 65536 is above what the model was trained for (32768)"


@pytest.mark.parametrize(
    ("num_ctx", "stated", "seen", "expected"),
    [
        (65536, None, SeenModel(32768), TOO_LONG),
        (65536, 32768, None, TOO_LONG),
        (65536, 32768, SeenModel(262144), TOO_LONG),
        (65536, 131072, SeenModel(32768), None),
        (32768, None, SeenModel(32768), None),
        (65536, None, None, None),
        (65536, None, UNSEEN, None),
        (None, 32768, SeenModel(32768), None),
    ],
)
def test_a_context_is_no_longer_than_the_training(num_ctx, stated, seen, expected) -> None:
    """What the file states counts, then what was seen; the unknown is no objection (197, 233)."""
    deployment = replace(LOCAL, num_ctx=num_ctx, trained_context_tokens=stated)
    assert beyond_training(deployment, seen) == expected


@pytest.mark.parametrize(
    ("stated", "seen", "gib"),
    [
        ((10.0, 64.0), UNSEEN, 14.0),
        ((None, None), SeenModel(None, 10.0, 64.0), 14.0),
        ((8.0, None), SeenModel(None, 10.0, 64.0), 12.0),
        ((10.0, None), UNSEEN, 10.0),
        ((None, 64.0), UNSEEN, None),
    ],
)
def test_size_is_weights_and_cache(stated, seen, gib) -> None:
    """65,536 tokens of 64 KiB are 4 GiB on top of the weights."""
    weights_gib, kv_kib = stated
    deployment = replace(LOCAL, weights_gib=weights_gib, kv_kib_per_token=kv_kib)
    assert size_gib(deployment, seen) == gib


def test_what_does_not_fit_is_told_with_the_arithmetic() -> None:
    """Equal is enough; a byte less is not."""
    deployment = replace(LOCAL, weights_gib=10.0, kv_kib_per_token=64.0)
    assert too_big(deployment, UNSEEN, 14.0) is None
    assert too_big(deployment, UNSEEN, 13.9) == (
        "10 GiB + 64 KiB x 65536 tokens = 14.0 GiB, and its machine has 13.9 GiB for models"
    )


def plan(route: list[str], fleet: FleetSnapshot):
    """Return the plan of a request for anything."""
    deployments = {"q": LOCAL, "claude": CLAUDE}
    mapping = table_of({"default": {"route": route}})
    table = compile_table(mapping, deployments, Roster())[0]
    return build_plan(RequestFacts("anything"), UNKNOWN, table, Roster(), fleet)


def test_a_candidate_beyond_its_training_is_skipped() -> None:
    """The trace says why, and the next candidate serves."""
    found = plan(["q", "claude"], FleetSnapshot(models={"q": SeenModel(32768)}))

    assert found.attempts == ("claude",)
    assert ("candidate", "q", False, TOO_LONG) in found.trace
    assert plan(["q", "claude"], FleetSnapshot()).attempts == ("q", "claude")


def test_without_another_candidate_it_is_no_outage() -> None:
    """Trying again would not help: somebody has to edit the file."""
    with pytest.raises(NoAttempt, match="above what the model was trained for") as caught:
        plan(["q"], FleetSnapshot(models={"q": SeenModel(32768)}))
    assert not caught.value.outage
