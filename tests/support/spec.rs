//! The published documents of the Resource Manager, where they are at hand: `UMPIRE_SPEC`, else
//! `shared/spec` beside the workspace. Tests that need them say elsewhere that they skip.

use std::path::PathBuf;

use serde_json::Value;

/// Where the documents are, if they are.
pub fn folder() -> Option<PathBuf> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = std::env::var_os("UMPIRE_SPEC")
        .map_or_else(|| workspace.join("../shared/spec"), PathBuf::from);
    let arm = root.join("arm");
    if !arm.is_dir() {
        println!("skipped: there is no {}", arm.display());
        return None;
    }
    Some(arm)
}

/// A document below `arm/`.
pub fn document(path: &str) -> Option<Value> {
    let text = std::fs::read(folder()?.join(path)).expect("a published document");
    Some(serde_json::from_slice(&text).expect("a published document is JSON"))
}

/// Asserts that `actual` has every member that `published` has, each of the same JSON type. What a
/// map is keyed by, and what stands in a list after its first, is the server's own.
#[track_caller]
pub fn assert_shape(actual: &Value, published: &Value) {
    fn compare(actual: &Value, published: &Value, at: &str) -> Result<(), String> {
        match (actual, published) {
            (Value::Object(actual), Value::Object(published)) => {
                for (name, value) in published {
                    let at = format!("{at}/{name}");
                    let found = actual.get(name).ok_or_else(|| format!("{at} is absent"))?;
                    compare(found, value, &at)?;
                }
                Ok(())
            }
            (Value::Array(actual), Value::Array(published)) => {
                match (actual.first(), published.first()) {
                    (Some(actual), Some(published)) => {
                        compare(actual, published, &format!("{at}/0"))
                    }
                    _ => Ok(()),
                }
            }
            _ if std::mem::discriminant(actual) == std::mem::discriminant(published) => Ok(()),
            _ => Err(format!("{at} is {actual}, published is {published}")),
        }
    }
    if let Err(difference) = compare(actual, published, "") {
        panic!("{difference}\nactual: {actual:#}");
    }
}
