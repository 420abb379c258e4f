//! Every step that a program has for a common term, alone and joined with every other in both orders, over readings that
//! are known, unknown and beyond their range: it gives what the interpreter gives, the fault included.

use super::super::fuzz::{DemoFacts, demo_scope, source};
use super::super::{Compiled, Facts, Fault, ListIndex, Position, ReadIndex, ReadTable, Reading};
use super::super::{ReadingValue, Uses, Wanted, compile, interpret};
use super::checked;
use crate::event::{Field, Signal};

/// An event and its readings, drawn by a number.
#[derive(Clone, Copy)]
struct DrawnFacts<'a> {
    demo: DemoFacts<'a>,
    draw: u64,
}

const TYPES: [&str; 3] = ["login.succeeded", "reward.redeemed", "reward.granted"];
const DRAWS: u64 = 24;
/// Hashes that sets are drawn from: three, so that two sets often have none in common.
const MEMBERS: [&[u64]; 6] = [&[], &[7], &[9], &[7, 9], &[8], &[7, 8, 9]];
const NOW_MS: i64 = 1_777_630_000_250;

impl DrawnFacts<'_> {
    /// One of these, another for another `of`: SplitMix64's finish, by Guy Steele, Doug Lea and Christine Flood (2014).
    fn one<T: Copy>(&self, of: u64, from: &[T]) -> T {
        let mixed = (self.draw * 0x1_0001 + of + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        from[(mixed >> 33) as usize % from.len()]
    }

    fn members(&self, read: ReadIndex) -> &'static [u64] {
        self.one(u64::from(read.0) + 100, &MEMBERS)
    }
}

impl Facts for DrawnFacts<'_> {
    fn has(&self, field: Field) -> bool {
        self.one(field as u64 + 200, &[true, false])
    }
    fn text(&self, field: Field) -> &str {
        match field {
            Field::Type => self.one(1, &TYPES),
            Field::Channel => self.one(2, &["alice", "web", ""]),
            field => self.demo.text(field),
        }
    }
    fn int(&self, _: Field) -> i64 {
        self.one(3, &[i64::MIN, -1, 0, 1000, 1001, i64::MAX])
    }
    fn double(&self, field: Field) -> f64 {
        self.demo.double(field)
    }
    fn timestamp_ms(&self, field: Field) -> i64 {
        match field {
            Field::Time => NOW_MS,
            _ => self.one(4, &[0, NOW_MS - 599_999, NOW_MS - 600_000, NOW_MS + 1, -9_300_000_000_000]),
        }
    }
    fn amount_base(&self) -> Option<f64> {
        self.one(5, &[None, Some(12.5)])
    }
    fn program(&self) -> &str {
        self.demo.program()
    }
    fn signal_text(&self, signal: Signal) -> &str {
        match signal {
            Signal::DeviceId => self.one(6, &["alice", "d1"]),
            signal => self.demo.signal_text(signal),
        }
    }
    fn signal_int(&self, signal: Signal) -> i64 {
        self.demo.signal_int(signal)
    }
    fn signal_double(&self, signal: Signal) -> f64 {
        self.demo.signal_double(signal)
    }
    fn signal_flag(&self, signal: Signal) -> bool {
        self.one(signal as u64 + 300, &[true, false])
    }
    fn reading(&self, read: ReadIndex) -> Reading {
        let of = u64::from(read.0);
        let value = match self.demo.reading(read).value {
            ReadingValue::Int(_) => ReadingValue::Int(self.one(of, &[i64::MIN, -1, 0, 1, 3, 4, 1000, i64::MAX])),
            ReadingValue::Double(_) => ReadingValue::Double(self.one(of, &[f64::NAN, 0.0, 3.0, 99.5])),
            ReadingValue::Bool(_) => ReadingValue::Bool(self.one(of, &[true, false])),
            ReadingValue::TimestampMs(_) => {
                ReadingValue::TimestampMs(self.one(of, &[NOW_MS, NOW_MS - 2_592_000_000, NOW_MS - 2_592_000_001, 0]))
            }
            ReadingValue::DurationMs(_) => {
                ReadingValue::DurationMs(self.one(of, &[0, 86_399_999, 86_400_000, 90_000, -5]))
            }
            ReadingValue::Hash(_) => ReadingValue::Hash(self.one(of, &[7, 8])),
            ReadingValue::Set { .. } => ReadingValue::Set { size: self.members(read).len() as u64 },
            other => other,
        };
        let value = match self.one(of + 400, &[0, 1, 2, 3, 4, 5, 6, 7]) {
            0 => ReadingValue::Unknown,
            1 => ReadingValue::Overflow,
            _ => value,
        };
        let known = self.one(of + 500, &[true, false]);
        Reading {
            value,
            known,
            complete: self.one(of + 600, &[true, false]),
            exact: self.one(of + 700, &[true, false]),
        }
    }
    fn set_members(&self, read: ReadIndex) -> &[u64] {
        self.members(read)
    }
    fn reading_text(&self, read: ReadIndex) -> &str {
        self.demo.reading_text(read)
    }
    fn hash_text(&self, _: &str) -> u64 {
        7
    }
    fn hash_int(&self, _: i64) -> u64 {
        8
    }
    fn hash_double(&self, value: f64) -> u64 {
        self.demo.hash_double(value)
    }
    fn hash_bool(&self, value: bool) -> u64 {
        self.demo.hash_bool(value)
    }
    fn in_text_list(&self, list: ListIndex, text: &str) -> bool {
        self.demo.in_text_list(list, text)
    }
    fn in_domain_list(&self, list: ListIndex, domain: &str) -> bool {
        self.demo.in_domain_list(list, domain)
    }
    fn in_network_list(&self, list: ListIndex, address: &str) -> bool {
        self.demo.in_network_list(list, address)
    }
    fn in_date_list(&self, list: ListIndex, timestamp_ms: i64) -> bool {
        self.demo.in_date_list(list, timestamp_ms)
    }
}

/// A term for each step, and what its program must be made of.
const TERMS: &[(&str, &str)] = &[
    ("logins > 3", "Probe(Int("),
    ("4 != logins", "Probe(Int("),
    ("size(devices) <= 1", "Probe(Size("),
    ("account.age < days(1)", "Probe(Ms("),
    ("gap == duration('90s')", "Probe(Ms("),
    ("seen >= timestamp('2026-05-01T00:00:00Z')", "Probe(Ms("),
    ("event.time - seen > duration('720h')", "Probe(Since("),
    ("event.time - event.account_created_at < duration('10m')", "Probe(SinceField("),
    ("event.time - seen > duration('1us')", "Times("),
    ("event.amount_minor > 1000", "Probe(Field("),
    ("device.bot", "Probe(Flag("),
    ("!ip.datacenter", "Probe(Flag("),
    ("burst", "Probe(Claim("),
    ("!burst", "Probe(Claim("),
    ("known(logins)", "Probe(Ask(Known"),
    ("!complete(devices)", "Probe(Ask(Complete"),
    ("exact(gap)", "Probe(Ask(Exact"),
    ("has(event.label)", "Probe(Has("),
    ("has(event.amount_base)", "Has(AmountBase)"),
    ("overlap(devices, devices.at(event.referrer_id)) > 0", "Meet("),
    ("overlap(devices, devices.at(event.referrer_id)) == 0", "Meet("),
    ("1 <= overlap(devices, devices.at(event.referrer_id))", "Meet("),
    ("overlap(devices, devices.at(event.referrer_id)) > 1", "Ints((Overlap("),
    ("event.channel in lists.words", "FieldListed("),
    ("!(device.id in lists.words)", "SignalListed("),
    ("event.channel in lists.domains", "Listed("),
    ("event.type in ['reward.granted', 'reward.redeemed']", "FieldIn("),
    ("event.type != 'login.succeeded'", "FieldText("),
    ("'reward.granted' == event.type", "FieldText("),
    ("spend > 3.0", "ReadDouble("),
    ("double(logins) > 0.9 * spend", "Doubles("),
    ("spend / 3.0 >= double(logins) * 0.5", "Doubles("),
    ("event.referrer_id in devices", "TextInSet("),
    ("place == event.referrer_id", "HashOf("),
    ("logins / 0 > 1", "Ints("),
    ("account.referrer == 'bob'", "SameText("),
    ("true", "Constant(true)"),
    ("false", "Constant(false)"),
];

/// What the interpreter, the program, and the program for the event's type say.
fn answers(text: &str) -> Vec<[Result<bool, Fault>; 3]> {
    let mut reads = ReadTable::default();
    let node = checked(text, &mut reads);
    let program = Compiled::new(node.clone(), Uses::default(), crate::ruleset::cel::compiled::Noticed::default());
    let for_types = |types: &[&str]| program.clone().for_types(types);
    let (alone, rewards) = (TYPES.map(|of| for_types(&[of])), for_types(&TYPES[1..]));
    let each = |draw| {
        let facts = DrawnFacts { demo: DemoFacts { reads: &reads }, draw };
        let slow = interpret::evaluate(&node, &facts).and_then(|value| value.bool());
        let of = TYPES.iter().position(|of| *of == facts.text(Field::Type)).expect("one of the types is drawn");
        // A reward's by turns among both rewards, so that types that agree and types that do not are settled.
        let typed = if of > 0 && draw % 2 == 0 { &rewards } else { &alone[of] };
        [slow, program.test(&facts), typed.test(&facts)]
    };
    (0..DRAWS).map(each).collect()
}

fn check(text: &str, seen: &mut [usize; 3]) {
    for (draw, [slow, fast, typed]) in answers(text).into_iter().enumerate() {
        assert_eq!(fast, slow, "{text}, draw {draw}");
        assert_eq!(typed, slow, "{text}, for its type, draw {draw}");
        seen[slow.map_or(2, usize::from)] += 1;
    }
}

#[test]
fn every_term_gives_what_the_interpreter_gives_alone_and_joined() {
    let mut seen = [0; 3];
    for (one, _) in TERMS {
        check(one, &mut seen);
        check(&format!("!({one})"), &mut seen);
        for (other, _) in TERMS {
            check(&format!("{one} && {other}"), &mut seen);
            check(&format!("!({one}) || {other}"), &mut seen);
        }
    }
    assert!(seen.iter().all(|count| *count > 5000), "the answers are not all alike: {seen:?}");
}

#[test]
fn terms_nest() {
    let mut seen = [0; 3];
    let term = |at: usize| TERMS[at % TERMS.len()].0;
    for at in 0..TERMS.len() * 8 {
        let (a, b, c, d) = (term(at), term(at * 5 + 1), term(at * 11 + at / 7), term(at * 17 + 3));
        check(&format!("{a} && ({b} || {c}) && {d}"), &mut seen);
        check(&format!("({a} && {b}) || !({c} && {d})"), &mut seen);
        check(&format!("({a} || ({b} || {c})) && ({d} && {a})"), &mut seen);
        check(&format!("({a} ? {b} : {c}) && {d}"), &mut seen);
        check(&format!("(event.type == 'login.succeeded' ? {a} : {b}) || ({c}) == ({d})"), &mut seen);
    }
    assert!(seen.iter().all(|count| *count > 2000), "the answers are not all alike: {seen:?}");
}

fn program(text: &str, types: &[&str]) -> String {
    let mut reads = ReadTable::default();
    let compiled = compile(&source(text), &demo_scope(), &mut reads, Position::Condition, Wanted::Bool);
    let compiled = compiled.expect("it compiles").for_types(types);
    format!("{compiled:?}")
}

#[test]
fn every_term_has_its_step() {
    for (text, step) in TERMS {
        let program = program(text, &[]);
        assert!(program.contains(&format!("program: Bool({step}")), "{text}: {program}");
    }
}

#[test]
fn what_the_type_settles_is_gone() {
    let both = ["reward.granted", "reward.redeemed"];
    // condition, the types of the rule, and what is left
    let cases: [(&str, &[&str], &str); 9] = [
        ("event.type in ['reward.granted', 'reward.redeemed', 'x']", &both, "Bool(Constant(true))"),
        ("event.type in ['a', 'b']", &both, "Bool(Constant(false))"),
        ("event.type in ['reward.granted']", &both, "FieldIn("),
        ("event.type == 'reward.granted' || 'reward.redeemed' == event.type", &both, "Bool(Or([FieldText("),
        ("event.type != 'login.succeeded' && burst", &both, "Bool(Probe(Claim("),
        ("burst || !('reward.granted' != event.type)", &both[..1], "Bool(Constant(true))"),
        ("event.type == 'reward.granted' ? burst : logins > 3", &both[..1], "Bool(Probe(Claim("),
        ("event.type == 'reward.granted' ? burst : logins > 3", &both[1..], "Bool(Probe(Int("),
        ("event.type == 'reward.granted'", &[], "Bool(FieldText("),
    ];
    for (text, types, left) in cases {
        let program = program(text, types);
        assert!(program.contains(left), "{text} for {types:?}: {program}");
    }
}
