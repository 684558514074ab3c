//! What a job is asked to do: as a caller says it, and as it is kept.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use storage::{BlobReference, Location, Purpose, Storage};
use store::Id;

use faults::Fault;

/// What a caller asks for. What was given as `null` is told from what was left out where that
/// makes a difference.
#[derive(Debug, Clone, Default)]
pub struct JobRequest {
    /// `Input`: the blob of the sole input.
    pub input: Option<Option<BlobReference>>,
    /// `Inputs`: a blob for each input.
    pub inputs: Option<Vec<(String, Option<BlobReference>)>>,
    /// `Output`, of version 1: where the sole output goes.
    pub output: Option<Option<BlobReference>>,
    /// `Outputs`: where outputs go that are not to go into the workspace's own store.
    pub outputs: Option<Vec<(String, Option<BlobReference>)>>,
    /// `GlobalParameters`.
    pub parameters: Map<String, Value>,
    /// What becomes of rows that cannot be read.
    pub on_bad_row: OnBadRow,
}

/// What becomes of a row that cannot be read.
#[derive(Debug, Clone, Default)]
pub enum OnBadRow {
    /// The job fails.
    #[default]
    Fail,
    /// It is written to a blob with its reason, and the rest is scored. Without a reference the
    /// blob stands beside the first output.
    Reject(Option<BlobReference>),
}

/// Where an output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Target {
    /// To where the caller said.
    Given(BlobReference),
    /// Into the workspace's own store, under this name.
    Own(String),
}

impl Target {
    /// The place, checked.
    pub(crate) fn resolve(
        &self,
        storage: &Storage,
        workspace: Id,
        purpose: Purpose<'_>,
    ) -> Result<Location, Fault> {
        match self {
            Target::Given(reference) => storage.resolve(reference, workspace, purpose),
            Target::Own(path) => Ok(storage.default_output(workspace, path)),
        }
    }

    /// The place beside this one for what is rejected: the same name with another ending.
    pub(crate) fn beside(&self) -> Target {
        match self {
            Target::Own(path) => Target::Own(rejects_name(path)),
            Target::Given(reference) => Target::Given(BlobReference {
                relative_location: reference.relative_location.as_deref().map(rejects_name),
                ..reference.clone()
            }),
        }
    }
}

/// `a/b.csv` to `a/b.rejects.csv`; a query stays.
fn rejects_name(name: &str) -> String {
    let (path, query) = name.split_at(name.find('?').unwrap_or(name.len()));
    let file = path.rfind('/').map_or(0, |slash| slash + 1);
    let (folder, file) = path.split_at(file);
    // `x.nh.csv.gz` loses all of its endings.
    let stem = file.find('.').filter(|&dot| dot > 0);
    let stem = stem.and_then(|dot| file.get(..dot)).unwrap_or(file);
    format!("{folder}{stem}.rejects.csv{query}")
}

/// A request as it is kept, sealed, in the ledger: checked, with every output's place decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// By name, in the order of the service.
    pub(crate) inputs: Vec<(String, BlobReference)>,
    /// By name, in the order of the service.
    pub(crate) outputs: Vec<Placed>,
    /// Where rejected rows go; without it a bad row fails the job.
    pub(crate) rejects: Option<Target>,
    /// The web service parameters as given.
    pub(crate) parameters: Map<String, Value>,
}

/// An output and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Placed {
    pub(crate) name: String,
    /// Whether a trained model comes out of it, not a table.
    pub(crate) model: bool,
    pub(crate) target: Target,
}

impl Placed {
    pub(crate) fn purpose(&self) -> Purpose<'_> {
        match self.model {
            true => Purpose::Model(&self.name),
            false => Purpose::Output(&self.name),
        }
    }
}

/// What the blob of rejected rows is called where a fault names it.
pub(crate) const REJECTS: &str = "Rejects";

impl Kept {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Texts, lists and JSON values always serialize; empty bytes would be told as gone.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what was kept.
    ///
    /// # Errors
    /// `InternalError.MissingTaskInstance` where there is nothing; `InternalError.UnknownError`
    /// where there is something else.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Kept, Fault> {
        if bytes.is_empty() {
            return Err(faults::internal_error::missing_task_instance());
        }
        serde_json::from_slice(bytes).map_err(|e| {
            // The text of the error may quote what is secret.
            faults::internal_error::unknown_error().because(format!(
                "a stored request cannot be read at byte {}",
                e.column()
            ))
        })
    }

    /// The places of all outputs in their order, that of rejected rows last where there is one.
    pub(crate) fn places(&self, storage: &Storage, workspace: Id) -> Result<Vec<Location>, Fault> {
        let outputs = self.outputs.iter();
        let mut places: Vec<Location> = outputs
            .map(|output| output.target.resolve(storage, workspace, output.purpose()))
            .collect::<Result<_, _>>()?;
        if let Some(rejects) = &self.rejects {
            places.push(rejects.resolve(storage, workspace, Purpose::Output(REJECTS))?);
        }
        Ok(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_stand_beside_the_first_output() {
        for (name, beside) in [
            ("out/a.csv", "out/a.rejects.csv"),
            ("/out/x.y/a.nh.csv.gz", "/out/x.y/a.rejects.csv"),
            (
                "https://h.example/c/a.csv?sig=x/y.z",
                "https://h.example/c/a.rejects.csv?sig=x/y.z",
            ),
            ("c/.csv", "c/.csv.rejects.csv"),
            ("c/a", "c/a.rejects.csv"),
        ] {
            assert_eq!(rejects_name(name), beside);
        }
    }

    #[test]
    fn what_is_kept_reads_back_and_nothing_is_no_request() {
        let reference = BlobReference {
            connection_string: Some("AccountName=a;AccountKey=secret".into()),
            relative_location: Some("c/in.csv".into()),
            ..BlobReference::default()
        };
        let mut parameters = Map::new();
        parameters.insert("seed".into(), Value::from(7));
        let kept = Kept {
            inputs: vec![("input1".into(), reference.clone())],
            outputs: vec![Placed {
                name: "output1".into(),
                model: false,
                target: Target::Own("experimentoutput/a/b.csv".into()),
            }],
            rejects: Some(Target::Given(reference)),
            parameters,
        };
        assert_eq!(Kept::from_bytes(&kept.to_bytes()).unwrap(), kept);
        assert!(!format!("{kept:?}").contains("secret"));
        let fault = Kept::from_bytes(b"").unwrap_err();
        assert!(fault.is(&faults::rows::InternalError::MissingTaskInstance));
        let fault = Kept::from_bytes(b"{\"inputs\":\"hidden\"}").unwrap_err();
        assert!(fault.is(&faults::rows::InternalError::UnknownError));
        assert!(!fault.cause().unwrap().contains("hidden"));
    }
}
