//! The commands that ask a running daemon: tables for people, JSON for programs, exit codes by who is at fault, every page of an answer.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::http::{Served, configured, event, referral};
use support::program::{Answer, answer_to, refguard};

const RULES: &str = r#"
version: 1
pack: desk
lists: {agents: {kind: string, managed: true}}
rules:
  - {id: by-telephone, on: [reward.requested], when: 'event.channel == "call_centre"', action: hold}
  - {id: agent, on: [login.succeeded], when: event.account_id in lists.agents, score: 1}
"#;

fn served(more: &str) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), "{inbox: {http: {}}}", "{verdicts: {file: VERDICTS}}", more);
    std::fs::write(folder.path().join("rules/desk.yaml"), RULES).unwrap();
    Served::of(folder, config)
}

/// A command with what it takes to reach a daemon.
fn command(served: &Served, words: &[&str]) -> Command {
    let mut command = refguard(words);
    command.arg("--config").arg(served.config()).arg("--url").arg(format!("http://{}", served.address));
    command
}

fn told(served: &Served, words: &[&str]) -> Answer {
    answer_to(command(served, words), b"")
}

/// What a command that is done says, a value a line.
fn values(served: &Served, words: &[&str]) -> Vec<Value> {
    let told = told(served, words);
    assert_eq!((told.code, told.err.as_str()), (Some(0), ""), "{words:?}");
    String::from_utf8(told.out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the same command shows on a terminal, a row a line, each with its cells.
fn rows(served: &Served, words: &[&str]) -> Vec<Vec<String>> {
    let command = command(served, words);
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap().replace('\'', r"'\''"));
    let line =
        std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect::<Vec<_>>().join(" ");
    let mut terminal = Command::new("script");
    terminal.current_dir(support::program::ROOT).args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let told = answer_to(terminal, b"");
    let out = String::from_utf8(told.out).unwrap();
    assert_eq!(told.code, Some(0), "{out}");
    // Columns are two spaces apart at least, and words of a head one.
    let cells = |row: &str| row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect();
    out.lines().map(cells).collect()
}

fn hold(served: &Served, id: &str) -> String {
    let data = json!({"account_id": "sara", "channel": "call_centre", "reward_id": id, "amount_minor": 500, "currency": "PTS"});
    let mut asks = event(id, "/shop", data);
    asks["type"] = json!("reward.requested");
    served.ask("POST", "/v1/evaluate", &asks.to_string()).json()["hold_id"].as_str().unwrap().to_owned()
}

/// The members that a table is told by.
fn column(values: &[Value], name: &str) -> Vec<String> {
    values.iter().map(|value| value[name].as_str().map_or_else(|| value[name].to_string(), str::to_owned)).collect()
}

/// What a command says that tells people alone what it has done.
fn done(served: &Served, words: &[&str]) -> String {
    let told = told(served, words);
    assert_eq!((told.code, told.out.as_slice()), (Some(0), &b""[..]), "{words:?}: {}", told.err);
    told.err
}

/// Has something of each kind: a hold, which it answers, an override, an entry of a list, decisions.
fn filled(served: &Served) -> String {
    served.batch("/v1/evaluate", &["a", "b", "c"].map(|account| referral(account, account, "d1")));
    let said = done(served, &["overrides", "put", "account", "omar", "block", "--reason", "ticket 7"]);
    assert_eq!(said, "account omar: block from here on\n");
    done(served, &["lists", "put", "agents", "agent-7", "--owner", "partners", "--reason", "books for others"]);
    hold(served, "e1")
}

#[test]
fn people_see_tables_and_programs_json() {
    let served = served("");
    let held = filled(&served);
    let token = served.admin.split('_').nth(1).unwrap().to_owned();

    for (words, heads, cells) in [
        (
            &["holds", "list"][..],
            &["ID", "REVIEW BY", "THEN", "ACCOUNT", "PARTY", "TYPE", "AMOUNT", "RULES"][..],
            &[&*held, "keep", "sara", "500 PTS"][..],
        ),
        (
            &["overrides", "list"],
            &["KIND", "ID", "VERDICT", "EXPIRES", "BY", "CREATED", "REASON"],
            &["account", "omar", "block", "ticket 7"],
        ),
        (&["lists", "list"], &["LIST", "KIND", "ENTRIES"], &["agents", "string", "1"]),
        (
            &["lists", "entries", "agents"],
            &["VALUE", "OWNER", "REASON", "BY", "CREATED", "EXPIRES"],
            &["agent-7", "partners"],
        ),
        (
            &["token", "list"],
            &["ID", "NAME", "SCOPES", "PROGRAMS", "SOURCES", "EXPIRES", "LAST USED", "STATE"],
            &[&*token, "live"],
        ),
        (
            &["rules"],
            &["RULE", "MODE", "ACTION", "SCORE", "MATCHES", "IN SHADOW", "ERRORS", "COST", "BREAKERS", "PACK"],
            &["agent", "desk"],
        ),
        (
            &["audit", "list"],
            &["NUMBER", "AT (MS)", "WHO", "WHAT", "TO WHAT", "DETAIL"],
            &["token.create", "firstadmin00"],
        ),
        (&["decisions", "list", "--kind", "account", "--id", "sara"], &[], &["sara", "hold"]),
        (&["decisions", "check", "account_id=omar"], &[], &["omar", "block"]),
    ] {
        let rows = rows(&served, words);
        assert!(heads.is_empty() || rows[0] == heads, "{words:?}: {rows:#?}");
        assert!(cells.iter().all(|cell| rows[1].iter().any(|of| of == cell)), "{words:?}, {cells:?}: {rows:#?}");
        let values = values(&served, words);
        assert_eq!(values.len(), rows.len() - 1, "{words:?}: a value for each row");
        assert!(values.iter().all(Value::is_object), "{words:?}");
    }
    assert_eq!(column(&values(&served, &["holds", "list", "--account", "sara"]), "id"), [held.as_str()]);
    assert_eq!(values(&served, &["holds", "list", "--program", "gold"]), [json!(null); 0]);
}

#[test]
fn what_is_done_is_told_and_done() {
    let served = served("");
    let held = filled(&served);
    let done = |words: &[&str]| done(&served, words);
    let said = done(&["holds", "release", &held, "--reason", "she called back"]);
    assert_eq!(said, format!("released {held}: the verdict is allow now\n"));
    assert_eq!(done(&["overrides", "delete", "account", "omar"]), "account omar: what rules decide counts again\n");
    done(&["lists", "delete", "agents", "agent-7"]);
    for words in [&["holds", "list"][..], &["overrides", "list"], &["lists", "entries", "agents"]] {
        assert_eq!(values(&served, words), [json!(null); 0], "{words:?}");
    }
    let lift = ["decisions", "lift", "--rule", "device-farm", "--reason", "r"];
    for (more, said, is_dry) in [(&[][..], "would lift 1 decisions", true), (&["--apply"], "lifted 1 decisions", false)]
    {
        let told = told(&served, &[&lift[..], more].concat());
        assert!(told.code == Some(0) && told.err.starts_with(said), "{}", told.err);
        let value: Value = serde_json::from_slice(&told.out).unwrap();
        assert_eq!((&value["dry_run"], &value["decisions"]), (&json!(is_dry), &json!(1)), "for programs");
    }
    let verified = done(&["audit", "verify"]);
    assert!(verified.contains("none changed"), "{verified}");
}

#[test]
fn every_page_of_an_answer_is_told() {
    const MANY: usize = 1100;
    let served = served("");
    std::thread::scope(|scope| {
        for part in 0..8 {
            let served = &served;
            scope.spawn(move || {
                for at in (part..MANY).step_by(8) {
                    let put = json!({"kind": "account", "id": format!("a{at}"), "verdict": "block", "reason": "r"});
                    assert_eq!(served.ask("PUT", "/v1/overrides", &put.to_string()).status, 200);
                }
            });
        }
    });
    let reward = |at: usize| {
        let data = json!({"account_id": format!("h{at}"), "channel": "call_centre", "reward_id": format!("r{at}")});
        let mut asks = event(&format!("e{at}"), "/shop", data);
        asks["type"] = json!("reward.requested");
        asks
    };
    for part in [0..600, 600..MANY] {
        let events: Vec<Value> = part.map(reward).collect();
        assert_eq!(served.batch("/v1/evaluate", &events).status, 200);
    }
    for (words, name) in [
        (&["overrides", "list"][..], "id"),
        (&["decisions", "list"], "id"),
        (&["holds", "list"], "id"),
        (&["audit", "list"], "number"),
    ] {
        let values = values(&served, words);
        let mut names = column(&values, name);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), values.len(), "{words:?}: each once");
        // The trail has what made the tokens too.
        assert!((MANY..MANY + 5).contains(&values.len()), "{words:?}: {}", values.len());
    }
}

#[test]
fn an_exit_code_says_who_is_at_fault() {
    let mut served = served("policy: {four_eyes: [override]}\n");
    let held = hold(&served, "e1");
    let folder = served.folder.path().to_owned();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        folder.join(name).display().to_string()
    };
    let reader = served.token(&json!({"name": "r", "scopes": ["decisions:read"], "programs": ["*"]}));
    let other = served.token(&json!({"name": "o", "scopes": ["decisions:write"], "programs": ["*"]}));
    let (wrong, reader, other) = (file("wrong", "rfg_x_y"), file("reader", &reader), file("other", &other));
    let missing = folder.join("nothing").display().to_string();
    let put = ["overrides", "put", "account", "a", "block", "--reason", "r"];

    for (words, code, says) in [
        (vec!["holds", "list", "--token-file", &wrong], 2, "says 401"),
        (vec!["holds", "list", "--token-file", &reader], 2, "says 403"),
        (vec!["holds", "list", "--token-file", &missing], 2, "cannot read the token"),
        (vec!["holds", "release", "hold-0123456789abcdef", "--reason", "r"], 2, "says 404"),
        (vec!["holds", "release", &held], 2, "--reason"),
        (vec!["overrides", "put", "account", "a", "maybe", "--reason", "r"], 2, "says 422"),
        (vec!["lists", "entries", "nobodys"], 2, "says 404"),
        (vec!["token", "revoke", "nobody"], 2, "says 404"),
        (vec!["decisions", "list", "--id", "a"], 2, "--kind"),
        (vec!["requests", "approve", "req-0"], 2, "says 404"),
        (vec!["audit", "verify", "--noted", "ffff"], 1, "no record has the hash"),
        (put.to_vec(), 1, "a second person has to agree"),
    ] {
        let told = told(&served, &words);
        assert_eq!((told.code, told.out.as_slice()), (Some(code), &b""[..]), "{words:?}: {}", told.err);
        assert!(told.err.contains(says), "{words:?}: {}", told.err);
        // What the arguments alone are wrong in is told by their parser.
        assert!(says.starts_with("--") || told.err.contains("\nhint: "), "{words:?}: {}", told.err);
    }
    let waiting = values(&served, &["requests", "list"]);
    let request = waiting[0]["id"].as_str().unwrap();
    assert_eq!(told(&served, &["requests", "approve", request]).code, Some(2), "nobody is two people");
    let done = told(&served, &["requests", "approve", request, "--token-file", &other]);
    assert_eq!((done.code, done.err), (Some(0), format!("request {request} is done\n")));
    assert_eq!(column(&values(&served, &["requests", "list", "--state", "done"]), "id"), [request]);
    assert_eq!(told(&served, &["requests", "reject", request, "--token-file", &other]).code, Some(2), "it is decided");

    // One of several that cannot be ended keeps none of the others.
    let second = hold(&served, "e2");
    let ends = told(&served, &["holds", "uphold", &held, "hold-0123456789abcdef", &second, "--reason", "r"]);
    assert_eq!(ends.code, Some(2));
    assert_eq!(values(&served, &["holds", "list"]), [json!(null); 0]);

    // A token that is made is told once, alone, on standard output.
    let made = told(&served, &["token", "create", "--name", "shop", "--scope", "evaluate"]);
    let secret = String::from_utf8(made.out).unwrap();
    assert!(made.code == Some(0) && secret.starts_with("rfg_") && secret.lines().count() == 1, "{secret}");
    assert!(!made.err.contains(secret.trim()), "{}", made.err);
    let id = secret.split('_').nth(1).unwrap();
    assert_eq!(told(&served, &["token", "revoke", id]).code, Some(0));
    let tokens = values(&served, &["token", "list"]);
    assert!(tokens.iter().any(|of| of["id"] == id && !of["revoked"].is_null()), "{tokens:?}");

    served.stop();
    for words in [
        &["holds", "list"][..],
        &["overrides", "list"],
        &["lists", "list"],
        &["rules"],
        &["audit", "verify"],
        &["decisions", "list"],
    ] {
        let told = told(&served, words);
        assert_eq!((told.code, told.out.as_slice()), (Some(3), &b""[..]), "{words:?}: {}", told.err);
        assert!(told.err.contains("does not answer") && told.err.contains("\nhint: "), "{words:?}: {}", told.err);
    }
}
