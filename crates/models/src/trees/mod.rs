//! Tree ensembles: what they are, and their evaluation.
//!
//! [`Forest`] is the flat form that the kernel walks; [`build`] makes it from lists of nodes as the
//! file formats have them.

pub(crate) mod build;
pub(crate) mod kernel;
mod select;
#[cfg(test)]
mod tests;

use select::{Build, Selection};

/// A floating-point type that thresholds and features can have.
pub(crate) trait Real:
    Copy + Default + PartialOrd + Send + Sync + std::fmt::Debug + std::ops::AddAssign + 'static
{
    /// Widens or narrows from f64.
    fn of(v: f64) -> Self;
    /// Widens to f64.
    fn wide(self) -> f64;
    /// Whether this is NaN.
    fn nan(self) -> bool;
    /// A number that stands where a threshold would.
    fn of_index(index: u32) -> Self;
    /// That number back.
    fn index(self) -> u32;
    /// The whole number below, where this is one that a set may have: not negative, not NaN, and
    /// less than 2^24 in single precision, which knows no more whole numbers apart, or 2^31.
    fn code(self) -> Option<u32>;
}

impl Real for f32 {
    fn of(v: f64) -> f32 {
        v as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
    fn nan(self) -> bool {
        self.is_nan()
    }
    fn of_index(index: u32) -> f32 {
        f32::from_bits(index)
    }
    fn index(self) -> u32 {
        self.to_bits()
    }
    fn code(self) -> Option<u32> {
        (0.0..16_777_216.0).contains(&self).then_some(self as u32)
    }
}

impl Real for f64 {
    fn of(v: f64) -> f64 {
        v
    }
    fn wide(self) -> f64 {
        self
    }
    fn nan(self) -> bool {
        self.is_nan()
    }
    fn of_index(index: u32) -> f64 {
        f64::from_bits(u64::from(index))
    }
    fn index(self) -> u32 {
        self.to_bits() as u32
    }
    fn code(self) -> Option<u32> {
        (0.0..2_147_483_648.0)
            .contains(&self)
            .then_some(self as u32)
    }
}

/// Sets of whole numbers, each as bits: what a categorical split asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sets {
    /// Where each set's words end; they begin where the one before ends.
    ends: Vec<u32>,
    words: Vec<u32>,
}

impl Sets {
    /// Adds a set as words of 32 bits, the lowest number in the lowest bit of the first; answers its
    /// number. `None` where they come to more than 64 MiB: a code of a few digits makes a set of
    /// megabytes, and a small file of many such codes must not fill the memory.
    pub fn push(&mut self, words: &[u32]) -> Option<u32> {
        let end = self.words.len().checked_add(words.len())?;
        let end = u32::try_from(end).ok().filter(|&end| end <= 1 << 24)?;
        let index = u32::try_from(self.ends.len()).ok()?;
        self.words.extend_from_slice(words);
        self.ends.push(end);
        Some(index)
    }

    /// The number of sets.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether a set, whose number must be less than [`Sets::len`], has a code.
    pub fn has(&self, set: u32, code: u32) -> bool {
        let set = set as usize;
        let start = if set == 0 { 0 } else { self.ends[set - 1] };
        let words = &self.words[start as usize..self.ends[set] as usize];
        words
            .get(code as usize / 32)
            .is_some_and(|word| word >> (code % 32) & 1 == 1)
    }
}

/// One node.
///
/// A split compares `row[feature]` with `threshold` and goes to `next[0]` where the comparison
/// holds, to `next[1]` otherwise. A leaf goes to itself on both sides, so that walking on from a
/// leaf changes nothing and a block of rows can take the same number of steps; where each tree
/// gives one weight its `threshold` is that weight.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub(crate) struct Node<T> {
    /// Threshold of a split, weight of a leaf.
    pub threshold: T,
    /// The feature's number, and [`flags`] above it.
    pub feature: u32,
    /// The nodes that follow.
    pub next: [u32; 2],
}

/// What stands above the feature's number in [`Node::feature`].
pub(crate) mod flags {
    /// The comparison holds for NaN.
    pub const NAN_HOLDS: u32 = 1 << 31;
    /// The comparison is `<` instead of `<=`.
    pub const LESS: u32 = 1 << 30;
    /// The comparison is `==`.
    pub const EQUAL: u32 = 1 << 29;
    /// The comparison is "is in the set", whose number stands where the threshold would.
    pub const SET: u32 = 1 << 28;
    /// The bits of the feature's number.
    pub const FEATURE: u32 = SET - 1;
}

/// How the splits of a whole forest compare, which picks the kernel's inner loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// All `<=`, NaN never holds.
    LessOrEqual,
    /// All `<`, NaN never holds.
    Less,
    /// All `<=`, NaN holds where the flag says so.
    LessOrEqualNan,
    /// All `<`, NaN holds where the flag says so.
    LessNan,
    /// The flags of each node say how.
    Mixed,
    /// The flags of each node say how, and some ask for sets.
    Sets,
}

/// Where one tree begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Root {
    /// The first node.
    pub node: u32,
    /// The most steps from there to a leaf.
    pub depth: u32,
}

/// What the leaves add to which target.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Leaves<T> {
    /// Every leaf of tree `i` has one weight, its node's `threshold`, for the target `targets[i]`.
    OnePerTree(Vec<u32>),
    /// Every leaf has one weight for each target: row `payload[node]` of a matrix.
    Dense { payload: Vec<u32>, weights: Vec<T> },
    /// Anything else: leaf `payload[node]` has the pairs `starts[..]..starts[.. + 1]`.
    Sparse {
        payload: Vec<u32>,
        starts: Vec<u32>,
        pairs: Vec<(u32, T)>,
    },
}

/// How the trees' weights come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregate {
    /// The sum, in the order of the trees.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

/// An ensemble, ready to be walked.
///
/// Holds always, which the kernel relies on: every number in `next` and in `roots` is less than
/// `nodes.len()`, and every feature's number is less than `features`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Forest<T> {
    nodes: Vec<Node<T>>,
    roots: Vec<Root>,
    comparison: Comparison,
    features: usize,
    targets: usize,
    leaves: Leaves<T>,
    sets: Sets,
    selection: Option<Selection<T>>,
}

impl<T: Real> Forest<T> {
    /// Puts a forest together and checks what the kernel relies on.
    pub fn new(
        nodes: Vec<Node<T>>,
        roots: Vec<Root>,
        targets: usize,
        leaves: Leaves<T>,
        sets: Sets,
    ) -> Result<Forest<T>, String> {
        let count = nodes.len();
        let mut features = 1;
        for node in &nodes {
            if node.next.iter().any(|&n| n as usize >= count) {
                return Err("a node's number is out of range".into());
            }
            features = features.max((node.feature & flags::FEATURE) as usize + 1);
            if node.feature & flags::SET != 0 && node.threshold.index() as usize >= sets.len() {
                return Err("a set's number is out of range".into());
            }
        }
        if roots.iter().any(|r| r.node as usize >= count) {
            return Err("a root's number is out of range".into());
        }
        let fits = match &leaves {
            Leaves::OnePerTree(list) => {
                list.len() == roots.len() && list.iter().all(|&t| (t as usize) < targets)
            }
            Leaves::Dense { payload, weights } => {
                payload.len() == count
                    && payload
                        .iter()
                        .all(|&p| (p as usize + 1).saturating_mul(targets) <= weights.len())
            }
            Leaves::Sparse {
                payload,
                starts,
                pairs,
            } => {
                payload.len() == count
                    && payload.iter().all(|&p| (p as usize + 1) < starts.len())
                    && starts.is_sorted()
                    && starts.last().is_none_or(|&s| s as usize <= pairs.len())
                    && pairs.iter().all(|&(t, _)| (t as usize) < targets)
            }
        };
        if !fits {
            return Err("the leaves' weights do not fit the trees".into());
        }
        let comparison = comparison(&nodes);
        Ok(Forest {
            selection: Selection::new(Build::best(), &nodes, &roots, &leaves, comparison),
            nodes,
            roots,
            comparison,
            features,
            targets,
            leaves,
            sets,
        })
    }

    /// How many columns a row must have at least.
    pub fn features(&self) -> usize {
        self.features
    }

    /// The number of targets or classes.
    pub fn targets(&self) -> usize {
        self.targets
    }

    /// The number of trees.
    pub fn trees(&self) -> usize {
        self.roots.len()
    }

    /// Whether some split sends NaN along its first branch: the model was trained with gaps.
    pub fn handles_missing(&self) -> bool {
        self.nodes
            .iter()
            .any(|n| n.next[0] != n.next[1] && n.feature & flags::NAN_HOLDS != 0)
    }

    /// Takes another build of the kernel.
    #[cfg(test)]
    pub fn with_build(mut self, build: select::Build) -> Forest<T> {
        let (nodes, leaves) = (&self.nodes, &self.leaves);
        self.selection = Selection::new(build, nodes, &self.roots, leaves, self.comparison);
        self
    }

    /// The same forest in double precision: thresholds and weights widen exactly.
    pub fn widened(&self) -> Forest<f64> {
        let mut wide = self.widened_trees();
        let (nodes, leaves) = (&wide.nodes, &wide.leaves);
        let build = Build::best();
        wide.selection = Selection::new(build, nodes, &wide.roots, leaves, wide.comparison);
        wide
    }

    fn widened_trees(&self) -> Forest<f64> {
        Forest {
            selection: None,
            nodes: self
                .nodes
                .iter()
                .map(|n| Node {
                    threshold: if n.feature & flags::SET != 0 {
                        f64::of_index(n.threshold.index())
                    } else {
                        n.threshold.wide()
                    },
                    feature: n.feature,
                    next: n.next,
                })
                .collect(),
            roots: self.roots.clone(),
            comparison: self.comparison,
            features: self.features,
            targets: self.targets,
            sets: self.sets.clone(),
            leaves: match &self.leaves {
                Leaves::OnePerTree(list) => Leaves::OnePerTree(list.clone()),
                Leaves::Dense { payload, weights } => Leaves::Dense {
                    payload: payload.clone(),
                    weights: weights.iter().map(|w| w.wide()).collect(),
                },
                Leaves::Sparse {
                    payload,
                    starts,
                    pairs,
                } => Leaves::Sparse {
                    payload: payload.clone(),
                    starts: starts.clone(),
                    pairs: pairs.iter().map(|&(t, w)| (t, w.wide())).collect(),
                },
            },
        }
    }
}

/// The comparison that all splits share.
fn comparison<T>(nodes: &[Node<T>]) -> Comparison {
    let splits = nodes.iter().filter(|n| n.next[0] != n.next[1]);
    let (mut any, mut all) = (0u32, !0u32);
    for node in splits {
        any |= node.feature;
        all &= node.feature;
    }
    let nan = any & flags::NAN_HOLDS != 0;
    if any & flags::SET != 0 {
        Comparison::Sets
    } else if any & flags::EQUAL != 0 {
        Comparison::Mixed
    } else if any & flags::LESS == 0 {
        if nan {
            Comparison::LessOrEqualNan
        } else {
            Comparison::LessOrEqual
        }
    } else if all & flags::LESS != 0 {
        if nan {
            Comparison::LessNan
        } else {
            Comparison::Less
        }
    } else {
        Comparison::Mixed
    }
}
