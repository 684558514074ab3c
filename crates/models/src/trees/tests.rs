//! The kernel against a plain walk over the nodes as the file has them.

use proptest::prelude::*;

use super::build::{Mode, RawNode, RawWeight, forest};
use super::kernel::Buffers;
use super::select::Build;
use super::{Aggregate, Comparison, Forest, Leaves, Sets};

/// Values that meet the thresholds often, and everything a float can be otherwise.
const VALUES: [f32; 9] = [
    -1.0,
    -0.0,
    0.0,
    0.5,
    1.0,
    2.5,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
];

const MODES: [Mode; 6] = [
    Mode::LessOrEqual,
    Mode::Less,
    Mode::GreaterOrEqual,
    Mode::Greater,
    Mode::Equal,
    Mode::NotEqual,
];

#[derive(Debug, Clone)]
struct Case {
    nodes: Vec<RawNode<f32>>,
    weights: Vec<RawWeight<f32>>,
    targets: usize,
    rows: Vec<f32>,
    width: usize,
}

/// Trees of random shape: each choice either splits the open place further or makes it a leaf.
fn case() -> impl Strategy<Value = Case> {
    let width = 3usize;
    let choices = prop::collection::vec(
        (
            0usize..100,
            0usize..6,
            0usize..width,
            0usize..9,
            any::<bool>(),
        ),
        1..120,
    );
    let trees = prop::collection::vec((choices, any::<bool>()), 1..12);
    let rows = prop::collection::vec(prop::collection::vec(0usize..9, width), 0..90);
    (trees, rows, 1usize..4, 0usize..4, -8i32..8).prop_map(
        move |(trees, rows, targets, style, seed)| {
            let mut nodes = Vec::new();
            let mut weights = Vec::new();
            for (t, (choices, shallow)) in trees.into_iter().enumerate() {
                let tree = t as i64;
                // (id, depth) of places that are not decided yet.
                let mut open = vec![(0i64, 0u32)];
                let mut next_id = 1;
                let mut made = Vec::new();
                for (kind, mode, feature, threshold, nan_yes) in choices {
                    let Some((id, depth)) = open.pop() else { break };
                    let limit = if shallow { 2 } else { 12 };
                    if kind < 65 && depth < limit {
                        // In some forests all splits compare alike, which other code runs.
                        let mode = if style < 2 { MODES[style] } else { MODES[mode] };
                        made.push(RawNode {
                            tree,
                            id,
                            mode,
                            feature: feature as i64,
                            threshold: VALUES[threshold],
                            yes: next_id,
                            no: next_id + 1,
                            nan_yes: nan_yes && style != 1,
                        });
                        open.push((next_id + 1, depth + 1));
                        open.push((next_id, depth + 1));
                        next_id += 2;
                    } else {
                        open.insert(0, (id, u32::MAX));
                    }
                }
                for (id, _) in open {
                    made.push(RawNode::leaf(tree, id));
                    let weight = |k: i64| (id * 7 + k * 3 + tree) as f32 * 0.125 - seed as f32;
                    let mut give = |target: i64, k: i64| {
                        weights.push(RawWeight {
                            tree,
                            node: id,
                            target,
                            weight: weight(k),
                        });
                    };
                    match seed.rem_euclid(3) {
                        0 => give(tree % targets as i64, 0),
                        1 => (0..targets as i64).for_each(|k| give(k, k)),
                        _ => (0..id % 3).for_each(|k| give((k + id) % targets as i64, k)),
                    }
                }
                made.sort_by_key(|n| n.id);
                nodes.extend(made);
            }
            Case {
                nodes,
                weights,
                targets,
                rows: rows.into_iter().flatten().map(|i| VALUES[i]).collect(),
                width,
            }
        },
    )
}

/// The specification, node by node.
fn walk<'n>(nodes: &'n [RawNode<f32>], tree: i64, row: &[f32]) -> &'n RawNode<f32> {
    let find = |id: i64| nodes.iter().find(|n| n.tree == tree && n.id == id).unwrap();
    let mut node = find(0);
    loop {
        let (x, t) = (row[node.feature as usize], node.threshold);
        let holds = match node.mode {
            Mode::Leaf => return node,
            Mode::LessOrEqual => x <= t,
            Mode::Less => x < t,
            Mode::GreaterOrEqual => x >= t,
            Mode::Greater => x > t,
            Mode::Equal => x == t,
            Mode::NotEqual => x != t,
            Mode::InSet => false,
        };
        let yes = holds || (x.is_nan() && node.nan_yes);
        node = find(if yes { node.yes } else { node.no });
    }
}

fn plain(case: &Case, aggregate: Aggregate) -> (Vec<f32>, Vec<bool>) {
    let trees = case.nodes.iter().map(|n| n.tree).max().unwrap() + 1;
    let mut scores = Vec::new();
    let mut has = Vec::new();
    for row in case.rows.chunks(case.width) {
        let mut score = vec![0f32; case.targets];
        let mut seen = vec![false; case.targets];
        for tree in 0..trees {
            let leaf = walk(&case.nodes, tree, row);
            let mut own: Vec<_> = case
                .weights
                .iter()
                .filter(|w| w.tree == tree && w.node == leaf.id)
                .map(|w| (w.target as usize, w.weight))
                .collect();
            if case.targets == 1 {
                own.truncate(1);
                if own.is_empty() {
                    own.push((0, 0.0));
                }
            }
            for (target, weight) in own {
                let s = &mut score[target];
                *s = match aggregate {
                    Aggregate::Sum => *s + weight,
                    Aggregate::Min if seen[target] => s.min(weight),
                    Aggregate::Max if seen[target] => s.max(weight),
                    _ => weight,
                };
                seen[target] = true;
            }
        }
        scores.extend(score);
        has.extend(seen);
    }
    (scores, has)
}

fn kernel(forest: &Forest<f32>, case: &Case, aggregate: Aggregate) -> (Vec<f32>, Vec<bool>) {
    let mut buffers = Buffers::default();
    let (mut scores, mut has) = (Vec::new(), Vec::new());
    forest
        .score(&case.rows, case.width, aggregate, &mut buffers, |block| {
            assert_eq!(block.first * case.targets, scores.len());
            scores.extend_from_slice(block.scores);
            has.extend_from_slice(block.has);
            Ok::<(), ()>(())
        })
        .unwrap();
    (scores, has)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn the_kernel_walks_as_the_specification_says(case in case()) {
        let forest = forest(&case.nodes, &case.weights, case.targets, Sets::default()).unwrap();
        for aggregate in [Aggregate::Sum, Aggregate::Min, Aggregate::Max] {
            let (scores, has) = plain(&case, aggregate);
            // Bit for bit: the order of the additions is part of the contract.
            let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            for build in Build::all() {
                let forest = forest.clone().with_build(build);
                let (ours, own) = kernel(&forest, &case, aggregate);
                prop_assert_eq!(&own, &has);
                prop_assert_eq!(bits(&ours), bits(&scores));
            }
            // Each row alone takes the path of a single row.
            for (i, row) in case.rows.chunks(case.width).enumerate() {
                let one = Case { rows: row.to_vec(), ..case.clone() };
                let (alone, _) = kernel(&forest, &one, aggregate);
                let range = i * case.targets..(i + 1) * case.targets;
                prop_assert_eq!(bits(&alone), bits(&scores[range]));
            }
        }
    }

    #[test]
    fn doubles_walk_like_floats(case in case()) {
        let narrow = forest(&case.nodes, &case.weights, case.targets, Sets::default()).unwrap();
        let wide = narrow.widened();
        let rows: Vec<f64> = case.rows.iter().map(|&v| f64::from(v)).collect();
        for build in Build::all() {
            // The weights are eighths, whose sums are exact in both.
            for aggregate in [Aggregate::Max, Aggregate::Sum] {
                let wide = wide.clone().with_build(build);
                let mut buffers = Buffers::default();
                let mut scores = Vec::new();
                wide.score(&rows, case.width, aggregate, &mut buffers, |block| {
                    scores.extend(block.scores.iter().map(|&v| v as f32));
                    Ok::<(), ()>(())
                }).unwrap();
                prop_assert_eq!(&scores, &kernel(&narrow, &case, aggregate).0);
            }
        }
    }
}

fn split(id: i64, yes: i64, no: i64) -> RawNode<f32> {
    RawNode {
        tree: 0,
        id,
        mode: Mode::LessOrEqual,
        feature: 0,
        threshold: 0.0,
        yes,
        no,
        nan_yes: false,
    }
}

fn leaf(id: i64) -> RawNode<f32> {
    RawNode {
        mode: Mode::Leaf,
        ..split(id, 0, 0)
    }
}

fn weight(node: i64, weight: f32) -> RawWeight<f32> {
    RawWeight {
        tree: 0,
        node,
        target: 0,
        weight,
    }
}

#[test]
fn broken_trees_are_refused() {
    let cycle = [split(0, 1, 2), split(1, 0, 2), leaf(2)];
    assert!(
        forest(&cycle, &[], 1, Sets::default())
            .unwrap_err()
            .contains("cycle")
    );
    let itself = [split(0, 0, 1), leaf(1)];
    assert!(
        forest(&itself, &[], 1, Sets::default())
            .unwrap_err()
            .contains("cycle")
    );
    let missing = [split(0, 1, 7), leaf(1)];
    assert!(
        forest(&missing, &[], 1, Sets::default())
            .unwrap_err()
            .contains("missing")
    );
    let twice = [split(0, 1, 1), leaf(1), leaf(1)];
    assert!(
        forest(&twice, &[], 1, Sets::default())
            .unwrap_err()
            .contains("twice")
    );
    assert!(forest(&[leaf(0)], &[weight(3, 1.0)], 1, Sets::default()).is_err());
    let target = RawWeight {
        target: 1,
        ..weight(0, 1.0)
    };
    assert!(forest(&[leaf(0)], &[target], 1, Sets::default()).is_err());
    let feature = RawNode {
        feature: -1,
        ..split(0, 1, 2)
    };
    assert!(forest(&[feature, leaf(1), leaf(2)], &[], 1, Sets::default()).is_err());
    assert!(forest::<f32>(&[], &[], 1, Sets::default()).is_err());
}

#[test]
fn branches_may_meet() {
    // A test for membership in {1, 2} as converters write it: a chain with one end.
    let equal = |id, threshold, yes, no| RawNode {
        mode: Mode::Equal,
        threshold,
        ..split(id, yes, no)
    };
    let nodes = [equal(0, 1.0, 2, 1), equal(1, 2.0, 2, 3), leaf(2), leaf(3)];
    let built = forest(
        &nodes,
        &[weight(2, 10.0), weight(3, 20.0)],
        1,
        Sets::default(),
    )
    .unwrap();
    assert_eq!(built.comparison, Comparison::Mixed);
    let case = Case {
        nodes: nodes.to_vec(),
        weights: Vec::new(),
        targets: 1,
        rows: vec![1.0, 2.0, 3.0],
        width: 1,
    };
    assert_eq!(kernel(&built, &case, Aggregate::Sum).0, [10.0, 10.0, 20.0]);
}

#[test]
fn a_long_chain_does_not_end_the_process() {
    let n = 200_000;
    let mut nodes: Vec<_> = (0..n).map(|i| split(i, i + 1, n)).collect();
    nodes.push(leaf(n));
    let built = forest(&nodes, &[weight(n, 3.0)], 1, Sets::default()).unwrap();
    assert!(matches!(&built.leaves, Leaves::OnePerTree(_)));
    let case = Case {
        nodes: Vec::new(),
        weights: Vec::new(),
        targets: 1,
        rows: vec![-1.0, 1.0],
        width: 1,
    };
    assert_eq!(kernel(&built, &case, Aggregate::Sum).0, [3.0, 3.0]);
}
