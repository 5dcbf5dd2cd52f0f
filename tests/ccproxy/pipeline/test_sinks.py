"""Everyone who wants to hear of what happened hears of it."""

from ccproxy.outcome import Outcome
from ccproxy.pipeline.sinks import Sinks


def test_a_sink_with_a_bug_keeps_nobody_from_knowing(caplog):
    """The other sinks hear of the request, and the log says which one failed."""
    heard = []

    class Broken:
        def record(self, _outcome):
            raise KeyError("bug")

    class Noted:
        def record(self, outcome):
            heard.append(outcome)

    outcome = Outcome("req_1", "messages", 0.0)
    Sinks([Broken(), Noted()]).record(outcome)

    assert heard == [outcome]
    assert "Broken failed" in caplog.text
