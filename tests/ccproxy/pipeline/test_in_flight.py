"""Who is being served at the moment."""

from ccproxy.outcome import Outcome
from ccproxy.pipeline.in_flight import MOST_GROUPS, InFlight


def outcome(name, agent="coder", deployment="qwen", arrived_at=100.0, ttft_s=None):
    found = Outcome(name, "messages", 0.0, arrived_at=arrived_at)
    found.agent, found.deployment, found.route, found.ttft_s = agent, deployment, "local", ttft_s
    return found


def test_requests_are_grouped_by_agent_and_deployment():
    """A group counts its requests and those that answer, and knows the age of its oldest."""
    known = InFlight()
    late = outcome("c", agent="writer", arrived_at=109.0)
    for each in (outcome("a", ttft_s=0.5), outcome("b", arrived_at=105.0), late):
        known.begin(each)
    look = known.look(110.0)

    assert (3, 0) == (look.requests, look.left_out)
    assert [("coder", "qwen", 2, 1, 10.0), ("writer", "qwen", 1, 0, 1.0)] == [
        (g.agent, g.deployment, g.requests, g.answering, g.oldest_s) for g in look.groups
    ]


def test_a_request_that_moves_on_is_shown_where_it_is():
    """A look reads the outcome of the moment: after a fallback the next deployment has it."""
    known = InFlight()
    moving = outcome("a", deployment="")
    known.begin(moving)
    before = known.look(110.0).groups[0].deployment
    moving.deployment = "claude"

    assert ("", "claude") == (before, known.look(110.0).groups[0].deployment)


def test_a_request_that_is_over_is_forgotten():
    """The end takes a request out, once; a second end does no harm."""
    known = InFlight()
    only = outcome("a")
    known.begin(only)
    known.end(only)
    known.end(only)

    assert (0, []) == (known.look(110.0).requests, known.look(110.0).groups)


def test_a_look_is_bounded():
    """Of very many groups those with the oldest requests are shown, and how many are not."""
    known = InFlight()
    for number in range(MOST_GROUPS + 5):
        known.begin(outcome(f"r{number}", agent=f"a{number}", arrived_at=float(number)))
    look = known.look(1000.0)

    assert (MOST_GROUPS, 5, "a0") == (len(look.groups), look.left_out, look.groups[0].agent)
