"""Records of decisions: what is in them, what is not, and that they can be made again."""

import dataclasses
from dataclasses import replace

import orjson
import pytest

from ccproxy.observability.decisions import (
    LIST_LIMIT,
    TEXT_LIMIT,
    DecidedOutcome,
    DecidedPlan,
    Decision,
    decision_line,
    describe_facts,
    facts_from_decision,
    from_line,
)
from ccproxy.wire.content_facts import BodyFacts
from routing.content import StatedContent
from routing.types import (
    AgentMatch,
    AgentSource,
    Privacy,
    RequestClass,
    RequestFacts,
    Side,
    SignalConflict,
)
from tests.support.decision_samples import (
    decided,
    sample_decision,
    sample_line,
    sample_outcome,
    sample_table,
    to_line,
)

SAMPLES = {
    "str": "word",
    "str | None": "word",
    "tuple[str, ...]": ("a", "b"),
    "tuple[int, int] | None": (3, 700),
    "RequestClass": RequestClass.TITLE,
    "Privacy": Privacy.LOCAL_ONLY,
    "Mapping[str, str]": {"x-team": "blue"},
    "Mapping[str, int] | None": {"qwen-fast": 1200},
    "ContentFacts | None": StatedContent(5, tool_names=frozenset({"Read", "Bash"})),
    "bool": True,
    "int": 7,
    "int | None": 7,
    "float": 0.5,
}
"""A value that is no default for every type that a field of `RequestFacts` has."""


def full_facts():
    return RequestFacts(
        **{each.name: SAMPLES[each.type] for each in dataclasses.fields(RequestFacts)}
    )


@pytest.mark.parametrize(
    "facts",
    [
        full_facts(),
        RequestFacts("", local_minute=(0, 0)),
        RequestFacts("m", local_minute=(6, 1439), content=StatedContent(9, has_images=True)),
    ],
    ids=["everything", "nothing", "some"],
)
def test_facts_survive_a_file(facts):
    """Every field of the facts comes back from a line of JSON as it was, also fields to come."""
    decision = Decision(
        "req", 1.0, "messages", "t", describe_facts(facts), AgentMatch(None, AgentSource.NONE),
        None, DecidedOutcome(),
    )  # fmt: skip

    assert facts_from_decision(from_line(to_line(decision))) == facts
    assert facts_from_decision(decision) == facts


def test_a_decision_survives_a_file():
    """Match with its conflicts, plan and outcome are read as they were written."""
    facts, outcome = full_facts(), sample_outcome()
    _, plan = decided(RequestFacts("claude-sonnet-4-5", path_agent="coder"), sample_table())
    match = AgentMatch(
        "coder", AgentSource.PROMPT, 0.75, (SignalConflict(AgentSource.HEADER, "clerk"),)
    )

    def read(plan):
        line = decision_line(outcome, facts, match, plan, table_version="t", body_bytes=7)
        return from_line(line)

    assert read(plan) == Decision(
        "req_1", outcome.started_at, "messages", "t", describe_facts(facts), match,
        DecidedPlan(("qwen",), "any", "sonnet"),
        DecidedOutcome(
            200, "completed", "qwen", "local", tuple(outcome.attempts), stream=True,
            input_tokens=1200, output_tokens=34, cache_read_input_tokens=7, ttft_s=0.25, total_s=1.5,
        ),
        body_bytes=7,
    )  # fmt: skip
    assert read(None).plan is None


def test_no_field_of_a_decision_is_forgotten():
    """A line has every field that is read from it, also those to come."""
    line = orjson.loads(sample_line())

    for part, kind in (
        (line, Decision),
        (line["match"], AgentMatch),
        (line["plan"], DecidedPlan),
        (line["outcome"], DecidedOutcome),
    ):
        assert list(part) == [each.name for each in dataclasses.fields(kind)]


def test_what_a_record_says():
    """The record as it stands in the file."""
    line = sample_line(content=StatedContent(12, tool_names=frozenset({"Read", "Bash"})))

    assert orjson.loads(line) == {
        "request_id": "req_1",
        "at": 1_700_000_000.5,
        "endpoint": "messages",
        "table_version": sample_table().version,
        "facts": {
            "requested_model": "claude-sonnet-4-5",
            "path_agent": "coder",
            "content": {
                "input_tokens": 12,
                "has_images": False,
                "has_documents": False,
                "has_server_tools": False,
                "tool_names": ["Bash", "Read"],
                "wants_thinking": False,
                "wants_structured_output": False,
                "max_output_tokens": 0,
                "tool_loop_side": None,
            },
        },
        "match": {"slug": "coder", "source": "path", "confidence": 1.0, "conflicts": []},
        "plan": {"attempts": ["qwen"], "privacy": "any", "tier": "sonnet", "rule": None},
        "outcome": {
            "status": 200,
            "ending": "completed",
            "deployment": "qwen",
            "route": "local",
            "attempts": ["qwen-down:connect_error", "qwen:ok"],
            "stream": True,
            "input_tokens": 1200,
            "output_tokens": 34,
            "cache_creation_input_tokens": None,
            "cache_read_input_tokens": 7,
            "ttft_s": 0.25,
            "total_s": 1.5,
        },
        "body_bytes": 4000,
    }


def test_a_tool_loop_is_decided_again():
    """Whose calls were answered is in the record, as far as routing had asked for it."""
    asked = StatedContent(10, tool_loop_side=Side.CLAUDE)
    again = facts_from_decision(sample_decision(RequestFacts("m", content=asked)))
    unasked = facts_from_decision(sample_decision(RequestFacts("m", content=BodyFacts({}))))

    assert again.content.tool_loop_side is Side.CLAUDE
    assert unasked.content.tool_loop_side is None


@pytest.mark.parametrize("tokens", [999, 1000])
def test_a_decision_can_be_made_again(tokens):
    """From the record alone routing comes to the same plan, or to what another table says."""
    facts = RequestFacts(
        "claude-sonnet-4-5", path_agent="coder", content=StatedContent(tokens), local_minute=(1, 2)
    )
    decision = sample_decision(facts)

    again = facts_from_decision(decision)
    match, plan = decided(again, sample_table())
    _match, other = decided(again, sample_table("qwen-fast"))

    assert match == decision.match
    assert (plan.attempts, plan.rule) == (decision.plan.attempts, decision.plan.rule)
    assert (plan.rule == "long") == (tokens == 1000)
    assert other.attempts == (("claude",) if tokens == 1000 else ("qwen-fast",))


def test_only_what_was_computed_is_recorded():
    """A record asks for nothing that costs time; what was asked for already is in it."""
    body = {
        "messages": [{"role": "user", "content": [{"type": "image"}]}],
        "tools": [{"name": "Read"}],
        "thinking": {"type": "adaptive"},
    }
    content = BodyFacts(body)
    before = describe_facts(RequestFacts("m", content=content))["content"]
    computed = set(vars(content))
    assert content.has_images
    assert content.has_server_tools is False
    tokens = content.input_tokens

    after = describe_facts(RequestFacts("m", content=content))["content"]

    assert before == {
        "tool_names": ["Read"], "wants_thinking": True, "wants_structured_output": False,
        "max_output_tokens": 0,
    }  # fmt: skip
    assert "input_tokens" not in computed
    assert "_traits" not in computed
    assert after == before | {
        "has_images": True, "has_documents": False, "has_server_tools": False,
        "input_tokens": tokens,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("estimate", "counted", "body_bytes", "expected"),
    [(77, 1200, 4000, 77), (None, 1200, 4000, 1207), (None, None, 4000, 1000)],
)
def test_the_best_number_of_tokens_that_is_known(estimate, counted, body_bytes, expected):
    """The estimate that decided, else what the upstream counted, cache included, else the bytes."""
    decision = sample_decision()
    content = {} if estimate is None else {"input_tokens": estimate}
    outcome = replace(
        decision.outcome,
        input_tokens=counted,
        cache_read_input_tokens=counted and 7,
    )
    decision = replace(
        decision,
        facts={**decision.facts, "content": content},
        outcome=outcome,
        body_bytes=body_bytes,
    )

    assert facts_from_decision(decision).content.input_tokens == expected


def test_the_hour_of_an_old_decision_is_known():
    """Without a recorded local time it follows from the time of the request."""
    minute = facts_from_decision(sample_decision()).local_minute

    assert 0 <= minute[0] <= 6
    assert 0 <= minute[1] < 24 * 60
    assert minute[1] % 15 == 1_700_000_000 // 60 % 15


def test_neither_content_nor_credentials_are_recorded():
    """Secrets planted wherever a request can carry one are not in the record."""
    secret = "SeCrEt-42"
    body = {
        "system": secret,
        "messages": [{"role": "user", "content": [{"type": "text", "text": secret}]}],
        "tools": [
            {"name": "Read", "description": secret, "input_schema": {"title": secret}},
        ],
        "metadata": {"user_id": secret},
        "output_config": {"format": {"schema": {"properties": {secret: {}}}}},
    }
    content = BodyFacts(body)
    for name in ("input_tokens", "has_images", "has_server_tools", "wants_structured_output"):
        getattr(content, name)
    headers = {
        "authorization": f"Bearer {secret}",
        "x-api-key": secret,
        "cookie": secret,
        "x-gateway-secret": secret,
        "x-csrf-token": secret,
        "x-team": "blue",
    }
    facts = RequestFacts("m", path_agent="coder", headers=headers, content=content)

    line = sample_line(facts)

    assert secret.encode() not in line
    assert orjson.loads(line)["facts"]["headers"] == {"x-team": "blue"}


def test_what_a_client_wrote_is_bounded():
    """Long names and many tools do not make a record long."""
    tools = frozenset(f"{'t' * 1000}{number:05}" for number in range(5000))
    facts = RequestFacts(
        "claude-sonnet" + "m" * 10_000,
        path_agent="coder",
        headers={"x-team": "b" * 10_000},
        content=StatedContent(tool_names=tools),
    )

    recorded = sample_decision(facts).facts

    assert len(recorded["requested_model"]) == TEXT_LIMIT
    assert len(recorded["headers"]["x-team"]) == TEXT_LIMIT
    assert len(recorded["content"]["tool_names"]) == LIST_LIMIT
    assert {len(name) for name in recorded["content"]["tool_names"]} == {TEXT_LIMIT}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b"{}",
        b'{"match":null}',
        sample_line()[:-5],
        sample_line().replace(b'"path"', b'"guess"'),
        sample_line().replace(b'"at":', b'"when":'),
    ],
)
def test_what_is_no_decision_is_a_value_error(line):
    """Torn lines, other documents and unknown words are refused in one way."""
    with pytest.raises(ValueError, match=r"."):
        from_line(line)


def test_members_of_a_later_version_are_left_out():
    """An older program reads what a newer one wrote."""
    document = orjson.loads(sample_line())
    document["later"] = 1
    document["outcome"]["later"] = 1
    document["facts"]["later"] = 1
    document["facts"]["content"] = {"later": 1}

    decision = from_line(orjson.dumps(document))

    assert facts_from_decision(decision).path_agent == "coder"
    assert decision.outcome.status == 200
