//! Certificates for a test: an authority, a server on loopback and a client, made by `openssl`.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Makes `ca.pem`, `server.pem` (key and certificate), and `client.pem`, `client.key` in a folder, and `other.pem`: an
/// authority that has signed nothing of these.
pub(crate) fn make(folder: &Path) {
    for authority in ["ca", "other"] {
        let (key, pem) = (format!("{authority}.key"), format!("{authority}.pem"));
        let name = format!("/CN=refguard tests {authority}");
        openssl(
            folder,
            &[
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", &name, "-keyout", &key, "-out",
                &pem,
            ],
        );
    }
    for (name, alternative) in [("server", "IP:127.0.0.1"), ("client", "DNS:client")] {
        let (key, request, pem) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        let subject = format!("/CN={name}");
        openssl(
            folder,
            &["req", "-newkey", "rsa:2048", "-nodes", "-subj", &subject, "-keyout", &key, "-out", &request],
        );
        fs::write(folder.join("names"), format!("subjectAltName={alternative}\n")).expect("the folder can be written");
        let by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "2"];
        let sign = [&["x509", "-req", "-in", &request, "-out", &pem], by.as_slice()].concat();
        openssl(folder, &sign);
    }
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("openssl has written it");
    let both = read("server.key") + &read("server.pem");
    fs::write(folder.join("server.pem"), both).expect("the folder can be written");
}

/// Runs `openssl` in a folder; answers what it printed.
pub(super) fn openssl(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").current_dir(folder).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("openssl: {error}\nhint: run `make setup`"));
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
