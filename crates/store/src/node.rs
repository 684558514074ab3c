//! The node: this process on this data directory, as operators address it.

use std::io;
use std::path::Path;

use faults::Fault;

use crate::ledger::Ledger;
use crate::services::audit;
use crate::{Actor, Id, files, rows};

/// Where the node's id stands in a data directory.
pub(crate) const NODE_FILE: &str = "node.id";

/// Reads the node's id, made (whole or not at all) where it is absent. A directory that a backup
/// was restored into is a node of its own: the id is in no backup.
///
/// # Errors
/// Those of the file system; `InvalidData` for a file that holds no id.
pub(crate) fn read_or_make(path: &Path) -> io::Result<Id> {
    match std::fs::read_to_string(path) {
        Ok(text) => Id::parse(text.trim())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it holds no id")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let id = Id::random();
            files::write_private_file(path, format!("{id}\n").as_bytes())?;
            Ok(id)
        }
        Err(e) => Err(e),
    }
}

impl Ledger {
    /// Writes an audit line about something that is not in the ledger itself.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn record(
        &self,
        actor: impl Into<Actor>,
        action: &'static str,
        subject: String,
    ) -> Result<(), Fault> {
        let actor = actor.into();
        self.write(faults::internal_error::unknown_error, move |change| {
            audit(change, &actor, action, &subject)
        })
        .await
    }

    /// Drains a node, or lets it serve again; it stays so over restarts. `false` where it was so
    /// already, which changes nothing.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn set_drained(
        &self,
        node: Id,
        drained: bool,
        actor: impl Into<Actor>,
    ) -> Result<bool, Fault> {
        let actor = actor.into();
        self.write(faults::internal_error::unknown_error, move |change| {
            let connection = change.transaction;
            if (rows::drained(connection)? == Some(node)) == drained {
                return Ok(false);
            }
            rows::set_drained(connection, drained.then_some(node))?;
            let action = if drained { "drain" } else { "resume" };
            audit(change, &actor, action, &format!("node {node}"))?;
            Ok(true)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_once_and_a_damaged_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NODE_FILE);
        let id = read_or_make(&path).unwrap();
        assert_eq!(read_or_make(&path).unwrap(), id);
        std::fs::write(&path, "nobody").unwrap();
        let error = read_or_make(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
