//! What the daemon says of itself: lines on standard error, for people as text, for machines as JSON.
//!
//! Standard output is for data and gets none of it. It may import the configuration. Invariant: refguard's and Kafka's
//! words come at the configured level, those of other libraries only if they warn.

use std::io::IsTerminal as _;

use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

use super::config::{Log, LogFormat, LogLevel};

/// Whose words come at the configured level: those of this crate, and of the Kafka client.
const OURS: [&str; 2] = ["refguard", "kafka"];

/// Starts logging as configured. The first call in a process counts; a later one changes nothing.
pub fn start(log: &Log) {
    let dispatch = dispatch(log, std::io::stderr().is_terminal(), std::io::stderr);
    drop(tracing::dispatcher::set_global_default(dispatch));
}

fn dispatch<W>(log: &Log, is_terminal: bool, writer: W) -> Dispatch
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = level(log.level);
    let filter = Targets::new().with_targets(OURS.map(|ours| (ours, level))).with_default(level.min(LevelFilter::WARN));
    // Whoever has closed standard error has no use for the news that it is closed.
    let lines = fmt::layer().with_writer(writer).log_internal_errors(false);
    let is_json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !is_terminal,
    };
    if is_json {
        let json = lines.json().flatten_event(true).with_current_span(false).with_span_list(false);
        return Dispatch::new(registry().with(json.with_filter(filter)));
    }
    // On a terminal the default holds: colours, unless NO_COLOR forbids them.
    let text = if is_terminal { lines } else { lines.with_ansi(false) };
    Dispatch::new(registry().with(text.with_filter(filter)))
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is written of the same few events.
    fn written(level: LogLevel, format: LogFormat, is_terminal: bool) -> String {
        let page = Page::default();
        let writer = page.clone();
        let log = Log { level, format };
        tracing::dispatcher::with_default(&dispatch(&log, is_terminal, move || writer.clone()), || {
            tracing::debug!(target: "refguard::daemon", "a step");
            tracing::info!(target: "refguard::daemon", source = "orders", lag_events = 7, "reading");
            tracing::warn!(target: "kafka", facility = "FAIL", "broker\n\u{1b}[2J is away");
            tracing::info!(target: "hyper::server", "a stranger's step");
            tracing::error!(target: "hyper::server", "a stranger's fault");
        });
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_is_one_object_a_line_with_the_fields_beside_the_message() {
        let text = written(LogLevel::Info, LogFormat::Auto, false);
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let messages: Vec<&str> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
        assert_eq!(messages, ["reading", "broker\n\u{1b}[2J is away", "a stranger's fault"]);
        assert_eq!(lines[0]["level"], "INFO");
        assert_eq!(lines[0]["target"], "refguard::daemon");
        assert_eq!(lines[0]["source"], "orders");
        assert_eq!(lines[0]["lag_events"], 7);
        assert!(lines[0]["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn text_is_for_people_and_coloured_on_a_terminal_alone() {
        let plain = written(LogLevel::Info, LogFormat::Text, false);
        assert!(plain.contains("INFO refguard::daemon: reading source=\"orders\" lag_events=7"), "{plain}");
        assert!(!plain.contains('\u{1b}'), "no control codes, not even those that a broker sends: {plain}");
        let on_terminal = written(LogLevel::Info, LogFormat::Auto, true);
        assert!(on_terminal.contains("reading") && !on_terminal.starts_with('{'), "{on_terminal}");
        assert!(written(LogLevel::Info, LogFormat::Json, true).starts_with('{'));
    }

    #[test]
    fn a_level_is_a_threshold_and_strangers_speak_only_when_they_warn() {
        let count = |level| written(level, LogFormat::Json, false).lines().count();
        assert_eq!(count(LogLevel::Error), 1);
        assert_eq!(count(LogLevel::Warn), 2);
        assert_eq!(count(LogLevel::Info), 3);
        assert_eq!(count(LogLevel::Debug), 4);
        assert_eq!(count(LogLevel::Trace), 4);
    }
}
