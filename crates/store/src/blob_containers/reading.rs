//! Looking at blobs, listing them, and reading their content.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::objects::Pins;
use super::{BlobAt, BlobInfo, BlobProblem};
use crate::ledger::Failure;
use crate::rows::{number_at, time_at};
use crate::{Id, Store};

/// A part of an object: the file, where in it, and how many bytes.
pub type Piece = (File, u64, u64);

/// A blob opened for reading. What it reads stays as it is, whatever is written meanwhile. Clones
/// read the same.
#[derive(Debug, Clone)]
pub struct BlobReader(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    info: BlobInfo,
    /// Objects and where in the blob each begins.
    segments: Vec<(u64, u64, Id)>,
    pins: Pins,
}

impl BlobReader {
    /// What is known of the blob.
    pub fn info(&self) -> &BlobInfo {
        &self.0.info
    }

    /// The pieces that a range of bytes is made of, in order. A range past the end is cut off
    /// there. Opens files.
    ///
    /// # Errors
    /// What the system says when a file cannot be opened.
    pub fn pieces(&self, range: Range<u64>) -> io::Result<Vec<Piece>> {
        let segments = &self.0.segments;
        let first = segments.partition_point(|(start, size, _)| start + size <= range.start);
        let mut pieces = Vec::new();
        for (start, size, object) in segments.get(first..).unwrap_or_default() {
            if *start >= range.end {
                break;
            }
            let from = range.start.max(*start);
            let to = range.end.min(start + size);
            if to > from {
                let file = self.0.pins.objects.open_object(*object)?;
                pieces.push((file, from - start, to - from));
            }
        }
        Ok(pieces)
    }

    /// The piece that the byte at `offset` stands in, from there on; `None` past the end. Opens a
    /// file.
    ///
    /// # Errors
    /// What the system says when the file cannot be opened.
    pub fn piece_at(&self, offset: u64) -> io::Result<Option<Piece>> {
        let segments = &self.0.segments;
        let first = segments.partition_point(|(start, size, _)| start + size <= offset);
        let Some((start, size, object)) = segments.get(first) else {
            return Ok(None);
        };
        let file = self.0.pins.objects.open_object(*object)?;
        let from = offset.saturating_sub(*start);
        Ok(Some((file, from, size - from)))
    }
}

/// A blob container in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobContainer {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// How many blobs are in it.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A part of a list of blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobPage {
    /// Blobs, by name.
    pub blobs: Vec<BlobInfo>,
    /// The name to go on after, where there are more.
    pub next: Option<String>,
}

impl Store {
    /// What is known of a blob; `None` where there is none.
    ///
    /// # Errors
    /// [`BlobProblem::Failed`].
    pub async fn blob_info(&self, at: &BlobAt) -> Result<Option<BlobInfo>, BlobProblem> {
        let at = at.clone();
        self.ledger
            .read(move |connection| Ok(find(connection, &at)?.map(|(_, info)| info)))
            .await
            .map_err(BlobProblem::Failed)
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// [`BlobProblem::NoContainer`], [`BlobProblem::NoBlob`], [`BlobProblem::Failed`].
    pub async fn open_blob(&self, at: &BlobAt) -> Result<BlobReader, BlobProblem> {
        let (at, objects) = (at.clone(), self.objects.clone());
        let found = self.ledger.read(move |connection| {
            let found = objects.pin(|| -> Result<_, Failure> {
                let Some((id, info)) = find(connection, &at)? else {
                    let known = container_exists(connection, &at)?;
                    return Ok((Err(known), Vec::new()));
                };
                let segments = segments(connection, id)?;
                let ids = segments.iter().map(|(_, _, object)| *object).collect();
                Ok((Ok((info, segments)), ids))
            })?;
            Ok(found)
        });
        match found.await.map_err(BlobProblem::Failed)? {
            (Ok((info, segments)), pins) => Ok(BlobReader(Arc::new(Opened {
                info,
                segments,
                pins,
            }))),
            (Err(true), _) => Err(BlobProblem::NoBlob),
            (Err(false), _) => Err(BlobProblem::NoContainer),
        }
    }

    /// The blob containers of a workspace, by name.
    ///
    /// # Errors
    /// [`BlobProblem::Failed`].
    pub async fn blob_containers(&self, workspace: Id) -> Result<Vec<BlobContainer>, BlobProblem> {
        let read = self.ledger.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT c.name, c.created, count(b.id), coalesce(sum(b.size), 0)
                 FROM blob_containers c LEFT JOIN container_blobs b ON b.container_id = c.id
                 WHERE c.workspace_id = ?1 GROUP BY c.id ORDER BY c.name",
            )?;
            let rows = statement.query_map([workspace.0], |row| {
                Ok(BlobContainer {
                    name: row.get(0)?,
                    created: time_at(row, 1)?,
                    blobs: number_at(row, 2)?,
                    bytes: number_at(row, 3)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        });
        read.await.map_err(BlobProblem::Failed)
    }

    /// At most `limit` blobs of a container whose names begin with `prefix`, by name, after the
    /// name `after`.
    ///
    /// # Errors
    /// [`BlobProblem::NoContainer`], [`BlobProblem::Failed`].
    pub async fn list_blobs(
        &self,
        workspace: Id,
        container: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BlobPage, BlobProblem> {
        let container = container.to_owned();
        let prefix = prefix.to_owned();
        let after = after.unwrap_or_default().to_owned();
        let read = self.ledger.read(move |connection| {
            let id: Option<[u8; 16]> = connection
                .prepare_cached(
                    "SELECT id FROM blob_containers WHERE workspace_id = ?1 AND name = ?2",
                )?
                .query_row(params![workspace.0, container], |row| row.get(0))
                .optional()?;
            let Some(id) = id else { return Ok(None) };
            // By bytes, as the index has them; a prefix is a range of it.
            let mut statement = connection.prepare_cached(
                "SELECT name, size, content_type, etag, created, modified
                 FROM container_blobs
                 WHERE container_id = ?1 AND name >= ?2 AND name > ?3
                 ORDER BY name LIMIT ?4",
            )?;
            let most = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
            let mut rows = statement.query(params![id, prefix, after, most])?;
            let mut blobs = Vec::new();
            while let Some(row) = rows.next()? {
                let info = info_at(row)?;
                if !info.name.starts_with(&prefix) {
                    break;
                }
                blobs.push(info);
            }
            Ok(Some(blobs))
        });
        let mut blobs: Vec<BlobInfo> = read
            .await
            .map_err(BlobProblem::Failed)?
            .ok_or(BlobProblem::NoContainer)?;
        let more = blobs.len() > limit;
        blobs.truncate(limit);
        let next = match more {
            true => blobs.last().map(|blob| blob.name.clone()),
            false => None,
        };
        Ok(BlobPage { blobs, next })
    }
}

/// The objects that any row names: those that a sweep must leave and a backup must have.
pub(crate) fn named_objects(connection: &Connection) -> Result<HashSet<Id>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT object_id FROM blob_segments UNION SELECT object_id FROM upload_blocks",
    )?;
    let rows = statement.query_map([], |row| row.get(0).map(Id))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn find(connection: &Connection, at: &BlobAt) -> Result<Option<(Id, BlobInfo)>, Failure> {
    Ok(connection
        .prepare_cached(
            "SELECT b.name, b.size, b.content_type, b.etag, b.created, b.modified, b.id
             FROM container_blobs b JOIN blob_containers c ON c.id = b.container_id
             WHERE c.workspace_id = ?1 AND c.name = ?2 AND b.name = ?3",
        )?
        .query_row(params![at.workspace.0, at.container, at.name], |row| {
            Ok((row.get(6).map(Id)?, info_at(row)?))
        })
        .optional()?)
}

fn container_exists(connection: &Connection, at: &BlobAt) -> Result<bool, Failure> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM blob_containers WHERE workspace_id = ?1 AND name = ?2)",
        )?
        .query_row(params![at.workspace.0, at.container], |row| row.get(0))?)
}

/// Where each segment begins, its size and its object.
fn segments(connection: &Connection, blob: Id) -> Result<Vec<(u64, u64, Id)>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT object_id, size FROM blob_segments WHERE blob_id = ?1 ORDER BY number",
    )?;
    let mut rows = statement.query([blob.0])?;
    let (mut segments, mut start) = (Vec::new(), 0u64);
    while let Some(row) = rows.next()? {
        let size = number_at(row, 1)?;
        segments.push((start, size, row.get(0).map(Id)?));
        start = start.saturating_add(size);
    }
    Ok(segments)
}

/// A row of name, size, content type, ETag, created and modified.
pub(super) fn info_at(row: &Row<'_>) -> Result<BlobInfo, rusqlite::Error> {
    Ok(BlobInfo {
        name: row.get(0)?,
        size: number_at(row, 1)?,
        content_type: row.get(2)?,
        etag: row.get(3)?,
        created: time_at(row, 4)?,
        modified: time_at(row, 5)?,
    })
}
