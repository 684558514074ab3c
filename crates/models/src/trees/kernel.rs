//! The walk through the trees: the hot loop of most models.
//!
//! Rows are taken in blocks, and each tree scores a whole block before the next tree is touched:
//! its nodes then stay in the cache. Within a block several rows walk at the same time, each step
//! without a branch that the processor could guess wrong, so that the waits for memory overlap. A
//! single row walks several trees at the same time instead.
//!
//! Whatever the blocks, each row's weights are added in the order of the trees and in the type of
//! the thresholds, as ONNX Runtime adds them on one thread.

use super::{Aggregate, Comparison, Forest, Leaves, Node, Real, Sets, flags};

/// How many walks go on at the same time.
const LANES: usize = 8;

/// How many rows one tree scores before the next tree is touched.
const BLOCK: usize = 64;

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
        for first in (0..rows).step_by(BLOCK) {
            let block = BLOCK.min(rows - first);
            let values = &values[first * width..(first + block) * width];
            buffers.reset(block * self.targets);
            if !start.is_empty() {
                for scores in buffers.scores.chunks_exact_mut(self.targets) {
                    scores.copy_from_slice(start);
                }
            }
            self.block(values, width, block, aggregate, buffers);
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

    fn walk<C: Compare>(
        &self,
        values: &[T],
        width: usize,
        rows: usize,
        aggregate: Aggregate,
        buffers: &mut Buffers<T>,
    ) {
        let Buffers { scores, has, ends } = buffers;
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
        for (tree, root) in self.roots.iter().enumerate() {
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
