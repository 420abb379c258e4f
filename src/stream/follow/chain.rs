//! Which entries of a topic follow each other, and which checkpoints they go on from.

use crate::stream::journal::{Line, Shipped};

/// What came of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It goes on.
    On,
    /// What came before does not belong to it.
    Restarted,
}

/// Entries that follow each other without a gap, and the lines that they belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Lines in their order, each with the number of its first entry that is known.
    lines: Vec<(Line, u64)>,
    next: u64,
}

impl Chain {
    /// Takes what a record says.
    pub fn take(&mut self, shipped: &Shipped) -> Step {
        let Shipped { line, number, payload } = shipped;
        let is_first = self.lines.is_empty();
        let goes_on = *number == self.next && !is_first;
        if !goes_on {
            self.lines = vec![(*line, *number)];
            self.next = *number;
        } else if self.last() != Some(*line) {
            self.lines.push((*line, *number));
        }
        self.next += u64::from(payload.is_some());
        if goes_on || is_first { Step::On } else { Step::Restarted }
    }

    /// Begins behind a checkpoint, with nothing.
    pub fn seed(&mut self, line: Line, position: u64) {
        (self.lines, self.next) = (vec![(line, position)], position);
    }

    /// Whether a checkpoint of a line that ends at a position is the beginning of what is here.
    pub fn fits(&self, line: Line, position: u64) -> bool {
        let Some(at) = self.lines.iter().rposition(|(known, _)| *known == line) else { return false };
        let end = self.lines.get(at + 1).map_or(self.next, |(_, first)| *first);
        (self.lines[at].1..=end).contains(&position)
    }

    /// Whether nothing was taken.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The number of the first entry.
    pub fn first(&self) -> u64 {
        self.lines.first().map_or(0, |(_, first)| *first)
    }

    /// The number of the next entry.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The line that came last.
    pub fn last(&self) -> Option<Line> {
        self.lines.last().map(|(line, _)| *line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Line = Line(1);
    const B: Line = Line(2);

    fn entry(line: Line, number: u64) -> Shipped {
        Shipped { line, number, payload: Some(vec![7]) }
    }

    fn begins(line: Line, number: u64) -> Shipped {
        Shipped { line, number, payload: None }
    }

    fn chain(records: &[Shipped]) -> Chain {
        let mut chain = Chain::default();
        for record in records {
            chain.take(record);
        }
        chain
    }

    #[test]
    fn a_checkpoint_fits_its_own_line_up_to_where_another_took_over() {
        let chain = chain(&[entry(A, 5), entry(A, 6), entry(A, 7), begins(B, 8), entry(B, 8), entry(B, 9)]);
        let fits = |line| (0..12).filter(|position| chain.fits(line, *position)).collect::<Vec<u64>>();
        assert_eq!(fits(A), [5, 6, 7, 8], "what A says behind 8 is not what was committed");
        assert_eq!(fits(B), [8, 9, 10]);
        assert!(fits(Line(3)).is_empty());
        assert_eq!((chain.first(), chain.next(), chain.last()), (5, 10, Some(B)));
    }

    #[test]
    fn a_gap_or_numbers_that_begin_anew_leave_what_was_before_behind() {
        let mut chain = chain(&[entry(A, 5), entry(A, 6)]);
        assert_eq!(chain.take(&entry(A, 9)), Step::Restarted);
        assert!(chain.fits(A, 9) && chain.fits(A, 10) && !chain.fits(A, 6));
        assert_eq!(chain.take(&begins(B, 0)), Step::Restarted);
        assert_eq!(chain.take(&entry(B, 0)), Step::On);
        assert!(chain.fits(B, 1) && !chain.fits(A, 9) && !chain.fits(A, 1));
    }

    #[test]
    fn where_the_topic_is_empty_a_checkpoint_begins() {
        let mut chain = Chain::default();
        assert!(chain.is_empty() && !chain.fits(A, 0));
        chain.seed(A, 40);
        assert!(chain.fits(A, 40));
        assert_eq!(chain.take(&entry(A, 40)), Step::On);
        assert_eq!(chain.take(&entry(A, 42)), Step::Restarted);
    }
}
