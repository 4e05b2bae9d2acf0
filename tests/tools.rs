//! `verify`, `cat` and `stats` from the outside: exit codes, stdout, stderr, over files and pipes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has failed; its files are its own"
)]

mod support {
    pub(crate) mod chunks;
}

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use assert_cmd::Command;
use support::chunks::{BEGIN, Built, SPAN, Span, append, bundle, bundle_with, chunk_name};
use tempfile::TempDir;
use tracecapture::archive::bundle::{BundleReader, Bundles};
use tracecapture::archive::committed::Committed;
use tracecapture::archive::frame::Compression;
use tracecapture::archive::fs::RealFs;
use tracecapture::archive::manifest::SealedBy;
use tracecapture::archive::name::ChunkState;
use tracecapture::archive::snapshot::{Filter, Scope};
use tracecapture::archive::{ChunkWriter, WriterOptions};
use tracecapture::clock::Timestamp;
use tracecapture::ids::{CaptureId, Signal};
use tracecapture::otlp::{Encoding, Limits, Transcoder};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracecapture"));
    command.env_remove("RUST_LOG");
    command
}

/// Runs the program; returns exit code, stdout and stderr.
fn run(args: &[&str], stdin: &[u8]) -> (i32, String, String) {
    let output = program().args(args).write_stdin(stdin).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Checks exit code and stdout of a command whose stderr has to contain `stderr`.
fn check(args: &[&str], stdin: &[u8], code: i32, stdout: &str, stderr: &str) {
    let (found_code, found_stdout, found_stderr) = run(args, stdin);
    assert!(found_stderr.contains(stderr) && found_stderr.is_empty() == stderr.is_empty(), "{args:?}: {found_stderr}");
    assert_eq!((found_code, found_stdout.as_str()), (code, stdout), "{args:?}");
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    fn dir(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

fn spans() -> [Span<'static>; 3] {
    [
        SPAN,
        Span { service: "stock", name: "reserve", trace: 2, start: 10, nanos: 3_000_000, is_error: true },
        Span { service: "shop", name: "POST /order", trace: 2, start: 400, nanos: 2_000_000, is_error: false },
    ]
}

/// One frame per span.
fn built(n: u32, compression: Compression) -> Built {
    let [a, b, c] = spans();
    Built::new(n, compression, &[&[a], &[b], &[c]])
}

fn lines(which: &[usize]) -> String {
    which.iter().map(|&at| spans()[at].line()).collect()
}

/// What the collector writes: a data directory with a sealed chunk of two spans and an open one of one span.
fn data_directory(dir: &Path) {
    let chunks = dir.join("chunks");
    std::fs::create_dir_all(&chunks).unwrap();
    for (n, spans) in [(1, &spans()[..2]), (2, &spans()[2..])] {
        let options = WriterOptions::default();
        let mut writer =
            ChunkWriter::create(Arc::new(RealFs), &chunks, chunk_name(n), options, Committed::new()).unwrap();
        for span in spans {
            let mut segments = Vec::new();
            let mut transcoder = Transcoder::new(Limits::default());
            transcoder.transcode(Signal::Traces, Encoding::Json, span.line().as_bytes(), &mut segments).unwrap();
            writer.append(Signal::Traces, &segments.iter().collect::<Vec<_>>()).unwrap();
            let _ = writer.commit().unwrap();
        }
        if n == 1 {
            writer.seal(Timestamp::from_unix_nanos(BEGIN * 1_000_000_000)).unwrap();
        }
    }
}

#[test]
fn what_the_writer_wrote_is_verified_and_read() {
    let dir = tempfile::tempdir().unwrap();
    data_directory(dir.path());
    let path = dir.path().to_str().unwrap();
    let (code, stdout, stderr) = run(&["verify", path], b"");
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let rows: Vec<&str> = stdout.lines().collect();
    assert!(rows[0].starts_with(&format!("ok         {}  2 spans  ", chunk_name(1))), "{stdout}");
    assert!(rows[1].starts_with(&format!("ok         {}  1 spans  ", chunk_name(2))), "{stdout}");
    assert!(rows[2].starts_with("total: 2 chunks (2 ok, 0 torn, 0 damaged, 0 recovered), 3 spans, "), "{stdout}");
    let (code, stdout, _) = run(&["cat", path], b"");
    assert_eq!((code, stdout.lines().count()), (0, 3));
    assert!(stdout.contains("POST /order"));
}

#[test]
fn a_chunk_is_read_under_every_name_and_from_a_pipe() {
    let files = Files::new();
    for compression in Compression::ALL {
        let built = built(1, compression);
        let all = lines(&[0, 1, 2]);
        let sealed = built.sealed();
        for path in [
            files.write(&built.file(ChunkState::Sealed), &sealed),
            files.write("copy.tar", &sealed),
            files.write("noname", &sealed),
            files.write(&built.file(ChunkState::InProgress), &built.open),
            files.write("bundle.tar", &bundle(&[built.members()])),
        ] {
            check(&["cat", &path], b"", 0, &all, "");
        }
        check(&["cat", "-"], &sealed, 0, &all, "");
        check(&["cat", "-"], &built.open, 0, &all, "");
        check(&["cat", "-"], all.as_bytes(), 0, &all, "");
        check(&["cat", "-"], &zstd::stream::encode_all(all.as_bytes(), 1).unwrap(), 0, &all, "");
    }
}

#[test]
fn a_filter_keeps_what_was_asked_for() {
    let files = Files::new();
    for compression in Compression::ALL {
        let path = files.write(&chunk_name(1).file_name(ChunkState::Sealed), &built(1, compression).sealed());
        let trace = format!("{:032x}", 2);
        let cat = |flags: &[&str], which: &[usize]| {
            let (code, told) = if which.is_empty() { (3, "no span matches") } else { (0, "") };
            check(&[&["cat", path.as_str()], flags].concat(), b"", code, &lines(which), told);
        };
        cat(&["--service", "shop"], &[0, 2]);
        cat(&["--service", "nobody"], &[]);
        cat(&["--trace-id", &trace], &[1, 2]);
        cat(&["--trace-id", &trace, "--service", "stock"], &[1]);
        cat(&["--since", &(BEGIN + 5).to_string()], &[1, 2]);
        cat(&["--until", &(BEGIN + 5).to_string()], &[0]);
        cat(&["--since", "2027-01-01T00:00:00Z"], &[]);
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let files = Files::new();
    let path = files.write("many.jsonl", SPAN.line().repeat(50_000).as_bytes());
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_tracecapture"))
        .args(["cat", &path])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}

#[test]
fn damage_is_told_and_the_rest_is_written() {
    let files = Files::new();
    for compression in Compression::ALL {
        let built = built(1, compression);
        let mut tar = built.sealed();
        tar[usize::try_from(built.frames[1].data.start).unwrap() + 30] ^= 1;
        let path = files.write(&built.file(ChunkState::Sealed), &tar);
        check(&["cat", &path], b"", 5, &lines(&[0, 2]), "are left out");
        let (code, stdout, _) = run(&["verify", &path], b"");
        assert_eq!(code, 5);
        assert!(stdout.starts_with(&format!("damaged    {}  2 spans", built.name)), "{stdout}");
        assert!(stdout.ends_with(&format!(" {} bytes\n", lines(&[0, 2]).len())), "{stdout}");
        let (code, stdout, stderr) = run(&["stats", &path], b"");
        assert_eq!(code, 5, "{stderr}");
        assert!(stdout.starts_with("2 spans, 1 services, 2 operations"), "{stdout}");
    }
}

#[test]
fn data_behind_the_end_mark_is_damage() {
    let (files, built) = (Files::new(), built(1, Compression::Zstd));
    for tar in [bundle(&[built.members()]), built.sealed()] {
        // A resumed download whose rest is of a longer snapshot.
        let mixed = [tar.as_slice(), &built.sealed()[700..]].concat();
        let path = files.write("mixed.tar", &mixed);
        for (path, stdin) in [(path.as_str(), b"".as_slice()), ("-", &mixed)] {
            check(&["cat", path], stdin, 5, &lines(&[0, 1, 2]), "data behind the end of the tar");
            let (code, stdout, _) = run(&["verify", path], stdin);
            assert_eq!(code, 5);
            assert!(stdout.starts_with(&format!("damaged    {}  3 spans", built.name)), "{stdout}");
        }
        let padded = [tar.as_slice(), &[0; 9_000]].concat();
        check(&["cat", "-"], &padded, 0, &lines(&[0, 1, 2]), "");
    }
    let sealed = files.write(&built.file(ChunkState::Sealed), &[built.sealed().as_slice(), b"x"].concat());
    assert_eq!(run(&["verify", &sealed], b"").0, 5);
    assert_eq!(run(&["cat", &sealed], b"").0, 5);
}

#[test]
fn a_tail_that_is_torn_is_no_damage_unless_it_was_sealed() {
    let files = Files::new();
    let built = built(1, Compression::Zstd);
    let cut = &built.open[..usize::try_from(built.frames[2].span.end).unwrap() - 5];
    let verify = |path: &str| {
        let (code, stdout, _) = run(&["verify", path], b"");
        (code, stdout.split(' ').next().unwrap().to_owned())
    };
    let open = files.write(&built.file(ChunkState::InProgress), cut);
    assert_eq!(verify(&open), (0, "torn".to_owned()));
    check(&["cat", &open], b"", 0, &lines(&[0, 1]), "");
    let empty = files.write(&chunk_name(9).file_name(ChunkState::InProgress), b"");
    assert_eq!(verify(&empty), (0, "ok".to_owned()));
    for len in [0, 100, cut.len(), built.sealed().len() - 1024] {
        let sealed = files.write(&built.file(ChunkState::Sealed), &built.sealed()[..len]);
        assert_eq!(verify(&sealed), (5, "torn".to_owned()), "{len}");
    }
    // Nothing matched what was asked for: the bundle is whole all the same.
    let none = files.write("none.tar", &bundle(&[]));
    let (code, stdout, stderr) = run(&["verify", &none], b"");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("0 chunks"), "{stdout}");
    let bundle = bundle(&[built.members()]);
    let bundle = files.write("bundle.tar", &bundle[..bundle.len() - 1024]);
    assert_eq!(verify(&bundle), (5, "torn".to_owned()));
}

#[test]
fn every_golden_directory_gets_its_verdict() {
    let table = [
        ("sealed-zstd", 0, "ok", 12),
        ("sealed-gzip", 0, "ok", 12),
        ("sealed-none", 0, "ok", 12),
        ("torn-zstd", 0, "torn", 10),
        ("torn-gzip", 0, "torn", 10),
        ("torn-none", 0, "torn", 10),
        ("zero-filled-tail", 0, "torn", 10),
        ("damaged-inside", 5, "damaged", 10),
        ("quarantined", 0, "recovered", 10),
    ];
    for (name, code, status, spans) in table {
        let path = format!("{}/tests/golden/v1/{name}", env!("CARGO_MANIFEST_DIR"));
        let (found, stdout, _) = run(&["verify", "-ojson", &path], b"");
        let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((found, &report["chunks"][0]["status"]), (code, &status.into()), "{name}");
        assert_eq!(report["totals"]["spans"], spans, "{name}");
    }
}

#[test]
fn a_recovered_chunk_is_told_from_others() {
    let files = Files::new();
    let built = Built { sealed_by: SealedBy::Recovery, ..built(1, Compression::Zstd) };
    let path = files.write(&built.file(ChunkState::Sealed), &built.sealed());
    let (code, stdout, _) = run(&["verify", &path, "-o", "json"], b"");
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (code, &report["chunks"][0]["status"], &report["totals"]["recovered"]),
        (0, &"recovered".into(), &1.into())
    );
    assert_eq!((&report["totals"]["spans"], &report["totals"]["failed"]), (&3.into(), &0.into()));
}

#[test]
fn an_index_or_manifest_that_says_otherwise_is_damage() {
    let (mut other, files) = (built(1, Compression::Zstd), Files::new());
    other.frames[1].trailer.facts.items += 1;
    let path = files.write(&other.file(ChunkState::Sealed), &other.sealed());
    let (code, stdout, _) = run(&["verify", &path], b"");
    assert_eq!(code, 5);
    assert!(stdout.contains("the index lists 3 frames that are not the 3 found"), "{stdout}");
    assert!(stdout.contains("the manifest says 4 spans, 3 are there"), "{stdout}");
}

#[test]
fn a_bundle_is_held_against_its_manifest() {
    let built = built(1, Compression::Zstd);
    let share = |n: u32, items: u64| format!("{{\"chunk\":\"{}\",\"frames\":3,\"items\":{items}}}", chunk_name(n));
    for (chunks, code, text) in [
        (share(1, 3), 0, "total: 1 chunk (1 ok"),
        (share(1, 4), 5, "the bundle's manifest says 3 frames and 4 spans, 3 and 3 are there"),
        (share(2, 3), 5, "the bundle's manifest does not list it, or it is there twice"),
        (format!("{},{}", share(1, 3), share(2, 1)), 5, "1 chunks that its manifest lists are missing"),
    ] {
        let mut tar = Vec::new();
        append(&mut tar, "manifest.json", format!("{{\"format\":1,\"chunks\":[{chunks}]}}").as_bytes());
        tar.extend_from_slice(&built.sealed());
        let (found, stdout, _) = run(&["verify", "-"], &tar);
        assert_eq!(found, code, "{stdout}");
        assert!(stdout.contains(text), "{stdout}");
    }
}

#[test]
fn a_download_keeps_what_its_manifest_promises() {
    let dir = tempfile::tempdir().unwrap();
    data_directory(dir.path());
    let capture = CaptureId::new("default", "local").unwrap();
    let bundles = Arc::new(Bundles::new(Arc::new(RealFs), dir.path(), capture, Committed::new()));
    let of_service = Filter { service: Some("stock".to_owned()), ..Filter::default() };
    let of_trace = Filter { trace_id: Some(format!("{:032x}", 2).parse().unwrap()), ..Filter::default() };
    for (filter, n_spans) in [(Filter::default(), 3), (of_service, 1), (of_trace, 2)] {
        let bundle = Arc::new(bundles.lay_out(bundles.freeze(&Scope::Bundle(filter.clone())).unwrap()).unwrap());
        let mut tar = vec![0; usize::try_from(bundle.content_len()).unwrap()];
        assert_eq!(BundleReader::new(Arc::clone(&bundles), bundle).read_at(0, &mut tar).unwrap(), tar.len());
        let (code, stdout, _) = run(&["verify", "-"], &tar);
        assert_eq!(code, 0, "{filter:?}: {stdout}");
        assert!(stdout.contains(&format!(" 0 damaged, 0 recovered), {n_spans} spans, ")), "{filter:?}: {stdout}");
    }
}

#[test]
fn what_a_bundle_says_is_missing_is_told() {
    let (built, lost) = (built(1, Compression::Zstd), chunk_name(2));
    let share = format!("{{\"chunk\":\"{}\",\"frames\":3,\"items\":3", built.name);
    let filter = "\"filter\":{\"traceId\":\"00000000000000000000000000000001\"},";
    let unreadable = "its file could not be read where the bundle was made";
    for (manifest, text) in [
        (format!("{{\"chunks\":[{share}}}],\"unreadable\":[\"{lost}\"]}}"), unreadable),
        (format!("{{{filter}\"chunks\":[],\"unreadable\":[\"{lost}\"]}}"), unreadable),
        (format!("{{\"chunks\":[{share},\"damaged\":true}}]}}"), "its file was damaged where the bundle was made"),
    ] {
        let tar = bundle_with(&manifest, &[built.members()]);
        let (code, stdout, _) = run(&["verify", "-"], &tar);
        assert_eq!(code, 5, "{manifest}: {stdout}");
        assert!(stdout.contains(text) && stdout.contains(" 1 damaged, 0 recovered), 3 spans, "), "{stdout}");
        let (code, json, _) = run(&["verify", "-", "-o", "json"], &tar);
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((code, &report["totals"]["failed"], &report["totals"]["atSource"]), (5, &1.into(), &1.into()));
    }
}

#[test]
fn a_chunk_that_was_damaged_before_it_was_downloaded_is_told() {
    let dir = tempfile::tempdir().unwrap();
    data_directory(dir.path());
    let path = dir.path().join("chunks").join(chunk_name(1).file_name(ChunkState::Sealed));
    let held = std::fs::read(&path).unwrap();
    std::fs::write(&path, &held[..held.len() - 700]).unwrap();
    let capture = CaptureId::new("default", "local").unwrap();
    let bundles = Arc::new(Bundles::new(Arc::new(RealFs), dir.path(), capture, Committed::new()));
    let snapshot = bundles.freeze(&Scope::Bundle(Filter::default())).unwrap();
    let bundle = Arc::new(bundles.lay_out(snapshot).unwrap());
    let mut tar = vec![0; usize::try_from(bundle.content_len()).unwrap()];
    assert_eq!(BundleReader::new(Arc::clone(&bundles), bundle).read_at(0, &mut tar).unwrap(), tar.len());
    let (code, stdout, _) = run(&["verify", "-"], &tar);
    let (row, rest) = stdout.split_once('\n').unwrap();
    assert!(row.starts_with(&format!("damaged    {}  2 spans", chunk_name(1))), "{stdout}");
    assert!(row.contains("its file was damaged where the bundle was made"), "{stdout}");
    assert_eq!((code, rest.contains("(1 ok, 0 torn, 1 damaged, 0 recovered), 3 spans")), (5, true), "{stdout}");
}

#[test]
fn nothing_there_is_exit_three() {
    let files = Files::new();
    for command in ["verify", "cat", "stats"] {
        check(
            &[command, files.dir()],
            b"",
            3,
            if command == "verify" {
                "total: 0 chunks (0 ok, 0 torn, 0 damaged, 0 recovered), 0 spans, 0 bytes\n"
            } else {
                ""
            },
            "holds no chunks",
        );
        check(
            &[command, &format!("{}/none", files.dir()), "-"],
            SPAN.line().as_bytes(),
            match command {
                "verify" => 3,
                _ => 6,
            },
            &run(&[command, "-"], SPAN.line().as_bytes()).1,
            "cannot find",
        );
    }
}

#[test]
fn nothing_to_show_is_said() {
    let files = Files::new();
    let path = files.write("blank.jsonl", b"");
    for command in ["cat", "stats"] {
        check(&[command, &path], b"", 3, "", "there are no spans");
    }
}

#[test]
fn foreign_lines_are_checked_one_by_one() {
    let text = format!("{}\n{{\"resourceSpans\":7}}\n{}", SPAN.line(), SPAN.line());
    let (code, stdout, _) = run(&["verify", "-"], text.as_bytes());
    assert_eq!(code, 5);
    assert!(stdout.contains("2 spans") && stdout.contains("line 3 (`stdin`)"), "{stdout}");
    let deep = format!("{{\"resourceSpans\":{}\n", "[{\"resource\":".repeat(100_000));
    assert_eq!(run(&["verify", "-"], deep.as_bytes()).0, 5);
    assert_eq!(run(&["cat", "--service", "shop", "-"], deep.as_bytes()).0, 5);
}

#[test]
fn a_limit_is_named_with_the_flag_that_raises_it() {
    let text = format!("{{\"x\":\"{}\"}}\n", "y".repeat(2_000_000));
    check(&["cat", "-", "--max-line-bytes", "1M"], text.as_bytes(), 1, "", "--max-line-bytes raises the limit");
    check(&["cat", "-", "--max-line-bytes", "3M"], text.as_bytes(), 0, &text, "");
}

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

#[test]
fn hostile_names_do_not_reach_the_terminal() {
    let hostile = Span { service: "\u{1b}]0;pwned\u{7}", name: "a|b\u{202e}<script>\r\n", ..SPAN };
    for args in [["stats", "-", "-otext"], ["stats", "-", "-omarkdown"]] {
        let (code, stdout, _) = run(&args, hostile.line().as_bytes());
        assert_eq!(code, 0);
        assert!(!stdout.contains(['\u{1b}', '\u{7}', '\u{202e}', '\r']), "{stdout:?}");
        assert!(args[2] == "-otext" || !stdout.contains("<script>"), "{stdout}");
    }
    let mut tar = Vec::new();
    append(&mut tar, "x.jsonl", b"\n");
    append(&mut tar, "y.jsonl", b"{\"\x1b[31m\":7\n");
    let mut named = tar.clone();
    named[0..6].copy_from_slice(b"\x1b[1m.\x07");
    for tar in [tar, named] {
        for command in ["verify", "cat", "stats"] {
            let (_, stdout, stderr) = run(&[command, "-"], &tar);
            let quiet = if command == "cat" { stderr } else { stdout + &stderr };
            assert!(!quiet.contains(['\u{1b}', '\u{7}']), "{quiet:?}");
        }
    }
}

#[test]
fn a_link_that_was_named_is_followed() {
    let files = Files::new();
    let target = files.write("x.jsonl", SPAN.line().as_bytes());
    let link = PathBuf::from(files.dir()).join("link");
    std::os::unix::fs::symlink(target, &link).unwrap();
    check(&["cat", link.to_str().unwrap()], b"", 0, &SPAN.line(), "");
}
