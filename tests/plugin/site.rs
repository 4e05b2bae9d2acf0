//! A cluster in this process, a kubeconfig for it, and the program that is run against it.

use std::path::PathBuf;
use std::process::Command;

use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::fake::FakeApi;
use crate::gateway::{Answer, Gateway, Plan, TOKEN};

/// The URL path of the capture's bundle.
pub(crate) const BUNDLE: &str = "/api/v1/captures/shop/checkout/bundle.tar";

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) struct Site {
    pub(crate) api: FakeApi,
    pub(crate) gateway: Gateway,
    pub(crate) address: String,
    dir: TempDir,
    // Dropped, it ends the server.
    _runtime: Runtime,
}

impl Site {
    /// Starts a cluster without captures.
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (api, gateway) = (FakeApi::new(), Gateway::default());
        runtime.spawn(serve(listener, api.clone(), gateway.clone()));
        let site = Self { api, gateway, address, dir: tempfile::tempdir().unwrap(), _runtime: runtime };
        site.log_in(json!({ "token": TOKEN }));
        site
    }

    /// Lets the gateway answer a question with a document.
    pub(crate) fn tell(&self, status: u16, document: Value) {
        self.gateway.plan([Plan::Tell(status, document)]);
    }

    /// Writes a kubeconfig with these credentials.
    pub(crate) fn log_in(&self, user: Value) {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": { "server": self.address } }],
            "users": [{ "name": "u", "user": user }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u", "namespace": "shop" } }],
        });
        std::fs::write(self.path("kubeconfig"), config.to_string()).unwrap();
    }

    /// Puts a capture in, with a status of its own.
    pub(crate) fn capture(&self, namespace: &str, name: &str, spec: Value, status: Value) {
        let object = json!({
            "apiVersion": "tracecapture.dev/v1alpha1", "kind": "TraceCapture",
            "metadata": { "namespace": namespace, "name": name, "managedFields": [{ "manager": "m" }] },
            "spec": spec, "status": status,
        });
        self.api.put("tracecaptures", object);
    }

    /// Puts the capture `shop/checkout` in, whose bundle is at the gateway.
    pub(crate) fn checkout(&self) {
        let url = format!("{}{BUNDLE}", self.address);
        self.capture("shop", "checkout", json!({}), json!({ "bundle": { "url": url, "sizeBytes": 1, "chunks": 1 } }));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns the program with arguments, in a directory of its own.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracecapture"));
        command.args(args).current_dir(self.dir.path()).env("KUBECONFIG", self.path("kubeconfig"));
        command.env_remove("TRACECAPTURE_TOKEN").env_remove("RUST_LOG");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        let output = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs the program; its exit code must be this one, and its output hold these texts.
    pub(crate) fn check(&self, args: &[&str], code: i32, stdout: &[&str], stderr: &[&str]) -> Ended {
        let ended = self.run(args);
        assert_eq!(ended.code, code, "{args:?}: {ended:?}");
        for (part, whole) in
            stdout.iter().map(|part| (part, &ended.stdout)).chain(stderr.iter().map(|p| (p, &ended.stderr)))
        {
            assert!(whole.contains(part), "{args:?}: no {part:?} in {whole}");
        }
        ended
    }
}

async fn serve(listener: TcpListener, api: FakeApi, gateway: Gateway) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (api, gateway) = (api.clone(), gateway.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (api, gateway) = (api.clone(), gateway.clone());
            async move { Ok::<_, std::convert::Infallible>(answer(request, &api, &gateway).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::runtime::Handle::current().spawn(async move {
            // A cut connection is an error here, and wanted.
            let _ = connection.await;
        });
    }
}

async fn answer(request: Request<Incoming>, api: &FakeApi, gateway: &Gateway) -> Answer {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    if ["/api/v1/captures/", "/api/v1/links/"].iter().any(|path| head.uri.path().contains(path)) {
        return gateway.answer(&Request::from_parts(head, body));
    }
    let response = api.serve(Request::from_parts(head, Body::from(body.to_vec()))).await;
    response.map(|body| body.map_err(|never| match never {}).boxed_unsync())
}
