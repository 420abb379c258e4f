//! Decisions and rules, for those who ask without an event.

use serde_json::{Value, json};

use crate::support::http::{Served, event, referral};

/// Makes enough accounts on devices that so many referrers are held; answers their names.
fn held(served: &Served, referrers: usize) -> Vec<String> {
    let names: Vec<String> = (0..referrers).map(|at| format!("referrer-{at}")).collect();
    let of = |name: &String, at: usize| {
        let data = json!({"account_id": format!("{name}-{at}"), "referrer_id": name, "device_id": name});
        let mut event = event(&format!("{name}-{at}"), "/shop", data);
        event["time"] = referral("", "", "")["time"].clone();
        event
    };
    let events: Vec<Value> = names.iter().flat_map(|name| (0..3).map(move |at| of(name, at))).collect();
    for chunk in events.chunks(900) {
        let answer = served.batch("/v1/evaluate", chunk);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    names
}

#[test]
fn a_subject_is_checked_without_an_event() {
    let served = Served::start("");
    let name = held(&served, 1).remove(0);
    let check = |fields: Value| served.ask("POST", "/v1/decisions/check", &fields.to_string());
    let checked = check(
        json!({"account_id": name, "referrer_id": "somebody", "device_id": "d", "ip": "192.0.2.7", "email": "no address"}),
    );
    assert_eq!(checked.status, 200, "{checked:?}");
    let checked = checked.json();
    assert_eq!(checked["verdict"], "hold", "{checked}");
    let subjects: Vec<(&str, &str, &str)> = checked["subjects"]
        .as_array()
        .expect("they are a list")
        .iter()
        .filter_map(|subject| Some((subject["kind"].as_str()?, subject["id"].as_str()?, subject["verdict"].as_str()?)))
        .collect();
    let expected = [
        ("account", name.as_str(), "hold"),
        ("account", "somebody", "allow"),
        ("device", "d", "allow"),
        ("ip", "192.0.2.7", "allow"),
        ("ip_prefix", "192.0.2.0/24", "allow"),
    ];
    assert_eq!(subjects, expected, "what is no address names nobody");
    let cause = &checked["subjects"][0]["causes"][0];
    assert_eq!((cause["rule"].as_str(), cause["on"][0].as_str()), (Some("device-farm"), Some("where_value_moves")));
    assert!(cause["expires"].is_string() && cause["id"].as_str().is_some_and(|id| id.starts_with("dec-")), "{cause}");

    // A hold counts where value moves, and not elsewhere.
    for (event_type, verdict) in
        [("reward.requested", "hold"), ("login.succeeded", "allow"), ("reward.of_ours", "hold")]
    {
        let checked = check(json!({"type": event_type, "account_id": name})).json();
        assert_eq!(checked["verdict"], verdict, "{event_type}");
    }
    assert_eq!(check(json!({"program": "gold", "account_id": name})).json()["verdict"], "allow");
    assert_eq!(check(json!({})).json(), json!({"verdict": "allow", "subjects": []}));
    let before = served.metric("refguard_state_entries{feature=\"accounts_per_device\"}");
    check(json!({"account_id": "new", "device_id": "new"}));
    assert_eq!(served.metric("refguard_state_entries{feature=\"accounts_per_device\"}"), before, "it counts nothing");
    // What an event then meets is what was told.
    let reward = json!({"account_id": name, "reward_id": "r", "reward_kind": "points"});
    let mut asks = event("r1", "/shop", reward);
    asks["type"] = json!("reward.requested");
    let judged = served.ask("POST", "/v1/evaluate", &asks.to_string()).json();
    assert_eq!((judged["verdict"].as_str(), judged["cause"].as_str()), (Some("hold"), Some("decision")), "{judged}");
    assert_eq!(judged["decisions"][0], cause["id"]);
}

#[test]
fn decisions_are_listed_page_by_page() {
    let served = Served::start("");
    let mut names = held(&served, 25);
    let page = |query: &str| {
        let answer = served.ask("GET", &format!("/v1/decisions{query}"), "");
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        answer.json()
    };
    let ids = |page: &Value| -> Vec<String> {
        let subjects = page["subjects"].as_array().expect("they are a list").iter();
        subjects.map(|subject| subject["id"].as_str().expect("an id is a text").to_owned()).collect()
    };
    let whole = page("");
    assert!(whole["next"].is_null(), "{whole}");
    let mut listed = ids(&whole);
    let (mut paged, mut next) = (Vec::new(), String::new());
    loop {
        let page = page(&format!("?limit=10{next}"));
        paged.extend(ids(&page));
        match page["next"].as_str() {
            Some(cursor) => next = format!("&after={cursor}"),
            None => break,
        }
    }
    assert_eq!(paged, listed, "pages are the whole, in its order");
    listed.sort();
    names.sort();
    assert_eq!(listed, names);
    let one = page("?kind=account&id=referrer-7");
    assert_eq!((ids(&one), &one["subjects"][0]["verdict"]), (vec!["referrer-7".to_owned()], &json!("hold")));
    for (query, count) in
        [("?kind=account&id=nobody", 0), ("?kind=device", 0), ("?program=gold", 0), ("?kind=account", 25)]
    {
        assert_eq!(ids(&page(query)).len(), count, "{query}");
    }
    for forged in [
        "?after=x",
        "?after=-1",
        "?after=%2B0000000000000000000000000000001",
        "?kind=persons",
        "?id=a",
        "?limit=0",
        "?limit=1001",
        "?limit=x",
    ] {
        let answer = served.ask("GET", &format!("/v1/decisions{forged}"), "");
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_query"), "{forged}");
    }
    // A place that nobody was given is a place like any other.
    assert_eq!(
        served.ask("GET", "/v1/decisions?after=ffffffffffffffffffffffffffffffff", "").json()["subjects"],
        json!([])
    );
    let token = served.token(&json!({"name": "gold", "scopes": ["decisions:read"], "programs": ["gold"]}));
    assert_eq!(served.ask_with("GET", "/v1/decisions", &token, "", "").code(), "program");
    assert_eq!(served.ask_with("GET", "/v1/decisions?program=gold", &token, "", "").status, 200);
    let check = served.ask_with(
        "POST",
        "/v1/decisions/check",
        &token,
        "content-type: application/json\r\n",
        "{\"account_id\": \"a\"}",
    );
    assert_eq!(check.code(), "program");
}

#[test]
fn rules_tell_how_they_are_doing() {
    let served = Served::start("");
    held(&served, 2);
    let told = served.ask("GET", "/v1/rules", "");
    assert_eq!(told.status, 200, "{told:?}");
    let told = told.json();
    let judged = served.ask("POST", "/v1/evaluate", &referral("e", "a", "d").to_string()).json();
    assert_eq!(told["ruleset"], judged["ruleset"]);
    let rule = &told["rules"][0];
    for (member, value) in [
        ("id", json!("device-farm")),
        ("pack", json!("referrals")),
        ("on", json!(["referral.completed"])),
        ("mode", json!("enforce")),
        ("action", json!("block")),
        ("matches", json!(2)),
        ("shadow_matches", json!(0)),
        ("errors", json!(0)),
        ("breakers_open", json!(0)),
    ] {
        assert_eq!(rule[member], value, "{member}: {rule}");
    }
    assert!(rule["cost"].as_u64().is_some_and(|cost| cost > 0));
    let feature = &told["features"][0];
    assert_eq!(
        (&feature["name"], &feature["keys"], &feature["complete"]),
        (&json!("accounts_per_device"), &json!(2), &json!(false))
    );
}

#[test]
fn a_program_that_is_only_observed_stops_nobody_and_says_what_would_be() {
    let served = Served::start("programs: {gold: {observe_only: true}}\n");
    for at in 0..3 {
        let data =
            json!({"program": "gold", "account_id": format!("a-{at}"), "referrer_id": "inviter", "device_id": "d"});
        let answer = served.ask("POST", "/v1/evaluate", &event(&format!("e-{at}"), "/shop", data).to_string());
        assert_eq!((answer.status, &answer.json()["verdict"]), (200, &json!("allow")), "{answer:?}");
    }
    let asked = json!({"program": "gold", "account_id": "inviter"}).to_string();
    let checked = served.ask("POST", "/v1/decisions/check", &asked).json();
    assert_eq!((&checked["verdict"], &checked["would_be"]), (&json!("allow"), &json!("hold")), "{checked}");
    let subject = &checked["subjects"][0];
    assert_eq!((&subject["verdict"], &subject["would_be"]), (&json!("allow"), &json!("hold")), "{checked}");
    let listed = served.ask("GET", "/v1/decisions?program=gold", "").json();
    let subject = &listed["subjects"][0];
    assert_eq!((&subject["verdict"], &subject["would_be"]), (&json!("allow"), &json!("hold")), "{listed}");
}
