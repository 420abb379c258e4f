//! The program as a process: started without this machine's environment, and never waited for without an end.

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// How long the program may say nothing before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The repository, in which the program is started: it finds the shipped rules there.
pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

/// The program with these arguments.
pub(crate) fn refguard(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_refguard"));
    command.current_dir(ROOT).env_clear().args(arguments);
    command
}

/// Runs the program to its end.
pub(crate) fn answer(arguments: &[&str]) -> Answer {
    answer_to(refguard(arguments), b"")
}

/// Runs a command to its end, with this on its standard input.
pub(crate) fn answer_to(mut command: Command, input: &[u8]) -> Answer {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let (id, input) = (child.id(), input.to_vec());
    // It may end without having read everything.
    thread::spawn(move || drop(stdin.write_all(&input)));
    let (done, ended) = channel();
    thread::spawn(move || drop(done.send(child.wait_with_output())));
    match ended.recv_timeout(PATIENCE) {
        Ok(output) => {
            let output = output.expect("the program is our child");
            let err = String::from_utf8(output.stderr).expect("what it says is text");
            Answer { code: output.status.code(), out: output.stdout, err }
        }
        Err(_) => {
            signal(id, "KILL");
            panic!("the program did not end: {command:?}");
        }
    }
}

/// A `refguard run`. It dies with this.
pub(crate) struct Daemon {
    child: Child,
    log: Receiver<String>,
    told: Vec<String>,
}

impl Daemon {
    /// Starts it with a configuration file. Standard input and output are pipes.
    pub(crate) fn start(config: &Path) -> Daemon {
        Daemon::start_with(config, &[])
    }

    /// The same with further arguments.
    pub(crate) fn start_with(config: &Path, arguments: &[&str]) -> Daemon {
        let mut command = refguard(&["run", "--config"]);
        command.arg(config).args(arguments);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the program starts");
        let log = lines(child.stderr.take().expect("it is a pipe"));
        Daemon { child, log, told: Vec::new() }
    }

    /// Waits until the log has a line with this message, and answers the line. Lines before it are passed over.
    pub(crate) fn said(&mut self, message: &str) -> Value {
        loop {
            let line =
                self.next_line().unwrap_or_else(|| panic!("it ended and never said {message:?}: {:#?}", self.told));
            let told: Value = serde_json::from_str(&line).unwrap_or_default();
            if told["message"] == message {
                return told;
            }
        }
    }

    /// Where metrics and probes are served. To be asked for once, before later messages are.
    pub(crate) fn address(&mut self) -> String {
        let told = self.said("metrics and probes");
        told["address"].as_str().expect("an address is a text").to_owned()
    }

    pub(crate) fn stdin(&mut self) -> impl std::io::Write + use<> {
        self.child.stdin.take().expect("its input is a pipe that nobody has taken")
    }

    pub(crate) fn stdout(&mut self) -> impl Read + Send + use<> {
        self.child.stdout.take().expect("its output is a pipe that nobody has taken")
    }

    /// Asks it to read the rules again.
    pub(crate) fn hang_up(&self) {
        signal(self.child.id(), "HUP");
    }

    /// Sends it a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Whether it says this before it ends.
    pub(crate) fn says_soon(&mut self, message: &str) -> bool {
        while let Some(line) = self.next_line() {
            let told: Value = serde_json::from_str(&line).unwrap_or_default();
            if told["message"] == message {
                return true;
            }
        }
        false
    }

    /// What it has said up to now.
    pub(crate) fn told(&mut self) -> &[String] {
        while let Ok(line) = self.log.try_recv() {
            self.told.push(line);
        }
        &self.told
    }

    pub(crate) fn terminate(&self) {
        signal(self.child.id(), "TERM");
    }

    /// Ends it as the kernel would, and waits for that.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it had not ended");
        self.child.wait().expect("it is our child");
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }

    /// Waits for its end, and answers how it ended and everything it said.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        while self.next_line().is_some() {}
        let status = self.child.wait().expect("it is our child");
        (status, self.told.join("\n"))
    }

    /// The next line of the log; `None` at its end.
    fn next_line(&mut self) -> Option<String> {
        match self.log.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.told.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("it says nothing and does not end: {:#?}", self.told),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            // What it said last is what the failure is about, more often than not.
            let told = self.told.drain(..).chain(std::iter::from_fn(|| self.log.recv_timeout(LAST_WORDS).ok()));
            told.for_each(|line| eprintln!("a daemon said: {line}"));
        }
    }
}

/// How long a line of a daemon that has ended may take.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// The lines of a pipe, as they come.
pub(crate) fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (line, lines) = channel();
    thread::spawn(move || {
        let read = BufReader::new(pipe).lines().map_while(Result::ok);
        // Ends early when nobody listens any more.
        read.map_while(|text| line.send(text).ok()).for_each(drop);
    });
    lines
}

/// So many lines of a pipe. Fails the test if they do not come.
pub(crate) fn take(lines: &Receiver<String>, count: usize) -> Vec<String> {
    let line = |at| lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{at} of {count} lines came"));
    (0..count).map(line).collect()
}

/// Sends a signal, such as `TERM`, to a process.
pub(crate) fn signal(process: u32, name: &str) {
    let kill = Command::new("sh").args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &process.to_string()]).status();
    assert!(kill.expect("sh runs").success(), "there is no process {process}");
}

/// Status and body of a page of the daemon.
pub(crate) fn get(address: &str, page: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout is longer than zero");
    let request = format!("GET {page} HTTP/1.1\r\nhost: refguard\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the connection is open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer is text");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
    (status, answer.split_once("\r\n\r\n").expect("a body").1.to_owned())
}
