//! The API over TLS: certificates of servers and clients, and other ones while it runs.

use std::fs;
use std::path::Path;

use crate::support::certificates;
use crate::support::http::{Served, configured};
use crate::support::program::{Answer, Daemon, answer};

/// The first certificates, and a folder with others.
fn served(more: &str) -> (Served, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("there is room");
    certificates::make(folder.path());
    let at = |name: &str| folder.path().join(name).display().to_string();
    let tls =
        format!("http: {{tls: {{certificate: {0}, key: {0}{more}}}}}", at("server.pem")).replace("FOLDER", &at(""));
    let config = configured(folder.path(), "{inbox: {http: {}}}", "{verdicts: {file: VERDICTS}}", &tls);
    let others = tempfile::tempdir().expect("there is room");
    certificates::make(others.path());
    (Served::of(folder, config), others)
}

/// Asks by a command of refguard, which knows this authority.
fn listed(served: &Served, authority: &Path, more: &[&str]) -> Answer {
    let text = |path: &Path| path.to_str().expect("a path is text").to_owned();
    let (config, url) = (text(served.config()), format!("https://{}", served.address));
    let authority = text(authority);
    let reach = ["token", "list", "--config", &config, "--url", &url, "--ca", &authority];
    answer(&[&reach, more].concat())
}

#[test]
fn certificates_that_change_are_taken_and_broken_ones_are_not() {
    let (served, others) = served("");
    let folder = served.folder.path().to_owned();
    let (ours, theirs) = (folder.join("ca.pem"), others.path().join("ca.pem"));
    let answered = listed(&served, &ours, &[]);
    assert_eq!(answered.code, Some(0), "{}", answered.err);
    let stranger = listed(&served, &theirs, &[]);
    assert!(stranger.code == Some(3) && stranger.err.contains("hint: "), "{}", stranger.err);
    // Plain HTTP is no TLS.
    assert_eq!(crate::support::http::send(&served.address, b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n").status, 0);

    fs::write(folder.join("server.pem"), "half a certificate").expect("there is room");
    served.with(|daemon| daemon.said("certificates cannot be read again: those of before are in force"));
    assert_eq!(listed(&served, &ours, &[]).code, Some(0));
    fs::copy(others.path().join("server.pem"), folder.join("server.pem")).expect("there is room");
    served.with(|daemon| daemon.said("other certificates are in force"));
    assert_eq!(listed(&served, &theirs, &[]).code, Some(0));
    assert_eq!(listed(&served, &ours, &[]).code, Some(3));
}

#[test]
fn clients_need_a_certificate_where_that_is_asked_for() {
    let (served, others) = served(", client_ca: FOLDERca.pem");
    let folder = served.folder.path();
    let text = |path: &Path| path.to_str().expect("a path is text").to_owned();
    let of = |folder: &Path| {
        let (certificate, key) = (text(&folder.join("client.pem")), text(&folder.join("client.key")));
        listed(&served, &served.folder.path().join("ca.pem"), &["--certificate", &certificate, "--key", &key])
    };
    let known = of(folder);
    assert_eq!(known.code, Some(0), "{}", known.err);
    assert_eq!(listed(&served, &folder.join("ca.pem"), &[]).code, Some(3), "one that shows none is refused");
    assert_eq!(of(others.path()).code, Some(3), "one of another authority is refused");
}

#[test]
fn certificates_that_cannot_be_used_end_the_start() {
    let folder = tempfile::tempdir().expect("there is room");
    certificates::make(folder.path());
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(folder.path().join("empty.pem"), "").expect("there is room");
    for (tls, told) in [
        (format!("{{certificate: {0}, key: {0}}}", at("missing.pem")), "missing.pem"),
        (format!("{{certificate: {}, key: {}}}", at("empty.pem"), at("server.key")), "there is no certificate in it"),
        (format!("{{certificate: {}, key: {}}}", at("server.pem"), at("client.key")), "http.tls"),
        (format!("{{certificate: {}}}", at("server.pem")), "belong together"),
    ] {
        let config = configured(
            folder.path(),
            "{inbox: {http: {}}}",
            "{verdicts: {file: VERDICTS}}",
            &format!("http: {{tls: {tls}}}"),
        );
        let (status, said) = Daemon::start(&config).ended();
        assert!(status.code().is_some_and(|code| [1, 2].contains(&code)), "{said}");
        assert!(said.contains(told), "{said}");
    }
}
