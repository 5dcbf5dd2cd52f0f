"""Requests of `/api/chat` and `/api/generate`, read as strictly as Ollama's Go types read them.

What Go's `encoding/json` refuses is refused here with the same status and nearly the same words;
what it ignores (unknown keys, unknown options) is ignored here too.

Source: Ollama api/types.go (`ChatRequest`, `Message`, `ToolFunction`, `Options.FromMap`,
`ThinkValue`, `Duration`) and server/routes.go, v0.33.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Any, Final

import orjson

from ccproxy.demo.ollama_models import IMAGE_TOKENS, count_tokens

JsonObject = dict[str, Any]

DEFAULT_KEEP_ALIVE_S: Final = 300.0
FOREVER_S: Final = 1e12
_THINK_LEVELS: Final = ("high", "medium", "low", "max")
_INT_OPTIONS: Final = frozenset(
    {
        "num_ctx",
        "num_batch",
        "num_gpu",
        "main_gpu",
        "num_thread",
        "num_keep",
        "seed",
        "num_predict",
        "top_k",
        "repeat_last_n",
        "draft_num_predict",
    }
)
_FLOAT_OPTIONS: Final = frozenset(
    {
        "top_p",
        "min_p",
        "typical_p",
        "temperature",
        "repeat_penalty",
        "presence_penalty",
        "frequency_penalty",
    }
)
_GO_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "bool": (bool,),
    "int": (int,),
    "[]": (list,),
    "map[string]interface {}": (dict,),
}
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_DURATION_UNITS_S: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}


class OllamaError(Exception):
    """An error as Ollama reports it: `{"error": message}` with an HTTP status."""

    def __init__(self, status: int, message: str, **extra: str) -> None:
        """`extra` keys are added to the JSON object, e.g. `signin_url`."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.extra = extra


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """What a loaded model was started with; a request that differs makes Ollama reload it.

    Source: conformance 232; Ollama server/sched.go `needsReload`.
    """

    num_ctx: int
    num_batch: int = 512
    num_gpu: int = -1
    main_gpu: int = 0
    num_thread: int = 0
    use_mmap: bool | None = None
    shift: bool = True


@dataclass(frozen=True, slots=True)
class GenerationCall:
    """One well-formed request to generate."""

    model: str
    messages: tuple[JsonObject, ...]
    tools: tuple[JsonObject, ...]
    options: JsonObject
    stream: bool
    think: bool | str | None
    truncate: bool
    shift: bool | None
    keep_alive_s: float
    format: Any
    is_chat: bool
    """False for `/api/generate`, whose answer is in `response`."""

    @property
    def is_empty(self) -> bool:
        """True for a request that only loads or unloads."""
        return not self.messages


def parse_call(raw: bytes, *, is_chat: bool) -> GenerationCall:
    """Return the request in `raw`.

    Raises:
        OllamaError: 400 with Go's words for what does not fit its types.
    """
    if not raw:
        raise OllamaError(400, "missing request body")
    body = _object(raw)
    kind = "ChatRequest" if is_chat else "GenerateRequest"
    for key, go_type in (
        ("model", "string"),
        ("stream", "bool"),
        ("truncate", "bool"),
        ("shift", "bool"),
        ("messages", "[]"),
        ("tools", "[]"),
        ("options", "map[string]interface {}"),
        ("prompt", "string"),
        ("system", "string"),
        ("images", "[]"),
    ):
        _expect(body.get(key), go_type, f"{kind}.{key}")
    if not body.get("model"):
        raise OllamaError(400, "model is required")
    _check_options(body.get("options") or {})
    messages = body.get("messages") or [] if is_chat else _prompt_messages(body)
    for message in messages:
        _check_message(message, kind)
    for tool in body.get("tools") or []:
        _check_tool(tool, kind)
    return GenerationCall(
        model=body["model"],
        messages=tuple(messages),
        tools=tuple(body.get("tools") or ()),
        options=body.get("options") or {},
        stream=body.get("stream") is not False,
        think=_think(body.get("think")),
        truncate=body.get("truncate") is not False,
        shift=body.get("shift"),
        keep_alive_s=duration_s(body.get("keep_alive")),
        format=body.get("format"),
        is_chat=is_chat,
    )


def runner_options(call: GenerationCall, default_num_ctx: int, trained: int) -> RunnerOptions:
    """Return the runner options of a call; `num_ctx` is clamped to the trained length."""
    options = call.options
    wanted = int(options.get("num_ctx") or default_num_ctx)
    return RunnerOptions(
        num_ctx=min(wanted, trained),
        num_batch=int(options.get("num_batch") or 512),
        num_gpu=int(options["num_gpu"]) if options.get("num_gpu") is not None else -1,
        main_gpu=int(options.get("main_gpu") or 0),
        num_thread=int(options.get("num_thread") or 0),
        use_mmap=options.get("use_mmap"),
        shift=call.shift is not False,
    )


def duration_s(value: Any) -> float:  # noqa: ANN401 - JSON
    """Return a `keep_alive` in seconds; a negative one means for ever.

    Raises:
        OllamaError: 400 for anything that is neither a number nor a Go duration.
    """
    if value is None:
        return DEFAULT_KEEP_ALIVE_S
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise OllamaError(400, f"Unsupported type: '{value!r}'")
    if isinstance(value, (int, float)):
        return FOREVER_S if value < 0 else float(value)
    negative, text = value.startswith("-"), value.lstrip("+-")
    parts = _DURATION_PART.findall(text)
    if text != "0" and "".join(number + unit for number, unit in parts) != (text or None):
        reason = "missing unit in duration" if text.isdecimal() else "invalid duration"
        raise OllamaError(400, f'time: {reason} "{value}"')
    seconds = sum(float(number) * _DURATION_UNITS_S[unit] for number, unit in parts)
    return FOREVER_S if negative and seconds else float(seconds)


def rendered(message: JsonObject) -> str:
    """Return what a message puts into the prompt."""
    calls = message.get("tool_calls")
    parts = (
        f"<|im_start|>{message.get('role', '')}\n",
        message.get("thinking") or "",
        message.get("content") or "",
        orjson.dumps(calls).decode() if calls else "",
        "<|im_end|>\n",
    )
    return "".join(parts)


def message_tokens(message: JsonObject) -> int:
    """Return the prompt tokens of one message, images included."""
    return count_tokens(rendered(message)) + IMAGE_TOKENS * len(message.get("images") or ())


def go_type_name(value: Any) -> str:  # noqa: ANN401 - JSON
    """Return what Go's decoder calls a JSON value in its errors."""
    if isinstance(value, bool):
        return "bool"
    names: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (str, "string"),
        ((int, float), "number"),
        (list, "array"),
        (dict, "object"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), "null")


def _object(raw: bytes) -> JsonObject:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        raise OllamaError(400, f"invalid character in JSON at offset {exc.pos}") from exc
    if not isinstance(body, dict):
        raise OllamaError(
            400, f"json: cannot unmarshal {go_type_name(body)} into Go value of type api.Request"
        )
    return body


def _expect(value: Any, go_type: str, path: str) -> None:  # noqa: ANN401 - JSON
    """Refuse a value that Go would not decode into `go_type`; null always decodes."""
    if value is None:
        return
    fits = isinstance(value, _GO_TYPES[go_type]) and not (
        go_type == "int" and isinstance(value, bool)
    )
    if not fits:
        raise OllamaError(
            400,
            f"json: cannot unmarshal {go_type_name(value)} into Go struct field {path}"
            f" of type {go_type}",
        )


def _expect_strings(value: Any, path: str) -> None:  # noqa: ANN401 - JSON
    _expect(value, "[]", path)
    for item in value or ():
        _expect(item, "string", path)


def _check_message(message: Any, kind: str) -> None:  # noqa: ANN401 - JSON
    path = f"{kind}.messages"
    _expect(message, "map[string]interface {}", path)
    for key in ("role", "content", "thinking", "tool_name", "tool_call_id"):
        _expect(message.get(key), "string", f"{path}.{key}")
    _expect(message.get("images"), "[]", f"{path}.images")
    for image in message.get("images") or ():
        _expect(image, "string", f"{path}.images")
        _check_base64(image)
    _expect(message.get("tool_calls"), "[]", f"{path}.tool_calls")
    for call in message.get("tool_calls") or ():
        _expect(call, "map[string]interface {}", f"{path}.tool_calls")
        _expect(call.get("id"), "string", f"{path}.tool_calls.id")
        function = call.get("function")
        _expect(function, "map[string]interface {}", f"{path}.tool_calls.function")
        function = function or {}
        _expect(function.get("name"), "string", f"{path}.tool_calls.function.name")
        _expect(function.get("index"), "int", f"{path}.tool_calls.function.index")
        _expect(
            function.get("arguments"),
            "map[string]interface {}",
            f"{path}.tool_calls.function.arguments",
        )


def _check_base64(image: str) -> None:
    try:
        b64decode(image.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError) as exc:
        bad = re.search(r"[^A-Za-z0-9+/=\r\n]", image)
        offset = bad.start() if bad else len(image)
        raise OllamaError(400, f"illegal base64 data at input byte {offset}") from exc


def _check_tool(tool: Any, kind: str) -> None:  # noqa: ANN401 - JSON
    path = f"{kind}.tools"
    _expect(tool, "map[string]interface {}", path)
    _expect(tool.get("type"), "string", f"{path}.type")
    function = tool.get("function")
    _expect(function, "map[string]interface {}", f"{path}.function")
    function = function or {}
    _expect(function.get("name"), "string", f"{path}.function.name")
    _expect(function.get("description"), "string", f"{path}.function.description")
    parameters = function.get("parameters")
    _expect(parameters, "map[string]interface {}", f"{path}.function.parameters")
    if parameters is not None:
        path = f"{path}.function.parameters"
        _expect(parameters.get("type"), "string", f"{path}.type")
        _expect_strings(parameters.get("required"), f"{path}.required")
        _check_properties(parameters.get("properties"), path)


def _check_properties(properties: Any, path: str) -> None:  # noqa: ANN401 - JSON
    _expect(properties, "map[string]interface {}", f"{path}.properties")
    for schema in (properties or {}).values():
        _check_property(schema, f"{path}.properties")


def _check_property(schema: Any, path: str) -> None:  # noqa: ANN401 - JSON
    """Refuse what Go's `ToolProperty` refuses, e.g. the boolean schema `true`."""
    _expect(schema, "map[string]interface {}", path)
    schema = schema or {}
    kind = schema.get("type")
    _expect_strings(kind if isinstance(kind, list) else [kind], f"{path}.type")
    _expect(schema.get("description"), "string", f"{path}.description")
    _expect(schema.get("enum"), "[]", f"{path}.enum")
    _expect_strings(schema.get("required"), f"{path}.required")
    _expect(schema.get("anyOf"), "[]", f"{path}.anyOf")
    for branch in schema.get("anyOf") or ():
        _check_property(branch, f"{path}.anyOf")
    _check_properties(schema.get("properties"), path)


def _check_options(options: JsonObject) -> None:
    """Refuse option values of the wrong type; unknown options are only a log line in Ollama."""
    for key, value in options.items():
        if value is None:
            continue
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if key in _INT_OPTIONS and not number:
            raise OllamaError(500, f'option "{key}" must be of type integer')
        if key in _FLOAT_OPTIONS and not number:
            raise OllamaError(500, f'option "{key}" must be of type float32')
        if key == "use_mmap" and not isinstance(value, bool):
            raise OllamaError(500, 'option "use_mmap" must be of type boolean')
        if key == "stop" and not isinstance(value, list):
            raise OllamaError(500, 'option "stop" must be of type array')
        if key == "stop" and not all(isinstance(item, str) for item in value):
            raise OllamaError(500, 'option "stop" must be of an array of strings')


def _think(value: Any) -> bool | str | None:  # noqa: ANN401 - JSON
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _THINK_LEVELS:
        return value
    shown = orjson.dumps(value).decode()
    raise OllamaError(
        400,
        f'invalid think value: {shown} (must be "high", "medium", "low", "max", true, or false)',
    )


def _prompt_messages(body: JsonObject) -> list[JsonObject]:
    if not body.get("prompt"):
        return []
    system = [{"role": "system", "content": body["system"]}] if body.get("system") else []
    user = {"role": "user", "content": body["prompt"], "images": body.get("images")}
    return [*system, user]
