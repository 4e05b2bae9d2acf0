//! Ranges and entity tags out of request headers. Pure.
//!
//! Source: RFC 9110, sections 8.8.3 (entity tags), 13.1 (preconditions) and 14 (ranges).

use std::ops::Range;

use http::header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderName};

use crate::archive::snapshot::Token;

/// One range of bytes, as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// From a first byte to a last one, or to the end.
    From { first: u64, last: Option<u64> },
    /// So many bytes at the end.
    Last(u64),
}

/// A list of entity tags, or any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tags {
    Any,
    /// Each with whether it is strong.
    List(Vec<(String, bool)>),
}

/// Of what alone a range is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IfRange {
    /// What this strong tag names.
    Tag(String),
    /// What a date or weak tag names: we give out neither, so it is nothing of ours.
    Foreign,
}

/// The conditions of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Conditions {
    /// The range; absent for several ranges and for what is no range of bytes: then everything is sent.
    pub(super) range: Option<Wanted>,
    pub(super) if_range: Option<IfRange>,
    pub(super) if_match: Option<Tags>,
    pub(super) if_none_match: Option<Tags>,
}

/// The range starts behind the last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unsatisfiable;

impl Wanted {
    /// Reads a `Range` header; `None` where it is to be ignored.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (unit, set) = header.split_once('=')?;
        let (first, last) = set.trim().split_once('-')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        // A position of any length is valid, and nothing that we have is as long as what a number holds.
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
        };
        match (first.trim(), last.trim()) {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From { first: number(first)?, last: None }),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From { first, last: Some(last) })
            }
        }
    }

    /// Returns the bytes of a representation of `len` bytes.
    pub(super) fn of(self, len: u64) -> Result<Range<u64>, Unsatisfiable> {
        match self {
            Self::From { first, last } if first < len => {
                Ok(first..last.map_or(len, |last| len.min(last.saturating_add(1))))
            }
            Self::Last(n) if n > 0 && len > 0 => Ok(len.saturating_sub(n)..len),
            Self::From { .. } | Self::Last(_) => Err(Unsatisfiable),
        }
    }

    /// Returns the first byte of a range that continues something: neither from the start nor from the end.
    pub(super) fn continues_at(self) -> Option<u64> {
        match self {
            Self::From { first, .. } if first > 0 => Some(first),
            Self::From { .. } | Self::Last(_) => None,
        }
    }
}

impl Conditions {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self {
            range: text(headers, &RANGE).as_deref().and_then(Wanted::parse),
            if_range: text(headers, &IF_RANGE).map(|value| IfRange::parse(&value)),
            if_match: text(headers, &IF_MATCH).map(|value| Tags::parse(&value)),
            if_none_match: text(headers, &IF_NONE_MATCH).map(|value| Tags::parse(&value)),
        }
    }
}

impl IfRange {
    fn parse(header: &str) -> Self {
        match Tags::parse(header) {
            Tags::List(tags) => match tags.into_iter().next() {
                Some((tag, true)) => Self::Tag(tag),
                _ => Self::Foreign,
            },
            Tags::Any => Self::Foreign,
        }
    }

    /// Tells whether the tag is the one asked for.
    pub(super) fn names(&self, tag: &str) -> bool {
        matches!(self, Self::Tag(known) if known == tag)
    }

    /// Returns the snapshot that the tag is, where it is one.
    pub(super) fn snapshot(&self) -> Option<Token> {
        match self {
            Self::Tag(tag) => tag.parse().ok(),
            Self::Foreign => None,
        }
    }
}

impl Tags {
    /// Reads a list of tags; what is no tag is passed over.
    fn parse(header: &str) -> Self {
        if header.trim() == "*" {
            return Self::Any;
        }
        let tags = header.split(',').filter_map(|item| {
            let item = item.trim();
            let (quoted, strong) = item.strip_prefix("W/").map_or((item, true), |weak| (weak, false));
            let tag = quoted.strip_prefix('"')?.strip_suffix('"')?;
            Some((tag.to_owned(), strong))
        });
        Self::List(tags.collect())
    }

    /// Tells whether the tag is among them by strong comparison.
    pub(super) fn match_strongly(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|(known, strong)| *strong && known == tag),
        }
    }

    /// Tells whether the tag is among them by weak comparison.
    pub(super) fn match_weakly(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|(known, _)| known == tag),
        }
    }

    /// Returns the first strong tag that is a snapshot.
    pub(super) fn snapshot(&self) -> Option<Token> {
        match self {
            Self::Any => None,
            Self::List(tags) => tags.iter().filter(|(_, strong)| *strong).find_map(|(tag, _)| tag.parse().ok()),
        }
    }
}

/// Joins the values of a header that may stand several times.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_standard() {
        let table = [
            ("bytes=0-", Some(Ok(0..100))),
            ("bytes=99-", Some(Ok(99..100))),
            ("bytes=100-", Some(Err(Unsatisfiable))),
            ("bytes=5-5", Some(Ok(5..6))),
            ("Bytes=5-500", Some(Ok(5..100))),
            ("bytes=-7", Some(Ok(93..100))),
            ("bytes=-700", Some(Ok(0..100))),
            ("bytes=-0", Some(Err(Unsatisfiable))),
            ("bytes=6-5", None),
            ("bytes=-", None),
            ("bytes=0-1,5-6", None),
            ("bytes=+1-", None),
            ("lines=1-", None),
            ("bytes=99999999999999999999-", Some(Err(Unsatisfiable))),
            ("bytes=5-99999999999999999999999", Some(Ok(5..100))),
            ("bytes=-99999999999999999999999", Some(Ok(0..100))),
            ("bytes=5x-", None),
        ];
        for (header, expected) in table {
            assert_eq!(Wanted::parse(header).map(|wanted| wanted.of(100)), expected, "{header}");
        }
        assert_eq!(Wanted::Last(1).of(0), Err(Unsatisfiable));
    }

    #[test]
    fn only_strong_tags_choose_a_range() {
        let conditions = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_RANGE, value.parse().unwrap());
            Conditions::of(&headers).if_range
        };
        assert_eq!(conditions("\"a\""), Some(IfRange::Tag("a".to_owned())));
        assert_eq!(conditions("W/\"a\""), Some(IfRange::Foreign));
        assert_eq!(conditions("Sat, 21 Nov 2026 10:30:45 GMT"), Some(IfRange::Foreign));
    }

    #[test]
    fn lists_of_tags_compare_weakly_or_strongly() {
        let tags = Tags::parse("\"a\", W/\"b\"");
        assert!(tags.match_weakly("b") && !tags.match_strongly("b"));
        assert!(tags.match_strongly("a") && !tags.match_weakly("c"));
        assert!(Tags::parse("*").match_strongly("x"));
    }
}
