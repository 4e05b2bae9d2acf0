"""Sends spans with the OpenTelemetry SDK for Python and writes down what it sent.

The expectation is taken from the spans as the SDK hands them to its exporter, not from the wire:
one JSON object per line in the form that `tests/interop/README.md` describes.
"""

import argparse
import json
import logging
import struct
import sys
from collections.abc import Mapping

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

# Wire numbers of `Span.SpanKind`; the API counts from INTERNAL = 0.
WIRE_KIND = {kind: kind.value + 1 for kind in SpanKind}
# Bits of `Span.flags`: "is remote" is known, and is true.
HAS_IS_REMOTE, IS_REMOTE = 0x100, 0x200

# Seconds that an export may take: spans are not to be dropped because the machine is busy.
PATIENCE = 120

ATTRIBUTES = {
    "text": "grüße, 世界 \U0001f4b3 \u2028 \x00\x07\x1f \"quoted\" \\ </script>",
    "text.empty": "",
    "text.long": "0123456789abcdef" * 4096,
    "int.zero": 0,
    "int.negative": -1,
    "int.max": 2**63 - 1,
    "int.min": -(2**63),
    "int.beyond_double": 2**53 + 1,
    "double": 0.1,
    "double.integral": 3.0,
    "double.tiny": 5e-324,
    "double.huge": 1.7976931348623157e308,
    "double.negative_zero": -0.0,
    "double.nan": float("nan"),
    "double.infinite": float("-inf"),
    "bool.true": True,
    "bool.false": False,
    "bytes": bytes(range(256)),
    "bytes.empty": b"",
    "list.empty": [],
    "list.texts": ["a", "", "ü"],
    "list.ints": [0, -(2**63), 2**63 - 1],
    "list.doubles": [0.5, float("nan"), float("inf")],
    "list.bools": [True, False],
    "map.empty": {},
    "map": {"a": 1, "": "empty key", "deep": {"deeper": [1, {"deepest": [[], {}, b"\xff"]}]}},
    "": "an empty key",
    "key with \"quotes\" and ü": 1,
}


def value(v):
    """Writes a value with its type; doubles by their bits, since text would hide differences."""
    if v is None:
        return {}
    if isinstance(v, bool):
        return {"bool": v}
    if isinstance(v, str):
        return {"string": v}
    if isinstance(v, int):
        return {"int": str(v)}
    if isinstance(v, float):
        return {"double": "nan" if v != v else struct.pack(">d", v).hex()}
    if isinstance(v, bytes):
        return {"bytes": v.hex()}
    if isinstance(v, Mapping):
        return {"map": attributes(v)}
    return {"list": [value(item) for item in v]}


def attributes(mapping):
    return sorted([str(key), value(v)] for key, v in (mapping or {}).items())


def flags(context):
    return HAS_IS_REMOTE | (IS_REMOTE if context and context.is_remote else 0)


def expectation(span):
    context, scope = span.get_span_context(), span.instrumentation_scope
    return {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        "parentSpanId": f"{span.parent.span_id:016x}" if span.parent else "",
        "traceState": context.trace_state.to_header(),
        "flags": flags(span.parent),
        "name": span.name,
        "kind": WIRE_KIND[span.kind],
        "start": str(span.start_time),
        "end": str(span.end_time),
        "attributes": attributes(span.attributes),
        "events": [
            {"name": e.name, "time": str(e.timestamp), "attributes": attributes(e.attributes)} for e in span.events
        ],
        # This SDK leaves a link's trace state out.
        "links": [
            {
                "traceId": f"{link.context.trace_id:032x}",
                "spanId": f"{link.context.span_id:016x}",
                "traceState": "",
                "flags": flags(link.context),
                "attributes": attributes(link.attributes),
            }
            for link in span.links
        ],
        "dropped": [span.dropped_attributes, span.dropped_events, span.dropped_links],
        "status": [span.status.status_code.value, span.status.description or ""],
        "resource": {"attributes": attributes(span.resource.attributes), "schemaUrl": span.resource.schema_url or ""},
        "scope": {
            "name": scope.name,
            "version": scope.version or "",
            "attributes": attributes(scope.attributes),
            "schemaUrl": scope.schema_url or "",
        },
    }


class Recording(SpanExporter):
    """Writes down every span that the exporter within was given and that the server acknowledged."""

    def __init__(self, inner, file):
        self.inner, self.file, self.failed = inner, file, False

    def export(self, spans):
        result = self.inner.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self.failed = True
        for span in spans:
            print(json.dumps(expectation(span)), file=self.file)
        return result

    def shutdown(self):
        self.inner.shutdown()

    def force_flush(self, timeout_millis=30000):
        return self.inner.force_flush(timeout_millis)


def exporter(arguments):
    if arguments.protocol == "grpc":
        compression = {"gzip": grpc.Compression.Gzip, "none": grpc.Compression.NoCompression}[arguments.compression]
        return GrpcExporter(endpoint=arguments.endpoint, insecure=True, compression=compression, timeout=PATIENCE)
    compression = {"gzip": Compression.Gzip, "none": Compression.NoCompression}[arguments.compression]
    return HttpExporter(endpoint=f"{arguments.endpoint}/v1/traces", compression=compression, timeout=PATIENCE)


def send(provider, n_spans):
    tracer = provider.get_tracer("interop.python", "1.2.3", schema_url="urn:scope", attributes={"scope.key": "v"})
    remote = SpanContext(
        trace_id=0xFEDCBA9876543210FEDCBA9876543210,
        span_id=0xFEDCBA9876543210,
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
        trace_state=TraceState([("vendor", "value"), ("other", "1")]),
    )
    keys = list(ATTRIBUTES)
    for number in range(n_spans):
        kind = list(SpanKind)[number % len(SpanKind)]
        parent = set_span_in_context(NonRecordingSpan(remote)) if number % 3 == 0 else None
        with tracer.start_as_current_span(f"span {number} ü", context=parent, kind=kind, links=[Link(remote, {"l": 1})]) as span:
            # Every hundredth span carries all attributes, the others one: small and large spans mix.
            chosen = ATTRIBUTES if number % 100 == 0 else {keys[number % len(keys)]: ATTRIBUTES[keys[number % len(keys)]]}
            for key, v in chosen.items():
                span.set_attribute(key, v)
            span.add_event("event", {"number": number, "empty": ""}, timestamp=1)
            span.add_event("")
            if number % 4 == 1:
                span.set_status(Status(StatusCode.OK))
            if number % 4 == 2:
                span.set_status(Status(StatusCode.ERROR, "declined: \"ü\""))
            with tracer.start_as_current_span("child"):
                pass


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--protocol", choices=["grpc", "http"], required=True)
    parser.add_argument("--compression", choices=["gzip", "none"], required=True)
    parser.add_argument("--spans", type=int, default=500)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    # The SDK warns about each attribute value that it does not take; what it took is in the expectation.
    logging.getLogger("opentelemetry.attributes").setLevel(logging.CRITICAL)
    with open(arguments.out, "w", encoding="utf-8") as file:
        recording = Recording(exporter(arguments), file)
        resource = Resource.create({"service.name": "python", "resource.list": ["a", "b"]}, schema_url="urn:resource")
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(BatchSpanProcessor(recording, max_queue_size=4 * arguments.spans + 512))
        send(provider, arguments.spans)
        # Without a limit: the shutdown gives up what is not sent after a while.
        provider.force_flush()
        provider.shutdown()
    if recording.failed:
        sys.exit("an export was not acknowledged")


if __name__ == "__main__":
    main()
