//! Putting, deleting, and the one way in which a row comes to name an object.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use faults::Fault;
use jiff::Timestamp;
use rusqlite::{ErrorCode, OptionalExtension as _, params};

use super::objects::{ObjectWriter, SyncedObject};
use super::reading::info_at;
use super::{BlobAt, BlobInfo, BlobProblem, ObjectFile, Objects, ledger_failed};
use crate::id::fill_random;
use crate::ledger::{Change, Failure};
use crate::services::audit;
use crate::{Actor, Id, Store};

/// What must be true of a blob for a call to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// There is no blob.
    pub absent: bool,
    /// There is a blob.
    pub present: bool,
    /// The blob has this ETag.
    pub etag: Option<String>,
    /// The blob has another ETag, or there is none.
    pub other_than: Option<String>,
}

impl Condition {
    /// Whether the condition holds for a blob, or for the absence of one.
    ///
    /// # Errors
    /// [`BlobProblem::Exists`], [`BlobProblem::OtherEtag`].
    pub fn check(&self, blob: Option<&BlobInfo>) -> Result<(), BlobProblem> {
        let etag = blob.map(|blob| blob.etag.as_str());
        if self.absent && blob.is_some() {
            return Err(BlobProblem::Exists);
        }
        let other = self.etag.as_deref().is_some_and(|want| etag != Some(want))
            || self.other_than.is_some() && self.other_than.as_deref() == etag
            || self.present && blob.is_none();
        match other {
            true => Err(BlobProblem::OtherEtag),
            false => Ok(()),
        }
    }
}

/// What ends a change: a problem of the caller's, or the ledger's failure. Both undo it.
pub(super) enum Stop {
    Problem(BlobProblem),
    Failure(Failure),
}

impl From<BlobProblem> for Stop {
    fn from(problem: BlobProblem) -> Stop {
        Stop::Problem(problem)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failure(failure)
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Stop {
        Stop::Failure(error.into())
    }
}

/// The segments that a blob gets: by which block, and where.
pub(super) struct Segment {
    pub(super) block: String,
    pub(super) object: Id,
    pub(super) size: u64,
}

impl Store {
    /// Begins a file for somebody who writes it himself: a container, say. For a thread that may
    /// wait.
    ///
    /// # Errors
    /// [`BlobProblem::Full`] on a full disk, else [`BlobProblem::Failed`].
    pub fn new_object(&self) -> Result<ObjectFile, BlobProblem> {
        self.objects.create()
    }

    /// Begins a file of at most `limit` bytes that come in pieces.
    ///
    /// # Errors
    /// As for [`Store::new_object`].
    pub async fn receive_object(&self, limit: u64) -> Result<ObjectWriter, BlobProblem> {
        let objects = self.objects.clone();
        let file = tokio::task::spawn_blocking(move || objects.create())
            .await
            .map_err(|e| BlobProblem::failed(&e, "a blob cannot be written"))??;
        Ok(ObjectWriter::new(file, limit))
    }

    /// Puts a blob whole in place of what was there. Its container is made where it is absent.
    ///
    /// # Errors
    /// Those of [`Condition::check`]; [`BlobProblem::NoContainer`] where the workspace is gone;
    /// [`BlobProblem::Full`], [`BlobProblem::Failed`].
    pub async fn put_whole_blob(
        &self,
        at: &BlobAt,
        content_type: &str,
        object: SyncedObject,
        condition: Condition,
    ) -> Result<BlobInfo, BlobProblem> {
        let (at, content_type) = (at.clone(), content_type.to_owned());
        let segment = Segment {
            block: String::new(),
            object: object.id(),
            size: object.size(),
        };
        let none = segment.size == 0;
        let keep = if none { Vec::new() } else { vec![object] };
        self.change_blobs(keep, move |change| {
            let container = make_container(change, &at)?;
            let segments = if none { Vec::new() } else { vec![segment] };
            put_in_place(change, container, &at, &content_type, segments, &condition)
        })
        .await
    }

    /// Deletes a blob.
    ///
    /// # Errors
    /// [`BlobProblem::NoBlob`]; those of [`Condition::check`]; [`BlobProblem::Failed`].
    pub async fn delete_blob(
        &self,
        at: &BlobAt,
        condition: Condition,
        actor: Option<Actor>,
    ) -> Result<(), BlobProblem> {
        let at = at.clone();
        self.change_blobs(Vec::new(), move |change| {
            let connection = change.transaction;
            let container = find_container(change, &at)?.ok_or(BlobProblem::NoBlob)?;
            let found = find_blob(change, container, &at)?;
            condition.check(found.as_ref().map(|(_, info)| info))?;
            let (id, _) = found.ok_or(BlobProblem::NoBlob)?;
            let doomed = objects_of(change, id)?;
            connection
                .prepare_cached("DELETE FROM container_blobs WHERE id = ?1")?
                .execute([id.0])?;
            if let Some(actor) = &actor {
                let subject = format!("blob {}/{at}", at.workspace);
                audit(change, actor, "delete", &subject)?;
            }
            Ok(((), doomed))
        })
        .await
    }

    /// Deletes a blob container with all that is in it; `false` where there is none.
    ///
    /// # Errors
    /// [`BlobProblem::Failed`].
    pub async fn delete_blob_container(
        &self,
        workspace: Id,
        name: &str,
        actor: Actor,
    ) -> Result<bool, BlobProblem> {
        let name = name.to_owned();
        self.change_blobs(Vec::new(), move |change| {
            let connection = change.transaction;
            let id: Option<[u8; 16]> = connection
                .prepare_cached(
                    "SELECT id FROM blob_containers WHERE workspace_id = ?1 AND name = ?2",
                )?
                .query_row(params![workspace.0, name], |row| row.get(0))
                .optional()?;
            let Some(id) = id else {
                return Ok((false, Vec::new()));
            };
            let mut statement = connection.prepare_cached(
                "SELECT s.object_id FROM blob_segments s JOIN container_blobs b ON b.id = s.blob_id
                 WHERE b.container_id = ?1
                 UNION SELECT u.object_id FROM upload_blocks u JOIN blob_uploads b
                     ON b.id = u.upload_id
                 WHERE b.container_id = ?1",
            )?;
            let rows = statement.query_map([id], |row| row.get(0).map(Id))?;
            let doomed = rows.collect::<Result<Vec<_>, _>>()?;
            connection
                .prepare_cached("DELETE FROM blob_containers WHERE id = ?1")?
                .execute([id])?;
            let subject = format!("blob container {workspace}/{name}");
            audit(change, &actor, "delete", &subject)?;
            Ok((true, doomed))
        })
        .await
    }

    /// Runs a change in a transaction. `keep` are the objects that it makes rows name: they stay
    /// exactly if it is committed. The change tells which objects no row names any more.
    pub(super) async fn change_blobs<T, F>(
        &self,
        keep: Vec<SyncedObject>,
        change: F,
    ) -> Result<T, BlobProblem>
    where
        T: Send + 'static,
        F: FnOnce(&mut Change<'_>) -> Result<(T, Vec<Id>), Stop> + Send + 'static,
    {
        let came = Came::default();
        let (change, then) = came.watch(&self.objects, keep, change);
        let result = self.ledger.write_and(ledger_failed, change, then).await;
        let value = result.map_err(|fault| came.problem(fault))?;
        self.objects.reap_later().await;
        Ok(value)
    }

    /// As [`Store::change_blobs`], for a thread that may wait.
    pub(super) fn change_blobs_and_wait<T, F>(
        &self,
        keep: Vec<SyncedObject>,
        change: F,
    ) -> Result<T, BlobProblem>
    where
        T: Send + 'static,
        F: FnOnce(&mut Change<'_>) -> Result<(T, Vec<Id>), Stop> + Send + 'static,
    {
        let came = Came::default();
        let (change, then) = came.watch(&self.objects, keep, change);
        let result = self.ledger.write_and_wait(ledger_failed, change, then);
        let value = result.map_err(|fault| came.problem(fault))?;
        self.objects.reap();
        Ok(value)
    }
}

/// What a change came to, beside its value.
#[derive(Clone, Default)]
struct Came(Arc<Mutex<Beside>>);

#[derive(Default)]
struct Beside {
    problem: Option<BlobProblem>,
    doomed: Vec<Id>,
}

impl Came {
    fn take(&self) -> Beside {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, beside: Beside) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = beside;
    }

    /// The change as the ledger runs it, and what follows it, whether or not anybody still waits
    /// for the answer.
    fn watch<T, F>(
        &self,
        objects: &Objects,
        keep: Vec<SyncedObject>,
        change: F,
    ) -> (
        impl FnOnce(&mut Change<'_>) -> Result<T, Failure> + Send + use<T, F>,
        impl FnOnce(bool) + Send + use<T, F>,
    )
    where
        F: FnOnce(&mut Change<'_>) -> Result<(T, Vec<Id>), Stop> + Send + 'static,
    {
        let (during, after, objects) = (self.clone(), self.clone(), objects.clone());
        let run = move |ledger: &mut Change<'_>| match change(ledger) {
            Ok((value, doomed)) => {
                during.put(Beside {
                    problem: None,
                    doomed,
                });
                Ok(value)
            }
            Err(Stop::Failure(failure)) => Err(failure),
            Err(Stop::Problem(problem)) => {
                let fault = ledger_failed().because(problem.to_string());
                during.put(Beside {
                    problem: Some(problem),
                    doomed: Vec::new(),
                });
                Err(Failure::Fault(fault))
            }
        };
        let then = move |committed: bool| {
            if committed {
                keep.into_iter().for_each(SyncedObject::named);
                objects.doom(after.take().doomed);
            }
        };
        (run, then)
    }

    /// Why a change was not committed.
    fn problem(&self, fault: Fault) -> BlobProblem {
        let problem = self.take().problem;
        problem.unwrap_or_else(|| BlobProblem::of_ledger(fault))
    }
}

/// The container's id; `None` where there is none.
pub(super) fn find_container(change: &Change<'_>, at: &BlobAt) -> Result<Option<Id>, Stop> {
    Ok(change
        .transaction
        .prepare_cached("SELECT id FROM blob_containers WHERE workspace_id = ?1 AND name = ?2")?
        .query_row(params![at.workspace.0, at.container], |row| {
            row.get(0).map(Id)
        })
        .optional()?)
}

/// The container's id; it is made where it is absent.
pub(super) fn make_container(change: &Change<'_>, at: &BlobAt) -> Result<Id, Stop> {
    if let Some(id) = find_container(change, at)? {
        return Ok(id);
    }
    let id = Id::random();
    change
        .transaction
        .prepare_cached(
            "INSERT INTO blob_containers (id, workspace_id, name, created)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            id.0,
            at.workspace.0,
            at.container,
            Timestamp::now().as_microsecond(),
        ])
        .map_err(|e| match e.sqlite_error_code() {
            // The workspace was removed.
            Some(ErrorCode::ConstraintViolation) => Stop::Problem(BlobProblem::NoContainer),
            _ => e.into(),
        })?;
    Ok(id)
}

/// The blob's id and what is known of it.
pub(super) fn find_blob(
    change: &Change<'_>,
    container: Id,
    at: &BlobAt,
) -> Result<Option<(Id, BlobInfo)>, Stop> {
    Ok(change
        .transaction
        .prepare_cached(
            "SELECT name, size, content_type, etag, created, modified, id
             FROM container_blobs WHERE container_id = ?1 AND name = ?2",
        )?
        .query_row(params![container.0, at.name], |row| {
            Ok((row.get(6).map(Id)?, info_at(row)?))
        })
        .optional()?)
}

/// The objects of a blob.
fn objects_of(change: &Change<'_>, blob: Id) -> Result<Vec<Id>, Stop> {
    let mut statement = change
        .transaction
        .prepare_cached("SELECT DISTINCT object_id FROM blob_segments WHERE blob_id = ?1")?;
    let rows = statement.query_map([blob.0], |row| row.get(0).map(Id))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Gives a blob new content; what it is then, and the objects that it had and has no more.
pub(super) fn put_in_place(
    change: &Change<'_>,
    container: Id,
    at: &BlobAt,
    content_type: &str,
    segments: Vec<Segment>,
    condition: &Condition,
) -> Result<(BlobInfo, Vec<Id>), Stop> {
    let connection = change.transaction;
    let before = find_blob(change, container, at)?;
    condition.check(before.as_ref().map(|(_, info)| info))?;
    // As exact as the ledger keeps it.
    let now = Timestamp::now();
    let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
    let info = BlobInfo {
        name: at.name.to_string(),
        size: segments
            .iter()
            .fold(0, |sum: u64, segment| sum.saturating_add(segment.size)),
        content_type: content_type.to_owned(),
        etag: fresh_etag(),
        created: before.as_ref().map_or(now, |(_, info)| info.created),
        modified: now,
    };
    let mut doomed = Vec::new();
    let id = match before {
        Some((id, _)) => {
            doomed = objects_of(change, id)?;
            connection
                .prepare_cached("DELETE FROM blob_segments WHERE blob_id = ?1")?
                .execute([id.0])?;
            connection
                .prepare_cached(
                    "UPDATE container_blobs SET size = ?2, content_type = ?3, etag = ?4,
                         modified = ?5
                     WHERE id = ?1",
                )?
                .execute(params![
                    id.0,
                    signed(info.size),
                    info.content_type,
                    info.etag,
                    info.modified.as_microsecond(),
                ])?;
            id
        }
        None => {
            let id = Id::random();
            connection
                .prepare_cached(
                    "INSERT INTO container_blobs
                         (id, container_id, name, size, content_type, etag, created, modified)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
                )?
                .execute(params![
                    id.0,
                    container.0,
                    info.name,
                    signed(info.size),
                    info.content_type,
                    info.etag,
                    info.modified.as_microsecond(),
                ])?;
            id
        }
    };
    let mut insert = connection.prepare_cached(
        "INSERT INTO blob_segments (blob_id, number, block, object_id, size)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (number, segment) in (0i64..).zip(&segments) {
        insert.execute(params![
            id.0,
            number,
            segment.block,
            segment.object.0,
            signed(segment.size),
        ])?;
    }
    let used: HashSet<Id> = segments.iter().map(|segment| segment.object).collect();
    doomed.retain(|id| !used.contains(id));
    Ok((info, doomed))
}

/// A number of bytes as the ledger keeps it.
pub(super) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn fresh_etag() -> String {
    let mut bytes = [0u8; 8];
    fill_random(&mut bytes);
    format!("0x{:016X}", u64::from_be_bytes(bytes))
}
