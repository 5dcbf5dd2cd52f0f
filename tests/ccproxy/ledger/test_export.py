"""Single rows, however many, in batches."""

from dataclasses import replace

from ccproxy.ledger.export import exported
from ccproxy.ledger.reading import reading
from ccproxy.ledger.reports import By, Scope
from ccproxy.rows import AttemptRow, Dimensions, RequestRow, Spent

QWEN = Dimensions("messages", agent="coder", deployment="qwen", route="local")


def row(number, at_ms, dimensions=QWEN):
    return RequestRow(
        f"req_{number}",
        at_ms,
        dimensions,
        200,
        "completed",
        "",
        stream=True,
        table_version="v",
        ttft_s=1.0,
        spent=Spent(cost_microusd=None),
        wasted_microusd=0,
        attempts=(AttemptRow(dimensions, 0, "ok", 0.0, Spent()),) * 2,
    )


def test_batches_lose_and_repeat_nothing(opened, url):
    """Oldest first, also where many came in one millisecond; the end is excluded, limits hold."""
    rows = [row(number, 1000 + number // 4) for number in range(10)]
    rows.append(row("late", 2000))
    rows.append(row("other", 1000, replace(QWEN, agent="x")))
    opened().write(rows)
    expected = [f"req_{number}" for number in range(10)]
    scope = Scope(1000, 2000, {By.AGENT: "coder"}, None)

    with reading(url) as connection:
        for batch_rows in (1, 2, 3, 10, 100):
            found = list(exported(connection, scope, batch_rows=batch_rows))
            assert [each["request_id"] for each in found] == expected
        attempts = list(exported(connection, scope, of_attempts=True, batch_rows=3))
    assert [each["request_id"] for each in attempts] == [name for name in expected for _ in "ab"]
    assert (found[0]["cost_microusd"], found[0]["agent"]) == (None, "coder")
    assert {type(name) for name in found[0]} == {str}
