//! A real S3 by its interface: the emulator that `make setup` fetches, on a free port, in memory. It dies with the test process.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::until;

/// Below the target directory.
const PROGRAM: &str = "tools/moto/bin/moto_server";
const PATIENCE: Duration = Duration::from_secs(30);

/// A running emulator, or one that was killed.
pub(crate) struct Moto {
    port: u16,
    running: Option<Child>,
    /// Holds the standard input of a shell that kills the emulator once this process is gone.
    _watcher: Option<Child>,
}

impl Moto {
    /// Starts it with an empty bucket of this name.
    pub(crate) fn start(bucket: &str) -> Moto {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
        let port = port.expect("loopback has a free port").port();
        let mut moto = Moto { port, running: None, _watcher: None };
        moto.restart(bucket);
        moto
    }

    /// Where it answers.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts it again, with an empty bucket: it keeps nothing.
    pub(crate) fn restart(&mut self, bucket: &str) {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies below the target directory");
        let program = target.join(PROGRAM);
        assert!(program.exists(), "{} is missing: run `make setup`", program.display());
        let mut command = Command::new(&program);
        command.args(["-H", "127.0.0.1", "-p", &self.port.to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.expect("the emulator starts");
        let watch = format!("read -r _; kill -9 {} 2>/dev/null", child.id());
        self._watcher = Command::new("sh").args(["-c", &watch]).stdin(Stdio::piped()).spawn().ok();
        self.running = Some(child);
        assert!(until(|| self.ask("PUT", &format!("/{bucket}")).is_some()), "the emulator answers");
    }

    /// Ends it as the kernel would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// The names of the objects in a bucket.
    pub(crate) fn objects(&self, bucket: &str) -> Vec<String> {
        let listed = self.ask("GET", &format!("/{bucket}?list-type=2")).unwrap_or_default();
        let names = listed.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        names.map(str::to_owned).collect()
    }

    /// The body of an answer; `None`: nobody answers.
    fn ask(&self, method: &str, path: &str) -> Option<String> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        (&stream).write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        (&stream).read_to_string(&mut answer).ok()?;
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.kill();
    }
}
