//! What is written is read, and nothing else.

use super::*;

#[test]
fn values_are_read_as_they_were_written() {
    let mut writer = ByteWriter::default();
    let counts = [0, 1, 127, 128, 300, 1 << 20];
    counts.iter().for_each(|count| writer.count(*count));
    writer.time(i64::MIN);
    writer.int(-7);
    writer.short(9);
    writer.wide(u128::MAX - 1);
    writer.key(KeyHash { low: 1, high: u64::MAX });
    writer.maybe_time(None);
    writer.maybe_time(Some(5));
    writer.text("ضيف");
    let mut reader = ByteReader::new(writer.as_bytes());
    for count in counts {
        assert_eq!(reader.count(0), Ok(count));
    }
    assert_eq!((reader.time(), reader.int(), reader.short()), (Ok(i64::MIN), Ok(-7), Ok(9)));
    assert_eq!((reader.wide(), reader.key()), (Ok(u128::MAX - 1), Ok(KeyHash { low: 1, high: u64::MAX })));
    assert_eq!((reader.maybe_time(), reader.maybe_time(), reader.text()), (Ok(None), Ok(Some(5)), Ok("ضيف")));
    assert!(reader.is_empty());
    assert!(reader.byte().is_err());
}

#[test]
fn a_count_is_no_larger_than_what_follows() {
    let mut writer = ByteWriter::default();
    writer.count(3);
    writer.word(0);
    assert!(ByteReader::new(writer.as_bytes()).count(2).is_ok());
    assert!(ByteReader::new(writer.as_bytes()).count(3).is_err());
    assert!(ByteReader::new(&[0xff; 30]).count(0).is_err(), "it has no end");
    assert!(ByteReader::new(&[0xff, 0xff, 0xff, 0xff, 0x7f]).bytes().is_err());
    assert!(ByteReader::new(&[2]).flag().is_err());
    assert!(ByteReader::new(&[1, 0xff]).text().is_err());
}

#[test]
fn items_are_gathered_in_segments_with_one_prefix() {
    let mut seen: Vec<Vec<u8>> = Vec::new();
    let mut put = |segment: &[u8]| seen.push(segment.to_vec());
    let mut segments = Segments::new(&[7, 9]);
    for item in 0..100_000u64 {
        segments.item().word(item);
        if item % 30_000 == 0 {
            segments.hand_over(&mut put);
        }
    }
    segments.finish(&mut put);
    segments.finish(&mut put);
    let bytes: usize = seen.iter().map(Vec::len).sum();
    assert_eq!((seen.len(), bytes), (4, 4 * 2 + 100_000 * 8), "nothing is handed over twice");
    let mut next = 0;
    for segment in &seen {
        assert!(segment.len() <= (256 << 10) + 8 && segment[..2] == [7, 9]);
        let mut reader = ByteReader::new(&segment[2..]);
        while !reader.is_empty() {
            assert_eq!(reader.word(), Ok(next));
            next += 1;
        }
    }
    assert_eq!(next, 100_000);
}
