//! Strict ustar: headers, padding, and reading them back.
//!
//! Written headers have ASCII names of at most 100 bytes, integer times, owner 0,
//! mode 0600, no owner names, no prefix and no extension. Read ones may be foreign:
//! whatever a header says is checked before it is believed.
//!
//! Source: POSIX.1-2017, `pax`, "ustar Interchange Format".

use thiserror::Error;

/// The size of a tar block in bytes; headers take one, bodies are padded to a multiple.
pub const BLOCK: usize = 512;

/// [`BLOCK`] where a file offset is meant.
pub const BLOCK_LEN: u64 = 512;

/// The end-of-archive mark: two zero blocks.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The longest body that the octal size field can say: 8 GiB - 1 byte.
pub const MAX_BODY: u64 = 0o77_777_777_777;

/// The longest name, in bytes.
pub const MAX_NAME: usize = 100;

/// What says that a block is a header: POSIX's form and GNU's. Each has a NUL, which no line of JSON holds.
const MAGICS: [&[u8]; 2] = [b"ustar\0", b"ustar  \0"];

/// A header's block.
pub type Block = [u8; BLOCK];

/// Why a header cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The name is empty, too long, or not plain ASCII.
    #[error("cannot write `{0}` into a tar header: a name has 1 to {MAX_NAME} printable ASCII characters")]
    Name(String),
    /// The body is too long.
    #[error("cannot write a tar member of {0} bytes: {MAX_BODY} is the limit")]
    TooLarge(u64),
}

/// What a block that should be a header holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// A regular file's header.
    File {
        /// Its whole name, prefix included.
        name: String,
        /// The length of its body in bytes.
        size: u64,
    },
    /// A header of another kind (directory, link, pax or GNU extension), with its body's length in bytes.
    Other {
        /// The type flag.
        kind: u8,
        /// The length of its body in bytes.
        size: u64,
    },
    /// Zeros only: half an end mark, or nothing written yet.
    Zeros,
    /// Neither.
    Garbage,
}

/// Returns how many zeros follow a body of `len` bytes.
pub fn padding(len: u64) -> usize {
    // The remainder is below 512, so the conversion cannot fail.
    usize::try_from((BLOCK_LEN - len % BLOCK_LEN) % BLOCK_LEN).unwrap_or(0)
}

/// Returns how many bytes a body of `len` bytes takes with its padding, `None` past 2^64.
pub fn padded(len: u64) -> Option<u64> {
    len.checked_next_multiple_of(BLOCK_LEN)
}

/// Makes the header of a regular file.
///
/// `modified` is in seconds since the Unix epoch.
///
/// # Errors
/// [`HeaderError`]; never worth retrying.
pub fn header(name: &str, size: u64, modified: u64) -> Result<Block, HeaderError> {
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(HeaderError::Name(name.chars().take(MAX_NAME).collect()));
    }
    if size > MAX_BODY {
        return Err(HeaderError::TooLarge(size));
    }
    let mut block = [0; BLOCK];
    put(&mut block, 0, name.as_bytes());
    put(&mut block, 100, b"0000600\0");
    put(&mut block, 108, b"0000000\0");
    put(&mut block, 116, b"0000000\0");
    put(&mut block, 124, format!("{size:011o}\0").as_bytes());
    put(&mut block, 136, format!("{:011o}\0", modified.min(MAX_BODY)).as_bytes());
    put(&mut block, 156, b"0");
    put(&mut block, 257, b"ustar\x0000");
    put(&mut block, 329, b"0000000\0");
    put(&mut block, 337, b"0000000\0");
    let sum = checksum(&block);
    put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

/// Reads a block that should be a header.
pub fn parse(block: &Block) -> Parsed {
    if block.iter().all(|&b| b == 0) {
        return Parsed::Zeros;
    }
    let stated = octal(field(block, 148, 8));
    let size = octal(field(block, 124, 12));
    let (Some(stated), Some(size)) = (stated, size) else { return Parsed::Garbage };
    if stated != u64::from(checksum(block)) || !MAGICS.iter().any(|magic| field(block, 257, 8).starts_with(magic)) {
        return Parsed::Garbage;
    }
    match field(block, 156, 1).first().copied().unwrap_or(0) {
        b'0' | 0 => {
            let (prefix, name) = (text(field(block, 345, 155)), text(field(block, 0, 100)));
            let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            Parsed::File { name, size }
        }
        kind => Parsed::Other { kind, size },
    }
}

/// Copies `bytes` to `at`; all callers write constant widths inside the block.
fn put(block: &mut Block, at: usize, bytes: &[u8]) {
    if let Some(target) = block.get_mut(at..at + bytes.len()) {
        target.copy_from_slice(bytes);
    }
}

fn field(block: &Block, at: usize, len: usize) -> &[u8] {
    block.get(at..at + len).unwrap_or_default()
}

/// Adds up the header's bytes, its checksum field counted as spaces.
fn checksum(block: &Block) -> u32 {
    let spaces = 8 * u32::from(b' ');
    let outside = |at: &usize| !(148..156).contains(at);
    block.iter().enumerate().filter(|(at, _)| outside(at)).map(|(_, &b)| u32::from(b)).sum::<u32>() + spaces
}

/// Reads an octal field: leading spaces, digits, then NUL or space.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(field).ok()?.trim_matches(|c| c == ' ' || c == '\0');
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    u64::from_str_radix(digits, 8).ok()
}

/// Reads a text field up to its first NUL.
fn text(field: &[u8]) -> String {
    let end = memchr::memchr(0, field).unwrap_or(field.len());
    String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_a_header_cannot_say() {
        assert_eq!(header("a", MAX_BODY + 1, 0), Err(HeaderError::TooLarge(MAX_BODY + 1)));
        for name in ["", "ä", "a b", "a\0", &"x".repeat(101)] {
            assert!(matches!(header(name, 0, 0), Err(HeaderError::Name(_))), "{name}");
        }
    }

    #[test]
    fn tells_zeros_and_garbage_from_headers() {
        assert_eq!(parse(&[0; BLOCK]), Parsed::Zeros);
        assert_eq!(parse(&[7; BLOCK]), Parsed::Garbage);
        let mut torn = header("a", 1, 2).unwrap();
        torn[130] ^= 1;
        assert_eq!(parse(&torn), Parsed::Garbage);
    }

    #[test]
    fn text_alone_is_never_a_header() {
        // With spaces where NULs would be, and a checksum that is right.
        let mut text = header("a", 1, 2).unwrap().map(|byte| if byte == 0 { b' ' } else { byte });
        let sum = checksum(&text);
        put(&mut text, 148, format!("{sum:06o}  ").as_bytes());
        assert_eq!(parse(&text), Parsed::Garbage);
        // GNU tar's own form of the magic.
        put(&mut text, 257, b"ustar  \0");
        let sum = checksum(&text);
        put(&mut text, 148, format!("{sum:06o}  ").as_bytes());
        assert!(matches!(parse(&text), Parsed::File { size: 1, .. }));
    }

    #[test]
    fn padding_fills_the_last_block() {
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
    }

    proptest! {
        #[test]
        fn every_header_reads_back(name in "[!-~]{1,100}", size in 0..=MAX_BODY, modified: u64) {
            let block = header(&name, size, modified).unwrap();
            prop_assert_eq!(parse(&block), Parsed::File { name, size });
        }

        #[test]
        fn no_block_breaks_the_parser(bytes in proptest::collection::vec(any::<u8>(), BLOCK)) {
            let block: Block = bytes.try_into().unwrap();
            let _ = parse(&block);
        }
    }
}
