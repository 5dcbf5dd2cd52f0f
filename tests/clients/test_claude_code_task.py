"""Claude Code carries a task through ten turns and more with a model that does everything wrong.

The client is the real program. The model is simulated: it means what the prompts say, and says it
in every form that local models are known for (`ccproxy/demo/ollama_habits`).
"""

import asyncio
import json
import re
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ccproxy.demo.ollama_faults import FaultKind
from ccproxy.demo.ollama_habits import AFTER, BEFORE, THOUGHT, Habit
from ccproxy.demo.ollama_models import default_fleet
from ccproxy.demo.ollama_server import SimulatedOllama
from tests.support.claude_code_session import claude_code_session
from tests.support.messages import WEATHER
from tests.support.proxy import REPOSITORY, TEST_SPEED, running_proxy
from tests.support.tcp_tap import TcpTap

pytestmark = pytest.mark.needs("claude-code")

MODEL = "qwen-coder"
LABEL = "[simulated qwen2.5-coder:32b-instruct]"
PATIENCE_S = 5.0
LOAD_S = 5.5  # longer than a stream may stay uncommitted: the client gets pings
PING_AFTER_S = 0.1
LONG_OUTPUT = "seq 1 2800"  # some 13000 tokens: one fits beside Claude Code's prompt, two do not
MARKUP = re.compile(
    r'think>|</?tool_call|</?function|</?parameter|"arguments"|```|perform_\w+_action'
)
WHOLE_ANSWER = re.compile(rb"\r\ncontent-type: application/json\r\n[^{]*\r\n\r\n.*?\"end_turn\"")
OVERFLOW = re.compile(rb"prompt is too long: (\d+) tokens > (\d+) maximum")


def bash(command, **more):
    return "Bash", {"command": command, **more}


def use(*calls):
    """Return the prompt that asks for these calls at once."""
    words = [f"the {name} tool with {json.dumps(arguments)}" for name, arguments in calls]
    return f"Use {' and '.join(words)}"


class Turn:
    """What one turn brought."""

    def __init__(self, events):
        self.events = events
        self.answer = events[-1]["result"]

    def blocks(self, speaker, kind):
        contents = [event["message"]["content"] for event in self.of_type(speaker)]
        blocks = [block for content in contents if isinstance(content, list) for block in content]
        return [block for block in blocks if block["type"] == kind]

    def of_type(self, *types):
        return [event for event in self.events if event["type"] in types]

    @property
    def calls(self):
        return [(call["name"], call["input"]) for call in self.blocks("assistant", "tool_use")]

    @property
    def results(self):
        """What the tools returned, in the order of the calls; they may end in another one."""
        found = {each["tool_use_id"]: each for each in self.blocks("user", "tool_result")}
        ordered = [found[call["id"]] for call in self.blocks("assistant", "tool_use")]
        return [(each["content"], bool(each.get("is_error"))) for each in ordered]

    @property
    def texts(self):
        return [block["text"].strip() for block in self.blocks("assistant", "text")]

    @property
    def compactions(self):
        return [e for e in self.of_type("system") if e["subtype"] == "compact_boundary"]


class Task:
    """One session, and the simulated Ollama behind it."""

    def __init__(self, session, proxy, tap):
        self.session = session
        self.proxy = proxy
        self.ollama = proxy.ollama
        self.tap = tap

    async def turn(self, prompt, *habits):
        """Take a turn in which the model has these habits; it ends well."""
        self.ollama.misbehave(*habits)
        events = await self.session.turn(prompt)
        assert ("success", False) == (events[-1]["subtype"], events[-1]["is_error"]), events[-1]
        assert ([], []) == (self.ollama.habits.once, self.ollama.faults)
        return Turn(events)

    def path(self, name):
        return str(self.session.work / name)

    def file(self, name):
        return (self.session.work / name).read_text()

    async def counts(self, metric, label):
        """Return a counter of the proxy, by one label."""
        async with httpx.AsyncClient() as client:
            page = await client.get(f"{self.proxy.base_url}/metrics", headers=self.proxy.headers)
        counts = Counter()
        for family in text_string_to_metric_families(page.text):
            for sample in family.samples:
                if sample.name == metric:
                    counts[sample.labels[label]] += int(sample.value)
        return counts


@asynccontextmanager
async def task_at(folder):
    """Run proxy, simulators and a session of Claude Code, in which thinking is off."""
    fleet = [replace(model, load_s=LOAD_S * TEST_SPEED) for model in default_fleet()]
    simulated = SimulatedOllama(fleet, speed=TEST_SPEED)
    async with running_proxy(
        ollama=simulated, patience_s=PATIENCE_S, ping_after_s=PING_AFTER_S
    ) as proxy:
        tap = TcpTap(proxy.base_url)
        async with (
            tap.serve() as base_url,
            claude_code_session(
                base_url=base_url,
                token=proxy.token,
                folder=folder,
                model=MODEL,
                agent_files=[REPOSITORY / "config/agents/debugger.md"],
                extra_arguments=[
                    "--include-partial-messages",
                    "--permission-mode=acceptEdits",
                    "--allowedTools=Bash",
                ],
                extra_environment={"MAX_THINKING_TOKENS": "0"},
            ) as session,
        ):
            yield Task(session, proxy, tap)


async def calls_as_text(task):
    """Calls written as text are made, after a slow load with pings: files come to be."""
    one, two = bash("echo one > one.txt"), bash("echo two > two.txt")
    turn = await task.turn(use(one, two), Habit.IN_A_ROW)
    assert [one, two] == turn.calls
    assert ("one\n", "two\n") == (task.file("one.txt"), task.file("two.txt"))
    first_words = task.tap.said.index(b"event: content_block_start")
    assert b"event: ping\n" in task.tap.said[:first_words]

    write = ("Write", {"file_path": task.path("sum.sh"), "content": "expr 1 + 1\n"})
    assert [write] == (await task.turn(use(write), Habit.BARE_JSON)).calls
    assert "expr 1 + 1\n" == task.file("sum.sh")

    read = ("Read", {"file_path": task.path("sum.sh")})
    turn = await task.turn(use(read), Habit.FENCED_JSON)
    assert [read] == turn.calls
    assert "expr 1 + 1" in turn.results[0][0]

    edit = {"file_path": task.path("sum.sh"), "old_string": "1 + 1", "new_string": "40 + 2"}
    await task.turn(use(("Edit", edit)), Habit.FUNCTION_TAGS)
    assert "expr 40 + 2\n" == task.file("sum.sh")

    turn = await task.turn(use(bash("sh sum.sh > sum.txt")), Habit.BETWEEN_WORDS)
    assert "42\n" == task.file("sum.txt")
    assert [BEFORE, AFTER] == turn.texts[:2]


async def wrong_calls(task):
    """Calls that are wrong are put right, or made again, before the client sees them."""
    patient = bash("cat sum.txt", timeout=5000, run_in_background=False)
    turn = await task.turn(use(patient), Habit.WRONG_TYPES)
    assert ([patient], [("42", False)]) == (turn.calls, turn.results)

    calls = [bash("cat one.txt"), bash("cat two.txt")]
    for habit in (Habit.MISSING_ARGUMENT, Habit.UNKNOWN_TOOL, Habit.OTHER_LETTERS):
        turn = await task.turn(use(*calls), habit)
        assert calls == turn.calls
        assert [("one", False), ("two", False)] == turn.results
        assert f"{LABEL} The tool returned: one | two" == turn.answer


async def a_sub_agent(task):
    """A sub-agent is spawned by a half-open tag, and its own call is text as well."""
    errand = {
        "description": "A small errand",
        "prompt": use(bash("echo three > three.txt")),
        "subagent_type": "debugger",
        "run_in_background": False,
    }
    turn = await task.turn(use(("Agent", errand)), Habit.HALF_OPEN_TAG, Habit.TOOL_CALL_TAGS)
    assert ["Agent", "Bash"] == [name for name, _ in turn.calls]
    assert "three\n" == task.file("three.txt")


async def other_answers(task):
    """A title in a fence is a title, a demanded call is made, unasked thinking is not seen."""
    for habit in (Habit.FENCED_ANSWER, Habit.EXPLAINED_ANSWER):
        task.ollama.misbehave(habit)
        words = {"description": "Add two numbers", "persist": False}
        title = await task.session.control("generate_session_title", **words)
        assert title["title"].startswith(LABEL)

    for habit in (Habit.THINKS_UNASKED, Habit.THINKS_ALOUD):
        turn = await task.turn(use(bash("cat sum.txt")), habit)
        assert [f"{LABEL} The tool returned: 42"] == turn.texts
        assert [] == turn.blocks("assistant", "thinking")

    task.ollama.misbehave(Habit.WORDS_INSTEAD)
    # Claude Code demands calls of Claude's server tools only, so this one is asked beside it.
    body = {
        "model": MODEL,
        "max_tokens": 500,
        "messages": [{"role": "user", "content": "The weather of Oslo, please."}],
        "tools": [WEATHER],
        "tool_choice": {"type": "any"},
    }
    async with httpx.AsyncClient(timeout=20, headers=task.proxy.headers) as client:
        answer = (await client.post(f"{task.proxy.base_url}/v1/messages", json=body)).json()
    assert ["tool_use"] == [block["type"] for block in answer["content"]], answer


async def trouble(task):
    """Errors before and after the model's first words end no turn, an interrupt only its own."""
    task.ollama.add_fault(FaultKind.ERROR_LINE, after_records=0)
    await task.turn(use(bash("echo four > four.txt")))
    assert "four\n" == task.file("four.txt")

    task.ollama.add_fault(FaultKind.RESET, after_records=8)
    heard = len(task.tap.said)
    turn = await task.turn("Tell me 60 words")
    assert [turn.answer] == turn.texts
    assert WHOLE_ANSWER.search(task.tap.said, heard)
    assert 60 == len(turn.answer.removeprefix(LABEL).split())

    task.ollama.add_fault(FaultKind.STALL, after_records=8)  # until the client leaves
    await task.session.say("Tell me 70 words")
    await task.session.until(lambda event: "text_delta" in json.dumps(event))
    await interrupted(task, task.ollama.generations[-1])

    task.ollama.add_fault(FaultKind.HANG)
    asked = len(task.ollama.generations)
    await task.session.say("Tell me 80 words")
    await interrupted(task, await task.ollama.generation(asked))


async def interrupted(task, request):
    """Interrupt the turn that waits for this request: the model is free at once (285)."""
    assert (1, False) == (task.ollama.open_streams, request.disconnected.is_set())
    events = await task.session.interrupt()
    ended = next(event for event in events if event["type"] == "result")
    assert "aborted_streaming" == ended["terminal_reason"], ended
    await asyncio.wait_for(task.ollama.idle(), 10)
    assert request.disconnected.is_set()


async def overflow(task):
    """Whether we find a prompt too long or Ollama does, Claude Code compacts and goes on."""
    before = len(OVERFLOW.findall(task.tap.said))
    long_output = bash(LONG_OUTPUT)
    assert [] == (await task.turn(use(long_output))).compactions
    asked = len(task.ollama.generations)
    turn = await task.turn(use(long_output))
    assert turn.compactions
    assert f"{LABEL} The tool returned: 1 2 3 4" in turn.answer
    assert {200} == {request.status for request in task.ollama.generations[asked:]}

    task.ollama.add_fault(FaultKind.BAD_REQUEST, message="context")
    five = bash("echo five > five.txt")
    turn = await task.turn(use(five))
    assert (1, [five]) == (len(turn.compactions), turn.calls)
    assert "five\n" == task.file("five.txt")
    found = OVERFLOW.findall(task.tap.said)[before:]
    assert len(found) >= 2
    assert all(int(tokens) > int(longest) > 0 for tokens, longest in found), found


async def test_a_task_with_a_model_that_does_everything_wrong(tmp_path):
    """A long session ends right, with every bad habit once (283, 284, 285, 289)."""
    async with task_at(tmp_path) as task:
        for part in (calls_as_text, wrong_calls, a_sub_agent, other_answers, trouble, overflow):
            await part(task)
        turn = await task.turn(use(bash("cat one.txt two.txt three.txt four.txt five.txt sum.txt")))
        assert f"{LABEL} The tool returned: one two three four five 42" == turn.answer
        assert 0 == await task.session.end()
        happened = await task.counts("ccproxy_tool_calls_total", "event")
        notes = await task.counts("ccproxy_notes_total", "kind")

    session = Turn(task.session.events)
    assert len(session.of_type("result")) > 10
    had = [request.habit for request in task.ollama.generations if request.habit]
    assert sorted(Habit) == sorted(had)
    assert 8 == happened["recovered"]
    expected = {"coerced": 1, "renamed": 2, "invalid": 1, "not_offered": 1, "missing": 1}
    assert expected == {event: happened[event] for event in expected}
    assert (3, 0) == (happened["repaired"], happened["lost"])
    assert 1 == notes["thinking_in_text"]
    assert 1 == notes["structured_output_unwrapped"] == notes["structured_output_repaired"]
    assert [] == [text for text in session.texts if MARKUP.search(text)]
    assert THOUGHT.encode() not in task.tap.said
    assert [] == list(task.proxy.claude.requests)
