//! What is read of files and pipes, and what is said of it.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::Stdio;

use tracecapture::archive::frame::Compression;
use tracecapture::archive::name::ChunkState;

use crate::chunks::{BEGIN, SPAN, Span, append, bundle, chunk_name};
use crate::{Files, built, check, data_directory, lines, run};

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
