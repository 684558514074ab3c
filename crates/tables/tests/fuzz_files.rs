//! Fuzzing of the readers of files: files of every format as our own writer makes them, changed at
//! random, must be read or refused, and never end in a panic, an endless loop or memory that the
//! file is not worth; and how the bytes come in, and in what blocks they are read, must not matter.
//!
//! It runs for `FUZZ_SECONDS` (2 unless set) from `FUZZ_SEED` (the clock's unless set) and prints
//! how many files it tried. A failure prints seed and number, which give the same file again.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tables::files::{
    BadRows, Cutter, FileType, Format, RecordReader, Reject, TableWriter, UnpackLimits, Unpacker,
    read_head,
};
use tables::{Column, DataType, Field, Limits, Schema, Strings, Table, Values};

/// The system's, with the largest allocation noted.
struct Noting;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Noting = Noting;

// SAFETY: all is the system allocator's.
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The most that one allocation may be for files of a few kilobytes. A page of a Parquet file may
/// claim 2 GiB, for which memory is reserved and not touched.
const MOST: usize = 16 << 20;
const MOST_PARQUET: usize = 1 << 31;

const NAMES: [&str; 12] = [
    ".csv",
    ".tsv",
    ".nh.csv",
    ".nh.tsv",
    ".arff",
    ".parquet",
    ".csv.gz",
    ".csv.zst",
    ".arff.gz",
    ".tsv.zst",
    ".parquet.gz",
    ".nh.csv.gz",
];

fn table() -> Table {
    let schema = Schema::new(vec![
        Field::new("x", DataType::Double).nullable(),
        Field::new("n", DataType::Int32),
        Field::new("s \"'", DataType::String),
        Field::new("t", DataType::DateTime),
        Field::new("b", DataType::Boolean),
    ]);
    let numbers = Values::F64((0..40).map(|row| f64::from(row) / 7.0).collect());
    let present = (0..40).map(|row| row % 9 != 3).collect();
    let texts = ["a", "", "x,\ty", "q\"u'o", "li\nne", "?", "%{}", "é"];
    let texts: Strings = texts.iter().cycle().take(40).collect();
    let times: Vec<i64> = (0..40).map(|row| row * 86_399_000_000).collect();
    let columns = vec![
        Arc::new(Column::with_validity(numbers, present)),
        Arc::new(Column::from((0..40).collect::<Vec<i32>>())),
        Arc::new(Column::from(texts)),
        Arc::new(Column::from(times)),
        Arc::new(Column::from(
            (0..40).map(|row| row % 2 == 0).collect::<Vec<_>>(),
        )),
    ];
    Table::with_rows(Arc::new(schema.unwrap()), columns, 40)
}

/// A few bytes at a time.
struct Few<'a>(&'a [u8], usize);

impl Read for Few<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let few = out.len().min(self.1);
        self.0.read(&mut out[..few])
    }
}

/// What a file came to.
#[derive(Debug, PartialEq)]
enum Outcome {
    Refused,
    Read(Vec<u8>, Vec<Reject>),
}

fn read(bytes: &[u8], file: FileType, schema: &Arc<Schema>, few: usize, rows: usize) -> Outcome {
    let limits = UnpackLimits::default();
    let Ok(mut input) = Unpacker::new(Few(bytes, few), file.compression, limits) else {
        return Outcome::Refused;
    };
    let mut plain = Vec::new();
    if (&mut input).take(1 << 20).read_to_end(&mut plain).is_err() {
        return Outcome::Refused;
    }
    let Ok(Some(head)) = read_head(&plain, true, file.format, schema) else {
        return Outcome::Refused;
    };
    let limits = Limits::default();
    let reader = RecordReader::new(
        file.format,
        schema,
        &head.names,
        head.line,
        &limits,
        BadRows::Reject,
    );
    let Ok(mut reader) = reader else {
        return Outcome::Refused;
    };
    let mut input = Few(&plain[head.end as usize..], few);
    // Whatever was read is written in another form, to be compared.
    let mut out = Vec::new();
    let mut writer = TableWriter::new(FileType::of_name(".csv").unwrap(), true);
    let mut rejects = Vec::new();
    loop {
        match reader.read_block(&mut input, rows) {
            Ok(Some(block)) => {
                let source = Some(&block.source);
                writer.write(&block.table, source, &mut out).unwrap();
                rejects.extend(block.rejects);
            }
            Ok(None) => return Outcome::Read(out, rejects),
            Err(_) => return Outcome::Refused,
        }
        if out.len() > 1 << 22 {
            return Outcome::Refused;
        }
    }
}

/// All that must hold for a file; whether it was read.
fn check(bytes: &[u8], file: FileType, schema: &Arc<Schema>) -> Result<bool, String> {
    LARGEST.store(0, Ordering::Relaxed);
    let whole = read(bytes, file, schema, usize::MAX, 10_000);
    let most = match file.format {
        Format::Parquet => MOST_PARQUET,
        _ => MOST,
    };
    let largest = LARGEST.load(Ordering::Relaxed);
    if largest > most {
        return Err(format!("{largest} bytes were allocated"));
    }
    // A refusal tells about the first fault, and that may be behind rows of an earlier block.
    let pieces = read(bytes, file, schema, 5, 3);
    if pieces != whole {
        return Err(format!("in pieces {pieces:?}, at once {whole:?}"));
    }
    if file.can_be_cut() {
        let mut cutter = Cutter::new(file.format, 0, 1, 0);
        let mut last = 0;
        cutter.scan(bytes, |cut| {
            assert!(cut.offset > last && cut.offset < bytes.len() as u64);
            last = cut.offset;
            cut.offset
        });
    }
    Ok(matches!(whole, Outcome::Read(_, rejects) if rejects.len() < 20))
}

#[test]
fn changed_files_are_read_or_refused() {
    let table = table();
    let files = NAMES.map(|name| {
        let file = FileType::of_name(name).unwrap();
        let mut bytes = Vec::new();
        let mut writer = TableWriter::new(file, true);
        writer.write(&table, None, &mut bytes).unwrap();
        writer.finish(&mut bytes).unwrap();
        assert_eq!(check(&bytes, file, table.schema()), Ok(true), "{name}");
        (file, bytes)
    });
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let seconds = number("FUZZ_SECONDS").unwrap_or(2);
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seed = number("FUZZ_SEED").unwrap_or_else(|| clock.unwrap().as_nanos() as u64);
    println!("FUZZ_SEED={seed}");
    // The Parquet reader catches panics of its library; their traces would fill the screen.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let start = Instant::now();
    let (mut executions, mut taken) = (0u64, 0u64);
    let mut problem = None;
    while start.elapsed() < Duration::from_secs(seconds) && problem.is_none() {
        let mut random = Random(seed.wrapping_add(executions));
        let (file, bytes) = &files[random.below(files.len())];
        let mut bytes = bytes.clone();
        for _ in 0..=random.below(4) {
            change(&mut bytes, &mut random);
        }
        let checked = catch_unwind(AssertUnwindSafe(|| check(&bytes, *file, table.schema())));
        match checked.unwrap_or_else(|_| Err("panic".to_owned())) {
            Ok(read) => taken += u64::from(read),
            Err(what) => {
                let text = String::from_utf8_lossy(&bytes);
                let name = file.extension();
                problem = Some(format!("file {executions} ({name}): {what}\n{text}"));
            }
        }
        executions += 1;
    }
    std::panic::set_hook(hook);
    if let Some(problem) = problem {
        panic!("FUZZ_SEED={seed}, {problem}");
    }
    println!("{executions} files, {taken} of them mostly right, in {seconds} s");
    assert!(
        seconds == 0 || taken > 0,
        "no changed file was right: the changes are too wild"
    );
}

const TOKENS: [&str; 24] = [
    "\"",
    "\"\"",
    ",",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "'",
    "\\",
    "?",
    "{",
    "}",
    "%",
    "{0 1,2 x}",
    "1e5",
    "NaN",
    "-0.0",
    "99999999999999999999",
    "0.1234567890123456789",
    "\u{feff}",
    "\n\n",
    "@data\n",
    "@attribute a date 'yy'\n",
    "é",
];

fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    match random.below(7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = random.next() as u8,
        2 => drop(bytes.splice(at..at, TOKENS[random.below(TOKENS.len())].bytes())),
        3 => {
            let end = (at + random.below(8)).min(bytes.len());
            drop(bytes.splice(at..end, TOKENS[random.below(TOKENS.len())].bytes()));
        }
        4 => drop(bytes.drain(at..(at + random.below(40)).min(bytes.len()))),
        5 => {
            let part = bytes[at..(at + random.below(80)).min(bytes.len())].to_vec();
            let to = random.below(bytes.len() + 1);
            drop(bytes.splice(to..to, part));
        }
        _ => bytes.truncate(at.max(bytes.len() / 2)),
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}
