//! The walk through the trees: the hot loop of most models.
//!
//! Rows are taken in blocks, and each tree scores a whole block before the next tree is touched:
//! its nodes then stay in the cache. Within a block several rows walk at the same time, each step
//! without a branch that the processor could guess wrong, so that the waits for memory overlap. A
//! single row walks several trees at the same time instead. Small trees are not walked at all where
//! there are several rows: see [`select`](super::select).
//!
//! Whatever the blocks, each row's weights are added in the order of the trees and in the type of
//! the thresholds, as ONNX Runtime adds them on one thread.

use super::select::{Part, Rows, Selection, WIDTH};
use super::{Aggregate, Comparison, Forest, Leaves, Node, Real, Sets, flags};

/// How many walks go on at the same time.
const LANES: usize = 8;

/// How many rows one tree scores before the next tree is touched.
const BLOCK: usize = 64;

/// The fewest rows for which trees are selected from and not walked: half of a vector's.
const FEW: usize = WIDTH / 2;

/// How many rows are selected for at a time, as far as their columns fit into the cache.
const SELECTED: usize = 8 * WIDTH;

/// How many bytes of columns are thought to fit.
const CACHED: usize = 256 << 10;

/// How many steps are taken between two looks at whether all walks have ended.
const STRIDE: u32 = 4;

/// What a run of the kernel was asked to do with a scored block.
pub(crate) struct Scored<'a, T> {
    /// The number of the block's first row.
    pub first: usize,
    /// One sum (or extreme) for each row and target.
    pub scores: &'a mut [T],
    /// For each row and target whether any leaf gave it a weight.
    pub has: &'a mut [bool],
}

impl<T: Real> Forest<T> {
    /// Scores the rows of a `[rows, width]` matrix and hands each finished block of rows to
    /// `finish`, which may end the run. `width` must be at least [`Forest::features`].
    pub fn score<E>(
        &self,
        values: &[T],
        width: usize,
        aggregate: Aggregate,
        buffers: &mut Buffers<T>,
        finish: impl FnMut(Scored<'_, T>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.score_from(&[], values, width, aggregate, buffers, finish)
    }

    /// The same where the sums of each row begin with `start`, one for each target, and not with
    /// zeros; an empty `start` is zeros.
    pub fn score_from<E>(
        &self,
        start: &[T],
        values: &[T],
        width: usize,
        aggregate: Aggregate,
        buffers: &mut Buffers<T>,
        mut finish: impl FnMut(Scored<'_, T>) -> Result<(), E>,
    ) -> Result<(), E> {
        assert!(width >= self.features, "rows are too narrow for the trees");
        let rows = values.len() / width;
        let selection = self
            .selection
            .as_ref()
            .filter(|_| aggregate == Aggregate::Sum && rows >= FEW);
        let most = match selection {
            Some(selection) => {
                let bytes = (selection.columns.len() * size_of::<T>()).max(1);
                (CACHED / bytes).clamp(WIDTH, SELECTED) / WIDTH * WIDTH
            }
            None => BLOCK,
        };
        for first in (0..rows).step_by(most) {
            let block = most.min(rows - first);
            let values = &values[first * width..(first + block) * width];
            buffers.reset(block * self.targets);
            if !start.is_empty() {
                for scores in buffers.scores.chunks_exact_mut(self.targets) {
                    scores.copy_from_slice(start);
                }
            }
            match selection {
                Some(selection) => self.select(selection, values, width, block, buffers),
                None => self.block(values, width, block, aggregate, buffers),
            }
            finish(Scored {
                first,
                scores: &mut buffers.scores,
                has: &mut buffers.has,
            })?;
        }
        Ok(())
    }

    fn block(
        &self,
        values: &[T],
        width: usize,
        rows: usize,
        aggregate: Aggregate,
        buffers: &mut Buffers<T>,
    ) {
        match self.comparison {
            Comparison::LessOrEqual => {
                self.walk::<LessOrEqual>(values, width, rows, aggregate, buffers);
            }
            Comparison::Less => self.walk::<Less>(values, width, rows, aggregate, buffers),
            Comparison::LessOrEqualNan => {
                self.walk::<LessOrEqualNan>(values, width, rows, aggregate, buffers);
            }
            Comparison::LessNan => self.walk::<LessNan>(values, width, rows, aggregate, buffers),
            Comparison::Mixed => self.walk::<Mixed>(values, width, rows, aggregate, buffers),
            Comparison::Sets => self.walk::<InSets>(values, width, rows, aggregate, buffers),
        }
    }

    /// Scores a block of rows by the selection, and by walks where it says so.
    fn select(
        &self,
        selection: &Selection<T>,
        values: &[T],
        width: usize,
        rows: usize,
        buffers: &mut Buffers<T>,
    ) {
        let Leaves::OnePerTree(targets) = &self.leaves else {
            return;
        };
        let chunks = rows.div_ceil(WIDTH);
        let blank = [T::default(); WIDTH];
        let Buffers {
            scores,
            has,
            ends,
            columns,
            stack,
            sums,
        } = buffers;
        columns.clear();
        columns.resize(selection.columns.len() * chunks, blank);
        for (column, &feature) in columns.chunks_exact_mut(chunks).zip(&selection.columns) {
            let cells = values.iter().skip(feature as usize).step_by(width);
            let column = column.as_flattened_mut();
            column.iter_mut().zip(cells).for_each(|(to, &x)| *to = x);
        }
        stack.resize(selection.height.max(1) * chunks, blank);
        sums.clear();
        sums.resize(self.targets * chunks, blank);
        for (target, sums) in sums.chunks_exact_mut(chunks).enumerate() {
            let start = scores.iter().skip(target).step_by(self.targets);
            let sums = sums.as_flattened_mut();
            sums.iter_mut().zip(start).for_each(|(to, &x)| *to = x);
        }
        let mut step = 0;
        for (tree, part) in selection.parts.iter().enumerate() {
            let target = targets[tree] as usize;
            let sums = &mut sums[target * chunks..][..chunks];
            match *part {
                Part::Steps(count) => {
                    selection.run(step, count as usize, columns, chunks, stack);
                    step += count as usize;
                    for (sums, leaves) in sums.iter_mut().zip(stack.iter()) {
                        for (sum, &leaf) in sums.iter_mut().zip(leaves) {
                            *sum += leaf;
                        }
                    }
                }
                Part::Leaf(leaf) => {
                    let sums: &mut [T] = sums.as_flattened_mut();
                    sums.iter_mut().for_each(|sum| *sum += leaf);
                }
                Part::Walk => {
                    self.ends(tree, values, width, ends);
                    let sums: &mut [T] = sums.as_flattened_mut();
                    for (sum, &end) in sums.iter_mut().zip(ends.iter()) {
                        *sum += self.nodes[end as usize].threshold;
                    }
                }
            }
            let has = has.iter_mut().skip(target).step_by(self.targets);
            has.for_each(|has| *has = true);
        }
        for (target, sums) in sums.chunks_exact(chunks).enumerate() {
            let scores = scores.iter_mut().skip(target).step_by(self.targets);
            let sums: &[T] = sums.as_flattened();
            scores.zip(sums).for_each(|(to, &sum)| *to = sum);
        }
    }

    /// The leaves of one tree for every row of a block.
    fn ends(&self, tree: usize, values: &[T], width: usize, ends: &mut Vec<u32>) {
        match self.comparison {
            Comparison::LessOrEqual => self.tree::<LessOrEqual>(tree, values, width, ends),
            Comparison::Less => self.tree::<Less>(tree, values, width, ends),
            Comparison::LessOrEqualNan => self.tree::<LessOrEqualNan>(tree, values, width, ends),
            Comparison::LessNan => self.tree::<LessNan>(tree, values, width, ends),
            Comparison::Mixed => self.tree::<Mixed>(tree, values, width, ends),
            Comparison::Sets => self.tree::<InSets>(tree, values, width, ends),
        }
    }

    fn tree<C: Compare>(&self, tree: usize, values: &[T], width: usize, ends: &mut Vec<u32>) {
        let root = self.roots[tree];
        ends.clear();
        for group in values.chunks(LANES * width) {
            let count = group.len() / width;
            let mut lanes = [&group[..width]; LANES];
            for (lane, row) in lanes.iter_mut().zip(group.chunks_exact(width)) {
                *lane = row;
            }
            let mut at = [root.node; LANES];
            advance::<T, C>(&self.nodes, &self.sets, &mut at, &lanes, root.depth);
            ends.extend_from_slice(&at[..count]);
        }
    }

    fn walk<C: Compare>(
        &self,
        values: &[T],
        width: usize,
        rows: usize,
        aggregate: Aggregate,
        buffers: &mut Buffers<T>,
    ) {
        let Buffers {
            scores, has, ends, ..
        } = buffers;
        if rows == 1 {
            // One row: several trees at the same time.
            for (group, roots) in self.roots.chunks(LANES).enumerate() {
                let mut at = [0u32; LANES];
                let mut depth = 0;
                for (at, root) in at.iter_mut().zip(roots) {
                    *at = root.node;
                    depth = depth.max(root.depth);
                }
                // Unused lanes walk the first tree of the group once more.
                for unused in &mut at[roots.len()..] {
                    *unused = roots[0].node;
                }
                let rows = [&values[..width]; LANES];
                advance::<T, C>(&self.nodes, &self.sets, &mut at, &rows, depth);
                for (lane, &end) in at[..roots.len()].iter().enumerate() {
                    let tree = group * LANES + lane;
                    self.take(tree, end, aggregate, scores, has);
                }
            }
            return;
        }
        for tree in 0..self.roots.len() {
            self.tree::<C>(tree, values, width, ends);
            self.take_all(tree, aggregate, scores, has, ends);
        }
    }

    /// Adds what tree number `tree` gives to every row of a block.
    fn take_all(
        &self,
        tree: usize,
        aggregate: Aggregate,
        scores: &mut [T],
        has: &mut [bool],
        ends: &[u32],
    ) {
        if let (Leaves::OnePerTree(targets), Aggregate::Sum) = (&self.leaves, aggregate) {
            let target = targets[tree] as usize;
            let scores = scores.iter_mut().skip(target).step_by(self.targets);
            for (score, &end) in scores.zip(ends) {
                *score += self.nodes[end as usize].threshold;
            }
            for has in has.iter_mut().skip(target).step_by(self.targets) {
                *has = true;
            }
            return;
        }
        for ((scores, has), &end) in scores
            .chunks_exact_mut(self.targets)
            .zip(has.chunks_exact_mut(self.targets))
            .zip(ends)
        {
            self.take(tree, end, aggregate, scores, has);
        }
    }

    /// Adds what one leaf gives to one row.
    fn take(
        &self,
        tree: usize,
        end: u32,
        aggregate: Aggregate,
        scores: &mut [T],
        has: &mut [bool],
    ) {
        let mut give = |target: usize, weight: T| {
            let (score, has) = (&mut scores[target], &mut has[target]);
            match aggregate {
                Aggregate::Sum => *score += weight,
                Aggregate::Min if !*has || weight < *score => *score = weight,
                Aggregate::Max if !*has || weight > *score => *score = weight,
                Aggregate::Min | Aggregate::Max => {}
            }
            *has = true;
        };
        let end = end as usize;
        match &self.leaves {
            Leaves::OnePerTree(targets) => {
                give(targets[tree] as usize, self.nodes[end].threshold);
            }
            Leaves::Dense { payload, weights } => {
                let start = payload[end] as usize * self.targets;
                for (target, &weight) in weights[start..start + self.targets].iter().enumerate() {
                    give(target, weight);
                }
            }
            Leaves::Sparse {
                payload,
                starts,
                pairs,
            } => {
                let leaf = payload[end] as usize;
                for &(target, weight) in &pairs[starts[leaf] as usize..starts[leaf + 1] as usize] {
                    give(target as usize, weight);
                }
            }
        }
    }
}

/// What the kernel writes to, kept from call to call.
#[derive(Debug, Default)]
pub(crate) struct Buffers<T> {
    scores: Vec<T>,
    has: Vec<bool>,
    ends: Vec<u32>,
    /// The block's columns, each as rows side by side.
    columns: Vec<Rows<T>>,
    /// The vectors that the steps of a selection work on.
    stack: Vec<Rows<T>>,
    /// The sums of each target, rows side by side.
    sums: Vec<Rows<T>>,
}

impl<T: Real> Buffers<T> {
    fn reset(&mut self, cells: usize) {
        self.scores.clear();
        self.scores.resize(cells, T::default());
        self.has.clear();
        self.has.resize(cells, false);
    }
}

/// A comparison that is known when the inner loop is compiled.
trait Compare {
    fn holds<T: Real>(x: T, node: &Node<T>, sets: &Sets) -> bool;
}

struct LessOrEqual;
struct Less;
struct LessOrEqualNan;
struct LessNan;
struct Mixed;
struct InSets;

impl Compare for LessOrEqual {
    #[inline(always)]
    fn holds<T: Real>(x: T, node: &Node<T>, _: &Sets) -> bool {
        x <= node.threshold
    }
}

impl Compare for Less {
    #[inline(always)]
    fn holds<T: Real>(x: T, node: &Node<T>, _: &Sets) -> bool {
        x < node.threshold
    }
}

impl Compare for LessOrEqualNan {
    #[inline(always)]
    fn holds<T: Real>(x: T, node: &Node<T>, _: &Sets) -> bool {
        (x <= node.threshold) | (x.nan() & (node.feature & flags::NAN_HOLDS != 0))
    }
}

impl Compare for LessNan {
    #[inline(always)]
    fn holds<T: Real>(x: T, node: &Node<T>, _: &Sets) -> bool {
        (x < node.threshold) | (x.nan() & (node.feature & flags::NAN_HOLDS != 0))
    }
}

impl Compare for Mixed {
    #[inline(always)]
    fn holds<T: Real>(x: T, node: &Node<T>, _: &Sets) -> bool {
        let t = node.threshold;
        let less = x < t;
        let equal = x == t;
        let plain = if node.feature & flags::EQUAL != 0 {
            equal
        } else {
            less | (equal & (node.feature & flags::LESS == 0))
        };
        plain | (x.nan() & (node.feature & flags::NAN_HOLDS != 0))
    }
}

impl Compare for InSets {
    #[inline(always)]
    fn holds<T: Real>(x: T, node: &Node<T>, sets: &Sets) -> bool {
        if node.feature & flags::SET == 0 {
            return Mixed::holds(x, node, sets);
        }
        if x.nan() {
            return node.feature & flags::NAN_HOLDS != 0;
        }
        x.code()
            .is_some_and(|code| sets.has(node.threshold.index(), code))
    }
}

/// Walks every lane to a leaf: at most `depth` steps, fewer if all have arrived before.
#[inline(always)]
fn advance<T: Real, C: Compare>(
    nodes: &[Node<T>],
    sets: &Sets,
    at: &mut [u32; LANES],
    rows: &[&[T]; LANES],
    depth: u32,
) {
    let mut left = depth;
    while left > 0 {
        let steps = left.min(STRIDE);
        for _ in 0..steps {
            for (at, row) in at.iter_mut().zip(rows) {
                let node = &nodes[*at as usize];
                let x = row[(node.feature & flags::FEATURE) as usize];
                *at = node.next[usize::from(!C::holds(x, node, sets))];
            }
        }
        left -= steps;
        // A leaf follows itself on both sides; no split does.
        if left > 0 && at.iter().all(|&a| nodes[a as usize].next == [a, a]) {
            return;
        }
    }
}
