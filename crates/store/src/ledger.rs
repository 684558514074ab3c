//! The ledger: an SQLite file with one writer and a pool of readers.

use std::any::Any;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use faults::{Class, Fault};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::{Semaphore, oneshot};

use crate::directory::{Directory, Entry};
use crate::failures::Failures;
use crate::migrations::{MIGRATIONS, migrate};
use crate::retention::Retention;
use crate::{Id, Sealer, operations, rows, tokens, workspaces};

/// The installation's state, durable.
///
/// All writes go through one thread, each in a transaction of its own that is synced to the disk
/// before the caller is answered, and that puts a fresh [`Directory`] in place in the same
/// moment. Reads come from a few connections of their own and never wait for a write.
pub struct Ledger {
    /// Closed first when the ledger is dropped, so that the writer ends.
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    readers: Arc<Readers>,
    directory: Arc<ArcSwap<Directory>>,
    retention: Arc<ArcSwap<Retention>>,
    pub(crate) sealer: Arc<Sealer>,
    /// Audit lines that wait to be written.
    pub(crate) failures: Arc<Failures>,
}

type Job = Box<dyn FnOnce(&mut Writer) + Send>;

/// Why a step in a transaction ended.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The ledger itself failed; the operation says by which row.
    Ledger(rusqlite::Error),
    /// A fault of the call's own.
    Fault(Fault),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Failure::Ledger(error)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::Fault(fault)
    }
}

impl Failure {
    /// The fault for the caller; `row` is what a failure of the ledger itself is called.
    pub(crate) fn into_fault(self, row: fn() -> Fault) -> Fault {
        match self {
            Failure::Ledger(error) => row().caused_by(&error).because("the ledger failed"),
            Failure::Fault(fault) => fault,
        }
    }
}

/// A transaction that changes the ledger.
pub(crate) struct Change<'a> {
    pub(crate) transaction: &'a Transaction<'a>,
    pub(crate) sealer: &'a Sealer,
    /// How long records are kept.
    pub(crate) retention: Retention,
    /// Services whose entries in the directory are read again before the commit.
    touched: Vec<Id>,
    workspaces_touched: bool,
    tokens_touched: bool,
}

impl Change<'_> {
    /// Says that the directory's entries of a service are no longer true.
    pub(crate) fn touch(&mut self, service: Id) {
        self.touched.push(service);
    }

    /// Says that the directory's workspaces are no longer true.
    pub(crate) fn touch_workspaces(&mut self) {
        self.workspaces_touched = true;
    }

    /// Says that the directory's tokens are no longer true.
    pub(crate) fn touch_tokens(&mut self) {
        self.tokens_touched = true;
    }
}

impl Ledger {
    /// Opens the ledger file, made where it is absent, brings its schema up to date, checks that
    /// the master key is the one it was written with, and reads the directory.
    ///
    /// # Errors
    /// `InternalError` with the reason in its cause.
    pub(crate) fn open(
        path: &Path,
        sealer: Arc<Sealer>,
        installation: &rows::Installation,
    ) -> Result<Ledger, Fault> {
        let refused = |e: rusqlite::Error| {
            Fault::bare(Class::InternalError)
                .caused_by(&e)
                .because(format!("the ledger {} cannot be opened", path.display()))
        };
        let mut connection = connect(path).map_err(refused)?;
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .map_err(refused)?;
        migrate(&mut connection, MIGRATIONS)?;

        let unusable = |f: Failure| {
            f.into_fault(|| Fault::bare(Class::InternalError))
                .because(format!("the ledger {} cannot be used", path.display()))
        };
        let mut writer = Writer {
            file: LedgerFile::of(path).map_err(unusable)?,
            connection,
            sealer: sealer.clone(),
            directory: Arc::default(),
            retention: Arc::default(),
        };
        writer.load(installation).map_err(unusable)?;

        let directory = writer.directory.clone();
        let retention = writer.retention.clone();
        let file = writer.file.clone();
        let (jobs, queue) = mpsc::channel::<Job>();
        let writer = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || {
                while let Ok(job) = queue.recv() {
                    // A panic rolls the transaction back as it unwinds; the caller gets a fault
                    // and the next job its turn.
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| job(&mut writer))) {
                        tracing::error!(
                            panic = panic_text(&*panic),
                            "a write to the ledger panicked"
                        );
                    }
                }
            })
            .map_err(|e| {
                Fault::bare(Class::InternalError)
                    .caused_by(&e)
                    .because("the ledger's thread cannot be started")
            })?;
        Ok(Ledger {
            jobs: Some(jobs),
            writer: Some(writer),
            readers: Arc::new(Readers {
                file,
                idle: Mutex::default(),
                permits: Arc::new(Semaphore::new(READERS)),
            }),
            directory,
            retention,
            sealer,
            failures: Arc::default(),
        })
    }

    /// Lets records be kept so long from now on.
    pub(crate) fn set_retention(&self, retention: Retention) {
        self.retention.store(Arc::new(retention));
    }

    /// Where the ledger's file stands.
    pub(crate) fn path(&self) -> &Path {
        &self.readers.file.path
    }

    /// The newest snapshot of what the scoring path needs. Neither waits nor allocates.
    pub fn directory(&self) -> Guard<Arc<Directory>> {
        self.directory.load()
    }

    /// Runs `change` in a transaction on the writer's thread and answers when it is durable and
    /// the directory shows it. A failure of the ledger itself is called `row`.
    pub(crate) async fn write<T, F>(&self, row: fn() -> Fault, change: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut Change<'_>) -> Result<T, Failure> + Send + 'static,
    {
        self.write_and(row, change, |_| ()).await
    }

    /// As [`Ledger::write`]; `then` is told, before the next write begins, whether this one was
    /// committed.
    pub(crate) async fn write_and<T, F, A>(
        &self,
        row: fn() -> Fault,
        change: F,
        then: A,
    ) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut Change<'_>) -> Result<T, Failure> + Send + 'static,
        A: FnOnce(bool) + Send + 'static,
    {
        let answered = self.hand_over(row, change, then)?;
        answered.await.map_err(|_| gone(row))?
    }

    /// As [`Ledger::write_and`], for a thread that may wait.
    pub(crate) fn write_and_wait<T, F, A>(
        &self,
        row: fn() -> Fault,
        change: F,
        then: A,
    ) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut Change<'_>) -> Result<T, Failure> + Send + 'static,
        A: FnOnce(bool) + Send + 'static,
    {
        let answered = self.hand_over(row, change, then)?;
        answered.blocking_recv().map_err(|_| gone(row))?
    }

    /// Hands a write to the writer's thread.
    fn hand_over<T, F, A>(
        &self,
        row: fn() -> Fault,
        change: F,
        then: A,
    ) -> Result<oneshot::Receiver<Result<T, Fault>>, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut Change<'_>) -> Result<T, Failure> + Send + 'static,
        A: FnOnce(bool) + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |writer| {
            let result = writer.transact(change).map_err(|f| f.into_fault(row));
            then(result.is_ok());
            // A caller that has gone away leaves a write that is done or not, as any other.
            let _ = answer.send(result);
        });
        self.jobs
            .as_ref()
            .ok_or_else(|| gone(row))?
            .send(job)
            .map_err(|_| gone(row))?;
        Ok(answered)
    }

    /// Runs `change` like [`Ledger::write`] for somebody who does not wait for it. One that fails
    /// is a line in the log, which says `what` was to be written.
    pub(crate) fn write_later<F>(&self, what: &'static str, change: F)
    where
        F: FnOnce(&mut Change<'_>) -> Result<(), Failure> + Send + 'static,
    {
        let job: Job = Box::new(move |writer| {
            if let Err(failure) = writer.transact(change) {
                let fault = failure.into_fault(faults::internal_error::unknown_error);
                tracing::warn!(cause = fault.cause(), "{what} could not be written");
            }
        });
        // The queue is open for as long as the ledger is.
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
    }

    /// Runs `query` on a reader, away from the threads that serve calls.
    pub(crate) async fn read<T, F>(&self, query: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        let readers = self.readers.clone();
        let failed = faults::internal_error::unknown_error;
        let permit = readers
            .permits
            .clone()
            .acquire_owned()
            .await
            .map_err(|e| failed().caused_by(&e))?;
        tokio::task::spawn_blocking(move || {
            let result = readers.run(query);
            drop(permit);
            result
        })
        .await
        .map_err(|e| failed().caused_by(&e))?
    }

    /// Like [`Ledger::read`], for a query whose answer is put beside what the directory says: when
    /// this answers, the directory shows every write that the query has seen. A write is committed
    /// a moment before the directory shows it.
    pub(crate) async fn read_before_directory<T, F>(&self, query: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        let (change, found) = self
            .read(|connection| {
                // The number last: it covers what the query has seen.
                let found = query(connection)?;
                Ok((rows::change_number(connection)?, found))
            })
            .await?;
        while self.directory().change() < change {
            tokio::time::sleep(CATCH_UP).await;
        }
        Ok(found)
    }

    /// Like [`Ledger::read`] for a thread that may wait.
    pub(crate) fn read_blocking<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, Fault> {
        self.readers.run(query)
    }
}

/// The writer's thread answers no more.
fn gone(row: fn() -> Fault) -> Fault {
    row().because("the ledger's thread has ended or panicked")
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // It catches panics, so it ends in order.
            let _ = writer.join();
        }
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("path", &self.readers.file.path)
            .finish_non_exhaustive()
    }
}

/// How often it is looked whether the directory shows a write.
const CATCH_UP: Duration = Duration::from_micros(200);

/// How many reads run at the same time.
const READERS: usize = 4;

struct Readers {
    file: LedgerFile,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    fn run<T>(&self, query: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T, Fault> {
        let failed = |f: Failure| f.into_fault(faults::internal_error::unknown_error);
        self.file.check().map_err(failed)?;
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.file.path)
                .and_then(|c| {
                    c.pragma_update(None, "query_only", true)?;
                    Ok(c)
                })
                .map_err(|e| failed(e.into()))?,
        };
        let result = query(&connection);
        // After a failure of the file a fresh connection may be better; otherwise it is kept.
        if !matches!(result, Err(Failure::Ledger(_))) {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
        }
        result.map_err(failed)
    }
}

pub(crate) fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    // Other processes only ever read (a backup, an operator's shell); a lock of theirs is short.
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// The file behind the connections. One that was removed or replaced while they were open must
/// not be written to: what is written to it is gone with the process.
#[derive(Debug, Clone)]
struct LedgerFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl LedgerFile {
    fn of(path: &Path) -> Result<LedgerFile, Failure> {
        let metadata = std::fs::metadata(path).map_err(|e| file_failure(&e))?;
        Ok(LedgerFile {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    fn check(&self) -> Result<(), Failure> {
        let now = LedgerFile::of(&self.path)?;
        if (now.device, now.inode) != (self.device, self.inode) {
            return Err(file_failure(&"the file was replaced while it was in use"));
        }
        Ok(())
    }
}

fn file_failure(problem: &dyn std::fmt::Display) -> Failure {
    Failure::Ledger(rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR),
        Some(format!("the ledger file: {problem}")),
    ))
}

/// What the writer's thread owns. It alone replaces the directory.
struct Writer {
    file: LedgerFile,
    connection: Connection,
    sealer: Arc<Sealer>,
    directory: Arc<ArcSwap<Directory>>,
    retention: Arc<ArcSwap<Retention>>,
}

impl Writer {
    /// Prepares a ledger for use and reads the whole directory.
    fn load(&mut self, installation: &rows::Installation) -> Result<(), Failure> {
        let sealer = self.sealer.clone();
        let default_workspace = self.transact(|change| {
            rows::check_master_key(change.transaction, &sealer)?;
            let digest_key = rows::ensure_digest_key(change.transaction, &sealer)?;
            sealer.digest_under(&digest_key);
            let cut_off = operations::fail_cut_off(change)?;
            if cut_off > 0 {
                tracing::warn!(
                    cut_off,
                    "operations that were under way when the server ended have failed"
                );
            }
            let default_workspace = rows::ensure_installation(change, installation)?;
            workspaces::ensure_tokens(change)?;
            Ok(default_workspace)
        })?;
        let transaction = self.connection.transaction()?;
        let mut directory = Directory::default();
        directory.set_change(rows::change_number(&transaction)?);
        directory.set_drained(rows::drained(&transaction)?);
        directory.set_default_workspace(default_workspace);
        directory.put_workspaces(workspaces::workspaces(&transaction)?);
        let mut by_service: HashMap<Id, Vec<Entry>> = HashMap::new();
        for entry in rows::entries(&transaction, None)? {
            by_service.entry(entry.service).or_default().push(entry);
        }
        for (service, entries) in by_service {
            directory.put_service(service, entries);
        }
        directory.put_tokens(tokens::read(&transaction)?);
        drop(transaction);
        self.directory.store(Arc::new(directory));
        Ok(())
    }

    fn transact<T>(
        &mut self,
        change: impl FnOnce(&mut Change<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.file.check()?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut step = Change {
            transaction: &transaction,
            sealer: &self.sealer,
            retention: **self.retention.load(),
            touched: Vec::new(),
            workspaces_touched: false,
            tokens_touched: false,
        };
        let result = change(&mut step)?;
        let Change {
            touched,
            workspaces_touched,
            tokens_touched,
            ..
        } = step;
        let number = rows::count_change(&transaction)?;

        // The directory's new parts are read inside the transaction: once it is committed nothing
        // can fail that would leave the directory behind.
        let mut fresh = Vec::new();
        for service in touched {
            let entries = rows::entries(&transaction, Some(service))?;
            fresh.push((service, entries));
        }
        let all_workspaces = workspaces_touched
            .then(|| workspaces::workspaces(&transaction))
            .transpose()?;
        let drained = rows::drained(&transaction)?;
        let tokens = tokens_touched
            .then(|| tokens::read(&transaction))
            .transpose()?;
        transaction.commit()?;

        let mut directory = Directory::clone(&self.directory.load());
        directory.set_change(number);
        directory.set_drained(drained);
        for (service, entries) in fresh {
            directory.put_service(service, entries);
        }
        if let Some(all) = all_workspaces {
            directory.put_workspaces(all);
        }
        if let Some(tokens) = tokens {
            directory.put_tokens(tokens);
        }
        self.directory.store(Arc::new(directory));
        Ok(result)
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}
