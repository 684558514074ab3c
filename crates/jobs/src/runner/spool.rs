//! Files that jobs need beside their blobs: inputs that were unpacked, and rejected rows until
//! they are put together.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use store::Id;

/// The folder of such files: one folder in it for each job.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    /// Bytes of unpacked inputs that are there or on their way.
    used: AtomicU64,
}

/// Room that a file takes; dropped, it is free again.
#[derive(Debug)]
pub(super) struct Room {
    spool: Arc<Spool>,
    bytes: u64,
}

impl Room {
    /// Takes so many bytes more; `false` where that is more than there may be in all.
    pub(super) fn more(&mut self, bytes: u64, limit: u64) -> bool {
        let before = self.spool.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        before.saturating_add(bytes) <= limit
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.spool.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Spool {
    pub(super) fn new(folder: &Path) -> Arc<Spool> {
        Arc::new(Spool {
            folder: folder.to_owned(),
            used: AtomicU64::new(0),
        })
    }

    /// Room for a file that is empty yet.
    pub(super) fn room(self: &Arc<Self>) -> Room {
        Room {
            spool: self.clone(),
            bytes: 0,
        }
    }

    fn of(&self, job: Id) -> PathBuf {
        self.folder.join(job.to_string())
    }

    /// Makes the file for an input of a job that is to be unpacked. It has no name any more when
    /// this answers, so that it goes with the process.
    pub(super) fn unpack_file(&self, job: Id, input: usize) -> io::Result<File> {
        let path = self.of(job).join(format!("input-{input}"));
        let file = self.create(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }

    /// Makes the file for the rows that an attempt at a chunk rejects.
    pub(super) fn rejects_file(&self, job: Id, chunk: u32, attempt: u32) -> io::Result<File> {
        self.create(&self.rejects_path(job, chunk, attempt))
    }

    /// Opens what [`Spool::rejects_file`] made.
    pub(super) fn open_rejects(&self, job: Id, chunk: u32, attempt: u32) -> io::Result<File> {
        File::open(self.rejects_path(job, chunk, attempt))
    }

    fn rejects_path(&self, job: Id, chunk: u32, attempt: u32) -> PathBuf {
        self.of(job).join(format!("rejects-{chunk}-{attempt}"))
    }

    /// Syncs a file of a job and the folder that names it.
    pub(super) fn sync(&self, job: Id, file: &File) -> io::Result<()> {
        file.sync_all()?;
        File::open(self.of(job))?.sync_all()
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
    }

    /// Removes the files of a job.
    pub(super) fn remove(&self, job: Id) -> io::Result<()> {
        match fs::remove_dir_all(self.of(job)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Removes the files of all jobs but these.
    pub(super) fn sweep(&self, keep: &[Id]) -> io::Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let job = name.to_str().and_then(Id::parse);
            match job {
                Some(job) if !keep.contains(&job) => fs::remove_dir_all(entry.path())?,
                // What is not ours to know is not ours to remove.
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn files_of_jobs_come_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(&dir.path().join("spool"));
        spool.sweep(&[]).unwrap();
        let [a, b] = [Id::random(), Id::random()];
        spool.remove(a).unwrap();
        for job in [a, b] {
            let mut file = spool.rejects_file(job, 3, 1).unwrap();
            file.write_all(b"x").unwrap();
            spool.sync(job, &file).unwrap();
        }
        assert!(spool.open_rejects(a, 3, 2).is_err());
        spool.sweep(&[a]).unwrap();
        assert!(spool.open_rejects(a, 3, 1).is_ok());
        assert!(spool.open_rejects(b, 3, 1).is_err());
        let mut unpacked = spool.unpack_file(a, 0).unwrap();
        unpacked.write_all(b"y").unwrap();
        spool.remove(a).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("spool")).unwrap().count(), 0);
    }

    #[test]
    fn there_is_only_so_much_room() {
        let spool = Spool::new(Path::new("nowhere"));
        let mut one = spool.room();
        let mut other = spool.room();
        assert!(one.more(60, 100) && other.more(40, 100));
        assert!(!one.more(1, 100));
        drop(one);
        assert!(other.more(60, 100));
    }
}
