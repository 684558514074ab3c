//! From lists of nodes and weights, as file formats have them, to a [`Forest`].

use std::collections::HashMap;

use super::{Forest, Leaves, Node, Real, Root, Sets, flags};

/// How a split compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Equal,
    NotEqual,
    /// Is in the set whose number, by [`Real::of_index`], is the threshold.
    InSet,
    Leaf,
}

/// One node as a file has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawNode<T> {
    pub tree: i64,
    pub id: i64,
    pub mode: Mode,
    pub feature: i64,
    pub threshold: T,
    /// Where the comparison holds.
    pub yes: i64,
    /// Where it does not.
    pub no: i64,
    /// Whether NaN goes to `yes`.
    pub nan_yes: bool,
}

impl<T: Default> RawNode<T> {
    /// A node at which a walk ends.
    pub fn leaf(tree: i64, id: i64) -> RawNode<T> {
        RawNode {
            tree,
            id,
            mode: Mode::Leaf,
            feature: 0,
            threshold: T::default(),
            yes: 0,
            no: 0,
            nan_yes: false,
        }
    }
}

/// One weight of a leaf as a file has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawWeight<T> {
    pub tree: i64,
    pub node: i64,
    pub target: i64,
    pub weight: T,
}

/// Builds a forest. Trees are the runs of nodes with the same tree number; the first node of a
/// run is its root. A node may follow several others (converters write a test for membership in
/// a set as a chain of tests with one end), but no path may come back to itself.
pub(crate) fn forest<T: Real>(
    raw: &[RawNode<T>],
    weights: &[RawWeight<T>],
    targets: usize,
    sets: Sets,
) -> Result<Forest<T>, String> {
    if raw.is_empty() {
        return Err("there are no trees".into());
    }
    if raw.len() >= u32::MAX as usize || weights.len() >= u32::MAX as usize {
        return Err("there are too many nodes".into());
    }
    let mut index = HashMap::with_capacity(raw.len());
    for (i, node) in raw.iter().enumerate() {
        if index.insert((node.tree, node.id), i as u32).is_some() {
            return Err(format!(
                "node {} of tree {} stands twice",
                node.id, node.tree
            ));
        }
    }
    let children = linked(raw, &index)?;
    let by_leaf = weights_of(raw, weights, &index, targets)?;
    let heights = heights(raw, &children)?;

    let mut nodes = Vec::with_capacity(raw.len());
    let mut roots = Vec::new();
    let mut tree_places = Vec::new();
    let mut placed = vec![u32::MAX; raw.len()];
    // For each placed node the raw one it came from.
    let mut origin: Vec<u32> = Vec::with_capacity(raw.len());
    for start in 0..raw.len() {
        if start > 0 && raw[start].tree == raw[start - 1].tree {
            continue;
        }
        // By levels, so that the nodes that every row passes stand together.
        let first = origin.len();
        if placed[start] != u32::MAX {
            return Err(format!("tree {} begins inside itself", raw[start].tree));
        }
        placed[start] = first as u32;
        origin.push(start as u32);
        let mut next = first;
        while next < origin.len() {
            for child in children[origin[next] as usize].into_iter().flatten() {
                let place = &mut placed[child as usize];
                if *place == u32::MAX {
                    *place = origin.len() as u32;
                    origin.push(child);
                }
            }
            next += 1;
        }
        roots.push(Root {
            node: first as u32,
            depth: heights[start],
        });
        tree_places.push(first..origin.len());
    }
    for (place, &i) in origin.iter().enumerate() {
        nodes.push(node(
            &raw[i as usize],
            place,
            children[i as usize],
            &placed,
        )?);
    }
    let leaves = leaves(
        &mut nodes,
        &origin,
        &tree_places,
        &children,
        &by_leaf,
        targets,
    );
    Forest::new(nodes, roots, targets, leaves, sets)
}

/// The two nodes after each split.
fn linked<T>(
    raw: &[RawNode<T>],
    index: &HashMap<(i64, i64), u32>,
) -> Result<Vec<Option<[u32; 2]>>, String> {
    raw.iter()
        .map(|node| {
            if node.mode == Mode::Leaf {
                return Ok(None);
            }
            let find = |id: i64| {
                index.get(&(node.tree, id)).copied().ok_or_else(|| {
                    format!(
                        "node {id} after node {} of tree {} is missing",
                        node.id, node.tree
                    )
                })
            };
            Ok(Some([find(node.yes)?, find(node.no)?]))
        })
        .collect()
}

/// The weights of each node, in the file's order.
fn weights_of<T: Real>(
    raw: &[RawNode<T>],
    weights: &[RawWeight<T>],
    index: &HashMap<(i64, i64), u32>,
    targets: usize,
) -> Result<Vec<Vec<(u32, T)>>, String> {
    let mut by_leaf: Vec<Vec<(u32, T)>> = vec![Vec::new(); raw.len()];
    for w in weights {
        let leaf = *index.get(&(w.tree, w.node)).ok_or_else(|| {
            format!(
                "a weight belongs to node {} of tree {}, which is missing",
                w.node, w.tree
            )
        })?;
        let target = u32::try_from(w.target)
            .ok()
            .filter(|&t| (t as usize) < targets)
            .ok_or_else(|| format!("a weight belongs to target {} of {targets}", w.target))?;
        if raw[leaf as usize].mode == Mode::Leaf {
            by_leaf[leaf as usize].push((target, w.weight));
        }
    }
    Ok(by_leaf)
}

/// The most steps from each node to a leaf; refuses cycles. Walks with its own stack: a chain of
/// a million nodes must not end the process.
fn heights<T>(raw: &[RawNode<T>], children: &[Option<[u32; 2]>]) -> Result<Vec<u32>, String> {
    const NEW: u32 = u32::MAX;
    const OPEN: u32 = u32::MAX - 1;
    let mut heights = vec![NEW; raw.len()];
    let mut stack = Vec::new();
    for start in 0..raw.len() as u32 {
        if heights[start as usize] != NEW {
            continue;
        }
        stack.push(start);
        while let Some(&top) = stack.last() {
            let i = top as usize;
            let Some(pair) = children[i] else {
                heights[i] = 0;
                stack.pop();
                continue;
            };
            if heights[i] == NEW {
                heights[i] = OPEN;
                for child in pair {
                    match heights[child as usize] {
                        NEW => stack.push(child),
                        OPEN => {
                            return Err(format!("tree {} has a cycle", raw[i].tree));
                        }
                        _ => {}
                    }
                }
            } else {
                // Either both children are done, or this is a node that stood twice on the stack.
                if heights[i] == OPEN {
                    let of = |c: u32| heights[c as usize];
                    let (a, b) = (of(pair[0]), of(pair[1]));
                    if a >= OPEN || b >= OPEN {
                        return Err(format!("tree {} has a cycle", raw[i].tree));
                    }
                    heights[i] = a.max(b) + 1;
                }
                stack.pop();
            }
        }
    }
    Ok(heights)
}

/// The flat form of one node. All orders become `<=` or `<`: `>` is the opposite of `<=`, with
/// the branches exchanged and NaN, for which neither holds, sent where it went before.
fn node<T: Real>(
    raw: &RawNode<T>,
    place: usize,
    children: Option<[u32; 2]>,
    placed: &[u32],
) -> Result<Node<T>, String> {
    let Some([yes, no]) = children.map(|pair| pair.map(|c| placed[c as usize])) else {
        return Ok(Node {
            threshold: T::default(),
            feature: 0,
            next: [place as u32; 2],
        });
    };
    let feature = u32::try_from(raw.feature)
        .ok()
        .filter(|&f| f < flags::FEATURE)
        .ok_or_else(|| format!("{} is not a feature's number", raw.feature))?;
    let (mut kind, mut swap) = match raw.mode {
        Mode::LessOrEqual | Mode::Leaf => (0, false),
        Mode::Less => (flags::LESS, false),
        Mode::Greater => (0, true),
        Mode::GreaterOrEqual => (flags::LESS, true),
        Mode::Equal => (flags::EQUAL, false),
        Mode::NotEqual => (flags::EQUAL, true),
        Mode::InSet => (flags::SET, false),
    };
    if swap && raw.threshold.nan() {
        // Nothing compares with NaN: every order fails, and `!=` always holds.
        (kind, swap) = (0, raw.mode == Mode::NotEqual);
    }
    // Where NaN goes before the exchange: by flag to `yes`, and `NaN != x` holds by itself.
    let nan_yes = raw.nan_yes || raw.mode == Mode::NotEqual;
    let nan_holds = nan_yes != swap;
    Ok(Node {
        threshold: raw.threshold,
        feature: feature | kind | if nan_holds { flags::NAN_HOLDS } else { 0 },
        next: if swap { [no, yes] } else { [yes, no] },
    })
}

/// Finds the most compact form of the leaves' weights.
fn leaves<T: Real>(
    nodes: &mut [Node<T>],
    origin: &[u32],
    trees: &[std::ops::Range<usize>],
    children: &[Option<[u32; 2]>],
    by_leaf: &[Vec<(u32, T)>],
    targets: usize,
) -> Leaves<T> {
    let is_leaf = |place: usize| children[origin[place] as usize].is_none();
    let weights = |place: usize| &by_leaf[origin[place] as usize][..];
    // With one target only a leaf's first weight counts, and a leaf without any gives 0.
    let one_each: Option<Vec<u32>> = trees
        .iter()
        .map(|places| {
            let mut target = None;
            for place in places.clone().filter(|&p| is_leaf(p)) {
                let own = match weights(place) {
                    [] | [_, ..] if targets == 1 => 0,
                    [(own, _)] => *own,
                    _ => return None,
                };
                if *target.get_or_insert(own) != own {
                    return None;
                }
            }
            target
        })
        .collect();
    if let Some(list) = one_each {
        for (place, node) in nodes.iter_mut().enumerate() {
            if is_leaf(place) {
                node.threshold = weights(place).first().map_or_else(T::default, |w| w.1);
            }
        }
        return Leaves::OnePerTree(list);
    }
    let dense = (0..nodes.len()).filter(|&p| is_leaf(p)).all(|p| {
        let own = weights(p);
        own.len() == targets && own.iter().enumerate().all(|(i, w)| w.0 as usize == i)
    });
    let mut payload = vec![0u32; nodes.len()];
    if dense {
        let mut matrix = Vec::new();
        for place in (0..nodes.len()).filter(|&p| is_leaf(p)) {
            payload[place] = (matrix.len() / targets) as u32;
            matrix.extend(weights(place).iter().map(|w| w.1));
        }
        return Leaves::Dense {
            payload,
            weights: matrix,
        };
    }
    let mut starts = vec![0u32];
    let mut pairs = Vec::new();
    for place in (0..nodes.len()).filter(|&p| is_leaf(p)) {
        payload[place] = (starts.len() - 1) as u32;
        pairs.extend_from_slice(weights(place));
        starts.push(pairs.len() as u32);
    }
    Leaves::Sparse {
        payload,
        starts,
        pairs,
    }
}
