//! What `check` has to say of rules that are right, and will not do what they seem to: those that end soon, those that read
//! what nothing is configured for, those that ask for more than is kept, those that have customers told what has no text, and those
//! whose holds would end by themselves where none are made.
//!
//! Only the daemon knows the clock and the configuration, so this is no part of the loader. Invariant: what is said
//! depends on the arguments alone, and is in the order of the rules.

use crate::daemon::config::{Backend, Config};
use crate::event::{Mode, Signal, Verdict, nearest, write_time_ms};
use crate::ruleset::cel::{Compiled, ReadSource};
use crate::ruleset::program::{Aggregate, Decide, OnExpiry, Place, Rule, RuleSet};

/// How long before its end a rule is told of: 14 days.
const NOTICE_MS: i64 = 14 * 86_400_000;

/// Everything worth saying, a finding each, with their line feeds.
pub(super) fn of(rules: &RuleSet, config: &Config, now_ms: i64) -> Vec<String> {
    let on = || rules.rules.iter().filter(|rule| rule.mode != Mode::Off);
    let mut found: Vec<String> = on().filter_map(|rule| ending(rule, now_ms)).collect();
    found.extend(on().flat_map(|rule| never_reached(rule, rules, config)));
    found.extend(untold(rules, config));
    found.extend(on().filter_map(|rule| unreviewed(rule, config)));
    found.extend(Signal::ALL.iter().filter_map(|signal| unconfigured(*signal, rules, config)));
    found
}

fn warning(place: &Place, code: &str, message: &str, hint: &str) -> String {
    format!("{place}: warning[{code}]: {message}\nhint: {hint}\n")
}

/// A rule that has ended, or will within [`NOTICE_MS`].
fn ending(rule: &Rule, now_ms: i64) -> Option<String> {
    let ends_ms = rule.expires_ms.filter(|ends_ms| ends_ms.saturating_sub(NOTICE_MS) <= now_ms)?;
    let mut day = Vec::new();
    write_time_ms(&mut day, ends_ms);
    let day = String::from_utf8_lossy(&day[..10]).into_owned();
    let verb = if ends_ms <= now_ms { "has expired" } else { "expires soon" };
    let message = format!("the rule `{}` {verb}: {day}", rule.id);
    Some(warning(&rule.place, "expires", &message, "move `expires`, or take the rule out"))
}

/// Comparisons with more than a feature keeps.
fn never_reached(rule: &Rule, rules: &RuleSet, config: &Config) -> Vec<String> {
    let parts = std::iter::once(&rule.when).chain(&rule.except);
    let never = parts.flat_map(Compiled::demands).filter_map(|demand| {
        let ReadSource::Feature { feature, .. } = &rules.reads.get(demand.read).source else { return None };
        let feature = &rules.features[feature.0 as usize];
        let counted = feature.bucket_ms.is_none()
            && matches!(feature.aggregate, Aggregate::Count | Aggregate::Distinct | Aggregate::Set);
        let most = feature.max_entries.map_or(config.state.max_entries.0, i64::from);
        if !counted || demand.least <= most {
            return None;
        }
        let message = format!(
            "`{}` keeps at most {most} entries a key, so it is never {} or more as the rule `{}` asks",
            feature.name, demand.least, rule.id
        );
        Some(warning(&rule.place, "never-reached", &message, "raise `max_entries` of the feature, or lower the number"))
    });
    never.collect()
}

/// Codes for customers without a text.
fn untold(rules: &RuleSet, config: &Config) -> Vec<String> {
    let texts = config.customer_texts();
    let untold = rules.rules.iter().filter(|rule| rule.mode != Mode::Off).filter_map(|rule| {
        let code = rule.customer.as_deref().filter(|code| texts.codes().all(|known| known != *code))?;
        let message =
            format!("there is no text for the code `{code}`, which the rule `{}` has customers told", rule.id);
        let hint = match nearest(code, texts.codes()) {
            Some(near) => format!("did you mean `{near}`? Texts of your own stand under `customer_texts`"),
            None => format!("write one under `customer_texts.{code}`"),
        };
        Some(warning(&rule.place, "no-text", &message, &hint))
    });
    untold.collect()
}

/// What shall become of holds by themselves, where state is shared and there are no holds.
fn unreviewed(rule: &Rule, config: &Config) -> Option<String> {
    let ends = |decide: &&Decide| decide.verdict == Verdict::Hold && decide.on_expiry != OnExpiry::Keep;
    rule.decide.iter().find(ends).filter(|_| config.state.backend == Backend::Redis)?;
    let message = format!(
        "the rule `{}` says by `on_expiry` what becomes of its holds, and over state in Redis there are none: nothing is \
         reviewed, released or blocked",
        rule.id
    );
    let hint =
        "whoever pays waits for a decision of yours there (docs/redis.md); `state.backend: embedded` makes holds";
    Some(warning(&rule.place, "no-reviews", &message, hint))
}

/// A signal that some rule reads and for which no file is configured.
fn unconfigured(signal: Signal, rules: &RuleSet, config: &Config) -> Option<String> {
    let files = &config.signals;
    let (setting, file, said) = match signal {
        Signal::IpCountry => ("country_db", &files.country_db, "is always empty"),
        Signal::IpAsn => ("asn_db", &files.asn_db, "is never known"),
        Signal::IpAsName => ("asn_db", &files.asn_db, "is always empty"),
        Signal::EmailDisposable => ("disposable", &files.disposable, "is never true"),
        Signal::IpCarrier => ("carrier", &files.carrier, "is never true"),
        Signal::IpTor => ("tor", &files.tor, "is never true"),
        Signal::IpVpn => ("vpn", &files.vpn, "is never true"),
        Signal::IpRelay => ("relay", &files.relay, "is never true"),
        Signal::IpDatacenter => ("datacenter", &files.datacenter, "is never true"),
        _ => return None,
    };
    let reads = |compiled: &Compiled| compiled.uses().signals.contains(signal);
    let in_rule = |rule: &Rule| rule.mode != Mode::Off && std::iter::once(&rule.when).chain(&rule.except).any(reads);
    if file.is_some() {
        return None;
    }
    let (group, name) = (signal.group(), signal.name());
    let hint = format!("name a file under `signals.{setting}`");
    if let Some(rule) = rules.rules.iter().find(|rule| in_rule(rule)) {
        let message =
            format!("`{group}.{name}`, which the rule `{}` reads, {said} without `signals.{setting}`", rule.id);
        return Some(warning(&rule.place, "not-configured", &message, &hint));
    }
    let feature = rules.features.iter().find(|feature| feature.expressions().any(reads))?;
    let message =
        format!("`{group}.{name}`, which the feature `{}` reads, {said} without `signals.{setting}`", feature.name);
    Some(warning(&feature.place, "not-configured", &message, &hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::load::{Files, load_from};

    struct One(&'static str);

    impl Files for One {
        fn packs(&self) -> Result<Vec<String>, String> {
            Ok(vec!["p.yaml".to_owned()])
        }

        fn read(&self, _path: &str, _max_bytes: u64) -> Result<Vec<u8>, String> {
            Ok(self.0.as_bytes().to_vec())
        }
    }

    const PACK: &str = "\
version: 1
pack: p
features:
  small: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 1h, max_entries: 100}
  usual: {on: [login.succeeded], key: [event.account_id], aggregate: set, value: ip.address, window: 1h}
  money: {on: [order.placed], key: [event.account_id], aggregate: sum, value: event.amount_minor, window: 1h}
rules:
  - {id: a, on: [login.succeeded], when: small > 99 && !ip.tor, score: 1, expires: 2026-05-10}
  - {id: b, on: [login.succeeded], when: 100 < small || small == 100, score: 1, customer: self_refferal, expires: 2026-05-20}
  - {id: c, on: [login.succeeded], when: size(usual) >= 4097 || money > 1000000 || small < 5000, score: 1}
  - {id: d, on: [login.succeeded], when: size(usual) >= 4096, except: [small >= 500], score: 1, expires: 2026-04-30}
  - {id: e, on: [login.succeeded], when: ip.vpn, mode: off, score: 1, expires: 2026-04-30}
  - {id: f, on: [order.placed], when: money > 5, score: 1, decide: [{subject: account, verdict: hold, ttl: 1d, on_expiry: release}]}
  - {id: g, on: [order.placed], when: money > 5, score: 1, decide: [{subject: account, verdict: hold, ttl: 1d, on_expiry: keep}]}
  - {id: h, on: [order.placed], when: money > 5, score: 1, decide: [{subject: account, verdict: block, ttl: 1d}]}
";
    /// 2026-05-01T00:00:00Z.
    const MAY_MS: i64 = 1_777_593_600_000;

    fn heads(config: &Config) -> Vec<String> {
        let loaded = load_from(&One(PACK)).expect("the pack is right");
        let found = of(&loaded.set, config, MAY_MS);
        assert!(found.iter().all(|one| one.contains("\nhint: ") && one.ends_with('\n')), "{found:?}");
        found.iter().map(|one| one.lines().next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn what_ends_what_is_never_reached_and_what_is_not_configured() {
        let kept = |feature, most, least, rule| {
            format!(
                "`{feature}` keeps at most {most} entries a key, so it is never {least} or more as the rule `{rule}` asks"
            )
        };
        let expected = [
            "p.yaml:8:10: warning[expires]: the rule `a` expires soon: 2026-05-10".to_owned(),
            "p.yaml:11:10: warning[expires]: the rule `d` has expired: 2026-04-30".to_owned(),
            format!("p.yaml:9:10: warning[never-reached]: {}", kept("small", 100, 101, "b")),
            format!("p.yaml:10:10: warning[never-reached]: {}", kept("usual", 4096, 4097, "c")),
            format!("p.yaml:11:10: warning[never-reached]: {}", kept("small", 100, 500, "d")),
            "p.yaml:9:10: warning[no-text]: there is no text for the code `self_refferal`, which the rule `b` has customers told"
                .to_owned(),
            "p.yaml:8:10: warning[not-configured]: `ip.tor`, which the rule `a` reads, is never true without `signals.tor`"
                .to_owned(),
        ];
        assert_eq!(heads(&Config::default()), expected);
    }

    #[test]
    fn the_configuration_counts() {
        let mut config = Config::default();
        config.signals.tor = Some("tor.txt".into());
        config.state.max_entries.0 = 5000;
        let found = heads(&config);
        assert!(!found.iter().any(|one| one.contains("ip.tor") || one.contains("`usual`")), "{found:?}");
    }

    #[test]
    fn holds_that_end_by_themselves_are_of_embedded_state() {
        let mut config = Config::default();
        assert!(!heads(&config).iter().any(|one| one.contains("no-reviews")));
        config.state.backend = Backend::Redis;
        let found = heads(&config);
        let unreviewed: Vec<&String> = found.iter().filter(|one| one.contains("no-reviews")).collect();
        let [only] = unreviewed[..] else { panic!("{found:?}") };
        assert!(only.starts_with("p.yaml:13:10: warning[no-reviews]: the rule `f` says by `on_expiry`"), "{only}");
    }
}
