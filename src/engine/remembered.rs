//! First verdicts, for those who send an event again.
//!
//! Nearly every verdict is a plain `allow`, which is remembered as nothing at all. The rest are kept in the order of
//! arrival, in chunks that are found by bisection and leave whole when the last of their identities is forgotten; one
//! that left is used again, so that in the steady state nothing is allocated, and nothing ever moves. Messages and evidence
//! are not kept. They are kept apart from the identities because these are looked up for a whole chunk of events at once:
//! an identity may be forgotten at a later event, and the repeat before it is still to be answered.

pub(super) mod stored;

use std::collections::VecDeque;

use super::holds::HoldName;
use super::judgement::{Judgement, Judgements, Outcome, Piece};
use crate::event::{Cause, Verdict};
use crate::state::Entry;
use stored::RememberedCut;

/// Verdicts of a chunk.
const CHUNK_VERDICTS: usize = 1024;

/// Verdicts in the order of arrival.
#[derive(Debug)]
struct Chunk {
    /// The pieces of each judgement are pieces of `text`.
    firsts: Vec<(Entry, Judgement)>,
    text: Vec<u8>,
}

/// The verdicts that are more than a plain `allow`, by entry, ascending.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    chunks: VecDeque<Chunk>,
    /// How many chunks have left.
    left: u64,
    /// One that was emptied, for the next that is needed.
    spare: Option<Chunk>,
    /// Bytes of the chunks in use.
    bytes: usize,
    /// While they are written as of a place that was passed.
    cut: Option<Box<RememberedCut>>,
}

impl Remembered {
    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.firsts.len()).sum()
    }

    /// Remembers the verdict on a new event; `rules` are the elements of `rules` without messages. Whether it is more than a plain
    /// `allow`.
    pub(super) fn remember(
        &mut self,
        entry: Entry,
        judgement: &Judgement,
        judgements: &Judgements,
        rules: &[u8],
    ) -> bool {
        let (decisions, created) = (judgements.piece(judgement.decisions), judgements.piece(judgement.created));
        if is_plain(judgement) && rules.is_empty() && decisions.is_empty() {
            return false;
        }
        if self.chunks.back().is_none_or(|chunk| chunk.firsts.len() == CHUNK_VERDICTS) {
            // As much text as the one before it took: growing step by step would copy it each time.
            let text_bytes = self.chunks.back().map_or(0, |chunk| chunk.text.len());
            let chunk = self.spare.take().unwrap_or_else(|| Chunk::new(text_bytes));
            self.bytes += chunk.bytes();
            self.chunks.push_back(chunk);
        }
        let chunk = self.chunks.back_mut().expect("a chunk with room was just made sure of");
        let before = chunk.bytes();
        let kept = Judgement {
            rules: chunk.keep(rules),
            evidence: Piece::default(),
            decisions: chunk.keep(decisions),
            created: chunk.keep(created),
            ..*judgement
        };
        chunk.firsts.push((entry, kept));
        self.bytes = self.bytes + chunk.bytes() - before;
        true
    }

    /// The first verdict on the event of this identity. `parties` tells whether the event has a referrer and a referee,
    /// `observe_only` whether its program is only observed.
    pub(super) fn recall(&self, entry: Entry, parties: bool, observe_only: bool, out: &mut Judgements) -> Judgement {
        let Some((chunk, first)) = self.find(entry) else {
            return Judgement {
                outcome: Outcome::Repeat,
                parties: parties.then_some((Verdict::Allow, Verdict::Allow)),
                would_be: observe_only.then_some(Verdict::Allow),
                ..Judgement::default()
            };
        };
        Judgement {
            outcome: Outcome::Repeat,
            rules: out.add_bytes(chunk.piece(first.rules)),
            evidence: Piece::default(),
            decisions: out.add_bytes(chunk.piece(first.decisions)),
            created: out.add_bytes(chunk.piece(first.created)),
            ..*first
        }
    }

    /// The first verdict on the event of this identity.
    pub(super) fn verdict(&self, entry: Entry) -> Verdict {
        self.find(entry).map_or(Verdict::Allow, |(_, first)| first.verdict)
    }

    /// What the hold is named by that the event of this identity made.
    pub(super) fn held(&self, entry: Entry) -> Option<HoldName> {
        self.find(entry)?.1.held
    }

    fn find(&self, entry: Entry) -> Option<(&Chunk, &Judgement)> {
        let after = self.chunks.partition_point(|chunk| chunk.firsts.first().is_some_and(|(first, _)| *first <= entry));
        let chunk = self.chunks.get(after.checked_sub(1)?)?;
        let place = chunk.firsts.binary_search_by_key(&entry, |(first, _)| *first).ok()?;
        Some((chunk, &chunk.firsts[place].1))
    }

    /// Drops verdicts on identities before this one, which are forgotten.
    pub(super) fn trim(&mut self, oldest: Entry) {
        while self.chunks.front().and_then(|chunk| chunk.firsts.last()).is_some_and(|(last, _)| *last < oldest) {
            self.keep_first_chunk();
            if let Some(mut chunk) = self.chunks.pop_front() {
                self.left += 1;
                self.bytes -= chunk.bytes();
                chunk.firsts.clear();
                chunk.text.clear();
                self.spare = Some(chunk);
            }
        }
    }

    /// Memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.spare.as_ref().map_or(0, Chunk::bytes) + self.chunks.capacity() * size_of::<Chunk>()
    }
}

impl Chunk {
    fn new(text_bytes: usize) -> Chunk {
        Chunk { firsts: Vec::with_capacity(CHUNK_VERDICTS), text: Vec::with_capacity(text_bytes) }
    }

    fn keep(&mut self, text: &[u8]) -> Piece {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(text);
        Piece { start, end: self.text.len() as u32 }
    }

    fn piece(&self, piece: Piece) -> &[u8] {
        &self.text[piece.start as usize..piece.end as usize]
    }

    fn bytes(&self) -> usize {
        self.firsts.capacity() * size_of::<(Entry, Judgement)>() + self.text.capacity()
    }
}

/// Whether an event's program, fields and repetition alone say everything but its rules and decisions.
pub(super) fn is_plain(judgement: &Judgement) -> bool {
    let allowed = |verdict| verdict == Verdict::Allow;
    let Judgement { verdict, would_be, cause, score, parties, late, over_quota, .. } = *judgement;
    let nobody_stopped = parties.is_none_or(|(referrer, referee)| allowed(referrer) && allowed(referee));
    allowed(verdict)
        && would_be.is_none_or(allowed)
        && cause == Cause::None
        && score == 0
        && nobody_stopped
        && !late
        && !over_quota
}
