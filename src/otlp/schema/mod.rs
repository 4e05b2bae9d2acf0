//! Tables of the OTLP messages: which field has which number, JSON name and kind.
//!
//! Both directions, protobuf to JSON and back, are driven by these tables, and no other code names a field
//! by its number: what is special about a field is said by its [`Role`] or [`Kind`].
//! Another signal is another table.
//!
//! Source: opentelemetry-proto 1.11.0.

mod common;
mod key;
mod message;
mod traces;

pub(crate) use common::PLAIN_ATTRIBUTE;
pub(crate) use key::Key;
pub(crate) use message::{Field, Kind, Label, Message, Nature, PlainAttribute, Role, SignalSchema};

use crate::ids::Signal;

/// Returns the tables of a signal.
pub(crate) fn of(signal: Signal) -> &'static SignalSchema {
    match signal {
        Signal::Traces => &traces::SCHEMA,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &'static Message, seen: &mut Vec<*const Message>) {
        if seen.contains(&std::ptr::from_ref(message)) {
            return;
        }
        seen.push(message);
        assert!(message.fields.len() < 64, "field numbers are bits of a u64");
        for (number, field) in message.numbered() {
            let text = std::str::from_utf8(&field.key.padded[..field.key.len]).unwrap();
            assert!(text.starts_with(",\"") && text.contains("\":"), "{number} {text}");
            match field.kind {
                Kind::Message(inner) => check(inner, seen),
                Kind::Id(len) => assert!(len == 8 || len == 16, "ids are written in blocks of eight bytes"),
                _ => {}
            }
        }
    }

    #[test]
    fn every_table_of_traces_is_well_formed() {
        let mut seen = Vec::new();
        check(traces::SCHEMA.request, &mut seen);
        assert_eq!(seen.len(), 14);
    }

    #[test]
    fn a_plain_attribute_is_what_the_tables_say() {
        let plain = &PLAIN_ATTRIBUTE;
        let tag = |message: &'static Message, role| message.number_of(role) << 3 | 2;
        assert_eq!(u32::from(plain.key_tag), tag(&common::KEY_VALUE, Role::AttributeKey));
        assert_eq!(u32::from(plain.value_tag), tag(&common::KEY_VALUE, Role::AttributeValue));
        assert_eq!(u32::from(plain.string_tag), tag(plain.value_message, Role::StringValue));
        assert_eq!(plain.value_number, common::KEY_VALUE.number_of(Role::AttributeValue));
        assert_eq!(plain.key_number, common::KEY_VALUE.number_of(Role::AttributeKey));
        assert!(matches!(plain.value.kind, Kind::Message(value) if std::ptr::eq(value, plain.value_message)));
    }

    #[test]
    fn roles_lead_to_numbers() {
        assert_eq!(traces::SCHEMA.item.number_of(Role::Start), 7);
        assert_eq!(traces::SCHEMA.scope_group.number_of(Role::Children), 2);
        assert_eq!(traces::SCHEMA.item.number_of(Role::Shared), 0);
        assert_eq!(traces::SCHEMA.item.required, 0b110);
    }
}
