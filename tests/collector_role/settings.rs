//! Mounted settings take effect while the process runs; faulty ones leave everything as it is.

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;

use crate::client::{Client, message, next_id, request, span};
use crate::pod::{BASE, Pod, Site, capture, key_line};

/// Sends a span from a web page and returns which origins the answer allows.
fn allowed_origin(pod: &Pod) -> Option<String> {
    let body = request(&[next_id()], 0);
    let len = body.len().to_string();
    let headers =
        [("content-type", "application/x-protobuf"), ("content-length", &*len), ("origin", "https://shop.example")];
    let mut client = Client::connect(pod.http()).unwrap();
    client.begin("POST /v1/traces", &headers, &body).unwrap();
    let answer = client.head().unwrap();
    assert_eq!(answer.status, 200);
    answer.header("access-control-allow-origin").map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchanged_config_map_takes_effect_and_a_faulty_one_does_not() {
    let site = Site::new("{}");
    let pod = site.start("checkout-collector-0");
    let mut grpc = TraceServiceClient::connect(pod.grpc().to_owned()).await.unwrap();
    let before = site.report(&pod);
    assert_eq!((before["generation"].as_u64(), before["writer"].as_str()), (Some(1), Some("checkout-collector-0")));
    assert_eq!((&before["state"], &before["lastSpanTime"]), (&"Running".into(), &serde_json::Value::Null));
    grpc.export(message(vec![span(next_id(), 0)])).await.unwrap();
    assert!(site.report(&pod)["lastSpanTime"].is_string());
    assert_eq!(allowed_origin(&pod).as_deref(), Some("*"));

    let spec = "{retention: {maxBytes: 500M}, receiver: {cors: {allowedOrigins: ['https://other.example']}}}";
    site.publish(2, spec);
    site.wait_for_generation(&pod, 2);
    assert_eq!(site.report(&pod)["settings"]["retention"]["maxBytes"], 500_000_000);
    assert_eq!(allowed_origin(&pod), None);

    site.publish(3, "{state: Paused, chunk: {maxBytes: banana}}");
    pod.wait_for_log("the old settings stay", &["spec.state", "spec.chunk.maxBytes"]);
    site.publish_files(&[("grant-keys", &key_line(&site.key))]);
    pod.wait_for_log("the old settings stay", &["cannot read"]);
    assert_eq!(site.report(&pod)["generation"], 2);
    grpc.export(message(vec![span(next_id(), 0)])).await.unwrap();

    // Other pods are the operator's to make; another port is told, because this process keeps its own.
    let storage = "storage: {size: 1Gi, accessModes: [ReadWriteMany]}";
    site.publish(4, &format!("{{collector: {{replicas: 2}}, {storage}, receiver: {{grpc: {{port: 14317}}}}}}"));
    site.wait_for_generation(&pod, 4);
    pod.wait_for_log("these changes take effect at the next start", &["spec.receiver.grpc.port"]);
    let log = serde_json::to_string(&pod.log()).unwrap();
    assert!(!log.contains("spec.collector") && !log.contains("spec.storage"), "{log}");
    grpc.export(message(vec![span(next_id(), 0)])).await.unwrap();
}

#[test]
fn downloads_can_be_switched_off_and_the_inventory_stays() {
    let site = Site::new("{}");
    let pod = site.start("checkout-collector-0");
    assert_eq!(pod.post_one().1.status, 200);
    let chunk = site.chunks("")[0].split('.').take(2).collect::<Vec<_>>().join(".");
    let spans = ["bundle.tar", "manifest", &format!("chunks/{chunk}"), "traces/0000000000000000000000000000abcd"];
    for part in &spans {
        let answer = site.ask(&pod, "GET", &format!("{BASE}/{part}"));
        assert!(answer.status == 200 || part.starts_with("traces"), "{part}: {answer:?}");
    }
    site.publish(2, "{download: {enabled: false}}");
    site.wait_for_generation(&pod, 2);
    for part in &spans {
        let answer = site.ask(&pod, "GET", &format!("{BASE}/{part}"));
        assert_eq!((answer.status, answer.header("content-type")), (403, Some("application/problem+json")), "{part}");
        let problem = answer.json();
        assert_eq!(problem["reason"], "DownloadsDisabled");
        assert!(problem["detail"].as_str().unwrap().contains("`spec.download.enabled: true`"), "{problem}");
    }
    let chunks = site.ask(&pod, "GET", &format!("{BASE}/chunks")).json();
    assert_eq!(chunks["chunks"].as_array().unwrap().len(), 1);
    site.publish_files(&[("capture.yaml", &capture(3, "{}")), ("grant-keys", &key_line(&site.key))]);
    site.wait_for_generation(&pod, 3);
    assert_eq!(site.ask(&pod, "GET", &format!("{BASE}/bundle.tar")).status, 200);
}
