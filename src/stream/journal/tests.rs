//! Journals that are whole, torn, flipped, or miss a file.

use std::fs;
use std::path::Path;

use super::*;

fn place(partition: i32) -> PlaceName {
    PlaceName { source: "orders".to_owned(), topic: "events".to_owned(), partition }
}

/// Begins or goes on, and answers what was there.
fn reopen(folder: &Path, from: u64) -> (Journal, Vec<Journaled>) {
    let (scan, found) = scan(folder, from).unwrap();
    (Journal::open(&folder.into(), &scan).unwrap(), found)
}

fn scan(folder: &Path, from: u64) -> Result<(Scan, Vec<Journaled>), CheckpointError> {
    let mut found = Vec::new();
    let folder = Folder::from(folder);
    let scan = Scan::of(&folder, from, |entry| {
        found.push(entry);
        Ok(())
    })?;
    let (mut again, mut second) = (scan.again(&folder, from), Vec::new());
    while let Some(entry) = again.read_next()? {
        second.push(entry);
    }
    assert_eq!(found, second, "a second reading finds the same");
    Ok((scan, found))
}

fn run(first: u64) -> Run {
    Run { place: 0, first, next: first + 10, records: 9 }
}

/// Adds records from here on, and answers what will be read.
fn add(journal: &Journal, first: u64) -> Stored {
    let (marks, runs) = ([Mark::Assigned(0), Mark::Tick(0, 5)], [run(first), run(first + 10)]);
    journal.add(&Entry::Records { marks: &marks, runs: &runs, clock_ms: 7 }).unwrap();
    Stored::Records { marks: marks.to_vec(), runs: runs.to_vec(), clock_ms: 7 }
}

#[test]
fn what_was_added_is_read_in_order_over_files_and_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, found) = reopen(folder.path(), 0);
    assert_eq!(found, []);
    let mut expected = Vec::new();
    journal.add(&Entry::Place(0, &place(3))).unwrap();
    expected.push(Stored::Place(0, place(3)));
    expected.push(add(&journal, 0));
    let files = [("p.yaml".to_owned(), "version: 1".to_owned())];
    journal.add(&Entry::Rules { hash: "abc", files: &files }).unwrap();
    expected.push(Stored::Rules { hash: "abc".to_owned(), files: files.to_vec() });
    assert_eq!((journal.next(), journal.synced()), (3, 0));
    assert_eq!(journal.roll().unwrap(), 3);
    let (text, lines) = ("one\ntwo\n", [(0..3, 1), (4..7, 2)]);
    let marks = [Mark::Revoked(1)];
    journal.add(&Entry::Lines { marks: &marks, place: 1, clock_ms: -5, text, lines: &lines }).unwrap();
    let lines = vec![("one".to_owned(), 1), ("two".to_owned(), 2)];
    expected.push(Stored::Lines { marks: marks.to_vec(), place: 1, clock_ms: -5, lines });
    journal.sync().unwrap();
    drop(journal);
    let (journal, found) = reopen(folder.path(), 0);
    assert_eq!(found.iter().map(|(_, entry)| entry.clone()).collect::<Vec<_>>(), expected);
    journal.add(&Entry::Written(4)).unwrap();
    journal.sync().unwrap();
    let length: u64 =
        segments(&folder.path().into()).unwrap().iter().map(|(_, path)| fs::metadata(path).unwrap().len()).sum();
    assert_eq!(journal.bytes(), length);
    journal.forget(3).unwrap();
    drop(journal);
    assert!(matches!(scan(folder.path(), 0), Err(CheckpointError::Damaged { .. })), "the first are gone");
    let (scan, found) = scan(folder.path(), 4).unwrap();
    assert_eq!((found, scan.next()), (vec![(4, Stored::Written(4))], 5));
}

#[test]
fn what_was_not_synced_may_go_and_what_was_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = reopen(folder.path(), 0);
    let first = add(&journal, 0);
    journal.sync().unwrap();
    add(&journal, 20);
    // A process that is killed takes its buffers along.
    drop(journal);
    assert_eq!(reopen(folder.path(), 0).1, [(0, first)]);
}

/// A journal of four entries in one file, of which so many were synced: its path, its bytes, what was added, and the length of
/// an entry.
fn four(folder: &Path, synced: u64) -> (PathBuf, Vec<u8>, Vec<Journaled>, usize) {
    let (journal, _) = reopen(folder, 0);
    let add = |at| {
        let entry = (at, add(&journal, at * 20));
        if at + 1 == synced {
            journal.sync().unwrap();
        }
        entry
    };
    let added: Vec<Journaled> = (0..4).map(add).collect();
    journal.write(&mut journal.lock()).unwrap();
    let path = segment_path(&folder.into(), 0);
    let bytes = fs::read(&path).unwrap();
    let seals = usize::from(synced > 0) * FRAME_BYTES;
    let entry = (bytes.len() - HEAD_BYTES - seals) / 4;
    (path, bytes, added, entry)
}

#[test]
fn a_torn_end_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let (path, whole, expected, entry) = four(folder.path(), 0);
    for length in 0..whole.len() {
        for tail in [&b""[..], &[0; 300], b"other bytes that were never written here"] {
            fs::write(&path, [&whole[..length], tail].concat()).unwrap();
            match (scan(folder.path(), 0), length.checked_sub(HEAD_BYTES).map(|rest| rest / entry)) {
                (Ok((scan, found)), kept) => {
                    assert_eq!(found, expected[..kept.unwrap_or(0)], "cut at {length}");
                    assert_eq!(scan.next(), found.len() as u64);
                }
                (Err(_), kept) => assert!(kept.is_none() && !tail.is_empty(), "cut at {length}"),
            }
        }
    }
    fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    let (journal, found) = reopen(folder.path(), 0);
    assert_eq!(found.len(), 3);
    let fourth = add(&journal, 99);
    journal.sync().unwrap();
    drop(journal);
    assert_eq!(reopen(folder.path(), 3).1, [(3, fourth)], "it goes on behind what was whole");
}

#[test]
fn a_flipped_bit_in_what_was_synced_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (path, whole, expected, entry) = four(folder.path(), 2);
    let sealed = HEAD_BYTES + 2 * entry;
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, flipped).unwrap();
        let found = scan(folder.path(), 0);
        if at < sealed {
            assert!(found.is_err(), "flipped at {at}");
        } else {
            let kept = 2 + (at - sealed).saturating_sub(FRAME_BYTES) / entry;
            assert_eq!(found.unwrap().1, expected[..kept], "it may be torn, at {at}");
        }
    }
}

/// A power cut may leave a later page and not an earlier one.
#[test]
fn a_hole_in_what_was_never_synced_is_a_torn_end() {
    let folder = tempfile::tempdir().unwrap();
    for synced in 0..4 {
        let (path, whole, expected, entry) = four(folder.path(), synced);
        let seal = if synced > 0 { FRAME_BYTES } else { 0 };
        for hole in 0..4 {
            let from = HEAD_BYTES + hole as usize * entry + if hole >= synced { seal } else { 0 };
            let mut holed = whole.clone();
            holed[from..from + entry].fill(0);
            fs::write(&path, holed).unwrap();
            match scan(folder.path(), 0) {
                Ok((_, found)) => assert_eq!(found, expected[..hole as usize], "{synced} synced, hole at {hole}"),
                Err(error) => assert!(hole < synced, "{synced} synced, hole at {hole}: {error}"),
            }
            assert!(hole >= synced || scan(folder.path(), 0).is_err(), "{synced} synced, hole at {hole}");
        }
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_file_that_was_being_made_when_the_power_went_has_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = reopen(folder.path(), 0);
    let first = add(&journal, 0);
    journal.roll().unwrap();
    drop(journal);
    let path = segment_path(&folder.path().into(), 1);
    for length in 0..=HEAD_BYTES {
        for zeros in [0, HEAD_BYTES - length] {
            fs::write(&path, [&head(FORMAT, 1)[..length], &vec![0; zeros]].concat()).unwrap();
            assert_eq!(reopen(folder.path(), 0).1, [(0, first.clone())], "{length} of its head");
        }
    }
}

#[test]
fn the_first_format_is_read_and_a_newer_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = reopen(folder.path(), 0);
    let entries: Vec<Journaled> = (0..3).map(|at| (at, add(&journal, at * 20))).collect();
    journal.write(&mut journal.lock()).unwrap();
    drop(journal);
    let path = segment_path(&folder.path().into(), 0);
    let whole = fs::read(&path).unwrap();
    let of_format = |format| [&head(format, 0)[..], &whole[HEAD_BYTES..]].concat();
    fs::write(&path, of_format(1)).unwrap();
    assert_eq!(scan(folder.path(), 0).unwrap().1, entries);
    // Nothing says there what was synced: whatever others follow was.
    let mut flipped = of_format(1);
    flipped[HEAD_BYTES + 30] ^= 1;
    fs::write(&path, flipped).unwrap();
    assert!(matches!(scan(folder.path(), 0), Err(CheckpointError::Damaged { .. })));
    fs::write(&path, of_format(FORMAT + 1)).unwrap();
    let error = scan(folder.path(), 0).map(|_| ()).unwrap_err();
    assert!(matches!(error, CheckpointError::Newer { found: 3, known: 2, .. }), "{error}");
}

#[test]
fn a_torn_file_that_others_follow_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = reopen(folder.path(), 0);
    add(&journal, 0);
    journal.roll().unwrap();
    add(&journal, 20);
    journal.sync().unwrap();
    let path = segment_path(&folder.path().into(), 0);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(scan(folder.path(), 0), Err(CheckpointError::Damaged { .. })));
    assert!(scan(folder.path(), 1).is_ok(), "what is asked for is whole");
    assert!(matches!(scan(folder.path(), 3), Err(CheckpointError::Damaged { .. })), "a checkpoint knows of more");
}

#[test]
fn a_full_disk_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", segment_path(&folder.path().into(), 0)).unwrap();
    let scan = Scan::of(&folder.path().into(), 1, |_| Ok(()));
    assert!(scan.is_err());
    let error = Journal::open(&folder.path().into(), &Scan::default()).unwrap_err();
    assert!(error.is_outside() && error.hint().contains("free space"), "{error}");
}
