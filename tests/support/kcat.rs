//! Another client of Kafka, to prove that what others produce is read: `kcat`, of librdkafka's author.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Produces records to one partition, in order, each with the same headers (`name=value`). No record may contain a line
/// feed or be empty.
pub(crate) fn produce(address: &str, topic: &str, partition: i32, headers: &[&OsStr], records: &[&str]) {
    let mut command = Command::new("kcat");
    command.args(["-P", "-b", address, "-t", topic, "-p", &partition.to_string()]);
    for header in headers {
        command.arg("-H").arg(header);
    }
    feed(command, &records.join("\n"));
}

/// Produces records with keys: each is `key`, `record`. The key chooses the partition. No key may contain a tab.
pub(crate) fn produce_keyed(address: &str, topic: &str, records: &[(&str, &str)]) {
    let mut command = Command::new("kcat");
    command.args(["-P", "-b", address, "-t", topic, "-K", "\t"]);
    let lines: Vec<String> = records.iter().map(|(key, record)| format!("{key}\t{record}")).collect();
    feed(command, &lines.join("\n"));
}

/// Produces one record of any bytes, line feeds too.
pub(crate) fn produce_bytes(address: &str, topic: &str, partition: i32, headers: &[OsString], record: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a file can be made");
    std::fs::write(file.path(), record).expect("the file can be written");
    let mut command = Command::new("kcat");
    command.args(["-P", "-b", address, "-t", topic, "-p", &partition.to_string()]);
    for header in headers {
        command.arg("-H").arg(header);
    }
    command.arg(file.path());
    feed(command, "");
}

fn feed(mut command: Command, input: &str) {
    let spawned = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut kcat = spawned.unwrap_or_else(|error| panic!("kcat: {error}\nhint: run `make setup`"));
    let mut stdin = kcat.stdin.take().expect("its input is a pipe");
    stdin.write_all(input.as_bytes()).expect("kcat reads its input");
    drop(stdin);
    let output = kcat.wait_with_output().expect("kcat is our child");
    assert!(output.status.success(), "kcat failed: {}", String::from_utf8_lossy(&output.stderr));
}
