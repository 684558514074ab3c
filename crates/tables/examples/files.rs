//! What reading and writing a delimited file costs, beside the `csv` crate with `str::parse` and
//! beside copying its bytes. All in one run, so that the ratios hold on a busy machine:
//! `cargo run --release -p tables --example files`.

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tables::files::{BadRows, Cutter, FileType, Format, RecordReader, TableWriter, read_head};
use tables::{Column, DataType, Field, Limits, Schema};

/// The allocator of the shipped binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CSV: Format = Format::Csv { header: true };
const ROWS: usize = 50_000;
const BLOCK: usize = 4096;

fn main() {
    println!("{ROWS} rows, CPU-seconds for a million rows; MB/s of the cutter");
    println!(
        "{:<30}{:>8}{:>8}{:>8}{:>8}{:>10}{:>8}{:>10}",
        "file", "MB/M", "csv", "read", "ratio", "write all", "copy", "cut MB/s"
    );
    let doubles = |i: usize| Field::new(format!("feature {i}"), DataType::Double);
    let numbers: Vec<Field> = (0..30).map(doubles).collect();
    for (name, digits) in [("short", 4), ("medium", 8), ("long", 17)] {
        let mut file = header(&numbers);
        for row in 0..ROWS {
            for column in 0..30 {
                let value = noise(row * 30 + column);
                let end = if column == 29 { '\n' } else { ',' };
                let _ = match digits {
                    17 => write!(file, "{value}{end}"),
                    _ => write!(file, "{value:.*}{end}", digits - 1),
                };
            }
        }
        measure(&format!("30 {name} numbers"), numbers.clone(), &file);
    }
    let mixed: Vec<Field> = (0..30)
        .map(|i| match i % 3 {
            0 => Field::new(format!("n{i}"), DataType::Int32),
            1 => Field::new(format!("d{i}"), DataType::Double).nullable(),
            _ => Field::new(format!("s{i}"), DataType::String),
        })
        .collect();
    for quoted in [false, true] {
        let mut file = header(&mixed);
        for row in 0..ROWS {
            for column in 0..30 {
                let end = if column == 29 { '\n' } else { ',' };
                let value = noise(row * 30 + column);
                let _ = match column % 3 {
                    0 => write!(file, "{}{end}", (value * 1000.0) as i32),
                    1 if row % 7 == 0 => write!(file, "{end}"),
                    1 => write!(file, "{value:.3}{end}"),
                    _ if quoted => write!(file, "\"text {}\"{end}", row % 17),
                    _ => write!(file, "text {}{end}", row % 17),
                };
            }
        }
        let name = if quoted {
            "30 mixed, quoted texts"
        } else {
            "30 mixed"
        };
        measure(name, mixed.clone(), &file);
    }
}

fn header(fields: &[Field]) -> String {
    let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
    names.join(",") + "\n"
}

/// About normally distributed.
fn noise(i: usize) -> f64 {
    let mut sum = 0.0;
    let mut state = i as u64;
    for _ in 0..4 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        sum += ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
    }
    sum * 1.7
}

fn measure(name: &str, fields: Vec<Field>, file: &str) {
    let schema = Arc::new(Schema::new(fields).expect("names differ"));
    let bytes = file.as_bytes();
    let head = read_head(bytes, true, CSV, &schema)
        .expect("a head")
        .expect("it is whole");
    let mut best = [Duration::MAX; 5];
    let mut out = Vec::new();
    for _ in 0..7 {
        let times = [
            timed(|| by_csv_crate(bytes, &schema)),
            timed(|| read(bytes, &schema, &head.names, |_| {})),
            timed(|| {
                out.clear();
                let mut writer = TableWriter::new(FileType::of_name(".csv").expect("one"), true);
                read(bytes, &schema, &head.names, |block| {
                    writer.write(&block.table, None, &mut out).expect("written");
                });
            }),
            timed(|| {
                out.clear();
                let mut writer = TableWriter::new(FileType::of_name(".csv").expect("one"), true);
                read(bytes, &schema, &head.names, |block| {
                    let score = Column::from(vec![0.25; block.table.rows()]);
                    let field = Field::new("score", DataType::Double);
                    let table = block.table.with_column(field, score).expect("a new name");
                    let source = Some(&block.source);
                    writer.write(&table, source, &mut out).expect("written");
                    if out.len() > 1 << 22 {
                        out.clear();
                    }
                });
            }),
            timed(|| {
                let mut cutter = Cutter::new(CSV, head.end, head.line, 0);
                cutter.scan(&bytes[head.end as usize..], |cut| {
                    black_box(cut).offset + (1 << 20)
                });
            }),
        ];
        for (best, time) in best.iter_mut().zip(times) {
            *best = time.min(*best);
        }
    }
    let million = |time: Duration| time.as_secs_f64() * 1e6 / ROWS as f64;
    let [csv, ours, all, copied, cut] = best.map(million);
    let size = bytes.len() as f64 / ROWS as f64;
    println!(
        "{name:<30}{size:>8.0}{csv:>8.2}{ours:>8.2}{:>8.2}{:>10.2}{:>8.2}{:>10.0}",
        ours / csv,
        all - ours,
        copied - ours,
        size / cut
    );
}

fn read(
    bytes: &[u8],
    schema: &Arc<Schema>,
    names: &[String],
    mut each: impl FnMut(&tables::files::Block),
) {
    let limits = Limits::default();
    let mut reader =
        RecordReader::new(CSV, schema, names, 2, &limits, BadRows::Fail).expect("the columns fit");
    let start = memchr::memchr(b'\n', bytes).map_or(0, |end| end + 1);
    let mut input = &bytes[start..];
    while let Some(block) = reader
        .read_block(&mut input, BLOCK)
        .expect("the rows are right")
    {
        each(black_box(&block));
    }
}

/// Typed columns by the `csv` crate and `str::parse`.
fn by_csv_crate(bytes: &[u8], schema: &Schema) {
    enum Values {
        Numbers(Vec<f64>),
        Integers(Vec<i32>),
        Texts(Vec<String>),
    }
    let mut columns: Vec<Values> = schema
        .fields()
        .iter()
        .map(|field| match field.data_type {
            DataType::Double => Values::Numbers(Vec::new()),
            DataType::Int32 => Values::Integers(Vec::new()),
            _ => Values::Texts(Vec::new()),
        })
        .collect();
    let mut reader = csv::Reader::from_reader(bytes);
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).expect("the rows are right") {
        for (cell, column) in record.iter().zip(&mut columns) {
            match column {
                Values::Numbers(v) => v.push(cell.parse().unwrap_or(f64::NAN)),
                Values::Integers(v) => v.push(cell.parse().unwrap_or(0)),
                Values::Texts(v) => v.push(cell.to_owned()),
            }
        }
    }
    for column in &columns {
        black_box(match column {
            Values::Numbers(v) => v.len(),
            Values::Integers(v) => v.len(),
            Values::Texts(v) => v.len(),
        });
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
