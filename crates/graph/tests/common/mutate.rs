//! Changing JSON documents at random, from a seed, as fuzz tests do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// SplitMix64: small, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// The JSON documents of a corpus, by the name of its folder; at least `least` of them.
pub fn corpus(name: &str, least: usize) -> Vec<Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    assert!(
        files.len() >= least,
        "the corpus is gone from {}",
        folder.display()
    );
    files
        .iter()
        .map(|path| {
            let text = std::fs::read(path).expect("a readable file");
            serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        })
        .collect()
}

/// A value to put in the place of another.
fn odd_value(random: &mut Random) -> Value {
    const TEXTS: [&str; 22] = [
        "",
        " ",
        "x",
        "in",
        "a",
        "s",
        "True",
        "false",
        "NaN",
        "1e999",
        "-1",
        "9223372036854775808",
        "Graph",
        "Module",
        "Resource",
        "Complex64",
        "Int32",
        "%7B%22rules%22",
        "{\"rules\":[]}",
        "ü\u{0}\u{202e}",
        "Dataset",
        "aml://module/",
    ];
    match random.below(9) {
        0 => Value::Null,
        1 => json!(random.below(2) == 0),
        2 => json!(random.next() as i64),
        3 => json!(f64::from_bits(random.next())),
        4 => json!([]),
        5 => json!({}),
        6 => {
            // Nested as deep as a body may be.
            let mut value = json!(1);
            for _ in 0..random.below(60) {
                value = if random.below(2) == 0 {
                    json!([value])
                } else {
                    json!({ "value": value })
                };
            }
            value
        }
        7 => json!("n".repeat(random.below(3_000))),
        _ => json!(TEXTS[random.below(TEXTS.len())]),
    }
}

/// Applies `change` to the `at`-th value of the document, in depth-first order.
fn visit(value: &mut Value, at: &mut usize, change: &mut dyn FnMut(&mut Value)) {
    if *at == 0 {
        change(value);
        *at = usize::MAX;
        return;
    }
    *at = at.saturating_sub(1);
    let children: Vec<&mut Value> = match value {
        Value::Object(map) => map.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => Vec::new(),
    };
    for child in children {
        if *at == usize::MAX {
            return;
        }
        visit(child, at, change);
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Object(map) => map.values().map(count).sum(),
        Value::Array(items) => items.iter().map(count).sum(),
        _ => 0usize,
    }
}

fn other_case(name: &str, random: &mut Random) -> String {
    let upper = |c: char| c.to_ascii_uppercase();
    match random.below(3) {
        0 => name.to_uppercase(),
        1 => name
            .chars()
            .enumerate()
            .map(|(i, c)| if i == 0 { upper(c) } else { c })
            .collect(),
        _ => format!("{name}{}", random.below(3)),
    }
}

/// Changes a document in one place.
pub fn mutate(document: &mut Value, random: &mut Random) {
    let donor = {
        // A value from elsewhere in the document: ids and names land where others are wanted.
        let mut at = random.below(count(document));
        let mut taken = Value::Null;
        visit(document, &mut at, &mut |value| taken = value.clone());
        taken
    };
    let mut at = random.below(count(document));
    let kind = random.below(6);
    let seed = random.next();
    visit(document, &mut at, &mut |value| {
        let random = &mut Random(seed);
        match (kind, &mut *value) {
            (0, _) => *value = odd_value(random),
            (1, _) if count(&donor) < 200 => *value = donor.clone(),
            (2, Value::Object(map)) if !map.is_empty() => {
                let key = map
                    .keys()
                    .nth(random.below(map.len()))
                    .cloned()
                    .unwrap_or_default();
                let moved = map.shift_remove(&key).unwrap_or_default();
                map.insert(other_case(&key, random), moved);
            }
            (3, Value::Object(map)) if !map.is_empty() => {
                let key = map
                    .keys()
                    .nth(random.below(map.len()))
                    .cloned()
                    .unwrap_or_default();
                let copy = map.get(&key).cloned().unwrap_or_default();
                map.insert(other_case(&key, random), copy);
            }
            (4, Value::Object(map)) if !map.is_empty() => {
                let mut kept = Map::new();
                let gone = random.below(map.len());
                for (i, (key, value)) in std::mem::take(map).into_iter().enumerate() {
                    if i != gone {
                        kept.insert(key, value);
                    }
                }
                *map = kept;
            }
            (3, Value::Array(items)) if !items.is_empty() => {
                let copy = items[random.below(items.len())].clone();
                items.push(copy);
            }
            (4, Value::Array(items)) if !items.is_empty() => {
                items.remove(random.below(items.len()));
            }
            (_, Value::String(text)) if !text.is_empty() => {
                let at = random.below(text.chars().count());
                let odd = ['"', '%', '\\', '\u{0}', 'é', '1', '{', ','][random.below(8)];
                *text = text
                    .chars()
                    .enumerate()
                    .map(|(i, c)| if i == at { odd } else { c })
                    .collect();
            }
            _ => *value = odd_value(random),
        }
    });
}

/// Runs `round` on one seed after the other for `FUZZ_SECONDS` (default 2), from `FUZZ_SEED` where
/// that is given; how often each of its outcomes came, and how many rounds there were. The seed of a
/// round that panics is printed by the round itself.
pub fn run(mut round: impl FnMut(u64) -> String) -> (BTreeMap<String, u64>, u64) {
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
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut rounds = 0u64;
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    loop {
        let outcome = round(seed.wrapping_add(rounds));
        *outcomes.entry(outcome).or_default() += 1;
        rounds += 1;
        if Instant::now() >= end {
            break;
        }
    }
    println!("{rounds} documents: {outcomes:#?}");
    (outcomes, rounds)
}
