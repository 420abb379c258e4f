//! Files that are whole, torn, flipped, newer or foreign.

use std::fs;

use super::*;
use crate::engine::Judgements;
use crate::event::{EventBatch, ParseOptions, Parser, Place, Position};
use crate::ruleset::load::{Files, load_from};
use crate::signals::{Deriver, SignalConfig};
use crate::state::HashKey;
use crate::stream::journal::PlaceName;

struct One;

impl Files for One {
    fn packs(&self) -> Result<Vec<String>, String> {
        Ok(vec!["pack.yaml".to_owned()])
    }

    fn read(&self, _path: &str, _max_bytes: u64) -> Result<Vec<u8>, String> {
        let feature = "{on: [login.succeeded], key: [event.account_id], aggregate: count, window: 1h}";
        let rule = "{id: r, on: [login.succeeded], when: 'f > 0', score: 1}";
        Ok(format!("version: 1\npack: p\nfeatures:\n  f: {feature}\nrules:\n  - {rule}\n").into_bytes())
    }
}

fn rules() -> Arc<RuleSet> {
    Arc::new(load_from(&One).unwrap().set)
}

/// An engine that has judged so many events.
fn engine(events: u64) -> Engine {
    let mut engine = Engine::new(rules(), EngineOptions::default());
    let mut parser = Parser::new(ParseOptions { allow_future: true });
    let mut batch = EventBatch::default();
    for offset in 0..events {
        let start = batch.input.len();
        let second = offset % 60;
        batch.input.push_str(&format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{offset}\",\"source\":\"/s\",\"type\":\"login.succeeded\",\"time\":\"2026-05-01T10:00:{second:02}Z\",\"data\":{{\"account_id\":\"a{offset}\"}}}}"
        ));
        let at = Place { position: Position { partition: 0, offset, item: 0 }, ingest_time_ms: 0 };
        let range = start..batch.input.len();
        parser.parse_structured(&mut batch, range, at).unwrap();
    }
    let mut signals = Vec::new();
    Deriver::new(engine.wanted(), &SignalConfig::default()).unwrap().derive(&mut batch, &mut signals);
    engine.judge(&batch, &signals, &mut Judgements::default());
    engine
}

fn load_it(folder: &Path) -> Result<Found, CheckpointError> {
    load(&folder.into(), &mut |_| Ok(rules()), &EngineOptions::default(), &Seals::new(vec![seal(1)]))
}

fn seal(byte: u8) -> Seal {
    Seal::new([byte; 32], SealName([byte; 8]))
}

fn companion() -> Companion {
    let place = |partition| PlaceName { source: "orders".to_owned(), topic: "events".to_owned(), partition };
    let files = vec![("pack.yaml".to_owned(), "version: 1".to_owned())];
    let places = vec![(place(0), Some(41)), (place(7), None)];
    Companion { position: 17, places, hash: "abc".to_owned(), files }
}

fn alerts() -> Vec<Vec<u8>> {
    vec![vec![1, 2, 3], vec![4]]
}

fn write_it(folder: &Path, events: u64) -> Result<Written, CheckpointError> {
    write(&folder.into(), &engine(events), &companion(), &alerts(), &seal(1))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|of| of.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn name(sequence: u64) -> String {
    format!("checkpoint-{sequence:020}")
}

#[test]
fn the_last_two_are_kept_and_the_newest_is_read() {
    let folder = tempfile::tempdir().unwrap();
    assert!(load_it(folder.path()).unwrap().loaded.is_none());
    fs::write(folder.path().join(ASIDE), "what a power cut left").unwrap();
    for events in [3, 20, 100] {
        let written = write_it(folder.path(), events).unwrap();
        assert_eq!(written.bytes, fs::metadata(&written.path).unwrap().len());
    }
    assert_eq!(names(folder.path()), [name(20), name(100)]);
    let found = load_it(folder.path()).unwrap();
    let loaded = found.loaded.unwrap();
    assert_eq!((loaded.engine.taken_in(), loaded.restored.sequence, found.damaged.len()), (100, 100, 0));
    assert!(loaded.path.ends_with(name(100)));
    assert_eq!((loaded.companion, loaded.alerts), (Some(companion()), alerts()));
    assert_eq!(oldest_position(&folder.path().into()).unwrap(), Some(17));
}

#[test]
fn a_torn_or_flipped_file_is_set_aside_and_the_older_one_used() {
    let folder = tempfile::tempdir().unwrap();
    write_it(folder.path(), 20).unwrap();
    let newest = write_it(folder.path(), 40).unwrap().path;
    let whole = fs::read(&newest).unwrap();
    let check = |bytes: &[u8], what: &str| {
        fs::write(&newest, bytes).unwrap();
        let found = load_it(folder.path()).unwrap();
        assert_eq!(found.loaded.unwrap().engine.taken_in(), 20, "{what}");
        let (error, aside) = &found.damaged[0];
        assert!(matches!(error, CheckpointError::Damaged { path, .. } if *path == newest), "{what}: {error}");
        assert!(aside.exists() && !newest.exists(), "{what}");
        fs::remove_file(aside).unwrap();
    };
    (0..whole.len()).step_by(13).for_each(|length| check(&whole[..length], &format!("cut at {length}")));
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        check(&flipped, &format!("flipped at {at}"));
    }
    check(&[&whole[..], b"x"].concat(), "longer");
    fs::write(&newest, &whole).unwrap();
    assert_eq!(load_it(folder.path()).unwrap().loaded.unwrap().engine.taken_in(), 40);
}

#[test]
fn a_newer_format_another_key_or_nothing_whole_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_it(folder.path(), 20).unwrap();
    let foreign = EngineOptions { hash_key: HashKey([9; 16]), ..EngineOptions::default() };
    assert!(matches!(
        load(&folder.path().into(), &mut |_| Ok(rules()), &foreign, &Seals::new(vec![seal(1)])),
        Err(CheckpointError::ForeignKey { .. })
    ));
    let newest = write_it(folder.path(), 40).unwrap().path;
    let mut newer = fs::read(&newest).unwrap();
    let head = frame::head_of(frame::FORMAT + 1);
    newer[..head.len()].copy_from_slice(&head);
    fs::write(&newest, newer).unwrap();
    let error = load_it(folder.path()).unwrap_err();
    assert!(matches!(error, CheckpointError::Newer { found: 6, known: 5, .. }), "{error}");
    assert_eq!(names(folder.path()), [name(20), name(40)], "nothing is changed");
    for path in [folder.path().join(name(20)), newest] {
        fs::write(path, "torn").unwrap();
    }
    let error = load_it(folder.path()).unwrap_err();
    assert!(matches!(error, CheckpointError::NoneWhole { .. }), "{error}");
    assert_eq!(names(folder.path()), [name(20), name(40)], "nothing is changed");
}

#[test]
fn what_cannot_be_written_leaves_the_ones_before() {
    let folder = tempfile::tempdir().unwrap();
    write_it(folder.path(), 20).unwrap();
    // A device that is always full stands where the file is written.
    std::os::unix::fs::symlink("/dev/full", folder.path().join(ASIDE)).unwrap();
    let error = write_it(folder.path(), 40).unwrap_err();
    assert!(error.is_outside() && error.hint().contains("free space"), "{error}");
    assert_eq!(load_it(folder.path()).unwrap().loaded.unwrap().engine.taken_in(), 20);
}

#[test]
fn one_that_has_no_name_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    write_it(folder.path(), 20).unwrap();
    let aside = write_aside(&folder.path().into(), &engine(40), &companion(), &[], &seal(1)).unwrap();
    assert_eq!(load_it(folder.path()).unwrap().loaded.unwrap().engine.taken_in(), 20);
    aside.name(40).unwrap();
    assert_eq!(load_it(folder.path()).unwrap().loaded.unwrap().engine.taken_in(), 40);
}

#[test]
fn nothing_is_read_of_one_without_its_secret_and_secrets_may_change_between_two() {
    let folder = tempfile::tempdir().unwrap();
    let at: Folder = folder.path().into();
    let secrets = |bytes: &[u8]| Seals::new(bytes.iter().map(|byte| seal(*byte)).collect());
    let load_by = |bytes: &[u8]| load(&at, &mut |_| Ok(rules()), &EngineOptions::default(), &secrets(bytes));
    write_it(folder.path(), 20).unwrap();
    let older = write(&at, &engine(40), &companion(), &[b"somebody's account".to_vec()], &seal(1)).unwrap().path;
    let newer = write(&at, &engine(60), &companion(), &[b"somebody's account".to_vec()], &seal(2)).unwrap().path;
    let has = |path: &Path, text: &[u8]| fs::read(path).unwrap().windows(text.len()).any(|part| part == text);
    assert!(
        has(&newer, b"pack.yaml") && !has(&newer, b"somebody's account"),
        "what anybody reads is where its inputs end"
    );
    assert_eq!(seal_of(&at, &older).unwrap(), Some(seal(1).name()));
    let error = load_by(&[1]).unwrap_err();
    assert!(
        matches!(&error, CheckpointError::Sealed { path, name } if *path == newer && *name == seal(2).name()),
        "{error}"
    );
    assert_eq!(names(folder.path()), [name(40), name(60)], "nothing is set aside");
    for (bytes, path, events) in [(&[1, 2][..], &newer, 60), (&[2], &newer, 60), (&[1, 3], &older, 40)] {
        if *path == older {
            fs::remove_file(&newer).unwrap();
        }
        assert_eq!(load_by(bytes).unwrap().loaded.unwrap().engine.taken_in(), events, "{bytes:?}");
    }
    // Without it the file is checked all the same, and where its inputs end is known.
    assert!(check(&at, &older).unwrap() > 0);
    assert_eq!(position(&at, &older).unwrap(), Some(17));
    let looked_at = |seals: Option<&Seals>| survey(&at, &older, seals).unwrap();
    assert_eq!(looked_at(None), looked_at(Some(&secrets(&[3]))));
    assert_eq!((looked_at(None).survey, looked_at(None).seal), (None, Some(seal(1).name())));
}

/// A checkpoint of a format that was not closed, with this in front of what the engine says.
fn of_format(format: u32, companion: Option<Companion>) -> Vec<u8> {
    let mut bytes = frame::head_of(format);
    let mut number = 0;
    let mut put = |segment: &[u8]| {
        bytes.extend_from_slice(&(segment.len() as u32).to_le_bytes());
        bytes.extend_from_slice(segment);
        bytes.extend_from_slice(&xxhash_rust::xxh3::xxh3_64_with_seed(segment, number).to_le_bytes());
        number += 1;
    };
    companion.iter().for_each(|companion| put(companion.written().as_bytes()));
    engine(20).checkpoint(&mut put);
    put(&[]);
    if format >= frame::FORMAT_WITH_ALERTS {
        alerts().iter().for_each(|segment| put(segment));
        put(&[]);
    }
    bytes
}

#[test]
fn one_of_the_first_format_is_read_and_says_nothing_of_its_inputs() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name(20)), of_format(1, None)).unwrap();
    let loaded = load_it(folder.path()).unwrap().loaded.unwrap();
    assert_eq!((loaded.engine.taken_in(), loaded.companion, loaded.alerts.len()), (20, None, 0));
}

#[test]
fn one_of_the_second_format_is_read_and_has_no_alerts() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name(20)), of_format(2, Some(companion()))).unwrap();
    let loaded = load_it(folder.path()).unwrap().loaded.unwrap();
    assert_eq!((loaded.engine.taken_in(), loaded.companion, loaded.alerts.len()), (20, Some(companion()), 0));
    assert!(check(&folder.path().into(), &folder.path().join(name(20))).unwrap() > 0);
}

#[test]
fn one_of_the_third_format_is_read_with_its_alerts() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name(20)), of_format(3, Some(companion()))).unwrap();
    let loaded = load_it(folder.path()).unwrap().loaded.unwrap();
    assert_eq!((loaded.engine.taken_in(), loaded.companion, loaded.alerts), (20, Some(companion()), alerts()));
    assert_eq!(seal_of(&folder.path().into(), &folder.path().join(name(20))).unwrap(), None);
}

#[test]
fn a_state_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let owner = Owner::of(folder.path()).unwrap();
    assert!(matches!(Owner::of(folder.path()), Err(CheckpointError::Owned { .. })));
    drop(owner);
    Owner::of(folder.path()).unwrap();
}
