//! What `stats` tells.

use crate::chunks::SPAN;
use crate::{check, lines, run};

#[test]
fn stats_tell_services_operations_and_gaps() {
    let text = "\
3 spans, 2 services, 3 operations, 2026-11-21T10:00:00Z to 2026-11-21T10:06:40.002Z (400s)

Services
  service  spans   errors     p50     p95     p99
  shop         2    0.00%  1.00ms  2.00ms  2.00ms
  stock        1  100.00%  3.00ms  3.00ms  3.00ms

Operations
  service  operation    spans   errors     p50     p95     p99
  shop     GET /cart        1    0.00%  1.00ms  1.00ms  1.00ms
  shop     POST /order      1    0.00%  2.00ms  2.00ms  2.00ms
  stock    reserve          1  100.00%  3.00ms  3.00ms  3.00ms

Gaps of 60 s and more without a span
  from                      to                    length
  2026-11-21T10:00:10.003Z  2026-11-21T10:06:40Z    389s
";
    check(&["stats", "-"], lines(&[0, 1, 2]).as_bytes(), 0, text, "");
    let (_, json, _) = run(&["stats", "-", "-o", "json"], lines(&[0, 1, 2]).as_bytes());
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["operations"][2]["errorPercent"], 100.0);
    assert_eq!(report["gaps"][0]["seconds"], 389);
    let (_, markdown, _) = run(&["stats", "-", "-o", "markdown"], lines(&[0, 1, 2]).as_bytes());
    assert!(markdown.contains("| stock | reserve | 1 | 100.00% | 3.00ms | 3.00ms | 3.00ms |"), "{markdown}");
}

#[test]
fn a_clock_that_is_not_set_is_told_apart() {
    let text = lines(&[0, 1]) + &SPAN.line().replace("1795255200000000000", "7000000000");
    let (code, stdout, _) = run(&["stats", "-"], text.as_bytes());
    let (headline, rest) = stdout.split_once('\n').unwrap();
    assert_eq!(headline, "3 spans, 2 services, 2 operations, 2026-11-21T10:00:00Z to 2026-11-21T10:00:10.003Z (10.0s)");
    assert!(rest.contains("note: 1 spans have times before 2000 or after 2099"), "{rest}");
    assert!(!rest.contains("Gaps"), "{rest}");
    assert_eq!(code, 0);
}
