//! How a job is cut.

use serde::{Deserialize, Serialize};
use storage::PartLimits;

/// How a job is cut, as it is kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// What the inputs were when it was made: another content would need another plan.
    pub(super) inputs: Vec<Seen>,
    /// About how many bytes of input a chunk has; `None` where all of it is one chunk because the
    /// service or the format wants it so.
    pub(super) chunk: Option<u64>,
}

/// What an input was when a plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) size: u64,
    pub(super) etag: Option<String>,
}

impl Plan {
    pub(super) fn to_text(&self) -> String {
        // Numbers and texts always serialize; an empty text is read as no plan.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn of_text(text: &str) -> Option<Plan> {
        serde_json::from_str(text).ok()
    }
}

/// What a sample came to, for one output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ratio {
    /// Bytes of output for a byte of input.
    pub(super) out: f64,
    /// What the place takes.
    pub(super) limits: PartLimits,
}

/// How much more than the least a part is planned to have, since rows differ.
const MARGIN: f64 = 1.25;

/// How many bytes of input a chunk gets, so that parts of each output have about `wanted` bytes,
/// and at least as many as its place takes, of an input of `total` bytes; more where there would be
/// too many parts.
pub(super) fn chunk_size(total: u64, wanted: u64, ratios: &[Ratio]) -> u64 {
    let mut size = wanted;
    if let Some(most) = ratios.iter().map(|r| r.out).reduce(f64::max)
        && most > 1.0
    {
        size = (wanted as f64 / most) as u64;
    }
    for Ratio { out, limits } in ratios {
        if limits.min > 1 {
            let least = limits.min as f64 * MARGIN / out;
            // No output at all makes it infinite, which is as good as all of the input.
            size = size.max(least.min(u64::MAX as f64) as u64);
        }
        let fewest = (total as f64 * MARGIN / f64::from(limits.most.max(1))) as u64;
        size = size.max(fewest);
    }
    size.max(1)
}

/// How many bytes a chunk gets after one of `length` bytes came out as a part of `written`, which
/// is fewer than the place takes.
pub(super) fn larger(length: u64, written: u64, limits: PartLimits) -> u64 {
    let needed = match written {
        0 => length.saturating_mul(16),
        _ => (limits.min as f64 * MARGIN * length as f64 / written as f64) as u64,
    };
    needed.max(length.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S3: PartLimits = PartLimits {
        min: 5 << 20,
        max: 5 << 30,
        most: 10_000,
    };
    const OWN: PartLimits = PartLimits {
        min: 1,
        max: 1 << 40,
        most: 1_000_000,
    };

    fn ratio(out: f64, limits: PartLimits) -> Ratio {
        Ratio { out, limits }
    }

    #[test]
    fn chunks_are_as_large_as_the_places_want_them() {
        let gigabyte = 1 << 30;
        let wanted = 8 << 20;
        assert_eq!(chunk_size(gigabyte, wanted, &[]), wanted);
        assert_eq!(chunk_size(gigabyte, wanted, &[ratio(1.0, OWN)]), wanted);
        assert_eq!(chunk_size(gigabyte, wanted, &[ratio(2.0, OWN)]), wanted / 2);
        // Labels alone come out: much input makes a part that S3 takes.
        let size = chunk_size(gigabyte, wanted, &[ratio(0.01, S3)]);
        assert!(size as f64 * 0.01 >= S3.min as f64, "{size}");
        let both = [ratio(4.0, OWN), ratio(0.1, S3)];
        assert!(chunk_size(gigabyte, wanted, &both) as f64 * 0.1 >= S3.min as f64);
        assert_eq!(chunk_size(gigabyte, wanted, &[ratio(0.0, S3)]), u64::MAX);
        // A terabyte in at most ten thousand parts.
        let terabyte = 1u64 << 40;
        let size = chunk_size(terabyte, wanted, &[ratio(1.0, S3)]);
        assert!(terabyte / size < 10_000, "{size}");
    }

    #[test]
    fn chunks_grow_until_their_parts_are_large_enough() {
        let next = larger(1 << 20, 1 << 19, S3);
        assert!(next as f64 / 2.0 >= S3.min as f64);
        assert_eq!(larger(100, 0, S3), 1600);
        assert!(larger(1 << 20, S3.min - 1, S3) >= 2 << 20);
    }

    #[test]
    fn a_plan_reads_back() {
        let plan = Plan {
            inputs: vec![Seen {
                size: 5,
                etag: Some("\"x\"".into()),
            }],
            chunk: Some(7),
        };
        assert_eq!(Plan::of_text(&plan.to_text()), Some(plan));
        assert_eq!(Plan::of_text("{}"), None);
    }
}
