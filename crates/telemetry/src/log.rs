//! Logging: levels, the two forms, and the writer that never blocks a call.

use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use faults::Fault;
use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Registry, reload};

use crate::{CallContext, Surface, may_log_args};

/// Lines that wait for the writer's thread, in bytes; beyond it lines are dropped.
const BACKLOG_BYTES: usize = 4 << 20;
/// How long the writer's thread gathers lines before it writes them.
const GATHER: Duration = Duration::from_millis(10);

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For a reader at a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// Text where standard error is a terminal, else JSON lines.
    pub fn detect() -> Format {
        if io::stderr().is_terminal() {
            Format::Text
        } else {
            Format::Json
        }
    }
}

/// How to log.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// The form of lines.
    pub format: Format,
    /// The least level that is written.
    pub level: Level,
}

/// Lines on their way to standard error, written by a thread of their own. Handing a line over
/// takes a lock and a copy; the thread gathers what comes within 10 ms into one write.
pub struct Writer {
    shared: Mutex<Shared>,
    wake: Condvar,
    written: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Shared {
    lines: Vec<u8>,
    writing: bool,
}

impl Writer {
    /// Starts the thread that writes into `sink`.
    pub fn start(mut sink: impl Write + Send + 'static) -> io::Result<Arc<Writer>> {
        let writer = Arc::new(Writer {
            shared: Mutex::default(),
            wake: Condvar::new(),
            written: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let for_thread = Arc::downgrade(&writer);
        std::thread::Builder::new()
            .name("log".into())
            .stack_size(128 * 1024)
            .spawn(move || {
                let mut batch = Vec::new();
                // The thread ends with the last handle.
                while let Some(writer) = for_thread.upgrade() {
                    writer.take(&mut batch);
                    if batch.is_empty() {
                        continue;
                    }
                    // A log that cannot be written must not end the process.
                    let _ = sink.write_all(&batch).and_then(|()| sink.flush());
                    batch.clear();
                    writer.lock().writing = false;
                    writer.written.notify_all();
                    drop(writer);
                    std::thread::sleep(GATHER);
                }
            })?;
        Ok(writer)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Swaps the waiting lines into `batch`; waits for some, at most a second.
    fn take(&self, batch: &mut Vec<u8>) {
        let mut shared = self.lock();
        if shared.lines.is_empty() {
            shared = self
                .wake
                .wait_timeout_while(shared, Duration::from_secs(1), |s| s.lines.is_empty())
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        std::mem::swap(&mut shared.lines, batch);
        shared.writing = !batch.is_empty();
    }

    /// Hands over one or more whole lines.
    pub fn write_line(&self, line: &[u8]) {
        let first = {
            let mut shared = self.lock();
            if shared.lines.len() + line.len() > BACKLOG_BYTES {
                self.dropped.fetch_add(1, Relaxed);
                return;
            }
            let first = shared.lines.is_empty();
            shared.lines.extend_from_slice(line);
            first && !shared.writing
        };
        if first {
            self.wake.notify_one();
        }
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Waits, at most `limit`, until all lines handed over are written.
    pub fn flush(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut shared = self.lock();
        while !shared.lines.is_empty() || shared.writing {
            let Some(left) = end.checked_duration_since(Instant::now()) else {
                return;
            };
            shared = self
                .written
                .wait_timeout(shared, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// What `tracing` writes one event into: whole lines go to the [`Writer`] when it is dropped.
pub struct LineBuffer<'a> {
    line: Vec<u8>,
    writer: &'a Writer,
}

impl Write for LineBuffer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LineBuffer<'_> {
    fn drop(&mut self) {
        self.writer.write_line(&self.line);
    }
}

struct Sink(Arc<Writer>);

impl<'a> MakeWriter<'a> for Sink {
    type Writer = LineBuffer<'a>;

    fn make_writer(&'a self) -> LineBuffer<'a> {
        LineBuffer {
            line: Vec::with_capacity(256),
            writer: &self.0,
        }
    }
}

/// The level in force, so that it can be changed.
static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Sets up logging for this process: lines of `options.level` and graver go to standard error
/// through the writer that is returned (hand it to [`crate::Telemetry::with_access_log`], and
/// flush it before the process ends). A second call leaves the first one's set-up.
pub fn init_logging(options: LogOptions) -> io::Result<Arc<Writer>> {
    let writer = Writer::start(io::stderr())?;
    let sink = Sink(writer.clone());
    let (filter, level) = reload::Layer::new(LevelFilter::from_level(options.level));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_writer(sink);
    let set = match options.format {
        Format::Json => {
            let layer = layer
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false);
            tracing::subscriber::set_global_default(registry.with(layer))
        }
        Format::Text => {
            let colours = io::stderr().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            tracing::subscriber::set_global_default(registry.with(layer.with_ansi(colours)))
        }
    };
    // An error means that logging was set up before, which stays.
    if set.is_ok() {
        let _ = LEVEL.set(level);
    }
    Ok(writer)
}

/// Lets lines of another level and graver be written from now on, where [`init_logging`] was
/// called.
pub fn set_level(level: Level) {
    if let Some(handle) = LEVEL.get() {
        // It fails only when the subscriber is gone, and then nothing is logged at all.
        let _ = handle.reload(LevelFilter::from_level(level));
    }
}

/// The log line of a fault. The level follows from whose failure it is.
pub(crate) fn fault_line(fault: &Fault, surface: Surface, call: CallContext<'_>) {
    let class = fault.class();
    let code = fault.details().first().map(|d| d.code.as_ref());
    let target = fault.details().first().and_then(|d| d.target.as_deref());
    let args = fault
        .details()
        .first()
        .filter(|d| may_log_args(class) && !d.args.is_empty())
        .map(|d| d.args.join(", "));
    // The cause of a refused cell may quote the cell.
    let cause = fault
        .cause()
        .filter(|_| class != faults::Class::BadUserArgument);
    let endpoint = (!call.endpoint.is_empty()).then_some(call.endpoint);
    let request_id = (!call.request_id.is_empty()).then_some(call.request_id);
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                class = class.name(),
                code,
                target,
                args,
                cause,
                surface = surface.name(),
                endpoint,
                request_id,
                "fault"
            )
        };
    }
    match class.status() {
        503 | 504 => line!(warn),
        500.. => line!(error),
        _ => line!(info),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    struct Channel(mpsc::Sender<Vec<u8>>);
    impl Write for Channel {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .send(bytes.to_vec())
                .map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_arrive_in_order_and_flush_waits_for_them() {
        let (sender, receiver) = mpsc::channel();
        let writer = Writer::start(Channel(sender)).unwrap();
        for i in 0..100 {
            writer.write_line(format!("{i}\n").as_bytes());
        }
        writer.flush(Duration::from_secs(30));
        let got: Vec<u8> = receiver.try_iter().flatten().collect();
        let want: String = (0..100).map(|i| format!("{i}\n")).collect();
        assert_eq!(String::from_utf8(got).unwrap(), want);
        assert_eq!(writer.dropped(), 0);
    }

    #[test]
    fn a_sink_that_stands_still_makes_lines_drop_not_wait() {
        struct Stuck(mpsc::Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (release, blocked) = mpsc::channel();
        let writer = Writer::start(Stuck(blocked)).unwrap();
        let line = vec![b'x'; 1 << 20];
        for _ in 0..12 {
            writer.write_line(&line);
        }
        assert!(writer.dropped() > 0);
        drop(release);
    }
}
