//! Batches whose outputs are not all safe yet, oldest first: what may be committed, and what not.

use super::Mark;
use super::kafka::BatchEnd;
use std::collections::VecDeque;

/// Places in a source that wait for their outputs. Pure bookkeeping; bounded by what the caller has in flight.
///
/// A batch stands for itself and all before it, so what is ready is always a prefix.
#[derive(Debug, Default)]
pub struct Unsettled {
    batches: VecDeque<(Vec<Mark>, Vec<BatchEnd>)>,
}

impl Unsettled {
    /// Adds a batch: the mark of each sink after its outputs were written, and the places it ends at.
    pub fn push(&mut self, marks: Vec<Mark>, ends: Vec<BatchEnd>) {
        self.batches.push_back((marks, ends));
    }

    /// How many batches wait.
    pub fn len(&self) -> usize {
        self.batches.len()
    }

    /// Whether every output is safe.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Takes the batches whose outputs are delivered in every sink, given each sink's [`delivered`](super::Sink::delivered)
    /// in the order of the marks, and answers the furthest place of each partition in them.
    pub fn settle(&mut self, delivered: &[Mark]) -> Vec<BatchEnd> {
        let mut furthest: Vec<BatchEnd> = Vec::new();
        while let Some((marks, _)) = self.batches.front() {
            debug_assert_eq!(marks.len(), delivered.len(), "one mark a sink");
            if marks.iter().zip(delivered).any(|(mark, delivered)| mark > delivered) {
                break;
            }
            let (_, ends) = self.batches.pop_front().expect("the queue has the front that was just looked at");
            for end in ends {
                match furthest.iter_mut().find(|known| known.partition == end.partition) {
                    Some(known) => *known = end,
                    None => furthest.push(end),
                }
            }
        }
        furthest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(partition: u32, next_offset: u64) -> BatchEnd {
        BatchEnd { partition, next_offset, generation: 1 }
    }

    #[test]
    fn only_a_prefix_whose_outputs_are_safe_in_every_sink_is_settled() {
        let mut unsettled = Unsettled::default();
        unsettled.push(vec![Mark(1), Mark(1)], vec![end(0, 10), end(1, 5)]);
        unsettled.push(vec![Mark(2), Mark(1)], vec![end(0, 20)]);
        unsettled.push(vec![Mark(3), Mark(2)], vec![end(1, 9)]);

        assert_eq!(unsettled.settle(&[Mark(0), Mark(9)]), [], "the first sink has delivered nothing");
        assert_eq!(
            unsettled.settle(&[Mark(3), Mark(1)]),
            [end(0, 20), end(1, 5)],
            "the third waits for the second sink"
        );
        assert_eq!(unsettled.len(), 1);
        assert_eq!(unsettled.settle(&[Mark(3), Mark(2)]), [end(1, 9)]);
        assert!(unsettled.is_empty());
    }
}
