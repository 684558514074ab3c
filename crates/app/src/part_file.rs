//! A file that gets its name when it is whole.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::exit::Failure;
use crate::interrupt::Interrupt;

/// A file under a name of its own beside the wanted one; gone again unless it is finished.
pub(crate) struct PartFile {
    wanted: PathBuf,
    part: PathBuf,
    file: File,
    interrupt: Interrupt,
    finished: bool,
}

impl PartFile {
    /// Makes it, which shows that the folder can be written.
    pub(crate) fn create(wanted: &Path, interrupt: &Interrupt) -> Result<PartFile, Failure> {
        if wanted.is_dir() {
            return Err(failed(wanted, "it is a folder"));
        }
        let mut part = wanted.as_os_str().to_owned();
        part.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(part);
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&part)
            .map_err(|e| failed(wanted, &e.to_string()))?;
        interrupt.removes(part.clone());
        Ok(PartFile {
            wanted: wanted.to_owned(),
            part,
            file,
            interrupt: interrupt.clone(),
            finished: false,
        })
    }

    /// The name that it will have.
    pub(crate) fn wanted(&self) -> &Path {
        &self.wanted
    }

    /// Gives it its name, once it is on the disk; what had the name is replaced.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.file
            .sync_all()
            .and_then(|()| std::fs::rename(&self.part, &self.wanted))
            .map_err(|e| failed(&self.wanted, &e.to_string()))?;
        self.finished = true;
        self.interrupt.keeps(&self.part);
        Ok(())
    }

    /// An error while it was written.
    pub(crate) fn failed(&self, error: &io::Error) -> Failure {
        failed(&self.wanted, &error.to_string())
    }
}

impl Write for PartFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.finished {
            // What stays of it is named as what it is.
            let _ = std::fs::remove_file(&self.part);
            self.interrupt.keeps(&self.part);
        }
    }
}

fn failed(wanted: &Path, problem: &str) -> Failure {
    Failure::Local(format!("{} cannot be written: {problem}", wanted.display()))
}
