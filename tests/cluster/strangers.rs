//! Ten thousand wrong tokens: what they cost the API server, and whom they keep waiting.

use std::time::Instant;

use futures::future::join_all;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::access::{Setup, Site, own_address, without_nodes};
use crate::audit;
use crate::cluster::Cluster;
use crate::rights::GATEWAY;

/// Wrong tokens that are shown, on so many connections.
const N_TOKENS: usize = 10_000;
const N_CONNECTIONS: usize = 8;

/// From where they come, as a proxy in front of the gateway says.
const GUESSING: &str = "198.51.100.1";

/// Returns how many tokens the API server was asked about, as it noted itself; `None` where it notes nothing.
fn n_reviews(cluster: &Cluster) -> Option<usize> {
    let requests = audit::requests_of(cluster, GATEWAY)?;
    Some(requests.iter().filter(|request| request.resource == "authentication.k8s.io/tokenreviews").count())
}

/// Shows wrong tokens on one connection, and returns how many were refused unseen.
async fn guess(site: &Site, connection: usize) -> usize {
    let mut stream = TcpStream::connect(&site.gateway.address).await.unwrap();
    let (mut n_unseen, mut buffer) = (0, vec![0; 16 << 10]);
    for n in 0..N_TOKENS / N_CONNECTIONS {
        let head = format!(
            "GET {} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer wrong-{connection}-{n}\r\n\
             x-forwarded-for: 203.0.113.{}, {GUESSING}\r\n\r\n",
            site.base(),
            n % 250
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // An answer is smaller than what a connection takes at once.
        let len = stream.read(&mut buffer).await.unwrap();
        let answer = std::str::from_utf8(&buffer[..len]).unwrap();
        match answer.get(9..12) {
            Some("429") => n_unseen += 1,
            Some("401") => {}
            _ => panic!("{answer}"),
        }
    }
    n_unseen
}

#[test]
fn ten_thousand_wrong_tokens_cost_few_reviews_and_keep_nobody_else_waiting() {
    without_nodes(async |cluster| {
        let trusted = format!("127.0.0.0/8,{}", own_address());
        let setup = Setup { gateway_flags: &["--trusted-proxies", &trusted], ..Setup::default() };
        let site = Site::start(&cluster, setup).await;
        let status = async |name: &str, from: &str| {
            let bearer = format!("Bearer {}", site.person(name).token.as_ref().unwrap());
            site.ask("GET", &site.base(), &[("authorization", &bearer), ("x-forwarded-for", from)]).await.status
        };
        assert_eq!(status("viewer", GUESSING).await, 200);
        let (before, began) = (n_reviews(&cluster), Instant::now());
        let guessed = join_all((0..N_CONNECTIONS).map(|n| guess(&site, n)));
        let meanwhile = async { status("viewer", GUESSING).await };
        let (unseen, known) = tokio::join!(guessed, meanwhile);
        let seconds = began.elapsed().as_secs_f64();
        // Who was known before goes in, and so does who comes from elsewhere.
        assert_eq!((known, status("support", "198.51.100.2").await), (200, 200));
        let unseen: usize = unseen.iter().sum();
        // Twenty at once and two a second, each for two audiences; and those above.
        let at_most = 2.0 * (20.0 + 2.0 * seconds + 1.0) + 4.0;
        let seen = N_TOKENS - unseen;
        eprintln!("{N_TOKENS} wrong tokens in {seconds:.1} s: {seen} looked at, {unseen} refused unseen");
        assert!(f64::from(u32::try_from(seen).unwrap()) <= at_most / 2.0, "{seen} of at most {at_most} / 2");
        if let (Some(before), Some(after)) = (before, n_reviews(&cluster)) {
            let asked = after - before;
            eprintln!("the API server noted {asked} reviews of tokens");
            assert!(f64::from(u32::try_from(asked).unwrap()) <= at_most, "{asked} of at most {at_most}");
        }
        let line = site.gateway.lines().into_iter().find(|line| line["reason"] == "TooManyWrongTokens").unwrap();
        assert_eq!((&line["client"], &line["principal"]), (&GUESSING.into(), &"".into()));
        // The API server's proxy names its clients, too, so where it is trusted nobody has its address.
        let from_proxy = |line: &Value| line["client"] == own_address().to_string();
        assert_eq!(site.ask_by_proxy("support", &format!("{}/bundle.tar", site.base())).await, 200);
        assert!(!site.gateway.lines().iter().any(from_proxy), "{}", site.gateway.log());
        site.end().await;
    });
}
