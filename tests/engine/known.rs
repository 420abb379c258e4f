//! What is known, and since when it is complete.

use serde_json::json;

use super::{EngineOptions, HOUR_MS, Story, matched};

const PACK: &str = "\
version: 1
pack: p
features:
  total: {on: [order.placed], key: [event.account_id], aggregate: sum, value: event.amount_minor, window: 1h}
  fast: {on: [order.placed], key: [event.account_id], aggregate: rate, limit: 3, per: 1h, burst: 6}
rules:
  - {id: complete, on: [order.placed], when: complete(fast), score: 1}
  - {id: known, on: [order.placed], when: known(total), score: 1}
  - {id: small, on: [order.placed], when: 'known(total) && total < 10', score: 1}
  - {id: unknown, on: [order.placed], when: 'complete(total) && !known(total)', score: 1}
";

#[test]
fn a_sum_without_a_value_is_not_known_and_a_rate_is_complete_when_its_debt_is_paid() {
    let mut story = Story::with_pack(PACK, EngineOptions::default());
    let mut rules = |account: &str, at_ms: i64, amount: i64| {
        let verdict = story.tell("order.placed", at_ms, json!({"account_id": account, "amount_minor": amount}));
        matched(&verdict).iter().map(|(id, _)| (*id).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(rules("a", 0, 5), ["known", "small"]);
    // Two hours are what 6 events at 3 an hour are felt for.
    assert_eq!(rules("a", 2 * HOUR_MS, 5), ["known", "small"]);
    assert_eq!(rules("a", 2 * HOUR_MS + 1, 4), ["complete", "known", "small"]);
    assert_eq!(rules("b", 3 * HOUR_MS, i64::MAX), ["complete", "known"]);
    assert_eq!(rules("b", 3 * HOUR_MS, 1), ["complete", "unknown"], "the sum left 64 bits");
    assert_eq!(rules("b", 5 * HOUR_MS, 1), ["complete", "known", "small"]);
}
