//! Fuzzing of the readers of LightGBM's and XGBoost's files, from a kept corpus.
//!
//! Each round takes a file of `fuzz/corpus/lightgbm` or `fuzz/corpus/xgboost`, changes it in a few
//! places (numbers and names swapped for odd ones, lines and parts moved, cut, doubled, bytes
//! altered) and asks: nothing panics; every refusal is of a class that it may be; what loads scores
//! three rows, with as many results as it says.
//!
//! `FUZZ_SECONDS` (default 2) says for how long, `FUZZ_SEED` where to start; the seed of a failing
//! round is printed, and that round alone is run again by `FUZZ_SEED=... FUZZ_SECONDS=0`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use faults::Class;
use models::{Format, Model};
use tables::{Column, DataType, Field, Schema, Table, Values};

/// SplitMix64: small, and the same everywhere.
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

    fn of<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for folder in ["lightgbm", "xgboost"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fuzz/corpus")
            .join(folder);
        let mut paths: Vec<_> = std::fs::read_dir(&folder)
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
            .map(|entry| entry.expect("a readable folder").path())
            .collect();
        paths.sort();
        assert!(paths.len() >= 6, "the corpus is gone from {folder:?}");
        files.extend(paths.iter().map(|p| std::fs::read(p).expect("a file")));
    }
    files
}

/// What stands in the place of a number or a word.
const ODD: [&str; 36] = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "-2",
    "-4",
    "7",
    "8",
    "31",
    "32",
    "65536",
    "1000000000",
    "16777216",
    "-2147483648",
    "4294967295",
    "9223372036854775807",
    "-9223372036854775808",
    "1e999",
    "-1e999",
    "NaN",
    "nan",
    "inf",
    "1.5",
    "1E-35",
    "",
    " ",
    "[",
    "]",
    "{}",
    "\"",
    "softmax",
    "multiclass",
    "num_class:3",
    "none",
    "true",
];

/// Where the words of a text begin and end.
fn words(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut words = Vec::new();
    let mut start = None;
    for (i, b) in bytes.iter().enumerate() {
        let part = b.is_ascii_alphanumeric() || b"_.+-".contains(b);
        match (part, start) {
            (true, None) => start = Some(i),
            (false, Some(s)) => {
                words.push((s, i));
                start = None;
            }
            _ => {}
        }
    }
    words
}

fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    if bytes.is_empty() {
        return;
    }
    let a = random.below(bytes.len());
    let b = (a + random.below(40)).min(bytes.len());
    match random.below(12) {
        0 => bytes[a] = random.next() as u8,
        1 => bytes.truncate(a),
        2 => drop(bytes.drain(a..b)),
        3 => {
            let part = bytes[a..b].to_vec();
            let at = random.below(bytes.len());
            bytes.splice(at..at, part);
        }
        4 => {
            // A number of UBJSON: the last bytes of a length, a count, an index.
            let odd = [0u8, 1, 2, 0x7f, 0x80, 0xff];
            for i in a..(a + 1 + random.below(8)).min(bytes.len()) {
                bytes[i] = odd[random.below(odd.len())];
            }
        }
        5 => {
            // A type marker of UBJSON.
            let marks: Vec<usize> = (0..bytes.len())
                .filter(|&i| b"[{$#LlIiUdDSCTFZN]}".contains(&bytes[i]))
                .collect();
            if !marks.is_empty() {
                bytes[marks[random.below(marks.len())]] = *random.of(&[
                    &b'[', &b'{', &b'$', &b'#', &b'L', &b'l', &b'i', &b'U', &b'd', &b'D', &b'S',
                    &b'T', &b'Z', &b'N', &b']', &b'}',
                ]);
            }
        }
        6 => {
            // A line in another's place.
            let text = String::from_utf8_lossy(bytes).into_owned();
            let mut lines: Vec<&str> = text.split('\n').collect();
            let (i, j) = (random.below(lines.len()), random.below(lines.len()));
            match random.below(3) {
                0 => lines.swap(i, j),
                1 => drop(lines.remove(i)),
                _ => lines.insert(j, lines[i]),
            }
            *bytes = lines.join("\n").into_bytes();
        }
        kind => {
            let all = words(bytes);
            if all.is_empty() {
                return;
            }
            let (start, end) = all[random.below(all.len())];
            let new = if kind == 7 {
                let theirs = words(other);
                let (start, end) = theirs[random.below(theirs.len())];
                other[start..end].to_vec()
            } else if kind == 8 {
                let (start, end) = all[random.below(all.len())];
                bytes[start..end].to_vec()
            } else {
                random.of(&ODD).as_bytes().to_vec()
            };
            bytes.splice(start..end, new);
        }
    }
}

fn table(model: &Model) -> Table {
    let cells = [
        vec![-1.0, f64::NAN, 3.0],
        vec![0.0, 1e300, -0.5],
        vec![2.5, f64::INFINITY, 39.0],
    ];
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (i, input) in model.inputs().iter().enumerate() {
        fields.push(Field::new(&input.name, DataType::Double));
        columns.push(Arc::new(Column::new(Values::F64(cells[i % 3].clone()))));
    }
    Table::new(
        Arc::new(Schema::new(fields).expect("names differ")),
        columns,
    )
}

/// Checks what a file comes to, and names it.
fn judge(bytes: &[u8]) -> String {
    let _ = Format::is_model_json(bytes);
    let model = match Model::load(bytes) {
        Ok(model) => model,
        Err(fault) => {
            let class = fault.class();
            assert!(
                matches!(
                    class,
                    Class::ModelPackageFormatError | Class::WebServicePackageError
                ),
                "{fault:?}"
            );
            let said = fault.cause().is_some() || !fault.details().is_empty();
            assert!(said, "refused without a reason");
            return format!("{class:?}");
        }
    };
    // Nobody has a table of so many columns; that it loads is what is asked here.
    if model.inputs().len() > 4_000 {
        return "wide".to_owned();
    }
    let table = table(&model);
    let binding = model.bind(table.schema()).expect("names and types fit");
    let scores = model
        .score(&binding, &table, &|| false)
        .expect("what loads scores");
    let columns = scores.labels.iter();
    for column in columns.chain(&scores.probabilities).chain(&scores.values) {
        assert_eq!(column.column.len(), 3);
    }
    "scores".to_owned()
}

fn round(corpus: &[Vec<u8>], seed: u64) -> String {
    let mut random = Random(seed);
    let mut bytes = corpus[random.below(corpus.len())].clone();
    let other = &corpus[random.below(corpus.len())];
    for _ in 0..random.below(5) {
        mutate(&mut bytes, other, &mut random);
    }
    catch_unwind(AssertUnwindSafe(|| judge(&bytes))).unwrap_or_else(|panic| {
        let shown = bytes.escape_ascii();
        eprintln!("FUZZ_SEED={seed} FUZZ_SECONDS=0 shows it again; the file:\n{shown}");
        std::panic::resume_unwind(panic)
    })
}

#[test]
fn changed_models_are_judged_and_never_break_anything() {
    let setting = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seconds = setting("FUZZ_SECONDS").unwrap_or(2);
    let seed = setting("FUZZ_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |d| d.as_nanos() as u64)
    });
    println!("FUZZ_SEED={seed}");
    let corpus = corpus();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut rounds = 0u64;
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    loop {
        let outcome = round(&corpus, seed.wrapping_add(rounds));
        *outcomes.entry(outcome).or_default() += 1;
        rounds += 1;
        if Instant::now() >= end {
            break;
        }
    }
    println!("{rounds} files: {outcomes:#?}");
    // A fuzzer that never gets past the readers, or never runs into them, tests nothing.
    if rounds > 2_000 {
        for outcome in [
            "scores",
            "ModelPackageFormatError",
            "WebServicePackageError",
        ] {
            assert!(outcomes.contains_key(outcome), "nothing came to {outcome}");
        }
    }
}

#[test]
fn the_corpus_itself_scores_but_for_what_is_refused_by_name() {
    let outcomes: Vec<String> = corpus().iter().map(|file| judge(file)).collect();
    let scores = outcomes.iter().filter(|o| *o == "scores").count();
    // The linear trees are the one.
    assert_eq!(scores, outcomes.len() - 1, "{outcomes:?}");
    assert!(outcomes.iter().any(|o| o == "WebServicePackageError"));
}

#[test]
fn every_prefix_of_a_model_is_answered() {
    for file in corpus() {
        for end in 0..file.len() {
            judge(&file[..end]);
        }
    }
}
