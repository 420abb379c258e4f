//! The figures of the API, for people and for programs.

use std::fmt::{Result, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::{CallReport, HttpReport, Waited};

/// A table for people.
pub fn render_http_table(report: &HttpReport) -> String {
    let mut out = String::new();
    write_table(&mut out, report).expect("writing to a string cannot fail");
    out
}

fn write_table(out: &mut String, report: &HttpReport) -> Result {
    let HttpReport { connections, evaluate, constant, share, p99_ratio, syncs_per_second, backlog } = report;
    writeln!(out, "the API, over {connections} connections of another process on loopback")?;
    writeln!(out, "                     answers/s   at half load: median        p99    longest")?;
    for (name, call) in [("POST /v1/evaluate", evaluate), ("a constant", constant)] {
        let Waited { median, p99, longest } = call.at_half;
        writeln!(
            out,
            "  {name:<18} {:>9.0}            {:>8.2} ms {:>7.2} ms {:>7.2} ms",
            call.per_second,
            ms(median),
            ms(p99),
            ms(longest)
        )?;
    }
    writeln!(
        out,
        "  share of the constant's answers: {:.0} %; 99th percentile at half load: {p99_ratio:.1} times",
        share * 100.0
    )?;
    writeln!(
        out,
        "  the disk syncs {syncs_per_second:.0} times a second; one sync is for all that was judged by then"
    )?;
    match backlog {
        Some(backlog) => {
            writeln!(
                out,
                "  while {} of {} events of a topic were worked off: median {:.2} ms, p99 {:.2} ms; with none: {:.2} ms, {:.2} ms",
                backlog.judged,
                backlog.events,
                ms(backlog.busy.median),
                ms(backlog.busy.p99),
                ms(backlog.idle.median),
                ms(backlog.idle.p99)
            )
        }
        None => writeln!(out, "  with a backlog of a topic: not measured; `--kafka HOST:PORT` does it"),
    }
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// The same as one object.
pub fn render_http_json(report: &HttpReport) -> Value {
    let call = |of: &CallReport| json!({"answers_per_second": of.per_second, "at_half_load": waited(&of.at_half)});
    json!({
        "connections": report.connections,
        "evaluate": call(&report.evaluate),
        "constant": call(&report.constant),
        "share": report.share,
        "p99_ratio": report.p99_ratio,
        "syncs_per_second": report.syncs_per_second,
        "backlog": report.backlog.as_ref().map(|of| json!({
            "events": of.events, "judged": of.judged, "busy": waited(&of.busy), "idle": waited(&of.idle),
        })),
    })
}

fn waited(of: &Waited) -> Value {
    json!({"median_ms": ms(of.median), "p99_ms": ms(of.p99), "longest_ms": ms(of.longest)})
}
