//! A real PostgreSQL server: Debian's, on a free port, with a database of its own. It dies with the test process.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::until;

/// Where Debian keeps the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
const PASSWORD: &str = "not-a-secret";

/// A running server.
pub(crate) struct Postgres {
    port: u16,
    folder: tempfile::TempDir,
    running: Option<Child>,
    /// Holds the standard input of a shell that kills the server once this process is gone.
    _watcher: Option<Child>,
}

impl Postgres {
    /// Starts it, empty.
    pub(crate) fn start() -> Postgres {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
        let port = port.expect("loopback has a free port").port();
        let folder = tempfile::Builder::new().prefix("refguard-postgres-").tempdir().expect("there is room");
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).expect("there is room");
        if let Some((user, group)) = owner() {
            for path in [folder.path(), &password] {
                std::os::unix::fs::chown(path, Some(user), Some(group)).expect("root gives files away");
            }
        }
        let mut server = Postgres { port, folder, running: None, _watcher: None };
        let made = program("initdb")
            .args(["--auth=scram-sha-256", "--username=refguard", "--encoding=UTF8", "--no-sync", "-D"])
            .arg(server.data())
            .arg("--pwfile")
            .arg(&password)
            .output()
            .expect("initdb starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.restart();
        server
    }

    /// Where it answers, as `records.url` wants it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://refguard:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    /// Starts it again with what it had.
    pub(crate) fn restart(&mut self) {
        let sockets = format!("-cunix_socket_directories={}", self.folder.path().display());
        let mut command = program("postgres");
        command.arg("-D").arg(self.data()).args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-cfsync=off"]);
        let child = command.arg(sockets).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.expect("the server starts");
        let watch = format!("read -r _; kill -QUIT {} 2>/dev/null", child.id());
        self._watcher = Command::new("sh").args(["-c", &watch]).stdin(Stdio::piped()).spawn().ok();
        self.running = Some(child);
        assert!(until(|| self.is_ready()), "the server answers");
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            // Its children end with it at this signal, as they do not at SIGKILL.
            drop(Command::new("kill").args(["-QUIT", &child.id().to_string()]).status());
            drop(child.wait());
        }
    }

    fn is_ready(&self) -> bool {
        let asked = program("pg_isready").args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]).status();
        asked.is_ok_and(|status| status.success())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program of the newest version, as a user that it is content with: none of them runs as root.
fn program(name: &str) -> Command {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let newest = versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists()).max();
    let path = newest.unwrap_or_else(|| panic!("no PostgreSQL below {VERSIONS}: run `make setup`"));
    let mut command = Command::new(path);
    // A folder that the user may be in.
    command.current_dir("/");
    if let Some((user, group)) = owner() {
        command.uid(user).gid(group);
    }
    command
}

/// The user and group of Debian's package, if this process is root.
fn owner() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    let me = std::fs::metadata("/proc/self").ok()?.uid();
    let of = |what: &str| {
        let asked = Command::new("id").args([what, "postgres"]).output().ok()?;
        String::from_utf8_lossy(&asked.stdout).trim().parse().ok()
    };
    if me != 0 || !Path::new(VERSIONS).exists() {
        return None;
    }
    Some((of("-u")?, of("-g")?))
}
