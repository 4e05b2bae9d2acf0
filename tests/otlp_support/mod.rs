//! What the tests of the transcoder share: arbitrary requests, and what the rules make of a typed request.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use proptest::collection::vec;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z./]{0,24}", 1 => any::<String>(), 1 => Just("a \"quoted\" \\ \n line".to_owned())]
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        4 => text().prop_map(Value::StringValue),
        1 => any::<bool>().prop_map(Value::BoolValue),
        2 => any::<i64>().prop_map(Value::IntValue),
        2 => (-1e300..1e300_f64).prop_map(Value::DoubleValue),
        1 => vec(any::<u8>(), 0..20).prop_map(Value::BytesValue),
    ];
    let leaf = proptest::option::weighted(0.9, leaf).prop_map(|value| AnyValue { value });
    leaf.prop_recursive(3, 16, 4, |inner| {
        let pair = (text(), proptest::option::of(inner.clone())).prop_map(|(key, value)| KeyValue {
            key,
            value,
            ..KeyValue::default()
        });
        prop_oneof![
            vec(inner, 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec(pair, 0..4).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let key = prop_oneof![4 => text(), 1 => Just("service.name".to_owned())];
    let pair = (key, proptest::option::of(any_value())).prop_map(|(key, value)| KeyValue {
        key,
        value,
        ..KeyValue::default()
    });
    vec(pair, 0..4)
}

fn id(len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        12 => vec(any::<u8>(), len..=len),
        1 => Just(vec![0; len]),
        1 => vec(any::<u8>(), 0..len + 2),
    ]
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), any::<u32>()]
}

fn event() -> impl Strategy<Value = Event> {
    (any::<u64>(), text(), attributes(), number()).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn link() -> impl Strategy<Value = Link> {
    (id(16), id(8), text(), attributes(), number(), number()).prop_map(
        |(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count,
            flags,
        },
    )
}

fn status() -> impl Strategy<Value = Option<Status>> {
    proptest::option::of((text(), 0..4_i32).prop_map(|(message, code)| Status { message, code }))
}

fn span() -> impl Strategy<Value = Span> {
    let ids = (id(16), id(8), id(8), text(), text());
    let numbers = (number(), -2..9_i32, any::<u64>(), any::<u64>(), number(), number(), number());
    let lists = (attributes(), vec(event(), 0..3), vec(link(), 0..3), status());
    (ids, numbers, lists).prop_map(|(ids, numbers, (attributes, events, links, status))| {
        let (trace_id, span_id, parent_span_id, trace_state, name) = ids;
        let (flags, kind, start_time_unix_nano, end_time_unix_nano, attrs, evs, lns) = numbers;
        Span {
            trace_id,
            span_id,
            trace_state,
            parent_span_id,
            flags,
            name,
            kind,
            start_time_unix_nano,
            end_time_unix_nano,
            attributes,
            dropped_attributes_count: attrs,
            events,
            dropped_events_count: evs,
            links,
            dropped_links_count: lns,
            status,
        }
    })
}

fn entity() -> impl Strategy<Value = EntityRef> {
    (text(), text(), vec(text(), 0..3), vec(text(), 0..3)).prop_map(
        |(schema_url, r#type, id_keys, description_keys)| EntityRef { schema_url, r#type, id_keys, description_keys },
    )
}

fn resource() -> impl Strategy<Value = Resource> {
    (attributes(), number(), vec(entity(), 0..2)).prop_map(|(attributes, dropped_attributes_count, entity_refs)| {
        Resource { attributes, dropped_attributes_count, entity_refs }
    })
}

fn scope() -> impl Strategy<Value = InstrumentationScope> {
    (text(), text(), attributes(), number()).prop_map(|(name, version, attributes, dropped_attributes_count)| {
        InstrumentationScope { name, version, attributes, dropped_attributes_count }
    })
}

/// Any request whose doubles JSON can write.
pub(crate) fn request() -> impl Strategy<Value = TracesData> {
    let scope_spans = (proptest::option::of(scope()), vec(span(), 0..4), text())
        .prop_map(|(scope, spans, schema_url)| ScopeSpans { scope, spans, schema_url });
    let resource_spans = (proptest::option::of(resource()), vec(scope_spans, 0..3), text())
        .prop_map(|(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url });
    vec(resource_spans, 0..3).prop_map(|resource_spans| TracesData { resource_spans })
}

/// Returns what the rules leave of a request: R28, R29, R32, R33 and R35.
pub(crate) fn canonical(mut request: TracesData) -> TracesData {
    for group in &mut request.resource_spans {
        if let Some(resource) = &mut group.resource {
            tidy_all(&mut resource.attributes);
        }
        group.resource = group.resource.take().filter(|resource| *resource != Resource::default());
        for scope_group in &mut group.scope_spans {
            if let Some(scope) = &mut scope_group.scope {
                tidy_all(&mut scope.attributes);
            }
            scope_group.scope = scope_group.scope.take().filter(|scope| *scope != InstrumentationScope::default());
            scope_group.spans.retain(|span| is_id(&span.trace_id, 16) && is_id(&span.span_id, 8));
            scope_group.spans.iter_mut().for_each(tidy_span);
        }
        group.scope_spans.retain(|scope_group| !scope_group.spans.is_empty());
    }
    request.resource_spans.retain(|group| !group.scope_spans.is_empty());
    request
}

fn is_id(id: &[u8], len: usize) -> bool {
    id.len() == len && id.iter().any(|&byte| byte != 0)
}

fn tidy_span(span: &mut Span) {
    if !is_id(&span.parent_span_id, 8) {
        span.parent_span_id.clear();
    }
    span.status = span.status.take().filter(|status| *status != Status::default());
    span.links.retain(|link| is_id(&link.trace_id, 16) && is_id(&link.span_id, 8));
    tidy_all(&mut span.attributes);
    span.events.iter_mut().for_each(|event| tidy_all(&mut event.attributes));
    span.links.iter_mut().for_each(|link| tidy_all(&mut link.attributes));
}

fn tidy_all(attributes: &mut [KeyValue]) {
    for attribute in attributes {
        attribute.key_strindex = 0;
        if let Some(value) = &mut attribute.value {
            tidy(value);
        }
        attribute.value = attribute.value.take().filter(|value| value.value.is_some());
    }
}

fn tidy(value: &mut AnyValue) {
    match &mut value.value {
        Some(Value::ArrayValue(array)) => array.values.iter_mut().for_each(tidy),
        Some(Value::KvlistValue(list)) => tidy_all(&mut list.values),
        Some(Value::DoubleValue(double)) if double.is_nan() => *double = f64::NAN,
        Some(Value::StringValueStrindex(_)) => value.value = None,
        _ => {}
    }
}
