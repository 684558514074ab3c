//! Small trees without a walk: every split of a tree is compared for a block of rows at once, and
//! the leaves are carried upwards by choosing one of two at each split.
//!
//! That compares splits that a row would never pass, and still wins: it reads memory in order, has
//! no branch and no look-up that depends on data, and so runs in vectors of 4 to 16 rows. A tree is
//! a list of steps for a stack of vectors, children before parents. Trees with more splits than the
//! vectors make up for are walked as before; either way each row's leaves are added in the order of
//! the trees, so that the sums are the same to the last bit.

use super::{Comparison, Leaves, Node, Real, Root, flags};

/// How many rows stand side by side.
pub(super) const WIDTH: usize = 16;

/// Rows side by side.
pub(super) type Rows<T> = [T; WIDTH];

/// Which build of the steps runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// Vectors of 512 bits.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Vectors of 256 bits.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What every processor of the architecture has.
    Plain,
}

impl Build {
    /// All that this processor can run, the best first.
    pub fn all() -> Vec<Build> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                all.push(Build::Avx512);
            }
            if is_x86_feature_detected!("avx2") {
                all.push(Build::Avx2);
            }
        }
        all.push(Build::Plain);
        all
    }

    /// The best one that this processor can run.
    pub fn best() -> Build {
        Build::all()[0]
    }

    /// How many splits of a tree take no longer than a step of a walk, roughly and rather too few,
    /// for elements of so many bytes.
    fn splits_per_step(self, bytes: usize) -> usize {
        let vector = match self {
            #[cfg(target_arch = "x86_64")]
            Build::Avx512 => 64,
            #[cfg(target_arch = "x86_64")]
            Build::Avx2 => 24,
            Build::Plain => 8,
        };
        vector / bytes
    }
}

/// Where the two sides of a choice come from: the first where the comparison holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sides {
    /// Two leaves.
    LeafLeaf,
    /// A leaf, and the top of the stack.
    LeafTop,
    TopLeaf,
    /// The two on top of the stack; the lower one first.
    UnderTop,
    TopUnder,
}

/// How a step compares. `Greater` and `GreaterOrEqual` stand where NaN takes the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    LessOrEqual,
    Less,
    Greater,
    GreaterOrEqual,
}

/// One split.
#[derive(Debug, Clone, PartialEq)]
struct Step<T> {
    threshold: T,
    /// The leaf's weight, or the first one's.
    leaf: T,
    /// The second leaf's.
    other: T,
    /// Which of the columns that the trees use.
    column: u32,
    order: Order,
    sides: Sides,
}

/// How one tree is scored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Part<T> {
    /// By the next so many steps.
    Steps(u32),
    /// It is one leaf.
    Leaf(T),
    /// By a walk.
    Walk,
}

/// The trees of a forest as steps, where that is faster for some of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Selection<T> {
    build: Build,
    steps: Vec<Step<T>>,
    /// How each tree is scored.
    pub parts: Vec<Part<T>>,
    /// The features that the steps read.
    pub columns: Vec<u32>,
    /// The most vectors on the stack at a time.
    pub height: usize,
}

impl<T: Real> Selection<T> {
    /// The selection of a forest; `None` where all of its trees are better walked.
    pub fn new(
        build: Build,
        nodes: &[Node<T>],
        roots: &[Root],
        leaves: &Leaves<T>,
        comparison: Comparison,
    ) -> Option<Selection<T>> {
        let orders = !matches!(comparison, Comparison::Mixed | Comparison::Sets);
        if !orders || !matches!(leaves, Leaves::OnePerTree(_)) {
            return None;
        }
        let mut selection = Selection {
            build,
            steps: Vec::new(),
            parts: Vec::with_capacity(roots.len()),
            columns: Vec::new(),
            height: 1,
        };
        let features = nodes.iter().map(|n| n.feature & flags::FEATURE).max()?;
        let mut places = vec![u32::MAX; features as usize + 1];
        for root in roots {
            let start = selection.steps.len();
            let most = (root.depth as usize).min(64) * build.splits_per_step(size_of::<T>());
            let part = selection.tree(nodes, root.node, most, &mut places);
            if part == Part::Walk {
                selection.steps.truncate(start);
            }
            selection.parts.push(part);
        }
        let any = selection.parts.iter().any(|p| *p != Part::Walk);
        any.then_some(selection)
    }

    fn tree(&mut self, nodes: &[Node<T>], root: u32, most: usize, places: &mut [u32]) -> Part<T> {
        let start = self.steps.len();
        let mut left = most;
        let Some(needs) = needs(nodes, root, &mut left) else {
            return Part::Walk;
        };
        if needs.needed == 0 {
            return Part::Leaf(nodes[root as usize].threshold);
        }
        if self.emit(nodes, &needs, places).is_none() {
            return Part::Walk;
        }
        self.height = self.height.max(needs.needed);
        Part::Steps((self.steps.len() - start) as u32)
    }

    /// Appends the steps of a split; `None` where its comparison has no form here.
    fn emit(&mut self, nodes: &[Node<T>], needs: &Needs, places: &mut [u32]) -> Option<()> {
        let node = &nodes[needs.node as usize];
        let [yes, no] = needs.children.as_deref()?;
        let nan_holds = node.feature & flags::NAN_HOLDS != 0;
        if node.threshold.nan() {
            return None;
        }
        let less = node.feature & flags::LESS != 0;
        // `first` is taken where the comparison holds, which it never does for NaN.
        let (order, first, second) = match (nan_holds, less) {
            (false, false) => (Order::LessOrEqual, yes, no),
            (false, true) => (Order::Less, yes, no),
            (true, false) => (Order::Greater, no, yes),
            (true, true) => (Order::GreaterOrEqual, no, yes),
        };
        let weight = |child: &Needs| nodes[child.node as usize].threshold;
        let zero = T::default();
        let (sides, leaf, other) = match (first.needed, second.needed) {
            (0, 0) => (Sides::LeafLeaf, weight(first), weight(second)),
            (0, _) => {
                self.emit(nodes, second, places)?;
                (Sides::LeafTop, weight(first), zero)
            }
            (_, 0) => {
                self.emit(nodes, first, places)?;
                (Sides::TopLeaf, weight(second), zero)
            }
            // What needs more of the stack goes first.
            (a, b) if a >= b => {
                self.emit(nodes, first, places)?;
                self.emit(nodes, second, places)?;
                (Sides::UnderTop, zero, zero)
            }
            _ => {
                self.emit(nodes, second, places)?;
                self.emit(nodes, first, places)?;
                (Sides::TopUnder, zero, zero)
            }
        };
        let feature = node.feature & flags::FEATURE;
        let place = &mut places[feature as usize];
        if *place == u32::MAX {
            *place = self.columns.len() as u32;
            self.columns.push(feature);
        }
        self.steps.push(Step {
            threshold: node.threshold,
            leaf,
            other,
            column: *place,
            order,
            sides,
        });
        Some(())
    }

    /// Scores the next tree, whose steps begin at `start`, for the rows of `columns`, which has
    /// `chunks` vectors a column. The leaves come to stand in the first `chunks` vectors of `stack`.
    pub fn run(
        &self,
        start: usize,
        count: usize,
        columns: &[Rows<T>],
        chunks: usize,
        stack: &mut [Rows<T>],
    ) {
        let steps = &self.steps[start..start + count];
        match self.build {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Build::all` is where builds come from, and has this one only where the
            // processor has the feature.
            Build::Avx512 => unsafe { run_avx512(steps, columns, chunks, stack) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Build::Avx2 => unsafe { run_avx2(steps, columns, chunks, stack) },
            Build::Plain => run(steps, columns, chunks, stack),
        }
    }
}

/// A node with what its steps need of the stack: nothing for a leaf.
struct Needs {
    node: u32,
    needed: usize,
    children: Option<Box<[Needs; 2]>>,
}

/// The tree below a node; `None` where it has more than `left` splits, counting a node again for
/// every way to it. So its depth is bounded, too.
fn needs<T>(nodes: &[Node<T>], node: u32, left: &mut usize) -> Option<Needs> {
    let [yes, no] = nodes[node as usize].next;
    if yes == node && no == node {
        return Some(Needs {
            node,
            needed: 0,
            children: None,
        });
    }
    *left = left.checked_sub(1)?;
    let (yes, no) = (needs(nodes, yes, left)?, needs(nodes, no, left)?);
    let (a, b) = (yes.needed, no.needed);
    let needed = if a == b && a > 0 {
        a + 1
    } else {
        a.max(b).max(1)
    };
    Some(Needs {
        node,
        needed,
        children: Some(Box::new([yes, no])),
    })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn run_avx512<T: Real>(
    steps: &[Step<T>],
    columns: &[Rows<T>],
    chunks: usize,
    stack: &mut [Rows<T>],
) {
    run(steps, columns, chunks, stack);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<T: Real>(steps: &[Step<T>], columns: &[Rows<T>], chunks: usize, stack: &mut [Rows<T>]) {
    run(steps, columns, chunks, stack);
}

#[inline(always)]
fn run<T: Real>(steps: &[Step<T>], columns: &[Rows<T>], chunks: usize, stack: &mut [Rows<T>]) {
    let mut used = 0;
    for step in steps {
        let x = &columns[step.column as usize * chunks..][..chunks];
        let t = step.threshold;
        match step.order {
            Order::LessOrEqual => choose(step, x, chunks, stack, &mut used, |x| x <= t),
            Order::Less => choose(step, x, chunks, stack, &mut used, |x| x < t),
            Order::Greater => choose(step, x, chunks, stack, &mut used, |x| x > t),
            Order::GreaterOrEqual => choose(step, x, chunks, stack, &mut used, |x| x >= t),
        }
    }
}

/// One step: `used` is how many of the stack's places are taken.
#[inline(always)]
fn choose<T: Real>(
    step: &Step<T>,
    x: &[Rows<T>],
    chunks: usize,
    stack: &mut [Rows<T>],
    used: &mut usize,
    holds: impl Fn(T) -> bool,
) {
    let (leaf, other) = (step.leaf, step.other);
    // One long loop each, which the compiler makes vectors of; it takes apart short ones.
    let x = x.as_flattened();
    match step.sides {
        Sides::LeafLeaf => {
            let top = stack[*used * chunks..][..chunks].as_flattened_mut();
            for (top, &x) in top.iter_mut().zip(x) {
                *top = if holds(x) { leaf } else { other };
            }
            *used += 1;
        }
        Sides::LeafTop => {
            let top = stack[(*used - 1) * chunks..][..chunks].as_flattened_mut();
            for (top, &x) in top.iter_mut().zip(x) {
                let kept = *top;
                *top = if holds(x) { leaf } else { kept };
            }
        }
        Sides::TopLeaf => {
            let top = stack[(*used - 1) * chunks..][..chunks].as_flattened_mut();
            for (top, &x) in top.iter_mut().zip(x) {
                let kept = *top;
                *top = if holds(x) { kept } else { leaf };
            }
        }
        Sides::UnderTop | Sides::TopUnder => {
            let (under, top) = stack[(*used - 2) * chunks..].split_at_mut(chunks);
            let (under, top) = (under.as_flattened_mut(), top[..chunks].as_flattened());
            let sides = under.iter_mut().zip(top).zip(x);
            if step.sides == Sides::UnderTop {
                for ((under, &top), &x) in sides {
                    let kept = *under;
                    *under = if holds(x) { kept } else { top };
                }
            } else {
                for ((under, &top), &x) in sides {
                    let kept = *under;
                    *under = if holds(x) { top } else { kept };
                }
            }
            *used -= 1;
        }
    }
}
