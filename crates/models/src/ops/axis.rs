//! Axes and lists of whole numbers as operators are given them: in an attribute in old versions,
//! in an input in new ones.

use crate::engine::Stop;
use crate::engine::args::Args;
use crate::onnx::Reject;
use crate::onnx::compile::Spec;

/// An axis counted from the front; negative ones count from the back.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize, Stop> {
    let signed = rank as i64;
    let resolved = if axis < 0 {
        axis.saturating_add(signed)
    } else {
        axis
    };
    if resolved < 0 || resolved >= signed {
        return Err(Stop::failed(format!(
            "axis {axis} is outside a tensor of rank {rank}"
        )));
    }
    Ok(resolved as usize)
}

/// Like [`axis`] for several, sorted; a repeated one is refused.
pub(crate) fn axes(given: &[i64], rank: usize) -> Result<Vec<usize>, Stop> {
    let mut axes = given
        .iter()
        .map(|&a| axis(a, rank))
        .collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    if axes.windows(2).any(|w| w[0] == w[1]) {
        return Err(Stop::failed(format!("an axis stands twice in {given:?}")));
    }
    Ok(axes)
}

/// Where a list of whole numbers comes from.
pub(crate) enum List {
    /// From the node or from a constant input.
    Known(Vec<i64>),
    /// From input number so-and-so, in each run.
    Input(usize),
    /// Not given.
    Absent,
}

impl List {
    /// Reads `attribute` below version `since`, input `input` from there on.
    pub fn read(
        spec: &mut Spec<'_>,
        attribute: &str,
        input: usize,
        since: i64,
    ) -> Result<List, Reject> {
        if spec.version < since {
            if !spec.attrs.has(attribute) {
                return Ok(List::Absent);
            }
            return Ok(List::Known(spec.attrs.ints(attribute)?));
        }
        List::input(spec, input)
    }

    /// Reads an input.
    pub fn input(spec: &Spec<'_>, input: usize) -> Result<List, Reject> {
        if !spec.given.get(input).copied().unwrap_or(false) {
            return Ok(List::Absent);
        }
        Ok(match spec.constant(input) {
            Some(tensor) => List::Known(tensor.indices()?),
            None => List::Input(input),
        })
    }

    /// The numbers of this run, if the list is given.
    pub fn get(&self, args: &Args<'_>) -> Result<Option<Vec<i64>>, Stop> {
        match self {
            List::Known(list) => Ok(Some(list.clone())),
            List::Input(i) => Ok(args.optional(*i)?.map(|t| t.indices()).transpose()?),
            List::Absent => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_count_from_both_ends() {
        assert_eq!(axis(-1, 3), Ok(2));
        assert_eq!(axes(&[-1, 0], 2), Ok(vec![0, 1]));
        assert!(axis(3, 3).is_err());
        assert!(axis(i64::MIN, 3).is_err());
        assert!(axes(&[1, -1], 2).is_err());
    }
}
