//! The forest against a search over the whole graph of links.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Every link that was made, in order.
#[derive(Default)]
struct Graph(Vec<(u32, u32, i32)>);

impl Graph {
    /// All nodes that a chain of links of at least this weight joins with a node.
    fn component(&self, of: u32, threshold: i32) -> BTreeSet<u32> {
        let mut found = BTreeSet::from([of]);
        let mut open = vec![of];
        while let Some(node) = open.pop() {
            for (a, b, weight) in &self.0 {
                for (from, to) in [(*a, *b), (*b, *a)] {
                    if from == node && *weight >= threshold && found.insert(to) {
                        open.push(to);
                    }
                }
            }
        }
        found
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Link { a: usize, b: usize, back: i32 },
    Pass,
    Sweep,
}

fn step(nodes: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..nodes, 0..nodes, 0..5).prop_map(|(a, b, back)| Step::Link { a, b, back }),
        1 => Just(Step::Pass),
        1 => Just(Step::Sweep),
    ]
}

fn check(keys: &[u64], steps: &[Step]) {
    let mut forest = Forest::new(true);
    let mut graph = Graph::default();
    let nodes: Vec<u32> = keys.iter().map(|key| forest.insert(KeyHash { low: *key, high: 0 })).collect();
    // Every third node is a value.
    nodes.iter().for_each(|node| forest.node_mut(*node).is_account = node % 3 != 0);
    let mut now = 100;
    for step in steps {
        match *step {
            Step::Link { a, b, back } => {
                let (a, b, weight) = (nodes[a], nodes[b], now - back);
                forest.link(a, b, weight);
                if weight >= forest.floor() {
                    graph.0.push((a, b, weight));
                }
            }
            Step::Pass => {
                now += 1;
                forest.raise_floor(now - 3);
            }
            Step::Sweep => nodes.iter().for_each(|node| forest.trim(*node)),
        }
        let spilled: usize = nodes
            .iter()
            .map(|node| forest.node(*node).shares.spilled_bytes() + forest.node(*node).sightings.spilled_bytes())
            .sum();
        assert_eq!(forest.spilled, spilled);
        for threshold in forest.floor().max(now - 4)..=now + 1 {
            for node in &nodes {
                let wanted = graph.component(*node, threshold);
                let top = forest.top(*node, threshold);
                assert!(wanted.contains(&top));
                assert!(wanted.iter().all(|other| forest.top(*other, threshold) == top), "one top for all of them");
                let accounts: Vec<u64> =
                    wanted.iter().filter(|node| **node % 3 != 0).map(|node| u64::from(*node)).collect();
                assert_eq!(forest.accounts(top, threshold) as usize, accounts.len());
                let mut members = Vec::new();
                forest.members(top, threshold, 1000, &mut members);
                members.sort_unstable();
                assert_eq!(members, accounts);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn is_the_graph_of_all_links(
        keys in prop::collection::btree_set(any::<u64>(), 12),
        steps in prop::collection::vec(step(12), 0..60),
        turn in 0usize..12,
    ) {
        let mut keys: Vec<u64> = keys.into_iter().collect();
        // Ranks in no order of the nodes.
        keys.rotate_left(turn);
        keys.swap(0, 7);
        keys.swap(3, 10);
        check(&keys, &steps);
    }
}

/// Keys as hashes are.
fn key(number: u64) -> KeyHash {
    KeyHash { low: number.wrapping_mul(0x9e37_79b9_7f4a_7c15), high: number }
}

fn depth(forest: &Forest, mut node: u32) -> usize {
    let mut steps = 0;
    while forest.edge(node).1 >= forest.floor() {
        node = forest.edge(node).0;
        steps += 1;
    }
    steps
}

/// A chain whose links every generation makes anew, in an order that takes steps of a stride.
fn check_depth(stride: usize) {
    const NODES: usize = 20_000;
    let mut forest = Forest::new(false);
    let nodes: Vec<u32> = (0..NODES as u64).map(|number| forest.insert(key(number))).collect();
    nodes.iter().for_each(|node| forest.node_mut(*node).is_account = true);
    for generation in 0..6 {
        forest.raise_floor(generation - 3);
        for at in (0..NODES).map(|at| at * stride % NODES).filter(|at| at + 1 < NODES) {
            forest.link(nodes[at], nodes[at + 1], generation);
        }
        for threshold in forest.floor().max(0)..=generation {
            let top = forest.top(nodes[17], threshold);
            assert_eq!(forest.accounts(top, threshold) as usize, NODES);
        }
        let deepest = nodes.iter().map(|node| depth(&forest, *node)).max();
        assert!(deepest < Some(60), "{deepest:?}, {stride}");
    }
}

#[test]
fn paths_stay_short_in_whichever_order_links_are_made() {
    [1, 7, 7919, 19_999].into_iter().for_each(check_depth);
}

#[test]
fn an_edge_of_the_past_leads_nowhere() {
    let mut forest = Forest::new(true);
    let [a, b] = [key(1), key(2)].map(|key| forest.insert(key));
    [a, b].iter().for_each(|node| forest.node_mut(*node).is_account = true);
    forest.link(a, b, 1);
    forest.raise_floor(2);
    forest.remove(b);
    // Others in the freed place.
    let [c, d] = [key(3), key(4)].map(|key| forest.insert(key));
    [c, d].iter().for_each(|node| forest.node_mut(*node).is_account = true);
    forest.link(c, d, 5);
    forest.link(a, c, 4);
    let mut accounts = |node, threshold| {
        let top = forest.top(node, threshold);
        forest.accounts(top, threshold)
    };
    assert_eq!([(a, 2), (c, 4), (d, 5), (a, 5)].map(|(node, threshold)| accounts(node, threshold)), [3, 3, 2, 1]);
}
