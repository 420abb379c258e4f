//! Who is asked: a daemon in a process and a folder of its own.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::HttpPlan;
use crate::lab::bench::BenchError;
use crate::lab::bench::folder::Folder;
use crate::lab::bench::packs::BuiltIn;

/// How long a backlog may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// A daemon that answers. It ends when this is dropped.
pub(super) struct Served {
    process: Child,
    address: String,
    metrics: String,
    token: String,
}

impl Served {
    /// Starts one in an empty folder; `sources` are further sources.
    pub(super) fn start(plan: &HttpPlan, folder: &Folder, sources: &str) -> Result<Served, BenchError> {
        let path = folder.path().join(if sources.is_empty() { "alone" } else { "backlog" });
        let failed = |source| BenchError::Folder { path: path.clone(), source };
        configure(&path, sources).map_err(failed)?;
        let mut command = Command::new(&plan.program);
        command.arg("run").arg("--config").arg(path.join("refguard.yaml")).arg("--with-constant");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(BenchError::Daemon)?;
        let stderr = process.stderr.take().map(BufReader::new);
        let mut served = Served { process, address: String::new(), metrics: String::new(), token: String::new() };
        let mut lines = stderr.into_iter().flat_map(|stderr| stderr.lines());
        let mut said = String::new();
        for line in lines.by_ref().map_while(Result::ok) {
            let told: Value = serde_json::from_str(&line).unwrap_or_default();
            let address = || told["address"].as_str().unwrap_or_default().to_owned();
            match told["message"].as_str() {
                Some("metrics and probes") => served.metrics = address(),
                Some("the API") => served.address = address(),
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
        Err(BenchError::Daemon(std::io::Error::other(format!("it ended before it judged anything: {said}"))))
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// How many events of a source it has judged.
    pub(super) fn judged(&self, source: &str) -> Result<u64, BenchError> {
        let page = self.page().map_err(BenchError::Daemon)?;
        let of_source = format!("source=\"{source}\"");
        let events =
            page.lines().filter(|line| line.starts_with("refguard_events_total{") && line.contains(&of_source));
        Ok(events.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64)
    }

    /// Waits until it has judged so many events of a source.
    pub(super) fn wait_until_judged(
        &self,
        source: &str,
        events: u64,
        monotonic: fn() -> Instant,
    ) -> Result<(), BenchError> {
        let begun = monotonic();
        while self.judged(source)? < events {
            if monotonic().duration_since(begun) > PATIENCE {
                let why = format!("the backlog was not worked off within {} seconds", PATIENCE.as_secs());
                return Err(BenchError::Daemon(std::io::Error::other(why)));
            }
            // The page is made once a moment at most.
            std::thread::park_timeout(Duration::from_millis(100));
        }
        Ok(())
    }

    fn page(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.metrics)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: refguard\r\nconnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok(page)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Its folder goes too: nothing of it is to outlive the measurement.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn configure(folder: &Path, sources: &str) -> std::io::Result<()> {
    fs::create_dir_all(folder.join("rules"))?;
    fs::write(folder.join("rules/bench.yaml"), BuiltIn::BENCH.text())?;
    let at = |name: &str| folder.join(name).display().to_string();
    let much = "{calls_per_second: 10000000, burst: 10000000, bytes_per_second: 4095MiB}";
    let text = format!(
        "sources: {{inbox: {{http: {{}}}}, {sources}}}\n\
         sinks: {{verdicts: {{file: \"{}\"}}}}\n\
         rules: {{path: \"{}\", reload: false, backfill: false}}\n\
         state: {{path: \"{}\", key_file: \"{}\"}}\n\
         records: {{url: \"sqlite:{}\"}}\n\
         http: {{listen: \"127.0.0.1:0\", admin_token_file: \"{}\", max_connections: 4096, limits: {{token: {much}, address: {much}}}}}\n\
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
