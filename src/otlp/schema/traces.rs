//! Messages of traces: `trace.proto`.

use super::common::{KEY_VALUE, RESOURCE, SCOPE};
use super::message::{Field, Kind, Message, Nature, Role, SignalSchema};

/// The tables of traces.
pub(super) static SCHEMA: SignalSchema =
    SignalSchema { request: &REQUEST, resource_group: &RESOURCE_SPANS, scope_group: &SCOPE_SPANS, item: &SPAN };

const SPAN_KINDS: &[(&str, i32)] = &[
    ("SPAN_KIND_UNSPECIFIED", 0),
    ("SPAN_KIND_INTERNAL", 1),
    ("SPAN_KIND_SERVER", 2),
    ("SPAN_KIND_CLIENT", 3),
    ("SPAN_KIND_PRODUCER", 4),
    ("SPAN_KIND_CONSUMER", 5),
];

const STATUS_CODES: &[(&str, i32)] = &[("STATUS_CODE_UNSET", 0), ("STATUS_CODE_OK", 1), ("STATUS_CODE_ERROR", 2)];

/// `ExportTraceServiceRequest` and `TracesData`, which are the same on the wire.
static REQUEST: Message = Message::new(
    Nature::Plain,
    &[Field::repeated("resourceSpans", Kind::Message(&RESOURCE_SPANS)).with_role(Role::Children)],
);

/// `ResourceSpans`; its field 1000 (the old instrumentation library spans) is reserved.
static RESOURCE_SPANS: Message = Message::new(
    Nature::Plain,
    &[
        Field::new("resource", Kind::Message(&RESOURCE)).with_role(Role::Shared),
        Field::repeated("scopeSpans", Kind::Message(&SCOPE_SPANS)).with_role(Role::Children),
        Field::new("schemaUrl", Kind::Text).with_role(Role::SchemaUrl),
    ],
);

/// `ScopeSpans`.
static SCOPE_SPANS: Message = Message::new(
    Nature::Plain,
    &[
        Field::new("scope", Kind::Message(&SCOPE)).with_role(Role::Shared),
        Field::repeated("spans", Kind::Message(&SPAN)).with_role(Role::Children),
        Field::new("schemaUrl", Kind::Text).with_role(Role::SchemaUrl),
    ],
);

/// `Span`.
static SPAN: Message = Message::new(
    Nature::Item,
    &[
        Field::new("traceId", Kind::Id(16)).with_role(Role::TraceId),
        Field::new("spanId", Kind::Id(8)).with_role(Role::RequiredId),
        Field::new("traceState", Kind::Text),
        Field::new("parentSpanId", Kind::Id(8)),
        Field::new("name", Kind::Text),
        Field::new("kind", Kind::Enum(SPAN_KINDS)),
        Field::new("startTimeUnixNano", Kind::Fixed64).with_role(Role::Start),
        Field::new("endTimeUnixNano", Kind::Fixed64).with_role(Role::End),
        Field::repeated("attributes", Kind::Message(&KEY_VALUE)),
        Field::new("droppedAttributesCount", Kind::Uint32),
        Field::repeated("events", Kind::Message(&EVENT)),
        Field::new("droppedEventsCount", Kind::Uint32),
        Field::repeated("links", Kind::Message(&LINK)),
        Field::new("droppedLinksCount", Kind::Uint32),
        Field::new("status", Kind::Message(&STATUS)),
        Field::new("flags", Kind::Fixed32),
    ],
);

/// `Span.Event`.
static EVENT: Message = Message::new(
    Nature::Plain,
    &[
        Field::new("timeUnixNano", Kind::Fixed64),
        Field::new("name", Kind::Text),
        Field::repeated("attributes", Kind::Message(&KEY_VALUE)),
        Field::new("droppedAttributesCount", Kind::Uint32),
    ],
);

/// `Span.Link`; a trace id within it is not the item's own.
static LINK: Message = Message::new(
    Nature::Link,
    &[
        Field::new("traceId", Kind::Id(16)).with_role(Role::RequiredId),
        Field::new("spanId", Kind::Id(8)).with_role(Role::RequiredId),
        Field::new("traceState", Kind::Text),
        Field::repeated("attributes", Kind::Message(&KEY_VALUE)),
        Field::new("droppedAttributesCount", Kind::Uint32),
        Field::new("flags", Kind::Fixed32),
    ],
);

/// `Status`; its field 1 is reserved.
static STATUS: Message = Message::new(
    Nature::Plain,
    &[Field::UNKNOWN, Field::new("message", Kind::Text), Field::new("code", Kind::Enum(STATUS_CODES))],
);
