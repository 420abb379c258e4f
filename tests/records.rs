//! Records in SQL: the same tests over SQLite and over a real PostgreSQL server.

mod support;

use refguard::records::audit::{Act, BrokenChain, Chain, Record};
use refguard::records::token::{Scope, Secret, Wanted};
use refguard::records::{Records, RecordsError};
use sqlx::any::AnyPoolOptions;
use support::postgres::Postgres;
use tokio::runtime::Runtime;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there are threads")
}

/// Runs a check over both databases, each empty.
fn on_both(check: impl AsyncFn(&str)) {
    let folder = tempfile::tempdir().expect("there is room");
    let file = format!("sqlite:{}", folder.path().join("deep/below/refguard.db").display());
    let server = Postgres::start();
    for url in [file, server.url()] {
        runtime().block_on(check(&url));
    }
}

fn wanted(name: &str) -> Wanted {
    Wanted {
        name: name.to_owned(),
        scopes: vec![Scope::Ingest, Scope::DecisionsRead],
        programs: vec!["gold".to_owned()],
        sources: vec!["/shop".to_owned(), "/\"odd\"'; DROP TABLE tokens; --".to_owned()],
        expires_ms: Some(5_000),
    }
}

fn secret(seed: u8) -> Secret {
    Secret::new(std::array::from_fn(|at| seed.wrapping_mul(31).wrapping_add(at as u8)))
}

async fn chain(records: &Records) -> Result<Chain, BrokenChain> {
    let mut chain = Chain::default();
    loop {
        let some = records.audit(chain.number, 2).await.expect("the database answers");
        if some.is_empty() {
            return Ok(chain);
        }
        some.iter().try_for_each(|record| chain.follow(record))?;
    }
}

#[test]
fn a_token_comes_back_as_it_was_made_and_ends_once() {
    on_both(async |url| {
        let records = Records::open(url).await.expect("it opens");
        let (made, noted) =
            records.create_token(wanted("partner"), &secret(1), "token:a", 7).await.expect("it is made");
        assert!(made.fits(secret(1).bytes()) && !made.fits(secret(2).bytes()));
        assert_eq!((noted.number, noted.actor.as_str(), noted.action.as_str()), (1, "token:a", "token.create"));
        assert_eq!(records.tokens().await.expect("it answers").as_slice(), std::slice::from_ref(&made));

        records.note_used(&[(made.id.clone(), 20), (made.id.clone(), 10)]).await.expect("it is noted");
        let revoked = records.revoke_token(&made.id, "token:b", 30).await.expect("it answers");
        assert_eq!(revoked.map(|record| record.number), Some(2));
        assert_eq!(records.revoke_token(&made.id, "token:b", 40).await.expect("it answers"), None);
        assert_eq!(records.revoke_token("nobody", "token:b", 40).await.expect("it answers"), None);

        // As another process sees it.
        let again = Records::open(url).await.expect("it opens again");
        let tokens = again.tokens().await.expect("it answers");
        let [token] = tokens.as_slice() else { panic!("one token: {tokens:?}") };
        assert_eq!((token.last_used_ms, token.revoked_ms, token.expires_ms), (Some(20), Some(30), Some(5_000)));
        assert_eq!(token.sources, wanted("").sources);
        assert_eq!(chain(&again).await.expect("it is whole").number, 2);
    });
}

#[test]
fn a_name_that_is_taken_is_refused_and_leaves_no_trace() {
    on_both(async |url| {
        let records = Records::open(url).await.expect("it opens");
        records.create_token(wanted("one"), &secret(1), "token:a", 1).await.expect("it is made");
        let again = records.create_token(wanted("two"), &secret(1), "token:a", 2).await;
        assert!(matches!(again, Err(RecordsError::Taken)), "{again:?}");
        assert_eq!(records.tokens().await.expect("it answers").len(), 1);
        assert_eq!(chain(&records).await.expect("it is whole").number, 1, "what was not done is not told");
    });
}

#[test]
fn there_is_one_first_token_however_many_begin_at_once() {
    on_both(async |url| {
        let instances = [Records::open(url).await.expect("it opens"), Records::open(url).await.expect("it opens")];
        let secrets = [Secret::first([1; 40]), Secret::first([2; 40])];
        let (one, other) = tokio::join!(
            instances[0].create_first_token(&secrets[0], 1),
            instances[1].create_first_token(&secrets[1], 1)
        );
        let made = [one.expect("it answers"), other.expect("it answers")];
        assert_eq!(made.iter().filter(|made| **made).count(), 1, "{made:?}");
        let tokens = instances[0].tokens().await.expect("it answers");
        let secret = if made[0] { &secrets[0] } else { &secrets[1] };
        assert!(tokens[0].fits(secret.bytes()) && tokens[0].allows(Scope::Mfa) && tokens[0].is_for_program("any"));
        instances[0].revoke_token(&tokens[0].id, "x", 2).await.expect("it answers");
        assert!(!instances[1].create_first_token(&secrets[0], 3).await.expect("it answers"), "never a second one");
    });
}

#[test]
fn the_audit_trail_is_one_chain_though_many_write_at_once() {
    on_both(async |url| {
        let instances = [Records::open(url).await.expect("it opens"), Records::open(url).await.expect("it opens")];
        let act = |at_ms| Act { at_ms, actor: "token:a", action: "test", subject: "s", detail: "{}".to_owned() };
        for round in 0..10 {
            let (one, other) = (act(round), act(-round));
            let (one, other) = tokio::join!(instances[0].note(&one), instances[1].note(&other));
            assert_ne!(one.expect("it is noted").number, other.expect("it is noted").number);
        }
        assert_eq!(chain(&instances[0]).await.expect("it is whole").number, 20);
    });
}

#[test]
fn whoever_changes_the_audit_trail_is_found_out() {
    on_both(async |url| {
        let records = Records::open(url).await.expect("it opens");
        for at_ms in 0..5 {
            let act = Act { at_ms, actor: "token:a", action: "test", subject: "é\"\n", detail: "{}".to_owned() };
            records.note(&act).await.expect("it is noted");
        }
        let honest: Vec<Record> = records.audit(0, 10).await.expect("it answers");
        let newest = chain(&records).await.expect("it is whole");
        assert_eq!((newest.number, &newest.hash), (5, &honest[4].hash));

        let pool =
            AnyPoolOptions::new().max_connections(1).connect(url).await.expect("anybody with the right can write");
        let write = async |query: &str| {
            sqlx::query(query).execute(&pool).await.expect("it is valid SQL");
        };
        write("UPDATE audit SET actor = 'nobody' WHERE number = 3").await;
        assert_eq!(chain(&records).await, Err(BrokenChain::Changed(3)));
        write("UPDATE audit SET actor = 'token:a' WHERE number = 3").await;
        assert_eq!(chain(&records).await, Ok(newest.clone()));

        // A record that is made anew, hash and all, does not fit the one behind it.
        let mut forged = honest[2].clone();
        forged.subject = "another".to_owned();
        write(&format!("UPDATE audit SET subject = 'another', hash = '{}' WHERE number = 3", forged.expected_hash()))
            .await;
        assert_eq!(chain(&records).await, Err(BrokenChain::NotChained(4)));
        write("DELETE FROM audit WHERE number = 3").await;
        assert_eq!(chain(&records).await, Err(BrokenChain::Missing { expected: 3, found: 4 }));
        // Who cuts the end off is found out by the hash that was noted elsewhere.
        write("DELETE FROM audit WHERE number > 2").await;
        assert_ne!(chain(&records).await.expect("what is left is a chain").hash, newest.hash);
    });
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    on_both(async |url| {
        Records::open(url).await.expect("it opens").close().await;
        let pool = AnyPoolOptions::new().max_connections(1).connect(url).await.expect("it opens");
        let copy = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                    SELECT 999, description, success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1";
        sqlx::query(copy).execute(&pool).await.expect("it is valid SQL");
        let error = Records::open(url).await.expect_err("it is newer");
        assert!(error.hint().contains("newer refguard"), "{error}: {}", error.hint());
    });
}

#[test]
fn what_cannot_be_opened_says_what_to_do_and_no_password() {
    let folder = tempfile::tempdir().expect("there is room");
    std::fs::write(folder.path().join("file"), "this is no database. ".repeat(500)).expect("there is room");
    let below_a_file = format!("sqlite:{}", folder.path().join("file/refguard.db").display());
    let no_database = format!("sqlite:{}", folder.path().join("file").display());
    for (url, told) in [
        ("mysql://root:hunter2@localhost/x", "is no address"),
        ("postgres://root:hunter2@127.0.0.1:1/x", "127.0.0.1:1"),
        (below_a_file.as_str(), "cannot open"),
        (no_database.as_str(), "cannot"),
    ] {
        let error = runtime().block_on(Records::open(url)).expect_err("it does not open");
        let text = format!("{error} {error:?}");
        assert!(text.contains(told) && !text.contains("hunter2"), "{text}");
        assert!(!error.hint().is_empty());
    }
}

#[test]
fn a_server_that_was_away_is_used_again() {
    let mut server = Postgres::start();
    let runtime = runtime();
    let records = runtime.block_on(Records::open(&server.url())).expect("it opens");
    runtime.block_on(records.create_token(wanted("one"), &secret(1), "a", 1)).expect("it is made");
    server.kill();
    assert!(!runtime.block_on(records.is_reachable()));
    let error = runtime.block_on(records.tokens()).expect_err("nobody answers");
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    server.restart();
    assert!(support::until(|| runtime.block_on(records.is_reachable())), "it is reached again");
    assert_eq!(runtime.block_on(records.tokens()).expect("it answers").len(), 1);
}
