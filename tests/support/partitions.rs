//! The engine over a log of several partitions.

use std::sync::Arc;

use refguard::engine::{Engine, EngineOptions, Judgements, write_verdict};
use refguard::event::{EventBatch, ParseOptions, Parser, Place, Position};
use refguard::ruleset::program::RuleSet;
use refguard::signals::{Deriver, SignalConfig};

/// The verdicts, a line each, on events that come one after the other, each with its partition, in batches of a size.
pub(crate) fn verdicts(rules: &Arc<RuleSet>, options: EngineOptions, log: &[(u32, String)], size: usize) -> String {
    verdicts_with(rules, options, log, size, |_, engine| engine)
}

/// The same with something that happens to the engine before each batch.
pub(crate) fn verdicts_with(
    rules: &Arc<RuleSet>,
    options: EngineOptions,
    log: &[(u32, String)],
    size: usize,
    happens: impl Fn(usize, Engine) -> Engine,
) -> String {
    let mut engine = Engine::new(Arc::clone(rules), options);
    let mut deriver = Deriver::new(engine.wanted(), &SignalConfig::default()).unwrap();
    let parser = &mut Parser::new(ParseOptions { allow_future: true });
    let (mut batch, mut signals, mut judgements) = (EventBatch::default(), Vec::new(), Judgements::default());
    let mut out = Vec::new();
    let mut offset = 0;
    for (number, events) in log.chunks(size).enumerate() {
        engine = happens(number, engine);
        batch.clear();
        for (partition, line) in events {
            let start = batch.input.len();
            batch.input.push_str(line);
            offset += 1;
            let position = Position { partition: *partition, offset, item: 0 };
            let range = start..batch.input.len();
            parser.parse_structured(&mut batch, range, Place { position, ingest_time_ms: 0 }).unwrap();
        }
        deriver.derive(&mut batch, &mut signals);
        judgements.clear();
        engine.judge(&batch, &signals, &mut judgements);
        for (event, judgement) in batch.events.iter().zip(&judgements.events) {
            write_verdict(&mut out, &batch, event, judgement, &judgements, &rules.hash);
            out.push(b'\n');
        }
    }
    String::from_utf8(out).unwrap()
}
