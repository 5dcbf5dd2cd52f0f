"""What is remembered of the prompts that local models were sent."""

from __future__ import annotations

from ccproxy.pipeline.prefix_watch import LEAST_LOST_BYTES, RECENT, Conversation, PrefixWatch

ALICE = Conversation("ops", "session-1", "", "turn")
BOB = Conversation("ops", "session-1", "agent-b", "turn")
NAMELESS = Conversation("ops", "", "", "turn")
SYSTEM = b'"system"'
TOOLS = b"[]"
LONG = b'{"role":"user","content":"' + b"a" * LEAST_LOST_BYTES + b'"}'


def asked(text: str) -> bytes:
    """Return one message."""
    return b'{"role":"user","content":"%s"}' % text.encode()


def prompt(*messages: bytes, system: bytes = SYSTEM) -> tuple[bytes, ...]:
    """Return a prompt of these messages."""
    return (system, TOOLS, *messages)


def test_a_conversation_that_goes_on_is_not_broken() -> None:
    """What was read before is held, and the rest is unread."""
    watch = PrefixWatch()
    watch.look("qwen", ALICE, prompt(LONG), 1000)

    seen = watch.look("qwen", ALICE, prompt(LONG, LONG), 2000)

    assert seen.place == ""
    assert seen.held_bytes == len(SYSTEM) + len(TOOLS) + len(LONG)
    assert 980 < seen.unread_tokens(2000) < 1000


def test_a_break_is_named() -> None:
    """The first byte of the system prompt that differs, and that nearly nothing is held."""
    watch = PrefixWatch()
    watch.look("qwen", ALICE, prompt(LONG), 1000)

    seen = watch.look("qwen", ALICE, prompt(LONG, system=b'"systen"'), 1000)

    assert seen.place == "system:5"
    assert seen.unread_tokens(1000) > 990


def test_little_that_is_lost_is_not_told() -> None:
    """A turn's own instruction, gone in the next, is no broken prefix."""
    watch = PrefixWatch()
    watch.look("qwen", ALICE, prompt(LONG, asked("Go. You must call a tool now.")), 1000)

    assert watch.look("qwen", ALICE, prompt(LONG, asked("Go."), LONG), 1000).place == ""


def test_conversations_are_apart() -> None:
    """Another agent, class or deployment breaks nothing, but what is shared is held."""
    watch = PrefixWatch()
    watch.look("qwen", ALICE, prompt(LONG, LONG), 1000)

    others = [BOB, ALICE._replace(request_class="title"), ALICE._replace(principal="ci")]
    seen = [watch.look("qwen", other, prompt(LONG, asked("x")), 500) for other in others]
    elsewhere = watch.look("glm", ALICE, prompt(asked("y")), 500)

    assert [each.place for each in (*seen, elsewhere)] == [""] * 4
    assert all(each.held_bytes > len(LONG) for each in seen)
    assert elsewhere.held_bytes == 0


def test_without_a_session_the_beginning_tells() -> None:
    """Two conversations that begin alike are one; a third is another."""
    watch = PrefixWatch()
    watch.look("qwen", NAMELESS, prompt(asked("a"), LONG), 1000)

    assert watch.look("qwen", NAMELESS, prompt(asked("a"), asked("b")), 9).place
    assert not watch.look("qwen", NAMELESS, prompt(asked("c")), 9).place
    assert watch.read_tokens(NAMELESS) == {}


def test_memory_is_bounded() -> None:
    """The longest unused goes first; what is larger than everything is not kept at all."""
    size = len(b"".join(prompt(LONG)))
    watch = PrefixWatch(limit_bytes=2 * size)
    agents = [ALICE._replace(agent_id=str(number)) for number in range(3)]
    for agent in (*agents[:2], agents[0], agents[2]):
        watch.look("qwen", agent, prompt(LONG), 7)

    assert watch.size_bytes == 2 * size
    changed = prompt(asked("z"))
    assert watch.look("qwen", agents[0], changed, 7).place == "messages.0.content:0"
    assert watch.look("qwen", agents[1], changed, 7).place == ""

    watch.look("qwen", BOB, prompt(LONG, LONG, LONG), 7)
    assert watch.look("qwen", BOB, changed, 7).place == ""
    assert watch.size_bytes <= 2 * size


def test_what_should_still_be_held() -> None:
    """A deployment holds the last prompts, as many as it has slots (conformance 234)."""
    watch = PrefixWatch({"two": 2})
    for name in ("one", "two"):
        watch.look(name, ALICE, prompt(LONG), 1000)
    assert watch.read_tokens(ALICE) == {"one": 1000, "two": 1000}

    for name in ("one", "two"):
        watch.look(name, BOB, prompt(LONG), 500)
    assert watch.read_tokens(ALICE) == {"two": 1000}
    assert watch.read_tokens(BOB) == {"one": 500, "two": 500}

    watch.look("one", ALICE, prompt(LONG), 1100)
    assert watch.read_tokens(ALICE) == {"one": 1100, "two": 1000}


def test_only_recent_prompts_may_still_be_held() -> None:
    """One that was read long ago is not counted on."""
    watch = PrefixWatch()
    watch.look("qwen", ALICE, prompt(LONG), 1000)
    for number in range(RECENT):
        other = ALICE._replace(agent_id=str(number))
        watch.look("qwen", other, prompt(asked("x"), system=b'"other"'), 9)

    assert watch.look("qwen", BOB, prompt(LONG), 1000).held_bytes < len(SYSTEM)
