"""What `ccproxy.yaml` may contain: the pydantic models behind its checks and its JSON Schema.

Only shapes and ranges are checked here; what needs a second value (an address and a provider, a
mode and a host) is checked where the settings are built. Nothing outside this room sees these
classes. The attribute docstrings are the descriptions in the schema, so they are for operators.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    WithJsonSchema,
)

from ccproxy.config.alerts_block import AlertsBlock
from ccproxy.config.block import Block, NotBool, Port, PositiveInt, PositiveNumber, Text
from ccproxy.config.budgets_block import BudgetBlock  # noqa: TC001 - pydantic reads annotations
from ccproxy.config.hosts import normalise_host, normalise_network
from ccproxy.config.jwt_block import JwtBlock  # noqa: TC001 - pydantic reads annotations
from ccproxy.config.locate import DEFAULT_LEDGER_URL
from ccproxy.config.references import ENVIRONMENT_REFERENCE

MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")
"""What fits into a response header between commas, and into a URL."""

GO_DURATION: Final = re.compile(r"-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+|0")
"""Source: Go's time.ParseDuration, which Ollama applies to a `keep_alive` that is a string."""


LEAST_KEPT_DAYS: Final = 32


def _mode(value: object) -> object:
    """Read YAML's bare `off`, which is false, as the word."""
    return "off" if value is False else value


def _keep_alive(value: object) -> str | int:
    """Return a `keep_alive` that Ollama accepts."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)
    if isinstance(value, str) and GO_DURATION.fullmatch(value):
        return value
    message = "must be a duration such as 30m, a number of seconds, 0 (unload at once) or -1 (stay)"
    raise ValueError(message)


def _model_name(value: str) -> str:
    """Return a name that can stand in a header and is not an agent's."""
    if not MODEL_NAME.fullmatch(value):
        raise ValueError(
            "may hold letters, digits and . _ : / @ + - and must begin with the former"
        )
    if value.startswith("agent/"):
        raise ValueError("must not begin with agent/, which clients use to name an agent")
    return value


def _or_reference(kind: str) -> WithJsonSchema:
    """Return the schema of a positive number that may also come from the environment."""
    reference = {"type": "string", "pattern": f"^{re.escape(ENVIRONMENT_REFERENCE)}"}
    return WithJsonSchema({"anyOf": [{"type": kind, "exclusiveMinimum": 0}, reference]})


IntParameter = Annotated[PositiveInt, _or_reference("integer")]
NumberParameter = Annotated[PositiveNumber, _or_reference("number")]
KeepAlive = Annotated[
    str | int, PlainValidator(_keep_alive), WithJsonSchema({"type": ["string", "integer"]})
]
Mode = Annotated[
    Literal["required", "off"],
    BeforeValidator(_mode),
    WithJsonSchema({"enum": ["required", "off", False]}),
]
ModelName = Annotated[str, AfterValidator(_model_name)]
HostName = Annotated[str, AfterValidator(normalise_host)]
Network = Annotated[str, AfterValidator(normalise_network)]


class LiteLLMBlock(Block):
    """A map of LiteLLM's: keys that we don't use are allowed."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"additionalProperties": True})


class ServerBlock(Block):
    """Where the proxy listens."""

    host: Text = "127.0.0.1"
    """Address to listen on; 127.0.0.1 means this machine only."""
    port: Port = 8081
    """TCP port; 0 takes a free one."""
    trusted_proxies: list[Network] = Field(default=[])
    """Addresses or networks of reverse proxies whose `X-Forwarded-For` says who is calling."""


class AuthBlock(Block):
    """Who may use the proxy."""

    mode: Mode = "required"
    """`required`, or `off`, which is refused unless `server.host` is a loopback address."""
    tokens_file: Text = "tokens.json"
    """Hashes of tokens, written by `ccproxy token create`."""
    jwt: JwtBlock | None = None
    """JSON Web Tokens of an identity provider, accepted besides the tokens on file."""


class LocalBlock(Block):
    """How requests for local models are checked."""

    strict: StrictBool = False
    """Refuse also what Claude refuses and a local model could do without: empty text blocks, more
    than four cache breakpoints, unknown fields, system messages in odd places."""


class LedgerBlock(Block):
    """Where usage is recorded."""

    url: Text = DEFAULT_LEDGER_URL
    """An SQLAlchemy URL, `sqlite:///path` or `postgresql://...`; a relative path is relative to
    the config file. With a password best a reference, such as `file/PATH`."""
    keep_days: Annotated[int, NotBool, Field(ge=LEAST_KEPT_DAYS)] | None = 90
    """Days after which single requests and attempts are thrown away; sums stay. null: never. At
    least 32, since budgets of a month are restored from them."""


class LoggingBlock(Block):
    """Where log lines go; without a file, to stderr."""

    file: Text | None = None
    """A file of JSON lines, for the owner only; a relative path is relative to the config file."""
    max_mib: PositiveInt = 64
    """From there on a new file is begun (1 MiB = 1.049 MB)."""
    keep: Annotated[int, NotBool, Field(ge=0, le=1000)] = 5
    """Older files that are kept beside it, as `FILE.1` (the newest of them) and so on."""


class LiteLLMParams(LiteLLMBlock):
    """How a deployment is reached. Any value may be `os.environ/NAME`."""

    model: Text
    """`ollama_chat/<model>`, `anthropic/<model>`, `anthropic/*` (the client's own id) or any other
    `<provider>/<model>` of LiteLLM's."""
    api_base: Text | None = None
    """Address of the upstream, without `/v1`; Ollama's and Anthropic's own by default."""
    api_key: str | None = None
    """The upstream's key: `os.environ/NAME`, `file/PATH` (mode 0600) or
    `keychain/SERVICE/ACCOUNT`."""
    num_ctx: IntParameter | None = None
    """Context in tokens that Ollama is asked for with every request."""
    keep_alive: KeepAlive | None = None
    """How long Ollama keeps the model loaded: `30m`, seconds, -1 for ever."""
    timeout: NumberParameter | None = None
    """Seconds to the first byte of an answer."""
    stream_timeout: NumberParameter | None = None
    """Seconds to the first byte of a streamed answer; `timeout` by default."""
    max_parallel_requests: IntParameter | None = None
    """Requests this deployment serves at once."""


class ModelInfo(LiteLLMBlock):
    """What is known of a deployment's model; what is left out is asked of the upstream."""

    weights_gib: PositiveNumber | None = None
    """Memory of the weights in GiB (1 GiB = 1.074 GB)."""
    kv_kib_per_token: PositiveNumber | None = None
    """Memory of the KV cache in KiB for each token of context."""
    base_model: Text | None = None
    """With `anthropic/*`: the Claude id asked for when the client's own is not one of Claude's."""
    trained_context_tokens: PositiveInt | None = None
    """The longest context the model was trained for; `num_ctx` must not be above it."""
    supports_tools: StrictBool | None = None
    supports_vision: StrictBool | None = None
    supports_reasoning: StrictBool | None = None
    max_input_tokens: PositiveInt | None = None
    max_output_tokens: PositiveInt | None = None
    stands_in_for: list[Text] | None = None
    """Models that the roster wishes and this machine has no room for; this one is used instead."""


class DeploymentBlock(Block):
    """One deployment: a name, and where requests for it go."""

    model_name: ModelName
    """Unique; routes and clients use it."""
    litellm_params: LiteLLMParams
    credentials: Literal["proxy", "client"] = "proxy"
    """With `anthropic/…`: whose credential Claude is asked with. `proxy`: `api_key`, and the
    client's never leaves. `client`: the client's own `x-api-key` or `Authorization: Bearer`, and no
    key of ours; the client then names itself to ccproxy in `x-ccproxy-token`."""
    model_info: ModelInfo | None = None


class ConfigFile(Block):
    """The whole of `ccproxy.yaml`. Paths are relative to the file; `~` is the home folder."""

    server: ServerBlock = ServerBlock()
    auth: AuthBlock = AuthBlock()
    roster: Text = "orchestra-config.json"
    """The agents."""
    agents_folder: Text | None = None
    """A folder with the agents' Markdown files, looked in for those not found beside the roster."""
    routing: Text = "routing.yaml"
    """The routing table."""
    model_list: Annotated[list[DeploymentBlock], Field(min_length=1)]
    """The deployments, in LiteLLM's own schema."""
    on_premises_hosts: list[HostName] = Field(default=[])
    """Hosts besides this one to which `privacy: local_only` may send: names or IP addresses."""
    local: LocalBlock = LocalBlock()
    ledger: LedgerBlock = LedgerBlock()
    logging: LoggingBlock = LoggingBlock()
    alerts: AlertsBlock = AlertsBlock()
    budgets: list[BudgetBlock] = Field(default=[])
    """Limits on requests, tokens, money and concurrency."""
    litellm_settings: dict[str, object] | None = None
    """LiteLLM's; accepted so that its config files can be brought along, not used."""
    general_settings: dict[str, object] | None = None
    """LiteLLM's; not used."""
    router_settings: dict[str, object] | None = None
    """LiteLLM's; not used."""
