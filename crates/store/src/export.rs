//! One service in one file: its definition, its endpoints and the blobs that they need, for another
//! installation.
//!
//! Keys and secrets are not in it. The manifest names the secrets that were left out.

use std::io::{self, BufReader, Read, Write};

use faults::{Class, Fault};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::archive::{
    self, ArchiveFile, ArchiveProblem, MANIFEST, Reader, Writer, length, problem,
};
use crate::blobs::Hold;
use crate::{Blobs, Sha256, Store};

/// What an export's manifest says that it is.
const FORMAT: &str = "umpire-service";
/// The version of the form of exports.
const VERSION: u32 = 1;

/// A service as it is exported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceFile {
    format: String,
    version: u32,
    /// The program that made it.
    pub umpire: String,
    /// RFC 3339.
    pub created: String,
    /// The service's name.
    pub name: String,
    /// Where it says that it runs.
    pub location: String,
    /// Its tags.
    pub tags: Map<String, Value>,
    /// `properties` of its Resource Manager definition; resources are named
    /// `umpire:sha256:{sha256}`.
    pub definition: Map<String, Value>,
    /// Secrets that were left out, by where they belong in the definition.
    pub secrets_left_out: Vec<String>,
    /// Its endpoints beside the default one.
    pub endpoints: Vec<ExportedEndpoint>,
    /// Its blobs.
    pub files: Vec<ArchiveFile>,
}

/// A further endpoint of an exported service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportedEndpoint {
    /// Its name.
    pub name: String,
    /// Its settings, as a PUT of the classic API takes them.
    pub settings: Map<String, Value>,
    /// The resources that it has another of than the default endpoint, by the asset's name.
    pub resources: Vec<(String, Sha256)>,
    /// Whether the rest of its definition is another than the default endpoint's, which the file
    /// does not hold.
    pub differs: bool,
}

/// An export that is ready to be written out.
pub struct Export {
    blobs: Blobs,
    manifest: Vec<u8>,
    files: Vec<ArchiveFile>,
    _hold: Hold,
}

impl std::fmt::Debug for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export")
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}

/// What an export says of its service.
#[derive(Debug, Clone)]
pub struct ExportedService {
    /// As in [`ServiceFile`].
    pub name: String,
    /// As in [`ServiceFile`].
    pub location: String,
    /// As in [`ServiceFile`].
    pub tags: Map<String, Value>,
    /// As in [`ServiceFile`].
    pub definition: Map<String, Value>,
    /// As in [`ServiceFile`].
    pub secrets_left_out: Vec<String>,
    /// As in [`ServiceFile`].
    pub endpoints: Vec<ExportedEndpoint>,
    /// The blobs that the definition and the endpoints name.
    pub blobs: Vec<Sha256>,
}

impl Store {
    /// Puts an export together; its blobs stay while it lives. May wait for the disk.
    ///
    /// # Errors
    /// `InternalError.ModelPackageInvalid` when a blob is not there; `InternalError` when the disk
    /// fails.
    pub fn export(&self, service: ExportedService) -> Result<Export, Fault> {
        let hold = self.blobs.hold();
        let mut names = service.blobs;
        names.sort_by_key(|sha256| sha256.0);
        names.dedup();
        let mut files = Vec::with_capacity(names.len());
        for sha256 in names {
            let size = self.blobs.size(&sha256)?.ok_or_else(|| {
                faults::internal_error::model_package_invalid()
                    .because(format!("blob {sha256} is not there"))
            })?;
            files.push(ArchiveFile {
                name: format!("blobs/{sha256}"),
                size,
                sha256: sha256.to_string(),
            });
        }
        let manifest = ServiceFile {
            format: FORMAT.to_owned(),
            version: VERSION,
            umpire: env!("CARGO_PKG_VERSION").to_owned(),
            created: Timestamp::now().to_string(),
            name: service.name,
            location: service.location,
            tags: service.tags,
            definition: service.definition,
            secrets_left_out: service.secrets_left_out,
            endpoints: service.endpoints,
            files: files.clone(),
        };
        let manifest = serde_json::to_vec_pretty(&manifest).map_err(|e| {
            Fault::bare(Class::InternalError)
                .caused_by(&e)
                .because("the manifest cannot be written")
        })?;
        Ok(Export {
            blobs: self.blobs.clone(),
            manifest,
            files,
            _hold: hold,
        })
    }
}

impl Export {
    /// How many bytes [`Export::write`] will write.
    pub fn length(&self) -> u64 {
        let sizes = self.files.iter().map(|file| file.size);
        length(std::iter::once(self.manifest.len() as u64).chain(sizes))
    }

    /// Writes the whole out. Waits for the disk and for `out`.
    ///
    /// # Errors
    /// Those of `out` and of the disk; `InvalidData` for a blob that is damaged.
    pub fn write(self, out: impl Write) -> io::Result<()> {
        let mut archive = Writer::new(out);
        archive.add(MANIFEST, self.manifest.len() as u64, &self.manifest[..])?;
        for file in &self.files {
            let content = self.blobs.open_named(&file.sha256)?;
            let hash = archive.add(&file.name, file.size, content)?;
            if hash.to_string() != file.sha256 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} is damaged or was changed: upload it again", file.name),
                ));
            }
        }
        archive.finish()?.flush()
    }
}

/// Reads an export; each of its blobs is handed to `take`.
///
/// # Errors
/// What is wrong with the file, for whoever has it; what `take` says.
pub fn read_export<E: From<ArchiveProblem>>(
    from: impl Read,
    mut take: impl FnMut(&ArchiveFile, &mut dyn Read) -> Result<(), E>,
) -> Result<ServiceFile, E> {
    let (mut archive, ended) = archive::open(BufReader::with_capacity(1 << 20, from));
    let mut reader = Reader::new(&mut archive, ended)?;
    let manifest = read_manifest(&reader.small(MANIFEST)?)?;
    for file in &manifest.files {
        if Sha256::parse(&file.sha256).is_none() || file.name != format!("blobs/{}", file.sha256) {
            return Err(problem(format!("\"{}\" is no file of an export", file.name)).into());
        }
        reader.pass(file, |content| take(file, content))?;
    }
    reader.end()?;
    Ok(manifest)
}

fn read_manifest(bytes: &[u8]) -> Result<ServiceFile, ArchiveProblem> {
    let head: Value =
        serde_json::from_slice(bytes).map_err(|e| problem(format!("the manifest: {e}")))?;
    if head["format"] != FORMAT {
        return Err(problem("it is no service that umpire exported"));
    }
    if head["version"]
        .as_u64()
        .is_none_or(|v| v > u64::from(VERSION))
    {
        return Err(problem(format!(
            "the service was exported by a newer umpire: the form {} is not known here",
            head["version"]
        )));
    }
    serde_json::from_value(head).map_err(|e| problem(format!("the manifest: {e}")))
}
