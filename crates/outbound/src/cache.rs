//! What was fetched, kept so that it need not be fetched again while it is still the same.
//!
//! An entry is a file of content and beside it a file that says what the other side calls this
//! state of it. It is used only after the other side has said, to the caller's own credentials,
//! that the content is still that; so the cache lets nobody read what he may not.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use ring::digest::{SHA256, digest};

/// A folder of fetched content, bounded; the entry that was not used for the longest time goes
/// first.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    max_size: u64,
    /// Held while entries come and go.
    changing: Mutex<()>,
}

/// What an entry says about its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What the other side calls it.
    pub etag: String,
    /// The content's SHA-256, as whoever put it said.
    pub sha256: [u8; 32],
}

impl Cache {
    /// Opens a folder of at most `max_size` bytes, made where it is absent; half-written files of
    /// an earlier process go. `largest` is the size of the largest thing that is fetched.
    ///
    /// # Errors
    /// Which option is not usable and why.
    pub fn open(folder: &Path, max_size: u64, largest: u64) -> Result<Cache, String> {
        if max_size < largest {
            return Err(format!(
                "cache.max_size, {max_size} bytes, holds no resource of the size that \
                 outbound.max_size allows, {largest} bytes"
            ));
        }
        let unusable =
            |e: io::Error| format!("cache.dir: {} cannot be used: {e}", folder.display());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(unusable)?;
        let cache = Cache {
            folder: folder.to_owned(),
            max_size,
            changing: Mutex::new(()),
        };
        for entry in fs::read_dir(folder).map_err(unusable)? {
            let path = entry.map_err(unusable)?.path();
            if path.extension().is_some_and(|e| e == "new") {
                fs::remove_file(&path).map_err(unusable)?;
            }
        }
        let probe = folder.join("probe.new");
        private(&probe)
            .and_then(|mut file| file.write_all(b"umpire"))
            .and_then(|()| fs::remove_file(&probe))
            .map_err(unusable)?;
        cache.shrink();
        Ok(cache)
    }

    fn paths(&self, url: &str) -> (PathBuf, PathBuf) {
        let name: String = digest(&SHA256, url.as_bytes())
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        (
            self.folder.join(&name),
            self.folder.join(format!("{name}.etag")),
        )
    }

    /// What is kept of a URL (as [`crate::Source::shown`] gives it).
    pub fn find(&self, url: &str) -> Option<Kept> {
        let (content, note) = self.paths(url);
        let note = fs::read_to_string(note).ok()?;
        let (sha256, etag) = note.split_once('\n')?;
        let mut kept = Kept {
            etag: etag.to_owned(),
            sha256: [0; 32],
        };
        let digits = (sha256.len() == 64 && sha256.is_ascii()).then_some(sha256)?;
        for (i, byte) in kept.sha256.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * i..2 * i + 2)?, 16).ok()?;
        }
        // Used now, so that others go before it.
        let file = File::open(content).ok()?;
        let _ = file.set_modified(SystemTime::now());
        Some(kept)
    }

    /// Opens the content that is kept of a URL.
    ///
    /// # Errors
    /// Those of the file.
    pub fn content(&self, url: &str) -> io::Result<File> {
        File::open(self.paths(url).0)
    }

    /// Keeps content of a URL, and drops what was not used for the longest time where it is too
    /// much. What does not fit is not kept.
    ///
    /// # Errors
    /// Those of the folder; the entry is then gone.
    pub fn put(&self, url: &str, kept: &Kept, mut from: impl Read) -> io::Result<()> {
        let (content, note) = self.paths(url);
        let temporary = content.with_extension("new");
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let written = (|| {
            remove(&note)?;
            remove(&temporary)?;
            let mut file = private(&temporary)?;
            io::copy(&mut from, &mut file)?;
            fs::rename(&temporary, &content)?;
            // The note comes last: without it there is no entry.
            let sha256: String = kept.sha256.iter().map(|b| format!("{b:02x}")).collect();
            private(&temporary)?.write_all(format!("{sha256}\n{}", kept.etag).as_bytes())?;
            fs::rename(&temporary, &note)
        })();
        if written.is_err() {
            let _ = remove(&temporary).and_then(|()| remove(&content));
        }
        self.shrink();
        written
    }

    /// Drops what is kept of a URL.
    pub fn forget(&self, url: &str) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (content, note) = self.paths(url);
        let _ = remove(&note).and_then(|()| remove(&content));
    }

    /// Drops entries, the longest unused first, until the rest fits.
    fn shrink(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let metadata = entry.metadata().ok().filter(|m| m.is_file())?;
                let path = entry.path();
                let used = metadata.modified().ok()?;
                path.extension()
                    .is_none()
                    .then_some((used, metadata.len(), path))
            })
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in files {
            if total <= self.max_size {
                break;
            }
            let _ = remove(&path.with_extension("etag")).and_then(|()| remove(&path));
            total = total.saturating_sub(size);
        }
    }
}

fn private(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn kept(etag: &str) -> Kept {
        Kept {
            etag: etag.to_owned(),
            sha256: [7; 32],
        }
    }

    fn text(cache: &Cache, url: &str) -> String {
        io::read_to_string(cache.content(url).unwrap()).unwrap()
    }

    #[test]
    fn an_entry_comes_back_until_it_is_replaced_or_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/cache");
        let cache = Cache::open(&folder, 100, 100).unwrap();
        assert_eq!(cache.find("u"), None);
        cache.put("u", &kept("\"1\""), &b"one"[..]).unwrap();
        cache.put("u", &kept("\"2\""), &b"two"[..]).unwrap();
        // Another process finds it too, and no half-written file.
        fs::write(folder.join("x.new"), b"half").unwrap();
        let cache = Cache::open(&folder, 100, 100).unwrap();
        assert_eq!(cache.find("u"), Some(kept("\"2\"")));
        assert_eq!(text(&cache, "u"), "two");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        cache.forget("u");
        assert_eq!(cache.find("u"), None);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn the_longest_unused_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 10, 10).unwrap();
        let age = |url: &str, seconds| {
            let at = SystemTime::now() - Duration::from_secs(seconds);
            cache.content(url).unwrap().set_modified(at).unwrap();
        };
        for url in ["a", "b"] {
            cache.put(url, &kept("\"1\""), &b"1234"[..]).unwrap();
        }
        age("a", 20);
        age("b", 10);
        assert!(cache.find("a").is_some(), "and so used just now");
        cache.put("c", &kept("\"1\""), &b"1234"[..]).unwrap();
        assert_eq!(cache.find("b"), None);
        assert!(cache.find("a").is_some() && cache.find("c").is_some());
        cache
            .put("d", &kept("\"1\""), &b"more than fits"[..])
            .unwrap();
        assert_eq!(cache.find("d"), None);
    }

    #[test]
    fn a_folder_or_size_that_is_not_usable_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let problem = Cache::open(dir.path(), 9, 10).unwrap_err();
        assert!(problem.starts_with("cache.max_size"), "{problem}");
        let file = dir.path().join("file");
        fs::write(&file, b"").unwrap();
        let problem = Cache::open(&file.join("cache"), 10, 10).unwrap_err();
        assert!(problem.starts_with("cache.dir"), "{problem}");
    }
}
