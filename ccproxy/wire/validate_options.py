"""Everything beside messages and tools: sampling, thinking, output, metadata, Claude's extras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.errors import UnsupportedLocally, invalid_request
from ccproxy.wire.validate_shape import (
    as_integer,
    as_list,
    as_object,
    as_string,
    check_depth,
    one_of,
    optional_bool,
    optional_string,
    refuse,
    require,
    tag_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccproxy.wire.validate_shape import Review

SAMPLING: Final = ("temperature", "top_p", "top_k")
EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
THINKING: Final = ("enabled", "adaptive", "disabled", "between_tools")
MIN_BUDGET_TOKENS: Final = 1024

CLAUDE_ONLY: Final = {
    "container": "containers run at Anthropic, not locally",
    "mcp_servers": "MCP servers are called by Anthropic, not locally",
    "compaction": "compaction is done by Claude only",
    "fallbacks": "fallback models are chosen by Anthropic only",
    "fallback_credit_token": "fallback credit is known to Anthropic only",
    "billing_policy": "billing policies are applied by Anthropic only",
}
"""Top-level fields that change what Claude does and mean nothing to a local model."""


def check_thread(body: Mapping[str, Any]) -> None:
    """Refuse `thread`: answering 200 would lose the history (conformance 111, 112).

    On `thread_unsupported_request` and `thread_not_found` the anthropic SDK sends the full
    history without `thread`. Source: anthropic 2.11.0, measured.
    """
    value = body.get("thread")
    if value is None:
        return
    thread = as_object(value, "thread")
    if tag_of(thread, "thread", ("create", "continue")) == "create":
        raise invalid_request(
            "thread: threads are not supported on this model; send the full history",
            error_code="thread_unsupported_request",
        )
    previous = require(thread, "previous_message_id", "thread.continue")
    as_string(previous, "thread.continue.previous_message_id")
    # Claude may know the message, so another deployment is worth trying.
    refusal = UnsupportedLocally(
        "thread.continue.previous_message_id: no such thread on this model; send the full history"
    )
    refusal.error_code = "thread_not_found"
    raise refusal


def check_model(body: Mapping[str, Any]) -> None:
    """Check that `model` is a name (conformance 073)."""
    model = as_string(body["model"], "model")
    if not model:
        refuse("model", "String should have at least 1 character")


def check_options(body: Mapping[str, Any], review: Review) -> None:
    """Check every option that stands for itself; combinations are `check_combinations`."""
    if "max_tokens" in body:
        as_integer(body["max_tokens"], "max_tokens", at_least=0)
    optional_bool(body, "stream", "")
    _check_sampling(body, review)
    _check_stop_sequences(body)
    _check_accounting(body)
    _check_thinking(body)
    _check_output(body, review)
    for name, reason in CLAUDE_ONLY.items():
        if body.get(name) not in (None, [], {}):
            review.unsupported.append(f"{name}: {reason}")


def _check_sampling(body: Mapping[str, Any], review: Review) -> None:
    """Check temperature, top_p and top_k (conformance 027, 092)."""
    present = [name for name in SAMPLING if body.get(name) is not None]
    if present and review.newest_version:
        refuse(present[0], "not permitted with anthropic-version 2026-10-21; leave it out")
    for name in ("temperature", "top_p"):
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int | float) or isinstance(value, bool):
            refuse(name, "Input should be a valid number")
        if value < 0:
            refuse(name, "Input should be greater than or equal to 0")
        if value > 1:
            refuse(name, "Input should be less than or equal to 1")
    if body.get("top_k") is not None:
        as_integer(body["top_k"], "top_k", at_least=0)


def _check_stop_sequences(body: Mapping[str, Any]) -> None:
    """Check `stop_sequences` (conformance 093)."""
    value = body.get("stop_sequences")
    if value is None:
        return
    for index, item in enumerate(as_list(value, "stop_sequences")):
        if not as_string(item, f"stop_sequences.{index}").strip():
            refuse("stop_sequences", "each stop sequence must contain non-whitespace")


def _check_accounting(body: Mapping[str, Any]) -> None:
    """Check what has no effect on a local model but a type (conformance 094)."""
    metadata = body.get("metadata")
    if metadata is not None:
        optional_string(as_object(metadata, "metadata"), "user_id", "metadata")
    if body.get("service_tier") is not None:
        one_of(body["service_tier"], "service_tier", ("auto", "standard_only"))
    if body.get("speed") is not None:
        one_of(body["speed"], "speed", ("standard", "fast"))
    optional_string(body, "inference_geo", "")


def _check_thinking(body: Mapping[str, Any]) -> None:
    """Check `thinking` by itself; any `display` string passes, as Claude Code adds new ones."""
    value = body.get("thinking")
    if value is None:
        return
    thinking = as_object(value, "thinking")
    kind = tag_of(thinking, "thinking", THINKING)
    if kind == "enabled":
        budget = require(thinking, "budget_tokens", "thinking.enabled")
        as_integer(budget, "thinking.enabled.budget_tokens", at_least=MIN_BUDGET_TOKENS)
    if kind == "disabled" and thinking.get("display") is not None:
        refuse("thinking.disabled.display", "Extra inputs are not permitted")
    optional_string(thinking, "display", f"thinking.{kind}")


def _check_output(body: Mapping[str, Any], review: Review) -> None:
    """Check `output_config` and the older `output_format` (conformance 105)."""
    formats = {"output_format": body.get("output_format")}
    if body.get("output_config") is not None:
        config = as_object(body["output_config"], "output_config")
        check_effort(config, "output_config")
        formats["output_config.format"] = config.get("format")
    for path, value in formats.items():
        if value is None:
            continue
        shape = as_object(value, path)
        tag_of(shape, path, ("json_schema",))
        schema = as_object(require(shape, "schema", path), f"{path}.schema")
        check_depth(schema, f"{path}.schema", review)


def check_effort(config: Mapping[str, Any], path: str) -> None:
    """Check `effort` of an `output_config`, of the request or of one system message."""
    if config.get("effort") is not None:
        one_of(config["effort"], f"{path}.effort", EFFORTS)


def check_combinations(body: Mapping[str, Any], choice: str | None) -> None:
    """Check what is wrong only together (conformance 075, 102-104).

    Args:
        body: The request; every option in it is well-formed.
        choice: `tool_choice.type`, or None.
    """
    thinking = body.get("thinking") or {}
    forced = choice in {"any", "tool"}
    enabled = thinking.get("type") == "enabled"
    if enabled and forced:
        raise invalid_request("Thinking may not be enabled when tool_choice forces tool use.")
    if enabled and body.get("temperature") not in (None, 1):
        refuse("temperature", "may only be set to 1 when thinking is enabled")
    max_tokens = body.get("max_tokens")
    if max_tokens is None:
        return
    if max_tokens == 0:
        _check_no_output(body, enabled=enabled, forced=forced)
    elif enabled and thinking["budget_tokens"] >= max_tokens:
        refuse("max_tokens", "must be greater than thinking.budget_tokens")


def _check_no_output(body: Mapping[str, Any], *, enabled: bool, forced: bool) -> None:
    """Refuse `max_tokens: 0`, which only fills a cache, where output is asked for."""
    config = body.get("output_config") or {}
    conflicts = {
        "stream": body.get("stream") is True,
        "thinking": enabled,
        "output_config.format": config.get("format") is not None,
        "output_format": body.get("output_format") is not None,
        "tool_choice": forced,
    }
    for name, conflict in conflicts.items():
        if conflict:
            refuse("max_tokens", f"0 is not permitted together with {name}")
