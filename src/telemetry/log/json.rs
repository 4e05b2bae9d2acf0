//! The JSON form of a log line: one flat object.
//!
//! What the enclosing spans carry, such as `trace_id` and `span_id`, stands beside the fields of
//! the event, where those who collect logs look for it, and not in an object of its own.

use std::fmt;

use serde::ser::{SerializeMap as _, Serializer as _};
use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_serde::{AsSerde as _, SerdeMapVisitor};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes events as flat JSON objects; fields of spans must be formatted as JSON, too.
pub(super) struct Flat;

impl<S, N> FormatEvent<S, N> for Flat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let line = encode(&time, event, &fields_of_spans(context)).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

/// Returns the fields of the spans around an event; those of an inner span hide those of an outer one.
fn fields_of_spans<S, N>(context: &FmtContext<'_, S, N>) -> Map<String, Value>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let mut fields = Map::new();
    for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
        let extensions = span.extensions();
        let formatted = extensions.get::<FormattedFields<N>>().map_or("", |fields| &fields.fields);
        fields.extend(serde_json::from_str::<Map<String, Value>>(formatted).unwrap_or_default());
    }
    fields
}

fn encode(time: &str, event: &Event<'_>, fields: &Map<String, Value>) -> Result<String, serde_json::Error> {
    let mut line = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut line);
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("timestamp", time)?;
    map.serialize_entry("level", &event.metadata().level().as_serde())?;
    let mut visitor = SerdeMapVisitor::new(map);
    event.record(&mut visitor);
    let mut map = visitor.take_serializer()?;
    for (name, value) in fields {
        // A name twice in one object would leave it to the reader which one counts.
        if event.metadata().fields().field(name).is_none() {
            map.serialize_entry(name, value)?;
        }
    }
    map.serialize_entry("target", event.metadata().target())?;
    map.end()?;
    // The serializer writes UTF-8 alone.
    Ok(String::from_utf8(line).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing::{info, info_span, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines_of(work: impl FnOnce()) -> Vec<Value> {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber =
            tracing_subscriber::fmt().json().event_format(Flat).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, work);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn fields_of_events_and_spans_stand_side_by_side() {
        let lines = lines_of(|| {
            let _outer = info_span!("outer", trace_id = "a1", capture = "shop/outer").entered();
            let _inner = info_span!("inner", span_id = "b2", n = 1).entered();
            warn!(capture = "shop/checkout", bytes = 7, "said \"so\"\n");
        });
        assert_eq!(lines.len(), 1);
        let told = |name: &str| lines[0][name].clone();
        assert_eq!((told("level"), told("message")), ("WARN".into(), "said \"so\"\n".into()));
        assert_eq!((told("trace_id"), told("span_id")), ("a1".into(), "b2".into()));
        assert_eq!((told("capture"), told("bytes"), told("n")), ("shop/checkout".into(), 7.into(), 1.into()));
        assert!(told("timestamp").is_string() && told("target").is_string());
    }

    #[test]
    fn without_a_span_there_is_no_trace_id() {
        let lines = lines_of(|| info!("started"));
        assert!(lines[0].get("trace_id").is_none(), "{lines:?}");
    }
}
