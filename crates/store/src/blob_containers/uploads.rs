//! Blobs that come in blocks: staged one by one, in any order, and put in place in one transaction.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::objects::SyncedObject;
use super::writing::{Condition, Segment, Stop, find_blob, make_container, put_in_place, signed};
use super::{BlobAt, BlobInfo, BlobProblem};
use crate::ledger::{Change, Failure};
use crate::retention::since;
use crate::rows::number_at;
use crate::{Id, Store};

/// The most blocks that a blob is put together from.
pub const MOST_BLOCKS: usize = 50_000;
/// The most blocks that wait for a commit.
const MOST_WAITING: u64 = 100_000;
/// The longest id of a block, in bytes.
const BLOCK_ID_BYTES: usize = 128;
/// How long after its last change an upload is kept, committed or not.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadState {
    /// It takes blocks.
    Open,
    /// Its blob is in place.
    Committed,
}

/// A block in a list that a blob is put together from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// One that the blob has now.
    Committed(String),
    /// One that waits for the commit.
    Uncommitted(String),
    /// One that waits, else one that the blob has.
    Latest(String),
}

/// The blocks of a blob, each with its size: those that it has, and those that wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockList {
    /// In order. A blob that was put whole has none.
    pub committed: Vec<(String, u64)>,
    /// By id.
    pub uncommitted: Vec<(String, u64)>,
}

/// Where an upload's blob goes, and how far it is.
struct Upload {
    container: Id,
    at: BlobAt,
    state: UploadState,
}

impl Store {
    /// Begins an upload of a blob, which nobody else's blocks get into. The container is made where
    /// it is absent. An upload that is neither committed nor given up goes a week after its last
    /// block.
    ///
    /// # Errors
    /// [`BlobProblem::NoContainer`] where the workspace is gone; [`BlobProblem::Full`],
    /// [`BlobProblem::Failed`].
    pub async fn begin_blob_upload(&self, at: &BlobAt) -> Result<Id, BlobProblem> {
        let at = at.clone();
        self.change_blobs(Vec::new(), move |change| {
            let container = make_container(change, &at)?;
            let id = new_upload(change, container, &at, false)?;
            Ok((id, Vec::new()))
        })
        .await
    }

    /// How far an upload of that blob is; `None` where it was given up or never was.
    ///
    /// # Errors
    /// [`BlobProblem::Failed`].
    pub async fn blob_upload(
        &self,
        at: &BlobAt,
        upload: Id,
    ) -> Result<Option<UploadState>, BlobProblem> {
        let at = at.clone();
        let found = self.ledger.read(move |c| find_upload(c, upload));
        let found = found.await.map_err(BlobProblem::Failed)?;
        Ok(found.filter(|u| u.at == at).map(|u| u.state))
    }

    /// Takes a block of an upload, in place of one of the same id. When this answers the block is
    /// durable.
    ///
    /// # Errors
    /// [`BlobProblem::NoUpload`] when the upload is not open; [`BlobProblem::TooManyBlocks`];
    /// [`BlobProblem::BadName`] for an id that is empty or too long; [`BlobProblem::Full`],
    /// [`BlobProblem::Failed`].
    pub async fn stage_block(
        &self,
        upload: Id,
        block: &str,
        object: SyncedObject,
    ) -> Result<(), BlobProblem> {
        check_block(block)?;
        let row = (block.to_owned(), object.id(), object.size());
        self.change_blobs(vec![object], move |change| stage(change, upload, &row))
            .await
    }

    /// As [`Store::stage_block`], for a thread that may wait.
    ///
    /// # Errors
    /// As for [`Store::stage_block`].
    pub fn stage_block_and_wait(
        &self,
        upload: Id,
        block: &str,
        object: SyncedObject,
    ) -> Result<(), BlobProblem> {
        check_block(block)?;
        let row = (block.to_owned(), object.id(), object.size());
        self.change_blobs_and_wait(vec![object], move |change| stage(change, upload, &row))
    }

    /// Puts the blob of an upload together from these blocks, in this order, in place of what was
    /// there, at once. A repeated commit changes nothing. Blocks that are not named go.
    ///
    /// # Errors
    /// [`BlobProblem::NoUpload`], [`BlobProblem::NoBlock`], [`BlobProblem::TooManyBlocks`];
    /// [`BlobProblem::Full`], [`BlobProblem::Failed`].
    pub async fn commit_blob_upload(
        &self,
        upload: Id,
        blocks: &[String],
        content_type: &str,
    ) -> Result<(), BlobProblem> {
        if blocks.len() > MOST_BLOCKS {
            return Err(BlobProblem::TooManyBlocks);
        }
        let content_type = content_type.to_owned();
        let list: Vec<Block> = blocks.iter().cloned().map(Block::Uncommitted).collect();
        self.change_blobs(Vec::new(), move |change| {
            let found = find_upload(change.transaction, upload)?.ok_or(BlobProblem::NoUpload)?;
            if found.state == UploadState::Committed {
                return Ok(((), Vec::new()));
            }
            let (_, doomed) = commit(
                change,
                found.container,
                &found.at,
                Some(upload),
                &list,
                &content_type,
                &Condition::default(),
            )?;
            let now = Timestamp::now().as_microsecond();
            change
                .transaction
                .prepare_cached(
                    "UPDATE blob_uploads SET committed = 1, modified = ?2 WHERE id = ?1",
                )?
                .execute(params![upload.0, now])?;
            Ok(((), doomed))
        })
        .await
    }

    /// Gives an upload up: its blocks go. One that is committed, or is not there, is no error.
    ///
    /// # Errors
    /// [`BlobProblem::Failed`].
    pub async fn abort_blob_upload(&self, upload: Id) -> Result<(), BlobProblem> {
        self.change_blobs(Vec::new(), move |change| {
            let found = find_upload(change.transaction, upload)?;
            if found.is_none_or(|u| u.state == UploadState::Committed) {
                return Ok(((), Vec::new()));
            }
            let blocks = waiting(change.transaction, upload)?;
            delete_upload(change, upload)?;
            Ok(((), blocks.into_values().map(|(object, _)| object).collect()))
        })
        .await
    }

    /// Takes a block of a blob from somebody who names no upload: all of those share one, until it
    /// is committed. The container is made where it is absent.
    ///
    /// # Errors
    /// As for [`Store::stage_block`].
    pub async fn stage_shared_block(
        &self,
        at: &BlobAt,
        block: &str,
        object: SyncedObject,
    ) -> Result<(), BlobProblem> {
        check_block(block)?;
        let (at, row) = (at.clone(), (block.to_owned(), object.id(), object.size()));
        self.change_blobs(vec![object], move |change| {
            let container = make_container(change, &at)?;
            let upload = match shared_upload(change.transaction, container, &at)? {
                Some(upload) => upload,
                None => new_upload(change, container, &at, true)?,
            };
            Ok(((), put_block(change, upload, &row)?))
        })
        .await
    }

    /// Puts a blob together from blocks of the shared upload and those that it has. Blocks of the
    /// upload that are not named go.
    ///
    /// # Errors
    /// [`BlobProblem::NoBlock`], [`BlobProblem::TooManyBlocks`]; those of [`Condition::check`];
    /// [`BlobProblem::NoContainer`], [`BlobProblem::Full`], [`BlobProblem::Failed`].
    pub async fn commit_shared_blocks(
        &self,
        at: &BlobAt,
        blocks: Vec<Block>,
        content_type: &str,
        condition: Condition,
    ) -> Result<BlobInfo, BlobProblem> {
        if blocks.len() > MOST_BLOCKS {
            return Err(BlobProblem::TooManyBlocks);
        }
        let (at, content_type) = (at.clone(), content_type.to_owned());
        self.change_blobs(Vec::new(), move |change| {
            let container = make_container(change, &at)?;
            let upload = shared_upload(change.transaction, container, &at)?;
            let (info, doomed) = commit(
                change,
                container,
                &at,
                upload,
                &blocks,
                &content_type,
                &condition,
            )?;
            if let Some(upload) = upload {
                delete_upload(change, upload)?;
            }
            Ok((info, doomed))
        })
        .await
    }

    /// The blocks that a blob has and those of the shared upload.
    ///
    /// # Errors
    /// [`BlobProblem::NoBlob`] where there are neither; [`BlobProblem::Failed`].
    pub async fn block_list(&self, at: &BlobAt) -> Result<BlockList, BlobProblem> {
        let at = at.clone();
        let read = self.ledger.read(move |connection| {
            let list = |sql: &str| -> Result<Vec<(String, u64)>, Failure> {
                let mut statement = connection.prepare_cached(sql)?;
                let keys = params![at.workspace().0, at.container(), at.name()];
                let rows =
                    statement.query_map(keys, |row| Ok((row.get(0)?, number_at(row, 1)?)))?;
                Ok(rows.collect::<Result<_, _>>()?)
            };
            let mut committed = list(
                "SELECT s.block, s.size FROM blob_segments s
                 JOIN container_blobs b ON b.id = s.blob_id
                 JOIN blob_containers c ON c.id = b.container_id
                 WHERE c.workspace_id = ?1 AND c.name = ?2 AND b.name = ?3 ORDER BY s.number",
            )?;
            let uncommitted = list(
                "SELECT s.block, s.size FROM upload_blocks s
                 JOIN blob_uploads b ON b.id = s.upload_id
                 JOIN blob_containers c ON c.id = b.container_id
                 WHERE c.workspace_id = ?1 AND c.name = ?2 AND b.name = ?3 AND b.shared
                 ORDER BY s.block",
            )?;
            let there: bool = connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM container_blobs b
                     JOIN blob_containers c ON c.id = b.container_id
                     WHERE c.workspace_id = ?1 AND c.name = ?2 AND b.name = ?3)",
                )?
                .query_row(
                    params![at.workspace().0, at.container(), at.name()],
                    |row| row.get(0),
                )?;
            committed.retain(|(block, _)| !block.is_empty());
            let list = BlockList {
                committed,
                uncommitted,
            };
            Ok((there || !list.uncommitted.is_empty()).then_some(list))
        });
        read.await
            .map_err(BlobProblem::Failed)?
            .ok_or(BlobProblem::NoBlob)
    }

    /// Forgets uploads that nobody has touched for a week. Their files go with the next sweep.
    pub(crate) fn forget_old_uploads(&self) {
        self.ledger.write_later("old uploads of blobs", |change| {
            change
                .transaction
                .prepare_cached("DELETE FROM blob_uploads WHERE modified < ?1")?
                .execute([since(KEPT)])?;
            Ok(())
        });
    }
}

fn check_block(block: &str) -> Result<(), BlobProblem> {
    match (1..=BLOCK_ID_BYTES).contains(&block.len()) {
        true => Ok(()),
        false => Err(BlobProblem::BadName),
    }
}

fn new_upload(change: &Change<'_>, container: Id, at: &BlobAt, shared: bool) -> Result<Id, Stop> {
    let id = Id::random();
    change
        .transaction
        .prepare_cached(
            "INSERT INTO blob_uploads (id, container_id, name, shared, modified)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            id.0,
            container.0,
            at.name(),
            shared,
            Timestamp::now().as_microsecond(),
        ])?;
    Ok(id)
}

fn delete_upload(change: &Change<'_>, upload: Id) -> Result<(), Stop> {
    change
        .transaction
        .prepare_cached("DELETE FROM blob_uploads WHERE id = ?1")?
        .execute([upload.0])?;
    Ok(())
}

fn find_upload(connection: &Connection, upload: Id) -> Result<Option<Upload>, Failure> {
    Ok(connection
        .prepare_cached(
            "SELECT u.container_id, c.workspace_id, c.name, u.name, u.committed
             FROM blob_uploads u JOIN blob_containers c ON c.id = u.container_id
             WHERE u.id = ?1",
        )?
        .query_row([upload.0], |row| {
            Ok(Upload {
                container: row.get(0).map(Id)?,
                at: BlobAt {
                    workspace: row.get(1).map(Id)?,
                    container: row.get(2)?,
                    name: row.get(3)?,
                },
                state: match row.get(4)? {
                    true => UploadState::Committed,
                    false => UploadState::Open,
                },
            })
        })
        .optional()?)
}

fn shared_upload(
    connection: &Connection,
    container: Id,
    at: &BlobAt,
) -> Result<Option<Id>, Failure> {
    Ok(connection
        .prepare_cached(
            "SELECT id FROM blob_uploads WHERE container_id = ?1 AND name = ?2 AND shared",
        )?
        .query_row(params![container.0, at.name()], |row| row.get(0).map(Id))
        .optional()?)
}

/// Writes a block's row into an upload that must be open.
fn stage(change: &Change<'_>, upload: Id, row: &(String, Id, u64)) -> Result<((), Vec<Id>), Stop> {
    match find_upload(change.transaction, upload)? {
        Some(found) if found.state == UploadState::Open => {}
        _ => return Err(BlobProblem::NoUpload.into()),
    }
    Ok(((), put_block(change, upload, row)?))
}

/// Writes a block's row; the object that it takes the place of.
fn put_block(
    change: &Change<'_>,
    upload: Id,
    (block, object, size): &(String, Id, u64),
) -> Result<Vec<Id>, Stop> {
    let connection = change.transaction;
    let before: Option<[u8; 16]> = connection
        .prepare_cached("SELECT object_id FROM upload_blocks WHERE upload_id = ?1 AND block = ?2")?
        .query_row(params![upload.0, block], |row| row.get(0))
        .optional()?;
    if before.is_none() {
        let waiting = connection
            .prepare_cached("SELECT count(*) FROM upload_blocks WHERE upload_id = ?1")?
            .query_row([upload.0], |row| number_at(row, 0))?;
        if waiting >= MOST_WAITING {
            return Err(BlobProblem::TooManyBlocks.into());
        }
    }
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO upload_blocks (upload_id, block, object_id, size)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![upload.0, block, object.0, signed(*size)])?;
    connection
        .prepare_cached("UPDATE blob_uploads SET modified = ?2 WHERE id = ?1")?
        .execute(params![upload.0, Timestamp::now().as_microsecond()])?;
    Ok(before.into_iter().map(Id).collect())
}

/// The blocks of an upload: objects and sizes by id.
fn waiting(connection: &Connection, upload: Id) -> Result<HashMap<String, (Id, u64)>, Failure> {
    let mut statement = connection
        .prepare_cached("SELECT block, object_id, size FROM upload_blocks WHERE upload_id = ?1")?;
    let rows = statement.query_map([upload.0], |row| {
        Ok((row.get(0)?, (row.get(1).map(Id)?, number_at(row, 2)?)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Puts a blob together; what it is then, and the objects that no row names any more.
fn commit(
    change: &Change<'_>,
    container: Id,
    at: &BlobAt,
    upload: Option<Id>,
    list: &[Block],
    content_type: &str,
    condition: &Condition,
) -> Result<(BlobInfo, Vec<Id>), Stop> {
    let connection = change.transaction;
    let uncommitted = match upload {
        Some(upload) => waiting(connection, upload)?,
        None => HashMap::new(),
    };
    let mut committed: HashMap<String, (Id, u64)> = HashMap::new();
    if list.iter().any(|b| !matches!(b, Block::Uncommitted(_)))
        && let Some((blob, _)) = find_blob(change, container, at)?
    {
        let mut statement = connection.prepare_cached(
            "SELECT block, object_id, size FROM blob_segments
             WHERE blob_id = ?1 AND block <> ''",
        )?;
        let rows = statement.query_map([blob.0], |row| {
            Ok((row.get(0)?, (row.get(1).map(Id)?, number_at(row, 2)?)))
        })?;
        committed = rows.collect::<Result<_, _>>()?;
    }
    let mut segments = Vec::with_capacity(list.len());
    for block in list {
        let (id, found) = match block {
            Block::Committed(id) => (id, committed.get(id)),
            Block::Uncommitted(id) => (id, uncommitted.get(id)),
            Block::Latest(id) => (id, uncommitted.get(id).or_else(|| committed.get(id))),
        };
        let (object, size) = found.ok_or_else(|| BlobProblem::NoBlock(id.clone()))?;
        segments.push(Segment {
            block: id.clone(),
            object: *object,
            size: *size,
        });
    }
    let used: HashSet<Id> = segments.iter().map(|segment| segment.object).collect();
    let (info, mut doomed) =
        put_in_place(change, container, at, content_type, segments, condition)?;
    if let Some(upload) = upload {
        connection
            .prepare_cached("DELETE FROM upload_blocks WHERE upload_id = ?1")?
            .execute([upload.0])?;
    }
    let left = uncommitted.into_values().map(|(object, _)| object);
    doomed.extend(left.filter(|object| !used.contains(object)));
    Ok((info, doomed))
}
