"""Requests as OpenTelemetry spans."""

import logging
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import SpanKind, StatusCode

from ccproxy.observability.traces import Traces
from ccproxy.observability.tracing import tracing_from
from ccproxy.outcome import AttemptRecord, Ending, Origin, Outcome, Usage

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
PROVIDERS = {"qwen": "ollama", "claude-sonnet": "anthropic"}
NANOSECONDS = 10**9


def finished(**changes):
    """Return a turn that fell back from a local model to Claude."""
    fields = {
        "origin": Origin("127.0.0.1", "POST", "/v1/messages", TRACEPARENT),
        "principal": "somebody",
        "agent": "coder",
        "agent_source": "path",
        "requested_model": "claude-sonnet-5-5",
        "deployment": "claude-sonnet",
        "route": "claude",
        "attempt_records": [
            AttemptRecord("qwen", "local", "overloaded", "qwen2.5-coder:32b", 100.5, 1.0),
            AttemptRecord(
                *("claude-sonnet", "claude", "ok", "claude-sonnet-5-5", 101.5, 2.0),
                Usage(10, 20, 30, 40, "claude-sonnet-5-5-20260901", "end_turn"),
            ),
        ],
        "status": 200,
        "stream": True,
        "arrived_at": 100.0,
        "ttft_s": 2.25,
        "total_s": 3.5,
        "usage": Usage(10, 20, 30, 40, "claude-sonnet-5-5-20260901", "end_turn"),
        "notes": ["thinking=off"],
        **changes,
    }
    return Outcome("req_1", fields.pop("endpoint", "messages"), 1_700_000_000.0, **fields)


def spans_of(*outcomes):
    """Return what is exported, in the order of their beginnings, parents first."""
    exporter = InMemorySpanExporter()
    traces = Traces(exporter, PROVIDERS)
    for outcome in outcomes:
        traces.record(outcome)
    traces.close()
    return sorted(exporter.get_finished_spans(), key=lambda span: (span.start_time, span.parent))


def test_a_request_is_a_span_and_so_is_each_attempt():
    """With the times at which they were, below the client's own span."""
    request, local, claude = spans_of(finished())

    begin = 1_700_000_000 * NANOSECONDS
    spans = (request, local, claude)
    assert [0.0, 0.5, 1.5] == [(span.start_time - begin) / NANOSECONDS for span in spans]
    assert [3.5, 1.5, 3.5] == [(span.end_time - begin) / NANOSECONDS for span in spans]
    assert [request.kind, local.kind, claude.kind] == [SpanKind.SERVER, *[SpanKind.CLIENT] * 2]
    assert [request.name, local.name] == ["chat claude-sonnet-5-5", "chat qwen2.5-coder:32b"]
    assert (f"{request.parent.trace_id:032x}", f"{request.parent.span_id:016x}") == (TRACE, PARENT)
    assert {span.parent.span_id for span in (local, claude)} == {request.context.span_id}
    assert {span.context.trace_id for span in (request, local, claude)} == {int(TRACE, 16)}


def test_spans_speak_the_genai_conventions():
    """Every `gen_ai.*` name is one of theirs; prompt tokens have the cached ones in them."""
    request, local, claude = spans_of(finished())

    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.agent.name": "coder",
        "gen_ai.request.model": "claude-sonnet-5-5",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "claude-sonnet-5-5-20260901",
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.response.time_to_first_chunk": 2.25,
        "gen_ai.usage.input_tokens": 80,
        "gen_ai.usage.cache_creation.input_tokens": 30,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.output_tokens": 20,
        "http.response.status_code": 200,
        "ccproxy.request_id": "req_1",
    }.items() <= request.attributes.items()
    assert [each.attributes["gen_ai.provider.name"] for each in (local, claude)] == [
        "ollama",
        "anthropic",
    ]
    known = {value for value in vars(gen_ai_attributes).values() if isinstance(value, str)}
    used = {name for span in (request, local, claude) for name in span.attributes}
    assert {name for name in used if name.startswith("gen_ai.")} <= known


def test_what_failed_is_an_error_and_what_was_refused_is_not():
    """By OpenTelemetry's rules a server's 4xx is its client's mistake."""
    request, local, _ = spans_of(finished())
    (refused,) = spans_of(
        finished(status=400, ending=Ending.REFUSED, attempt_records=[], usage=Usage())
    )
    (failed,) = spans_of(
        finished(status=529, ending=Ending.FAILED, attempt_records=[], usage=Usage())
    )

    assert [each.status.status_code for each in (request, local, refused, failed)] == [
        StatusCode.UNSET,
        StatusCode.ERROR,
        StatusCode.UNSET,
        StatusCode.ERROR,
    ]
    assert (local.attributes["error.type"], failed.attributes["error.type"]) == (
        "overloaded",
        "failed",
    )


@pytest.mark.parametrize("traceparent", ["", "nonsense", "00-0-0-01", f"00-{'0' * 32}-{PARENT}-01"])
def test_a_request_without_a_usable_parent_begins_a_trace(traceparent):
    """What a client sends there is never trusted to be well-formed."""
    request, *_ = spans_of(finished(origin=Origin(traceparent=traceparent)))

    assert request.parent is None


def test_a_client_that_does_not_sample_is_not_sampled():
    """Its trace would have a hole at its top."""
    origin = Origin(traceparent=TRACEPARENT.removesuffix("01") + "00")

    assert spans_of(finished(origin=origin)) == []


def test_who_asked_and_what_was_said_is_in_no_span():
    """No principal, no address, no path, no note."""
    text = "".join(span.to_json() for span in spans_of(finished()))

    assert not [each for each in ("somebody", "127.0.0.1", "thinking", "/v1/") if each in text]


def test_counting_is_no_chat():
    """The conventions have no word for it, so its span has none of theirs."""
    counted, *_ = spans_of(finished(endpoint="count_tokens"))

    assert counted.name == "count_tokens"
    assert "gen_ai.operation.name" not in counted.attributes


@contextmanager
def collector():
    """Run an OTLP collector; yield its address and what it gets."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((self.path, ExportTraceServiceRequest.FromString(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_spans_reach_a_collector(monkeypatch):
    """Over OTLP, at the address of the standard variable, under the service's name."""
    with collector() as (address, got):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        tracing = tracing_from({"OTEL_TRACES_EXPORTER": "otlp"}, PROVIDERS)
        tracing.record(finished())
        tracing.close()

    ((path, request),) = got
    (found,) = request.resource_spans
    service = {each.key: each.value.string_value for each in found.resource.attributes}
    assert path == "/v1/traces"
    assert service["service.name"] == "ccproxy"
    assert len(found.scope_spans[0].spans) == 3


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector"}, ""),
        ({"OTEL_TRACES_EXPORTER": "none"}, ""),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, ""),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "only otlp"),
    ],
)
def test_traces_are_off_unless_somebody_asks(environ, said, caplog):
    """Also where an address of a collector is set, which other programs may use."""
    caplog.set_level(logging.ERROR)

    assert tracing_from(environ, PROVIDERS) is None
    assert said in caplog.text
    assert bool(said) == bool(caplog.text)


def test_a_missing_package_is_told(monkeypatch, caplog):
    """Requests are served without traces, and the log says what to install."""
    monkeypatch.setitem(sys.modules, "ccproxy.observability.traces", None)

    assert tracing_from({"OTEL_TRACES_EXPORTER": "otlp"}, PROVIDERS) is None
    assert "pip install 'ccproxy[otel]'" in caplog.text
