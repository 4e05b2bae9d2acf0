// Sends spans with the OpenTelemetry SDK for JavaScript and writes down what it sent.
//
// The expectation is taken from the spans as the SDK hands them to its exporter, not from the wire:
// one JSON object per line in the form that `tests/interop/README.md` describes.

import { createWriteStream } from 'node:fs';
import { parseArgs } from 'node:util';
import { context, SpanStatusCode, trace, TraceFlags, createTraceState } from '@opentelemetry/api';
import { OTLPTraceExporter as GrpcExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';

const { values: options } = parseArgs({
  options: {
    endpoint: { type: 'string' },
    protocol: { type: 'string' }, // grpc, protobuf or json
    compression: { type: 'string', default: 'none' },
    spans: { type: 'string', default: '500' },
    out: { type: 'string' },
  },
});

// How long an export may take.
const PATIENCE_MS = 120_000;

const ATTRIBUTES = {
  text: 'grüße, 世界 \u{1f4b3} \u2028 \u0000\u0007\u001f "quoted" \\ </script>',
  'text.empty': '',
  'text.long': '0123456789abcdef'.repeat(4096),
  'int.zero': 0,
  'int.negative': -1,
  'int.max_safe': Number.MAX_SAFE_INTEGER,
  'int.min_safe': Number.MIN_SAFE_INTEGER,
  double: 0.1,
  'double.tiny': 5e-324,
  'double.nan': NaN,
  'double.infinite': -Infinity,
  'bool.true': true,
  'bool.false': false,
  'list.empty': [],
  'list.texts': ['a', '', 'ü', null],
  'list.ints': [0, -1, Number.MAX_SAFE_INTEGER],
  'list.doubles': [0.5, NaN, Infinity],
  'list.bools': [true, false],
  'key with "quotes" and ü': 1,
};

// The tracing API refuses these; the exporter takes them, and logs and events have them already.
const NESTED = {
  map: { a: 1, '': 'empty key', deep: { deeper: [1, { deepest: [[], {}] }] } },
  bytes: Uint8Array.from({ length: 256 }, (_, byte) => byte),
  absent: null,
};

const hex = bytes => Buffer.from(bytes).toString('hex');

// A value with its type; doubles by their bits, since text would hide differences.
function value(v) {
  if (v === null || v === undefined) return {};
  if (typeof v === 'boolean') return { bool: v };
  if (typeof v === 'string') return { string: v };
  if (typeof v === 'number') {
    if (Number.isInteger(v)) return { int: v.toString() };
    // JSON has no text for these: `JSON.stringify` writes `null`, and `null` means absent.
    if (!Number.isFinite(v) && options.protocol === 'json') return {};
    if (Number.isNaN(v)) return { double: 'nan' };
    const bits = Buffer.alloc(8);
    bits.writeDoubleBE(v);
    return { double: bits.toString('hex') };
  }
  if (v instanceof Uint8Array) return { bytes: hex(v) };
  if (Array.isArray(v)) return { list: v.map(value) };
  return { map: attributes(v) };
}

// Sorted by code points, as the other programs do; JavaScript compares UTF-16 units, equal for these keys.
function attributes(record) {
  const pairs = Object.entries(record ?? {}).map(([key, v]) => [key, value(v)]);
  return pairs.sort(([a], [b]) => (a < b ? -1 : 1));
}

const nanos = ([seconds, rest]) => (BigInt(seconds) * 1_000_000_000n + BigInt(rest)).toString();
const flags = (traceFlags, isRemote) => (traceFlags & 0xff) | 0x100 | (isRemote ? 0x200 : 0);

function expectation(span) {
  const own = span.spanContext();
  const parent = span.parentSpanContext;
  const scope = span.instrumentationScope;
  return {
    traceId: own.traceId,
    spanId: own.spanId,
    parentSpanId: parent?.spanId ?? '',
    traceState: own.traceState?.serialize() ?? '',
    flags: flags(own.traceFlags, parent?.isRemote),
    name: span.name,
    kind: span.kind + 1,
    start: nanos(span.startTime),
    end: nanos(span.endTime),
    attributes: attributes(span.attributes),
    events: span.events.map(e => ({ name: e.name, time: nanos(e.time), attributes: attributes(e.attributes) })),
    links: span.links.map(link => ({
      traceId: link.context.traceId,
      spanId: link.context.spanId,
      traceState: link.context.traceState?.serialize() ?? '',
      flags: flags(link.context.traceFlags, link.context.isRemote),
      attributes: attributes(link.attributes),
    })),
    dropped: [span.droppedAttributesCount, span.droppedEventsCount, span.droppedLinksCount],
    status: [span.status.code, span.status.message ?? ''],
    resource: { attributes: attributes(span.resource.attributes), schemaUrl: span.resource.schemaUrl ?? '' },
    scope: {
      name: scope.name,
      version: scope.version ?? '',
      attributes: attributes(scope.attributes),
      schemaUrl: scope.schemaUrl ?? '',
    },
  };
}

function exporter() {
  const { endpoint, compression } = options;
  // Spans are not to be dropped because the machine is busy.
  const shared = { compression, timeoutMillis: PATIENCE_MS };
  switch (options.protocol) {
    case 'grpc':
      return new GrpcExporter({ url: endpoint, ...shared });
    case 'protobuf':
      return new ProtobufExporter({ url: `${endpoint}/v1/traces`, ...shared });
    case 'json':
      return new JsonExporter({ url: `${endpoint}/v1/traces`, ...shared });
    default:
      throw new Error(`unknown protocol ${options.protocol}`);
  }
}

// Writes down every span that the exporter within was given, and whether all were acknowledged.
class Recording {
  constructor(inner, file) {
    this.inner = inner;
    this.file = file;
    this.failures = [];
  }

  export(spans, done) {
    for (const span of spans) {
      if (span.name === 'nested') Object.assign(span.attributes, NESTED);
      this.file.write(`${JSON.stringify(expectation(span))}\n`);
    }
    this.inner.export(spans, result => {
      if (result.code !== 0) this.failures.push(result.error);
      done(result);
    });
  }

  shutdown() {
    return this.inner.shutdown();
  }

  forceFlush() {
    return this.inner.forceFlush();
  }
}

function send(provider, nSpans) {
  const tracer = provider.getTracer('interop.js', '1.2.3', { schemaUrl: 'urn:scope' });
  const remote = {
    traceId: 'fedcba9876543210fedcba9876543210',
    spanId: 'fedcba9876543210',
    isRemote: true,
    traceFlags: TraceFlags.SAMPLED,
    traceState: createTraceState('vendor=value,other=1'),
  };
  const keys = Object.keys(ATTRIBUTES);
  for (let number = 0; number < nSpans; number++) {
    const key = keys[number % keys.length];
    const parent = number % 3 === 0 ? trace.setSpanContext(context.active(), remote) : context.active();
    const span = tracer.startSpan(
      number % 10 === 7 ? 'nested' : `span ${number} ü`,
      {
        kind: number % 5,
        attributes: number % 100 === 0 ? ATTRIBUTES : { [key]: ATTRIBUTES[key] },
        links: [{ context: remote, attributes: { l: 1 } }],
      },
      parent,
    );
    span.addEvent('event', { number, empty: '' }, [0, 1]);
    span.addEvent('');
    if (number % 4 === 1) span.setStatus({ code: SpanStatusCode.OK });
    if (number % 4 === 2) span.setStatus({ code: SpanStatusCode.ERROR, message: 'declined: "ü"' });
    tracer.startSpan('child', {}, trace.setSpan(context.active(), span)).end();
    span.end();
  }
}

const file = createWriteStream(options.out);
const recording = new Recording(exporter(), file);
const nSpans = Number(options.spans);
const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'js', 'resource.list': ['a', 'b'] }, { schemaUrl: 'urn:resource' }),
  spanProcessors: [new BatchSpanProcessor(recording, { maxQueueSize: 4 * nSpans + 512, exportTimeoutMillis: 2 * PATIENCE_MS })],
});
send(provider, nSpans);
await provider.shutdown();
await new Promise(resolve => file.end(resolve));
if (recording.failures.length > 0) {
  console.error('an export was not acknowledged:', recording.failures[0]);
  process.exit(1);
}
