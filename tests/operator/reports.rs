//! Asking a collector over HTTP: what is sent, and what comes of odd answers.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tracecapture::api::grant::{GrantKey, verify};
use tracecapture::api::report::CollectorReport;
use tracecapture::clock::{Clock as _, SystemClock};
use tracecapture::ids::CaptureId;
use tracecapture::operator::reports::{HttpReports, Question, Reports as _};

const PATH: &str = "/api/v1/captures/shop/checkout";

/// Asks a collector that answers with `answer`; returns its report and the head of the request.
async fn ask(key: GrantKey, answer: String) -> (Result<CollectorReport, String>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let template = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let reports = HttpReports::new(Arc::new(key), Arc::new(SystemClock::new()), template);
    let question = Question {
        id: CaptureId::new("shop", "checkout").unwrap(),
        uid: "u-1".to_owned(),
        pod: "checkout-collector-0".to_owned(),
        ordinal: 0,
        service: "checkout-collector".to_owned(),
    };
    let collector = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let len = stream.read(&mut head).await.unwrap();
        // Who refuses a long answer closes early.
        let _ = stream.write_all(answer.as_bytes()).await;
        String::from_utf8(head[..len].to_vec()).unwrap()
    };
    tokio::join!(reports.ask(question), collector)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn the_request_carries_a_grant_for_itself_alone() {
    let (key, document) = GrantKey::draw().unwrap();
    let public = GrantKey::from_pkcs8(&document).unwrap().public().unwrap();
    let (report, head) = ask(key, answer("200 OK", r#"{"writer": "w", "storage": {"chunks": 3}, "new": 1}"#)).await;
    assert_eq!(report.unwrap().storage.chunks, 3);
    assert!(head.starts_with(&format!("GET {PATH} HTTP/1.1\r\n")), "{head}");
    let grant = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap();
    let now = SystemClock::new().now();
    assert_eq!(verify(grant, &[public], ("u-1", "GET", PATH), now), Ok(()));
    assert!(verify(grant, &[public], ("u-2", "GET", PATH), now).is_err());
}

#[tokio::test]
async fn odd_answers_are_reasons_for_people() {
    for (answer, says) in [
        (answer("403 Forbidden", "{}"), "403"),
        (answer("200 OK", "<html>"), "no report"),
        (answer("200 OK", &"x".repeat(100_000)), "limit"),
        (String::new(), "failed"),
    ] {
        let (report, _) = ask(GrantKey::draw().unwrap().0, answer).await;
        let why = report.unwrap_err();
        assert!(why.contains(says), "`{says}` in `{why}`");
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_said_to_be() {
    let key = Arc::new(GrantKey::draw().unwrap().0);
    for (template, says) in
        [("https://{pod}", "no address"), ("{pod}", "no address"), ("http://127.0.0.1:1", "no connection")]
    {
        let reports = HttpReports::new(Arc::clone(&key), Arc::new(SystemClock::new()), template.to_owned());
        let question = Question {
            id: CaptureId::new("shop", "checkout").unwrap(),
            uid: String::new(),
            pod: "p".to_owned(),
            ordinal: 0,
            service: "s".to_owned(),
        };
        let why = reports.ask(question).await.unwrap_err();
        assert!(why.contains(says), "`{says}` in `{why}`");
    }
}
