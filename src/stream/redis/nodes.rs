//! The nodes that answer: one, or the primaries of a cluster with the slots that each of them has.
//!
//! Commands for several nodes are sent to all of them before the first answer is read, so their work overlaps. Whatever goes
//! wrong with one connection ends all of them: what was under way is judged again from what the servers hold then, so nothing
//! depends on which part of it was done. A slot that has moved is such a case too.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::{Client, Connection, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, TlsCertificates, Value};

use super::error::RedisError;
use super::measure::Recording;
use super::names::SLOTS;
use super::wire::{Commands, list, number, text};
use super::{RedisOptions, TlsOptions};

/// How long a connection may take to come about.
const CONNECTING: Duration = Duration::from_secs(3);

struct Node {
    address: (String, u16),
    connection: Connection,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Node").field(&self.address).finish()
    }
}

/// Connections to all nodes that hold slots.
#[derive(Debug)]
pub(super) struct Nodes {
    nodes: Vec<Node>,
    /// By slot: its node; empty: there is but one node.
    slots: Vec<u8>,
    /// What was sent, while that is recorded.
    pub(super) recording: Option<Recording>,
}

impl Nodes {
    /// Connects to one of the configured nodes, and to those that it names.
    pub(super) fn connect(options: &RedisOptions) -> Result<Nodes, RedisError> {
        let mut last = RedisError::Away("no node is configured".to_owned());
        for address in &options.nodes {
            match Nodes::connect_by(address, options) {
                Ok(nodes) => return Ok(nodes),
                refused @ Err(RedisError::Refused { .. }) => return refused,
                Err(away) => last = away,
            }
        }
        Err(last)
    }

    fn connect_by(address: &(String, u16), options: &RedisOptions) -> Result<Nodes, RedisError> {
        let mut first = Node::open(address.clone(), options)?;
        let about = text(first.ask(&[b"INFO", b"cluster"])?)?;
        if !about.contains("cluster_enabled:1") {
            first.is_primary()?;
            for other in options.nodes.iter().filter(|other| *other != address) {
                let another = Node::open(other.clone(), options).and_then(|mut node| node.is_primary());
                if another.is_ok() {
                    let (host, port) = other;
                    return Err(RedisError::refused(
                        format!("{} and {host}:{port} are two primaries, and no cluster", first.called()),
                        "name one primary in `state.redis.urls`, its replicas, or nodes of one cluster",
                    ));
                }
            }
            return Ok(Nodes { nodes: vec![first], slots: Vec::new(), recording: None });
        }
        let ranges = list(first.ask(&[b"CLUSTER", b"SLOTS"])?)?;
        let mut nodes = Nodes { nodes: Vec::new(), slots: vec![u8::MAX; usize::from(SLOTS)], recording: None };
        let mut spare = Some(first);
        for range in ranges {
            let mut range = list(range)?.into_iter();
            let mut next = || range.next().unwrap_or(Value::Nil);
            let (from, to, primary) = (number(next())?, number(next())?, next());
            let mut primary = list(primary)?.into_iter();
            let host = text(primary.next().unwrap_or(Value::Nil))?;
            let port = number(primary.next().unwrap_or(Value::Nil))?;
            // Who does not know its own name is who was asked.
            let host = if host.is_empty() { address.0.clone() } else { host };
            let port = u16::try_from(port).unwrap_or(address.1);
            let place = nodes.place((host, port), &mut spare, options)?;
            let (from, to) = (from.clamp(0, i64::from(SLOTS)) as usize, to.clamp(-1, i64::from(SLOTS) - 1) + 1);
            nodes.slots[from..(to as usize).max(from)].fill(place);
        }
        if nodes.slots.contains(&u8::MAX) {
            return Err(RedisError::Away("some slots of the cluster are on no node".to_owned()));
        }
        Ok(nodes)
    }

    /// The place of a node, connected.
    fn place(
        &mut self,
        address: (String, u16),
        spare: &mut Option<Node>,
        options: &RedisOptions,
    ) -> Result<u8, RedisError> {
        if let Some(known) = self.nodes.iter().position(|node| node.address == address) {
            return Ok(known as u8);
        }
        let node = match spare.take_if(|node| node.address == address) {
            Some(node) => node,
            None => Node::open(address, options)?,
        };
        self.nodes.push(node);
        u8::try_from(self.nodes.len() - 1)
            .ok()
            .filter(|place| *place != u8::MAX)
            .ok_or_else(|| RedisError::refused("the cluster has more than 254 primaries", "use fewer, larger nodes"))
    }

    /// Whether they are those of a cluster, where a call reaches one slot.
    pub(super) fn is_cluster(&self) -> bool {
        !self.slots.is_empty()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node that holds a slot.
    pub(super) fn of_slot(&self, slot: u16) -> usize {
        self.slots.get(usize::from(slot)).map_or(0, |node| usize::from(*node))
    }

    /// Sends commands, by node, and reads the answers of each in order. An answer may be an error by itself.
    pub(super) fn exchange(&mut self, commands: &[Commands]) -> Result<Vec<Vec<Value>>, RedisError> {
        if let Some(recording) = &mut self.recording {
            recording.exchanges.push(commands.to_vec());
        }
        for (node, commands) in self.nodes.iter_mut().zip(commands).filter(|(_, commands)| commands.count > 0) {
            let sent = node.connection.send_packed_command(&commands.bytes);
            sent.map_err(|error| node.told(&error))?;
        }
        let mut answers = Vec::with_capacity(commands.len());
        for (node, commands) in self.nodes.iter_mut().zip(commands) {
            let mut of_node = Vec::with_capacity(commands.count);
            for _ in 0..commands.count {
                of_node.push(node.connection.recv_response().map_err(|error| node.told(&error))?);
            }
            answers.push(of_node);
        }
        Ok(answers)
    }

    /// Asks one node.
    pub(super) fn ask(&mut self, node: usize, words: &[&[u8]]) -> Result<Value, RedisError> {
        self.nodes[node].ask(words)
    }

    /// What a node is called.
    pub(super) fn address(&self, node: usize) -> String {
        self.nodes[node].called()
    }
}

impl Node {
    fn open(address: (String, u16), options: &RedisOptions) -> Result<Node, RedisError> {
        let told = |error: &redis::RedisError| about(&address, RedisError::of(error));
        let client = client(&address, options).map_err(|error| told(&error))?;
        let connection = client.get_connection_with_timeout(CONNECTING).map_err(|error| told(&error))?;
        let bounded = connection.set_read_timeout(Some(options.patience));
        let bounded = bounded.and_then(|()| connection.set_write_timeout(Some(options.patience)));
        bounded.map_err(|error| told(&error))?;
        Ok(Node { address, connection })
    }

    fn ask(&mut self, words: &[&[u8]]) -> Result<Value, RedisError> {
        let mut commands = Commands::default();
        commands.add(words);
        let sent = self.connection.send_packed_command(&commands.bytes);
        let answer = sent.and_then(|()| self.connection.recv_response());
        answer.map_err(|error| self.told(&error))
    }

    /// Tells a replica, which takes no writes, from a primary.
    fn is_primary(&mut self) -> Result<(), RedisError> {
        let about = text(self.ask(&[b"INFO", b"replication"])?)?;
        if about.contains("role:master") {
            return Ok(());
        }
        Err(RedisError::Away(format!("{} is a replica", self.called())))
    }

    fn called(&self) -> String {
        let (host, port) = &self.address;
        format!("{host}:{port}")
    }

    fn told(&self, error: &redis::RedisError) -> RedisError {
        about(&self.address, RedisError::of(error))
    }
}

/// A section of what a node tells about itself.
pub(super) fn section(nodes: &mut Nodes, node: usize, name: &[u8]) -> Result<BTreeMap<String, String>, RedisError> {
    let said = text(nodes.ask(node, &[b"INFO", name])?)?;
    Ok(said.lines().filter_map(|line| line.split_once(':')).map(|(a, b)| (a.into(), b.into())).collect())
}

/// The same error, with the node that it is of.
fn about((host, port): &(String, u16), error: RedisError) -> RedisError {
    match error {
        RedisError::Away(detail) => RedisError::Away(format!("{host}:{port}: {detail}")),
        RedisError::Refused { detail, hint } => {
            RedisError::Refused { detail: format!("{host}:{port}: {detail}"), hint }
        }
    }
}

fn client((host, port): &(String, u16), options: &RedisOptions) -> redis::RedisResult<Client> {
    let mut user = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(name) = &options.user {
        user = user.set_username(name);
    }
    if let Some(password) = &options.password {
        user = user.set_password(password);
    }
    let (host, port) = (host.clone(), *port);
    match &options.tls {
        None => Client::open(ConnectionAddr::Tcp(host, port).into_connection_info()?.set_redis_settings(user)),
        Some(TlsOptions { authorities, client }) => {
            let address = ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None };
            let client_tls = client
                .as_ref()
                .map(|of| redis::ClientTlsConfig { client_cert: of.chain.clone(), client_key: of.key.clone() });
            let certificates = TlsCertificates { client_tls, root_cert: authorities.clone() };
            Client::build_with_tls(address.into_connection_info()?.set_redis_settings(user), certificates)
        }
    }
}
