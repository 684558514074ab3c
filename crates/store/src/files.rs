//! Folders and files that only the owner may read, written so that a crash leaves the old or the
//! new and never a part.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

/// Makes a folder of mode 0700 with its parents, or leaves the one that is there as it is.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    if !path.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            sync_folder(parent)?;
        }
    }
    Ok(())
}

/// Makes a folder of mode 0700 with its parents, or tightens the one that is there.
///
/// A folder that belongs to somebody else (a mounted volume, say) keeps its mode; the folders and
/// files beneath it are private all the same.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    make_folder(path)?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0
        && let Err(error) = fs::set_permissions(path, Permissions::from_mode(0o700))
    {
        tracing::warn!(folder = %path.display(), %error, "the folder is open to other users of this machine");
    }
    Ok(())
}

/// What the program puts into its data directory, beside the ledger's files.
const OWN_NAMES: [&str; 10] = [
    "lock",
    "node.id",
    "secrets",
    "blobs",
    "objects",
    "cache",
    "modules.d",
    "server.url",
    "tls",
    "sample",
];

/// Tightens the data directory if it is the program's alone: it belongs to whoever made the file
/// `lock` in it, and nothing else of anybody's stands in it. One that is shared (`/srv`, or worse
/// `/tmp`) keeps its mode, since others need it; what the program makes in it is private all the
/// same.
pub(crate) fn tighten_if_own(folder: &Path, lock: &Path) -> io::Result<()> {
    let own = |name: &OsStr| {
        name.to_str().is_some_and(|name| {
            OWN_NAMES.contains(&name)
                || name.starts_with("ledger.sqlite")
                || name.starts_with("replaced-")
        })
    };
    for entry in fs::read_dir(folder)? {
        if !own(&entry?.file_name()) {
            return Ok(());
        }
    }
    if fs::metadata(folder)?.uid() == fs::metadata(lock)?.uid() {
        private_folder(folder)?;
    }
    Ok(())
}

/// Opens a new file of mode 0600 for writing; one that exists is an error.
pub(crate) fn new_private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Writes a whole file of mode 0600: a temporary one first, synced, then renamed, then the folder
/// synced.
pub(crate) fn write_private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = Path::new(&temporary);
    // Only the holder of the data directory's lock comes here, so one that is there is left over
    // from a crash.
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = new_private_file(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    sync_folder(folder)
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_a_data_directory_of_our_own_is_tightened() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        let lock = folder.join("lock");
        fs::write(&lock, b"").unwrap();
        fs::write(folder.join("ledger.sqlite-wal"), b"").unwrap();
        fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        tighten_if_own(folder, &lock).unwrap();
        assert_eq!(mode(folder), 0o700);

        fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.join("letters"), b"").unwrap();
        tighten_if_own(folder, &lock).unwrap();
        assert_eq!(mode(folder), 0o755);
    }

    #[test]
    fn folders_and_files_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        private_folder(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&dir.path().join("a")), 0o700);

        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        private_folder(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);

        let file = folder.join("secret");
        write_private_file(&file, b"one").unwrap();
        assert_eq!(mode(&file), 0o600);
        // What a crash left behind is in nobody's way.
        fs::write(folder.join("secret.new"), b"half").unwrap();
        write_private_file(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }
}
