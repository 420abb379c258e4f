//! Who may ask: tokens, scopes, programs, sources, limits, and the trail that is left, by the real daemon and its commands.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::http::{Answer, Served, event};
use crate::support::program::answer;
use serde_json::{Value, json};

fn wanted(scopes: &[&str], programs: &[&str], sources: &[&str]) -> Value {
    json!({"name": "partner", "scopes": scopes, "programs": programs, "sources": sources})
}

fn sent(served: &Served, token: &str, path: &str, program: &str, source: &str, id: &str) -> Answer {
    let event = event(id, source, json!({"program": program, "account_id": "a", "referrer_id": "b"}));
    served.ask_with("POST", path, token, "content-type: application/json\r\n", &event.to_string())
}

#[test]
fn every_operation_wants_a_token_and_its_scope() {
    let served = Served::start("");
    let described = served.ask_with("GET", "/openapi.json", "", "", "");
    assert_eq!((described.status, described.header("content-type")), (200, Some("application/json")));
    let described = described.json();
    assert_eq!(described["openapi"], "3.1.0");
    let mut operations = 0;
    for (path, methods) in described["paths"].as_object().expect("there are paths") {
        for (method, operation) in methods.as_object().expect("there are methods") {
            operations += 1;
            let scope = operation["security"][0]["token"][0].as_str().expect("a scope is named");
            let others: Vec<&str> =
                ["ingest", "evaluate", "rules:read", "mfa"].into_iter().filter(|other| *other != scope).collect();
            let other = served.token(&wanted(&others, &["*"], &["*"]));
            let path = path.replace("{source}", "s").replace("{id}", "i");
            let body = event("e", "s", json!({"account_id": "a", "referrer_id": "b"})).to_string();
            let body = if path.ends_with("tokens") { wanted(&["mfa"], &["*"], &[]).to_string() } else { body };
            let ask = |token: &str| {
                served.ask_with(&method.to_uppercase(), &path, token, "content-type: application/json\r\n", &body)
            };
            let nobody = ask("");
            assert_eq!((nobody.status, nobody.code().as_str()), (401, "unauthorized"), "{method} {path}");
            assert!(
                nobody.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")),
                "{method} {path}"
            );
            let refused = ask(&other);
            assert_eq!((refused.status, refused.code().as_str()), (403, "scope"), "{method} {path}");
            // Of an answer without end the head is enough.
            let allowed = if path.ends_with("/stream") { served.status_of(&path) } else { ask(&served.admin).status };
            assert!(![401, 403].contains(&allowed), "{method} {path}: {allowed}");
        }
    }
    assert!(operations >= 7, "{operations}");
}

#[test]
fn a_token_speaks_for_its_programs_and_sources_alone() {
    let served = Served::start("");
    let token = served.token(&wanted(&["ingest", "evaluate"], &["gold"], &["/partner", "/till"]));
    for (at, path) in ["/v1/events", "/v1/evaluate"].into_iter().enumerate() {
        for (program, source, told) in [
            ("gold", "/partner", None),
            ("gold", "/till", None),
            ("gold", "/shop", Some("source")),
            ("gold", "/partner/", Some("source")),
            ("gold", "*", Some("source")),
            ("tin", "/partner", Some("program")),
            ("default", "/partner", Some("program")),
            ("", "/partner", Some("program")),
            ("*", "/partner", Some("program")),
        ] {
            let answer = sent(&served, &token, path, program, source, &format!("{at}{program}{source}"));
            match told {
                None => assert!([200, 202].contains(&answer.status), "{path} {program} {source}: {answer:?}"),
                Some(code) => {
                    assert_eq!((answer.status, answer.code().as_str()), (403, code), "{path} {program} {source}")
                }
            }
        }
    }
    // What is refused in a batch is refused for its event alone.
    let of =
        |id: &str, source: &str| event(id, source, json!({"program": "gold", "account_id": "a", "referrer_id": "b"}));
    let batch = Value::from(vec![of("1", "/partner"), of("2", "/shop")]).to_string();
    let headers = "content-type: application/cloudevents-batch+json\r\n";
    let answers = served.ask_with("POST", "/v1/evaluate", &token, headers, &batch).json();
    assert_eq!((answers[0]["verdict"].as_str(), answers[1]["code"].as_str()), (Some("allow"), Some("source")));
    for (path, status) in [
        ("/v1/verdicts/%2Fpartner/1?program=gold", 200),
        ("/v1/verdicts/%2Fpartner/1", 403),
        ("/v1/verdicts/%2Fshop/2?program=gold", 403),
    ] {
        assert_eq!(served.ask_with("GET", path, &token, "", "").status, status, "{path}");
    }
}

#[test]
fn a_token_that_does_not_count_is_refused_in_one_way() {
    let mut served = Served::start("");
    let live = served.token(&wanted(&["evaluate"], &["*"], &["*"]));
    let revoked = served.token(&wanted(&["evaluate"], &["*"], &["*"]));
    let id = revoked.split('_').nth(1).expect("a token has an id").to_owned();
    assert_eq!(served.ask("DELETE", &format!("/v1/tokens/{id}"), "").status, 204);
    assert_eq!(served.ask("DELETE", &format!("/v1/tokens/{id}"), "").status, 404);
    let mut flipped = live.clone().into_bytes();
    let at = flipped.len() - 10;
    flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).expect("it is text");
    let unknown = live.replacen(live.split('_').nth(1).expect("it has an id"), "aaaaaaaa0000", 1);
    let mut told = Vec::new();
    for wrong in [revoked.as_str(), &flipped, &unknown, "rfg_", "hunter2", &"x".repeat(4000)] {
        let answer = sent(&served, wrong, "/v1/evaluate", "default", "/s", "e");
        assert_eq!(answer.status, 401, "{answer:?}");
        told.push(answer.body);
    }
    told.dedup();
    assert_eq!(told.len(), 1, "nobody learns which part was wrong: {told:#?}");
    for headers in [
        format!("authorization: Bearer {live}\r\nauthorization: Bearer {live}\r\n"),
        format!("authorization: Basic {live}\r\n"),
        format!("authorization: {live}\r\n"),
        format!("x-authorization: Bearer {live}\r\n"),
    ] {
        assert_eq!(served.ask_with("GET", "/v1/verdicts/s/e", "", &headers, "").status, 401, "{headers}");
    }
    assert_eq!(served.ask_with("GET", &format!("/v1/verdicts/s/e?token={live}"), "", "", "").status, 401);
    assert_eq!(sent(&served, &live, "/v1/evaluate", "default", "/s", "e").status, 200);

    // After a start the same count.
    served.stop();
    served.restart();
    assert_eq!(sent(&served, &live, "/v1/evaluate", "default", "/s", "e2").status, 200);
    assert_eq!(sent(&served, &revoked, "/v1/evaluate", "default", "/s", "e3").status, 401);
}

#[test]
fn a_token_expires() {
    let served = Served::start("");
    let mut soon = wanted(&["evaluate"], &["*"], &["*"]);
    let now = event("", "", json!({}))["time"].as_str().expect("a time is a text").to_owned();
    // Times of events run ahead of the clock where many are drawn.
    soon["expires"] = json!(after(&now, -60));
    let past = served.ask("POST", "/v1/tokens", &soon.to_string());
    assert_eq!((past.status, past.code().as_str()), (422, "bad_token"), "{past:?}");
    soon["expires"] = json!(after(&now, 3));
    let token = served.token(&soon);
    assert_eq!(sent(&served, &token, "/v1/evaluate", "default", "/s", "e").status, 200);
    assert!(
        crate::support::until(|| sent(&served, &token, "/v1/evaluate", "default", "/s", "e").status == 401),
        "it ends"
    );
    soon["expires"] = json!("2999-01-01T00:00:00Z");
    assert_eq!(sent(&served, &served.token(&soon), "/v1/evaluate", "default", "/s", "e5").status, 200);
}

/// A time so many seconds later.
fn after(time: &str, seconds: i64) -> String {
    let ms = refguard::event::parse_time_ms(time).expect("it is a time") + 1000 * seconds;
    let mut text = Vec::new();
    refguard::event::write_time_ms(&mut text, ms);
    String::from_utf8(text).expect("a time is text")
}

#[test]
fn what_a_token_shall_be_is_checked() {
    let served = Served::start("");
    for (change, code) in [
        (json!({"scopes": []}), "bad_token"),
        (json!({"scopes": ["everything"]}), "bad_token"),
        (json!({"programs": []}), "bad_token"),
        (json!({"programs": [""]}), "bad_token"),
        (json!({"name": ""}), "bad_token"),
        (json!({"name": "a\nb"}), "bad_token"),
        (json!({"name": "x".repeat(257)}), "bad_token"),
        (json!({"expires": "tomorrow"}), "bad_token"),
        (json!({"scope": "admin"}), "wrong_type"),
        (json!({"sources": "*"}), "wrong_type"),
    ] {
        let mut token = wanted(&["evaluate"], &["*"], &["*"]);
        for (name, value) in change.as_object().expect("it is an object") {
            token[name] = value.clone();
        }
        let answer = served.ask("POST", "/v1/tokens", &token.to_string());
        assert_eq!((answer.status, answer.code().as_str()), (422, code), "{change}");
    }
    assert_eq!(served.ask("GET", "/v1/tokens", "").json().as_array().map(Vec::len), Some(1), "none was made");
}

#[test]
fn whoever_guesses_is_stopped_and_noted_and_no_token_is_in_the_log() {
    let mut served = Served::start("http: {limits: {wrong_tokens_per_minute: 5}}\nlog: {level: trace}");
    let token = served.token(&wanted(&["evaluate"], &["*"], &["*"]));
    assert_eq!(sent(&served, &token, "/v1/evaluate", "default", "/s", "e").status, 200);
    let guess = "rfg_aaaaaaaa0000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let statuses: Vec<u16> =
        (0..6).map(|_| sent(&served, guess, "/v1/evaluate", "default", "/s", "e").status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
    // Nobody from there is let in until the minute is over, so that guessing right tells nothing either.
    let stopped = sent(&served, &token, "/v1/evaluate", "default", "/s", "e");
    assert_eq!((stopped.status, stopped.code().as_str()), (429, "rate_limited"));
    let wait: u64 = stopped.header("retry-after").and_then(|wait| wait.parse().ok()).expect("it says how long");
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(served.metric("refguard_rate_limited_total{scope=\"guesses\"}"), Some(2.0));

    let admin = served.admin.clone();
    let told = served.stop();
    assert!(told.contains("wrong tokens come one after the other"), "{told}");
    served.restart();
    let trail = served.ask("GET", "/v1/audit", "").json();
    let actions: Vec<&str> = (0..3).filter_map(|at| trail[at]["action"].as_str()).collect();
    assert_eq!(actions, ["token.create", "token.create", "token.guessing"], "{trail}");
    assert_eq!(trail[2]["subject"], "127.0.0.1");
    let told = told + &served.stop();
    for secret in [&admin, &token, guess] {
        let secret = secret.rsplit('_').next().expect("a token has a secret");
        assert!(!told.contains(secret), "{told}");
    }
    let records = fs::read(served.folder.path().join("records.db")).expect("the records are a file");
    let secret = admin.rsplit('_').next().expect("a token has a secret").as_bytes();
    assert!(!records.windows(secret.len()).any(|bytes| bytes == secret), "only the hash is kept");
}

#[test]
fn limits_of_calls_and_bytes_hold_for_each_token() {
    let served = Served::start("http: {limits: {token: {calls_per_second: 1, burst: 3, bytes_per_second: 2KiB}}}");
    let token = served.token(&wanted(&["evaluate"], &["*"], &["*"]));
    let statuses: Vec<u16> =
        (0..6).map(|at| sent(&served, &token, "/v1/evaluate", "default", "/s", &format!("e{at}")).status).collect();
    assert_eq!(statuses[..3], [200, 200, 200]);
    assert!(statuses[3..].contains(&429), "{statuses:?}");
    assert!(served.metric("refguard_rate_limited_total{scope=\"token\"}") >= Some(1.0));
    let other = served.token(&wanted(&["evaluate"], &["*"], &["*"]));
    assert_eq!(sent(&served, &other, "/v1/evaluate", "default", "/s", "o1").status, 200, "another token has its own");
    let long = event("o2", "/s", json!({"account_id": "a", "referrer_id": "b", "user_agent": "x".repeat(6000)}));
    let headers = "content-type: application/json\r\n";
    let long = served.ask_with("POST", "/v1/evaluate", &other, headers, &long.to_string());
    assert_eq!((long.status, long.code().as_str()), (429, "rate_limited"));
}

#[test]
fn the_first_token_is_left_for_its_user_alone_and_made_once() {
    let mut served = Served::start("");
    let path = served.folder.path().join("admin.token");
    let mode = fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let tokens = served.ask("GET", "/v1/tokens", "").json();
    assert_eq!((tokens[0]["id"].as_str(), tokens[0]["scopes"][0].as_str()), (Some("firstadmin00"), Some("admin")));
    assert_eq!(served.ask("DELETE", "/v1/tokens/firstadmin00", "").status, 204);
    assert_eq!(served.ask("GET", "/v1/tokens", "").status, 401);
    fs::remove_file(&path).expect("it is ours");
    served.stop();
    served.restart();
    assert!(!path.exists(), "there was a token, though it counts no more");
}

#[test]
fn commands_make_show_and_end_tokens_and_follow_the_trail() {
    let served = Served::start("");
    let config = served.config().to_str().expect("a path is text").to_owned();
    let url = format!("http://{}", served.address);
    let call = |arguments: &[&str]| {
        let reach = ["--config", &config, "--url", &url];
        answer(&[arguments, &reach].concat())
    };
    let made = call(&[
        "token",
        "create",
        "--name",
        "shop",
        "--scope",
        "evaluate",
        "--source",
        "/s",
        "--expires",
        "2999-01-01T00:00:00Z",
    ]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    let token = String::from_utf8(made.out).expect("a token is text").trim().to_owned();
    assert!(made.err.contains("made token"), "{}", made.err);
    assert_eq!(sent(&served, &token, "/v1/evaluate", "default", "/s", "e").status, 200);

    let listed = call(&["token", "list"]);
    let lines: Vec<Value> = String::from_utf8(listed.out)
        .expect("it is text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!((lines[1]["name"].as_str(), lines[1]["programs"][0].as_str()), (Some("shop"), Some("default")));
    let id = lines[1]["id"].as_str().expect("an id is a text").to_owned();

    assert_eq!(call(&["token", "revoke", &id]).code, Some(0));
    let again = call(&["token", "revoke", &id]);
    assert!(again.code == Some(2) && again.err.contains("hint: "), "{}", again.err);
    assert_eq!(sent(&served, &token, "/v1/evaluate", "default", "/s", "e").status, 401);

    let listed = call(&["audit", "list", "--after", "1"]);
    let listed = String::from_utf8(listed.out).expect("it is text");
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(listed.contains("token:firstadmin00") && listed.contains("token.revoke"), "{listed}");
    let verified = call(&["audit", "verify"]);
    assert_eq!(verified.code, Some(0), "{}", verified.err);
    assert!(verified.err.starts_with("3 records, none changed"), "{}", verified.err);
    let hash = verified.err.trim().rsplit(' ').next().expect("it ends in the hash").to_owned();
    assert_eq!(call(&["audit", "verify", "--noted", &hash]).code, Some(0));
    let cut = call(&["audit", "verify", "--noted", "0000"]);
    assert!(cut.code == Some(1) && cut.err.contains("no record has the hash"), "{}", cut.err);

    // Somebody with a shell changes what was done.
    let records = served.folder.path().join("records.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there are threads");
    runtime.block_on(async {
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&format!("sqlite:{}", records.display())).await.expect("it is a database");
        sqlx::query("UPDATE audit SET actor = 'nobody' WHERE number = 2")
            .execute(&pool)
            .await
            .expect("it is valid SQL");
    });
    let broken = call(&["audit", "verify"]);
    assert_eq!(broken.code, Some(1), "{}", broken.err);
    assert!(broken.err.contains("record 2 is not what was written") && broken.err.contains("hint: "), "{}", broken.err);
}

#[test]
fn commands_that_are_not_let_in_say_what_to_do() {
    let served = Served::start("");
    let config = served.config().to_str().expect("a path is text").to_owned();
    let url = format!("http://{}", served.address);
    let call = |arguments: &[&str]| answer(&[arguments, &["--config", &config, "--url", &url]].concat());
    let wrong = served.folder.path().join("wrong");
    fs::write(&wrong, "rfg_x").expect("there is room");
    let refused = call(&["token", "list", "--token-file", wrong.to_str().expect("a path is text")]);
    assert!(
        refused.code == Some(2) && refused.err.contains("401") && refused.err.contains("hint: "),
        "{}",
        refused.err
    );
    let missing = call(&["token", "list", "--token-file", "no/such/file"]);
    assert!(missing.code == Some(2) && missing.err.contains("hint: "), "{}", missing.err);
    let away = answer(&["token", "list", "--config", &config, "--url", "http://127.0.0.1:1"]);
    assert!(away.code == Some(3) && away.err.contains("hint: "), "{}", away.err);
}
