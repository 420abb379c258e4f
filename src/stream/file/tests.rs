use super::*;
use crate::event::{EVENT_BYTES_MAX, Reason};
use crate::stream::{Fault, StreamError};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

/// Gives what it has in pieces of these sizes, again and again; then fails, if it is to.
struct Pieces {
    bytes: Vec<u8>,
    sizes: Vec<usize>,
    at: usize,
    fails: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() && self.fails {
            return Err(io::Error::other("the disk is gone"));
        }
        let size = self.sizes[self.at % self.sizes.len()].min(buffer.len()).min(self.bytes.len());
        self.at += 1;
        buffer[..size].copy_from_slice(&self.bytes[..size]);
        self.bytes.drain(..size);
        Ok(size)
    }
}

/// What became of one line.
#[derive(Clone, Debug, PartialEq)]
enum Read1 {
    Text(u64, String),
    Refused(u64, Reason, Vec<u8>, u64, [u8; 32]),
}

/// Everything a source hands over, in the order of lines; the bounds are checked on the way.
fn read_all(mut source: LineSource, options: LineOptions) -> Result<Vec<Read1>, StreamError> {
    let mut all = Vec::new();
    let mut chunk = LineChunk::default();
    while source.fill(&mut chunk)? {
        assert!(chunk.lines.len() <= options.lines_max);
        assert!(chunk.text.len() <= options.chunk_bytes.max(EVENT_BYTES_MAX + 3));
        let text = chunk.lines.iter().map(|line| Read1::Text(line.number, chunk.text[line.range()].to_owned()));
        let refused = chunk.refused.iter().map(|one| {
            Read1::Refused(one.position.offset, one.reason.clone(), one.kept.clone(), one.length_bytes, one.sha256)
        });
        let mut both: Vec<Read1> = text.chain(refused).collect();
        both.sort_by_key(|one| match one {
            Read1::Text(number, _) | Read1::Refused(number, ..) => *number,
        });
        all.extend(both);
    }
    assert!(!source.fill(&mut chunk)? && chunk.is_empty(), "the end is the end");
    Ok(all)
}

/// What should become of each line, by the plainest way: split all of it at line feeds.
fn expected(bytes: &[u8]) -> Vec<Read1> {
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    let numbered = lines.into_iter().zip(1..).map(|(line, number)| (line.strip_suffix(b"\r").unwrap_or(line), number));
    let candidates = numbered.filter(|(line, _)| !line.trim_ascii().is_empty());
    candidates
        .map(|(line, number)| {
            let refused = |reason| {
                let kept = line[..line.len().min(EVENT_BYTES_MAX)].to_vec();
                Read1::Refused(number, reason, kept, line.len() as u64, Sha256::digest(line).into())
            };
            match std::str::from_utf8(line) {
                _ if line.len() > EVENT_BYTES_MAX => refused(Reason::TooLarge { length_bytes: line.len() }),
                Ok(text) => Read1::Text(number, text.to_owned()),
                Err(error) => refused(Reason::NotUtf8 { offset: error.valid_up_to() }),
            }
        })
        .collect()
}

fn check(bytes: &[u8], sizes: &[usize], options: LineOptions) {
    let pieces = Pieces { bytes: bytes.to_vec(), sizes: sizes.to_vec(), at: 0, fails: false };
    let read = read_all(LineSource::new("test", pieces, options), options).unwrap();
    assert!(read == expected(bytes), "sizes {sizes:?}, {options:?}: {} lines read", read.len());
}

fn one_line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "[ -~]{0,40}".prop_map(String::into_bytes),
        1 => Just(Vec::new()),
        1 => Just(b" \t".to_vec()),
        1 => Just("\u{645}\u{631}\u{62d}\u{628}\u{627}".as_bytes().to_vec()),
        1 => Just(b"ab\xffcd".to_vec()),
        1 => Just(b"a\rb".to_vec()),
        1 => (EVENT_BYTES_MAX - 2..EVENT_BYTES_MAX + 4).prop_map(|length| vec![b'x'; length]),
        1 => (2 * EVENT_BYTES_MAX..4 * EVENT_BYTES_MAX).prop_map(|length| vec![b'y'; length]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn lines_are_what_a_plain_split_gives(
        lines in prop::collection::vec((one_line(), any::<bool>()), 0..12),
        ends_with_feed in any::<bool>(),
        sizes in prop::collection::vec(1usize..100_000, 1..4),
        chunk_bytes in prop_oneof![Just(1usize), Just(1000), Just(256 * 1024)],
        lines_max in prop_oneof![Just(1usize), Just(3), Just(usize::MAX)],
    ) {
        let mut bytes = Vec::new();
        for (line, carriage_return) in &lines {
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(if *carriage_return { b"\r\n" } else { b"\n" });
        }
        if !ends_with_feed {
            bytes.pop();
        }
        check(&bytes, &sizes, LineOptions { chunk_bytes, lines_max });
    }
}

#[test]
fn a_carriage_return_cut_from_its_line_feed_belongs_to_the_end() {
    let mut long = vec![b'x'; EVENT_BYTES_MAX + 10];
    long.extend_from_slice(b"\r\r\nnext\r\n");
    for first in EVENT_BYTES_MAX..EVENT_BYTES_MAX + 14 {
        check(&long, &[first, 1], LineOptions { chunk_bytes: 1, lines_max: usize::MAX });
    }
    check(b"last\r", &[1], LineOptions::default());
}

#[test]
fn a_line_is_handed_over_before_the_next_read() {
    struct Pipe(Arc<Mutex<u32>>);
    impl Read for Pipe {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            *self.0.lock().unwrap() += 1;
            buffer[..2].copy_from_slice(b"a\n");
            Ok(2)
        }
    }
    let reads = Arc::new(Mutex::new(0));
    let mut source = LineSource::new("pipe", Pipe(Arc::clone(&reads)), LineOptions::default());
    let mut chunk = LineChunk::default();
    for fills in 1..=3 {
        assert!(source.fill(&mut chunk).unwrap());
        assert_eq!((chunk.lines.len(), *reads.lock().unwrap()), (1, fills));
    }
}

#[test]
fn files_are_read_plain_and_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let text = "{\"id\":1}\n\n{\"id\":2}\r\n{\"id\":3}";
    let (head, tail) = text.split_at(9);
    let zst = |part: &str| zstd::encode_all(part.as_bytes(), 1).unwrap();
    // Compressed files are often made by appending: each part is whole by itself.
    let files = [
        ("plain.jsonl", text.as_bytes().to_vec()),
        ("events.jsonl.gz", [gz(head.as_bytes()), gz(tail.as_bytes())].concat()),
        ("events.jsonl.zst", [zst(head), zst(tail)].concat()),
    ];
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let source = LineSource::open(&path, LineOptions::default()).unwrap();
        let progress = source.progress();
        assert_eq!(progress.total_bytes, Some(bytes.len() as u64));
        assert_eq!(read_all(source, LineOptions::default()).unwrap(), expected(text.as_bytes()), "{name}");
        assert_eq!(progress.read_bytes(), bytes.len() as u64, "{name}");

        if name != "plain.jsonl" {
            std::fs::write(&path, &bytes[..bytes.len() - 6]).unwrap();
            let error = read_all(LineSource::open(&path, LineOptions::default()).unwrap(), LineOptions::default());
            let error = error.unwrap_err();
            assert!(matches!(error, StreamError::Damaged { .. }), "{name}: {error}");
            assert_eq!(error.fault(), Fault::Operator);
        }
    }
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_is_compressed_is_told_by_its_first_bytes_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let text = b"{\"id\":1}\n{\"id\":2}\n";
    let zst = zstd::encode_all(&text[..], 1).unwrap();
    // As pzstd writes it: a frame of 4 bytes to be skipped comes first.
    let skipped = [b"\x5f\x2a\x4d\x18\x04\0\0\0\0\0\0\0".to_vec(), zst.clone()].concat();
    for bytes in [text.to_vec(), gz(text), zst, skipped] {
        for sizes in [vec![1], vec![2, 1], vec![1 << 20]] {
            let pieces = Pieces { bytes: bytes.clone(), sizes, at: 0, fails: false };
            let source = LineSource::new("standard input", pieces, LineOptions::default());
            assert_eq!(read_all(source, LineOptions::default()).unwrap(), expected(text));
        }
        for name in ["events", "one.JSONL", "events.gz.jsonl"] {
            let path = folder.path().join(name);
            std::fs::write(&path, &bytes).unwrap();
            let source = LineSource::open(&path, LineOptions::default()).unwrap();
            assert_eq!(source.is_plain_file(), bytes == text, "{name}");
            assert_eq!(read_all(source, LineOptions::default()).unwrap(), expected(text), "{name}");
        }
    }
    for (name, bytes) in [("one.JSONL.GZ", gz(text)), ("zstd.gz", zstd::encode_all(&text[..], 1).unwrap())] {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let source = LineSource::open(&path, LineOptions::default()).unwrap();
        assert_eq!(read_all(source, LineOptions::default()).unwrap(), expected(text), "{name}");
    }
    let path = folder.path().join("no-gzip.GZ");
    std::fs::write(&path, text).unwrap();
    let source = LineSource::open(&path, LineOptions::default()).unwrap();
    let error = read_all(source, LineOptions::default()).unwrap_err();
    assert!(matches!(error, StreamError::Damaged { .. }), "a name that promises too much: {error}");
}

#[test]
fn one_byte_order_mark_before_the_first_line_is_left_out() {
    let text = "\u{feff}{\"id\":1}\n\u{feff}{\"id\":2}\n".as_bytes();
    let longest = ["\u{feff}".as_bytes(), &vec![b'x'; EVENT_BYTES_MAX], b"\n"].concat();
    for (bytes, without) in [
        (text, &text[3..]),
        (&gz(text), &text[3..]),
        (&longest, &longest[3..]),
        (b"\xef\xbb\xbf", b""),
        (b"\xef\xbb\xbf\n{}", b"\n{}"),
        (b"\xef\xbb", b"\xef\xbb"),
        (b"\xef\xbb\n{}\n", b"\xef\xbb\n{}\n"),
    ] {
        for sizes in [vec![1], vec![2], vec![1 << 20]] {
            let pieces = Pieces { bytes: bytes.to_vec(), sizes, at: 0, fails: false };
            let source = LineSource::new("test", pieces, LineOptions::default());
            assert_eq!(read_all(source, LineOptions::default()).unwrap(), expected(without));
        }
    }
}

#[test]
fn faults_name_the_file_and_the_next_step() {
    let error = LineSource::open("no/such/file.jsonl".as_ref(), LineOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "cannot open no/such/file.jsonl: No such file or directory (os error 2)");
    assert_eq!(
        error.hint().as_deref(),
        Some("check the path; a relative one counts from the directory refguard was started in")
    );

    let pieces = Pieces { bytes: b"one\ntwo\nthr".to_vec(), sizes: vec![64], at: 0, fails: true };
    let mut source = LineSource::new("inbox", pieces, LineOptions::default());
    let mut chunk = LineChunk::default();
    assert!(source.fill(&mut chunk).unwrap());
    assert_eq!(chunk.lines.len(), 2, "what came before the fault is handed over");
    let error = source.fill(&mut chunk).unwrap_err();
    assert_eq!(error.to_string(), "cannot read inbox: the disk is gone");
    assert_eq!(error.fault(), Fault::Dependency);
}

/// Takes a number of bytes, then fails.
struct Disk {
    written: Arc<Mutex<Vec<u8>>>,
    room: usize,
    failure: io::ErrorKind,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.written.lock().unwrap();
        let count = bytes.len().min(self.room - written.len());
        if count == 0 {
            return Err(self.failure.into());
        }
        written.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn disk(room: usize, failure: io::ErrorKind) -> (LineSink, Arc<Mutex<Vec<u8>>>) {
    let written = Arc::default();
    (LineSink::to("out", Disk { written: Arc::clone(&written), room, failure }), written)
}

#[test]
fn lines_leave_the_buffer_when_it_is_full_or_flushed() {
    let (mut sink, written) = disk(usize::MAX, io::ErrorKind::Other);
    sink.write_line(b"one").unwrap();
    sink.write_lines(b"two\nthree\n").unwrap();
    assert!(written.lock().unwrap().is_empty());
    assert_eq!(sink.flushed(), 0);
    assert_eq!(sink.flush().unwrap(), 1);
    assert_eq!(*written.lock().unwrap(), b"one\ntwo\nthree\n");

    let mut large = vec![b'x'; 300 * 1024];
    large.push(b'\n');
    sink.write_line(b"four").unwrap();
    sink.write_lines(&large).unwrap();
    assert_eq!(written.lock().unwrap().len(), 14 + 5 + large.len(), "in order, and large ones at once");
    sink.write_line(&large[..large.len() - 1]).unwrap();
    assert_eq!(written.lock().unwrap().len(), 14 + 5 + 2 * large.len());
}

#[test]
fn a_full_disk_is_the_dependencys_fault_and_a_closed_pipe_nobodys() {
    let (mut sink, _) = disk(5, io::ErrorKind::StorageFull);
    sink.write_line(b"123456789").unwrap();
    let error = sink.flush().unwrap_err();
    assert_eq!(error.fault(), Fault::Dependency);
    assert!(error.hint().unwrap().starts_with("free space"), "{error}");

    let (mut sink, _) = disk(5, io::ErrorKind::BrokenPipe);
    sink.write_line(b"123456789").unwrap();
    let error = sink.flush().unwrap_err();
    assert!(matches!(&error, StreamError::ReaderGone { name } if name == "out"), "{error}");
    assert_eq!(error.fault(), Fault::Nobody);
}

#[test]
fn a_daemons_file_is_appended_to_and_a_commands_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    for (mode, line, content) in
        [(WriteMode::Append, "a", "a\n"), (WriteMode::Append, "b", "a\nb\n"), (WriteMode::Truncate, "c", "c\n")]
    {
        let mut sink = LineSink::open(&path, mode).unwrap();
        sink.write_line(line.as_bytes()).unwrap();
        sink.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
    std::fs::write(&path, "whole\n{\"tor").unwrap();
    let mut sink = LineSink::open(&path, WriteMode::Append).unwrap();
    sink.write_line(b"next").unwrap();
    sink.flush().unwrap();
    drop(sink);
    let content = std::fs::read_to_string(&path).unwrap();
    assert_eq!(content, "whole\n{\"tor\nnext\n", "a line that was cut short is not written on to");
    assert!(matches!(LineSink::open(folder.path(), WriteMode::Append), Err(StreamError::Open { .. })));
}
