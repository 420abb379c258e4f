//! Real Redis servers for tests, alone or as a cluster, on free loopback ports. They die with the test process: a watching
//! shell kills each once its standard input, which this process holds, is closed.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::program::signal;
use super::until;

/// Below the target directory, whatever that is.
const TMP: &str = env!("CARGO_TARGET_TMPDIR");

/// A server, or one that was killed and can be started again on its data.
pub(crate) struct Redis {
    folder: PathBuf,
    pub(crate) port: u16,
    options: Vec<String>,
    /// A locale that it runs in, made below this folder.
    locale: Option<(PathBuf, &'static str)>,
    running: Option<(Child, Child)>,
}

impl Redis {
    /// A server as a state needs it.
    pub(crate) fn start() -> Redis {
        Redis::start_with(&["--appendonly", "yes"])
    }

    /// A server with these options alone.
    pub(crate) fn start_with(options: &[&str]) -> Redis {
        Redis::start_where(options, None)
    }

    /// A server where texts sort as people of the United States have it, as many machines are set up.
    pub(crate) fn start_abroad() -> Redis {
        const LOCALE: &str = "en_US.UTF-8";
        let folder = PathBuf::from(TMP).join("locales");
        fs::create_dir_all(&folder).expect("the target directory can be written");
        let made = folder.join(LOCALE);
        let mut command = Command::new("localedef");
        command.args(["-i", "en_US", "-f", "UTF-8", "--no-archive"]).arg(&made);
        let is_made = command.output().is_ok_and(|output| output.status.success());
        assert!(is_made, "the package `locales` is installed: `scripts/setup test` does it");
        let redis = Redis::start_where(&["--appendonly", "yes"], Some((folder, LOCALE)));
        assert_eq!(redis.ask(&["EVAL", "return 'a' < 'B' and 1 or 0", "0"]), "1", "the locale is in force");
        redis
    }

    fn start_where(options: &[&str], locale: Option<(PathBuf, &'static str)>) -> Redis {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(TMP).join(format!("redis-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("the target directory can be written");
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        // A port that was free a moment ago may be taken by now: then another one is tried.
        for _ in 0..3 {
            let mut redis = Redis {
                folder: folder.clone(),
                port: free_port(),
                options: Vec::clone(&options),
                locale: locale.clone(),
                running: None,
            };
            if redis.launch() {
                return redis;
            }
        }
        panic!("no Redis server could be started: {}", fs::read_to_string(folder.join("log")).unwrap_or_default());
    }

    /// Starts a server that was killed, on its data.
    pub(crate) fn restart(&mut self) {
        assert!(self.running.is_none() && self.launch(), "the server starts again");
    }

    fn launch(&mut self) -> bool {
        let port = self.port.to_string();
        let folder = self.folder.to_str().expect("the path is text");
        let mut command = Command::new("redis-server");
        if let Some((folder, name)) = &self.locale {
            command.env("LOCPATH", folder).env("LC_ALL", name);
        }
        command.args(["--bind", "127.0.0.1", "--dir", folder, "--save", "", "--logfile", "log"]);
        if !self.options.iter().any(|option| option == "--tls-port") {
            command.args(["--port", &port]);
        }
        let options = self.options.iter().map(|option| if option == "PORT" { &port } else { option });
        let server = command.args(options).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = server.expect("redis-server is installed: `scripts/setup test` does it");
        let watch = "read -r word || { kill -KILL \"$1\"; rm -rf \"$2\"; }";
        let watcher = Command::new("sh")
            .args(["-c", watch, "sh", &server.id().to_string(), folder])
            .stdin(Stdio::piped())
            .spawn();
        self.running = Some((server, watcher.expect("sh runs")));
        let listens = || std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
        let started = until(listens);
        if !started {
            self.kill();
        }
        started
    }

    /// Ends it as the kernel would.
    pub(crate) fn kill(&mut self) {
        let Some((mut server, mut watcher)) = self.running.take() else { return };
        drop(server.kill());
        server.wait().expect("it is our child");
        drop(watcher.kill());
        watcher.wait().expect("it is our child");
    }

    /// Sends it a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let (server, _) = self.running.as_ref().expect("it runs");
        signal(server.id(), name);
    }

    /// Where it listens, as the configuration has it.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What redis-cli answers to a command.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let asked = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(words).output();
        let asked = asked.expect("redis-cli is installed: `scripts/setup test` does it");
        assert!(asked.status.success(), "{words:?}: {}", String::from_utf8_lossy(&asked.stderr));
        String::from_utf8_lossy(&asked.stdout).trim_end().to_owned()
    }

    /// How many keys it holds.
    pub(crate) fn keys(&self) -> usize {
        self.ask(&["DBSIZE"]).parse().expect("a number")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// A cluster of three primaries with a replica each.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Redis>,
}

impl Cluster {
    pub(crate) fn start() -> Cluster {
        let options = [
            "--appendonly",
            "yes",
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "1000",
            "--cluster-port",
            "0",
        ];
        let nodes: Vec<Redis> = (0..6).map(|_| Redis::start_with(&options)).collect();
        let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let mut command = Command::new("redis-cli");
        command.args(["--cluster", "create"]).args(&addresses).args(["--cluster-replicas", "1", "--cluster-yes"]);
        let made = command.output().expect("redis-cli is installed: `scripts/setup test` does it");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let cluster = Cluster { nodes };
        let is_whole = |node: &Redis| node.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
        assert!(until(|| cluster.nodes.iter().all(is_whole)), "the cluster comes about");
        let has_replicas = |node: &Redis| {
            node.ask(&["CLUSTER", "NODES"]).matches(" slave ").count()
                + node.ask(&["CLUSTER", "NODES"]).matches("myself,slave").count()
                == 3
        };
        assert!(until(|| cluster.nodes.iter().all(has_replicas)), "each primary has its replica");
        cluster
    }

    /// Some of the nodes, as the configuration has them.
    pub(crate) fn urls(&self) -> String {
        self.nodes.iter().take(2).map(|node| format!("\"{}\"", node.url())).collect::<Vec<_>>().join(", ")
    }

    /// The places of the three primaries, once there are three, with replicas for all that can have one.
    pub(crate) fn primaries(&self) -> Vec<usize> {
        let running = || self.nodes.iter().enumerate().filter(|(_, node)| node.running.is_some());
        let roles = || -> Vec<(usize, String)> { running().map(|(at, node)| (at, node.ask(&["ROLE"]))).collect() };
        let is_primary = |role: &str| role.starts_with("master");
        // A primary's role is told with its place in the stream of writes, then with its replicas, three lines each.
        let follows = |role: &str| role.lines().nth(2).is_some_and(|line| !line.is_empty());
        let is_settled = || {
            let roles = roles();
            let primaries: Vec<&String> = roles.iter().map(|(_, role)| role).filter(|role| is_primary(role)).collect();
            let followed = primaries.iter().filter(|role| follows(role)).count();
            primaries.len() == 3 && followed == roles.len() - 3
        };
        assert!(until(is_settled), "the cluster settles: {:?}", roles());
        roles().into_iter().filter(|(_, role)| is_primary(role)).map(|(at, _)| at).collect()
    }
}

fn free_port() -> u16 {
    // The bus of a cluster is 10000 above.
    (0..1000)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("some port is free"))
        .map(|listener| listener.local_addr().expect("it is bound").port())
        .find(|port| *port < 55_000 && TcpListener::bind((Ipv4Addr::LOCALHOST, port + 10_000)).is_ok())
        .expect("some port below 55000 is free")
}
