//! Restoring a backup into a data directory.
//!
//! Everything is unpacked into `restoring/` and checked there first: hashes, versions, and that the
//! master key opens the ledger. Only then it is put in place, the ledger last. A directory in which
//! `restoring/` stands is one of a restore that was cut off: no server starts on it, and the restore
//! can be run again.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use crate::archive::{self, ArchiveProblem, MANIFEST, Reader, problem};
use crate::backup::{FORMAT, LEDGER, Manifest, SEAL, SEAL_CONTEXT, VERSION, object_id};
use crate::blob_containers::OBJECTS;
use crate::lock::Lock;
use crate::migrations::MIGRATIONS;
use crate::{Sealer, Sha256, SystemBlob, files, rows};

/// Where a restore unpacks.
pub(crate) const STAGING: &str = "restoring";
/// What the name begins with under which the former content is kept.
const REPLACED: &str = "replaced-";

/// How a backup is restored.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// The master key's file; `None` for `secrets/master.key` in the data directory, where it has
    /// to be put first.
    pub master_key: Option<PathBuf>,
    /// Whether what stands in the data directory is moved aside.
    pub replace: bool,
}

/// What was restored.
#[derive(Debug, Clone)]
pub struct Restored {
    /// When the backup was made, RFC 3339.
    pub created: String,
    /// Blobs.
    pub blobs: usize,
    /// Where the former content of the directory was moved.
    pub replaced: Option<PathBuf>,
}

/// Restores a backup into a data directory that is empty but for the master key.
///
/// # Errors
/// What is wrong with the directory, the key or the backup, for an operator to read. The directory
/// is then as it was, unless the disk failed while the last files were put in place.
pub fn restore(
    backup: impl Read,
    dir: &Path,
    options: &RestoreOptions,
) -> Result<Restored, ArchiveProblem> {
    let unusable = |e: io::Error| problem(format!("{} cannot be used: {e}", dir.display()));
    files::make_folder(dir).map_err(unusable)?;
    let _lock = Lock::take(&dir.join("lock"))
        .map_err(|fault| problem(fault.cause().unwrap_or_default()))?;
    let staging = dir.join(STAGING);
    let unfinished = staging.exists() && !dir.join(LEDGER).exists();
    let in_the_way: Vec<String> = in_the_way(dir, unfinished).map_err(unusable)?;
    if !in_the_way.is_empty() && !options.replace {
        return Err(problem(format!(
            "{} is not empty ({}): name another directory, or have what is there moved aside",
            dir.display(),
            in_the_way.join(", ")
        )));
    }
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(unusable)?;
    }
    files::private_folder(&staging).map_err(unusable)?;
    let unpacked = unpack(backup, dir, &staging, options);
    let manifest = match unpacked {
        Ok(manifest) => manifest,
        Err(problem) => {
            // What is left of it is in nobody's way; the reason is what counts.
            let _ = fs::remove_dir_all(&staging);
            return Err(problem);
        }
    };
    let replaced = put_in_place(dir, &staging, &in_the_way, unfinished).map_err(unusable)?;
    let blobs = manifest.files.iter().filter(|f| f.name != LEDGER).count();
    Ok(Restored {
        created: manifest.created,
        blobs,
        replaced,
    })
}

/// What stands in the directory and is none of what may: names, sorted.
fn in_the_way(dir: &Path, unfinished: bool) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // What an operator may have put there before, and what is of any state.
        let harmless = matches!(
            name.as_str(),
            "lock" | "secrets" | "modules.d" | "tls" | "cache" | "lost+found" | STAGING
        ) || name.starts_with(REPLACED)
            || (unfinished && matches!(name.as_str(), "blobs" | OBJECTS));
        if !harmless {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Unpacks and checks everything.
fn unpack(
    backup: impl Read,
    dir: &Path,
    staging: &Path,
    options: &RestoreOptions,
) -> Result<Manifest, ArchiveProblem> {
    let (mut archive, ended) = archive::open(BufReader::with_capacity(1 << 20, backup));
    let mut reader = Reader::new(&mut archive, ended)?;
    let bytes = reader.small(MANIFEST)?;
    let manifest = read_manifest(&bytes)?;
    let seal = reader.small(SEAL)?;
    let own = crate::own_master_key_file(dir);
    let key_file = options.master_key.as_deref().unwrap_or(&own);
    if !key_file.exists() {
        return Err(problem(format!(
            "the master key is in no backup: put its file to {} first, or name it with \
             UMPIRE_MASTER_KEY_FILE",
            key_file.display()
        )));
    }
    let sealer =
        Sealer::from_file(key_file).map_err(|fault| problem(fault.cause().unwrap_or_default()))?;
    let hash = Sha256::of(&bytes).to_string();
    if sealer.open(&seal, SEAL_CONTEXT).ok().as_deref() != Some(hash.as_bytes()) {
        return Err(problem(format!(
            "{} is not the master key that the backup was made under, or the backup's manifest \
             was changed",
            key_file.display()
        )));
    }
    let blobs = staging.join("blobs");
    let failed = |e: io::Error| problem(format!("{} cannot be written: {e}", staging.display()));
    files::private_folder(&blobs.join("system")).map_err(failed)?;
    let objects = staging.join(OBJECTS);
    files::private_folder(&objects).map_err(failed)?;
    let mut folders = BTreeSet::new();
    for file in &manifest.files {
        check_name(&file.name, &file.sha256)?;
        let path = staging.join(&file.name);
        if let Some(folder) = path.parent().filter(|parent| parent.starts_with(&objects)) {
            files::make_folder(folder).map_err(failed)?;
            folders.insert(folder.to_owned());
        }
        let target = files::new_private_file(&path).map_err(failed)?;
        let mut target = BufWriter::with_capacity(1 << 20, target);
        reader.copy(file, &mut target)?;
        target.flush().map_err(failed)?;
        target.get_ref().sync_all().map_err(failed)?;
    }
    reader.end()?;
    if !manifest.files.iter().any(|file| file.name == LEDGER) {
        return Err(problem("the backup holds no ledger"));
    }
    check_ledger(&staging.join(LEDGER), &sealer)?;
    folders
        .into_iter()
        .chain([objects, blobs.join("system"), blobs, staging.to_path_buf()])
        .try_for_each(|folder| files::sync_folder(&folder))
        .map_err(failed)?;
    Ok(manifest)
}

fn read_manifest(bytes: &[u8]) -> Result<Manifest, ArchiveProblem> {
    let head: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|e| problem(format!("the manifest: {e}")))?;
    if head["format"] != FORMAT {
        return Err(problem("it is no backup of umpire's"));
    }
    if head["version"]
        .as_u64()
        .is_none_or(|v| v > u64::from(VERSION))
    {
        return Err(problem(format!(
            "the backup was made by a newer umpire ({}): its form {} is not known here",
            head["umpire"].as_str().unwrap_or("of unknown version"),
            head["version"]
        )));
    }
    let manifest: Manifest =
        serde_json::from_value(head).map_err(|e| problem(format!("the manifest: {e}")))?;
    if manifest.ledger_version as usize > MIGRATIONS.len() {
        return Err(problem(format!(
            "the backup was made by a newer umpire ({}): its ledger has version {} and this \
             program knows versions up to {}",
            manifest.umpire,
            manifest.ledger_version,
            MIGRATIONS.len()
        )));
    }
    Ok(manifest)
}

/// Refuses what leads elsewhere than a backup's files do.
fn check_name(name: &str, sha256: &str) -> Result<(), ArchiveProblem> {
    let document = SystemBlob::ClusterConfiguration.name();
    let fits = match name.strip_prefix("blobs/") {
        None => name == LEDGER || object_id(name).is_some(),
        Some(blob) => blob == document || (blob == sha256 && Sha256::parse(blob).is_some()),
    };
    match fits {
        true => Ok(()),
        false => Err(problem(format!("\"{name}\" is no file of a backup"))),
    }
}

/// That the ledger is one and opens under the key.
fn check_ledger(path: &Path, sealer: &Sealer) -> Result<(), ArchiveProblem> {
    let unreadable = |e: &dyn std::fmt::Display| problem(format!("the backup's ledger: {e}"));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(path, flags).map_err(|e| unreadable(&e))?;
    let verdict: String = connection
        .pragma_query_value(None, "quick_check", |row| row.get(0))
        .map_err(|e| unreadable(&e))?;
    if verdict != "ok" {
        return Err(unreadable(&verdict));
    }
    match rows::opens(&connection, sealer) {
        Ok(true) => Ok(()),
        Ok(false) => Err(problem("the master key does not open the backup's ledger")),
        Err(_) => Err(unreadable(&"its key check cannot be read")),
    }
}

/// Moves the former content aside and the new into its place; the ledger makes it whole.
fn put_in_place(
    dir: &Path,
    staging: &Path,
    former: &[String],
    unfinished: bool,
) -> io::Result<Option<PathBuf>> {
    let mut replaced = None;
    if !former.is_empty() {
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%S%.6fZ");
        let aside = dir.join(format!("{REPLACED}{time}"));
        files::private_folder(&aside)?;
        // The ledger first: without it nothing starts on what is left.
        let (ledger, rest): (Vec<_>, Vec<_>) =
            former.iter().partition(|name| name.starts_with(LEDGER));
        for name in ledger.into_iter().chain(rest) {
            fs::rename(dir.join(name), aside.join(name))?;
        }
        files::sync_folder(&aside)?;
        replaced = Some(aside);
    }
    for name in ["blobs", OBJECTS] {
        let folder = dir.join(name);
        if unfinished && folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::rename(staging.join(name), &folder)?;
    }
    files::sync_folder(dir)?;
    fs::rename(staging.join(LEDGER), dir.join(LEDGER))?;
    files::sync_folder(dir)?;
    fs::remove_dir_all(staging)?;
    files::sync_folder(dir)?;
    Ok(replaced)
}
