//! The figures for programs. A part that was not measured is `null`.

use std::time::Duration;

use serde_json::{Value, json};

use super::Report;
use crate::lab::bench::{
    AggregateCost, AttackReport, CheckpointCosts, Conditions, Growth, PathReport, RedisReport, Shape, StepsReport,
    Waits, WorkloadReport,
};
use crate::signals::CacheUse;

/// The figures as one object.
pub fn render_json(report: &Report) -> Value {
    json!({
        "populations": report.steps.iter().map(population).collect::<Vec<_>>(),
        "conditions": report.conditions.as_ref().map(conditions),
        "file_to_verdict_lines": report.file.as_ref().map(path),
        "workload": report.workload.as_ref().map(workload),
        "kafka_to_kafka": report.kafka.as_ref().map(path),
        "redis": report.redis.as_ref().map(redis),
        "growth": report.growth.as_ref().map(growth),
        "aggregates": report.aggregates.as_ref().map(|costs| json!({
            "keys": costs.keys, "costs": costs.aggregates.iter().map(aggregate).collect::<Vec<_>>(),
        })),
        "links": report.links.as_ref().map(|shapes| shapes.iter().map(shape).collect::<Vec<_>>()),
        "attack": report.attack.as_ref().map(attack),
        "checkpoint": report.checkpoint.as_ref().map(checkpoint),
    })
}

fn population(report: &StepsReport) -> Value {
    let steps = &report.steps;
    let cache = |of: CacheUse| json!({"hits": of.hits, "misses": of.misses});
    json!({
        "accounts": report.accounts,
        "daily_events_per_account": report.daily,
        "distinct": {
            "devices": report.devices, "addresses": report.addresses, "user_agents": report.user_agents,
        },
        "rounds": report.rounds,
        "events_per_round": steps.events,
        "engine_events_per_second": steps.per_second(steps.judge),
        "all_steps_events_per_second": steps.per_second(steps.all()),
        "ns_per_event": {
            "parse": steps.nanos(steps.parse), "derive": steps.nanos(steps.derive),
            "engine": steps.nanos(steps.judge), "write": steps.nanos(steps.write),
        },
        "caches": {
            "user_agents": cache(report.caches.user_agents), "phones": cache(report.caches.phones),
            "devices": cache(report.caches.devices), "addresses": cache(report.caches.addresses),
        },
        "features": report.sizes.iter().map(|size| json!({
            "feature": size.feature, "keys": size.keys, "bytes": size.bytes,
        })).collect::<Vec<_>>(),
        "identities": {"count": report.identities, "bytes": report.identity_bytes},
        "state_bytes": report.state_bytes,
    })
}

fn conditions(report: &Conditions) -> Value {
    json!({
        "geometric_mean_ratio": report.geometric_mean(),
        "compared": report.compared,
        "differences": report.differences,
        "conditions": report.conditions.iter().map(|condition| json!({
            "rule": condition.rule, "compiled_ns": condition.compiled_ns,
            "interpreted_ns": condition.interpreted_ns, "ratio": condition.ratio,
        })).collect::<Vec<_>>(),
    })
}

fn path(report: &PathReport) -> Value {
    json!({
        "events": report.events,
        "line_bytes": report.line_bytes,
        "events_per_second": report.events_per_second,
        "events_per_second_without_engine": report.without_engine,
        "share": report.share,
    })
}

fn redis(report: &RedisReport) -> Value {
    let bytes = |[redis, embedded]: [f64; 2]| json!({"redis": redis, "embedded": embedded});
    json!({
        "nodes": report.nodes,
        "events": report.events,
        "events_per_second": report.events_per_second,
        "events_per_second_of_its_calls_alone": report.replayed,
        "share": report.share,
        "exchanges": report.exchanges,
        "events_per_second_of_a_lua_function": report.peer,
        "times_as_fast_as_a_lua_function": report.by_peer,
        "server_microseconds_per_event": report.server_time.as_secs_f64() * 1e6,
        "bytes_per_feature_and_key": bytes(report.window_bytes),
        "bytes_per_identity": bytes(report.identity_bytes),
    })
}

fn workload(report: &WorkloadReport) -> Value {
    let matches = report.matches.iter().map(|(rule, count)| (rule.clone(), json!(count)));
    json!({
        "events": report.events,
        "refused": report.refused,
        "events_per_second": report.events_per_second,
        "matches": Value::Object(matches.collect()),
    })
}

fn shape(shape: &Shape) -> Value {
    json!({
        "shape": shape.name,
        "accounts": shape.accounts,
        "events_per_second": {"made": shape.made_per_second, "renewed": shape.renewed_per_second},
        "batch_us": {"p999": shape.p999.as_nanos() as f64 / 1000.0, "longest": shape.longest.as_nanos() as f64 / 1000.0},
        "nodes": shape.nodes,
        "bytes": shape.bytes,
    })
}

fn attack(report: &AttackReport) -> Value {
    json!({
        "events": report.events,
        "max_bytes": report.max_bytes,
        "state_bytes_most": report.state_bytes_most,
        "process_bytes_most": report.process_bytes_most,
        "parts": report.parts.iter().map(|part| json!({
            "part": part.feature, "keys": part.keys, "bytes": part.bytes,
            "saturated": part.saturated, "refused": part.refused,
        })).collect::<Vec<_>>(),
        "honest": report.honest.iter().map(|(feature, honest)| json!({
            "feature": feature,
            "known": honest.known, "known_not_exact": honest.known_not_exact,
            "later": honest.later, "later_not_exact": honest.later_not_exact,
            "different": honest.different,
        })).collect::<Vec<_>>(),
        "saturated_after_events": report.saturated_after,
        "events_per_second": {"before": report.before_per_second, "after": report.after_per_second},
    })
}

fn aggregate(of: &AggregateCost) -> Value {
    json!({
        "aggregate": of.name,
        "ns_per_event": {"new_key": of.new_key_ns, "known_key": of.known_key_ns},
        "bytes": {"key": of.key_bytes, "further_entry": of.entry_bytes},
    })
}

fn growth(report: &Growth) -> Value {
    let micros = |of: Duration| of.as_nanos() as f64 / 1000.0;
    json!({
        "keys_per_table": report.keys,
        "tables": report.tables.iter().map(|table| json!({
            "aggregate": table.aggregate, "keys": table.keys, "bytes": table.bytes,
        })).collect::<Vec<_>>(),
        "identity_bytes": report.identity_bytes,
        "state_bytes": report.state_bytes,
        "rounds": report.rounds,
        "batch_events": report.batch_events,
        "batch_us": {
            "median": micros(report.median), "p999": micros(report.p999), "longest": micros(report.longest),
            "longest_seen": micros(report.longest_seen),
        },
    })
}

fn checkpoint(report: &CheckpointCosts) -> Value {
    let micros = |of: Duration| of.as_nanos() as f64 / 1000.0;
    let waits = |of: &Waits| {
        json!({
            "median": micros(of.median), "p99": micros(of.p99), "p999": micros(of.p999), "longest": micros(of.longest),
        })
    };
    let each = |of: &Waits| json!({"judge": of.judged_ns, "write": of.written_ns});
    json!({
        "keys": report.keys,
        "identities": report.identities,
        "file_bytes": report.file_bytes,
        "bytes_per_key": report.key_bytes(),
        "written_at_once_ms": report.written.as_secs_f64() * 1e3,
        "checked_ms": report.checked.as_secs_f64() * 1e3,
        "recovered_ms": report.recovered.as_secs_f64() * 1e3,
        "recovered_keys_per_second": report.keys_per_second(),
        "rounds": report.rounds,
        "events_per_second": report.events_per_second,
        "wait_us": {"without": waits(&report.without), "with": waits(&report.with)},
        "ns_per_event": {"without": each(&report.without), "with": each(&report.with)},
        "begun_us": micros(report.begun),
        "longest_step_us": micros(report.longest_step),
        "steps": report.steps,
    })
}
