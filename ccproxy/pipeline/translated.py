"""An attempt at a deployment that does not speak the Messages API (a local model).

The upstream is always streamed; a client that did not ask for a stream gets the same events,
folded. Until `patience_s` a failure is a real HTTP status and a fallback is invisible; then the
stream is committed: 200, our `message_start`, and pings while the model is silent.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ccproxy.outcome import Usage
from ccproxy.pipeline.answer import Answer, StreamReply, json_reply, open_stream, whole_answer
from ccproxy.pipeline.checked_turn import checked_turn
from ccproxy.pipeline.off_loop import LARGE_BYTES, off_loop
from ccproxy.ports import AttemptFailed
from ccproxy.wire.errors import UnsupportedLocally
from ccproxy.wire.estimate import estimate_prompt
from ccproxy.wire.history import without_empty_answers
from ccproxy.wire.normalise import normalise
from ccproxy.wire.normalise_tools import choice_instruction
from ccproxy.wire.notes import note
from ccproxy.wire.offered_tools import OfferedTools
from ccproxy.wire.prompt_prefix import prompt_parts
from ccproxy.wire.thinking import limited_body
from ccproxy.wire.tool_changes import with_tool_changes
from ccproxy.wire.turn import Wanted
from ccproxy.wire.validate import ignored_fields, validate_request
from routing.failures import FailureClass

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ccproxy.pipeline.paces import Paces
    from ccproxy.pipeline.prefix_watch import PrefixWatch, Seen
    from ccproxy.pipeline.request import MessagesRequest, WholeReply
    from ccproxy.pipeline.slots import Slots
    from ccproxy.pipeline.token_ratios import TokenRatios
    from ccproxy.ports import ModelCall, ModelDone, ModelFacts, ModelUpstream
    from ccproxy.wire.estimate import PromptEstimate
    from routing.types import Side

PATIENCE_S: Final = 8.0
"""How long a stream may stay uncommitted; at most 14, because a client wants a byte within 15 s."""


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """What one translated deployment can hold."""

    num_ctx: int | None
    """Tokens of prompt and answer together; None where the upstream's limit is not ours to pin."""
    max_output_tokens: int | None = None
    max_input_tokens: int | None = None

    @property
    def max_prompt_tokens(self) -> int | None:
        """The longest prompt: as stated, and such that it still leaves room for an answer."""
        if self.num_ctx is None:
            return self.max_input_tokens
        roomy = self.num_ctx - min(1024, self.num_ctx // 8)
        return min(roomy, self.max_input_tokens or roomy)


class TranslatedDeployment:
    """One deployment behind a `ModelUpstream`."""

    def __init__(  # noqa: PLR0913 - by keyword only; each is one part that `fleet` wires
        self,
        name: str,
        side: Side,
        upstream: ModelUpstream,
        *,
        model: str,
        facts: Callable[[], Awaitable[ModelFacts]],
        limits: ModelLimits,
        slots: Slots,
        token_ratios: TokenRatios,
        prefixes: PrefixWatch,
        paces: Paces,
        on_answer: Callable[[], object] = bool,
        patience_s: float = PATIENCE_S,
        strict: bool = False,
    ) -> None:
        """Take one model, `model` by its upstream's name.

        `facts` answers within a second and loads nothing; `on_answer` hears at the end of every
        answer; `strict` is `validate_request`'s.
        """
        self.name = name
        self.side = side
        self.upstream = upstream
        self._model = model
        self._facts = facts
        self._limits = limits
        self._slots = slots
        self._token_ratios = token_ratios
        self._prefixes = prefixes
        self._paces = paces
        self._on_answer = on_answer
        self._patience_s = patience_s
        self._strict = strict

    def model_for(self, _request: MessagesRequest) -> str:
        """Return the upstream's name of the model; see `Served.model_for`."""
        return self._model

    async def open(self, request: MessagesRequest) -> WholeReply | StreamReply:
        """Validate, translate and wait for the model's first word; see `Served.open`."""
        size_bytes = len(request.decoded_body)
        body, notes = without_empty_answers(request.body)
        if notes:
            request.notes.extend(notes)
            request = replace(request, body=body)
        body = limited_body(request.body, request.thinking)
        if body is not request.body:
            request.notes.append(f"thinking={request.thinking.mode}")
            request = replace(request, body=body)
        try:
            estimate = await off_loop(size_bytes, self._checked, request)
            input_tokens = self._token_ratios.calibrated(self.name, estimate.tokens)
            if request.counting:
                return json_reply({"input_tokens": input_tokens}, Usage(input_tokens=input_tokens))
            call = await self._translated(request, input_tokens)
        except UnsupportedLocally as exc:
            raise AttemptFailed(
                FailureClass.CAPABILITY_MISSING, exc.message, error_code=exc.error_code
            ) from exc

        # The stream keeps `learn`, and must not keep the request with its bytes.
        request_id, notes, prompt_tokens = request.request_id, request.notes, request.prompt_tokens

        def learn(done: ModelDone | None) -> None:
            self._on_answer()
            if done is None:
                return
            verdict = self._token_ratios.learn(
                self.name, estimate, done.input_tokens, request_id=request_id
            )
            notes.extend(verdict.notes)
            counts = prompt_tokens.setdefault(self.name, Counter())
            self._paces.learn(self.name, seen, done, counts, request_id=request_id)

        answer = Answer(request, call, input_tokens, self._limits.num_ctx, on_end=learn)
        if request.body["max_tokens"] == 0:
            return json_reply(*answer.empty())
        seen = await self._seen(request, call, input_tokens)
        counts = request.tool_calls.setdefault(self.name, Counter())
        turn = checked_turn(
            self.upstream, call, _wanted(request.body, call), counts=counts, notes=request.notes
        )
        source = self._slots.admitted(turn, answer.admitted)
        if request.stream:
            return await open_stream(answer, source, patience_s=self._patience_s)
        return await whole_answer(answer, source)

    async def _seen(self, request: MessagesRequest, call: ModelCall, input_tokens: int) -> Seen:
        """Return what the model has read of a prompt, and note where its prefix broke."""
        parts = await off_loop(len(request.decoded_body), prompt_parts, call)
        seen = self._prefixes.look(self.name, request.conversation, parts, input_tokens)
        if seen.place:
            request.notes.append(note("prefix_broken", seen.place))
        return seen

    def _checked(self, request: MessagesRequest) -> PromptEstimate:
        """Return the estimate of a request that a local model may be asked."""
        validate_request(
            request.body,
            version=request.version,
            counting=request.counting,
            strict=self._strict,
        )
        return estimate_prompt(request.body)

    async def _translated(self, request: MessagesRequest, input_tokens: int) -> ModelCall:
        """Return what the model is asked.

        Raises:
            AttemptFailed: CONTEXT_OVERFLOW; or the request must not leave the host and might.
            UnsupportedLocally: The request needs what this model lacks.
        """
        facts = await self._facts()
        if request.local_only and facts.remote is not False:
            raise self._not_known_to_stay(facts)
        request.notes.extend(f"ignored={name}" for name in ignored_fields(request.body))
        # A small image may have many pixels, and some kinds are made anew.
        has_images = b'"image"' in request.decoded_body
        return await off_loop(
            LARGE_BYTES if has_images else len(request.decoded_body),
            normalise,
            request.body,
            facts,
            max_output_tokens_cap=self._room_for_answer(request.body["max_tokens"], input_tokens),
        )

    def _not_known_to_stay(self, facts: ModelFacts) -> AttemptFailed:
        """Return the refusal of a `local_only` request that might leave the host."""
        if facts.remote:
            message = "This model's inference runs on another host, and the request is local_only."
            return AttemptFailed(FailureClass.CAPABILITY_MISSING, message)
        if facts.present is False:
            return AttemptFailed(FailureClass.MODEL_MISSING, f"model: {self.name}")
        return AttemptFailed(
            FailureClass.CONNECT_ERROR,
            "Whether this model runs on this host is not known yet, and the request is local_only.",
            tells_of_deployment=False,
        )

    def _room_for_answer(self, max_tokens: int, input_tokens: int) -> int | None:
        """Return the cap on the answer.

        Raises:
            AttemptFailed: CONTEXT_OVERFLOW, in the words that make Claude Code compact.
        """
        limits = self._limits
        longest = limits.max_prompt_tokens
        if longest is not None and input_tokens > longest:
            raise AttemptFailed(
                FailureClass.CONTEXT_OVERFLOW,
                f"prompt is too long: {input_tokens} tokens > {longest} maximum",
            )
        if limits.num_ctx is None:
            return limits.max_output_tokens
        room = limits.num_ctx - input_tokens
        return min(room, max_tokens or room, limits.max_output_tokens or room)


def _wanted(body: Mapping[str, Any], call: ModelCall) -> Wanted:
    """Return what the model's turn has to be."""
    names = {tool["function"]["name"] for tool in call.tools}
    choice = body.get("tool_choice") or {}
    tools = with_tool_changes(body).get("tools") or ()
    return Wanted(
        tools=OfferedTools([tool for tool in tools if tool["name"] in names]),
        demand=choice_instruction(body) if names else "",
        max_calls=1 if choice.get("disable_parallel_tool_use") else None,
        response_schema=call.response_schema,
        stop_sequences=body.get("stop_sequences") or (),
    )
