//! Looking at many bytes at once, in a register.
//!
//! The loops over blocks of fixed size have no branch, so that the compiler turns each into a few instructions of
//! whatever vector unit the target is sure to have.

/// How many bytes [`is_plain`] looks at.
pub(crate) const BLOCK: usize = 16;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Returns a mask whose lowest set bit is in the first byte that is a quote, a backslash or below 0x20.
///
/// Above that byte the mask means nothing: a subtraction may have borrowed.
/// Source: Bit Twiddling Hacks, "Determine if a word has a byte less than n".
#[inline]
pub(crate) fn json_special(block: u64) -> u64 {
    let zero_in = |x: u64| x.wrapping_sub(ONES) & !x;
    let quote = zero_in(block ^ (ONES * 0x22));
    let backslash = zero_in(block ^ (ONES * 0x5c));
    let control = block.wrapping_sub(ONES * 0x20) & !block;
    (quote | backslash | control) & HIGH
}

/// Tells whether none of the first `count` bytes needs an escape in JSON or a look at its encoding.
#[expect(clippy::inline_always, reason = "it is fifteen instructions; calling it doubles them")]
#[inline(always)]
pub(crate) fn is_plain(block: &[u8; BLOCK], count: usize) -> bool {
    let Some(counted) = COUNTED.get(count.min(BLOCK)) else { return false };
    let mut found = 0;
    for (byte, counts) in block.iter().zip(counted) {
        // As a signed number, what is not ASCII is below the space, like a control character.
        let special = byte.cast_signed() < 0x20 || *byte == b'"' || *byte == b'\\';
        found |= if special { 0xff } else { 0 } & counts;
    }
    found == 0
}

/// Returns the digits of eight bytes in lower-case hexadecimal.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "by value it is not vectorised: 340 instructions per span")]
#[inline]
pub(crate) fn hex(bytes: &[u8; 8]) -> [u8; 16] {
    let mut text = [0; 16];
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    text
}

/// Tells whether the first bytes of `text` are those of `start` that `mask` covers.
#[expect(clippy::inline_always, reason = "it is ten instructions; calling it doubles them")]
#[inline(always)]
pub(crate) fn begins_with<const N: usize>(text: &[u8; N], start: &[u8; N], mask: &[u8; N]) -> bool {
    let mut found = 0;
    for ((a, b), counts) in text.iter().zip(start).zip(mask) {
        found |= (a ^ b) & counts;
    }
    found == 0
}

/// Returns the bytes that hexadecimal digits of either case stand for; `None` if any is no such digit.
#[inline]
pub(crate) fn unhex(text: [u8; 8]) -> Option<[u8; 4]> {
    let digits = u64::from_le_bytes(text);
    let letters = digits | (ONES * 0x20);
    // Sums that reach the highest bit of a byte, from the first of a range on and behind its last.
    let is_number = digits.wrapping_add(ONES * 0x50) & !digits.wrapping_add(ONES * 0x46);
    let is_letter = letters.wrapping_add(ONES * 0x1f) & !letters.wrapping_add(ONES * 0x19);
    if (is_number | is_letter) & !digits & HIGH != HIGH {
        return None;
    }
    let values = (digits & (ONES * 0x0f)) + 9 * (digits >> 6 & ONES);
    let pairs = (values << 4 | values >> 8) & 0x00ff_00ff_00ff_00ff;
    let quads = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    (quads | quads >> 16).to_le_bytes().first_chunk().copied()
}

/// Returns the number that eight decimal digits are; `None` if any is no digit.
///
/// Neighbours are joined to numbers of two, four and eight digits.
#[inline]
pub(crate) fn undecimal(text: [u8; 8]) -> Option<u64> {
    let ones = u64::from_le_bytes(text) ^ (ONES * u64::from(b'0'));
    if (ones | ones.wrapping_add(ONES * 0x76)) & HIGH != 0 {
        return None;
    }
    let tens = (ones.wrapping_mul(10) + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let hundreds = (tens.wrapping_mul(100) + (tens >> 16)) & 0x0000_ffff_0000_ffff;
    Some((hundreds.wrapping_mul(10_000) + (hundreds >> 32)) & 0xffff_ffff)
}

/// Returns the eight digits of a number below 100,000,000.
///
/// Numbers of four, two and one digits are split side by side; division by a multiplication and a shift.
#[inline]
pub(crate) fn decimal(value: u64) -> [u8; 8] {
    let fours = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | ((twos - 10 * tens) << 8);
    (ones | (ONES * u64::from(b'0'))).to_le_bytes()
}

#[inline]
fn digit(value: u8) -> u8 {
    value + b'0' + if value > 9 { b'a' - b'0' - 10 } else { 0 }
}

/// Which bytes of a block count, by how many do.
static COUNTED: [[u8; BLOCK]; BLOCK + 1] = counted();

#[expect(clippy::indexing_slicing, reason = "runs at compile time only")]
const fn counted() -> [[u8; BLOCK]; BLOCK + 1] {
    let mut table = [[0; BLOCK]; BLOCK + 1];
    let mut cell = 0;
    while cell < BLOCK * BLOCK {
        let (count, at) = (cell / BLOCK + 1, cell % BLOCK);
        table[count][at] = if at < count { 0xff } else { 0 };
        cell += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digits_of_bytes_read_back(bytes: [u8; 8], upper: bool) {
            let text = hex(&bytes);
            let text = if upper { text.to_ascii_uppercase() } else { text.to_vec() };
            let (halves, _) = text.as_chunks::<8>();
            let read: Vec<u8> = halves.iter().flat_map(|half| unhex(*half).unwrap()).collect();
            prop_assert_eq!(read, bytes);
        }

        #[test]
        fn every_byte_of_a_block_is_looked_at(other: u8, at in 0_usize..8) {
            let mut digits = *b"12345678";
            digits[at] = other;
            prop_assert_eq!(unhex(digits).is_some(), other.is_ascii_hexdigit());
            prop_assert_eq!(undecimal(digits).is_some(), other.is_ascii_digit());
            let mut block = [b'x'; BLOCK];
            block[at] = other;
            let special = !(0x20..0x80).contains(&other) || other == b'"' || other == b'\\';
            prop_assert_eq!(is_plain(&block, at + 1), !special);
            prop_assert!(is_plain(&block, at));
        }

        #[test]
        fn numbers_of_eight_digits_read_back(value in 0_u64..100_000_000) {
            prop_assert_eq!(undecimal(decimal(value)), Some(value));
        }
    }
}
