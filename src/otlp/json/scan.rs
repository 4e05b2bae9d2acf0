//! The JSON text as tokens: it knows no message.

use super::number;
use super::string::RawString;
use crate::otlp::schema::Key;
use crate::otlp::swar;
use crate::otlp::wire::Stop;

const WORD: usize = 8;

/// Reads a text from front to back.
#[derive(Debug, Clone)]
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    pos: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, pos: 0 }
    }

    /// Makes the error for what stands here.
    #[cold]
    pub(super) fn malformed(&self, what: &'static str) -> Stop {
        Stop::Malformed { offset: self.pos, what }
    }

    /// Returns the next byte that is no white space.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.pos) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.pos += 1,
                other => return other.copied(),
            }
        }
    }

    /// Reads `byte` if it is what stands next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.pos += usize::from(there);
        there
    }

    /// Reads `byte`, or fails with `what` is there instead.
    #[inline]
    pub(super) fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Stop> {
        if self.take(byte) { Ok(()) } else { Err(self.malformed(what)) }
    }

    /// Reads a comma (true) or `close` (false).
    #[inline]
    pub(super) fn more(&mut self, close: u8) -> Result<bool, Stop> {
        if self.take(b',') {
            return Ok(true);
        }
        self.expect(close, "something else than a comma or the end of a list or object").map(|()| false)
    }

    /// Reads `null` if it is what stands next.
    #[inline]
    pub(super) fn take_null(&mut self) -> Result<bool, Stop> {
        if self.peek() == Some(b'n') { self.literal(b"null").map(|()| true) } else { Ok(false) }
    }

    /// Reads `word`.
    pub(super) fn literal(&mut self, word: &[u8]) -> Result<(), Stop> {
        let rest = self.text.get(self.pos..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(self.malformed("a word that is no value"));
        }
        self.pos += word.len();
        Ok(())
    }

    /// Returns what stands here, as much as a key may be long; `None` close to the end of the text.
    #[inline]
    pub(super) fn window(&self) -> Option<&'a [u8; Key::ROOM]> {
        self.block()
    }

    /// Passes over bytes that were seen in the window.
    #[inline]
    pub(super) fn pass(&mut self, count: usize) {
        self.pos += count;
    }

    /// Reads `start` if that is what stands here, to the byte.
    #[expect(clippy::inline_always, reason = "it is ten instructions; calling it doubles them")]
    #[inline(always)]
    pub(super) fn take_exactly(&mut self, start: &Key) -> bool {
        let there = self.window().is_some_and(|window| swar::begins_with(window, &start.padded, &start.mask));
        self.pos += if there { start.len } else { 0 };
        there
    }

    /// Reads the rest of `end` if that is what stands here, of which a string's quote was read.
    #[inline]
    pub(super) fn take_end(&mut self, end: [u8; 3]) -> bool {
        let [_, first, second] = end;
        let there = self.block() == Some(&[first, second]);
        self.pos += if there { 2 } else { 0 };
        there
    }

    /// Reads a key and its colon.
    #[expect(clippy::inline_always, reason = "returned through memory, the string costs more than finding its end")]
    #[inline(always)]
    pub(super) fn key(&mut self) -> Result<RawString<'a>, Stop> {
        let key = self.string()?;
        self.expect(b':', "a key without a colon")?;
        Ok(key)
    }

    /// Reads a string.
    #[expect(clippy::inline_always, reason = "returned through memory, the string costs more than finding its end")]
    #[inline(always)]
    pub(super) fn string(&mut self) -> Result<RawString<'a>, Stop> {
        self.expect(b'"', "something else than a string")?;
        self.rest_of_string()
    }

    /// Reads a string whose opening quote was read.
    #[expect(clippy::inline_always, reason = "returned through memory, the string costs more than finding its end")]
    #[inline(always)]
    pub(super) fn rest_of_string(&mut self) -> Result<RawString<'a>, Stop> {
        let start = self.pos;
        let mut is_escaped = false;
        loop {
            match self.next_special() {
                Some(b'"') => {
                    let raw = self.text.get(start..self.pos).unwrap_or_default();
                    self.pos += 1;
                    return Ok(RawString { raw, is_escaped, offset: start });
                }
                Some(b'\\') => {
                    is_escaped = true;
                    self.pos += 2;
                }
                Some(_) => return Err(self.malformed("a control character in a string")),
                None => return Err(Stop::Malformed { offset: start, what: "a string that does not end" }),
            }
        }
    }

    // Goes to the next quote, backslash or control character and returns it.
    #[inline]
    fn next_special(&mut self) -> Option<u8> {
        while let Some(block) = self.block() {
            let block = u64::from_le_bytes(*block);
            let special = swar::json_special(block);
            if special != 0 {
                let at = special.trailing_zeros() & !7;
                self.pos += usize::try_from(at / 8).unwrap_or(0);
                return u8::try_from(block >> at & 0xff).ok();
            }
            self.pos += WORD;
        }
        let rest = self.text.get(self.pos..)?;
        let at = rest.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\')?;
        self.pos += at;
        rest.get(at).copied()
    }

    #[inline]
    fn block<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.text.get(self.pos..)?.first_chunk()
    }

    /// Reads a whole number of few enough digits; else nothing.
    #[inline]
    pub(super) fn take_digits(&mut self) -> Option<u64> {
        let rest = self.text.get(self.pos..)?;
        let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = rest.split_at_checked(len)?;
        if matches!(rest, [b'.' | b'e' | b'E', ..]) {
            return None;
        }
        let value = number::plain(digits)?;
        self.pos += len;
        Some(value)
    }

    /// Reads a number's text; what follows it is not looked at.
    pub(super) fn number(&mut self) -> Result<&'a [u8], Stop> {
        self.peek();
        let rest = self.text.get(self.pos..).unwrap_or_default();
        let len = rest.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count();
        let number = rest.get(..len).unwrap_or_default();
        if !number::is_number(number) {
            return Err(self.malformed("something else than a number"));
        }
        self.pos += len;
        Ok(number)
    }

    /// Passes over a value; objects and lists may nest `max_nesting` deep.
    ///
    /// What is open is kept in a list and not on the stack.
    pub(super) fn skip_value(&mut self, max_nesting: u32) -> Result<(), Stop> {
        let mut open: Vec<u8> = Vec::new();
        loop {
            let begun = match self.peek() {
                Some(b'{') => Some(b'}'),
                Some(b'[') => Some(b']'),
                _ => None,
            };
            if let Some(close) = begun {
                self.pos += 1;
                if !self.take(close) {
                    if u32::try_from(open.len()).map_or(true, |depth| depth >= max_nesting) {
                        return Err(Stop::TooDeep);
                    }
                    open.push(close);
                    if close == b'}' {
                        self.key()?.look_through()?;
                    }
                    continue;
                }
            } else {
                self.skip_scalar()?;
            }
            if !self.leave(&mut open)? {
                return Ok(());
            }
        }
    }

    // After a value: closes what ends here and tells whether another value follows.
    fn leave(&mut self, open: &mut Vec<u8>) -> Result<bool, Stop> {
        while let Some(&close) = open.last() {
            if self.more(close)? {
                if close == b'}' {
                    self.key()?.look_through()?;
                }
                return Ok(true);
            }
            open.pop();
        }
        Ok(false)
    }

    fn skip_scalar(&mut self) -> Result<(), Stop> {
        match self.peek() {
            Some(b'"') => self.string()?.look_through(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => self.number().map(drop),
        }
    }
}
