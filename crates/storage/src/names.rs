//! How blob containers and blobs may be called.

use faults::{Fault, bad_argument};

use crate::Purpose;

/// The extensions of tables. Each may be followed by one of [`COMPRESSED`].
const TABLES: [&str; 4] = [".csv", ".tsv", ".arff", ".parquet"];
/// The extensions of compressed files.
const COMPRESSED: [&str; 2] = [".gz", ".zst"];

/// The extensions of a model: those of the old service, and those under which models are known
/// that are read here. What a file really is its content tells.
pub const MODEL_EXTENSIONS: [&str; 6] =
    [".ilearner", ".itransform", ".onnx", ".txt", ".json", ".ubj"];

/// The most characters of a blob's name.
const LONGEST: usize = 1024;

/// Azure's rule for the names of blob containers.
pub fn is_container_name(name: &str) -> bool {
    if ["$root", "$logs", "$web"].contains(&name) {
        return true;
    }
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (3..=63).contains(&name.len())
        && name.bytes().all(good)
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

/// Takes `container/path/blob`, with or without a `/` before it, apart. The blob is empty where
/// there is none.
///
/// # Errors
/// `BadArgument.ContainerIsEmpty`, `BadArgument.ContainerSegmentInvalid`.
pub fn split_location(relative: &str) -> Result<(&str, &str), Fault> {
    let relative = relative.strip_prefix('/').unwrap_or(relative);
    let (container, blob) = relative.split_once('/').unwrap_or((relative, ""));
    if container.is_empty() {
        return Err(bad_argument::container_is_empty());
    }
    if !is_container_name(container) {
        return Err(bad_argument::container_segment_invalid());
    }
    let blob = if blob.ends_with('/') { "" } else { blob };
    Ok((container, blob))
}

/// What is wrong with a blob's name that every kind of storage must be able to keep.
pub(crate) fn wrong_with_blob(blob: &str) -> Option<&'static str> {
    if blob.chars().count() > LONGEST {
        return Some("the blob's name has more than 1,024 characters");
    }
    if blob.contains('\\') || blob.contains(char::is_control) {
        return Some("the blob's name has a backslash or a control character");
    }
    blob.split('/')
        .any(|part| matches!(part, "" | "." | ".."))
        .then_some("the blob's name has an empty segment, . or ..")
}

/// The extensions that a blob may have, where it has none of them.
pub(crate) fn extensions_wanted(blob: &str, purpose: Purpose<'_>) -> Option<String> {
    let lower = blob.to_ascii_lowercase();
    let ends = |extension: &str| {
        let name = lower.rsplit('/').next().unwrap_or_default();
        name.len() > extension.len() && name.ends_with(extension)
    };
    match purpose {
        Purpose::Record => None,
        Purpose::Model(_) => {
            let good = MODEL_EXTENSIONS.iter().any(|extension| ends(extension));
            (!good).then(|| MODEL_EXTENSIONS.join(", "))
        }
        Purpose::Input(_) | Purpose::Output(_) => {
            let mut all = TABLES.map(str::to_owned).to_vec();
            for table in TABLES {
                all.extend(COMPRESSED.map(|suffix| format!("{table}{suffix}")));
            }
            let good = all.iter().any(|extension| ends(extension));
            (!good).then(|| all.join(", "))
        }
    }
}
