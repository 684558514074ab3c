//! `umpire backup` and `umpire restore`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use store::RestoreOptions;

use super::{Common, Connect, flag};
use crate::exit::Failure;
use crate::term;

/// Write the whole state into one file: the ledger as it stands at one moment, and its blobs.
///
/// The server goes on serving and deploying. The master key is not in a backup, and without it a
/// backup is of no use: keep both, apart.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file to write, or - for standard output
    file: PathBuf,
    /// Read the data directory itself; no server may run on it
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Backup {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let written = if self.offline {
            let store = common.open_store(self.connect.data.as_deref())?;
            let backup = store.backup().map_err(Failure::Start)?;
            to_file(&self.file, |out| {
                let length = backup.length();
                backup.write(out).map_err(Failure::from_disk)?;
                Ok(length)
            })?
        } else {
            let (_, client) = common.connect(&self.connect)?;
            to_file(&self.file, |out| client.backup(out))?
        };
        term::note(
            "backup",
            &format!(
                "{} written; the master key is not in it",
                term::bytes(written)
            ),
        );
        Ok(())
    }
}

/// Puts a backup into an empty data directory.
///
/// Everything is checked before anything is put in place: that the file is whole and unchanged,
/// that this program knows its version, and that the master key opens it. Put the master key's file
/// to secrets/master.key in the data directory first, or name it with --set master_key_file=FILE.
/// The operator's token is made anew at the next start.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup, or - for standard input
    file: PathBuf,
    /// The data directory; no server may run on it [default: ./umpire-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Move what is in the data directory aside
    #[arg(long)]
    force: bool,
}

impl Restore {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let mut flags = Vec::new();
        let data = self.data.as_ref().map(|p| p.to_string_lossy());
        flag(&mut flags, "data", "--data", data.as_deref());
        let settings = common.settings(flags)?.settings;
        let options = RestoreOptions {
            master_key: settings.master_key_file.clone(),
            replace: self.force,
        };
        let restored = match self.file.as_os_str() == "-" {
            true => store::restore(io::stdin().lock(), &settings.data, &options),
            false => store::restore(open(&self.file)?, &settings.data, &options),
        };
        let restored = restored.map_err(|problem| Failure::Local(problem.to_string()))?;
        term::line(&format!(
            "restored the backup of {} with {} blobs into {}",
            restored.created,
            restored.blobs,
            settings.data.display()
        ));
        if let Some(aside) = restored.replaced {
            term::line(&format!("what was there is kept in {}", aside.display()));
        }
        Ok(())
    }
}

pub(super) fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|e| Failure::Local(format!("{} cannot be read: {e}", path.display())))
}

/// Writes a file, whole or not at all, or standard output.
pub(super) fn to_file<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, Failure>,
) -> Result<T, Failure> {
    if path.as_os_str() == "-" {
        let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
        let result = write(&mut out)?;
        out.flush().map_err(Failure::from_disk)?;
        return Ok(result);
    }
    let failed =
        |e: io::Error| Failure::Local(format!("{} cannot be written: {e}", path.display()));
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)
        .map_err(failed)?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let result = write(&mut out).and_then(|result| {
        out.flush()
            .and_then(|()| out.get_ref().sync_all())
            .and_then(|()| std::fs::rename(&part, path))
            .map_err(failed)?;
        Ok(result)
    });
    if result.is_err() {
        // What stays of it is named as what it is.
        let _ = std::fs::remove_file(&part);
    }
    result
}
