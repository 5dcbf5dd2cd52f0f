"""What an agent of the soak asks, and which answers are right.

A prompt holds a number that nobody else has, and the simulators' answers follow from the prompt
alone: whatever arrives can be held against what had to be said, to the letter. The simulators'
own functions are asked for that, so that only the proxy can make a difference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ccproxy.demo.claude_answers import answer as claudes_answer
from ccproxy.demo.ollama_requests import GenerationCall
from ccproxy.demo.ollama_script import decide
from tests.support.messages import WEATHER
from tests.support.soak.surroundings import CLAUDE_FIRST_AGENT, PRIVATE_CATEGORY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from routing.types import Agent, Roster

    Content = list[dict[str, Any]]
    Body = dict[str, Any]

MAX_TOKENS: Final = 500
PRIVATE_WORD: Final = "CONFIDENTIAL"
"""Stands in every request that has to stay on the host, and in no other."""
HUGE_CHARS: Final = 200_000
"""More than a local model of the soak holds."""
_LABEL: Final = re.compile(r"\[simulated [^\]]+\]")
_ANY_LABEL: Final = "[simulated]"
_FILLING: Final = "the quick brown fox jumps over the lazy dog and reads what it wrote "


@dataclass(frozen=True, slots=True)
class Task:
    """One request, ready to be sent, and what may come of it."""

    path: str
    body: Body
    headers: Mapping[str, str]
    is_private: bool
    is_huge: bool = False
    right: Sequence[Content] = field(default_factory=list)
    """The contents that are right, one per kind of upstream, without their labels; none for
    count_tokens."""

    @property
    def streams(self) -> bool:
        """True where the answer is to be an event stream."""
        return self.body.get("stream") is True

    @property
    def counts(self) -> bool:
        """True for count_tokens."""
        return self.path.endswith("/count_tokens")


class Worker:
    """Makes up the tasks of one agent from a seed."""

    def __init__(self, slug: str, number: int, random: Random, *, is_private: bool) -> None:
        """`slug` is of the roster; `number` is this worker's own."""
        self.slug = slug
        self._number = number
        self._random = random
        self._is_private = is_private
        self._asked = 0

    def next_task(self) -> Task:
        """Return what the agent asks next."""
        self._asked += 1
        chance = self._random.random()
        if chance < 0.05:
            return self._task(self._prompt("Count this."), counting=True)
        if chance < 0.07:
            return self._task(self._prompt("x" * HUGE_CHARS), is_huge=True)
        if chance < 0.30:
            words = f"{self._random.randint(1, 120)} words"
            return self._task(self._prompt(f"Give me {words}, please."))
        if chance < 0.50:
            return self._task(self._prompt(self._call()), tools=[WEATHER])
        filling = _FILLING * self._random.randint(0, 6)
        return self._task(self._prompt(f"{filling}."))

    def after_call(self, task: Task, content: Content) -> Task | None:
        """Return the turn that brings the results of an answer's tool calls, if it has any."""
        calls = [block for block in content if block["type"] == "tool_use"]
        if not calls or not task.right:
            return None
        results = [
            {
                "type": "tool_result",
                "tool_use_id": call["id"],
                "content": f"{call['input'].get('city')} is sunny",
            }
            for call in calls
        ]
        messages = [
            *task.body["messages"],
            {"role": "assistant", "content": content},
            {"role": "user", "content": results},
        ]
        body = {**task.body, "messages": messages}
        return Task(task.path, body, task.headers, task.is_private, right=right_answers(body))

    def _call(self) -> str:
        city = f"city {self._number}-{self._asked}"
        return f'use the get_weather tool with {{"city": "{city}"}}'

    def _prompt(self, words: str) -> str:
        private = f"{PRIVATE_WORD} " if self._is_private else ""
        return f"{private}{self._number}-{self._asked}: {words}"

    def _task(
        self,
        text: str,
        *,
        counting: bool = False,
        is_huge: bool = False,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> Task:
        body: Body = {
            "model": "claude-sonnet-5-5",
            "max_tokens": MAX_TOKENS,
            "messages": [{"role": "user", "content": text}],
        }
        if tools:
            body["tools"] = list(tools)
        right = () if counting else right_answers(body)
        if counting:
            del body["max_tokens"]
        elif self._random.random() < 0.6:
            body["stream"] = True
        headers = {"x-claude-code-session-id": f"session-{self._number}"}
        if self._random.random() < 0.1:
            headers["accept-encoding"] = "gzip, deflate"
        prefix = ""
        if self._random.random() < 0.5:
            prefix = f"/agents/{self.slug}"
        else:
            headers["x-ccproxy-agent"] = self.slug
        path = f"{prefix}/v1/messages{'/count_tokens' if counting else ''}"
        return Task(path, body, headers, self._is_private, is_huge, right)


def right_answers(body: Body) -> list[Content]:
    """Return what a local model and Claude have to say to this, without their labels."""
    return [without_labels(_local_answer(body)), without_labels(_claudes_answer(body))]


def without_labels(content: Content) -> Content:
    """Return content without what differs from model to model and from call to call."""
    plain: Content = []
    for block in content:
        if block["type"] == "text":
            text = _LABEL.sub(_ANY_LABEL, block["text"], count=1)
            plain.append({"type": "text", "text": text})
        else:
            plain.append({key: block[key] for key in ("type", "name", "input")})
    return plain


def is_beginning(content: Content, right: Content) -> bool:
    """Return whether what arrived of an answer, perhaps broken off, is how the right one begins."""
    if len(content) > len(right):
        return False
    if not content:
        return True
    *whole, last = content
    if whole != right[: len(whole)]:
        return False
    wanted = right[len(whole)]
    if last["type"] == "text" and wanted["type"] == "text":
        return is_beginning_of_text(last["text"], wanted["text"])
    # The input of a call that broke off is not there yet.
    return last in (wanted, {**wanted, "input": {}})


def is_beginning_of_text(said: str, wanted: str) -> bool:
    """Return whether a text is how another begins; it may have broken off inside its label."""
    return wanted.startswith(said) or (
        "]" not in said and (_ANY_LABEL[:-1] + " ").startswith(said[: len(_ANY_LABEL)])
    )


def _local_answer(body: Body) -> Content:
    functions = [
        {
            "type": "function",
            "function": {"name": tool["name"], "parameters": tool["input_schema"]},
        }
        for tool in body.get("tools", ())
    ]
    call = GenerationCall(
        model="any",
        messages=tuple(_chat_messages(body)),
        tools=tuple(functions),
        options={},
        stream=False,
        think=False,
        truncate=False,
        shift=False,
        keep_alive_s=0.0,
        format=None,
        is_chat=True,
    )
    said = decide(call, thinks=False)
    content: Content = [{"type": "text", "text": said.text}] if said.text else []
    content += [
        {"type": "tool_use", "name": each.name, "input": each.arguments} for each in said.calls
    ]
    return content


def _chat_messages(body: Body) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for message in body["messages"]:
        content = message["content"]
        if isinstance(content, str):
            messages.append({"role": message["role"], "content": content})
            continue
        results = [block for block in content if block["type"] == "tool_result"]
        if results:
            messages += [{"role": "tool", "content": block["content"]} for block in results]
            continue
        calls = [
            {"function": {"name": block["name"], "arguments": block["input"]}}
            for block in content
            if block["type"] == "tool_use"
        ]
        text = "".join(block["text"] for block in content if block["type"] == "text")
        messages.append({"role": "assistant", "content": text, "tool_calls": calls})
    return messages


def _claudes_answer(body: Body) -> Content:
    content: Content = claudes_answer(body, 1, {}).content
    return content


def worker_slugs(roster: Roster, count: int, random: Random) -> list[str]:
    """Return so many slugs: every private agent and the ones with a route of their own first."""
    named = ["chief-architect", CLAUDE_FIRST_AGENT]
    private = [slug for slug, agent in roster.agents.items() if is_private(agent)]
    others = sorted(set(roster.agents) - {*named, *private})
    random.shuffle(others)
    return [*named, *private, *others][:count]


def is_private(agent: Agent) -> bool:
    """Return whether the soak's table keeps an agent's requests on the host."""
    return PRIVATE_CATEGORY in agent.categories
