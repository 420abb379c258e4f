//! Journals that are whole, torn, flipped, or miss a file.

use super::*;

fn place(partition: i32) -> PlaceName {
    PlaceName { source: "orders".to_owned(), topic: "events".to_owned(), partition }
}

/// Begins or goes on, and answers what was there.
fn reopen(folder: &Path, from: u64) -> (Journal, Vec<Journaled>) {
    let (scan, found) = scan(folder, from).unwrap();
    (Journal::open(folder, &scan).unwrap(), found)
}

fn scan(folder: &Path, from: u64) -> Result<(Scan, Vec<Journaled>), CheckpointError> {
    let mut found = Vec::new();
    let scan = Scan::of(folder, from, |entry| {
        found.push(entry);
        Ok(())
    })?;
    let (mut again, mut second) = (scan.again(from), Vec::new());
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
    let length: u64 = segments(folder.path()).unwrap().iter().map(|(_, path)| fs::metadata(path).unwrap().len()).sum();
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

#[test]
fn a_torn_end_is_cut_off_and_a_flipped_bit_before_it_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = reopen(folder.path(), 0);
    let expected: Vec<Journaled> = (0..4).map(|at| (at, add(&journal, at * 20))).collect();
    journal.sync().unwrap();
    drop(journal);
    let path = segment_path(folder.path(), 0);
    let whole = fs::read(&path).unwrap();
    let entry = (whole.len() - HEAD_BYTES) / 4;
    for length in 0..whole.len() {
        for tail in [&b""[..], &[0; 300], b"other bytes that were never written here"] {
            fs::write(&path, [&whole[..length], tail].concat()).unwrap();
            let kept = length.checked_sub(HEAD_BYTES).map(|rest| rest / entry);
            match (scan(folder.path(), 0), kept) {
                (Ok((scan, found)), kept) => {
                    assert_eq!(found, expected[..kept.unwrap_or(0)], "cut at {length}");
                    assert_eq!(scan.next(), found.len() as u64);
                }
                (Err(_), kept) => assert!(kept.is_none() && !tail.is_empty(), "cut at {length}"),
            }
        }
    }
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, flipped).unwrap();
        let found = scan(folder.path(), 0);
        if at < whole.len() - entry {
            assert!(found.is_err(), "flipped at {at}");
        } else {
            assert_eq!(found.unwrap().1, expected[..3], "the last entry, at {at}: it may be torn");
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
fn a_torn_file_that_others_follow_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = reopen(folder.path(), 0);
    add(&journal, 0);
    journal.roll().unwrap();
    add(&journal, 20);
    journal.sync().unwrap();
    let path = segment_path(folder.path(), 0);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(scan(folder.path(), 0), Err(CheckpointError::Damaged { .. })));
    assert!(scan(folder.path(), 1).is_ok(), "what is asked for is whole");
    assert!(matches!(scan(folder.path(), 3), Err(CheckpointError::Damaged { .. })), "a checkpoint knows of more");
}

#[test]
fn a_full_disk_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", segment_path(folder.path(), 0)).unwrap();
    let scan = Scan::of(folder.path(), 1, |_| Ok(()));
    assert!(scan.is_err());
    let error = Journal::open(folder.path(), &Scan::default()).unwrap_err();
    assert!(error.is_outside() && error.hint().contains("free space"), "{error}");
}
