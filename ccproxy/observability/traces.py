"""Requests as OpenTelemetry spans, made of their outcomes once they are over; off by default.

Rules:
1. `OTEL_TRACES_EXPORTER=otlp` turns it on; the SDK reads everything else (`OTEL_EXPORTER_OTLP_*`,
   `OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_BSP_*`) from the environment by itself.
2. A request is one span, and each of its attempts one below it. The client's `traceparent` is their
   parent, and its decision to sample counts.
3. Names are those of the GenAI semantic conventions (OpenTelemetry, *Gen AI*, 2026-10: in
   development). Nothing of what was said is in a span, nor of who said it but the agent's name.
4. Exporting is the SDK's thread's business; a collector that is down costs spans, never requests.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ccproxy import __version__
from ccproxy.outcome import ANSWERED, Ending
from ccproxy.rows import TEXT_LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

    from ccproxy.outcome import AttemptRecord, Outcome, Usage

MESSAGES: Final = "messages"
CHAT: Final = "chat"
"""The conventions' word for a turn of a conversation; they have none for counting tokens."""
NANOSECONDS: Final = 1_000_000_000
CLOSE_S: Final = 2.0
"""How long the end of the process waits for a collector."""

_FAULTS: Final = frozenset({Ending.FAILED, Ending.BROKEN})
"""Ends of a request that are errors of this service, not of its client: a server's 4xx is none
(OpenTelemetry, *HTTP spans*)."""

_log = logging.getLogger(__name__)


class Traces:
    """Implements `ports.OutcomeSink` as spans."""

    def __init__(self, exporter: SpanExporter, providers: Mapping[str, str]) -> None:
        """Start the thread that exports.

        Args:
            exporter: Where spans go.
            providers: Who serves a deployment, by its name, e.g. `anthropic`.
        """
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("ccproxy", __version__)
        self._continued = TraceContextTextMapPropagator()
        self._providers = providers

    def record(self, outcome: Outcome) -> None:
        """Make the spans of a finished request."""
        began_ns = int(outcome.started_at * NANOSECONDS)
        span = self._tracer.start_span(
            _name(outcome),
            self._parent(outcome),
            SpanKind.SERVER,
            _request_attributes(outcome),
            start_time=began_ns,
        )
        if outcome.ending in _FAULTS:
            span.set_status(Status(StatusCode.ERROR))
        if span.is_recording():
            self._record_attempts(span, outcome, began_ns)
        span.end(began_ns + int(outcome.total_s * NANOSECONDS))

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Export what waits and stop; blocks for at most `timeout_s`."""
        # The SDK would wait for a collector that hangs for half a minute.
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(timeout_s)
        if closing.is_alive():
            _log.warning("traces: the last spans could not be exported in %g s", timeout_s)

    def _parent(self, outcome: Outcome) -> Context | None:
        traceparent = outcome.origin.traceparent
        return self._continued.extract({"traceparent": traceparent}) if traceparent else None

    def _record_attempts(self, span: Span, outcome: Outcome, began_ns: int) -> None:
        context = set_span_in_context(span)
        for attempt in outcome.attempt_records:
            after_s = attempt.began_at - outcome.arrived_at if attempt.began_at else 0.0
            start_ns = began_ns + int(max(0.0, after_s) * NANOSECONDS)
            child = self._tracer.start_span(
                _name(outcome, attempt.upstream_model),
                context,
                SpanKind.CLIENT,
                self._attempt_attributes(outcome, attempt),
                start_time=start_ns,
            )
            if attempt.result != ANSWERED:
                child.set_status(Status(StatusCode.ERROR))
            child.end(start_ns + int(attempt.took_s * NANOSECONDS))

    def _attempt_attributes(
        self, outcome: Outcome, attempt: AttemptRecord
    ) -> dict[str, AttributeValue]:
        found: dict[str, AttributeValue] = {
            "gen_ai.provider.name": self._providers.get(attempt.deployment, "unknown"),
            "gen_ai.request.model": attempt.upstream_model[:TEXT_LIMIT],
            "ccproxy.deployment": attempt.deployment,
            "ccproxy.route": attempt.route,
            "ccproxy.result": attempt.result,
        }
        if outcome.endpoint == MESSAGES:
            found["gen_ai.operation.name"] = CHAT
            found |= _usage_attributes(attempt.usage)
        if attempt.result != ANSWERED:
            found["error.type"] = attempt.result
        return found


def traces_at_collector(providers: Mapping[str, str]) -> Traces:
    """Return traces that go where the environment says, by OTLP over HTTP."""
    return Traces(OTLPSpanExporter(), providers)


def _resource() -> Resource:
    """Return who we are; the environment may say it better."""
    found = Resource.create({SERVICE_VERSION: __version__})
    name = found.attributes.get(SERVICE_NAME)
    is_named = isinstance(name, str) and not name.startswith("unknown_service")
    return found if is_named else found.merge(Resource({SERVICE_NAME: "ccproxy"}))


def _name(outcome: Outcome, model: str | None = None) -> str:
    if outcome.endpoint != MESSAGES:
        return outcome.endpoint
    return (
        f"{CHAT} {(model if model is not None else outcome.requested_model)[:TEXT_LIMIT]}".strip()
    )


def _request_attributes(outcome: Outcome) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {
        "http.request.method": outcome.origin.method,
        "ccproxy.request_id": outcome.request_id,
        "ccproxy.agent_source": outcome.agent_source,
        "ccproxy.deployment": outcome.deployment,
        "ccproxy.route": outcome.route,
        "ccproxy.ending": outcome.ending,
        "ccproxy.attempts": len(outcome.attempt_records),
    }
    if outcome.status:
        found["http.response.status_code"] = outcome.status
    if outcome.agent_source != "none":
        found["gen_ai.agent.name"] = outcome.agent
    if outcome.requested_model:
        found["gen_ai.request.model"] = outcome.requested_model[:TEXT_LIMIT]
    if outcome.ending in _FAULTS:
        found["error.type"] = outcome.ending
    if outcome.endpoint == MESSAGES:
        found["gen_ai.operation.name"] = CHAT
        found["gen_ai.request.stream"] = outcome.stream
        if outcome.ttft_s is not None:
            found["gen_ai.response.time_to_first_chunk"] = outcome.ttft_s
        found |= _usage_attributes(outcome.usage)
    return found


def _usage_attributes(usage: Usage) -> dict[str, AttributeValue]:
    """Return what an answer says of itself.

    `input_tokens` has the cached ones in it, as the conventions for Anthropic want it.
    """
    found: dict[str, AttributeValue] = {}
    written, read = usage.cache_creation_input_tokens, usage.cache_read_input_tokens
    if usage.input_tokens is not None:
        found["gen_ai.usage.input_tokens"] = usage.input_tokens + (written or 0) + (read or 0)
    if usage.output_tokens is not None:
        found["gen_ai.usage.output_tokens"] = usage.output_tokens
    if written is not None:
        found["gen_ai.usage.cache_creation.input_tokens"] = written
    if read is not None:
        found["gen_ai.usage.cache_read.input_tokens"] = read
    if usage.response_model:
        found["gen_ai.response.model"] = usage.response_model[:TEXT_LIMIT]
    if usage.stop_reason:
        found["gen_ai.response.finish_reasons"] = (usage.stop_reason,)
    return found
