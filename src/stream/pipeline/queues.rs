//! What waits for the machine, and what of it comes first.
//!
//! Questions are short and change nothing, so they never wait for a batch that has not begun. Works of an inbox go before those
//! of topics and files: somebody waits for them, and a backlog must not delay it.

use std::time::Duration;

use crossbeam_channel::{Receiver, never, select_biased};

use super::Message;
use crate::engine::Engine;

/// Asks the machine something, between two works. It must be short, and must not judge.
pub type Question = Box<dyn FnOnce(&mut Engine) + Send>;

/// The queues in front of the machine.
pub(super) struct Queues {
    questions: Receiver<Question>,
    /// Works that somebody waits for; `None`: no more come.
    first: Option<Receiver<Message>>,
    then: Option<Receiver<Message>>,
}

/// What the machine is given next.
pub(super) enum Given {
    Question(Question),
    Work(Message),
    /// Nothing came for so long.
    Nothing,
    /// Nothing comes any more.
    End,
}

impl Queues {
    pub(super) fn new(questions: Receiver<Question>, first: Receiver<Message>, then: Receiver<Message>) -> Queues {
        Queues { questions, first: Some(first), then: Some(then) }
    }

    /// Waits for what comes next.
    pub(super) fn next(&mut self, patience: Duration) -> Given {
        let nothing = never();
        loop {
            if self.first.is_none() && self.then.is_none() {
                return Given::End;
            }
            let (first, then) = (self.first.as_ref().unwrap_or(&nothing), self.then.as_ref().unwrap_or(&nothing));
            select_biased! {
                recv(self.questions) -> question => match question {
                    Ok(question) => return Given::Question(question),
                    Err(_) => self.questions = never(),
                },
                recv(first) -> message => match message {
                    Ok(message) => return Given::Work(message),
                    Err(_) => self.first = None,
                },
                recv(then) -> message => match message {
                    Ok(message) => return Given::Work(message),
                    Err(_) => self.then = None,
                },
                default(patience) => return Given::Nothing,
            }
        }
    }
}
