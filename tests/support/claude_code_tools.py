"""Tools as Claude Code 2.1 defines them: names, properties and constraints; descriptions shortened.

Every schema has `$schema` and `additionalProperties: false`, as zod writes them.
"""

from __future__ import annotations

from typing import Any, Final

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def _tool(name: str, required: list[str], **properties: Any) -> dict[str, Any]:
    schema = {
        "$schema": _DRAFT,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return {"name": name, "description": f"{name} of Claude Code.", "input_schema": schema}


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"description": description, "type": "string", **more}


BASH: Final = _tool(
    "Bash",
    ["command"],
    command=_text("The command to execute"),
    timeout={"description": "Optional timeout in milliseconds (max 600000)", "type": "number"},
    description=_text("Clear, concise description of what this command does in active voice."),
    run_in_background={"description": "Set to true to run in the background.", "type": "boolean"},
    dangerouslyDisableSandbox={"description": "Override sandbox mode.", "type": "boolean"},
)
READ: Final = _tool(
    "Read",
    ["file_path"],
    file_path=_text("The absolute path to the file to read"),
    offset={
        "description": "The line number to start reading from.",
        "type": "integer",
        "minimum": 0,
        "maximum": 9007199254740991,
    },
    limit={
        "description": "The number of lines to read.",
        "type": "integer",
        "exclusiveMinimum": 0,
        "maximum": 9007199254740991,
    },
    pages=_text('Page range for PDF files (e.g., "1-5", "3", "10-20").'),
)
EDIT: Final = _tool(
    "Edit",
    ["file_path", "old_string", "new_string"],
    file_path=_text("The absolute path to the file to modify"),
    old_string=_text("The text to replace"),
    new_string=_text("The text to replace it with"),
    replace_all={
        "description": "Replace all occurrences of old_string (default false)",
        "default": False,
        "type": "boolean",
    },
)
AGENT: Final = _tool(
    "Agent",
    ["description", "prompt"],
    description=_text("A short (3-5 word) description of the task"),
    prompt=_text("The task for the agent to perform"),
    subagent_type=_text("The type of specialized agent to use for this task"),
    model=_text("Optional model override.", enum=["sonnet", "opus", "haiku", "fable"]),
    effort=_text("Optional effort override.", enum=["low", "medium", "high", "xhigh", "max"]),
    run_in_background={"description": "Run in the background.", "type": "boolean"},
    isolation=_text("Isolation mode.", enum=["worktree"]),
)
TODO_WRITE: Final = _tool(
    "TodoWrite",
    ["todos"],
    todos={
        "description": "The updated todo list",
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "content": {"type": "string", "minLength": 1},
                "status": {"type": "string", "enum": ["pending", "in_progress", "completed"]},
                "activeForm": {"type": "string", "minLength": 1},
            },
            "required": ["content", "status", "activeForm"],
            "additionalProperties": False,
        },
    },
)
WEB_FETCH: Final = _tool(
    "WebFetch",
    ["url", "prompt"],
    url=_text("The URL to fetch content from", format="uri"),
    prompt=_text("The prompt to run on the fetched content"),
)
CLAUDE_CODE_TOOLS: Final = (BASH, READ, EDIT, AGENT, TODO_WRITE, WEB_FETCH)
