//! Messages that all signals share: `common.proto` and `resource.proto`.

use super::key::Key;
use super::message::{Field, Kind, Message, Nature, PlainAttribute, Role};

/// `Resource`.
pub(super) static RESOURCE: Message = Message::new(
    Nature::Plain,
    &[
        Field::repeated("attributes", Kind::Message(&KEY_VALUE)).with_role(Role::ResourceAttributes),
        Field::new("droppedAttributesCount", Kind::Uint32),
        Field::repeated("entityRefs", Kind::Message(&ENTITY_REF)),
    ],
);

/// `EntityRef`; opentelemetry-proto's reader for Rust misses any of its fields.
static ENTITY_REF: Message = Message::new(
    Nature::Plain,
    &[
        Field::always("schemaUrl", Kind::Text),
        Field::always("type", Kind::Text),
        Field::labelled("idKeys", Kind::Text, super::Label::RepeatedAlways),
        Field::labelled("descriptionKeys", Kind::Text, super::Label::RepeatedAlways),
    ],
);

/// `InstrumentationScope`.
pub(super) static SCOPE: Message = Message::new(
    Nature::Plain,
    &[
        Field::new("name", Kind::Text),
        Field::new("version", Kind::Text),
        Field::repeated("attributes", Kind::Message(&KEY_VALUE)),
        Field::new("droppedAttributesCount", Kind::Uint32),
    ],
);

/// `KeyValue`; opentelemetry-proto's reader for Rust misses an absent key.
pub(super) static KEY_VALUE: Message = Message::new(
    Nature::Attribute,
    &[
        Field::always("key", Kind::Text).with_role(Role::AttributeKey),
        Field::new("value", Kind::Message(&ANY_VALUE)).with_role(Role::AttributeValue),
        Field::new("keyStrindex", Kind::Reference),
    ],
);

/// A `KeyValue` whose value is a string.
pub(crate) static PLAIN_ATTRIBUTE: PlainAttribute = PlainAttribute {
    key_tag: 0x0a,
    value_tag: 0x12,
    string_tag: 0x0a,
    before_key: Key::new("key", b"{\"", b"\":\""),
    before_string: Key::new("value", b",\"", b"\":{\"stringValue\":\""),
    behind: *b"\"}}",
    value: &VALUE,
    value_number: 2,
    key_number: 1,
    message: &KEY_VALUE,
    value_message: &ANY_VALUE,
};

static VALUE: Field = Field::new("value", Kind::Message(&ANY_VALUE)).with_role(Role::AttributeValue);

/// `AnyValue`.
static ANY_VALUE: Message = Message::new(
    Nature::Value,
    &[
        Field::member("stringValue", Kind::Text).with_role(Role::StringValue),
        Field::member("boolValue", Kind::Bool),
        Field::member("intValue", Kind::Int64),
        Field::member("doubleValue", Kind::Double),
        Field::member("arrayValue", Kind::Message(&ARRAY_VALUE)),
        Field::member("kvlistValue", Kind::Message(&KEY_VALUE_LIST)),
        Field::member("bytesValue", Kind::Bytes),
        Field::member("stringValueStrindex", Kind::Reference),
    ],
);

/// `ArrayValue`.
static ARRAY_VALUE: Message =
    Message::new(Nature::Plain, &[Field::labelled("values", Kind::Message(&ANY_VALUE), super::Label::RepeatedAlways)]);

/// `KeyValueList`.
static KEY_VALUE_LIST: Message =
    Message::new(Nature::Plain, &[Field::labelled("values", Kind::Message(&KEY_VALUE), super::Label::RepeatedAlways)]);
