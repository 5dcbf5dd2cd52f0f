"""What is known of how the deployments answered."""

from collections import Counter

from ccproxy.pipeline.paces import Paces
from ccproxy.pipeline.prefix_watch import Seen
from ccproxy.ports import ModelDone


def test_who_answered_lately_is_known_at_once():
    """A model that has just answered is loaded, whatever the last look at Ollama said."""
    paces = Paces()

    assert not paces.answered_within("q", 60)
    paces.learn("q", Seen(10), ModelDone("stop"), Counter(), request_id="req_1")

    assert paces.answered_within("q", 60)
    assert not paces.answered_within("q", -1)
    assert not paces.answered_within("other", 60)
