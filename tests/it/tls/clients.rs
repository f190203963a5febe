//! Clients that are not of this test: `openssl s_client`, and the program itself.

use std::{path::Path, process::Stdio};

use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use super::{Authority, Pair, SecureHub};
use crate::{
    harness::PATIENCE,
    program::{Finished, finish, hear, tasklight},
};

/// What `openssl s_client` says with these flags, having asked for the list of tasks.
async fn s_client(secure: &SecureHub, flags: &[&str]) -> Finished {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &secure.address().to_string(), "-servername", "localhost", "-CAfile"]);
    command.arg(secure.files.path("ca.pem")).args(["-verify_return_error", "-ign_eof"]).args(flags);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("openssl is there (tests/services.sh installs it)");
    let mut stdin = child.stdin.take().expect("piped");
    let request = b"GET /v1/tasks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    // One that does not get through does not read it.
    let _ = stdin.write_all(request).await;
    let output = timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").expect("it is ours");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Finished { code: output.status.code(), stdout: output.stdout, stderr }
}

#[tokio::test]
async fn openssl_gets_an_answer_by_both_versions_and_by_no_older_one() {
    let secure = SecureHub::start().await;
    for (version, protocol) in [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")] {
        let said = s_client(&secure, &[version, "-alpn", "h2,http/1.1"]).await;
        let out = said.out();
        for part in [protocol, "Verify return code: 0 (ok)", "ALPN protocol: http/1.1", "HTTP/1.1 200 OK", "\"tasks\""] {
            assert!(out.contains(part), "{version}: no {part} in {out}\n{}", said.stderr);
        }
        assert!(!out.contains("Reused"), "{out}");
        assert_eq!(said.code, Some(0), "it ends with a goodbye: {}", said.stderr);
    }
    for flags in [&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"][..], &["-alpn", "h2"]] {
        let said = s_client(&secure, flags).await;
        assert!(!said.out().contains("HTTP/1.1"), "{flags:?}: {}", said.out());
    }
    let only = SecureHub::start_with(|settings, _| settings.tls.min_version = "1.3".to_owned()).await;
    assert!(!s_client(&only, &["-tls1_2"]).await.out().contains("HTTP/1.1"));
    assert!(s_client(&only, &["-tls1_3"]).await.out().contains("HTTP/1.1 200 OK"));
}

fn write(folder: &Path, name: &str, pair: &Pair) -> [String; 2] {
    let [cert, key] = ["pem", "key"].map(|kind| folder.join(format!("{name}.{kind}")));
    std::fs::write(&cert, &pair.cert).expect("it is written");
    std::fs::write(&key, &pair.key).expect("it is written");
    [cert, key].map(|path| path.display().to_string())
}

#[tokio::test]
async fn the_program_publishes_and_follows_by_tls_with_a_certificate_of_its_own() {
    let secure = SecureHub::start_with(|settings, files| {
        settings.tls.client_auth = "required".to_owned();
        settings.tls.client_ca_file = files.path("ca.pem").display().to_string();
        let grants = "[[client]]\nsubject = \"me\"\nread = [\"*\"]\npublish = [\"*\"]\n";
        settings.tls.client_grants = files.write("grants.toml", grants);
    })
    .await;
    let (hub, folder) = (secure.url(""), secure.files.folder.path());
    let ca = secure.files.path("ca.pem").display().to_string();
    let [cert, key] = write(folder, "me", &secure.files.authority.client("me"));
    let mine = ["--ca-file", &ca, "--cert", &cert, "--key", &key];
    let run = [&["run", "--task", "t"], &mine[..], &["--", "echo", "hello"]].concat();
    let done = finish(&mut tasklight(&hub, run)).await;
    assert_eq!((done.code, done.out().as_str()), (Some(0), "hello\n"), "{}", done.stderr);
    let mut tail = tasklight(&hub, ["tail", "t"]);
    tail.env("TASKLIGHT_CA_FILE", &ca).env("TASKLIGHT_CERT_FILE", &cert).env("TASKLIGHT_KEY_FILE", &key);
    let mut tail = tail.spawn().expect("the program starts");
    assert!(hear(&mut tail, "hello").await.ends_with("hello"));
    drop(tail);

    let [other_cert, other_key] = write(folder, "other", &Authority::new("Example CA").client("me"));
    for (flags, code, part) in [
        (vec![], 3, "--ca-file or TASKLIGHT_CA_FILE"),
        (vec!["--ca-file", &ca], 3, "--cert and --key"),
        (vec!["--ca-file", &ca, "--cert", &other_cert, "--key", &other_key], 3, "--cert and --key"),
        (vec!["--ca-file", &ca, "--cert", &cert], 2, "--key"),
        (vec!["--ca-file", &ca, "--key", &key], 2, "--cert"),
        (vec!["--ca-file", &ca, "--cert", &cert, "--key", &cert], 2, "no certificate with its key"),
        (vec!["--ca-file", "/nowhere/ca.pem"], 2, "/nowhere/ca.pem: it cannot be read"),
        (vec!["--ca-file", &key], 2, "no certificate"),
    ] {
        let done = finish(&mut tasklight(&hub, [&["tasks", "list"], &flags[..]].concat())).await;
        assert!(done.code == Some(code) && done.stderr.contains(part), "{flags:?}: {:?} {}", done.code, done.stderr);
    }
}

#[tokio::test]
async fn keys_of_every_usual_kind_serve() {
    let folder = tempfile::TempDir::new().expect("a folder");
    for (kind, flags) in [
        ("rsa", &["-newkey", "rsa:2048"][..]),
        ("p256", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]),
        ("p384", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1"]),
        ("ed25519", &["-newkey", "ed25519"]),
    ] {
        let mut command = Command::new("openssl");
        command.current_dir(folder.path()).args(["req", "-x509", "-nodes", "-days", "1", "-subj", "/CN=hub"]).args(flags);
        command.args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]);
        command.args(["-keyout", &format!("{kind}.key"), "-out", &format!("{kind}.pem")]).stderr(Stdio::null());
        assert!(command.status().await.expect("openssl is there").success(), "{kind}");
        let [cert, key] = ["pem", "key"].map(|end| folder.path().join(format!("{kind}.{end}")));
        let pem = std::fs::read(&cert).expect("it is there");
        let secure = SecureHub::start_with(|settings, _| {
            settings.tls.cert_file = cert.display().to_string();
            settings.tls.key_file = key.display().to_string();
        })
        .await;
        let own = reqwest::Certificate::from_pem(&pem).expect("a certificate");
        let client = reqwest::Client::builder().tls_certs_only([own]).build().expect("a client");
        assert_eq!(client.get(secure.url("/v1/tasks")).send().await.expect(kind).status(), 200, "{kind}");
    }
}
