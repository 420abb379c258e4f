//! What waits for the machine, and what of it comes first.
//!
//! Questions are short and change nothing, so they never wait for a batch that has not begun. Works of an inbox go before those
//! of topics and files: somebody waits for them, and a backlog must not delay it. But one in [`IN_A_ROW_MAX`] + 1 is of those, so that they
//! never stand still.

use std::time::Duration;

use crossbeam_channel::{Receiver, never, select_biased};

use super::Message;
use crate::engine::Engine;

/// Asks the machine something, between two works. It must be short, and must not judge.
pub type Question = Box<dyn FnOnce(&mut Engine) + Send>;

/// How many works of an inbox go before one of a topic or file that waits.
const IN_A_ROW_MAX: u32 = 8;

/// The queues in front of the machine.
pub(super) struct Queues {
    questions: Receiver<Question>,
    /// Works that somebody waits for; `None`: no more come.
    first: Option<Receiver<Message>>,
    then: Option<Receiver<Message>>,
    /// How many of `first` were taken since one of `then` was.
    in_a_row: u32,
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
        Queues { questions, first: Some(first), then: Some(then), in_a_row: 0 }
    }

    /// Waits for what comes next.
    pub(super) fn next(&mut self, patience: Duration) -> Given {
        let nothing = never();
        loop {
            if self.first.is_none() && self.then.is_none() {
                return Given::End;
            }
            if self.in_a_row >= IN_A_ROW_MAX {
                self.in_a_row = 0;
                if let Some(message) = self.then.as_ref().and_then(|then| then.try_recv().ok()) {
                    return Given::Work(message);
                }
            }
            let (first, then) = (self.first.as_ref().unwrap_or(&nothing), self.then.as_ref().unwrap_or(&nothing));
            select_biased! {
                recv(self.questions) -> question => match question {
                    Ok(question) => return Given::Question(question),
                    Err(_) => self.questions = never(),
                },
                recv(first) -> message => match message {
                    Ok(message) => {
                        self.in_a_row += 1;
                        return Given::Work(message);
                    }
                    Err(_) => self.first = None,
                },
                recv(then) -> message => match message {
                    Ok(message) => {
                        self.in_a_row = 0;
                        return Given::Work(message);
                    }
                    Err(_) => self.then = None,
                },
                default(patience) => return Given::Nothing,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Sender, unbounded};

    use super::*;
    use crate::stream::pipeline::Work;

    type Ends = (Sender<Question>, Sender<Message>, Sender<Message>);

    fn queues() -> (Ends, Queues) {
        let ((ask, questions), (first, firsts), (then, thens)) = (unbounded(), unbounded(), unbounded());
        ((ask, first, then), Queues::new(questions, firsts, thens))
    }

    fn work(entry: u64) -> Message {
        Ok(Box::new(Work { entry, ..Work::default() }))
    }

    /// What comes next: `?` for a question, `.` for the end, `-` for nothing, else a number.
    fn next(queues: &mut Queues) -> String {
        match queues.next(Duration::ZERO) {
            Given::Question(_) => "?".to_owned(),
            Given::Work(work) => work.expect("it is one").entry.to_string(),
            Given::Nothing => "-".to_owned(),
            Given::End => ".".to_owned(),
        }
    }

    #[test]
    fn questions_come_first_then_what_somebody_waits_for() {
        let ((ask, first, then), mut queues) = queues();
        then.send(work(1)).expect("it is open");
        first.send(work(2)).expect("it is open");
        ask.send(Box::new(|_| {})).expect("it is open");
        assert_eq!([(); 4].map(|()| next(&mut queues)), ["?", "2", "1", "-"]);
        drop((ask, first));
        then.send(work(3)).expect("it is open");
        drop(then);
        assert_eq!([(); 2].map(|()| next(&mut queues)), ["3", "."]);
    }

    #[test]
    fn what_nobody_waits_for_never_stands_still() {
        let ((_ask, first, then), mut queues) = queues();
        (0..100).for_each(|_| first.send(work(0)).expect("it is open"));
        (1..3).for_each(|number| then.send(work(number)).expect("it is open"));
        let order: Vec<String> = (0..20).map(|_| next(&mut queues)).collect();
        let places: Vec<usize> = order.iter().enumerate().filter(|(_, of)| *of != "0").map(|(at, _)| at).collect();
        assert_eq!(places, [IN_A_ROW_MAX as usize, 2 * IN_A_ROW_MAX as usize + 1], "{order:?}");
    }
}
