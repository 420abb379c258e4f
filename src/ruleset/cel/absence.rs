//! Whether a condition concludes from absence: whether it can hold because nothing is known yet, or nothing was said.
//!
//! While state is young nothing is known of anybody, and a rule such as `logins == 0` takes everybody for new. And two texts
//! that are both absent are equal. Found in the checked tree, macros expanded, so that it does not matter how it is written.

use std::sync::Arc;

use super::function::{Function, Operator};
use super::guards::{Guards, Passed, TextOf, constant_last, holds_for};
use super::node::{Node, NodeKind, Quantity, Question};
use super::value::Value;
use super::{ReadIndex, Type};

/// What a condition takes for absent.
#[derive(Clone, Debug, Default)]
pub struct Absence {
    /// What is read in a way that youth of the state misleads.
    pub conclusions: Vec<Conclusion>,
    /// Pairs of texts that count as equal where neither is there.
    pub unsaid: Vec<Unsaid>,
    /// What holds where the condition does not.
    pub otherwise: Guards,
}

/// One thing that makes a condition hold because something is not known.
#[derive(Clone, Debug)]
pub struct Conclusion {
    /// How.
    pub sign: Sign,
    /// From what.
    pub read: ReadIndex,
    /// What the same conjunction is certain of.
    pub held: Arc<Guards>,
}

/// How a reading makes a condition hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It is not known.
    Unknown,
    /// It is a small number, or a small set, as where nothing was counted.
    Few,
    /// It is 1, as where nothing but this event was counted.
    One,
    /// It is a claim that is true.
    Claim,
    /// It is young: at most so old.
    Young {
        /// How old, in milliseconds.
        span_ms: i64,
    },
}

/// Two texts that are compared, and equal where both are absent.
#[derive(Clone, Debug)]
pub struct Unsaid {
    /// The texts.
    pub texts: [TextOf; 2],
    /// Whether they are compared by `similarity`, and not by `==`.
    pub alike: bool,
    /// What the same conjunction is certain of.
    pub held: Arc<Guards>,
}

impl Unsaid {
    /// Whether one of the texts is certainly there, where these hold too.
    pub fn is_said(&self, others: &Guards) -> bool {
        let present = |text: &TextOf| {
            let origin = text.origin();
            [text, &origin].into_iter().any(|text| self.held.present.contains(text) || others.present.contains(text))
        };
        self.texts.iter().any(present)
    }
}

impl Absence {
    /// Looks through a checked condition.
    pub(super) fn of(node: &Node) -> Absence {
        let mut absence = Absence { otherwise: Guards::of(node, false).unwrap_or_default(), ..Absence::default() };
        absence.look(node, true, &Arc::default());
        absence
    }

    /// `wanted`: the value of the node with which the whole condition can hold; `held`: what is certain then.
    fn look(&mut self, node: &Node, wanted: bool, held: &Arc<Guards>) {
        match &node.kind {
            NodeKind::Not(of) => self.look(of, !wanted, held),
            NodeKind::And(terms) | NodeKind::Or(terms) => {
                let together = matches!(node.kind, NodeKind::And(_)) == wanted;
                let Some(held) = (if together { with(held, node, wanted) } else { Some(Arc::clone(held)) }) else {
                    return;
                };
                terms.iter().for_each(|term| self.look(term, wanted, &held));
            }
            NodeKind::Choice(parts) => self.look_at_ways(parts, wanted, held),
            NodeKind::Ask(Question::Known, read) if !wanted => self.conclude(Sign::Unknown, [*read], held),
            NodeKind::Read(read) if node.ty == Type::Bool && wanted => self.conclude(Sign::Claim, [*read], held),
            NodeKind::Hashed(Operator::In, _, set) if !wanted => self.conclude(Sign::Few, counted(set), held),
            // Of an empty set nothing exists, and everything holds.
            NodeKind::Comprehension(of) => {
                let holds = match of.quantity {
                    Quantity::All => Some(true),
                    Quantity::Exists | Quantity::ExistsOne => Some(false),
                    Quantity::Collect => None,
                };
                if holds == Some(wanted) {
                    self.conclude(Sign::Few, counted(&of.range), held);
                }
            }
            NodeKind::Operator(operator, sides) => {
                if let [left, right] = sides.as_slice() {
                    self.look_at_comparison(*operator, [left, right], wanted, held);
                }
            }
            _ => {}
        }
    }

    fn look_at_ways(&mut self, parts: &[Node; 3], wanted: bool, held: &Arc<Guards>) {
        let [condition, yes, no] = parts;
        // A side that is the other value says that the condition decides.
        let taken = !is_bool(yes, !wanted);
        let way = |taken, side: &Node| with(held, condition, taken).and_then(|held| with(&held, side, wanted));
        let (if_yes, if_no) = (way(true, yes), way(false, no));
        if let Some(held) = if taken { &if_yes } else { &if_no } {
            self.look(condition, taken, held);
        }
        for (side, held) in [(yes, if_yes), (no, if_no)] {
            if let Some(held) = held {
                self.look(side, wanted, &held);
            }
        }
    }

    fn look_at_comparison(&mut self, operator: Operator, [left, right]: [&Node; 2], wanted: bool, held: &Arc<Guards>) {
        if left.ty == Type::Bool && right.ty == Type::Bool {
            let same = (operator == Operator::Equal) == wanted;
            match (left, right) {
                (side, other) | (other, side) if is_bool(other, true) => return self.look(side, same, held),
                (side, other) | (other, side) if is_bool(other, false) => return self.look(side, !same, held),
                _ => return,
            }
        }
        if let Some(passed) = Passed::of(operator, left, right, wanted) {
            if passed.little {
                self.conclude(Sign::Young { span_ms: passed.span_ms }, [passed.read], held);
            }
            return;
        }
        let (of, to, operator) = constant_last(operator, left, right);
        let operator = if wanted { operator } else { opposite(operator) };
        match (TextOf::of(of), TextOf::of(to)) {
            (Some(a), Some(b)) if operator == Operator::Equal && a != b => self.compare([a, b], false, held),
            _ => {}
        }
        if to.constant().is_none() {
            return;
        }
        if let NodeKind::Function(Function::Similarity, texts) = &of.kind
            && let [Some(a), Some(b)] = [&texts[0], &texts[1]].map(TextOf::of)
            && holds_for(1, operator, to) == Some(true)
            && operator != Operator::NotEqual
        {
            self.compare([a, b], true, held);
        }
        let least = matches!(operator, Operator::Equal | Operator::Less | Operator::LessOrEqual);
        if least && holds_for(0, operator, to) == Some(true) {
            self.conclude(Sign::Few, counted(of), held);
        } else if operator == Operator::Equal && to.constant() == Some(&Value::Int(1)) {
            self.conclude(Sign::One, counted(of), held);
        }
    }

    fn conclude(&mut self, sign: Sign, reads: impl IntoIterator<Item = ReadIndex>, held: &Arc<Guards>) {
        let of = |read| Conclusion { sign, read, held: Arc::clone(held) };
        self.conclusions.extend(reads.into_iter().map(of));
    }

    fn compare(&mut self, texts: [TextOf; 2], alike: bool, held: &Arc<Guards>) {
        self.unsaid.push(Unsaid { texts, alike, held: Arc::clone(held) });
    }
}

/// What is certain where the node has this value too; `None` if it never has.
fn with(held: &Arc<Guards>, node: &Node, wanted: bool) -> Option<Arc<Guards>> {
    Some(Arc::new(Guards::of(node, wanted)?.and(held)))
}

/// The reads whose number a node is.
pub(super) fn counted(node: &Node) -> Vec<ReadIndex> {
    match &node.kind {
        NodeKind::Read(read) => vec![*read],
        NodeKind::Function(Function::Size | Function::Overlap | Function::Double | Function::Int, of) => {
            of.iter().flat_map(counted).collect()
        }
        NodeKind::Operator(Operator::Add | Operator::Subtract | Operator::Multiply, of) => {
            of.iter().flat_map(counted).collect()
        }
        // The share of what two features counted is not small while both are young.
        NodeKind::Function(Function::Ratio, of) if of.last().is_some_and(|by| by.constant().is_some()) => {
            of.first().map(counted).unwrap_or_default()
        }
        // By 0 there is no quotient of whole numbers.
        NodeKind::Operator(Operator::Divide, of) => of.first().map(counted).unwrap_or_default(),
        NodeKind::Comprehension(of) if of.quantity == Quantity::Collect => counted(&of.range),
        _ => Vec::new(),
    }
}

pub(super) fn is_bool(node: &Node, value: bool) -> bool {
    node.constant() == Some(&Value::Bool(value))
}

pub(super) fn opposite(operator: Operator) -> Operator {
    match operator {
        Operator::Equal => Operator::NotEqual,
        Operator::NotEqual => Operator::Equal,
        Operator::Less => Operator::GreaterOrEqual,
        Operator::LessOrEqual => Operator::Greater,
        Operator::Greater => Operator::LessOrEqual,
        Operator::GreaterOrEqual => Operator::Less,
        other => other,
    }
}
