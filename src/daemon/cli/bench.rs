//! `refguard bench`: sizes a machine.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Failure, failure};
use crate::daemon::config::{Config, RedisUrl};
use crate::daemon::{clock, shared};
use crate::lab::bench::{self, Attack, BenchError, HttpPlan, Plan, StreamPlan, Traffic};
use crate::ruleset::{self, Premises};
use crate::stream::redis::RedisOptions;

/// Fewer accounts than this are busy beyond measure.
const ACCOUNTS_LEAST: u64 = 1000;
/// Tables of fewer keys show nothing of growth.
const KEYS_LEAST: u64 = 1000;

/// More events an account a day than this pass within the time of one.
const DAILY_MOST: f64 = 86_400.0;

#[derive(Debug, clap::Subcommand)]
enum What {
    /// The API: answers a second and waits of `POST /v1/evaluate`, beside a call of the same server that answers a constant.
    Http(HttpArguments),
    /// The stream of decisions: how long a block takes to the last of many subscribers, and what each of them costs in memory.
    Stream(StreamArguments),
}

#[derive(Debug, clap::Args)]
struct HttpArguments {
    /// Connections that ask at once.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4000))]
    connections: u16,
    /// How long each load goes on, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
    /// Rounds; the middle one counts.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Also while the backlog of a topic of this cluster is worked off: makes topics of its own there, and removes them.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Events of that backlog.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    backlog: u32,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct StreamArguments {
    /// Subscribers; each is an open file here and in the daemon (`ulimit -n`).
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..=60_000))]
    subscribers: u16,
    /// Changes that they are told, one after the other.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    changes: u16,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// Sizes of the population, in accounts; paths are measured with the first. 10 million take about 12 GB of memory.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [100_000, 1_000_000])]
    accounts: Vec<u64>,
    /// Events that an account sends in a day of event time, on average: the more, the more windows hold.
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = daily)]
    daily: f64,
    /// Events a round.
    #[arg(long, value_name = "N", default_value_t = 500_000, value_parser = clap::value_parser!(u32).range(1..))]
    events: u32,
    /// Rounds; the middle one counts.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Measure with the packs of this folder instead of the built-in one; conditions are left out then.
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Also the comparison workload, over this file of events; without FILE over made-up ones.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    workload: Option<Option<PathBuf>>,
    /// Also from topic to topic of this cluster: makes two topics of its own there, and removes them.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Also the comparison workload over state in Redis: a server, or some nodes of a cluster, as in `state.redis.urls`. It takes
    /// what it wrote there away.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    redis: Option<Vec<String>>,
    /// Also the memory of a key and the longest pause, while five tables grow to this many keys each. The default, 10
    /// million, takes about 5 GB of memory and some minutes.
    #[arg(long, value_name = "KEYS", num_args = 0..=1, default_missing_value = "10000000")]
    growth: Option<u64>,
    /// Also what each aggregate costs, in nanoseconds and bytes, with so many keys: a million by default, which takes
    /// about 3 GB of memory.
    #[arg(long, value_name = "KEYS", num_args = 0..=1, default_missing_value = "1000000")]
    aggregates: Option<u64>,
    /// Also linked accounts in rings, chains and stars: so many of them a shape, a million by default.
    #[arg(long, value_name = "ACCOUNTS", num_args = 0..=1, default_missing_value = "1000000")]
    links: Option<u64>,
    /// Also an attack on the memory: so many events, 50 million by default, of devices that nobody has seen, and honest
    /// accounts among them, whose counts are compared with a recount. Takes some minutes.
    #[arg(long, value_name = "EVENTS", num_args = 0..=1, default_missing_value = "50000000", value_parser = clap::value_parser!(u64).range(1..))]
    attack: Option<u64>,
    /// `state.max_bytes` of `--attack`, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    attack_mib: u32,
    /// Also checkpoints of five tables with so many keys together, 10 million by default: bytes, what events wait while one
    /// is written, and how fast one is read. Takes about 3 GB of memory and a minute.
    #[arg(long, value_name = "KEYS", num_args = 0..=1, default_missing_value = "10000000")]
    checkpoint: Option<u64>,
    /// Only what `--workload`, `--kafka`, `--redis`, `--growth`, `--aggregates`, `--links`, `--attack` and `--checkpoint` ask for.
    #[arg(long)]
    alone: bool,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.what {
        Some(What::Http(arguments)) => return http(arguments),
        Some(What::Stream(arguments)) => return stream(arguments),
        None => {}
    }
    let plan = plan(arguments)?;
    let report = bench::run(&plan, |doing| failure::say(&format!("{doing}\n")))?;
    let text =
        if arguments.json { format!("{:#}\n", bench::render_json(&report)) } else { bench::render_table(&report) };
    // A reader that has seen enough is no failure.
    drop(std::io::stdout().lock().write_all(text.as_bytes()));
    Ok(())
}

/// Measures the API of a daemon that is this program.
fn http(arguments: &HttpArguments) -> Result<(), Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::usage(format!("the program that runs cannot be found: {error}"), None))?;
    let plan = HttpPlan {
        program,
        connections: usize::from(arguments.connections),
        span: Duration::from_secs(u64::from(arguments.seconds)),
        rounds: usize::from(arguments.rounds),
        backlog: arguments.kafka.clone().map(|broker| (broker, arguments.backlog as usize)),
        monotonic: clock::monotonic,
        wall_ms: clock::wall_clock_ms,
    };
    let report = bench::measure_http(&plan, &mut |doing| failure::say(&format!("{doing}\n")))?;
    let text = if arguments.json {
        format!("{:#}\n", bench::render_http_json(&report))
    } else {
        bench::render_http_table(&report)
    };
    // A reader that has seen enough is no failure.
    drop(std::io::stdout().lock().write_all(text.as_bytes()));
    Ok(())
}

/// Measures the stream of a daemon that is this program.
fn stream(arguments: &StreamArguments) -> Result<(), Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::usage(format!("the program that runs cannot be found: {error}"), None))?;
    let plan = StreamPlan {
        program,
        subscribers: usize::from(arguments.subscribers),
        changes: usize::from(arguments.changes),
        monotonic: clock::monotonic,
        wall_ms: clock::wall_clock_ms,
    };
    let report = bench::measure_stream(&plan, &mut |doing| failure::say(&format!("{doing}\n")))?;
    let text = if arguments.json {
        format!("{:#}\n", bench::render_stream_json(&report))
    } else {
        bench::render_stream_table(&report)
    };
    // A reader that has seen enough is no failure.
    drop(std::io::stdout().lock().write_all(text.as_bytes()));
    Ok(())
}

/// Reads a number of events a day: more than none.
fn daily(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(events) if events > 0.0 && events <= DAILY_MOST => Ok(events),
        _ => Err(format!("give a number above 0, at most {DAILY_MOST}")),
    }
}

fn plan(arguments: &Arguments) -> Result<Plan, Failure> {
    if let Some(few) = arguments.accounts.iter().find(|accounts| **accounts < ACCOUNTS_LEAST) {
        let message = format!("{few} accounts are too few to measure with");
        return Err(Failure::usage(message, Some("give 1000 or more")));
    }
    let keys = [arguments.growth, arguments.aggregates, arguments.checkpoint];
    if let Some(few) = keys.into_iter().flatten().find(|keys| *keys < KEYS_LEAST) {
        return Err(Failure::usage(format!("{few} keys are too few to measure with"), Some("give 1000 or more")));
    }
    if let Some(few) = arguments.links.filter(|accounts| *accounts < ACCOUNTS_LEAST) {
        return Err(Failure::usage(format!("{few} accounts are too few to measure with"), Some("give 1000 or more")));
    }
    let sizes = [arguments.growth, arguments.aggregates, arguments.links, arguments.attack, arguments.checkpoint];
    let services = [arguments.kafka.is_some(), arguments.redis.is_some()];
    let asked = arguments.workload.is_some() || services.contains(&true) || sizes.iter().any(Option::is_some);
    if arguments.alone && !asked {
        let hint = "add `--workload`, `--kafka`, `--redis`, `--growth`, `--aggregates`, `--links`, `--attack` or `--checkpoint`";
        return Err(Failure::usage("`--alone` leaves nothing to measure", Some(hint)));
    }
    let rules = match &arguments.rules {
        Some(folder) => Some(Arc::new(ruleset::load(folder, &Premises::default()).map_err(Failure::Refused)?.set)),
        None => None,
    };
    let traffic = |file: &Option<PathBuf>| file.clone().map_or(Traffic::MadeUp, Traffic::File);
    Ok(Plan {
        accounts: arguments.accounts.clone(),
        daily: arguments.daily,
        events: arguments.events as usize,
        rounds: usize::from(arguments.rounds),
        rules,
        usual: !arguments.alone,
        workload: arguments.workload.as_ref().map(traffic),
        kafka: arguments.kafka.clone(),
        redis: arguments.redis.as_deref().map(redis).transpose()?,
        growth: arguments.growth,
        aggregates: arguments.aggregates,
        links: arguments.links,
        attack: arguments.attack.map(|events| Attack { events, max_bytes: (arguments.attack_mib as usize) << 20 }),
        checkpoint: arguments.checkpoint,
        monotonic: clock::monotonic,
    })
}

/// A state of the measurement's own on these nodes.
fn redis(urls: &[String]) -> Result<RedisOptions, Failure> {
    if let Some(wrong) = urls.iter().find(|url| RedisUrl::read(url).is_none()) {
        return Err(Failure::usage(
            format!("`{wrong}` is no address of a server"),
            Some("such as `redis://localhost:6379`"),
        ));
    }
    let mut config = Config::default();
    config.state.redis.urls = urls.to_vec();
    Ok(shared::temporary_options(&config)?)
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Failure {
        match error {
            BenchError::Stream(error) => error.into(),
            BenchError::Signals(error) => error.into(),
            BenchError::Checkpoint(error) => (*error).into(),
            error @ BenchError::Folder { .. } => Failure::usage(error.to_string(), Some("make room there")),
            error @ (BenchError::Daemon(_) | BenchError::Call(_) | BenchError::Runtime(_)) => Failure::Told {
                message: error.to_string(),
                hint: Some("see whether other programs leave room for it: memory, open files (`ulimit -n`), the folder for temporary files".to_owned()),
                code: 3,
            },
        }
    }
}
