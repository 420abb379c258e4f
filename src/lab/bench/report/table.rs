//! The figures for people.

use std::fmt::{Result, Write};
use std::time::Duration;

use super::Report;
use crate::lab::bench::{
    AggregateCosts, AttackReport, CheckpointCosts, Conditions, Growth, PathReport, RedisReport, Shape, StepsReport,
    WorkloadReport,
};
use crate::signals::CacheUse;

/// Tables, one a part, apart by empty lines; of what was not measured, how to.
pub fn render_table(report: &Report) -> String {
    let mut out = String::new();
    write_all(&mut out, report).expect("writing to a string cannot fail");
    out
}

fn write_all(out: &mut String, report: &Report) -> Result {
    if !report.steps.is_empty() {
        write_steps(out, &report.steps)?;
    }
    if let Some(conditions) = &report.conditions {
        write_conditions(out, conditions)?;
    }
    if let Some(path) = &report.file {
        write_path(out, "file to verdict lines", path)?;
    }
    if let Some(workload) = &report.workload {
        write_workload(out, workload)?;
    }
    match &report.kafka {
        Some(path) => write_path(out, "topic to topic", path)?,
        None => writeln!(out, "topic to topic: not measured; `--kafka HOST:PORT` does it")?,
    }
    match &report.redis {
        Some(redis) => write_redis(out, redis)?,
        None => writeln!(out, "over Redis: not measured; `--redis URL` does it")?,
    }
    match &report.growth {
        Some(growth) => write_growth(out, growth)?,
        None => writeln!(out, "memory of a key, and pauses: not measured; `--growth` does it")?,
    }
    match &report.aggregates {
        Some(costs) => write_aggregates(out, costs)?,
        None => writeln!(out, "the cost of each aggregate: not measured; `--aggregates` does it")?,
    }
    match &report.links {
        Some(shapes) => write_links(out, shapes)?,
        None => writeln!(out, "linked accounts: not measured; `--links` does it")?,
    }
    match &report.attack {
        Some(attack) => write_attack(out, attack)?,
        None => writeln!(out, "an attack on the memory: not measured; `--attack` does it")?,
    }
    match &report.checkpoint {
        Some(costs) => write_checkpoint(out, costs),
        None => writeln!(out, "checkpoints: not measured; `--checkpoint` does it"),
    }
}

fn write_steps(out: &mut String, reports: &[StepsReport]) -> Result {
    writeln!(
        out,
        "   accounts  engine events/s  all steps events/s  ns/event: parse  derive  engine  write  state MiB  (feature, key)s"
    )?;
    for report in reports {
        let steps = &report.steps;
        writeln!(
            out,
            "{:>11}  {:>15.0}  {:>18.0}  {:>15.0}  {:>6.0}  {:>6.0}  {:>5.0}  {:>9.1}  {:>15}",
            report.accounts,
            steps.per_second(steps.judge),
            steps.per_second(steps.all()),
            steps.nanos(steps.parse),
            steps.nanos(steps.derive),
            steps.nanos(steps.judge),
            steps.nanos(steps.write),
            mebibytes(report.state_bytes),
            report.keys(),
        )?;
    }
    writeln!(out, "\n   accounts  distinct: devices  addresses  user agents  remembered: user agents  addresses")?;
    for report in reports {
        writeln!(
            out,
            "{:>11}  {:>17}  {:>9}  {:>11}  {:>23}  {:>9}",
            report.accounts,
            report.devices,
            report.addresses,
            report.user_agents,
            hit_rate(report.caches.user_agents),
            hit_rate(report.caches.addresses),
        )?;
    }
    let Some(last) = reports.last() else { return Ok(()) };
    writeln!(
        out,
        "\neach sends {} events a day of event time\nmemory at {} accounts, a feature a line:",
        last.daily, last.accounts
    )?;
    for size in &last.sizes {
        let each = size.bytes as f64 / size.keys.max(1) as f64;
        writeln!(out, "  {:<28} {:>10} keys  {each:>7.1} bytes a key", size.feature, size.keys)?;
    }
    let each = last.identity_bytes as f64 / last.identities.max(1) as f64;
    writeln!(out, "  {:<28} {:>10} kept  {each:>7.1} bytes each\n", "identities", last.identities)
}

fn write_conditions(out: &mut String, report: &Conditions) -> Result {
    writeln!(out, "condition                     compiled ns  interpreted ns   ratio")?;
    for condition in &report.conditions {
        writeln!(
            out,
            "  {:<28} {:>10.1}  {:>14.0}  {:>6.1}",
            condition.rule, condition.compiled_ns, condition.interpreted_ns, condition.ratio
        )?;
    }
    writeln!(
        out,
        "  {:<28} {:>34.1}\n  compared {} times, {} differences\n",
        "geometric mean",
        report.geometric_mean(),
        report.compared,
        report.differences
    )
}

fn write_path(out: &mut String, name: &str, report: &PathReport) -> Result {
    writeln!(
        out,
        "{name}: {:.0} events/s; without an engine {:.0}; share {:.1} % ({} events, {} bytes a verdict)\n",
        report.events_per_second,
        report.without_engine,
        100.0 * report.share,
        report.events,
        report.line_bytes
    )
}

fn write_workload(out: &mut String, report: &WorkloadReport) -> Result {
    write!(out, "comparison workload: {:.0} events/s ({} events", report.events_per_second, report.events)?;
    if report.refused > 0 {
        write!(out, ", {} lines refused", report.refused)?;
    }
    write!(out, "); matches:")?;
    for (rule, count) in &report.matches {
        write!(out, " {rule} {count}")?;
    }
    writeln!(out, "\n")
}

fn write_redis(out: &mut String, report: &RedisReport) -> Result {
    let nodes = if report.nodes == 1 { "one node".to_owned() } else { format!("{} nodes", report.nodes) };
    writeln!(
        out,
        "comparison workload over Redis on {nodes}: {:.0} events/s ({} events)",
        report.events_per_second, report.events
    )?;
    writeln!(
        out,
        "  its calls alone: {:.0} events/s; share {:.1} %; answers waited for {} times",
        report.replayed,
        100.0 * report.share,
        report.exchanges
    )?;
    if let (Some(peer), Some(by_peer)) = (report.peer, report.by_peer) {
        writeln!(
            out,
            "  a Lua function called once an event: {peer:.0} events/s; refguard is {by_peer:.2} times as fast"
        )?;
    }
    writeln!(out, "  the servers' time: {:.1} us an event", report.server_time.as_secs_f64() * 1e6)?;
    let ([window, window_embedded], [identity, identity_embedded]) = (report.window_bytes, report.identity_bytes);
    writeln!(
        out,
        "  bytes: {window:.0} a feature and key (embedded {window_embedded:.0}), {identity:.0} an identity (embedded {identity_embedded:.0})\n"
    )
}

fn write_growth(out: &mut String, report: &Growth) -> Result {
    writeln!(out, "memory of a key with one entry, at {} keys a table:", report.keys)?;
    for table in &report.tables {
        let each = table.bytes as f64 / table.keys.max(1) as f64;
        writeln!(out, "  {:<10} {:>10} keys  {each:>7.1} bytes a key", table.aggregate, table.keys)?;
    }
    writeln!(
        out,
        "  identities take {:.1} bytes each, the whole state {:.1} MiB",
        report.identity_bytes,
        mebibytes(report.state_bytes)
    )?;
    let micros = |of: Duration| of.as_nanos() as f64 / 1000.0;
    writeln!(
        out,
        "pauses while they grow from a tenth of that, for {} events that each make a key in every table:\n  \
         median {:.1} us, p99.9 {:.1} us, longest {:.1} us (each the least of {} rounds); longest seen {:.1} us",
        report.batch_events,
        micros(report.median),
        micros(report.p999),
        micros(report.longest),
        report.rounds,
        micros(report.longest_seen)
    )
}

fn write_aggregates(out: &mut String, costs: &AggregateCosts) -> Result {
    writeln!(out, "cost at {} keys       ns an event: new key  known key  bytes: a key  a further entry", costs.keys)?;
    for of in &costs.aggregates {
        writeln!(
            out,
            "  {:<24}  {:>17.0}  {:>9.0}  {:>12.1}  {:>15.1}",
            of.name, of.new_key_ns, of.known_key_ns, of.key_bytes, of.entry_bytes
        )?;
    }
    Ok(())
}

fn write_links(out: &mut String, shapes: &[Shape]) -> Result {
    writeln!(
        out,
        "linked accounts       accounts  events/s: links made  renewed  256 events, us: p99.9  longest  bytes an account"
    )?;
    for shape in shapes {
        let micros = |of: Duration| of.as_nanos() as f64 / 1000.0;
        writeln!(
            out,
            "  {:<17}  {:>9}  {:>20.0}  {:>7.0}  {:>21.0}  {:>7.0}  {:>16.1}",
            shape.name,
            shape.accounts,
            shape.made_per_second,
            shape.renewed_per_second,
            micros(shape.p999),
            micros(shape.longest),
            shape.bytes as f64 / shape.accounts as f64
        )?;
    }
    Ok(())
}

fn write_attack(out: &mut String, report: &AttackReport) -> Result {
    writeln!(
        out,
        "attack of {} events: state {:.1} MiB at most of {:.1}; the process {} MiB at most",
        report.events,
        mebibytes(report.state_bytes_most),
        mebibytes(report.max_bytes),
        report
            .process_bytes_most
            .map_or_else(|| "unknown".to_owned(), |bytes| format!("{:.1}", mebibytes(bytes as usize))),
    )?;
    writeln!(
        out,
        "  engine events/s {:.0}, and {:.0} once something was refused, after {} events",
        report.before_per_second,
        report.after_per_second,
        report.saturated_after.map_or_else(|| "none".to_owned(), |events| events.to_string()),
    )?;
    writeln!(out, "  part                          keys    MiB  saturated  events refused")?;
    for part in &report.parts {
        let (mib, saturated) = (mebibytes(part.bytes), if part.saturated { "yes" } else { "no" });
        writeln!(out, "  {:<24} {:>9}  {mib:>5.1}  {saturated:>9}  {:>14}", part.feature, part.keys, part.refused)?;
    }
    writeln!(out, "  honest readings of        known keys  not exact  later keys  not exact  different though exact")?;
    for (feature, honest) in &report.honest {
        writeln!(
            out,
            "  {feature:<24} {:>11}  {:>9}  {:>10}  {:>9}  {:>22}",
            honest.known, honest.known_not_exact, honest.later, honest.later_not_exact, honest.different
        )?;
    }
    Ok(())
}

fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// How many questions of a cache were answered from memory.
fn hit_rate(of: CacheUse) -> String {
    match of.hits + of.misses {
        0 => "not asked".to_owned(),
        asked => format!("{:.1} %", 100.0 * of.hits as f64 / asked as f64),
    }
}

fn write_checkpoint(out: &mut String, report: &CheckpointCosts) -> Result {
    let millis = |of: Duration| of.as_secs_f64() * 1e3;
    writeln!(
        out,
        "checkpoint of {} keys with one entry and {} identities: {:.1} MiB, {:.1} bytes a key; at once to the disk in {:.0} ms",
        report.keys,
        report.identities,
        mebibytes(report.file_bytes as usize),
        report.key_bytes(),
        millis(report.written)
    )?;
    writeln!(
        out,
        "  read into an engine in {:.0} ms, {:.0} keys/s; its bytes read and checked alone in {:.0} ms: {:.1} times that",
        millis(report.recovered),
        report.keys_per_second(),
        millis(report.checked),
        report.recovered.as_secs_f64() / report.checked.as_secs_f64().max(f64::MIN_POSITIVE)
    )?;
    writeln!(
        out,
        "  what events wait, in ms, at {:.0} events/s:  median     p99   p99.9  longest  ns/event: judge  write",
        report.events_per_second
    )?;
    for (name, of) in [("without a checkpoint", &report.without), ("while one is written", &report.with)] {
        let [median, p99, p999, longest] = [of.median, of.p99, of.p999, of.longest].map(millis);
        writeln!(
            out,
            "    {name:<37}  {median:>6.2}  {p99:>6.2}  {p999:>6.2}  {longest:>7.2}  {:>15.0}  {:>5.0}",
            of.judged_ns, of.written_ns
        )?;
    }
    writeln!(
        out,
        "  begun in {:.2} ms, {} steps, the longest {:.2} ms",
        millis(report.begun),
        report.steps,
        millis(report.longest_step)
    )
}
