//! A collector pod, what is mounted into it, and who may ask it.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use tracecapture::api::grant::{Grant, GrantKey};

use crate::client::{Answer, Client, next_id, request, wait_until};
use crate::support::tracecapture;

/// The UID of the capture of all tests.
pub(crate) const UID: &str = "7f0e3c52-4b0e-4d0b-9a43-0d7b6d6f1a11";

/// Where its pods answer.
pub(crate) const BASE: &str = "/api/v1/captures/shop/checkout";

/// What pods of one capture share: settings, volume, and the key of the installation.
pub(crate) struct Site {
    pub(crate) key: GrantKey,
    dir: TempDir,
}

/// A running collector; dropped, it is killed.
pub(crate) struct Pod {
    child: Child,
    log: PathBuf,
    grpc: String,
    http: String,
    web: String,
    admin: String,
}

impl Site {
    /// Publishes the first generation of a capture with this spec.
    pub(crate) fn new(spec: &str) -> Self {
        let site = Self { key: GrantKey::draw().unwrap().0, dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(site.settings_dir()).unwrap();
        site.publish(1, spec);
        for file in ["capture.yaml", "grant-keys"] {
            symlink(Path::new("..data").join(file), site.settings_dir().join(file)).unwrap();
        }
        site
    }

    /// Publishes another generation, and the key of this site.
    pub(crate) fn publish(&self, generation: u64, spec: &str) {
        self.publish_files(&[("capture.yaml", &capture(generation, spec)), ("grant-keys", &key_line(&self.key))]);
    }

    /// Exchanges everything that is mounted, as the kubelet does: the files lead through `..data`, which is renamed over.
    pub(crate) fn publish_files(&self, files: &[(&str, &str)]) {
        let dir = self.settings_dir();
        let version = format!("..{}", next_id());
        fs::create_dir(dir.join(&version)).unwrap();
        for (name, text) in files {
            fs::write(dir.join(&version).join(name), text).unwrap();
        }
        symlink(&version, dir.join("..data_tmp")).unwrap();
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    }

    pub(crate) fn settings_dir(&self) -> PathBuf {
        self.dir.path().join("settings")
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The names of the chunks whose names end in `ending`, sorted.
    pub(crate) fn chunks(&self, ending: &str) -> Vec<String> {
        let names = fs::read_dir(self.data_dir().join("chunks")).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name.ends_with(ending));
        names.sort();
        names
    }

    /// A call of the binary as this pod.
    pub(crate) fn command(&self, pod_name: &str) -> Command {
        let mut command = tracecapture(&["collector"]);
        for listen in ["--grpc-listen", "--http-listen", "--web-listen", "--admin-listen"] {
            command.args([listen, "127.0.0.1:0"]);
        }
        command.arg("--settings-dir").arg(self.settings_dir()).arg("--data-dir").arg(self.data_dir());
        command.env("POD_NAME", pod_name);
        command
    }

    /// Starts a pod and waits until it is ready.
    pub(crate) fn start(&self, pod_name: &str) -> Pod {
        let log = self.dir.path().join(format!("{pod_name}-{}.log", next_id()));
        let mut child =
            self.command(pod_name).stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let mut ready = None;
        wait_until("the collector is ready or ends", || {
            ready = lines(&log).into_iter().find(|line| line["message"] == "collector ready");
            ready.is_some() || child.try_wait().unwrap().is_some()
        });
        let Some(ready) = ready else { panic!("it ended:\n{}", fs::read_to_string(&log).unwrap()) };
        let address = |field: &str| format!("http://{}", ready[field].as_str().unwrap());
        let (grpc, http, web, admin) = (address("grpc"), address("http"), address("web"), address("admin"));
        Pod { child, log, grpc, http, web, admin }
    }

    /// Returns an `Authorization` for a request of the capture.
    pub(crate) fn grant(&self, method: &str, path: &str) -> String {
        bearer(&self.key, UID, method, path, 60)
    }

    /// Asks with a grant.
    pub(crate) fn ask(&self, pod: &Pod, method: &str, path: &str) -> Answer {
        let grant = self.grant(method, path.split('?').next().unwrap());
        pod.ask(method, path, &[("authorization", &grant)])
    }

    pub(crate) fn report(&self, pod: &Pod) -> serde_json::Value {
        let answer = self.ask(pod, "GET", BASE);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Waits until a pod works by a generation.
    #[track_caller]
    pub(crate) fn wait_for_generation(&self, pod: &Pod, generation: u64) {
        wait_until("the settings are taken up", || self.report(pod)["generation"] == generation);
    }
}

impl Pod {
    pub(crate) fn grpc(&self) -> &str {
        &self.grpc
    }

    pub(crate) fn http(&self) -> &str {
        &self.http
    }

    /// Sends one new span and returns its id and the answer.
    pub(crate) fn post_one(&self) -> (u64, Answer) {
        let id = next_id();
        (id, Client::connect(&self.http).unwrap().post(&request(&[id], 0)).unwrap())
    }

    /// Sends a request to the web address.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        send(&self.web, method, path, headers)
    }

    /// Asks the admin port; returns status and body.
    pub(crate) fn probe(&self, path: &str) -> (u16, String) {
        let answer = send(&self.admin, "GET", path, &[]);
        (answer.status, answer.text())
    }

    /// The lines of the log so far.
    pub(crate) fn log(&self) -> Vec<serde_json::Value> {
        lines(&self.log)
    }

    /// Waits until the log has a line with this message whose text has all of `parts`.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, message: &str, parts: &[&str]) {
        wait_until("the log has the line", || {
            let found = |line: &serde_json::Value| {
                line["message"] == message && parts.iter().all(|part| line.to_string().contains(part))
            };
            self.log().iter().any(found)
        });
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status().unwrap();
        assert!(sent.success(), "cannot send SIG{name}");
    }

    /// Waits for the end of a pod that was told to end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Ends it as a node that is lost does.
    pub(crate) fn kill9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The manifest that is mounted for a generation.
pub(crate) fn capture(generation: u64, spec: &str) -> String {
    format!(
        "apiVersion: tracecapture.dev/v1alpha1\nkind: TraceCapture\nmetadata:\n  name: checkout\n  namespace: shop\n  \
         uid: {UID}\n  generation: {generation}\n  creationTimestamp: '2026-01-01T00:00:00Z'\nspec: {spec}\n"
    )
}

/// A line of the keys' file.
pub(crate) fn key_line(key: &GrantKey) -> String {
    key.public().unwrap().to_text() + "\n"
}

/// Returns an `Authorization` with a grant that ends in so many seconds.
pub(crate) fn bearer(key: &GrantKey, uid: &str, method: &str, path: &str, seconds: i64) -> String {
    let expires = now().saturating_add_signed(seconds);
    let (uid, method, path) = (uid.to_owned(), method.to_owned(), path.to_owned());
    format!("Bearer {}", key.sign(&Grant { uid, method, path, expires }))
}

/// The Unix second.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

fn send(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut client = Client::connect(address).unwrap();
    client.begin(&format!("{method} {path}"), headers, b"").unwrap();
    let head = client.head().unwrap();
    // An answer to HEAD says how long a body would be.
    if method == "HEAD" { head } else { client.body(head).unwrap() }
}

/// The lines of a log that are complete.
fn lines(log: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(log).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
