"""What the ledger tells of earlier requests."""

import pytest

from ccproxy.ledger.database import open_database
from ccproxy.ledger.history import MOST, LedgerHistory
from ccproxy.outcome import LearnedRatio
from ccproxy.ports import HistoryUnknownError
from ccproxy.rows import Dimensions, RequestRow, Spent
from routing.forecast import PastAnswer
from routing.pricing import TokenCounts


def row(number, *, agent="debugger", output_tokens=10, deployment="coder", **changes):
    said = {
        "endpoint": "messages",
        "request_class": "turn",
        **changes.pop("dimensions", {}),
    }
    fields = {
        "request_id": f"req_{number}",
        "at_ms": 1_000 * number,
        "dimensions": Dimensions(agent=agent, deployment=deployment, **said),
        "status": 200,
        "ending": "completed",
        "failure": "",
        "stream": True,
        "table_version": "v",
        "ttft_s": 0.5,
        "spent": Spent(TokenCounts(100, output_tokens, 20, 3, 4), total_s=2.5),
        "wasted_microusd": 0,
    }
    return RequestRow(**(fields | changes))


@pytest.fixture
def history(tmp_path):
    """A ledger with requests that count and requests that do not."""
    url = f"sqlite:///{tmp_path / 'a ledger?.db'}"
    database = open_database(url)
    database.write(
        [
            *(row(number, output_tokens=number) for number in range(1, 6)),
            row(6, agent="architect", output_tokens=77, deployment="cloud"),
            row(7, output_tokens=88, stream=False),
            row(8, output_tokens=900, status=529),
            row(9, output_tokens=901, ending="broken"),
            row(10, output_tokens=902, dimensions={"endpoint": "count_tokens"}),
            row(11, output_tokens=99, dimensions={"request_class": "title"}),
            row(12, output_tokens=0),
            LearnedRatio("coder", "qwen", 1.25, 30, 1.0),
        ]
    )
    database.close()
    return LedgerHistory(url)


def test_answers_of_an_agent_and_class_are_told_newest_first(history):
    """Only answers that came to their end count, with tokens; of other agents and classes none."""
    assert [88, 5, 4, 3, 2, 1] == history.output_tokens("debugger", "turn")
    assert [99] == history.output_tokens("debugger", "title")
    assert [] == history.output_tokens("nobody", "turn")


def test_times_are_those_of_streams(history):
    """The first byte of an answer that is not streamed is its last; the whole prompt counts."""
    assert [PastAnswer(127, 77, 0.5, 2.5)] == history.answers("cloud")
    assert 88 not in {answer.output_tokens for answer in history.answers("coder")}


def test_shapes_are_prompt_and_answer(history):
    """Of every agent, or of one."""
    assert [(127, 77)] == history.shapes("architect")
    assert (127, 99) == history.shapes()[0]


def test_learned_ratios_are_told(history):
    """As they were saved."""
    assert [LearnedRatio("coder", "qwen", 1.25, 30, 1.0)] == history.learned_ratios()


def test_only_so_many_are_told(tmp_path):
    """The newest; a ledger may have millions."""
    url = f"sqlite:///{tmp_path / 'l.db'}"
    database = open_database(url)
    database.write([row(number, output_tokens=number) for number in range(1, MOST + 11)])
    database.close()
    told = LedgerHistory(url).output_tokens("debugger", "turn")

    assert MOST == len(told)
    assert MOST + 10 == told[0]


def test_a_ledger_that_is_not_there_is_not_made(tmp_path):
    """Asking creates no file; the reason is told."""
    with pytest.raises(HistoryUnknownError, match="there is no ledger at"):
        LedgerHistory(f"sqlite:///{tmp_path / 'none.db'}").shapes()
    assert [] == list(tmp_path.iterdir())
