use super::*;
use crate::state::cut::Cuttable;

fn identity(number: u64, time_ms: i64, watermark_ms: i64) -> Identity {
    let key = KeyHash { low: number.wrapping_mul(0x9e37_79b9_7f4a_7c15), high: number };
    Identity { key, time_ms, fingerprint: number, watermark_ms }
}

/// All events ever, and the rule as documented: the newest entry of a key counts if it is within the span and among
/// the last `max_entries`.
struct Model {
    span_ms: i64,
    max_entries: u64,
    entries: Vec<Identity>,
}

impl Model {
    fn sight(&mut self, event: &Identity) -> Sighting {
        let newest = self.entries.iter().rposition(|entry| entry.key == event.key);
        let remembered = newest.filter(|place| {
            self.entries[*place].time_ms + self.span_ms > event.watermark_ms
                && (self.entries.len() - place) as u64 <= self.max_entries
        });
        match remembered {
            Some(place) if self.entries[place].fingerprint == event.fingerprint => {
                Sighting::Repeat(Entry(place as u64))
            }
            Some(place) => Sighting::Reused(Entry(place as u64)),
            None => {
                self.entries.push(*event);
                Sighting::New(Entry(self.entries.len() as u64 - 1))
            }
        }
    }
}

/// A small linear congruential generator (Knuth, MMIX).
fn random(state: &mut u64, bound: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % bound
}

#[test]
fn remembers_what_a_list_of_all_events_would() {
    for (seed, (span_ms, max_entries, identities)) in
        [(50, 1000, 60), (500, 20, 60), (5, 3, 8), (i64::MAX / 4, 200, 400), (0, 10, 5), (300, 1, 4)]
            .into_iter()
            .enumerate()
    {
        let mut state = seed as u64;
        let (mut now_ms, mut watermark_ms) = (0, i64::MIN / 4);
        let mut events = Vec::new();
        for _ in 0..6000 {
            now_ms += random(&mut state, 3) as i64;
            if random(&mut state, 3) == 0 {
                watermark_ms = watermark_ms.max(now_ms - 20);
            }
            let mut event =
                identity(random(&mut state, identities), now_ms - random(&mut state, 30) as i64, watermark_ms);
            event.fingerprint += u64::from(random(&mut state, 20) == 0);
            events.push(event);
        }
        let mut model = Model { span_ms, max_entries: u64::from(max_entries), entries: Vec::new() };
        let expected: Vec<Sighting> = events.iter().map(|event| model.sight(event)).collect();
        for size in [1, 7, 32, 1000] {
            let (mut dedup, mut out) = (Dedup::new(span_ms, max_entries), Vec::new());
            for batch in events.chunks(size) {
                dedup.observe(batch, &mut out);
                assert!(dedup.entries() as u64 <= u64::from(max_entries));
            }
            assert_eq!(out, expected, "span {span_ms}, bound {max_entries}, batches of {size}");
        }
    }
}

#[test]
fn repeats_in_one_batch_share_an_entry() {
    let (mut dedup, mut out) = (Dedup::new(100, 10), Vec::new());
    let reused = Identity { fingerprint: 9, ..identity(1, 5, 0) };
    dedup.observe(&[identity(1, 5, 0), identity(1, 5, 0), reused], &mut out);
    let Sighting::New(entry) = out[0] else { panic!("{out:?}") };
    assert_eq!(out[1..], [Sighting::Repeat(entry), Sighting::Reused(entry)]);
}

#[test]
fn the_horizon_is_the_span_or_what_the_bound_pushed_out() {
    let (mut dedup, mut out) = (Dedup::new(100, 3), Vec::new());
    for number in 0..3 {
        dedup.observe(&[identity(number, 1000 + number as i64, 1000)], &mut out);
    }
    assert_eq!(dedup.horizon_ms(), 900);
    dedup.observe(&[identity(3, 1003, 1000)], &mut out);
    assert_eq!((dedup.horizon_ms(), dedup.entries()), (1000, 3));
    out.clear();
    dedup.observe(&[identity(1, 1001, 1000), identity(0, 1000, 1000)], &mut out);
    assert!(matches!(out[..], [Sighting::Repeat(_), Sighting::New(_)]), "{out:?}");
    assert_eq!(dedup.horizon_ms(), 1001);
    dedup.observe(&[identity(9, 2000, 2000)], &mut out);
    assert_eq!(dedup.horizon_ms(), 1900);
}

#[test]
fn memory_follows_what_is_remembered() {
    let (mut dedup, mut out) = (Dedup::new(1000, 1 << 20), Vec::new());
    let empty = dedup.bytes();
    let mut most = 0;
    for number in 0..200_000 {
        dedup.observe(&[identity(number, number as i64 / 10, number as i64 / 10)], &mut out);
        out.clear();
        most = most.max(dedup.entries());
    }
    assert!(most <= 10_010, "{most}");
    assert!(dedup.bytes() - empty <= 10_010 * 60 + 3 * CHUNK_ENTRIES * size_of::<Held>(), "{}", dedup.bytes());
    assert!(dedup.oldest() > Entry(190_000 - 20), "{:?}", dedup.oldest());
}

#[test]
fn an_entry_fits_its_bound() {
    let (mut dedup, mut out) = (Dedup::new(1000, 1 << 20), Vec::new());
    for number in 0..1_000_000 {
        dedup.observe(&[identity(number, 0, 0)], &mut out);
        out.clear();
    }
    // The index is fuller at 10^7 entries, where the bound of 56 holds.
    assert!(dedup.bytes() <= dedup.entries() * 59, "{}", dedup.bytes() as f64 / 1e6);
}

#[test]
fn a_cut_has_the_identities_that_were_there_whatever_comes_while_it_is_written() {
    let mut dedup = Dedup::new(6000, 1 << 20);
    let mut time_ms = 0;
    let mut come = |dedup: &mut Dedup, count: i64| {
        let identity = |time_ms: i64| Identity {
            key: KeyHash { low: time_ms as u64 * 0x9e37_79b9, high: time_ms as u64 },
            time_ms,
            fingerprint: !time_ms as u64,
            watermark_ms: time_ms,
        };
        let identities: Vec<Identity> = (time_ms..time_ms + count).map(identity).collect();
        dedup.observe(&identities, &mut Vec::new());
        time_ms += count;
    };
    let gathered = |segments: &[Vec<u8>]| -> Vec<u8> { segments.iter().flat_map(|of| &of[1..]).copied().collect() };
    come(&mut dedup, 13_000);
    for (step_bytes, count) in [(2000, 300), (1, 2), (100_000, 9000)] {
        let first = dedup.oldest();
        let (mut whole, mut cut) = (Vec::new(), Vec::new());
        dedup.store(&[7], &mut |segment| whole.push(segment.to_vec()));
        dedup.begin_cut(&[7]);
        while !dedup.store_cut(&mut { step_bytes }, &mut |segment| cut.push(segment.to_vec())) {
            come(&mut dedup, count);
        }
        assert!(dedup.oldest().0 > first.0 + CHUNK_ENTRIES as u64, "chunks have left meanwhile");
        assert!(gathered(&whole) == gathered(&cut), "{step_bytes} bytes a step");
        assert!(gathered(&cut).len() > 5000 * 32);
    }
}
