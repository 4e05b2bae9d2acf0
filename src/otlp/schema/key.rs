//! Keys of JSON as blocks of fixed size, which are copied and compared at once.

/// The field name that stands before a value in JSON, ready to be copied at once.
///
/// It begins with the comma that separates it from the field before; whoever ends the object turns the
/// first comma into the opening brace.
#[derive(Debug)]
pub(crate) struct Key {
    /// The text, filled up with zeros.
    pub(crate) padded: [u8; Key::ROOM],
    /// Which bytes of that are text.
    pub(crate) mask: [u8; Key::ROOM],
    /// How much of it is text.
    pub(crate) len: usize,
}

impl Key {
    /// The longest key of OTLP (`,"aggregationTemporality":`) has 26 bytes.
    pub(crate) const ROOM: usize = 32;

    /// What stands before a string in a list.
    pub(crate) const QUOTE: Self = Self::new("", b"\"", b"");

    pub(super) const fn new(name: &str, before: &[u8], after: &[u8]) -> Self {
        let mut key = Self { padded: [0; Self::ROOM], mask: [0; Self::ROOM], len: 0 };
        key = key.with(before).with(name.as_bytes()).with(after);
        key
    }

    const fn with(mut self, mut text: &[u8]) -> Self {
        while let [first, rest @ ..] = text {
            self = self.with_byte(*first);
            text = rest;
        }
        self
    }

    #[expect(clippy::indexing_slicing, reason = "runs at compile time only, where a key too long is a build error")]
    const fn with_byte(mut self, byte: u8) -> Self {
        self.padded[self.len] = byte;
        self.mask[self.len] = 0xff;
        self.len += 1;
        self
    }
}
