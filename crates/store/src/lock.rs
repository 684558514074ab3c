//! The lock that gives a data directory to one process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use faults::{Class, Fault};

/// An exclusive lock on a file; it ends with the value, and with the process however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, within [`PATIENCE`], or refuses.
    ///
    /// # Errors
    /// `Conflict`, with the holder's process id in the cause, when another process has it;
    /// `InternalError` when the file cannot be used.
    pub(crate) fn take(path: &Path) -> Result<Lock, Fault> {
        let failed = |e: std::io::Error| {
            Fault::bare(Class::InternalError)
                .caused_by(&e)
                .because(format!("the lock {} cannot be taken", path.display()))
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        match patiently(&file) {
            Ok(()) => {}
            Err(TryLockError::Error(e)) => return Err(failed(e)),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only for the message; the holder may not have written it yet.
                let _ = file.read_to_string(&mut holder);
                let holder = match holder.trim() {
                    "" => String::new(),
                    pid => format!(" (process {pid})"),
                };
                return Err(Fault::bare(Class::Conflict).because(format!(
                    "another umpire{holder} uses this data directory: it holds {}; stop it, or name another directory",
                    path.display()
                )));
            }
        }
        // The process id helps whoever is refused; on a full disk the lock holds without it.
        let _ = file
            .rewind()
            .and_then(|()| file.set_len(0))
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Lock { _file: file })
    }
}

/// How long a lock is waited for. A process that is being started shares its parent's locks until
/// it has become the program that it starts, so that the lock of a server which was killed in that
/// moment outlives it by some milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);

fn patiently(file: &File) -> Result<(), TryLockError> {
    let end = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(5));
            }
            verdict => return verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::take(&path).unwrap();
        let fault = Lock::take(&path).unwrap_err();
        assert_eq!(fault.class(), Class::Conflict);
        let cause = fault.cause().unwrap();
        assert!(
            cause.contains(&format!("process {}", std::process::id())),
            "{cause}"
        );
        drop(first);
        Lock::take(&path).unwrap();
    }
}
