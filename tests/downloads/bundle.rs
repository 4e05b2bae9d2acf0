//! What is in a bundle: read with a plain walk over its headers, and with `cat`.
#![expect(clippy::disallowed_methods, reason = "a file of the test's own")]

use std::collections::BTreeSet;

use crate::site::{BEGIN, BUNDLE, CAPTURE, Site, request, span};
use crate::support;

/// Lists the members of a tar as POSIX describes it, and checks that nothing else is in it.
fn members(tar: &[u8]) -> Vec<(String, &[u8])> {
    let (mut found, mut at) = (Vec::new(), 0);
    loop {
        let header = &tar[at..at + 512];
        if header.iter().all(|&byte| byte == 0) {
            assert!(tar[at..].iter().all(|&byte| byte == 0) && tar.len() == at + 1024, "something follows the end");
            return found;
        }
        assert_eq!((&header[257..263], header[156]), (&b"ustar\0"[..], b'0'), "a regular file of ustar");
        let sum: u32 =
            header.iter().enumerate().map(|(n, &b)| if (148..156).contains(&n) { 32 } else { b.into() }).sum();
        assert_eq!(octal(&header[148..156]), u64::from(sum), "checksum");
        let size = usize::try_from(octal(&header[124..136])).unwrap();
        let (name, prefix) = (text(&header[..100]), text(&header[345..500]));
        let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        found.push((name, &tar[at + 512..at + 512 + size]));
        at += 512 + size.next_multiple_of(512);
    }
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    String::from_utf8(field[..end].to_vec()).unwrap()
}

fn octal(field: &[u8]) -> u64 {
    u64::from_str_radix(text(field).trim(), 8).unwrap()
}

/// Returns the span ids in a bundle's lines, read without any code of ours.
fn spans_in(tar: &[u8]) -> BTreeSet<String> {
    let data = members(tar).into_iter().filter(|(name, _)| name.ends_with(".jsonl.zst"));
    let lines: Vec<u8> = data.flat_map(|(_, body)| zstd::decode_all(body).unwrap()).collect();
    ids(&lines)
}

fn ids(lines: &[u8]) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for line in String::from_utf8(lines.to_vec()).unwrap().lines() {
        let data: serde_json::Value = serde_json::from_str(line).unwrap();
        for resource in data["resourceSpans"].as_array().unwrap() {
            for scope in resource["scopeSpans"].as_array().unwrap() {
                for span in scope["spans"].as_array().unwrap() {
                    assert!(ids.insert(span["spanId"].as_str().unwrap().to_owned()), "a span twice");
                }
            }
        }
    }
    ids
}

/// A site with three services, five minutes apart, and one trace through all of them.
struct Shop {
    site: Site,
    /// Per service, the ids of its spans; the last is of the common trace.
    ids: Vec<Vec<String>>,
}

const SERVICES: [&str; 3] = ["cart", "a b&c", "payment"];
const COMMON: u128 = 0xc0ff_ee00;

impl Shop {
    fn open() -> Self {
        let site = Site::start("{}");
        let mut ids = Vec::new();
        for (n, service) in (0_u32..).zip(SERVICES) {
            let start = u64::from(n) * 300;
            let own = (1..4).map(|trace| span((trace << 64) | u128::from(n + 1), start, 10));
            let spans: Vec<_> = own.chain([span(COMMON, start + 5, 1)]).collect();
            let hex = |id: &Vec<u8>| id.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
            ids.push(spans.iter().map(|span| hex(&span.span_id)).collect());
            // One request at a time makes one frame each, which is what filters choose.
            assert!(site.otlp().post(&request(service, spans)));
        }
        Self { site, ids }
    }

    /// Downloads with a query and checks that exactly these spans come, in the bundle and by `cat`.
    #[track_caller]
    fn check(&self, query: &str, cat: &[&str], expected: &[&str]) {
        let answer = self.site.web().get(&format!("{BUNDLE}?{query}"), &[]);
        assert_eq!(answer.status, 200, "{query}");
        let expected: BTreeSet<String> = expected.iter().map(|&id| id.to_owned()).collect();
        assert_eq!(spans_in(&answer.body), expected, "{query}");
        let file = self.site.file("filtered.tar");
        std::fs::write(&file, &answer.body).unwrap();
        let args = [&["cat", file.to_str().unwrap()], cat].concat();
        let printed = support::output(&args);
        // 3 is "nothing matched".
        let code = if expected.is_empty() { 3 } else { 0 };
        assert_eq!(printed.status.code(), Some(code), "{query}: {}", String::from_utf8_lossy(&printed.stderr));
        assert_eq!(ids(&printed.stdout), expected, "{query} by cat");
        let again = self.site.web().get(answer.header("content-location"), &[]);
        assert_eq!(again.body, answer.body, "{query} by its snapshot");
    }

    fn of(&self, services: &[usize]) -> Vec<&str> {
        services.iter().flat_map(|&n| self.ids[n].iter().map(String::as_str)).collect()
    }
}

#[test]
fn filters_leave_the_right_spans() {
    let shop = Shop::open();
    shop.check("", &[], &shop.of(&[0, 1, 2]));
    shop.check("service=cart", &["--service", "cart"], &shop.of(&[0]));
    shop.check("service=a+b%26c", &["--service", "a b&c"], &shop.of(&[1]));
    shop.check("service=nobody", &[], &[]);
    let since = (BEGIN + 300).to_string();
    shop.check(&format!("since={since}"), &["--since", &since], &shop.of(&[1, 2]));
    shop.check("until=2026-11-21T10:05:00Z", &["--until", "2026-11-21T10:05:00Z"], &shop.of(&[0]));
    shop.check(&format!("since={since}&until=2026-11-21T11:09:00%2B01:00"), &[], &shop.of(&[1]));
    let common: Vec<&str> = shop.ids.iter().map(|ids| ids.last().unwrap().as_str()).collect();
    shop.check(&format!("traceId={COMMON:032x}"), &["--trace-id", &format!("{COMMON:032x}")], &common);
    shop.check(&format!("traceId={COMMON:032x}&service=cart"), &[], &common[..1]);
    let trace = shop.site.web().get(&format!("{CAPTURE}/traces/{COMMON:032x}"), &[]);
    assert_eq!(ids(&trace.body), common.iter().map(|&id| id.to_owned()).collect());
}

#[test]
fn bad_queries_are_refused_and_named() {
    let site = Site::start("{}");
    for query in ["sinc=1", "since=yesterday", "traceId=xyz", "service=a&service=b", "snapshot=nonsense", "service=%ff"]
    {
        assert_eq!(site.web().get(&format!("{BUNDLE}?{query}"), &[]).problem(400), "BadRequest", "{query}");
    }
}

#[test]
fn every_chunk_can_be_had_alone_sealed_or_growing() {
    let site = Site::start("{chunk: {maxBytes: 64Ki}}");
    site.fill(4);
    let bundle = site.web().get(BUNDLE, &[]);
    let in_bundle = members(&bundle.body);
    let manifest: serde_json::Value = serde_json::from_slice(in_bundle[0].1).unwrap();
    assert_eq!((&*in_bundle[0].0, manifest.is_object()), ("manifest.json", true));
    let listed = site.chunks();
    let states: BTreeSet<_> = listed.iter().map(|chunk| chunk["state"].as_str().unwrap()).collect();
    assert_eq!(states, BTreeSet::from(["sealed", "inProgress"]));
    let mut all = BTreeSet::new();
    for chunk in &listed {
        let name = chunk["chunk"].as_str().unwrap();
        let tar = site.web().get(&format!("{CAPTURE}/chunks/{name}.tar"), &[]);
        assert_eq!(tar.status, 200);
        assert!(
            members(&tar.body)
                .iter()
                .all(|(member, _)| member.starts_with(&format!("{name}/")) || member == "manifest.json"),
            "{name}"
        );
        let spans = spans_in(&tar.body);
        assert_eq!(spans.len() as u64, chunk["items"].as_u64().unwrap(), "{name}");
        all.extend(spans);
        let tag = tar.header("etag");
        let rest = site.web().get(&format!("{CAPTURE}/chunks/{name}"), &[("Range", "bytes=700-"), ("If-Range", tag)]);
        assert_eq!((rest.status, &rest.body[..]), (206, &tar.body[700..]));
    }
    assert_eq!(all, spans_in(&bundle.body));
}
