//! What a table of OTLP consists of: messages, their fields, and what is special about them.

use super::key::Key;

/// What a field's value is, on the wire and in JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// No field has this number, or it is reserved: passed over.
    Unknown,
    /// A string.
    Text,
    /// Bytes, in JSON base64.
    Bytes,
    /// The id of a trace or span: bytes of this length, in JSON hexadecimal.
    Id(usize),
    /// A `uint32`.
    Uint32,
    /// A `fixed32`.
    Fixed32,
    /// An enum, in JSON its number; the names are tolerated in input.
    Enum(&'static [(&'static str, i32)]),
    /// A `fixed64`, in JSON a decimal string.
    Fixed64,
    /// An `int64`, in JSON a decimal string.
    Int64,
    /// A `bool`.
    Bool,
    /// A `double`.
    Double,
    /// Another message.
    Message(&'static Message),
    /// A reference into a string table, which only profiles have: counted, and treated as absent.
    Reference,
}

/// How often a field may be there, and what its absence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    /// At most once; a default value is the same as none and is not written.
    Singular,
    /// At most once; written even if it is absent, because common readers miss it.
    Always,
    /// A member of the message's only `oneof`: written even if it holds a default.
    Oneof,
    /// Any number of times.
    Repeated,
    /// Any number of times; written even if there is none.
    RepeatedAlways,
}

/// What a field means beyond its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing.
    Plain,
    /// What a group's children share: the resource, the scope.
    Shared,
    /// A group's children.
    Children,
    /// The schema URL of a group.
    SchemaUrl,
    /// The trace id of an item.
    TraceId,
    /// An id without which its message is worthless.
    RequiredId,
    /// The start of an item.
    Start,
    /// The end of an item.
    End,
    /// The attributes of a resource, among them the service's name.
    ResourceAttributes,
    /// The key of an attribute.
    AttributeKey,
    /// The value of an attribute.
    AttributeValue,
    /// The string of an attribute's value.
    StringValue,
}

/// One field of a message.
#[derive(Debug)]
pub(crate) struct Field {
    /// The JSON name.
    pub(crate) name: &'static str,
    /// What stands before the value; it includes an opening quote or bracket that always follows.
    pub(crate) key: Key,
    /// The name in quotes and the colon, as it is read.
    pub(crate) quoted: Key,
    pub(crate) kind: Kind,
    pub(crate) label: Label,
    pub(crate) role: Role,
}

/// What a message is among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Nothing special.
    Plain,
    /// A span: what is counted, rejected and never split.
    Item,
    /// A link: left out alone if its ids are invalid.
    Link,
    /// A value that may hold values: counted by the depth limit.
    Value,
    /// A key and a value: the commonest message by far.
    Attribute,
}

/// One message: its fields by number.
#[derive(Debug)]
pub(crate) struct Message {
    /// The field with number n at n - 1; gaps are [`Kind::Unknown`].
    pub(crate) fields: &'static [Field],
    pub(crate) nature: Nature,
    /// Bit n is set where field n is written even if absent.
    pub(crate) always: u64,
    /// Bit n is set where field n is an id without which the message is left out.
    pub(crate) required: u64,
    /// Bit n is set where field n is a member of the `oneof`.
    pub(crate) oneof: u64,
}

/// An attribute that holds a string, as it is laid out if nothing is special about it.
#[derive(Debug)]
pub(crate) struct PlainAttribute {
    /// The tag of the key.
    pub(crate) key_tag: u8,
    /// The tag of the value.
    pub(crate) value_tag: u8,
    /// The tag of the string in the value.
    pub(crate) string_tag: u8,
    /// What stands before the key.
    pub(crate) before_key: Key,
    /// What stands before the string.
    pub(crate) before_string: Key,
    /// What stands behind the string.
    pub(crate) behind: [u8; 3],
    /// The field of the value, for those that are no string.
    pub(crate) value: &'static Field,
    /// The number of that field.
    pub(crate) value_number: u32,
    /// The number of the key's.
    pub(crate) key_number: u32,
    /// The table of the attribute.
    pub(crate) message: &'static Message,
    /// The table of the value.
    pub(crate) value_message: &'static Message,
}

/// The tables of one signal.
#[derive(Debug)]
pub(crate) struct SignalSchema {
    /// The request, which is a list of groups by resource.
    pub(crate) request: &'static Message,
    /// A group by resource.
    pub(crate) resource_group: &'static Message,
    /// A group by instrumentation scope within it.
    pub(crate) scope_group: &'static Message,
    /// What the groups hold.
    pub(crate) item: &'static Message,
}

impl Message {
    pub(super) const fn new(nature: Nature, fields: &'static [Field]) -> Self {
        let mut message = Self { fields, nature, always: 0, required: 0, oneof: 0 };
        let mut rest = fields;
        let mut bit = 2;
        while let [field, others @ ..] = rest {
            if matches!(field.label, Label::Always | Label::RepeatedAlways) {
                message.always |= bit;
            }
            if matches!(field.role, Role::TraceId | Role::RequiredId) {
                message.required |= bit;
            }
            if matches!(field.label, Label::Oneof) {
                message.oneof |= bit;
            }
            bit <<= 1;
            rest = others;
        }
        message
    }

    /// Returns the field of this number.
    #[inline]
    pub(crate) fn field(&'static self, number: u32) -> Option<&'static Field> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.fields.get(index).filter(|field| !matches!(field.kind, Kind::Unknown))
    }

    /// Returns the fields with their numbers.
    pub(crate) fn numbered(&'static self) -> impl Iterator<Item = (u32, &'static Field)> {
        (1..).zip(self.fields)
    }

    /// Returns the number of the field that plays `role`, or 0, which no field has.
    pub(crate) fn number_of(&'static self, role: Role) -> u32 {
        self.numbered().find(|(_, field)| field.role == role).map_or(0, |(number, _)| number)
    }
}

impl Field {
    pub(super) const UNKNOWN: Self = Self::new("", Kind::Unknown);

    pub(super) const fn new(name: &'static str, kind: Kind) -> Self {
        Self::labelled(name, kind, Label::Singular)
    }

    pub(super) const fn labelled(name: &'static str, kind: Kind, label: Label) -> Self {
        let after: &[u8] =
            if matches!(label, Label::Repeated | Label::RepeatedAlways) { b"\":[" } else { Self::opening(kind) };
        let key = Key::new(name, b",\"", after);
        let quoted = Key::new(name, b"\"", b"\":");
        Self { name, key, quoted, kind, label, role: Role::Plain }
    }

    pub(super) const fn repeated(name: &'static str, kind: Kind) -> Self {
        Self::labelled(name, kind, Label::Repeated)
    }

    pub(super) const fn member(name: &'static str, kind: Kind) -> Self {
        Self::labelled(name, kind, Label::Oneof)
    }

    pub(super) const fn always(name: &'static str, kind: Kind) -> Self {
        Self::labelled(name, kind, Label::Always)
    }

    pub(super) const fn with_role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    // Values that are always quoted get their opening quote with the key, in one copy.
    const fn opening(kind: Kind) -> &'static [u8] {
        match kind {
            Kind::Text | Kind::Bytes | Kind::Id(_) | Kind::Fixed64 | Kind::Int64 => b"\":\"",
            _ => b"\":",
        }
    }

    /// Tells whether the field may be there any number of times.
    #[inline]
    pub(crate) fn is_repeated(&self) -> bool {
        matches!(self.label, Label::Repeated | Label::RepeatedAlways)
    }

    /// Tells whether a default value is the same as none.
    #[inline]
    pub(crate) fn omits_default(&self) -> bool {
        self.label == Label::Singular
    }
}
