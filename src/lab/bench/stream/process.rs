//! Who is listened to: a daemon in a process and a folder of its own.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::StreamPlan;
use crate::lab::bench::BenchError;
use crate::lab::bench::folder::Folder;

/// Connections beside those of subscribers.
const OTHERS: usize = 64;
/// Every event that asks for a reward blocks its account.
const RULES: &str = "\
version: 1
pack: bench
rules:
  - id: every
    on: [reward.requested]
    when: event.amount_minor > 0
    action: block
    decide: [{subject: account, verdict: block, ttl: 1h}]
";

/// A daemon. It ends when this is dropped.
pub(super) struct Listened {
    process: Child,
    address: String,
    token: String,
}

impl Listened {
    /// Starts one in an empty folder.
    pub(super) fn start(plan: &StreamPlan, folder: &Folder) -> Result<Listened, BenchError> {
        let path = folder.path();
        let failed = |source| BenchError::Folder { path: path.to_owned(), source };
        configure(path, plan.subscribers).map_err(failed)?;
        let mut command = Command::new(&plan.program);
        command.arg("run").arg("--config").arg(path.join("refguard.yaml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(BenchError::Daemon)?;
        let stderr = process.stderr.take().map(BufReader::new);
        let mut served = Listened { process, address: String::new(), token: String::new() };
        let mut lines = stderr.into_iter().flat_map(|stderr| stderr.lines());
        let mut said = String::new();
        for line in lines.by_ref().map_while(Result::ok) {
            let told: Value = serde_json::from_str(&line).unwrap_or_default();
            match told["message"].as_str() {
                Some("the API") => told["address"].as_str().unwrap_or_default().clone_into(&mut served.address),
                Some("judging") => {
                    let token = fs::read_to_string(path.join("admin.token")).map_err(failed)?;
                    token.trim().clone_into(&mut served.token);
                    // What it says later is read, so that it can go on saying it.
                    std::thread::spawn(move || lines.for_each(drop));
                    return Ok(served);
                }
                _ => said = line,
            }
        }
        Err(BenchError::Daemon(io::Error::other(format!("it ended before it judged anything: {said}"))))
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// What it has in memory, as the kernel counts it.
    pub(super) fn memory_bytes(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        let kilobytes: Option<u64> = resident.and_then(|kilobytes| kilobytes.parse().ok());
        kilobytes
            .map(|kilobytes| kilobytes * 1024)
            .ok_or_else(|| io::Error::other("the kernel does not tell its memory"))
    }
}

impl Drop for Listened {
    fn drop(&mut self) {
        // Its folder goes too: nothing of it is to outlive the measurement.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn configure(folder: &Path, subscribers: usize) -> io::Result<()> {
    fs::create_dir_all(folder.join("rules"))?;
    fs::write(folder.join("rules/bench.yaml"), RULES)?;
    let at = |name: &str| folder.join(name).display().to_string();
    let much = "{calls_per_second: 10000000, burst: 10000000, bytes_per_second: 4095MiB}";
    let connections = subscribers + OTHERS;
    let text = format!(
        "sources: {{inbox: {{http: {{}}}}}}\n\
         sinks: {{verdicts: {{file: \"{}\"}}}}\n\
         rules: {{path: \"{}\", reload: false, backfill: false}}\n\
         state: {{path: \"{}\", key_file: \"{}\"}}\n\
         records: {{url: \"sqlite:{}\"}}\n\
         decisions: {{subscribers: {subscribers}}}\n\
         http: {{listen: \"127.0.0.1:0\", admin_token_file: \"{}\", max_connections: {connections}, limits: {{token: {much}, address: {much}}}}}\n\
         metrics: {{listen: \"127.0.0.1:0\"}}\nlog: {{format: json}}\n",
        at("verdicts.jsonl"),
        at("rules"),
        at("state"),
        at("state.key"),
        at("records.db"),
        at("admin.token"),
    );
    fs::write(folder.join("refguard.yaml"), text)
}
