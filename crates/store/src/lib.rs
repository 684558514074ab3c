//! State and blobs: the ledger, the blob store and the sealing of secrets.
//!
//! A data directory belongs to one process at a time. In it stand `ledger.sqlite` (all records),
//! `blobs/` (content by its hash), `objects/` (content of workspaces' blobs), `secrets/` (the master key and the operator's token) and `lock`.

mod access;
mod actor;
mod archive;
mod backup;
mod blob_containers;
mod blobs;
mod directory;
mod endpoints;
mod export;
mod failures;
mod files;
mod groups;
mod id;
mod jobs;
mod ledger;
mod lists;
mod lock;
mod migrations;
mod names;
mod node;
mod operations;
mod operator;
mod plans;
mod restore;
mod retention;
mod revisions;
mod rotation;
mod rows;
mod seal;
mod services;
mod sharded;
mod tokens;
mod usage;
mod workspaces;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use faults::{Class, Fault};

pub use access::{Role, Scope};
pub use actor::Actor;
pub use archive::{ArchiveFile, ArchiveProblem};
pub use backup::Backup;
pub use blob_containers::{
    BlobAt, BlobContainer, BlobGrant, BlobInfo, BlobPage, BlobProblem, BlobReader, Block,
    BlockList, Condition, GrantProblem, MOST_BLOCKS, ObjectFile, ObjectWriter, Permission, Piece,
    SIGNED_VERSION, SyncedObject, UploadState,
};
pub use blobs::{Blobs, Incoming, Stored, Swept, SystemBlob, Upload};
pub use directory::{DEFAULT_ENDPOINT, Directory, Entry, Workspace};
pub use endpoints::{
    DiagnosticsLevel, EndpointMove, EndpointRevision, EndpointSettings, LOW_CONCURRENCY,
    NewEndpoint, OwnResource, Recording, ThrottleLevel,
};
pub use export::{Export, ExportedEndpoint, ExportedService, ServiceFile, read_export};
pub use failures::FailedChange;
pub use groups::{
    Group, GroupChange, GroupService, ModelPackageRecord, ModelPackageSummary, ModelPackageWrite,
    PackageResource, PackageStatus, Publication, ResourceKind, Slot, StoredResource,
};
pub use id::{Id, Sha256};
pub use jobs::{
    ApiVersion, Chunk, ChunkDone, ChunkLease, ChunkState, ClaimRules, ClaimedJob, JobCursor,
    JobLimits, JobRecord, JobState, NewChunk, NewJob, StagedOutput, UntidyJob,
};
pub use ledger::Ledger;
pub use lists::Within;
pub use names::{NameKey, ResourceName, Subscription, folded};
pub use operations::{Draft, Operation, OperationKind, OperationState};
pub use plans::{ASSOCIATIONS, Association, Plan, PlanTerm, PlanWrite, plan_name};
pub use restore::{RestoreOptions, Restored, restore};
pub use retention::{Pruned, Retention};
pub use revisions::{AuditLine, Revision, RevisionSummary};
pub use seal::{KeyDigest, Sealer, base64, random_key, random_token};
pub use services::{PatchWrite, ServiceWrite, WhichKey};
pub use tokens::{NewToken, TOKEN_PREFIX, Token};
pub use usage::{Counter, Meter, PlanUsage, UsageLine, Used, day_of};
pub use workspaces::{Sku, WorkspaceWrite};

use blob_containers::{OBJECTS, Objects};
use lock::Lock;
use operator::Operator;

/// How a data directory is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file of the master key; `None` for `secrets/master.key` in the data directory, which
    /// is made at the first start.
    pub master_key: Option<PathBuf>,
    /// The subscription that the default workspace is made in at the first start.
    pub subscription: String,
    /// How long a blob that no revision names is kept: the time between an upload and the deploy
    /// that names it.
    pub blob_grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            master_key: None,
            subscription: DEFAULT_SUBSCRIPTION.into(),
            blob_grace: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// The subscription of an installation that has not been given one.
pub const DEFAULT_SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
/// The resource group that the default workspace and services without one stand in.
pub const DEFAULT_RESOURCE_GROUP: &str = "default";

/// An opened data directory, locked against every other process until this value is dropped.
#[derive(Debug)]
pub struct Store {
    /// The records.
    pub ledger: Ledger,
    /// The content.
    pub blobs: Blobs,
    /// The content of workspaces' own blobs.
    pub(crate) objects: Objects,
    /// Seals secrets and digests keys.
    pub sealer: Arc<Sealer>,
    /// Counts what endpoints are used.
    pub meter: Meter,
    /// The id of this node: of the data directory, as long as it stands.
    pub node: Id,
    master_key: PathBuf,
    /// Held while the master key is changed.
    rotating: tokio::sync::Mutex<()>,
    operator: Operator,
    blob_grace: Duration,
    // Last, so that it goes last.
    _lock: Lock,
}

impl Store {
    /// Opens a data directory with the usual [`Options`]; `master_key` as there.
    ///
    /// # Errors
    /// As for [`Store::open_with`].
    pub fn open(dir: &Path, master_key: Option<&Path>) -> Result<Store, Fault> {
        Store::open_with(
            dir,
            &Options {
                master_key: master_key.map(Path::to_owned),
                ..Options::default()
            },
        )
    }

    /// Opens a data directory, made where it is absent: locks it, makes the master key and the
    /// operator's token at the first start, brings the ledger's schema up to date, and removes
    /// what a crash has left behind and blobs that nothing names.
    ///
    /// # Errors
    /// `Conflict` when another process holds the directory;
    /// `InternalError.ContainerValidationFailed` when the folder of blobs cannot be made or written;
    /// otherwise `InternalError`. The cause says what stands in the way and is meant for the
    /// operator.
    pub fn open_with(dir: &Path, options: &Options) -> Result<Store, Fault> {
        let failed = |what: &Path, e: std::io::Error| {
            Fault::bare(Class::InternalError)
                .caused_by(&e)
                .because(format!("{} cannot be used", what.display()))
        };
        files::make_folder(dir).map_err(|e| failed(dir, e))?;
        let lock_file = dir.join("lock");
        let lock = Lock::take(&lock_file)?;
        files::tighten_if_own(dir, &lock_file).map_err(|e| failed(dir, e))?;
        if dir.join(restore::STAGING).exists() {
            return Err(Fault::bare(Class::InternalError).because(format!(
                "a restore into {} was cut off: run it again",
                dir.display()
            )));
        }
        let ledger_file = dir.join("ledger.sqlite");
        let secrets = dir.join("secrets");
        files::private_folder(&secrets).map_err(|e| failed(&secrets, e))?;
        let master_key = options.master_key.clone();
        let master_key = master_key.unwrap_or_else(|| own_master_key_file(dir));
        rotation::settle(&master_key, &ledger_file)?;
        let sealer = Arc::new(match &options.master_key {
            Some(path) => Sealer::from_file(path)?,
            None => Sealer::from_own_file(&master_key, &ledger_file)?,
        });

        let node_file = dir.join(node::NODE_FILE);
        let node = node::read_or_make(&node_file).map_err(|e| failed(&node_file, e))?;

        let blobs = Blobs::open_folder(&dir.join("blobs"))?;
        let folder = dir.join(OBJECTS);
        let objects = Objects::open(&folder, &blobs).map_err(|e| failed(&folder, e))?;
        if !ledger_file.exists() {
            // Made here so that it, and the files that SQLite makes beside it, are private.
            files::new_private_file(&ledger_file).map_err(|e| failed(&ledger_file, e))?;
            files::sync_folder(dir).map_err(|e| failed(dir, e))?;
        }
        let ledger = Ledger::open(
            &ledger_file,
            sealer.clone(),
            &rows::Installation {
                workspace: ResourceName {
                    subscription: options.subscription.clone(),
                    resource_group: DEFAULT_RESOURCE_GROUP.into(),
                    name: "default".into(),
                },
            },
        )?;
        // The digests of the installation are known once its ledger is open.
        // After the ledger, which has the key of digests.
        let token_file = operator_token_file(dir);
        let operator = Operator::open(token_file.clone(), sealer.clone())
            .map_err(|e| failed(&token_file, e))?;
        let store = Store {
            ledger,
            blobs,
            objects,
            master_key,
            rotating: tokio::sync::Mutex::default(),
            sealer,
            meter: Meter::default(),
            node,
            operator,
            blob_grace: options.blob_grace,
            _lock: lock,
        };
        let swept = store.sweep()?;
        if swept.blobs > 0 {
            tracing::info!(
                blobs = swept.blobs,
                bytes = swept.bytes,
                "orphaned blobs were removed"
            );
        }
        Ok(store)
    }

    /// Whether the digest is that of the operator's token, as it stands in its file now. The time
    /// it takes does not depend on the digest.
    ///
    /// # Errors
    /// `InternalError.AdminAuthenticationFailed` when the file is gone or cannot be read.
    pub fn is_operator(&self, presented: &KeyDigest) -> Result<bool, Fault> {
        self.operator.matches(presented)
    }

    /// Whether the digest is that of any key or token of this installation. Does no I/O: the
    /// operator's token is taken as it was last read.
    pub fn key_known(&self, presented: &KeyDigest) -> bool {
        self.ledger.directory().key_known(presented) | self.operator.was(presented)
    }

    /// Bytes of the ledger's files.
    pub fn ledger_bytes(&self) -> u64 {
        let path = self.ledger.path();
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            std::fs::metadata(name).map_or(0, |metadata| metadata.len())
        };
        beside("") + beside("-wal")
    }

    /// Removes the blobs that no kept revision names and that are older than the grace, and what is
    /// left over of workspaces' blobs. May wait for the disk.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger or a folder cannot be read.
    pub fn sweep(&self) -> Result<Swept, Fault> {
        self.forget_old_uploads();
        let named = self.ledger.named_blobs()?;
        let blobs = self.blobs.sweep(&named, self.blob_grace)?;
        let named = || self.ledger.read_blocking(blob_containers::named_objects);
        let objects = self.objects.sweep(named)?;
        Ok(Swept {
            blobs: blobs.blobs + objects.blobs,
            bytes: blobs.bytes + objects.bytes,
        })
    }
}

/// Where the master key of a data directory stands, unless it is kept elsewhere.
pub fn own_master_key_file(dir: &Path) -> PathBuf {
    dir.join("secrets").join("master.key")
}

/// Where the operator's token of a data directory stands. Clients on the same machine that may
/// read it sign in with it.
pub fn operator_token_file(dir: &Path) -> PathBuf {
    dir.join("secrets").join("operator.token")
}
