//! Events, and acts of people, that somebody hands over and waits for what becomes of them: the way in for what is neither a file
//! nor a topic.
//!
//! Two lanes lead in. Who asks for a verdict goes before who only tells, since a reward waits for the answer. Both are
//! bounded, in parcels and in bytes: who comes when a lane is full is told so at once, because an answer that comes late is
//! worth less than a quick refusal. It knows no HTTP. Invariant: a parcel that was taken in is answered once, or dropped
//! when the pipeline ends without it, which its owner notices. Tested below and, with a server in front, in `tests/http.rs`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::engine::ActOutcome;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, never, select_biased};

/// Parcels that wait in a lane, at most.
const PARCELS_MAX: usize = 4096;
/// Bytes that wait in both lanes, at most.
const BYTES_MAX: usize = 64 << 20;

/// Which way a parcel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Somebody waits for the verdicts.
    Asking,
    /// Somebody waits until the events are safe.
    Telling,
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It was judged: the verdict as a line of JSON, and whether the event was one that had been judged before.
    Verdict {
        /// The line, without a line feed.
        line: String,
        /// It repeats an earlier event.
        duplicate: bool,
    },
    /// It is no valid event.
    Refused {
        /// One of [`Reason::CODES`](crate::event::Reason::CODES); for what is no act, [`NO_ACT`].
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// It was an act, and this came of it.
    Acted(ActOutcome),
}

/// The name of the source of acts, which no other may have.
pub const ACTS: &str = "acts";
/// The code of what is no act.
pub const NO_ACT: &str = "no_act";

/// Takes what became of the events of a parcel, in their order. Called in the thread that writes: it must not wait.
pub type Answer = Box<dyn FnOnce(Vec<Answered>) + Send>;

/// Some events, and who waits for them.
pub struct Parcel {
    /// The text in which they lie.
    pub text: String,
    /// Where each lies: one event in JSON, or one act.
    pub events: Vec<Range<usize>>,
    /// Who waits.
    pub answer: Answer,
}

impl fmt::Debug for Parcel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Parcel").field("events", &self.events.len()).field("bytes", &self.text.len()).finish()
    }
}

/// Why a parcel is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// As much waits as may.
    #[error("as much waits to be judged as may")]
    Full,
    /// Nothing is judged any more.
    #[error("nothing is judged any more")]
    Closed,
}

/// The end at which parcels are handed over.
#[derive(Clone, Debug)]
pub struct Inbox {
    asking: Sender<Parcel>,
    telling: Sender<Parcel>,
    bytes: Arc<AtomicUsize>,
    is_closed: Arc<AtomicBool>,
}

/// The end at which a pipeline takes them.
#[derive(Debug)]
pub struct InboxSource {
    asking: Receiver<Parcel>,
    telling: Receiver<Parcel>,
    bytes: Arc<AtomicUsize>,
    is_closed: Arc<AtomicBool>,
    /// How many events were taken: their numbers are places in the source.
    pub(super) taken: u64,
}

/// An empty inbox.
pub fn inbox() -> (Inbox, InboxSource) {
    let (asking, asked) = bounded(PARCELS_MAX);
    let (telling, told) = bounded(PARCELS_MAX);
    let bytes = Arc::new(AtomicUsize::new(0));
    let is_closed = Arc::new(AtomicBool::new(false));
    let (of_bytes, closing) = (Arc::clone(&bytes), Arc::clone(&is_closed));
    let source = InboxSource { asking: asked, telling: told, bytes: of_bytes, is_closed: closing, taken: 0 };
    (Inbox { asking, telling, bytes, is_closed }, source)
}

impl Inbox {
    /// Hands a parcel over.
    ///
    /// # Errors
    ///
    /// It is dropped then, and with it who waits.
    pub fn put(&self, lane: Lane, parcel: Parcel) -> Result<(), NotTaken> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(NotTaken::Closed);
        }
        let bytes = parcel.text.len();
        if self.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes > BYTES_MAX {
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
            return Err(NotTaken::Full);
        }
        let sender = match lane {
            Lane::Asking => &self.asking,
            Lane::Telling => &self.telling,
        };
        sender.try_send(parcel).map_err(|refused| {
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
            match refused {
                TrySendError::Full(_) => NotTaken::Full,
                TrySendError::Disconnected(_) => NotTaken::Closed,
            }
        })
    }

    /// How many parcels wait.
    pub fn waiting(&self) -> usize {
        self.asking.len() + self.telling.len()
    }
}

impl InboxSource {
    /// Takes nothing in any more: what is in it is all that there will be, but for what is put in at this instant, which is dropped.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    /// The next parcel, those that ask first; `None`: none came for so long.
    pub(super) fn wait(&mut self, patience: Duration) -> Option<Parcel> {
        // A lane that nobody can put into any more is no reason not to wait at the other.
        let nobody = never();
        let (mut asking, mut telling) = (&self.asking, &self.telling);
        loop {
            let parcel = select_biased! {
                recv(asking) -> parcel => parcel.inspect_err(|_| asking = &nobody),
                recv(telling) -> parcel => parcel.inspect_err(|_| telling = &nobody),
                default(patience) => return None,
            };
            if let Ok(parcel) = parcel {
                return Some(self.taken_out(parcel));
            }
        }
    }

    /// A parcel that is there already.
    pub(super) fn next(&mut self) -> Option<Parcel> {
        let parcel = self.asking.try_recv().or_else(|_| self.telling.try_recv()).ok()?;
        Some(self.taken_out(parcel))
    }

    fn taken_out(&self, parcel: Parcel) -> Parcel {
        self.bytes.fetch_sub(parcel.text.len(), Ordering::AcqRel);
        parcel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel(text: &str) -> Parcel {
        Parcel { text: text.to_owned(), events: Vec::new(), answer: Box::new(drop) }
    }

    #[test]
    fn who_asks_goes_before_who_tells() {
        let (inbox, mut source) = inbox();
        for (lane, text) in [(Lane::Telling, "1"), (Lane::Asking, "2"), (Lane::Telling, "3"), (Lane::Asking, "4")] {
            inbox.put(lane, parcel(text)).expect("there is room");
        }
        assert_eq!(inbox.waiting(), 4);
        let first = source.wait(Duration::ZERO).map(|parcel| parcel.text);
        let rest: Vec<String> = std::iter::from_fn(|| source.next()).map(|parcel| parcel.text).collect();
        assert_eq!((first.as_deref(), rest.join("")), (Some("2"), "413".to_owned()));
    }

    #[test]
    fn a_full_inbox_refuses_and_takes_again_once_there_is_room() {
        let (inbox, mut source) = inbox();
        let large = "x".repeat(BYTES_MAX / 2);
        inbox.put(Lane::Asking, parcel(&large)).expect("there is room");
        inbox.put(Lane::Telling, parcel(&large)).expect("there is room for as much again");
        assert_eq!(inbox.put(Lane::Asking, parcel("x")), Err(NotTaken::Full), "bytes are bounded over both lanes");
        drop(source.next());
        for _ in 0..PARCELS_MAX {
            inbox.put(Lane::Asking, parcel("x")).expect("there is room again");
        }
        assert_eq!(inbox.put(Lane::Asking, parcel("")), Err(NotTaken::Full), "parcels are bounded by lane");
        inbox.put(Lane::Telling, parcel("")).expect("the other lane has room");
        source.close();
        assert_eq!(inbox.put(Lane::Telling, parcel("")), Err(NotTaken::Closed));
        assert!(source.next().is_some(), "what is in it is taken");
        drop(source);
        assert_eq!(inbox.put(Lane::Asking, parcel("")), Err(NotTaken::Closed));
    }

    #[test]
    fn a_wait_ends_though_nobody_can_put_anything_in() {
        let (inbox, mut source) = inbox();
        drop(inbox);
        assert!(source.wait(Duration::from_millis(1)).is_none());
    }
}
